//! A large object.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};

/// A large object: its OID, which is the object's name, owner and privileges.
/// The contents travel apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObject {}

impl Render for LargeObject {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let create = format!("SELECT pg_catalog.lo_create('{}')", object.name);
        let unlink = "SELECT pg_catalog.lo_unlink(m.oid) FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid =";
        vec![Draft {
            drop: Some(DropStatement { command: unlink.to_owned(), object: format!("'{}'", object.name) }),
            address: Some(format!("LARGE OBJECT {}", object.name)),
            has_owner: true,
            ..Draft::new(Section::PreData, EntryKind::LargeObject, create)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::LargeObject;
    use crate::kinds::{Body, sample};

    #[test]
    fn large_objects() {
        let object = sample::object(None, "16385", Body::from(LargeObject {}));
        assert_eq!(sample::statements(&object), "SELECT pg_catalog.lo_create('16385');\n");
    }
}
