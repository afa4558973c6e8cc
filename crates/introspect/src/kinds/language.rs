//! Reads procedural languages.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Language};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    trusted: bool,
    handler: String,
    inline: Option<String>,
    validator: Option<String>,
}

/// Names of functions are qualified, also those of `pg_catalog`, as the grammar
/// takes names only.
pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let function = |column: &str| {
        format!(
            "(SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
              FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
              WHERE p.oid = l.{column})"
        )
    };
    let sql = format!(
        "SELECT l.oid::int8 AS oid, l.lanname AS name, pg_catalog.pg_get_userbyid(l.lanowner) AS owner,
                l.lanacl::text[] AS acl, l.lanpltrusted AS trusted, {handler} AS handler,
                {inline} AS inline, {validator} AS validator
         FROM pg_catalog.pg_language l
         WHERE l.lanispl AND l.oid >= {FIRST_USER_OID}",
        handler = function("lanplcallfoid"),
        inline = function("laninline"),
        validator = function("lanvalidator"),
    );
    for row in reader.query::<Row>("languages", &sql).await? {
        let language = Language {
            trusted: row.trusted,
            handler: row.handler,
            inline: row.inline,
            validator: row.validator,
        };
        reader.push(row.header.object("languages", Class::PG_LANGUAGE, Body::from(language))?);
    }
    Ok(())
}
