//! Large tables that can be read only as a whole.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, DataColumn, Object, QualifiedName};
use dbhaul_exporter::{DEFAULT_SEGMENT_BYTES, PAGE_BYTES};
use dbhaul_postgres::{self as postgres, Session};

/// SQLSTATEs of something named without its schema that no search path finds.
const NOT_FOUND: [&str; 4] = ["42883", "42P01", "42704", "3F000"];

/// The tables, by `pg_class` OID, of which no query can be planned with an empty search path, since functions
/// of their indexes rely on one, and which cannot be read with another, since it would change the text of
/// their values. A `COPY` of a whole table is not planned, so that they can be read as one segment.
///
/// Asks for each large table with such values, of which there are few, but for those in `unplanned`, of which no
/// query may be planned.
pub(crate) async fn whole_reads(
    session: &Session,
    catalog: &Catalog,
    unplanned: &BTreeSet<u32>,
) -> Result<BTreeSet<u32>, postgres::Error> {
    let mut whole = BTreeSet::new();
    let may_be_planned = |object: &&Object| !unplanned.contains(&object.id.oid);
    let is_asked = |object: &&Object| depends_on_path(object) && is_large(catalog, object);
    for object in catalog.objects.iter().filter(may_be_planned).filter(is_asked) {
        let table = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        let planned = session.query_strings(&format!("EXPLAIN SELECT 1 FROM ONLY {}", table.sql())).await;
        match planned {
            Err(error) if error.sqlstate().is_some_and(|state| NOT_FOUND.contains(&state)) => {
                whole.insert(object.id.oid);
            }
            // whatever else is wrong with it, reading it will tell
            Err(error) if error.sqlstate().is_some() => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(whole)
}

fn depends_on_path(object: &Object) -> bool {
    let Body::Table(table) = &object.body else { return false };
    table.holds_rows() && !table.data_columns().iter().all(DataColumn::has_text_of_its_own)
}

fn is_large(catalog: &Catalog, object: &Object) -> bool {
    let size = catalog.relation_sizes.get(&object.id.oid);
    size.is_some_and(|size| size.heap_pages * PAGE_BYTES + size.toast_bytes > DEFAULT_SEGMENT_BYTES)
}
