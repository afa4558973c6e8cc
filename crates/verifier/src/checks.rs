//! Application checks: queries of the user's own that both sides have to answer alike.
//!
//! A [`Check`] is one `SELECT`. It is run under the snapshot of each live side, in a transaction that can only read
//! and is rolled back, and the answers are compared as text: as a multiset of rows, or in their order if the check
//! says so. What one side could not answer is not verified.

mod answer;
mod run;
mod text;

use pg_query::NodeEnum;
use pg_query::protobuf::SelectStmt;
use serde::{Deserialize, Serialize};

pub use self::run::{CheckSide, run_checks};
use crate::{ShowValues, ShownValue};

/// Rows of an answer. A check that brings more is no summary, and a table of that size is compared by its digest.
pub const MAX_ANSWER_ROWS: usize = 10_000;

/// Bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Characters of a name.
const MAX_NAME_CHARACTERS: usize = 200;

/// A query that both sides have to answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    name: String,
    sql: String,
    is_ordered: bool,
    /// How long each side may take, in seconds; zero for no limit.
    timeout_seconds: u32,
}

impl Check {
    /// Takes a query under a name.
    ///
    /// # Errors
    /// What is wrong with it, in words: it has to be one `SELECT` that does nothing but read.
    pub fn new(name: &str, sql: &str, is_ordered: bool, timeout_seconds: u32) -> Result<Self, String> {
        check_name(name)?;
        let sql = only_select(sql, is_ordered)?;
        Ok(Check { name: name.to_owned(), sql, is_ordered, timeout_seconds })
    }

    /// What a report calls it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Checks and what their queries have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// The schemas in which names without one are looked up, behind `pg_catalog`.
    pub search_path: Vec<String>,
    /// In the order of the report.
    pub checks: Vec<Check>,
}

/// A name has nothing in it that means something in a report or in a list of accepted differences.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_alphanumeric() || " _-.,:/()%+".contains(c);
    let is_fit = !name.is_empty()
        && name.trim() == name
        && name.chars().count() <= MAX_NAME_CHARACTERS
        && name.chars().all(is_plain)
        && !name.contains("--");
    match is_fit {
        true => Ok(()),
        false => Err(format!(
            "a name has up to {MAX_NAME_CHARACTERS} letters, digits, blanks and _ - . , : / ( ) % +, without --"
        )),
    }
}

/// The text of the one `SELECT` that a text holds, without what ends it.
fn only_select(sql: &str, is_ordered: bool) -> Result<String, String> {
    let parsed = pg_query::parse(sql, 0).map_err(|error| format!("the query cannot be parsed: {error}"))?;
    let [statement] = parsed.protobuf.stmts.as_slice() else {
        return Err(format!(
            "the query has to be one statement, and these are {}",
            parsed.protobuf.stmts.len()
        ));
    };
    let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
    let Some(NodeEnum::SelectStmt(select)) = node else {
        return Err("the query has to be a SELECT, VALUES, TABLE or WITH".to_owned());
    };
    if let Some(problem) = writes(select) {
        return Err(problem.to_owned());
    }
    if is_ordered && select.sort_clause.is_empty() {
        return Err("`ordered = true` needs an ORDER BY at the end of the query".to_owned());
    }
    let start = usize::try_from(statement.stmt_location).unwrap_or_default();
    let length = usize::try_from(statement.stmt_len).unwrap_or_default();
    let end = if length == 0 { sql.len() } else { start + length };
    let text = sql.get(start..end).map(str::trim).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| "the query cannot be told from what surrounds it".to_owned())
}

/// Why a query does more than read, if it does. What functions do is another matter.
fn writes(select: &SelectStmt) -> Option<&'static str> {
    let is_select = |node: &pg_query::protobuf::Node| match &node.node {
        Some(NodeEnum::CommonTableExpr(cte)) => {
            let query = cte.ctequery.as_ref().and_then(|query| query.node.as_ref());
            matches!(query, Some(NodeEnum::SelectStmt(_)))
        }
        _ => true,
    };
    if leftmost(select).into_clause.is_some() {
        return Some("the query creates a table (SELECT INTO)");
    }
    if !select.locking_clause.is_empty() {
        return Some("the query locks rows (FOR UPDATE or the like)");
    }
    let reads = select.with_clause.as_ref().is_none_or(|with| with.ctes.iter().all(is_select));
    (!reads).then_some("the query changes rows in its WITH")
}

/// The first of the queries that a set operation combines, which alone may have an `INTO`.
fn leftmost(select: &SelectStmt) -> &SelectStmt {
    select.larg.as_deref().map_or(select, leftmost)
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// What the file calls it.
    pub name: String,
    /// The query.
    pub sql: String,
    /// Equal, different, or not verified.
    #[serde(flatten)]
    pub verdict: CheckVerdict,
}

/// The judgement on a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// Both sides gave the same answer.
    Equal {
        /// Rows of it.
        row_count: u64,
    },
    /// They did not.
    Different(Box<DifferentAnswers>),
    /// One side could not answer, or the answers cannot be compared.
    NotVerified {
        /// Why.
        reason: String,
    },
}

/// Two answers that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferentAnswers {
    /// The columns, by the left's names.
    pub columns: Vec<String>,
    /// How values are shown.
    pub values: ShowValues,
    /// Rows of the left's answer.
    pub left_row_count: u64,
    /// Rows of the right's.
    pub right_row_count: u64,
    /// Rows that the right does not have (so often), or has at another place; some of them.
    pub left_rows: Vec<AnswerRow>,
    /// Rows that the left does not have.
    pub right_rows: Vec<AnswerRow>,
    /// How many such rows the left has.
    pub left_differing_count: u64,
    /// How many the right has.
    pub right_differing_count: u64,
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRow {
    /// Its number in the answer, from 1.
    pub number: u64,
    /// Its values, in the order of the columns.
    pub values: Vec<ShownValue>,
}

#[cfg(test)]
mod tests {
    use super::Check;

    fn sql(text: &str) -> Result<String, String> {
        Check::new("c", text, false, 0).map(|check| check.sql)
    }

    #[test]
    fn a_check_is_one_query_that_reads() {
        assert_eq!(sql(" SELECT 1 ; ").as_deref(), Ok("SELECT 1"));
        assert_eq!(sql("SELECT ';' -- done").as_deref(), Ok("SELECT ';' -- done"));
        assert!(sql("-- why\nTABLE a.b;").unwrap().ends_with("TABLE a.b"));
        assert_eq!(sql("VALUES (1), (2)").as_deref(), Ok("VALUES (1), (2)"));
        assert!(sql("WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2").is_ok());
        for (text, problem) in [
            ("", "these are 0"),
            ("SELECT 1; SELECT 2", "these are 2"),
            ("SELECT 1; COMMIT", "these are 2"),
            ("SELECT 1) TO PROGRAM 'x'; COPY (SELECT 1", "cannot be parsed"),
            ("DELETE FROM t", "has to be a SELECT"),
            ("COMMIT", "has to be a SELECT"),
            ("EXPLAIN ANALYZE DELETE FROM t", "has to be a SELECT"),
            ("SELECT 1 INTO t", "creates a table"),
            ("SELECT 1 INTO t UNION SELECT 2", "creates a table"),
            ("SELECT * FROM t FOR UPDATE", "locks rows"),
            ("WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a", "changes rows"),
        ] {
            let refused = sql(text).unwrap_err();
            assert!(refused.contains(problem), "{text}: {refused}");
        }
    }

    #[test]
    fn an_order_has_to_be_asked_for() {
        assert!(Check::new("c", "SELECT a FROM t", true, 0).unwrap_err().contains("ORDER BY"));
        assert!(Check::new("c", "SELECT a FROM t ORDER BY a", true, 0).is_ok());
        assert!(Check::new("c", "SELECT a FROM (SELECT a FROM t ORDER BY 1) s", true, 0).is_err());
    }

    #[test]
    fn names_are_plain() {
        for name in ["orders per status", "Umsatz 2026 (netto), %", "a-b"] {
            assert!(Check::new(name, "SELECT 1", false, 0).is_ok(), "{name}");
        }
        for name in ["", " a", "a\nb", "a -- b", "a [x]", "a\u{202e}", "a\"b", &"x".repeat(201)] {
            assert!(Check::new(name, "SELECT 1", false, 0).is_err(), "{name}");
        }
    }
}
