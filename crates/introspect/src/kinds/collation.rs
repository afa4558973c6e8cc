//! Reads collations.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Collation, CollationProvider};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    provider: String,
    deterministic: bool,
    collate: Option<String>,
    ctype: Option<String>,
    locale: Option<String>,
    rules: Option<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("collations", &sql).await? {
        let (header, collation) = collation(row)?;
        reader.push(header.object("collations", Class::PG_COLLATION, Body::from(collation))?);
    }
    Ok(())
}

/// An ICU locale is in `collcollate` before 15, in `colliculocale` before 17.
fn query(major: u32) -> String {
    let locale = match major {
        17.. => "c.colllocale",
        15 | 16 => "c.colliculocale",
        _ => "NULL",
    };
    let rules = if major >= 16 { "c.collicurules" } else { "NULL" };
    format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.collname AS name,
                pg_catalog.pg_get_userbyid(c.collowner) AS owner, c.collprovider::text AS provider,
                c.collisdeterministic AS deterministic, c.collcollate AS collate, c.collctype AS ctype,
                {locale} AS locale, {rules} AS rules
         FROM pg_catalog.pg_collation c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
         WHERE {USER_SCHEMA}"
    )
}

fn collation(row: Row) -> Result<(Header, Collation), Error> {
    let header = row.header;
    let provider = match row.provider.as_str() {
        "b" => CollationProvider::Builtin,
        "c" => CollationProvider::Libc,
        "i" => CollationProvider::Icu,
        other => return Err(header.unexpected("the collation provider", other)),
    };
    let Some(locale) = row.locale.or(row.collate) else {
        return Err(header.unexpected("the locale", "NULL"));
    };
    let ctype = row.ctype.filter(|ctype| provider == CollationProvider::Libc && *ctype != locale);
    Ok((header, Collation { provider, deterministic: row.deterministic, locale, ctype, rules: row.rules }))
}
