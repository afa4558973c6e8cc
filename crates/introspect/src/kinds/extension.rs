//! Reads extensions.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, ConfigurationTable, Extension};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    extension_schema: String,
    version: String,
    relocatable: bool,
    configuration: Option<Vec<ConfigurationTable>>,
}

/// Extensions that `initdb` installs, such as plpgsql, are everywhere and are
/// not carried (PostgreSQL src/bin/pg_dump/pg_dump.c, selectDumpableExtension).
/// An extension's owner cannot be changed, so it is not read.
pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT e.oid::int8 AS oid, e.extname AS name, n.nspname AS extension_schema,
                e.extversion AS version, e.extrelocatable AS relocatable,
                (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', cn.nspname,
                            'name', c.relname, 'condition', NULLIF(config.condition, ''))
                            ORDER BY config.place)
                 FROM ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition))
                      WITH ORDINALITY AS config(relation, condition, place)
                 JOIN pg_catalog.pg_class c ON c.oid = config.relation
                 JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace) AS configuration
         FROM pg_catalog.pg_extension e
         JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
         WHERE e.oid >= {FIRST_USER_OID}"
    );
    for row in reader.query::<Row>("extensions", &sql).await? {
        let extension = Extension {
            schema: row.extension_schema,
            version: row.version,
            relocatable: row.relocatable,
            configuration: row.configuration.unwrap_or_default(),
        };
        reader.push(row.header.object("extensions", Class::PG_EXTENSION, Body::from(extension))?);
    }
    Ok(())
}
