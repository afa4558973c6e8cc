//! The whole of one database, read step by step.

use dbhaul_catalog::Catalog;
use dbhaul_postgres::Session;

use crate::reader::Reader;
use crate::{Error, kinds};

/// Reads everything the session's database is made of.
///
/// The session's search path must be empty, as a pinned session's is, so that
/// the server prints qualified names. Cancellation is the session's own.
pub async fn read_catalog(session: &Session) -> Result<Catalog, Error> {
    let mut reader = Reader::new(session, session.version());
    kinds::read_all(&mut reader).await?;
    let version = reader.version();
    Ok(Catalog { objects: reader.into_objects(), ..Catalog::empty(version) })
}
