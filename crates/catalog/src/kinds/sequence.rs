//! A sequence.

use serde::{Deserialize, Serialize};

use super::{IdentityKind, UndeclaredColumn};
use crate::render::{Draft, Part, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

/// A sequence.
///
/// One that belongs to an identity column is created by making the column an
/// identity column, with the sequence's name and options, as `pg_dump` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// `smallint`, `integer` or `bigint`.
    pub type_name: String,
    /// `START WITH`.
    pub start: i64,
    /// `INCREMENT BY`.
    pub increment: i64,
    /// `MINVALUE`.
    pub min: i64,
    /// `MAXVALUE`.
    pub max: i64,
    /// `CACHE`.
    pub cache: i64,
    /// `CYCLE`.
    pub cycle: bool,
    /// `UNLOGGED`; since 15.
    pub unlogged: bool,
    /// The column it goes away with.
    pub owned_by: Option<SequenceOwner>,
    /// Privileges on its columns, such as `last_value`, none of which a statement declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_columns: Vec<UndeclaredColumn>,
}

/// The column a sequence belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceOwner {
    /// The table, in the sequence's schema unless an identity column's.
    pub table: QualifiedName,
    /// The column.
    pub column: String,
    /// What the column is, if an identity column.
    pub identity: Option<IdentityKind>,
    /// The column's type, if it is an identity column and its sequence has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_type: Option<String>,
    /// Whether the table is `UNLOGGED`; an identity sequence says so of itself only where it differs.
    pub table_unlogged: bool,
}

impl Sequence {
    /// The options, one a line, as `dumpSequence` writes them.
    fn options(&self) -> String {
        let (default_min, default_max) = self.default_bounds();
        let bound = |word: &str, value: i64, default: i64| {
            if value == default { format!("NO {word}") } else { format!("{word} {value}") }
        };
        let mut lines = vec![
            format!("START WITH {}", self.start),
            format!("INCREMENT BY {}", self.increment),
            bound("MINVALUE", self.min, default_min),
            bound("MAXVALUE", self.max, default_max),
            format!("CACHE {}", self.cache),
        ];
        if self.cycle {
            lines.push("CYCLE".to_owned());
        }
        lines.join("\n    ")
    }

    /// The bounds a sequence of this type and direction has where none are said.
    fn default_bounds(&self) -> (i64, i64) {
        let (lowest, highest) = match self.type_name.as_str() {
            "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
            "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        if self.increment >= 0 { (1, highest) } else { (lowest, -1) }
    }

    fn identity_draft(
        &self,
        name: &str,
        owner: &SequenceOwner,
        identity: IdentityKind,
        target: &Target,
    ) -> Draft {
        let persistence = match (self.unlogged, owner.table_unlogged) {
            // Before 15 all sequences are logged, and there is no word for it.
            _ if target.version.major() < 15 => "",
            (true, false) => "\n    UNLOGGED",
            (false, true) => "\n    LOGGED",
            _ => "",
        };
        let identity = |options: &str| {
            format!(
                "ALTER TABLE {} ALTER COLUMN {} ADD GENERATED {} AS IDENTITY (\n    SEQUENCE NAME {name}{persistence}{options}\n)",
                owner.table,
                quote_identifier(&owner.column),
                identity.sql(),
            )
        };
        let add = match &owner.column_type {
            None => identity(&format!("\n    {}", self.options())),
            Some(_) => identity(""),
        };
        let mut draft = Draft::new(Section::PreData, EntryKind::Sequence, add);
        if owner.column_type.is_some() {
            draft.create.push(self.retype(name));
        }
        Draft { address: Some(format!("SEQUENCE {name}")), ..draft }
    }

    /// Gives the sequence of an identity column its own type, which that of the column is at first.
    fn retype(&self, name: &str) -> String {
        let cycle = if self.cycle { "CYCLE" } else { "NO CYCLE" };
        format!(
            "ALTER SEQUENCE {name}\n    AS {}\n    START WITH {}\n    INCREMENT BY {}\n    MINVALUE {}\n    MAXVALUE {}\n    CACHE {}\n    {cycle}\n    RESTART",
            self.type_name, self.start, self.increment, self.min, self.max, self.cache
        )
    }

    fn plain_drafts(&self, name: &str) -> Vec<Draft> {
        let unlogged = if self.unlogged { "UNLOGGED " } else { "" };
        let type_name =
            if self.type_name == "bigint" { String::new() } else { format!("\n    AS {}", self.type_name) };
        let create = format!("CREATE {unlogged}SEQUENCE {name}{type_name}\n    {}", self.options());
        let mut drafts = vec![Draft::owned(Section::PreData, EntryKind::Sequence, name, create)];
        if let Some(owner) = &self.owned_by {
            let column = quote_identifier(&owner.column);
            let owned_by = format!("ALTER SEQUENCE {name} OWNED BY {}.{column}", owner.table);
            drafts.push(Draft {
                part: Part::After,
                ..Draft::new(Section::PreData, EntryKind::SequenceOwnedBy, owned_by)
            });
        }
        drafts
    }
}

impl Render for Sequence {
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        match self.owned_by.as_ref().and_then(|owner| Some((owner, owner.identity?))) {
            Some((owner, identity)) => vec![self.identity_draft(&name, owner, identity, target)],
            None => self.plain_drafts(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sequence, SequenceOwner};
    use crate::QualifiedName;
    use crate::kinds::{Body, IdentityKind, sample};

    fn sequence() -> Sequence {
        Sequence {
            type_name: "bigint".to_owned(),
            start: 1,
            increment: 1,
            min: 1,
            max: i64::MAX,
            cache: 1,
            cycle: false,
            unlogged: false,
            owned_by: None,
            undeclared_columns: Vec::new(),
        }
    }

    fn owner(identity: Option<IdentityKind>) -> Option<SequenceOwner> {
        let table = QualifiedName::new("s", "t");
        Some(SequenceOwner { table, column: "Id".to_owned(), identity, column_type: None, table_unlogged: false })
    }

    #[track_caller]
    fn check(sequence: Sequence, expected: &str) {
        sample::check(true, Body::from(sequence), expected);
    }

    #[test]
    fn defaults_are_not_spelled_out() {
        check(
            sequence(),
            "CREATE SEQUENCE s.n\n    START WITH 1\n    INCREMENT BY 1\n    NO MINVALUE\n    NO MAXVALUE\n    CACHE 1;\n",
        );
    }

    #[test]
    fn every_option_of_an_owned_sequence() {
        check(
            Sequence {
                type_name: "integer".to_owned(),
                start: -5,
                increment: -1,
                min: -100,
                max: -1,
                cache: 7,
                cycle: true,
                unlogged: true,
                owned_by: owner(None),
                undeclared_columns: Vec::new(),
            },
            "CREATE UNLOGGED SEQUENCE s.n\n    AS integer\n    START WITH -5\n    INCREMENT BY -1\n    MINVALUE -100\n    NO MAXVALUE\n    CACHE 7\n    CYCLE;\n\
             ALTER SEQUENCE s.n OWNED BY s.t.\"Id\";\n",
        );
    }

    #[test]
    fn an_identity_columns_sequence_makes_the_identity() {
        check(
            Sequence {
                type_name: "smallint".to_owned(),
                max: i64::from(i16::MAX),
                unlogged: true,
                owned_by: owner(Some(IdentityKind::ByDefault)),
                ..sequence()
            },
            "ALTER TABLE s.t ALTER COLUMN \"Id\" ADD GENERATED BY DEFAULT AS IDENTITY (\n    SEQUENCE NAME s.n\n    UNLOGGED\n    START WITH 1\n    INCREMENT BY 1\n    NO MINVALUE\n    NO MAXVALUE\n    CACHE 1\n);\n",
        );
    }

    /// As `CREATE TABLE ... (LIKE ... INCLUDING IDENTITY)` makes it, whatever the column's type.
    #[test]
    fn the_sequence_of_an_identity_column_keeps_a_type_of_its_own() {
        let owner = owner(Some(IdentityKind::Always))
            .map(|owner| SequenceOwner { column_type: Some("integer".to_owned()), ..owner });
        check(
            Sequence { owned_by: owner, ..sequence() },
            "ALTER TABLE s.t ALTER COLUMN \"Id\" ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME s.n\n);\n\
             ALTER SEQUENCE s.n\n    AS bigint\n    START WITH 1\n    INCREMENT BY 1\n    MINVALUE 1\n    MAXVALUE 9223372036854775807\n    CACHE 1\n    NO CYCLE\n    RESTART;\n",
        );
    }
}
