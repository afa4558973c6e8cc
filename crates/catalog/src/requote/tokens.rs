//! The tokens of SQL as a server prints it.

/// A token with the white space before it; together they are the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) space: &'a str,
    /// A word, a quoted name, a constant, `::`, or one other character.
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// Whether it names something: in quotes, or bare and so without a capital letter.
    pub(super) fn is_name(&self) -> bool {
        self.text.starts_with('"')
            || self.text.starts_with(is_word_start) && !self.text.contains(|c: char| c.is_ascii_uppercase())
    }
}

/// Splits a text.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        let space_bytes = rest.len() - rest.trim_start().len();
        let (space, behind) = rest.split_at(space_bytes);
        let (text, behind) = behind.split_at(token_bytes(behind));
        tokens.push(Token { space, text });
        rest = behind;
    }
    tokens
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

/// How long the token is that a text begins with.
fn token_bytes(sql: &str) -> usize {
    let Some(first) = sql.chars().next() else { return 0 };
    let word_bytes =
        |from: usize| from + sql[from..].find(|c: char| !is_word_part(c)).unwrap_or(sql.len() - from);
    match first {
        '\'' | '"' => quoted_bytes(sql, first, false),
        '$' => dollar_bytes(sql).unwrap_or_else(|| word_bytes(1)),
        // Behind such letters a constant stands without a space.
        'E' | 'e' if sql[1..].starts_with('\'') => 1 + quoted_bytes(&sql[1..], '\'', true),
        // With a digit or a dot they are numbers, which hold no names.
        c if is_word_start(c) || c.is_ascii_digit() => word_bytes(0),
        ':' if sql.starts_with("::") => 2,
        _ => first.len_utf8(),
    }
}

/// The length of what begins with a quote, in which quotes are written twice.
fn quoted_bytes(sql: &str, quote: char, has_escapes: bool) -> usize {
    let mut chars = sql.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if has_escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    sql.len()
}

/// The length of a string in dollar quotes.
fn dollar_bytes(sql: &str) -> Option<usize> {
    let tag = &sql[..sql[1..].find('$')? + 2];
    let inside = &tag[1..tag.len() - 1];
    let is_tag = inside.chars().all(|c| is_word_part(c) && c != '$')
        && !inside.starts_with(|c: char| c.is_ascii_digit());
    let end = is_tag.then(|| sql[tag.len()..].find(tag))??;
    Some(tag.len() + end + tag.len())
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[track_caller]
    fn check(sql: &str, expected: &[&str]) {
        let found = tokens(sql);
        let texts: Vec<&str> = found.iter().map(|token| token.text).collect();
        assert_eq!(texts, expected, "{sql}");
        let whole: String = found.iter().flat_map(|token| [token.space, token.text]).collect();
        assert_eq!(whole, sql);
    }

    #[test]
    fn words_and_constants() {
        check("", &[]);
        check(" a ", &["a", ""]);
        check("t.a::text", &["t", ".", "a", "::", "text"]);
        check("'it''s' E'a\\'b' \"x\"\"y\"", &["'it''s'", "E'a\\'b'", "\"x\"\"y\""]);
        check("$1 $$a ' b$$ $x$ $$ $x$ a$b", &["$1", "$$a ' b$$", "$x$ $$ $x$", "a$b"]);
        check("1.5e10 größe", &["1", ".", "5e10", "größe"]);
        check("'open", &["'open"]);
    }
}
