//! A stand-alone composite type.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Part, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_identifier, quote_literal};

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
    /// `COMMENT ON COLUMN`.
    pub comment: Option<String>,
    /// `SECURITY LABEL ON COLUMN`: provider and label. `pg_dump` leaves these behind.
    #[serde(default)]
    pub security_labels: Vec<(String, String)>,
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
        let mut drafts = vec![Draft::owned(Section::PreData, EntryKind::Type, &name, create)];
        drafts.extend(self.attributes.iter().filter_map(|attribute| {
            let comment = quote_literal(attribute.comment.as_ref()?);
            let column = quote_identifier(&attribute.name);
            let sql = format!("COMMENT ON COLUMN {name}.{column} IS {comment}");
            Some(Draft { part: Part::After, ..Draft::new(Section::PreData, EntryKind::Comment, sql) })
        }));
        drafts.extend(self.attributes.iter().flat_map(|attribute| {
            let column = quote_identifier(&attribute.name);
            let name = &name;
            attribute.security_labels.iter().map(move |(provider, label)| {
                let (provider, label) = (quote_identifier(provider), quote_literal(label));
                let sql = format!("SECURITY LABEL FOR {provider} ON COLUMN {name}.{column} IS {label}");
                Draft { part: Part::After, ..Draft::new(Section::PreData, EntryKind::SecurityLabel, sql) }
            })
        }));
        drafts
    }
}

#[cfg(test)]
mod tests {
    use super::{Attribute, CompositeType};
    use crate::kinds::{Body, sample};

    fn attribute(name: &str, collation: Option<&str>, comment: Option<&str>) -> Attribute {
        Attribute {
            name: name.to_owned(),
            type_name: "text".to_owned(),
            collation: collation.map(str::to_owned),
            comment: comment.map(str::to_owned),
            security_labels: comment.map(|text| ("p".to_owned(), text.to_owned())).into_iter().collect(),
        }
    }

    #[test]
    fn composite_types() {
        for (attributes, expected) in [
            (vec![], "CREATE TYPE s.n AS (\n);\n"),
            (
                vec![attribute("a", None, None), attribute("B", Some("public.c"), Some("x"))],
                "CREATE TYPE s.n AS (\n\ta text,\n\t\"B\" text COLLATE public.c\n);\n\
                 COMMENT ON COLUMN s.n.\"B\" IS 'x';\n\
                 SECURITY LABEL FOR p ON COLUMN s.n.\"B\" IS 'x';\n",
            ),
        ] {
            sample::check(true, Body::from(CompositeType { attributes }), expected);
        }
    }
}
