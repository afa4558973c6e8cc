//! Pieces of a script for `psql`.
//!
//! A script holds plain SQL, `COPY` blocks and nothing else of psql's but their
//! end mark and, where a database is created, `\connect`. Names reach comments
//! without line breaks, so that no name can end a comment and begin a command.

use crate::kinds::dollar_quote;
use crate::{DropStatement, QualifiedName, Toc, TocEntry, quote_identifier, quote_literal};

/// Settings that decide what statements and rows mean and what must not end
/// them; every server from 13 on knows them.
const SETTINGS: &str = "\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET default_transaction_read_only = off;
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET array_nulls = on;
SET transform_null_equals = off;
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET lc_monetary = 'C';
";

/// Settings that only newer servers know are set where they exist.
const NEWER_SETTINGS: &str = "\
SELECT pg_catalog.set_config(s.name, '0', false) FROM pg_catalog.pg_settings s WHERE s.name IN ('transaction_timeout', 'idle_session_timeout');
";

/// What a session sets before it runs a script. `encoding` is the database's, whose
/// rows come as UTF8, or byte by byte where it has none. `places` says whether
/// statements name tablespaces, so that what names none goes to the database's own.
pub fn render_preamble(encoding: &str, places: bool) -> String {
    let client_encoding = if encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
    let mut preamble = format!("SET client_encoding = '{client_encoding}';\n{SETTINGS}{NEWER_SETTINGS}");
    if places {
        preamble.push_str("SET default_tablespace = '';\n");
    }
    preamble.push_str("SET default_table_access_method = heap;\n\n");
    preamble
}

/// One entry as a script: a comment that names it and its statements. Empty for
/// an entry without statements.
pub fn render_entry(entry: &TocEntry) -> String {
    let statements: Vec<&String> = entry.create.iter().chain(&entry.set_owner).collect();
    if statements.is_empty() {
        return String::new();
    }
    let mut script = title(entry);
    for statement in statements {
        script.push_str(&render_statement(statement));
        script.push('\n');
    }
    script
}

/// The comment that names an entry.
pub fn title(entry: &TocEntry) -> String {
    let what = if entry.data.is_some() { "Data for Name" } else { "Name" };
    let schema = entry.schema.as_deref().map_or_else(|| "-".to_owned(), one_line);
    let owner = entry.owner.as_deref().map_or_else(|| "-".to_owned(), one_line);
    let name = one_line(&entry.name);
    format!("--\n-- {what}: {name}; Type: {}; Schema: {schema}; Owner: {owner}\n--\n\n", entry.kind)
}

/// A statement with what ends it, on a line of its own where the last one may be a comment.
pub fn render_statement(statement: &str) -> String {
    let last_line = statement.rsplit('\n').next().unwrap_or_default();
    let end = if last_line.contains("--") { "\n;\n" } else { ";\n" };
    format!("{statement}{end}")
}

/// Drops everything that the TOC makes, in reverse; schema `public`, which every
/// database has, is never dropped.
pub fn render_drops(toc: &Toc, if_exists: bool) -> String {
    let drops = toc.entries.iter().rev().filter_map(|entry| entry.drop.as_ref());
    let drops = drops.filter(|drop| !(drop.command == "DROP SCHEMA" && drop.object == "public"));
    let sql = |drop: &DropStatement| match drop.sql(if_exists) {
        sql if if_exists && drop.may_miss_something() => unless_missing(&sql),
        sql => sql,
    };
    drops.map(|drop| render_statement(&sql(drop))).collect()
}

/// A statement that does nothing where something that it names does not exist.
fn unless_missing(sql: &str) -> String {
    const MISSING: [&str; 5] = [
        "invalid_schema_name",
        "undefined_column",
        "undefined_function",
        "undefined_object",
        "undefined_table",
    ];
    let block = format!("\nBEGIN\n{sql};\nEXCEPTION WHEN {} THEN\n  NULL;\nEND\n", MISSING.join(" OR "));
    format!("DO {}", dollar_quote(&block))
}

/// The line that begins the rows of a table; they end with `\.`.
pub fn copy_header(table: &QualifiedName, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quote_identifier(column)).collect();
    // A table without columns has no list, since the grammar has no empty one.
    let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    format!("COPY {}{list} FROM stdin;\n", table.sql())
}

/// psql's command that goes on in another database of the same server; `None` for a
/// name with a line break, which no such command can hold.
///
/// Source: PostgreSQL src/fe_utils/string_utils.c, `appendPsqlMetaConnect`.
pub fn connect_command(database: &str) -> Option<String> {
    if database.contains(['\n', '\r']) {
        return None;
    }
    if database.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        return Some(format!("\\connect {}\n", quote_identifier(database)));
    }
    // The value of a connection string, inside a quoted argument of psql's.
    let value = database.replace('\\', "\\\\").replace('\'', "\\'");
    let argument = format!("dbname='{value}'").replace('"', "\"\"");
    Some(format!("\\encoding UTF8\n\\connect -reuse-previous=on \"{argument}\"\n"))
}

/// A text without line breaks.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// A statement that fails with a message, on every server, whatever it lacks.
#[must_use]
pub fn failing_statement(message: &str) -> String {
    format!("SELECT CAST({} AS pg_catalog.int4);\n", quote_literal(message))
}

#[cfg(test)]
mod tests {
    use super::{connect_command, copy_header, render_preamble, render_statement};
    use crate::QualifiedName;

    #[test]
    fn databases_are_connected_to() {
        for (name, expected) in [
            ("shop", Some("\\connect shop\n")),
            ("Shop", Some("\\connect \"Shop\"\n")),
            ("a b", Some("\\encoding UTF8\n\\connect -reuse-previous=on \"dbname='a b'\"\n")),
            ("a'b\\\"c", Some("\\encoding UTF8\n\\connect -reuse-previous=on \"dbname='a\\'b\\\\\"\"c'\"\n")),
            ("a\nb", None),
        ] {
            assert_eq!(connect_command(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn statements_end() {
        assert_eq!(render_statement("SELECT 1"), "SELECT 1;\n");
        assert_eq!(render_statement("SELECT 1 -- one"), "SELECT 1 -- one\n;\n");
        assert_eq!(render_statement("SELECT 1 -- one\n+ 1"), "SELECT 1 -- one\n+ 1;\n");
    }

    #[test]
    fn rows_have_a_column_list() {
        let table = QualifiedName::new("public", "Film");
        assert_eq!(copy_header(&table, &["a", "B"]), "COPY public.\"Film\" (a, \"B\") FROM stdin;\n");
        assert_eq!(copy_header(&table, &[]), "COPY public.\"Film\" FROM stdin;\n");
    }

    #[test]
    fn the_encoding_is_that_of_the_rows() {
        assert!(render_preamble("LATIN1", true).starts_with("SET client_encoding = 'UTF8';"));
        assert!(render_preamble("SQL_ASCII", true).starts_with("SET client_encoding = 'SQL_ASCII';"));
        assert!(!render_preamble("UTF8", false).contains("default_tablespace"));
    }
}
