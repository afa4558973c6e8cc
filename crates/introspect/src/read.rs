//! The whole of one database.

use dbhaul_catalog::Catalog;
use dbhaul_postgres::{Flight, Session};
use futures::try_join;

use crate::depends::{Dependencies, mark_members};
use crate::guard::Existing;
use crate::reader::Reader;
use crate::{Error, annotations, database, hypertables, kinds, partitioning, privileges, sizes};

/// Reads everything the session's database is made of.
///
/// The session's search path must be empty, as a pinned session's is, so that
/// the server prints qualified names. Cancellation is the session's own.
///
/// All is asked in a few messages, however much there is: first what depends on no answer, then what names
/// catalogs or tables that were found.
pub async fn read_catalog(session: &Session) -> Result<Catalog, Error> {
    let flight = Flight::new(session);
    Box::pin(flight.run(read(&flight))).await
}

async fn read(flight: &Flight<'_>) -> Result<Catalog, Error> {
    let reader = &Reader::new(flight);
    let (
        mut objects,
        undeclared,
        notes,
        database,
        initial_acls,
        system_privileges,
        sizes,
        unstable,
        existing,
        rows,
    ) = try_join!(
        Box::pin(kinds::read_all(flight)),
        privileges::read_undeclared_columns(reader),
        annotations::read(reader),
        database::read(reader),
        privileges::read_initial(reader),
        privileges::read_system(reader),
        sizes::read(reader),
        partitioning::read(reader),
        Box::pin(Existing::read(reader)),
        Dependencies::read(reader),
    )?;
    privileges::add_undeclared_columns(&mut objects, undeclared);
    let dependencies = rows.among(&objects);
    mark_members(&mut objects, &dependencies);
    let notes = notes.hang_on(&mut objects, &dependencies);
    let (hypertables, uncovered) =
        try_join!(hypertables::read(reader, &objects), existing.uncovered(reader, &dependencies))?;
    let mut catalog = Catalog {
        server_version: reader.version(),
        dependencies: dependencies.edges(),
        notes,
        initial_acls: initial_acls.of(&dependencies)?,
        system_privileges,
        configuration: Vec::new(),
        relation_sizes: sizes,
        unstable_hashes: unstable,
        torn_families: Vec::new(),
        hypertables,
        unselected: std::collections::BTreeMap::new(),
        role_names: Vec::new(),
        uncovered,
        database,
        objects,
    };
    catalog.gather_role_names();
    Ok(catalog)
}
