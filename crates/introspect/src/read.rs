//! The whole of one database, read step by step.

use std::collections::BTreeMap;

use dbhaul_catalog::{Catalog, Database};
use dbhaul_postgres::Session;

use crate::reader::Reader;
use crate::{Error, kinds};

/// Reads everything the session's database is made of.
///
/// The session's search path must be empty, as a pinned session's is, so that
/// the server prints qualified names. Cancellation is the session's own.
pub async fn read_catalog(session: &Session) -> Result<Catalog, Error> {
    let mut reader = Reader::new(session, session.server_version());
    kinds::read_all(&mut reader).await?;
    Ok(Catalog {
        server_version: reader.version(),
        database: Database::default(),
        objects: reader.into_objects(),
        dependencies: Vec::new(),
        relation_sizes: BTreeMap::new(),
        role_names: Vec::new(),
        uncovered: Vec::new(),
    })
}
