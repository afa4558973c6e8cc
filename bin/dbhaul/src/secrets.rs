//! Keeps passwords out of what is printed about arguments.

/// Replaces passwords in connection URIs and `key=value` strings inside any text.
pub(crate) fn redact(text: &str) -> String {
    redact_keywords(&redact_uris(text))
}

/// Whether a connection string holds a password.
pub(crate) fn holds_password(connection: &str) -> bool {
    redact(connection) != connection
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
        match user_info.split_once(':') {
            Some((user, _)) => redacted.extend([user, ":", MASK]),
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

/// Where the text behind `password` begins, if an equals sign follows.
fn find_password_keyword(text: &str) -> Option<usize> {
    const KEYWORD: &str = "password";
    let mut from = 0;
    while let Some(found) = text[from..].find(KEYWORD) {
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
    use super::{holds_password, redact};

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        for (text, expected) in [
            ("postgres://app:s3cret@db/shop", "postgres://app:***@db/shop"),
            ("found 'postgres://app:p@ss:w@db/shop' here", "found 'postgres://app:***@db/shop' here"),
            ("host=db password=s3cret user=app", "host=db password=*** user=app"),
            ("host=db password = 's3 \\' cret' user=app", "host=db password=*** user=app"),
            ("postgres://db/shop?password=s3cret&user=a", "postgres://db/shop?password=***&user=a"),
            ("sslpassword=x", "sslpassword=***"),
            ("a://u:x@h b://v:y@i", "a://u:***@h b://v:***@i"),
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
