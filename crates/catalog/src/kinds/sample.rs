//! What the tests of the kinds share: an object around a body, and its statements as one text.

use crate::render::Target;
use crate::{Class, Object, ObjectId, ServerVersion, SharedText, kinds::Body};

/// An object of schema `s` (or of none) named `name`, owned by `o`.
pub(super) fn object(schema: Option<&str>, name: &str, body: Body) -> Object {
    Object {
        id: ObjectId::new(Class::PG_CLASS, 16_384),
        schema: schema.map(SharedText::from),
        name: name.to_owned(),
        owner: Some("o".into()),
        acl: None,
        comment: None,
        security_labels: Vec::new(),
        extension: None,
        body,
    }
}

/// The statements of all drafts for a server of 18, each ended with `;`.
pub(super) fn statements(object: &Object) -> String {
    let target = Target { version: ServerVersion::of_major(18) };
    let drafts = object.body.render(object, &target);
    drafts.iter().flat_map(|draft| &draft.create).map(|sql| format!("{sql};\n")).collect()
}

/// Checks the statements of `body` as object `s.n`, or `n` where `schema` is false.
#[track_caller]
pub(super) fn check(schema: bool, body: Body, expected: &str) {
    assert_eq!(statements(&object(schema.then_some("s"), "n", body)), expected);
}
