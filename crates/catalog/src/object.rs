//! Objects and how they are identified.

use serde::{Deserialize, Serialize};

use crate::acl::Acl;
use crate::kinds::Body;
use crate::{EntryKind, QualifiedName, SharedText, quote_identifier};

/// The system catalog an object lives in: the `classid` of `pg_depend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Class(pub u32);

macro_rules! classes {
    ($($name:ident = $oid:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "each is named as its system catalog; OIDs from src/include/catalog/*.h")]
        impl Class {
            $(pub const $name: Class = Class($oid);)*
            /// The catalog's name in upper case, such as `PG_CLASS`, or `None` for a class unknown here.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($oid => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

classes! {
    PG_TYPE = 1247, PG_ATTRIBUTE = 1249, PG_PROC = 1255, PG_CLASS = 1259, PG_AUTHID = 1260, PG_DATABASE = 1262,
    PG_FOREIGN_SERVER = 1417, PG_USER_MAPPING = 1418, PG_FOREIGN_DATA_WRAPPER = 2328, PG_AM = 2601,
    PG_ATTRDEF = 2604, PG_CAST = 2605, PG_CONSTRAINT = 2606, PG_CONVERSION = 2607, PG_INDEX = 2610,
    PG_INHERITS = 2611, PG_LANGUAGE = 2612, PG_LARGEOBJECT = 2613, PG_NAMESPACE = 2615, PG_OPCLASS = 2616,
    PG_OPERATOR = 2617, PG_REWRITE = 2618, PG_TRIGGER = 2620, PG_OPFAMILY = 2753, PG_DEFAULT_ACL = 826,
    PG_LARGEOBJECT_METADATA = 2995, PG_EXTENSION = 3079, PG_FOREIGN_TABLE = 3118, PG_POLICY = 3256,
    PG_STATISTIC_EXT = 3381, PG_COLLATION = 3456, PG_EVENT_TRIGGER = 3466, PG_TRANSFORM = 3576,
    PG_TS_CONFIG = 3602, PG_TS_DICT = 3600, PG_TS_PARSER = 3601, PG_TS_TEMPLATE = 3764,
    PG_PUBLICATION = 6104, PG_PUBLICATION_REL = 6106, PG_PUBLICATION_NAMESPACE = 6237, PG_SUBSCRIPTION = 6100,
    PG_AMOP = 2602, PG_AMPROC = 2603, PG_TABLESPACE = 1213,
}

/// An object's address on the server it was read from. OIDs mean nothing on
/// another server: they tie the parts of one catalog together and are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// The system catalog.
    pub class: Class,
    /// The row in it.
    pub oid: u32,
}

impl ObjectId {
    /// Joins a class and an OID.
    pub const fn new(class: Class, oid: u32) -> Self {
        ObjectId { class, oid }
    }
}

/// One object of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its address on the server it was read from.
    pub id: ObjectId,
    /// Its schema, for kinds that live in one. A constraint, index, trigger,
    /// rule, policy or default has its table's schema.
    pub schema: Option<SharedText>,
    /// Its name. Kinds whose names are not unique in a schema (functions,
    /// triggers, casts) tell themselves apart by [`Body::discriminator`].
    pub name: String,
    /// The role that owns it, for kinds that have owners.
    pub owner: Option<SharedText>,
    /// Its privileges; `None` where the catalog holds NULL, which means the
    /// kind's built-in default.
    pub acl: Option<Acl>,
    /// `COMMENT ON` text.
    pub comment: Option<String>,
    /// Security labels: provider, label.
    pub security_labels: Vec<(String, String)>,
    /// The extension it is a member of. A member is created by its extension
    /// and carried only where it differs from what the extension made.
    pub extension: Option<SharedText>,
    /// What is particular to its kind.
    pub body: Body,
}

impl Object {
    /// `schema.name`, quoted, or the quoted name alone for kinds without schema.
    pub fn sql_name(&self) -> String {
        match &self.schema {
            Some(schema) => QualifiedName::new(schema, &self.name).sql(),
            None => quote_identifier(&self.name),
        }
    }

    /// What makes it the same object in another database: kind, schema, name
    /// and, where those are not unique, the discriminator.
    pub fn identity(&self) -> Identity {
        Identity {
            kind: self.body.kind(),
            schema: self.schema.as_ref().map(String::from),
            name: self.name.clone(),
            discriminator: self.body.discriminator(),
        }
    }
}

/// What makes an object the same object in two databases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `TABLE`, `FUNCTION`, ... as `pg_dump` names it in its TOC.
    pub kind: EntryKind,
    /// The schema, for kinds that live in one.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// What else is needed: argument types, the table of a trigger.
    pub discriminator: Option<String>,
}

/// Prints as `pg_restore -l` and lists of what was skipped name it.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote_identifier(schema))?;
        }
        match (&self.discriminator, self.kind) {
            (Some(table), kind) if is_part_of_a_table(kind) => {
                write!(f, "{} {}", quote_identifier(table), quote_identifier(&self.name))
            }
            (Some(arguments), EntryKind::Operator) => write!(f, "{}{arguments}", self.name),
            (Some(arguments), _) if arguments.starts_with('(') => {
                write!(f, "{}{arguments}", quote_identifier(&self.name))
            }
            (Some(more), _) => write!(f, "{} {more}", quote_identifier(&self.name)),
            (None, _) => f.write_str(&quote_identifier(&self.name)),
        }
    }
}

/// Kinds that a table tells apart, which the words of `pg_restore -l` name first: `CONSTRAINT public.film film_pkey`.
const fn is_part_of_a_table(kind: EntryKind) -> bool {
    use EntryKind::{CheckConstraint, Constraint, Default, ForeignKey, Policy, Rule, Trigger};
    matches!(kind, Constraint | CheckConstraint | ForeignKey | Default | Trigger | Rule | Policy)
}

#[cfg(test)]
mod tests {
    use super::Object;
    use crate::{Draft, TocEntry};

    /// Ten objects and six entries for each of a hundred thousand tables.
    #[test]
    fn what_there_are_very_many_of_is_small() {
        assert!(size_of::<Object>() <= 176, "an object has {} bytes", size_of::<Object>());
        assert!(size_of::<TocEntry>() <= 216, "an entry has {} bytes", size_of::<TocEntry>());
        assert!(size_of::<Draft>() <= 176, "a draft has {} bytes", size_of::<Draft>());
    }
}
