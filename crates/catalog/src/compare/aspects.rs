//! What is compared, and what was left behind.

use serde_json::Value;

use super::Note;
use crate::kinds::Body;

/// What of two catalogs is compared beside plain definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aspects {
    /// Owners. Without them, privileges on the left are taken for those that the right's owner would have
    /// given by the same statements, or would have been left with after a change of owner.
    pub owners: bool,
    /// Privileges, default privileges among them.
    pub privileges: bool,
    /// Comments.
    pub comments: bool,
    /// Security labels.
    pub security_labels: bool,
    /// Policies, and whether row security is on.
    pub policies: bool,
    /// Publications.
    pub publications: bool,
    /// Subscriptions.
    pub subscriptions: bool,
}

impl Aspects {
    /// Everything.
    pub const ALL: Aspects = Aspects {
        owners: true,
        privileges: true,
        comments: true,
        security_labels: true,
        policies: true,
        publications: true,
        subscriptions: true,
    };

    /// Whether objects of this kind are compared at all.
    pub(super) fn compare_body(self, body: &Body) -> bool {
        match body {
            Body::DefaultAcl(_) => self.privileges,
            Body::Policy(_) => self.policies,
            Body::Publication(_) => self.publications,
            Body::Subscription(_) => self.subscriptions,
            _ => true,
        }
    }

    /// What of a part's notes is compared; nothing where there is nothing left.
    pub(super) fn of_note<'a>(self, (part, comment, labels): Note<'a>) -> Option<Note<'a>> {
        const NONE: &(Option<String>, Vec<(String, String)>) = &(None, Vec::new());
        let comment = if self.comments { comment } else { &NONE.0 };
        let labels = if self.security_labels { labels } else { &NONE.1 };
        (comment.is_some() || !labels.is_empty()).then_some((part, comment, labels))
    }

    /// Takes out of an object's value what is not compared: from the object itself, its columns, attributes and
    /// constraints. Each is looked for in its place alone, for names of users' are keys as well.
    pub(super) fn narrow(self, object: &mut Value) {
        self.narrow_annotated(object);
        let Some(body) = object.get_mut("body") else { return };
        // Whether the table that owns a sequence is logged is compared with the table.
        if let Some(Value::Object(owner)) = body.get_mut("owned_by") {
            owner.remove("table_unlogged");
        }
        if let (false, Value::Object(fields)) = (self.policies, &mut *body) {
            fields.remove("row_security");
        }
        for parts in ["columns", "undeclared_columns", "attributes", "constraints"] {
            match body.get_mut(parts) {
                Some(Value::Array(parts)) => parts.iter_mut().for_each(|part| self.narrow_annotated(part)),
                Some(Value::Object(parts)) => parts.values_mut().for_each(|part| self.narrow_annotated(part)),
                _ => {}
            }
        }
    }

    /// The same of something that has no parts, such as a column or the database.
    pub(super) fn narrow_annotated(self, value: &mut Value) {
        let Value::Object(fields) = value else { return };
        for (property, is_compared) in [
            ("owner", self.owners),
            ("acl", self.privileges),
            ("comment", self.comments),
            ("security_labels", self.security_labels),
        ] {
            if !is_compared {
                fields.remove(property);
            }
        }
    }
}
