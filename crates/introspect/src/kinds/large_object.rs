//! Reads large objects' owners and privileges; their contents travel with the rows.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, LargeObject};

use crate::Error;
use crate::header::Header;
use crate::reader::Reader;

const QUERY: &str = "
    SELECT l.oid::int8 AS oid, l.oid::text AS name, pg_catalog.pg_get_userbyid(l.lomowner) AS owner,
           l.lomacl::text[] AS acl
    FROM pg_catalog.pg_largeobject_metadata l
    ORDER BY l.oid";

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    for header in reader.query::<Header>("large objects", QUERY).await? {
        let body = Body::from(LargeObject {});
        reader.push(header.object("large objects", Class::PG_LARGEOBJECT_METADATA, body)?);
    }
    Ok(())
}
