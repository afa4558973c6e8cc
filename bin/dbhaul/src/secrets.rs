//! Keeps passwords out of what is printed about arguments.

use std::ffi::OsString;

use dbhaul_pipeline::quoted_for_shell;

/// Replaces passwords in connection URIs and `key=value` strings inside any text.
pub(crate) fn redact(text: &str) -> String {
    redact_keywords(&redact_uris(text))
}

/// Whether a connection string holds a password.
pub(crate) fn holds_password(connection: &str) -> bool {
    redact(connection) != connection
}

/// An argument as an error may quote it: an option, a plain word or a number, and of anything else nothing.
pub(crate) fn shown_argument(argument: &str) -> String {
    let is_word = |text: &str| {
        text.len() <= LONGEST_WORD && text.chars().all(|c| c.is_ascii_lowercase() || "-_.".contains(c))
    };
    if let Some(letter) = short_option(argument) {
        return letter;
    }
    match argument.split_once('=') {
        Some((name, _)) if name.starts_with('-') && is_word(name) => format!("{name}={MASK}"),
        _ if is_usage(argument, is_word) => argument.to_owned(),
        None if is_word(argument) || is_number(argument) => argument.to_owned(),
        _ => match option_and_blank(argument).filter(|name| is_word(name)) {
            Some(name) => format!("{name} {MASK}"),
            None => MASK.to_owned(),
        },
    }
}

/// An option that was quoted with its value, without it: `--jobs` of `--jobs 4`.
fn option_and_blank(argument: &str) -> Option<&str> {
    Some(argument.split_once(' ')?.0).filter(|name| name.starts_with("--"))
}

/// An option of one letter, without the value that may stand behind it: `-d` of `-dpostgres://u:s3cret@h`.
fn short_option(argument: &str) -> Option<String> {
    let mut letters = argument.strip_prefix('-')?.chars();
    let letter = letters.next().filter(char::is_ascii_alphanumeric)?;
    let value = if letters.next().is_some() { MASK } else { "" };
    Some(format!("-{letter}{value}"))
}

/// As [`shown_argument`] for one that belongs to no option. Beside a connection string it may be a piece of a
/// password with a blank, which the shell took apart.
pub(crate) fn shown_stray(argument: &str, beside: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let is_connection = |text: &str| text.contains("://") || text.contains("password");
    let is_option = argument.starts_with('-');
    match !is_option && beside.into_iter().any(|other| is_connection(other.as_ref())) {
        true => MASK.to_owned(),
        false => shown_argument(argument),
    }
}

/// Whether clap made this itself: `--format <FORMAT>`, `<SHELL>`, `[BACKUP]`.
fn is_usage(text: &str, is_word: impl Fn(&str) -> bool) -> bool {
    let (option, value) = text.split_once(' ').unwrap_or(("", text));
    let is_value = |c: char| c.is_ascii_uppercase() || "<>[]_=.".contains(c);
    is_word(option) && value.starts_with(['<', '[']) && value.chars().all(is_value)
}

/// No command or option is longer.
const LONGEST_WORD: usize = 32;

/// `12`, `1.5`, `26h`, `50MB`, `10%`.
fn is_number(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_unit = |c: char| c.is_ascii_alphabetic() || c == '%';
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.len() <= 8
        && unit.len() <= 3
        && unit.chars().all(is_unit)
}

/// A command line as a report tells it: as a shell would take it, without passwords.
pub(crate) fn command_line(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    // where the program lies is nobody's business
    let program = arguments.next().map(|_| "dbhaul".to_owned());
    let shown = arguments.map(|argument| quoted(&redact(&argument)));
    program.into_iter().chain(shown).collect::<Vec<_>>().join(" ")
}

/// An argument as a shell would take it; a mask alone is no reason for quotes.
fn quoted(argument: &str) -> String {
    let shown = argument.replace(MASK, "x");
    match quoted_for_shell(&shown) == shown {
        true => argument.to_owned(),
        false => quoted_for_shell(argument).into_owned(),
    }
}

const MASK: &str = "***";

/// `scheme://user:password@host`: the password goes.
fn redact_uris(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, authority) = rest.split_at(start + 3);
        redacted.push_str(before);
        // An unescaped @ may stand in the password, so the last one counts.
        let end =
            authority.find(|c: char| c.is_whitespace() || "'\"`".contains(c)).unwrap_or(authority.len());
        let user_info = &authority[..authority[..end].rfind('@').unwrap_or(0)];
        rest = &authority[user_info.len()..];
        // encoded, the colon makes all of it a user's name, which nobody meant
        let colon =
            [":", "%3A", "%3a"].iter().filter_map(|colon| Some((user_info.find(*colon)?, *colon))).min();
        match colon {
            Some((end, colon)) => redacted.extend([&user_info[..end], colon, MASK]),
            None => redacted.push_str(user_info),
        }
    }
    redacted + rest
}

/// `password=...`, as a keyword or in a query, quoted or not: the value goes.
fn redact_keywords(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = find_password_keyword(rest) {
        let (before, value) = rest.split_at(start);
        redacted.push_str(before);
        let value = value.trim_start_matches([' ', '=']);
        let end = match value.strip_prefix('\'') {
            Some(quoted) => quoted_end(quoted) + 1,
            None => value.find(|c: char| c.is_whitespace() || c == '&').unwrap_or(value.len()),
        };
        redacted.extend(["=", MASK]);
        rest = &value[end..];
    }
    redacted + rest
}

/// Where the text behind `password` begins, in whatever case, if an equals sign follows.
fn find_password_keyword(text: &str) -> Option<usize> {
    const KEYWORD: &str = "password";
    // The same places in both: only letters of ASCII change.
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find(KEYWORD) {
        let end = from + found + KEYWORD.len();
        if text[end..].trim_start().starts_with('=') {
            return Some(end);
        }
        from = end;
    }
    None
}

/// The end of a quoted value, its closing quote included; quotes inside are escaped by a backslash.
fn quoted_end(quoted: &str) -> usize {
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return at + 1,
            _ => {}
        }
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{command_line, holds_password, redact, shown_argument, shown_stray};

    #[test]
    fn a_command_line_is_told_without_passwords() {
        let told = |words: &[&str]| command_line(words.iter().map(OsString::from));
        assert_eq!(
            told(&[
                "/opt/x/dbhaul",
                "verify",
                "--source",
                "postgres://app:s3cret@old/shop",
                "--target=dbname='c'"
            ]),
            r"dbhaul verify --source postgres://app:***@old/shop '--target=dbname='\''c'\'''"
        );
        for words in [
            ["d", "verify", "--source=host=db password=s3cret dbname=x"],
            ["d", "verify", "-dpostgres://u:s3cret@h/x?sslmode=require"],
            ["d", "verify", "postgres://u@h/x?password=s3cret&a=b"],
            ["d", "verify", "host=db PassWord = 's3 s3cret' user=a"],
        ] {
            assert!(!told(&words).contains("s3cret"), "{}", told(&words));
        }
    }

    #[test]
    fn arguments_are_quoted_where_they_cannot_be_secret() {
        for shown in [
            "shop",
            "--sorce",
            "-x",
            "-F",
            "-1",
            "12",
            "1.5",
            "1s",
            "50MiB",
            "10%",
            "--format <FORMAT>",
            "--x <OLD=NEW>",
            "[BACKUP]",
            "pre-data",
        ] {
            assert_eq!(shown_argument(shown), shown);
        }
        for hidden in
            ["postgres://u:S3CR3T/7@host/x", "S3CR3T", "password=s3cret", "host=a", "it's", "a b", "a <b"]
        {
            assert_eq!(shown_argument(hidden), "***");
        }
        for (typed, shown) in [
            ("-dpostgres://u:s3cret@h", "-d***"),
            ("-wsecret", "-w***"),
            ("-Ufoo", "-U***"),
            ("-d=secret", "-d***"),
            ("-größe", "-g***"),
        ] {
            assert_eq!(shown_argument(typed), shown);
            assert_eq!(shown_stray(typed, ["postgres://h"]), shown);
        }
        assert_eq!(shown_argument("--sorce=postgres://u:s3cret@h"), "--sorce=***");
        assert_eq!(shown_argument("--jobs 4"), "--jobs ***");
        let beside = ["dbhaul", "dump", "--source", "host=h password='my", "secret'"];
        assert_eq!(shown_stray("secret", beside), "***");
        assert_eq!(shown_stray("--jbos", beside), "--jbos");
        assert_eq!(shown_stray("shop", ["dbhaul", "dump", "shop"]), "shop");
    }

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        for (text, expected) in [
            ("postgres://app:s3cret@db/shop", "postgres://app:***@db/shop"),
            ("found 'postgres://app:p@ss:w@db/shop' here", "found 'postgres://app:***@db/shop' here"),
            ("host=db password=s3cret user=app", "host=db password=*** user=app"),
            ("host=db password = 's3 \\' cret' user=app", "host=db password=*** user=app"),
            ("postgres://db/shop?password=s3cret&user=a", "postgres://db/shop?password=***&user=a"),
            ("sslpassword=x", "sslpassword=***"),
            ("host=db PASSWORD=s3cret", "host=db PASSWORD=***"),
            ("PGPASSWORD=s3cret dbhaul", "PGPASSWORD=*** dbhaul"),
            ("Größe PassWord = 'x y' z", "Größe PassWord=*** z"),
            ("POSTGRES://app:s3cret@db/shop?SslPassword=x", "POSTGRES://app:***@db/shop?SslPassword=***"),
            ("a://u:x@h b://v:y@i", "a://u:***@h b://v:***@i"),
            ("postgres://u%3AS3CRET@h", "postgres://u%3A***@h"),
            ("postgres://u%3as3cret:x@h", "postgres://u%3a***@h"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn what_holds_no_password_stays() {
        for text in
            ["postgres://app@db/shop", "password authentication failed", "s3://bucket/prefix", "host=db"]
        {
            assert!(!holds_password(text), "{text}");
        }
    }
}
