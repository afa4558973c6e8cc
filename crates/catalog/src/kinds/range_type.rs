//! A range type.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// A range type, with the multirange type that comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeType {
    /// The type of the bounds, without modifier.
    pub subtype: String,
    /// The multirange type's name as SQL. Servers before 14 have none; for those
    /// it is the name that a later server would choose.
    pub multirange: String,
    /// The operator class as SQL, where it is not the subtype's default.
    pub operator_class: Option<String>,
    /// The collation as SQL, where it is not the subtype's.
    pub collation: Option<String>,
    /// The function that brings values to canonical form, as SQL.
    pub canonical: Option<String>,
    /// The function that measures the distance of two values, as SQL.
    pub subtype_difference: Option<String>,
}

impl Render for RangeType {
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let multirange = (target.version.major() >= 14).then_some(&self.multirange);
        let options = [
            ("subtype", Some(&self.subtype)),
            ("multirange_type_name", multirange),
            ("subtype_opclass", self.operator_class.as_ref()),
            ("collation", self.collation.as_ref()),
            ("canonical", self.canonical.as_ref()),
            ("subtype_diff", self.subtype_difference.as_ref()),
        ];
        let options: Vec<String> = options
            .into_iter()
            .filter_map(|(option, value)| value.map(|value| format!("\n    {option} = {value}")))
            .collect();
        let create = format!("CREATE TYPE {name} AS RANGE ({}\n)", options.join(","));
        vec![Draft::owned(Section::PreData, EntryKind::Type, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::RangeType;
    use crate::kinds::{Body, sample};

    #[test]
    fn range_types() {
        let plain = RangeType {
            subtype: "text".to_owned(),
            multirange: "s.m".to_owned(),
            operator_class: None,
            collation: None,
            canonical: None,
            subtype_difference: None,
        };
        let full = RangeType {
            operator_class: Some("s.op".to_owned()),
            collation: Some("pg_catalog.\"C\"".to_owned()),
            canonical: Some("s.f".to_owned()),
            subtype_difference: Some("s.d".to_owned()),
            ..plain.clone()
        };
        for (body, expected) in [
            (plain, "CREATE TYPE s.n AS RANGE (\n    subtype = text,\n    multirange_type_name = s.m\n);\n"),
            (
                full,
                "CREATE TYPE s.n AS RANGE (\n    subtype = text,\n    multirange_type_name = s.m,\n    \
                 subtype_opclass = s.op,\n    collation = pg_catalog.\"C\",\n    canonical = s.f,\n    \
                 subtype_diff = s.d\n);\n",
            ),
        ] {
            sample::check(true, Body::from(body), expected);
        }
    }
}
