//! Large tables that can be read only as a whole.

use std::collections::BTreeSet;

use dbhaul_catalog::{Catalog, Object, QualifiedName};
use dbhaul_exporter::{DEFAULT_SEGMENT_BYTES, PAGE_BYTES};
use dbhaul_introspect::PlanCode;
use dbhaul_postgres::{self as postgres, Session};

/// SQLSTATEs of something named without its schema that no search path finds.
const NOT_FOUND: [&str; 4] = ["42883", "42P01", "42704", "3F000"];

/// The tables, by `pg_class` OID, of which no query may be planned: that would run functions of others, or has
/// functions look for names that an empty search path does not find. No session that reads has another: a path is
/// what the owner of a database has made it, and may find what is the owner's. A `COPY` of a whole table is not
/// planned, so that these tables can be read as one segment.
///
/// Asks for each large table whose indexes or statistics use functions of users, of which there are few.
pub(crate) async fn unplanned(
    session: &Session,
    catalog: &Catalog,
    code: PlanCode,
) -> Result<BTreeSet<u32>, postgres::Error> {
    let mut unplanned = code.of_others;
    let is_asked = |object: &&Object| code.trusted.contains(&object.id.oid) && is_large(catalog, object);
    for object in catalog.objects.iter().filter(is_asked) {
        let table = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        let planned = session.query_strings(&format!("EXPLAIN SELECT 1 FROM ONLY {}", table.sql())).await;
        match planned {
            Err(error) if error.sqlstate().is_some_and(|state| NOT_FOUND.contains(&state)) => {
                unplanned.insert(object.id.oid);
            }
            // whatever else is wrong with it, reading it will tell
            Err(error) if error.sqlstate().is_some() => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(unplanned)
}

fn is_large(catalog: &Catalog, object: &Object) -> bool {
    let size = catalog.relation_sizes.get(&object.id.oid);
    size.is_some_and(|size| size.heap_pages * PAGE_BYTES + size.toast_bytes > DEFAULT_SEGMENT_BYTES)
}
