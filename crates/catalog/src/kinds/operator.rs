//! An operator.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_identifier};

/// An operator. Types, functions and other operators (`OPERATOR(s.=)`) are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// `FUNCTION`; `None` for one that exists only because another names it as
    /// its commutator or negator: that other's statement makes it.
    pub function: Option<String>,
    /// `LEFTARG`; `None` for a prefix operator.
    pub left_type: Option<String>,
    /// `RIGHTARG`; `None` for a postfix operator (13 only).
    pub right_type: Option<String>,
    /// `COMMUTATOR`.
    pub commutator: Option<String>,
    /// `NEGATOR`.
    pub negator: Option<String>,
    /// `MERGES`.
    pub merges: bool,
    /// `HASHES`.
    pub hashes: bool,
    /// `RESTRICT`.
    pub restrict: Option<String>,
    /// `JOIN`.
    pub join: Option<String>,
}

impl Operator {
    fn arguments(&self) -> String {
        let side = |name: &Option<String>| name.clone().unwrap_or_else(|| "NONE".to_owned());
        format!("({}, {})", side(&self.left_type), side(&self.right_type))
    }

    fn options(&self, function: &str) -> Vec<String> {
        let option = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} = {value}"));
        let flag = |name: &str, set: bool| set.then(|| name.to_owned());
        let options = [
            Some(format!("FUNCTION = {function}")),
            option("LEFTARG", &self.left_type),
            option("RIGHTARG", &self.right_type),
            option("COMMUTATOR", &self.commutator),
            option("NEGATOR", &self.negator),
            flag("MERGES", self.merges),
            flag("HASHES", self.hashes),
            option("RESTRICT", &self.restrict),
            option("JOIN", &self.join),
        ];
        options.into_iter().flatten().collect()
    }
}

/// An operator's name is never quoted, its schema is.
fn operator_name(object: &Object) -> String {
    object.schema.as_ref().map_or_else(
        || object.name.clone(),
        |schema| format!("{}.{}", quote_identifier(schema), object.name),
    )
}

impl Render for Operator {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let Some(function) = &self.function else { return Vec::new() };
        let name = operator_name(object);
        let create = format!("CREATE OPERATOR {name} (\n    {}\n)", self.options(function).join(",\n    "));
        let signature = format!("{name} {}", self.arguments());
        vec![Draft::owned(Section::PreData, EntryKind::Operator, &signature, create)]
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.arguments())
    }

    fn inline_address(&self, object: &Object) -> Option<String> {
        Some(format!("OPERATOR {} {}", operator_name(object), self.arguments()))
    }
}

#[cfg(test)]
mod tests {
    use super::Operator;
    use crate::kinds::{Body, sample};

    #[track_caller]
    fn check(operator: Operator, expected: &str) {
        let object = sample::object(Some("S"), "~~", Body::from(operator));
        assert_eq!(sample::statements(&object), expected);
    }

    #[test]
    fn operators() {
        let plain = Operator {
            function: Some("int4eq".to_owned()),
            left_type: None,
            right_type: Some("integer".to_owned()),
            commutator: None,
            negator: None,
            merges: false,
            hashes: false,
            restrict: None,
            join: None,
        };
        let full = Operator {
            left_type: Some("integer".to_owned()),
            commutator: Some("OPERATOR(s.~~)".to_owned()),
            negator: Some("OPERATOR(s.!~~)".to_owned()),
            merges: true,
            hashes: true,
            restrict: Some("eqsel".to_owned()),
            join: Some("eqjoinsel".to_owned()),
            ..plain.clone()
        };
        let declared = Operator { function: None, ..plain.clone() };
        check(declared, "");
        check(plain, "CREATE OPERATOR \"S\".~~ (\n    FUNCTION = int4eq,\n    RIGHTARG = integer\n);\n");
        check(
            full,
            "CREATE OPERATOR \"S\".~~ (\n    FUNCTION = int4eq,\n    LEFTARG = integer,\n    RIGHTARG = integer,\n    \
             COMMUTATOR = OPERATOR(s.~~),\n    NEGATOR = OPERATOR(s.!~~),\n    MERGES,\n    HASHES,\n    \
             RESTRICT = eqsel,\n    JOIN = eqjoinsel\n);\n",
        );
    }
}
