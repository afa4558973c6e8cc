//! Values of `pg_lsn` inside others, which 19 prints with zeros that older servers leave out.
//!
//! Alone and in arrays their texts are brought into one form before they are hashed. Inside a composite, a range or
//! a row that is not possible without changing other texts too, nor in an array too long to be held; so that
//! different digests across that major do not say that such rows differ.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Object, QualifiedName};
use dbhaul_verifier::{TableResult, Verdict};

/// The first major that prints the zeros.
const SINCE: u32 = 19;

/// Takes back that rows differ that may only be printed otherwise.
pub(crate) fn doubt_printed_otherwise(tables: &mut [TableResult], left: &Catalog, right: &Catalog) {
    if (left.server_version.major() < SINCE) == (right.server_version.major() < SINCE) {
        return;
    }
    let columns = columns_with_lsn(left);
    for table in tables {
        let (Verdict::Different { left, right }, Some(column)) = (&table.verdict, columns.get(&table.name))
        else {
            continue;
        };
        // as many rows as there are, whatever they hold
        if left.row_count == right.row_count {
            let reason = format!(
                "column {column} holds values of pg_lsn inside others, which PostgreSQL {SINCE} prints otherwise than \
                 older servers, so that the digests cannot tell whether the rows differ"
            );
            table.verdict = Verdict::NotVerified { reason };
        }
    }
}

/// The first such column of each table that has one.
fn columns_with_lsn(catalog: &Catalog) -> BTreeMap<String, String> {
    let with_lsn = types_with_lsn(catalog);
    let mut columns = BTreeMap::new();
    for object in &catalog.objects {
        let Body::Table(table) = &object.body else { continue };
        let column = table.columns.iter().find(|column| {
            let name = column.base_type_name.as_str();
            // alone it is hashed in one form
            name != LSN && with_lsn.contains(element(name))
        });
        if let Some(column) = column {
            columns.insert(object.sql_name(), column.name.to_string());
        }
    }
    columns
}

const LSN: &str = "pg_lsn";

/// Names of types with values of `pg_lsn` in them, that one included.
fn types_with_lsn(catalog: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::from([LSN.to_owned()]);
    loop {
        let before = found.len();
        for object in &catalog.objects {
            if parts(object).any(|part| found.contains(element(part))) {
                found.extend(names(object));
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The types that an object's type is made of.
fn parts(object: &Object) -> Box<dyn Iterator<Item = &str> + '_> {
    match &object.body {
        Body::Table(table) => Box::new(table.columns.iter().map(|column| column.type_name.as_str())),
        Body::CompositeType(composite) => {
            Box::new(composite.attributes.iter().map(|attribute| attribute.type_name.as_str()))
        }
        Body::Domain(domain) => Box::new(std::iter::once(domain.base_type.as_str())),
        Body::RangeType(range) => Box::new(std::iter::once(range.subtype.as_str())),
        _ => Box::new(std::iter::empty()),
    }
}

fn names(object: &Object) -> Vec<String> {
    let mut names = vec![object.sql_name()];
    if let Body::RangeType(range) = &object.body {
        let schema = object.schema.clone().unwrap_or_default();
        names.extend([range.multirange.clone(), QualifiedName::new(schema, range.multirange.as_str()).sql()]);
    }
    names
}

/// The type of an array's elements; any other as it is.
fn element(type_name: &str) -> &str {
    type_name.strip_suffix("[]").unwrap_or(type_name)
}
