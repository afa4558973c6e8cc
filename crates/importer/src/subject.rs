//! What was skipped, or failed: of which object, and which part of it.

use std::fmt;

use dbhaul_catalog::{EntryKind, ObjectId, QualifiedName, SharedText, TocEntry};
use serde::{Deserialize, Serialize};

use crate::Cause;
use crate::plan::touched_tables::describe_named;

/// What was skipped, or failed. Prints as `pg_restore -l` names it: `ACL TABLE public.film`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// What an entry of the table of contents makes, says or fills.
    Entry(EntrySubject),
    /// `ANALYZE` of a table.
    Analyze {
        /// The entry that fills the table, or that makes it where it has no rows of its own.
        entry: u32,
        /// The table.
        table: QualifiedName,
    },
    /// Planner statistics that were to be copied.
    Statistics {
        /// Of which relation; or in words, of which relations.
        of: String,
    },
    /// A step of an entry that the table of contents does not have.
    NoEntry {
        /// The entry's id.
        id: u32,
    },
}

/// An entry of the table of contents, without its statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySubject {
    /// Its id.
    pub id: u32,
    /// What it is.
    pub kind: EntryKind,
    /// Its schema, unquoted.
    pub schema: Option<SharedText>,
    /// The rest of its name.
    pub name: String,
    /// The object that it makes, is about or fills; `None` for one of the server's own, and for large objects' bytes.
    pub object: Option<ObjectId>,
}

impl Subject {
    /// That of an entry.
    pub fn of(entry: &TocEntry) -> Self {
        Subject::Entry(EntrySubject {
            id: entry.id,
            kind: entry.kind,
            schema: entry.schema.clone(),
            name: entry.name.clone(),
            object: entry.object,
        })
    }

    /// The entry, if it is what one makes, says or fills.
    pub fn entry(&self) -> Option<&EntrySubject> {
        match self {
            Subject::Entry(entry) => Some(entry),
            Subject::Analyze { .. } | Subject::Statistics { .. } | Subject::NoEntry { .. } => None,
        }
    }

    /// By which it stands among others.
    pub(crate) fn place(&self) -> (bool, u32) {
        match self {
            Subject::Entry(entry) => (false, entry.id),
            Subject::Analyze { entry: id, .. } | Subject::NoEntry { id } => (false, *id),
            Subject::Statistics { .. } => (true, 0),
        }
    }
}

impl EntrySubject {
    /// The relation whose rows or position it sets; `None` for any other entry.
    pub fn filled(&self) -> Option<QualifiedName> {
        let is_filled = matches!(Part::of(self.kind), Part::Rows | Part::Position);
        self.schema.as_ref().filter(|_| is_filled).map(|schema| QualifiedName::new(schema, &self.name))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Entry(EntrySubject { kind, schema, name, .. }) => {
                f.write_str(&describe_named(*kind, schema.as_deref(), name))
            }
            Subject::Analyze { table, .. } => write!(f, "ANALYZE {table}"),
            Subject::Statistics { of } => write!(f, "STATISTICS DATA {of}"),
            Subject::NoEntry { id } => write!(f, "TOC entry {id}"),
        }
    }
}

/// Which part of an object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The object itself.
    Definition,
    /// Something that is added to an object that is there: that it is attached, owned by a column, published, has row
    /// security.
    Addition,
    /// Whether a constraint that is there has been validated.
    Validation,
    /// Its owner.
    Owner,
    /// Privileges on it, or on one of its columns.
    Privileges,
    /// The comment on it, or on something in it.
    Comment,
    /// A security label of it, or of something in it.
    SecurityLabel,
    /// Its rows or bytes.
    Rows,
    /// The position of a sequence.
    Position,
    /// Whether a materialized view is filled.
    Filling,
    /// Planner statistics.
    Statistics,
}

impl Part {
    /// What an entry of a kind is of its object.
    pub const fn of(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Acl => Part::Privileges,
            EntryKind::Comment => Part::Comment,
            EntryKind::SecurityLabel => Part::SecurityLabel,
            EntryKind::TableData | EntryKind::LargeObjectData => Part::Rows,
            EntryKind::SequenceSet => Part::Position,
            EntryKind::MaterializedViewData => Part::Filling,
            EntryKind::IndexAttach
            | EntryKind::TableAttach
            | EntryKind::SequenceOwnedBy
            | EntryKind::RowSecurity
            | EntryKind::PublicationTable
            | EntryKind::PublicationSchema => Part::Addition,
            _ => Part::Definition,
        }
    }
}

/// A part of an entry that is left out, or some of the statements that make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) part: Part,
    /// The statements, where it is some of them; without their values, which may be passwords.
    pub(crate) statements: Vec<String>,
    pub(crate) cause: Cause,
}

impl LeftOut {
    /// A part as a whole.
    pub(crate) fn whole(part: Part, cause: Cause) -> Self {
        LeftOut { part, statements: Vec::new(), cause }
    }
}

/// As the ledger has it.
#[derive(Serialize, Deserialize)]
struct Recorded {
    part: Part,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    statements: Vec<String>,
    reason: String,
}

/// What is left out of an entry, as the ledger records it; nothing if nothing is.
pub(crate) fn recorded(left_out: &[LeftOut]) -> Option<String> {
    let record = |LeftOut { part, statements, cause }: &LeftOut| Recorded {
        part: *part,
        statements: statements.clone(),
        reason: cause.to_string(),
    };
    let records: Vec<Recorded> = left_out.iter().map(record).collect();
    // lists of texts can always be written
    (!records.is_empty()).then(|| serde_json::to_string(&records).unwrap_or_default())
}

/// What a ledger says that is left out of an entry of a kind. What cannot be read is taken for all of it: nobody
/// knows what it was.
pub(crate) fn of_record(text: &str, kind: EntryKind) -> Vec<LeftOut> {
    let read = |Recorded { part, statements, reason }| LeftOut {
        part,
        statements,
        cause: Cause::Recorded { reason },
    };
    match serde_json::from_str::<Vec<Recorded>>(text) {
        Ok(records) => records.into_iter().map(read).collect(),
        Err(_) => vec![LeftOut::whole(Part::of(kind), Cause::Recorded { reason: text.to_owned() })],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ledger_records_keeps_its_parts() {
        let cause = || Cause::MissingRole { role: "reader".to_owned() };
        let left_out = [
            LeftOut::whole(Part::Owner, cause()),
            LeftOut {
                part: Part::Privileges,
                statements: vec!["GRANT SELECT ON TABLE t TO reader".to_owned()],
                cause: cause(),
            },
        ];
        let text = recorded(&left_out).unwrap();
        let found = of_record(&text, EntryKind::Table);
        let parts = |list: &[LeftOut]| -> Vec<(Part, Vec<String>, String)> {
            let named = |it: &LeftOut| (it.part, it.statements.clone(), it.cause.to_string());
            list.iter().map(named).collect()
        };
        assert_eq!(parts(&found), parts(&left_out));
        assert_eq!(recorded(&[]), None);
        let foreign = of_record("written by hand", EntryKind::Acl);
        assert_eq!(parts(&foreign), [(Part::Privileges, Vec::new(), "written by hand".to_owned())]);
    }
}
