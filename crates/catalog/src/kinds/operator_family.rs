//! An operator family.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, SharedText, quote_identifier};

/// An operator family with its loose members: those of no operator class. In schema `pg_catalog` it is one of the
/// server's own, with those members alone that users have added; so is what users have added to an extension's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorFamily {
    /// The access method, unquoted.
    pub access_method: String,
    /// Loose operators.
    pub operators: Vec<OperatorMember>,
    /// Loose functions.
    pub functions: Vec<FunctionMember>,
    /// The extension whose family it is that users have added these members to. The family itself is an object of
    /// its own, a member of the extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_to: Option<SharedText>,
}

/// An operator of a family or class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorMember {
    /// The strategy number.
    pub strategy: i16,
    /// The operator with its types, as SQL: `<(bigint,integer)`.
    pub operator: String,
    /// The family that sorts its results, as SQL (`FOR ORDER BY`).
    pub sort_family: Option<String>,
}

/// A support function of a family or class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionMember {
    /// The support number.
    pub number: i16,
    /// The left type, as SQL.
    pub left_type: String,
    /// The right type, as SQL.
    pub right_type: String,
    /// The function with its argument types, as SQL.
    pub function: String,
}

/// Members as `CREATE OPERATOR CLASS` and `ALTER OPERATOR FAMILY ... ADD` list them.
pub(crate) fn members(operators: &[OperatorMember], functions: &[FunctionMember]) -> Vec<String> {
    let operators = operators.iter().map(|member| {
        let sort = member.sort_family.as_ref().map_or(String::new(), |name| format!(" FOR ORDER BY {name}"));
        format!("OPERATOR {} {}{sort}", member.strategy, member.operator)
    });
    let functions = functions.iter().map(|member| {
        let FunctionMember { number, left_type, right_type, function } = member;
        format!("FUNCTION {number} ({left_type}, {right_type}) {function}")
    });
    operators.chain(functions).collect()
}

impl OperatorFamily {
    /// What has to be dropped by itself: members that are the server's operators and functions, as `ALTER OPERATOR
    /// FAMILY ... DROP` lists them. Names of the server's are printed without a schema.
    fn staying(&self) -> Vec<String> {
        let is_the_servers = |name: &str| !name.contains('.') && !name.contains('"');
        let operators = self.operators.iter().filter_map(|member| {
            let (name, types) = member.operator.split_once('(')?;
            is_the_servers(name).then(|| format!("OPERATOR {} ({types}", member.strategy))
        });
        let functions = self.functions.iter().filter_map(|member| {
            let FunctionMember { number, left_type, right_type, function } = member;
            let (name, _) = function.split_once('(')?;
            is_the_servers(name).then(|| format!("FUNCTION {number} ({left_type}, {right_type})"))
        });
        operators.chain(functions).collect()
    }

    /// Whether the family comes with every server or with an extension, so that this is what users have added to it.
    pub(crate) fn is_only_added_to(&self, object: &Object) -> bool {
        self.added_to.is_some() || object.schema.as_deref() == Some("pg_catalog")
    }
}

impl Render for OperatorFamily {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = format!("{} USING {}", object.sql_name(), quote_identifier(&self.access_method));
        let members = members(&self.operators, &self.functions);
        let add = format!("ALTER OPERATOR FAMILY {name} ADD\n    {}", members.join(",\n    "));
        if self.is_only_added_to(object) {
            // Members go with the operators and functions that they are, unless those are the server's.
            let staying = self.staying();
            let drop = (!staying.is_empty()).then(|| DropStatement {
                command: format!("ALTER OPERATOR FAMILY {name} DROP"),
                object: staying.join(", "),
            });
            return vec![Draft { drop, ..Draft::new(Section::PreData, EntryKind::OperatorFamily, add) }];
        }
        let create = format!("CREATE OPERATOR FAMILY {name}");
        let mut draft = Draft::owned(Section::PreData, EntryKind::OperatorFamily, &name, create);
        if !members.is_empty() {
            draft.create.push(add);
        }
        vec![draft]
    }

    fn discriminator(&self) -> Option<String> {
        Some(format!("USING {}", quote_identifier(&self.access_method)))
    }
}

#[cfg(test)]
mod tests {
    use super::{FunctionMember, OperatorFamily, OperatorMember};
    use crate::ServerVersion;
    use crate::kinds::{Body, sample};
    use crate::render::{Render, Target};

    #[test]
    fn operator_families() {
        let empty = OperatorFamily {
            access_method: "btree".to_owned(),
            operators: Vec::new(),
            functions: Vec::new(),
            added_to: None,
        };
        let full = OperatorFamily {
            operators: vec![OperatorMember {
                strategy: 15,
                operator: "s.<->(integer,integer)".to_owned(),
                sort_family: Some("pg_catalog.integer_ops".to_owned()),
            }],
            functions: vec![FunctionMember {
                number: 1,
                left_type: "integer".to_owned(),
                right_type: "bigint".to_owned(),
                function: "btint48cmp(integer,bigint)".to_owned(),
            }],
            ..empty.clone()
        };
        for (body, expected) in [
            (empty, "CREATE OPERATOR FAMILY s.n USING btree;\n"),
            (
                full,
                "CREATE OPERATOR FAMILY s.n USING btree;\nALTER OPERATOR FAMILY s.n USING btree ADD\n    \
                 OPERATOR 15 s.<->(integer,integer) FOR ORDER BY pg_catalog.integer_ops,\n    \
                 FUNCTION 1 (integer, bigint) btint48cmp(integer,bigint);\n",
            ),
        ] {
            sample::check(true, Body::from(body), expected);
        }
    }

    #[test]
    fn the_servers_own_are_only_added_to() {
        let family = OperatorFamily {
            access_method: "btree".to_owned(),
            operators: vec![OperatorMember {
                strategy: 1,
                operator: "s.<(numeric,integer)".to_owned(),
                sort_family: None,
            }],
            functions: Vec::new(),
            added_to: None,
        };
        let object = sample::object(Some("pg_catalog"), "integer_ops", Body::from(family.clone()));
        let drafts = family.render(&object, &Target { version: ServerVersion::of_major(18) });
        assert_eq!(drafts.len(), 1);
        assert_eq!(
            drafts[0].create,
            ["ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree ADD\n    OPERATOR 1 s.<(numeric,integer)"]
        );
        assert!(drafts[0].drop.is_none() && drafts[0].address.is_none() && !drafts[0].has_owner);

        let of_the_server = OperatorFamily {
            operators: vec![OperatorMember {
                strategy: 1,
                operator: "~<~(character,s.\"a(b\")".to_owned(),
                sort_family: None,
            }],
            functions: vec![FunctionMember {
                number: 1,
                left_type: "bigint".to_owned(),
                right_type: "integer".to_owned(),
                function: "btint84cmp(bigint,integer)".to_owned(),
            }],
            ..family
        };
        let drop = of_the_server.render(&object, &Target { version: ServerVersion::of_major(18) }).remove(0).drop;
        assert_eq!(
            drop.map(|drop| drop.sql(true)).as_deref(),
            Some(
                "ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree DROP OPERATOR 1 \
                 (character,s.\"a(b\"), FUNCTION 1 (bigint, integer)"
            )
        );
    }
}
