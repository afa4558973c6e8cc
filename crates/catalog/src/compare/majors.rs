//! What two majors say differently of the same thing.

use serde_json::Value;

use super::locale;
use crate::{EntryKind, Identity, ServerVersion};

/// Two majors, to judge differences that come from them alone.
///
/// What a major does not know is not held against the other. Definitions that
/// they print otherwise are not judged here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Majors {
    older: u32,
    newer: u32,
    left_is_older: bool,
}

impl Majors {
    pub(super) fn new(left: ServerVersion, right: ServerVersion) -> Self {
        let (left, right) = (left.major(), right.major());
        Majors { older: left.min(right), newer: left.max(right), left_is_older: left < right }
    }

    /// Whether values that differ are what the two majors say of the same thing; `path` leads to them.
    pub(super) fn agree(self, identity: &Identity, path: &[&str], left: &Value, right: &Value) -> bool {
        // Where nothing uses the row type, or that is not known, its order decides nothing.
        if matches!(path, ["body", "field_order"]) && (left.is_null() || right.is_null()) {
            return true;
        }
        if let (["locale"] | ["body", "locale"], Some(left), Some(right)) =
            (path, left.as_str(), right.as_str())
            && [EntryKind::Collation, EntryKind::Database].contains(&identity.kind)
            && locale::is_same(left, right)
        {
            return true;
        }
        if self.older == self.newer {
            return false;
        }
        // What a path ends in is no property where it is a name of a user's.
        let field = match path {
            ["settings", ..] | ["body", "columns", _] => return false,
            [.., field] => *field,
            [] => return false,
        };
        match field {
            // Multiranges exist since 14, names of NOT NULL constraints since 18. And
            // 18 knows whose a NOT NULL is, before it was guessed from the parents.
            "name" | "is_local" if matches!(path, ["body", "columns", _, "not_null", _]) => {
                self.differ_over(18)
            }
            // In domains they have names since 17.
            "not_null_name" => self.differ_over(17),
            // Since 18 a child has every NOT NULL that it inherits.
            "drops_not_null" if matches!(path, ["body", "columns", ..]) => self.differ_over(18),
            // Before 14 what is subscripted, and how, was known from the element type.
            "subscript" => self.differ_over(14),
            _ if field.starts_with("multirange") => self.differ_over(14),
            _ => false,
        }
    }

    /// Whether a column of a partition is an identity column on the newer side for no other reason than that
    /// it is one of the partitioned table: since 17 partitions share it.
    pub(super) fn share_identity(self, path: &[&str], left: &Value, right: &Value) -> bool {
        let is_of_column = matches!(path, ["body", "columns", _, "identity"]);
        let older = if self.left_is_older { left } else { right };
        is_of_column && self.differ_over(17) && older.is_null()
    }

    /// Whether one of the two ties what an operator class has beyond its need to the family, and the other to
    /// the class: 14 began to.
    pub(super) fn differ_in_families(self) -> bool {
        self.differ_over(14)
    }

    /// Whether a change that came with `major` lies between the two.
    fn differ_over(self, major: u32) -> bool {
        self.older < major && major <= self.newer
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Majors;
    use crate::{EntryKind, Identity, ServerVersion};

    fn identity() -> Identity {
        Identity { kind: EntryKind::Type, schema: None, name: "t".to_owned(), discriminator: None }
    }

    #[test]
    fn only_between_majors() {
        for (older, newer, expected) in [(13, 14, true), (13, 18, true), (14, 18, false), (13, 13, false)] {
            let majors = Majors::new(ServerVersion::of_major(newer), ServerVersion::of_major(older));
            let agree = majors.agree(&identity(), &["body", "multirange_name"], &json!("a"), &json!("b"));
            assert_eq!(agree, expected, "{older} {newer}");
        }
    }

    #[test]
    fn partitions_share_identity_since_17() {
        let check = |majors: (u32, u32), left, right, expected| {
            let (one, two) = (ServerVersion::of_major(majors.0), ServerVersion::of_major(majors.1));
            let shared =
                Majors::new(one, two).share_identity(&["body", "columns", "0", "identity"], &left, &right);
            assert_eq!(shared, expected, "{majors:?}");
        };
        check((16, 18), json!(null), json!("always"), true);
        check((18, 16), json!("always"), json!(null), true);
        check((16, 18), json!("always"), json!(null), false);
        check((16, 18), json!("always"), json!("by-default"), false);
        check((17, 18), json!(null), json!("always"), false);
    }

    #[test]
    fn names_of_users_are_no_properties() {
        let majors = Majors::new(ServerVersion::of_major(13), ServerVersion::of_major(18));
        let check = |path: &[&str], expected: bool| {
            assert_eq!(majors.agree(&identity(), path, &json!("a"), &json!("b")), expected, "{path:?}");
        };
        check(&["body", "subscript"], true);
        check(&["body", "columns", "\"subscript\""], false);
        check(&["body", "columns", "subscript"], false);
        check(&["body", "columns", "\"not_null.name\""], false);
        check(&["body", "columns", "\"not_null\"", "is_local"], false);
        check(&["body", "columns", "0", "not_null", "is_local"], true);
        check(&["body", "definition"], false);
        check(&["settings", "subscript"], false);
    }
}
