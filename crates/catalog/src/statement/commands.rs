//! Which commands make, drop and give away objects of each kind.

use super::{Token, TokenKind};
use crate::EntryKind;

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
pub(super) fn creates(kind: EntryKind, words: &[&str]) -> bool {
    is_one_of(words, commands_of(kind)) || kind == EntryKind::Acl && sets_owner(words)
}

/// The commands that an entry of a kind has, each as the words that it begins with.
fn commands_of(kind: EntryKind) -> &'static [&'static str] {
    match kind {
        EntryKind::AccessMethod => &["CREATE ACCESS METHOD"],
        EntryKind::Acl | EntryKind::DefaultAcl => &[
            "ALTER DEFAULT PRIVILEGES",
            "GRANT",
            "REVOKE",
            // the grantor of what follows, which the importer reads as such
            "SET SESSION AUTHORIZATION",
            "RESET SESSION AUTHORIZATION",
        ],
        EntryKind::Aggregate => &["CREATE AGGREGATE", "CREATE OR REPLACE AGGREGATE"],
        EntryKind::LargeObject | EntryKind::LargeObjectData | EntryKind::SequenceSet => {
            &["SELECT PG_CATALOG"]
        }
        EntryKind::Cast => &["CREATE CAST"],
        EntryKind::CheckConstraint | EntryKind::Constraint | EntryKind::ForeignKey => {
            &["ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER DOMAIN", "ALTER INDEX"]
        }
        EntryKind::Collation => &["CREATE COLLATION"],
        EntryKind::Comment => &["COMMENT ON"],
        EntryKind::Conversion => &["CREATE CONVERSION", "CREATE DEFAULT CONVERSION"],
        EntryKind::Default => &["ALTER TABLE", "ALTER FOREIGN TABLE", "ALTER VIEW", "ALTER DOMAIN"],
        EntryKind::Domain => &["CREATE DOMAIN", "ALTER DOMAIN"],
        EntryKind::EventTrigger => &["CREATE EVENT TRIGGER", "ALTER EVENT TRIGGER"],
        EntryKind::Extension => &["CREATE EXTENSION"],
        EntryKind::ForeignDataWrapper => &["CREATE FOREIGN DATA WRAPPER"],
        EntryKind::ForeignTable => &["CREATE FOREIGN TABLE", "ALTER FOREIGN TABLE"],
        EntryKind::Function | EntryKind::Procedure => &[
            "CREATE FUNCTION",
            "CREATE OR REPLACE FUNCTION",
            "CREATE PROCEDURE",
            "CREATE OR REPLACE PROCEDURE",
            "ALTER FUNCTION",
            "ALTER PROCEDURE",
        ],
        EntryKind::Index => &["CREATE INDEX", "CREATE UNIQUE INDEX", "ALTER INDEX", "ALTER TABLE"],
        EntryKind::IndexAttach => &["ALTER INDEX"],
        EntryKind::MaterializedView => {
            &["CREATE MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW", "ALTER TABLE"]
        }
        EntryKind::MaterializedViewData => &["REFRESH MATERIALIZED VIEW"],
        EntryKind::Operator => &["CREATE OPERATOR", "ALTER OPERATOR"],
        EntryKind::OperatorClass => &["CREATE OPERATOR CLASS"],
        EntryKind::OperatorFamily => &["CREATE OPERATOR FAMILY", "ALTER OPERATOR FAMILY"],
        EntryKind::Policy => &["CREATE POLICY", "DROP POLICY IF EXISTS"],
        EntryKind::ProceduralLanguage => &[
            "CREATE PROCEDURAL LANGUAGE",
            "CREATE TRUSTED PROCEDURAL LANGUAGE",
            "CREATE OR REPLACE PROCEDURAL LANGUAGE",
            "CREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE",
        ],
        EntryKind::Publication | EntryKind::PublicationTable | EntryKind::PublicationSchema => {
            &["CREATE PUBLICATION", "ALTER PUBLICATION"]
        }
        EntryKind::RowSecurity => &["ALTER TABLE"],
        EntryKind::Rule => &["CREATE RULE", "CREATE OR REPLACE VIEW", "ALTER TABLE"],
        EntryKind::Schema => &["CREATE SCHEMA"],
        EntryKind::SecurityLabel => &["SECURITY LABEL"],
        EntryKind::Sequence | EntryKind::SequenceOwnedBy => {
            &["CREATE SEQUENCE", "CREATE UNLOGGED SEQUENCE", "ALTER SEQUENCE", "ALTER TABLE"]
        }
        EntryKind::Server => &["CREATE SERVER"],
        EntryKind::ShellType | EntryKind::Type => &["CREATE TYPE", "ALTER TYPE"],
        EntryKind::Statistics => &["CREATE STATISTICS", "ALTER STATISTICS"],
        EntryKind::Subscription => &["CREATE SUBSCRIPTION", "ALTER SUBSCRIPTION"],
        EntryKind::Table => &["CREATE TABLE", "CREATE UNLOGGED TABLE", "ALTER TABLE"],
        EntryKind::TableAttach => &["ALTER TABLE"],
        EntryKind::TextSearchConfiguration => {
            &["CREATE TEXT SEARCH CONFIGURATION", "ALTER TEXT SEARCH CONFIGURATION"]
        }
        EntryKind::TextSearchDictionary => &["CREATE TEXT SEARCH DICTIONARY"],
        EntryKind::TextSearchParser => &["CREATE TEXT SEARCH PARSER"],
        EntryKind::TextSearchTemplate => &["CREATE TEXT SEARCH TEMPLATE"],
        EntryKind::Transform => &["CREATE TRANSFORM"],
        EntryKind::Trigger => {
            &["CREATE TRIGGER", "CREATE CONSTRAINT TRIGGER", "ALTER TABLE", "ALTER TRIGGER"]
        }
        EntryKind::UserMapping => &["CREATE USER MAPPING"],
        EntryKind::View => &["CREATE VIEW", "CREATE OR REPLACE VIEW", "ALTER VIEW"],
        // What these hold is not made by statements of their own.
        EntryKind::Database | EntryKind::TableData => &[],
    }
}
