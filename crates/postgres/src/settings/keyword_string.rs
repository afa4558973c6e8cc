//! `key=value` connection strings.
//!
//! Source of the rules: PostgreSQL, src/interfaces/libpq/fe-connect.c,
//! `conninfo_parse`. Messages never repeat text of the string: with a forgotten
//! quote any word of it may be part of a password.

use std::iter::Peekable;
use std::str::Chars;

use super::error::SettingsError;
use super::keywords;

/// Splits a string into keywords and values, in order, unquoted.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    loop {
        skip_spaces(&mut chars);
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let keyword = take_keyword(&mut chars, pairs.len() + 1)?;
        skip_spaces(&mut chars);
        let value = if chars.next_if_eq(&'\'').is_some() {
            take_quoted(&mut chars, &named(&keyword, pairs.len() + 1))?
        } else {
            take_bare(&mut chars)
        };
        pairs.push((keyword, value));
    }
}

fn skip_spaces(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
}

fn take_keyword(chars: &mut Peekable<Chars<'_>>, number: usize) -> Result<String, SettingsError> {
    let mut keyword = String::new();
    while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
        keyword.push(c);
    }
    skip_spaces(chars);
    if chars.next_if_eq(&'=').is_none() || keyword.is_empty() {
        let problem = format!(
            "missing \"=\" in keyword {number}; write key=value pairs separated by spaces, \
             with values that contain spaces in single quotes"
        );
        return Err(SettingsError::KeywordString { problem });
    }
    Ok(keyword)
}

fn take_quoted(chars: &mut Peekable<Chars<'_>>, keyword: &str) -> Result<String, SettingsError> {
    let mut value = String::new();
    loop {
        match chars.next() {
            Some('\'') => return Ok(value),
            Some('\\') => value.extend(chars.next()),
            Some(c) => value.push(c),
            None => {
                let problem = format!("the quoted value of {keyword} has no end");
                return Err(SettingsError::KeywordString { problem });
            }
        }
    }
}

/// A keyword for messages: a known one by its name.
fn named(keyword: &str, number: usize) -> String {
    keywords::find(keyword).map_or_else(|| format!("keyword {number}"), |known| known.name.to_owned())
}

fn take_bare(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
        if c == '\\' {
            value.extend(chars.next());
        } else {
            value.push(c);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, expected, "{text}");
    }

    #[test]
    fn strings_are_split_as_libpq_does() {
        check("", &[]);
        check("host=db port=5433", &[("host", "db"), ("port", "5433")]);
        check("  host = db  ", &[("host", "db")]);
        check(r"password='it\'s \\ here' user=u", &[("password", r"it's \ here"), ("user", "u")]);
        check(r"password=a\ b", &[("password", "a b")]);
        check("dbname='' host=x", &[("dbname", ""), ("host", "x")]);
        check("options='-c geqo=off'", &[("options", "-c geqo=off")]);
    }

    #[test]
    fn broken_strings_are_refused_without_repeating_them() {
        for text in ["host=db password=secret word", "=secret", "password='secret", "host=db secret='word"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
            assert!(!message.contains("word;"), "{message}");
        }
    }
}
