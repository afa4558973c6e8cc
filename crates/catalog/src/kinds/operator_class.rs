//! An operator class.

use serde::{Deserialize, Serialize};

use super::operator_family::{FunctionMember, OperatorMember, members};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

/// An operator class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorClass {
    /// The access method, unquoted.
    pub access_method: String,
    /// Whether it is the type's default.
    pub default: bool,
    /// The type it indexes, as SQL.
    pub type_name: String,
    /// The type that is stored, as SQL, where it is another.
    pub storage_type: Option<String>,
    /// Its family.
    pub family: QualifiedName,
    /// Its operators.
    pub operators: Vec<OperatorMember>,
    /// Its support functions.
    pub functions: Vec<FunctionMember>,
}

impl Render for OperatorClass {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let (class, method) = (object.sql_name(), quote_identifier(&self.access_method));
        let default = if self.default { "DEFAULT " } else { "" };
        let own_family =
            self.family.name == object.name && object.schema.as_ref() == Some(&self.family.schema);
        let family = if own_family { String::new() } else { format!(" FAMILY {}", self.family.sql()) };
        let mut items: Vec<String> =
            self.storage_type.iter().map(|name| format!("STORAGE {name}")).collect();
        items.extend(members(&self.operators, &self.functions));
        if items.is_empty() {
            // The grammar wants an item; storing the type as itself changes nothing.
            items.push(format!("STORAGE {}", self.type_name));
        }
        let create = format!(
            "CREATE OPERATOR CLASS {class}\n    {default}FOR TYPE {} USING {method}{family} AS\n    {}",
            self.type_name,
            items.join(" ,\n    ")
        );
        let name = format!("{class} USING {method}");
        vec![Draft::owned(Section::PreData, EntryKind::OperatorClass, &name, create)]
    }

    fn discriminator(&self) -> Option<String> {
        Some(format!("USING {}", quote_identifier(&self.access_method)))
    }
}

#[cfg(test)]
mod tests {
    use super::OperatorClass;
    use crate::QualifiedName;
    use crate::kinds::{Body, FunctionMember, OperatorMember, sample};

    #[test]
    fn operator_classes() {
        let empty = OperatorClass {
            access_method: "btree".to_owned(),
            default: false,
            type_name: "bigint".to_owned(),
            storage_type: None,
            family: QualifiedName::new("s", "f"),
            operators: Vec::new(),
            functions: Vec::new(),
        };
        let full = OperatorClass {
            default: true,
            storage_type: Some("integer".to_owned()),
            family: QualifiedName::new("s", "n"),
            operators: vec![OperatorMember {
                strategy: 1,
                operator: "<(bigint,bigint)".to_owned(),
                sort_family: None,
            }],
            functions: vec![FunctionMember {
                number: 2,
                left_type: "bigint".to_owned(),
                right_type: "bigint".to_owned(),
                function: "btint8sortsupport(internal)".to_owned(),
            }],
            ..empty.clone()
        };
        for (body, expected) in [
            (
                empty,
                "CREATE OPERATOR CLASS s.n\n    FOR TYPE bigint USING btree FAMILY s.f AS\n    STORAGE bigint;\n",
            ),
            (
                full,
                "CREATE OPERATOR CLASS s.n\n    DEFAULT FOR TYPE bigint USING btree AS\n    STORAGE integer ,\n    \
                 OPERATOR 1 <(bigint,bigint) ,\n    FUNCTION 2 (bigint, bigint) btint8sortsupport(internal);\n",
            ),
        ] {
            sample::check(true, Body::from(body), expected);
        }
    }
}
