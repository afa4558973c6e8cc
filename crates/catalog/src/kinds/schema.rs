//! A schema.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Part, Render, Target};
use crate::toc::{DropStatement, Section};

/// A schema: nothing but its name, owner and privileges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {}

/// The owner that `public` has in a new database since version 15.
const DEFAULT_PUBLIC_OWNER: &str = "pg_database_owner";

impl Render for Schema {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        if object.name == "public" {
            return public_schema(object);
        }
        vec![Draft::owned(Section::PreData, EntryKind::Schema, &name, format!("CREATE SCHEMA {name}"))]
    }
}

/// `public` exists in every new database and is neither created nor dropped:
/// its owner, privileges and comment are carried as data
/// (PostgreSQL src/bin/pg_dump/pg_dump.c, selectDumpableNamespace).
fn public_schema(object: &Object) -> Vec<Draft> {
    let main = Draft {
        section: Section::PreData,
        kind: EntryKind::Schema,
        create: Vec::new(),
        address: Some("SCHEMA public".to_owned()),
        has_owner: object.owner.as_deref() != Some(DEFAULT_PUBLIC_OWNER),
        drop: None::<DropStatement>,
        requires: Vec::new(),
        part: Part::Main,
        adoption: None,
    };
    let mut drafts = vec![main];
    if object.comment.is_none() {
        // A new database's `public` has a comment; the source's was taken away.
        let sql = "COMMENT ON SCHEMA public IS NULL";
        drafts.push(Draft { part: Part::After, ..Draft::new(Section::PreData, EntryKind::Comment, sql) });
    }
    drafts
}

#[cfg(test)]
mod tests {
    use super::Schema;
    use crate::kinds::{Body, sample};

    #[test]
    fn schemas() {
        sample::check(false, Body::from(Schema {}), "CREATE SCHEMA n;\n");
    }

    #[test]
    fn public_is_never_created() {
        let mut public = sample::object(None, "public", Body::from(Schema {}));
        assert_eq!(sample::statements(&public), "COMMENT ON SCHEMA public IS NULL;\n");
        public.comment = Some("standard public schema".to_owned());
        assert_eq!(sample::statements(&public), "");
    }
}
