//! What an entry makes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! entry_kinds {
    ($($name:ident $text:literal $priority:literal $doc:literal)*) => {
        /// What an entry makes, or an object is.
        ///
        /// Printed, stored and sorted by the words of `pg_restore -l`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntryKind {
            $(#[doc = $doc] $name,)*
        }

        impl EntryKind {
            /// All kinds, in the order of their words.
            pub const ALL: &'static [EntryKind] = &[$(EntryKind::$name,)*];

            /// The words of `pg_restore -l`: `TABLE`, `INDEX`, `TABLE DATA`, `FK CONSTRAINT`.
            pub const fn as_str(self) -> &'static str {
                match self { $(EntryKind::$name => $text,)* }
            }

            /// The place among other kinds where no dependency says which comes first, after the
            /// priorities of src/bin/pg_dump/pg_dump_sort.c.
            pub(crate) const fn priority(self) -> u8 {
                match self { $(EntryKind::$name => $priority,)* }
            }
        }
    };
}

entry_kinds! {
    AccessMethod "ACCESS METHOD" 10 "An access method."
    Acl "ACL" 54 "Privileges of an object."
    Aggregate "AGGREGATE" 9 "An aggregate function."
    LargeObject "BLOB" 23 "A large object, without its bytes."
    LargeObjectData "BLOBS" 32 "The bytes of large objects."
    Cast "CAST" 7 "A cast between two types."
    CheckConstraint "CHECK CONSTRAINT" 40 "A CHECK constraint made apart from its table or domain."
    Collation "COLLATION" 3 "A collation."
    Comment "COMMENT" 20 "A comment on an object."
    Constraint "CONSTRAINT" 40 "A primary key, unique, exclusion or NOT NULL constraint."
    Conversion "CONVERSION" 13 "An encoding conversion."
    Database "DATABASE" 20 "What a database has itself: settings, comment, privileges."
    Default "DEFAULT" 22 "A column default or generation expression."
    DefaultAcl "DEFAULT ACL" 52 "Default privileges."
    Domain "DOMAIN" 6 "A domain."
    EventTrigger "EVENT TRIGGER" 55 "An event trigger."
    Extension "EXTENSION" 5 "An extension."
    ForeignKey "FK CONSTRAINT" 46 "A foreign key."
    ForeignDataWrapper "FOREIGN DATA WRAPPER" 18 "A foreign-data wrapper."
    ForeignTable "FOREIGN TABLE" 20 "A foreign table."
    Function "FUNCTION" 8 "A function."
    Index "INDEX" 41 "An index."
    IndexAttach "INDEX ATTACH" 42 "An index that becomes a partition of another."
    MaterializedView "MATERIALIZED VIEW" 20 "A materialized view, without its rows."
    MaterializedViewData "MATERIALIZED VIEW DATA" 56 "The rows of a materialized view, which its query gives."
    Operator "OPERATOR" 11 "An operator."
    OperatorClass "OPERATOR CLASS" 12 "An operator class."
    OperatorFamily "OPERATOR FAMILY" 12 "An operator family."
    Policy "POLICY" 47 "A row-security policy."
    ProceduralLanguage "PROCEDURAL LANGUAGE" 2 "A procedural language."
    Procedure "PROCEDURE" 8 "A procedure."
    Publication "PUBLICATION" 48 "A publication."
    PublicationTable "PUBLICATION TABLE" 49 "A table of a publication."
    PublicationSchema "PUBLICATION TABLES IN SCHEMA" 50 "A schema whose tables a publication has."
    RowSecurity "ROW SECURITY" 47 "Row security switched on for a table."
    Rule "RULE" 44 "A rewrite rule, or the final form of a view."
    Schema "SCHEMA" 1 "A schema."
    SecurityLabel "SECURITY LABEL" 20 "A security label of an object."
    Sequence "SEQUENCE" 20 "A sequence, without its value."
    SequenceOwnedBy "SEQUENCE OWNED BY" 20 "A sequence that becomes a column's."
    SequenceSet "SEQUENCE SET" 31 "The value of a sequence."
    Server "SERVER" 19 "A foreign server."
    ShellType "SHELL TYPE" 6 "A type that is only declared."
    Statistics "STATISTICS" 43 "Extended statistics."
    Subscription "SUBSCRIPTION" 51 "A subscription."
    Table "TABLE" 20 "A table, without its rows."
    TableAttach "TABLE ATTACH" 21 "A table that becomes a partition of another."
    TableData "TABLE DATA" 30 "The rows of a table."
    TextSearchConfiguration "TEXT SEARCH CONFIGURATION" 17 "A text search configuration."
    TextSearchDictionary "TEXT SEARCH DICTIONARY" 16 "A text search dictionary."
    TextSearchParser "TEXT SEARCH PARSER" 14 "A text search parser."
    TextSearchTemplate "TEXT SEARCH TEMPLATE" 15 "A text search template."
    Transform "TRANSFORM" 4 "A transform of a type for a language."
    Trigger "TRIGGER" 45 "A trigger."
    Type "TYPE" 6 "An enum, composite, range or base type."
    UserMapping "USER MAPPING" 19 "A user mapping."
    View "VIEW" 20 "A view."
}

impl EntryKind {
    /// Whether the entry fills something with rows or bytes, rather than making it.
    pub const fn holds_rows(self) -> bool {
        matches!(self, EntryKind::TableData | EntryKind::LargeObjectData | EntryKind::MaterializedViewData)
    }

    /// Whether it makes a relation: what holds rows or is read, so that what is on it locks it.
    pub const fn is_relation(self) -> bool {
        use EntryKind::{ForeignTable, MaterializedView, Sequence, Table, View};
        matches!(self, Table | ForeignTable | View | MaterializedView | Sequence)
    }

    /// Whether making it may call functions that its statements name, or the domains of its literals: it reads rows with
    /// them, or the server plans or checks their expressions. Those of checks, generated columns, indexes and keys,
    /// extended statistics, partitions and materialized views.
    pub const fn may_call_functions(self) -> bool {
        use EntryKind::{
            CheckConstraint, Constraint, Default, Domain, ForeignTable, Index, MaterializedView,
            MaterializedViewData, Statistics, Table, TableAttach,
        };
        matches!(self, Index | Constraint | CheckConstraint | MaterializedViewData)
            || matches!(
                self,
                Table | ForeignTable | TableAttach | Domain | Default | Statistics | MaterializedView
            )
    }

    /// Splits the address of an object, such as `VIEW public.v` or `LARGE OBJECT 7`, into its kind and its name.
    pub(crate) fn of_address(address: &str) -> Option<(EntryKind, &str)> {
        // Statements call these by words of their own.
        let others = [("LANGUAGE", EntryKind::ProceduralLanguage), ("LARGE OBJECT", EntryKind::LargeObject)];
        let words = others.into_iter().chain(Self::ALL.iter().map(|kind| (kind.as_str(), *kind)));
        let fitting = words.filter_map(|(word, kind)| {
            Some((word.len(), kind, address.strip_prefix(word)?.strip_prefix(' ')?))
        });
        fitting.max_by_key(|(length, ..)| *length).map(|(_, kind, name)| (kind, name))
    }

    /// Whether the entry's statements are `GRANT`, `REVOKE` or `ALTER DEFAULT PRIVILEGES`.
    pub const fn is_privilege(self) -> bool {
        matches!(self, EntryKind::Acl | EntryKind::DefaultAcl)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Words that name no kind of entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a kind of object")]
pub struct UnknownKind(String);

impl FromStr for EntryKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.binary_search_by(|kind| kind.as_str().cmp(text));
        found.map(|place| Self::ALL[place]).map_err(|_| UnknownKind(text.to_owned()))
    }
}

impl Serialize for EntryKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EntryKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_words() {
        assert!(EntryKind::ALL.is_sorted_by_key(|kind| kind.as_str()));
        for kind in EntryKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            let stored = serde_json::to_string(kind).unwrap();
            assert_eq!(stored, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<EntryKind>(&stored).unwrap(), *kind);
        }
        assert_eq!(
            "TABLES".parse::<EntryKind>().unwrap_err().to_string(),
            "\"TABLES\" is not a kind of object"
        );
    }

    #[test]
    fn what_others_need_comes_first() {
        let order =
            [EntryKind::Schema, EntryKind::Type, EntryKind::Table, EntryKind::TableData, EntryKind::Index];
        assert!(order.is_sorted_by_key(|kind| kind.priority()));
    }
}
