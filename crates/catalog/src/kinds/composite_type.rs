//! A stand-alone composite type.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{Object, quote_identifier};

/// A stand-alone composite type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompositeType {
    /// The attributes in order, dropped ones left out; there may be none.
    pub attributes: Vec<Attribute>,
}

/// An attribute of a composite type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The name, unquoted.
    pub name: String,
    /// The type as `format_type` prints it.
    pub type_name: String,
    /// The collation as SQL, where it is not the type's.
    pub collation: Option<String>,
}

impl Attribute {
    fn sql(&self) -> String {
        let collation = self.collation.as_ref().map_or(String::new(), |name| format!(" COLLATE {name}"));
        format!("\n\t{} {}{collation}", quote_identifier(&self.name), self.type_name)
    }
}

impl Render for CompositeType {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let attributes: Vec<String> = self.attributes.iter().map(Attribute::sql).collect();
        let create = format!("CREATE TYPE {name} AS ({}\n)", attributes.join(","));
        vec![Draft::owned(Section::PreData, "TYPE", "TYPE", &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Attribute, CompositeType};
    use crate::kinds::{Body, sample};

    fn attribute(name: &str, collation: Option<&str>) -> Attribute {
        Attribute {
            name: name.to_owned(),
            type_name: "text".to_owned(),
            collation: collation.map(str::to_owned),
        }
    }

    #[test]
    fn composite_types() {
        for (attributes, expected) in [
            (vec![], "CREATE TYPE s.n AS (\n);\n"),
            (
                vec![attribute("a", None), attribute("B", Some("public.c"))],
                "CREATE TYPE s.n AS (\n\ta text,\n\t\"B\" text COLLATE public.c\n);\n",
            ),
        ] {
            sample::check(true, Body::CompositeType(CompositeType { attributes }), expected);
        }
    }
}
