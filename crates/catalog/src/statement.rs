//! What the statements of an entry may be: one statement each, of a command that fits the entry's kind.
//!
//! Definitions come from a catalog, and a catalog may come from a store that others write to. A view whose
//! definition reads `SELECT 1; COMMIT; CREATE TABLE ...` would end the transaction of a rehearsal, and a line
//! of a script that begins with a backslash would be a command to `psql`. So every statement is read as
//! PostgreSQL's own scanner reads it before anything is sent or written.

mod commands;
mod scan;

use std::fmt;

pub use scan::{Token, TokenKind, tokens};

use crate::{DropStatement, EntryKind, Toc, TocEntry, restoring};

/// Why a statement is neither sent nor written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementProblem {
    /// It holds a semicolon that ends it before its end.
    Several,
    /// It holds a backslash outside quotes, which is a command to `psql` and nothing to a server.
    Backslash,
    /// A quoted text, a comment or a body in it does not end.
    Unended,
    /// It holds a piece that versions of PostgreSQL read in different ways.
    Ambiguous,
    /// It attaches a partition whose bound is more than literals.
    Bound,
    /// It is another command than an entry of its kind has.
    Command {
        /// The words that it begins with.
        found: String,
    },
}

impl fmt::Display for StatementProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatementProblem::Several => f.write_str("its definition holds more than one statement"),
            StatementProblem::Backslash => f.write_str("its definition holds a backslash outside quotes"),
            StatementProblem::Unended => {
                f.write_str("a quoted text, a comment or a body in its definition does not end")
            }
            StatementProblem::Ambiguous => {
                f.write_str("versions of PostgreSQL read its definition in different ways")
            }
            StatementProblem::Bound => {
                f.write_str("the bound of a partition in its definition is more than literals")
            }
            StatementProblem::Command { found } => {
                write!(f, "its definition is the command {found}, which makes no object of this kind")
            }
        }
    }
}

/// The first entry with a statement that may not be sent, and why.
pub fn forbidden_statement(toc: &Toc) -> Option<(&TocEntry, StatementProblem)> {
    toc.entries.iter().find_map(|entry| Some((entry, check_entry(entry).err()?)))
}

/// Checks all that an entry may send.
///
/// # Errors
/// What is wrong with the first statement that may not be sent.
pub fn check_entry(entry: &TocEntry) -> Result<(), StatementProblem> {
    for sql in &entry.create {
        check(sql, |words| commands::creates(entry.kind, words) || restoring::begins(entry, sql))?;
    }
    if let Some(sql) = &entry.set_owner {
        check(sql, commands::sets_owner)?;
    }
    if let Some(drop) = entry.drop.as_deref() {
        check_drop(drop)?;
    }
    if let Some(adoption) = entry.adoption.as_deref() {
        check(&adoption.build, |words| commands::creates(EntryKind::Index, words))?;
        check(&adoption.adopt, |words| commands::creates(EntryKind::Constraint, words))?;
    }
    Ok(())
}

/// Checks that the bound of a partition in a statement, or a bound alone as servers print it, is made of literals.
/// Any other expression there is executed as the statement runs (`transformPartitionBoundValue` in PostgreSQL's
/// parse_utilcmd.c), whatever it does; no server prints one.
///
/// # Errors
/// [`StatementProblem::Bound`], and what keeps it from being read.
pub fn check_bound(sql: &str) -> Result<(), StatementProblem> {
    check_bound_in(&tokens(sql)?)
}

fn check_bound_in(tokens: &[Token<'_>]) -> Result<(), StatementProblem> {
    const WORDS: [&str; 10] =
        ["FROM", "TO", "IN", "WITH", "MODULUS", "REMAINDER", "MINVALUE", "MAXVALUE", "NULL", "TRUE"];
    let begins = |pair: &[Token<'_>]| pair[0].is("FOR") && pair[1].is("VALUES");
    let Some(start) = tokens.windows(2).position(begins) else { return Ok(()) };
    let is_literal = |token: &Token<'_>| match token.kind {
        TokenKind::Word => token.is("FALSE") || WORDS.iter().any(|word| token.is(word)),
        TokenKind::Text | TokenKind::Number => true,
        TokenKind::Symbol => matches!(token.text, "(" | ")" | "," | "-" | ";"),
        TokenKind::QuotedName => false,
    };
    match tokens[start + 2..].iter().all(is_literal) {
        true => Ok(()),
        false => Err(StatementProblem::Bound),
    }
}

fn check_drop(drop: &DropStatement) -> Result<(), StatementProblem> {
    for if_exists in [false, true] {
        for sql in drop_statements(drop, if_exists)? {
            check(&sql, commands::drops)?;
        }
    }
    Ok(())
}

/// What `--clean` runs for an entry, each a single statement: default privileges take several.
///
/// # Errors
/// If it cannot be read.
pub fn drop_statements(drop: &DropStatement, if_exists: bool) -> Result<Vec<String>, StatementProblem> {
    let sql = drop.sql(if_exists);
    if !drop.command.starts_with("ALTER DEFAULT PRIVILEGES ") {
        return Ok(vec![sql]);
    }
    let statements = scan::split(&sql)?;
    let is_privileges =
        |sql: &str| check(sql, |words| commands::creates(EntryKind::DefaultAcl, words)).is_ok();
    match statements.iter().all(|sql| is_privileges(sql)) {
        true => Ok(statements.into_iter().map(str::to_owned).collect()),
        false => Err(StatementProblem::Several),
    }
}

/// Checks that a text is one statement, whatever it does.
///
/// # Errors
/// What is wrong with it.
pub fn check_single(sql: &str) -> Result<(), StatementProblem> {
    check(sql, |_| true)
}

fn check(sql: &str, is_allowed: impl Fn(&[&str]) -> bool) -> Result<(), StatementProblem> {
    let tokens = tokens(sql)?;
    scan::check_ends(&tokens)?;
    check_bound_in(&tokens)?;
    let words = commands::first_words(&tokens);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if is_allowed(&words) {
        return Ok(());
    }
    let found = if words.is_empty() { "(none)".to_owned() } else { words[..words.len().min(3)].join(" ") };
    Err(StatementProblem::Command { found })
}

#[cfg(test)]
mod tests;
