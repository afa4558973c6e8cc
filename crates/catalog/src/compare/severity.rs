//! How much depends on a difference: decided by the kind of the object and the property, never by values.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::Difference;
use crate::EntryKind;

/// How much depends on a difference. Every difference counts, whatever its severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// What the database holds, accepts, computes or lets others see may be another.
    Critical,
    /// It holds and answers the same; who may do what, how fast, where it lies, or what follows it differs.
    Major,
    /// No query and no command works otherwise.
    Minor,
}

impl Severity {
    /// All, the gravest first.
    pub const ALL: [Severity; 3] = [Severity::Critical, Severity::Major, Severity::Minor];

    /// As reports have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Major => "major",
            Severity::Minor => "minor",
        }
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Difference {
    /// How much depends on it; of what nobody could compare, how much would.
    pub fn severity(&self) -> Severity {
        let kind = self.identity().kind;
        match self.path() {
            None => of_object(kind),
            Some(path) => of_property(kind, field(path)),
        }
    }
}

/// The field of a path, such as `default` of `body.columns."a".default`; empty where the path is that of a whole part.
/// Places in lists are no fields, and names in quotes are none either.
fn field(path: &str) -> &str {
    // settings have names of their own
    if path.starts_with("settings.") {
        return "";
    }
    let fields = path.rsplit('.').find(|part| part.parse::<usize>().is_err());
    fields.filter(|field| !field.ends_with(['"', ')'])).unwrap_or_default()
}

/// Of an object that one side alone has. Whether an index is unique its identity does not tell, so that each may guard
/// rows.
fn of_object(kind: EntryKind) -> Severity {
    match kind {
        EntryKind::Comment => Severity::Minor,
        EntryKind::Acl
        | EntryKind::DefaultAcl
        | EntryKind::IndexAttach
        | EntryKind::Publication
        | EntryKind::PublicationTable
        | EntryKind::PublicationSchema
        | EntryKind::SecurityLabel
        | EntryKind::Statistics
        | EntryKind::Subscription => Severity::Major,
        _ => Severity::Critical,
    }
}

fn of_property(kind: EntryKind, field: &str) -> Severity {
    match field {
        "comment" | "not_null_comment" => Severity::Minor,
        "owner"
        | "acl"
        | "granted"
        | "revoked"
        | "security_labels"
        | "tablespace"
        | "access_method"
        | "replica_identity"
        | "clustered"
        | "statistics"
        | "statistics_target"
        | "column_statistics"
        | "toast_options"
        | "storage"
        | "compression"
        | "depends_on_extensions"
        | "connection_limit"
        | "is_template" => Severity::Major,
        // of how a planner counts, not of what it counts
        "cost" | "rows" | "parallel" if matches!(kind, EntryKind::Function | EntryKind::Procedure) => {
            Severity::Major
        }
        // storage parameters; those of views and of foreign objects are more
        "options" if is_stored(kind) => Severity::Major,
        "version" if kind == EntryKind::Extension => Severity::Major,
        "cache" if kind == EntryKind::Sequence => Severity::Major,
        _ => of_object(kind),
    }
}

/// Whether options of such an object are storage parameters.
fn is_stored(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Table | EntryKind::MaterializedView | EntryKind::Index | EntryKind::Constraint)
}

#[cfg(test)]
mod tests {
    use super::Severity::{Critical, Major, Minor};
    use super::{Severity, field};
    use crate::{Difference, EntryKind, Identity};

    fn identity(kind: EntryKind) -> Identity {
        Identity { kind, schema: Some("s".into()), name: "o".into(), discriminator: None }
    }

    fn of(kind: EntryKind, path: &str) -> Severity {
        Difference::changed(identity(kind), path.into()).severity()
    }

    #[test]
    fn kind_and_property_decide() {
        use EntryKind::*;
        for (kind, path, expected) in [
            (Table, "body.columns", Critical),
            (Table, "body.columns.\"a\"", Critical),
            (Table, "body.columns.\"a\".type_name", Critical),
            (Table, "body.columns.\"a\".default", Critical),
            (Table, "body.columns.\"a\".acl", Major),
            (Table, "body.columns.\"a\".statistics_target", Major),
            (Table, "body.columns.\"a\".comment", Minor),
            (Table, "body.row_security", Critical),
            (Table, "body.unlogged", Critical),
            (Table, "body.options.0", Major),
            (Table, "owner", Major),
            (Table, "comment", Minor),
            (ForeignTable, "body.options.0", Critical),
            (View, "body.options", Critical),
            (View, "body.definition", Critical),
            (Index, "body.definition", Critical),
            (Index, "body.valid", Critical),
            (Index, "body.clustered", Major),
            (Constraint, "body.validated_later", Critical),
            (Trigger, "body.firing", Critical),
            (Function, "body.security_definer", Critical),
            (Function, "body.cost", Major),
            (Aggregate, "body.parallel", Critical),
            (Sequence, "body.increment", Critical),
            (Sequence, "body.cache", Major),
            (Extension, "body.version", Major),
            (Server, "body.version", Critical),
            (Policy, "body.using", Critical),
            (Publication, "body.operations", Major),
            (DefaultAcl, "body.granted", Major),
            (Database, "encoding", Critical),
            (Database, "settings.search_path", Critical),
            (Database, "connection_limit", Major),
        ] {
            assert_eq!(of(kind, path), expected, "{kind} {path}");
        }
    }

    #[test]
    fn names_are_no_properties() {
        assert_eq!(field("body.columns.\"a.comment\""), "");
        assert_eq!(field("body.columns.\"comment\""), "");
        assert_eq!(field("body.columns.\"owner\".default"), "default");
        assert_eq!(field("TableConstraint(\"s.comment\")"), "");
        assert_eq!(field("TableConstraint(\"c\").comment"), "comment");
        assert_eq!(of(EntryKind::Table, "body.columns.\"comment\""), Critical);
        assert_eq!(of(EntryKind::Database, "settings.comment"), Critical);
    }

    #[test]
    fn what_one_side_alone_has_is_judged_by_its_kind() {
        let missing = |kind| Difference::Missing { identity: identity(kind) }.severity();
        let extra = |kind| Difference::Extra { identity: identity(kind) }.severity();
        for (kind, expected) in [
            (EntryKind::ForeignKey, Critical),
            (EntryKind::Index, Critical),
            (EntryKind::Statistics, Major),
            (EntryKind::Comment, Minor),
        ] {
            assert_eq!((missing(kind), extra(kind)), (expected, expected), "{kind}");
        }
    }
}
