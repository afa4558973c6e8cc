//! Types whose values name relations: a `regclass` somewhere in them.

use std::collections::HashSet;

use crate::Catalog;
use crate::kinds::Body;

/// The types of a catalog that hold a `regclass`, however deep: composite types and rows of tables, domains, ranges
/// and arrays over one.
#[derive(Debug, Default)]
pub(super) struct NamingTypes(HashSet<String>);

impl NamingTypes {
    /// Reads the types of a catalog, until no more are found.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut found = NamingTypes::default();
        loop {
            let before = found.0.len();
            for object in &catalog.objects {
                let is_naming = match &object.body {
                    Body::CompositeType(body) => body.attributes.iter().any(|it| found.has(&it.type_name)),
                    Body::Table(body) => body.columns.iter().any(|column| found.has(&column.type_name)),
                    Body::Domain(body) => found.has(&body.base_type),
                    Body::RangeType(body) => found.has(&body.subtype),
                    _ => false,
                };
                if is_naming {
                    found.0.insert(object.sql_name());
                    if let Body::RangeType(body) = &object.body {
                        found.0.insert(body.multirange.clone());
                    }
                }
            }
            if found.0.len() == before {
                return found;
            }
        }
    }

    /// Whether the type, as `format_type` prints it, holds a `regclass`.
    pub(super) fn has(&self, type_name: &str) -> bool {
        let element = type_name.trim_end_matches("[]");
        element.trim_start_matches("pg_catalog.") == "regclass" || self.0.contains(element)
    }
}
