//! Which commands make, drop and give away objects of each kind.

use super::{Token, TokenKind};

/// Words enough to tell commands apart.
const MOST_WORDS: usize = 6;

/// The words that a statement begins with, in capitals; a name in quotes, a literal or a symbol ends them.
pub(super) fn first_words(tokens: &[Token<'_>]) -> Vec<String> {
    let words = tokens.iter().take_while(|token| token.kind == TokenKind::Word);
    words.take(MOST_WORDS).map(|token| token.text.to_ascii_uppercase()).collect()
}

fn is_one_of(words: &[&str], commands: &[&str]) -> bool {
    commands.iter().any(|command| {
        let mut command = command.split(' ');
        let mut words = words.iter();
        command.all(|word| words.next().is_some_and(|found| *found == word))
    })
}

/// Objects that have an owner to be changed.
const OWNED: &[&str] = &[
    "AGGREGATE",
    "COLLATION",
    "CONVERSION",
    "DOMAIN",
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "FUNCTION",
    "LANGUAGE",
    "LARGE OBJECT",
    "MATERIALIZED VIEW",
    "OPERATOR",
    "PROCEDURAL LANGUAGE",
    "PROCEDURE",
    "PUBLICATION",
    "ROUTINE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "TABLE",
    "TEXT SEARCH",
    "TYPE",
    "VIEW",
];

/// Whether a statement may be the one that gives an object its owner.
pub(super) fn sets_owner(words: &[&str]) -> bool {
    words.split_first().is_some_and(|(first, rest)| *first == "ALTER" && is_one_of(rest, OWNED))
}

/// Objects that a statement of `--clean` may drop or alter beside [`OWNED`].
const DROPPED: &[&str] = &[
    "ACCESS METHOD",
    "CAST",
    "EXTENSION",
    "INDEX",
    "POLICY",
    "RULE",
    "TRANSFORM",
    "TRIGGER",
    "USER MAPPING",
    "DEFAULT PRIVILEGES",
];

/// Whether a statement may be one of `--clean`.
pub(super) fn drops(words: &[&str]) -> bool {
    match words.split_first() {
        Some((&("DROP" | "ALTER"), rest)) => is_one_of(rest, OWNED) || is_one_of(rest, DROPPED),
        // what stands in for a definition while a loop of dependencies is dropped
        Some((&"CREATE", rest)) => {
            is_one_of(rest, &["OR REPLACE VIEW", "OR REPLACE FUNCTION", "OR REPLACE PROCEDURE"])
        }
        Some((&"SELECT", rest)) => is_one_of(rest, &["PG_CATALOG"]),
        _ => false,
    }
}

/// Whether a statement may be one that makes an object of a kind.
pub(super) fn creates(kind: &str, words: &[&str]) -> bool {
    is_one_of(words, commands_of(kind)) || kind == "ACL" && sets_owner(words)
}

/// The commands that an entry of a kind has, each as the words that it begins with.
fn commands_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "ACCESS METHOD" => &["CREATE ACCESS METHOD"],
        "ACL" | "DEFAULT ACL" => &[
            "ALTER DEFAULT PRIVILEGES",
            "GRANT",
            "REVOKE",
            // the grantor of what follows, which the importer reads as such
            "SET SESSION AUTHORIZATION",
            "RESET SESSION AUTHORIZATION",
        ],
        "AGGREGATE" => &["CREATE AGGREGATE", "CREATE OR REPLACE AGGREGATE"],
        "BLOB" | "BLOBS" | "SEQUENCE SET" => &["SELECT PG_CATALOG"],
        "CAST" => &["CREATE CAST"],
        "CHECK CONSTRAINT" | "CONSTRAINT" | "FK CONSTRAINT" => {
            &["ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER DOMAIN", "ALTER INDEX"]
        }
        "COLLATION" => &["CREATE COLLATION"],
        "COMMENT" => &["COMMENT ON"],
        "CONVERSION" => &["CREATE CONVERSION", "CREATE DEFAULT CONVERSION"],
        "DEFAULT" => &["ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER VIEW", "ALTER DOMAIN"],
        "DOMAIN" => &["CREATE DOMAIN", "ALTER DOMAIN"],
        "EVENT TRIGGER" => &["CREATE EVENT TRIGGER", "ALTER EVENT TRIGGER"],
        "EXTENSION" => &["CREATE EXTENSION"],
        "FOREIGN DATA WRAPPER" => &["CREATE FOREIGN DATA WRAPPER"],
        "FOREIGN TABLE" => &["CREATE FOREIGN TABLE", "ALTER FOREIGN TABLE"],
        "FUNCTION" | "PROCEDURE" => &[
            "CREATE FUNCTION",
            "CREATE OR REPLACE FUNCTION",
            "CREATE PROCEDURE",
            "CREATE OR REPLACE PROCEDURE",
            "ALTER FUNCTION",
            "ALTER PROCEDURE",
        ],
        "INDEX" => &["CREATE INDEX", "CREATE UNIQUE INDEX", "ALTER INDEX", "ALTER TABLE"],
        "INDEX ATTACH" => &["ALTER INDEX"],
        "MATERIALIZED VIEW" => &["CREATE MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW", "ALTER TABLE"],
        "MATERIALIZED VIEW DATA" => &["REFRESH MATERIALIZED VIEW"],
        "OPERATOR" => &["CREATE OPERATOR", "ALTER OPERATOR"],
        "OPERATOR CLASS" => &["CREATE OPERATOR CLASS"],
        "OPERATOR FAMILY" => &["CREATE OPERATOR FAMILY", "ALTER OPERATOR FAMILY"],
        "POLICY" => &["CREATE POLICY", "DROP POLICY IF EXISTS"],
        "PROCEDURAL LANGUAGE" => &[
            "CREATE PROCEDURAL LANGUAGE",
            "CREATE TRUSTED PROCEDURAL LANGUAGE",
            "CREATE OR REPLACE PROCEDURAL LANGUAGE",
            "CREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE",
        ],
        kind if kind.starts_with("PUBLICATION") => &["CREATE PUBLICATION", "ALTER PUBLICATION"],
        "ROW SECURITY" => &["ALTER TABLE"],
        "RULE" => &["CREATE RULE", "CREATE OR REPLACE VIEW", "ALTER TABLE"],
        "SCHEMA" => &["CREATE SCHEMA"],
        "SECURITY LABEL" => &["SECURITY LABEL"],
        "SEQUENCE" | "SEQUENCE OWNED BY" => {
            &["CREATE SEQUENCE", "CREATE UNLOGGED SEQUENCE", "ALTER SEQUENCE", "ALTER TABLE"]
        }
        "SERVER" => &["CREATE SERVER"],
        "SHELL TYPE" | "TYPE" => &["CREATE TYPE", "ALTER TYPE"],
        "STATISTICS" => &["CREATE STATISTICS", "ALTER STATISTICS"],
        kind if kind.starts_with("SUBSCRIPTION") => &["CREATE SUBSCRIPTION", "ALTER SUBSCRIPTION"],
        "TABLE" => &["CREATE TABLE", "CREATE UNLOGGED TABLE", "ALTER TABLE"],
        "TABLE ATTACH" => &["ALTER TABLE"],
        "TEXT SEARCH CONFIGURATION" => {
            &["CREATE TEXT SEARCH CONFIGURATION", "ALTER TEXT SEARCH CONFIGURATION"]
        }
        "TEXT SEARCH DICTIONARY" => &["CREATE TEXT SEARCH DICTIONARY"],
        "TEXT SEARCH PARSER" => &["CREATE TEXT SEARCH PARSER"],
        "TEXT SEARCH TEMPLATE" => &["CREATE TEXT SEARCH TEMPLATE"],
        "TRANSFORM" => &["CREATE TRANSFORM"],
        "TRIGGER" => &["CREATE TRIGGER", "CREATE CONSTRAINT TRIGGER", "ALTER TABLE", "ALTER TRIGGER"],
        "USER MAPPING" => &["CREATE USER MAPPING"],
        "VIEW" => &["CREATE VIEW", "CREATE OR REPLACE VIEW", "ALTER VIEW"],
        _ => &[],
    }
}
