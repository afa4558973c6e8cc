//! A column default or generation expression.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, QualifiedName, SharedText, quote_identifier};

/// A column default or generation expression: one row of `pg_attrdef`. Its
/// object's name is the column's.
///
/// A default that needs nothing but its own table and types stands in `CREATE
/// TABLE`; then this renders nothing, and what it depends on, the table depends
/// on. One that needs a sequence, a function or anything else of the user's is
/// set by a statement of its own once both the table and that thing exist. A
/// generation expression has no such syntax and is always part of its table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDefault {
    /// The table or view.
    pub table: QualifiedName,
    /// Whether the table is a foreign table.
    pub foreign: bool,
    /// The column.
    pub column: SharedText,
    /// As `pg_get_expr` prints it.
    pub expression: SharedText,
    /// Whether it is set by a statement of its own.
    pub separate: bool,
}

impl Render for ColumnDefault {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        if !self.separate {
            return Vec::new();
        }
        let command = if self.foreign { "ALTER FOREIGN TABLE" } else { "ALTER TABLE" };
        let table = &self.table;
        let column = quote_identifier(&self.column);
        let set = format!("{command} ONLY {table} ALTER COLUMN {column} SET DEFAULT {}", self.expression);
        let drop = DropStatement {
            command: command.to_owned(),
            object: format!("{table} ALTER COLUMN {column} DROP DEFAULT"),
        };
        vec![Draft { drop: Some(drop), ..Draft::new(Section::PreData, EntryKind::Default, set) }]
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::ColumnDefault;
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    #[track_caller]
    fn check(separate: bool, foreign: bool, expected: &str) {
        let body = ColumnDefault {
            table: QualifiedName::new("s", "t"),
            foreign,
            column: "Id".into(),
            expression: "nextval('s.q'::regclass)".into(),
            separate,
        };
        sample::check(true, Body::from(body), expected);
    }

    #[test]
    fn only_a_separate_default_has_a_statement() {
        check(false, false, "");
        check(
            true,
            false,
            "ALTER TABLE ONLY s.t ALTER COLUMN \"Id\" SET DEFAULT nextval('s.q'::regclass);\n",
        );
        check(
            true,
            true,
            "ALTER FOREIGN TABLE ONLY s.t ALTER COLUMN \"Id\" SET DEFAULT nextval('s.q'::regclass);\n",
        );
    }
}
