//! A transform of a type for a language.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, quote_identifier};

/// A transform of a type for a language; the object's name is
/// `TRANSFORM FOR type LANGUAGE language`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transform {
    /// The type, as SQL.
    pub type_name: String,
    /// The language, unquoted.
    pub language: String,
    /// `FROM SQL WITH FUNCTION`, with its argument types, as SQL.
    pub from_sql: Option<String>,
    /// `TO SQL WITH FUNCTION`, with its argument types, as SQL.
    pub to_sql: Option<String>,
}

impl Render for Transform {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        let name = format!("FOR {} LANGUAGE {}", self.type_name, quote_identifier(&self.language));
        let functions = [("FROM SQL", &self.from_sql), ("TO SQL", &self.to_sql)];
        let functions: Vec<String> = functions
            .into_iter()
            .filter_map(|(side, function)| {
                function.as_ref().map(|function| format!("{side} WITH FUNCTION {function}"))
            })
            .collect();
        let create = format!("CREATE TRANSFORM {name} ({})", functions.join(", "));
        vec![Draft {
            address: Some(format!("TRANSFORM {name}")),
            drop: Some(DropStatement { command: "DROP TRANSFORM".to_owned(), object: name }),
            ..Draft::new(Section::PreData, EntryKind::Transform, create)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::Transform;
    use crate::kinds::{Body, sample};

    #[test]
    fn transforms() {
        let transform = Transform {
            type_name: "integer".to_owned(),
            language: "sql".to_owned(),
            from_sql: Some("pg_catalog.prsd_lextype(internal)".to_owned()),
            to_sql: Some("pg_catalog.int4recv(internal)".to_owned()),
        };
        sample::check(
            false,
            Body::from(transform),
            "CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION \
             pg_catalog.prsd_lextype(internal), TO SQL WITH FUNCTION pg_catalog.int4recv(internal));\n",
        );
    }
}
