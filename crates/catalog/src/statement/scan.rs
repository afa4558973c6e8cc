//! SQL as tokens, by the rules of PostgreSQL's scanner (src/backend/parser/scan.l) and of `psql`'s
//! (src/fe_utils/psqlscan.l), with `standard_conforming_strings` on.

use super::StatementProblem;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or an identifier without quotes.
    Word,
    /// An identifier in double quotes.
    QuotedName,
    /// A literal in single quotes or dollar quotes, with what stands before its quote.
    Text,
    /// A number or a parameter.
    Number,
    /// One other character.
    Symbol,
}

/// A piece of SQL that is neither white space nor a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// As it stands.
    pub text: &'a str,
}

impl Token<'_> {
    /// Whether it is this keyword, or an identifier that reads so.
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }
}

/// The tokens of a text.
///
/// # Errors
/// [`StatementProblem::Unended`], [`StatementProblem::Backslash`] and [`StatementProblem::Ambiguous`].
pub fn tokens(sql: &str) -> Result<Vec<Token<'_>>, StatementProblem> {
    let mut scanner = Scanner { sql, at: 0 };
    let mut tokens: Vec<Token<'_>> = Vec::new();
    while scanner.skip_space()? {
        let start = scanner.at;
        let kind = scanner.token()?;
        let token = Token { kind, text: &sql[start..scanner.at] };
        // after a line break the second goes on with the first, in the first one's way of reading
        // backslashes; no server prints that
        let is_escape = |token: &Token<'_>| token.text.starts_with(['e', 'E']);
        if let Some(last) = tokens.last()
            && token.text.starts_with('\'')
            && last.kind == TokenKind::Text
            && is_escape(last)
        {
            return Err(StatementProblem::Ambiguous);
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// The statements of a text that has neither bodies nor rules.
pub(super) fn split(sql: &str) -> Result<Vec<&str>, StatementProblem> {
    let mut statements = Vec::new();
    let mut start = 0;
    for token in tokens(sql)?.iter().filter(|token| token.is_symbol(";")) {
        let at = token.text.as_ptr() as usize - sql.as_ptr() as usize;
        statements.push(sql[start..at].trim());
        start = at + token.text.len();
    }
    statements.push(sql[start..].trim());
    Ok(statements)
}

/// Checks that no semicolon ends a statement before its last token. Those of a body in standard SQL
/// (`BEGIN ATOMIC ... END`) end the statements of that, those in the parentheses of a rule its actions.
pub(super) fn check_ends(tokens: &[Token<'_>]) -> Result<(), StatementProblem> {
    let (mut open_bodies, mut open_parentheses) = (0_usize, 0_usize);
    let may_have_body = makes(tokens, &["FUNCTION", "PROCEDURE"]);
    let may_have_actions = makes(tokens, &["RULE"]);
    for (place, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Word if open_parentheses > 0 => {}
            TokenKind::Word if may_have_body && open_bodies == 0 && token.is("BEGIN") => {
                open_bodies += usize::from(tokens.get(place + 1).is_some_and(|next| next.is("ATOMIC")));
            }
            TokenKind::Word if open_bodies > 0 && token.is("CASE") => open_bodies += 1,
            TokenKind::Word if open_bodies > 0 && token.is("END") => open_bodies -= 1,
            TokenKind::Symbol if token.is_symbol("(") => open_parentheses += 1,
            TokenKind::Symbol if token.is_symbol(")") => {
                open_parentheses = open_parentheses.saturating_sub(1);
            }
            TokenKind::Symbol if token.is_symbol(";") => {
                let is_inside = if open_parentheses > 0 { may_have_actions } else { open_bodies > 0 };
                if !is_inside {
                    return Err(StatementProblem::Several);
                }
            }
            _ => {}
        }
    }
    if open_bodies > 0 { Err(StatementProblem::Unended) } else { Ok(()) }
}

/// Whether a statement makes an object of one of these kinds.
fn makes(tokens: &[Token<'_>], kinds: &[&str]) -> bool {
    let begins = |words: &[&str]| {
        words.len() <= tokens.len() && words.iter().zip(tokens).all(|(word, token)| token.is(word))
    };
    kinds.iter().any(|kind| begins(&["CREATE", kind]) || begins(&["CREATE", "OR", "REPLACE", kind]))
}

struct Scanner<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes to the next token; false at the end.
    fn skip_space(&mut self) -> Result<bool, StatementProblem> {
        loop {
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.block_comment()?;
            } else {
                match rest.chars().next() {
                    None => return Ok(false),
                    Some(' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c') => self.at += 1,
                    Some(_) => return Ok(true),
                }
            }
        }
    }

    /// Comments nest.
    fn block_comment(&mut self) -> Result<(), StatementProblem> {
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                self.at += rest.chars().next().ok_or(StatementProblem::Unended)?.len_utf8();
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind, StatementProblem> {
        match self.next() {
            Some('\'') => self.quoted('\'', false).map(|()| TokenKind::Text),
            Some('"') => self.quoted('"', false).map(|()| TokenKind::QuotedName),
            Some('$') => self.dollar(),
            Some('\\') => Err(StatementProblem::Backslash),
            Some(first) if is_word_start(first) => self.word(),
            Some(first) if first.is_ascii_digit() => self.number(),
            Some(other) => {
                self.at += other.len_utf8();
                Ok(TokenKind::Symbol)
            }
            None => Err(StatementProblem::Unended),
        }
    }

    /// A word, or the literal that it is the beginning of: `E'...'`, `U&"..."`, `B'...'`.
    fn word(&mut self) -> Result<TokenKind, StatementProblem> {
        let rest = self.rest();
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length);
        let is = |letter: &str| word.eq_ignore_ascii_case(letter);
        let is_unicode = is("u") && (behind.starts_with("&'") || behind.starts_with("&\""));
        let is_escape = is("e");
        let takes_text = is_escape || is("b") || is("x") || is("n");
        self.at += length + usize::from(is_unicode);
        match self.next() {
            Some('\'') if takes_text || is_unicode => self.quoted('\'', is_escape).map(|()| TokenKind::Text),
            Some('"') if is_unicode => self.quoted('"', false).map(|()| TokenKind::QuotedName),
            _ => Ok(TokenKind::Word),
        }
    }

    /// A number. What a `$` behind it begins depends on the version.
    fn number(&mut self) -> Result<TokenKind, StatementProblem> {
        let rest = self.rest();
        let length = rest.find(|c: char| !(is_word(c) || c == '.')).unwrap_or(rest.len());
        self.at += length;
        if rest[..length].contains('$') { Err(StatementProblem::Ambiguous) } else { Ok(TokenKind::Number) }
    }

    /// A literal in dollar quotes, or a parameter.
    fn dollar(&mut self) -> Result<TokenKind, StatementProblem> {
        let rest = self.rest();
        let tag_length = 1 + rest[1..].find(|c| !is_tag(c)).unwrap_or(rest.len() - 1);
        let (tag, behind) = rest.split_at(tag_length);
        if tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let is_plain = tag[1..].chars().all(|c| c.is_ascii_digit()) && !behind.starts_with('$');
            self.at += tag_length;
            return if is_plain { Ok(TokenKind::Number) } else { Err(StatementProblem::Ambiguous) };
        }
        if !behind.starts_with('$') {
            self.at += 1;
            return Ok(TokenKind::Symbol);
        }
        let delimiter = format!("{tag}$");
        let body = &rest[delimiter.len()..];
        let end = body.find(&delimiter).ok_or(StatementProblem::Unended)?;
        self.at += delimiter.len() + end + delimiter.len();
        Ok(TokenKind::Text)
    }

    /// What stands in quotes, which are doubled inside; `has_escapes` where a backslash takes the next
    /// character as it is.
    fn quoted(&mut self, quote: char, has_escapes: bool) -> Result<(), StatementProblem> {
        self.at += 1;
        loop {
            let next = self.next().ok_or(StatementProblem::Unended)?;
            self.at += next.len_utf8();
            if next == '\\' && has_escapes {
                self.at += self.next().ok_or(StatementProblem::Unended)?.len_utf8();
            } else if next == quote {
                if self.next() != Some(quote) {
                    return Ok(());
                }
                self.at += 1;
            }
        }
    }
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

fn is_tag(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit()
}
