//! Reads casts.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Cast, CastContext, CastMethod};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    source: String,
    target: String,
    function: Option<String>,
    method: String,
    context: String,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("casts", &sql).await? {
        let (header, cast) = cast(row)?;
        reader.push(header.object("casts", Class::PG_CAST, Body::from(cast))?);
    }
    Ok(())
}

/// The cast from a range to its multirange, from 14 on, comes with the range.
fn query(major: u32) -> String {
    let not_of_range = if major >= 14 {
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_range r
                         WHERE r.rngtypid = c.castsource AND r.rngmultitypid = c.casttarget)"
    } else {
        ""
    };
    format!(
        "SELECT q.oid, 'CAST (' || q.source || ' AS ' || q.target || ')' AS name, q.source, q.target,
                q.function, q.method, q.context
         FROM (SELECT c.oid::int8 AS oid, pg_catalog.format_type(c.castsource, NULL) AS source,
                      pg_catalog.format_type(c.casttarget, NULL) AS target,
                      {function} AS function, c.castmethod::text AS method, c.castcontext::text AS context
               FROM pg_catalog.pg_cast c
               WHERE c.oid >= {FIRST_USER_OID} {not_of_range}) q",
        function = signature("c.castfunc"),
    )
}

/// A function's qualified name with its argument types, from its OID in `column`.
pub(super) fn signature(column: &str) -> String {
    format!(
        "(SELECT pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.proname) || '('
                 || pg_catalog.array_to_string(ARRAY(
                        SELECT pg_catalog.format_type(a.type, NULL)
                        FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(type, place)
                        ORDER BY a.place), ', ') || ')'
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
          WHERE p.oid = {column})"
    )
}

fn cast(row: Row) -> Result<(Header, Cast), Error> {
    let header = row.header;
    let method = match (row.method.as_str(), row.function) {
        ("f", Some(function)) => CastMethod::Function { function },
        ("i", _) => CastMethod::InOut,
        ("b", _) => CastMethod::Binary,
        (other, _) => return Err(header.unexpected("the cast method", other)),
    };
    let context = match row.context.as_str() {
        "e" => CastContext::Explicit,
        "a" => CastContext::Assignment,
        "i" => CastContext::Implicit,
        other => return Err(header.unexpected("the cast context", other)),
    };
    Ok((header, Cast { source: row.source, target: row.target, method, context }))
}
