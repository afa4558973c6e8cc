//! The whole of one database, read step by step.

use dbhaul_catalog::Catalog;
use dbhaul_postgres::Session;

use crate::depends::{Dependencies, mark_members};
use crate::reader::Reader;
use crate::{Error, annotations, database, guard, hypertables, kinds, partitioning, privileges, sizes};

/// Reads everything the session's database is made of.
///
/// The session's search path must be empty, as a pinned session's is, so that
/// the server prints qualified names. Cancellation is the session's own.
pub async fn read_catalog(session: &Session) -> Result<Catalog, Error> {
    let mut reader = Reader::new(session, session.version());
    kinds::read_all(&mut reader).await?;
    privileges::read_undeclared_columns(&mut reader).await?;
    let dependencies = Dependencies::read(&reader).await?;
    mark_members(reader.objects_mut(), &dependencies);
    let notes = annotations::read(&mut reader, &dependencies).await?;
    let database = database::read(&reader).await?;
    let mut catalog = Catalog {
        server_version: reader.version(),
        dependencies: dependencies.edges(),
        notes,
        initial_acls: privileges::read_initial(&reader, &dependencies).await?,
        system_privileges: privileges::read_system(&reader).await?,
        configuration: Vec::new(),
        relation_sizes: sizes::read(&reader).await?,
        unstable_hashes: partitioning::read(&reader).await?,
        torn_families: Vec::new(),
        hypertables: hypertables::read(&reader).await?,
        unselected: std::collections::BTreeMap::new(),
        role_names: Vec::new(),
        uncovered: guard::uncovered(&reader, &dependencies).await?,
        database,
        objects: reader.into_objects(),
    };
    catalog.gather_role_names();
    Ok(catalog)
}
