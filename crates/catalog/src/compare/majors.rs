//! What two majors say differently of the same thing.

use serde_json::Value;

use crate::{Identity, ServerVersion};

/// Two majors, to judge differences that come from them alone.
///
/// Servers print definitions from parse trees, and newer ones print some of
/// them otherwise: 16 leaves out the table's name where a query has only one,
/// 14 writes `IN` before a procedure's arguments. Between different majors,
/// printed SQL is compared without qualifiers, column aliases, parentheses and
/// white space, and what a major does not know is not held against the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Majors {
    older: u32,
    newer: u32,
    left_is_older: bool,
}

/// Fields that hold SQL as a server prints it.
const PRINTED: [&str; 14] = [
    "arguments",
    "condition",
    "default",
    "definition",
    "expression",
    "identity_arguments",
    "index_definition",
    "partition_key",
    "predicate",
    "result",
    "sql",
    "statement",
    "using",
    "with_check",
];

impl Majors {
    pub(super) fn new(left: ServerVersion, right: ServerVersion) -> Self {
        let (left, right) = (left.major(), right.major());
        Majors { older: left.min(right), newer: left.max(right), left_is_older: left < right }
    }

    /// Whether values that differ are what the two majors say of the same thing; `path` leads to them.
    pub(super) fn agree(self, identity: &Identity, path: &[&str], left: &Value, right: &Value) -> bool {
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
            // Before 14 what is subscripted, and how, was known from the element type.
            "subscript" => self.differ_over(14),
            _ if field.starts_with("multirange") => self.differ_over(14),
            // Since 14 members of a class may be loose members of its family.
            "functions" | "operators" if identity.kind.starts_with("OPERATOR ") => self.differ_over(14),
            // ICU locales are language tags since 16.
            "locale" if identity.kind == "COLLATION" => self.differ_over(16),
            _ if PRINTED.contains(&field) => match (left.as_str(), right.as_str()) {
                (Some(left), Some(right)) => loosened(left) == loosened(right),
                _ => false,
            },
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

    /// Whether a change that came with `major` lies between the two.
    fn differ_over(self, major: u32) -> bool {
        self.older < major && major <= self.newer
    }
}

/// Printed SQL without what majors print differently.
fn loosened(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let mut kept: Vec<String> = Vec::new();
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        let next = tokens.get(place + 1).map(String::as_str);
        let qualifies = is_identifier(token) && next == Some(".");
        let renames = token == "AS" && next.is_some_and(is_identifier);
        let marks_input = token == "IN" && kept.last().is_none_or(|last| last == ",");
        match token.as_str() {
            _ if qualifies || renames => place += 1,
            _ if marks_input => {}
            "(" | ")" => {}
            _ => kept.push(token.clone()),
        }
        place += 1;
    }
    kept
}

fn is_identifier(token: &str) -> bool {
    token.starts_with(|c: char| c == '"' || c == '_' || c.is_alphabetic())
}

/// Words, quoted names, literals, and every other character by itself; white space is dropped.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let mut token = String::from(c);
        if c == '\'' || c == '"' {
            while let Some(inner) = chars.next() {
                token.push(inner);
                // A quote within is written twice.
                match (inner == c).then(|| chars.next_if_eq(&c)) {
                    Some(Some(again)) => token.push(again),
                    Some(None) => break,
                    None => {}
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            let dot = c.is_ascii_digit();
            while let Some(more) = chars
                .next_if(|more| more.is_alphanumeric() || matches!(more, '_' | '$') || (dot && *more == '.'))
            {
                token.push(more);
            }
        }
        if !c.is_whitespace() {
            tokens.push(token);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Majors, loosened};
    use crate::{Identity, ServerVersion};

    fn check(left: &str, right: &str, same: bool) {
        assert_eq!(loosened(left) == loosened(right), same, "{left} against {right}");
    }

    #[test]
    fn printed_sql() {
        check(" SELECT t.a,\n    t.b\n   FROM s.t", " SELECT a,\n    b\n   FROM s.t", true);
        check("SELECT (t.\"A b\")::text AS x FROM t", "SELECT (\"A b\")::text FROM t", true);
        check("before date, INOUT closed integer", "IN before date, INOUT closed integer", true);
        check("SELECT \"a\"\"b\".\"\"\"\" FROM t", "SELECT \"\"\"\" FROM t", true);
        check("SELECT 'a.b'", "SELECT 'b'", false);
        check("SELECT 'it''s', x.a", "SELECT 's', x.a", false);
        check("SELECT 1.5", "SELECT 5", false);
        check("SELECT a WHERE (x IN (1))", "SELECT a WHERE (x IN (2))", false);
        check("WITH q AS (SELECT 1) SELECT 1", "WITH q AS (SELECT 2) SELECT 1", false);
    }

    #[test]
    fn only_between_majors() {
        let identity =
            Identity { kind: "TYPE".to_owned(), schema: None, name: "t".to_owned(), discriminator: None };
        let (left, right) = (json!(null), json!("t_multirange"));
        for (older, newer, expected) in [(13, 14, true), (13, 18, true), (14, 18, false), (13, 13, false)] {
            let majors = Majors::new(ServerVersion::of_major(newer), ServerVersion::of_major(older));
            let agree = majors.agree(&identity, &["body", "multirange_name"], &left, &right);
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
        let check = |kind: &str, path: &[&str], expected: bool| {
            let identity =
                Identity { kind: kind.to_owned(), schema: None, name: "x".to_owned(), discriminator: None };
            let agree = majors.agree(&identity, path, &json!("(a)"), &json!("a"));
            assert_eq!(agree, expected, "{path:?}");
        };
        check("BASE TYPE", &["body", "subscript"], true);
        check("TABLE", &["body", "columns", "\"subscript\""], false);
        check("TABLE", &["body", "columns", "subscript"], false);
        check("TABLE", &["body", "columns", "\"not_null.name\""], false);
        check("TABLE", &["body", "columns", "\"not_null\"", "is_local"], false);
        check("TABLE", &["body", "columns", "0", "not_null", "is_local"], true);
        check("VIEW", &["body", "definition"], true);
        check("DATABASE", &["settings", "definition"], false);
    }
}
