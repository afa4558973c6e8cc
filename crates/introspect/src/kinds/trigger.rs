//! Reads triggers.

use dbhaul_catalog::kinds::{Body, Firing, Trigger};
use dbhaul_catalog::{Class, QualifiedName, SharedText};
use serde::Deserialize;

use super::table::part;
use super::table::sql::{USER_NAMESPACE, depends_on_extensions};
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    table_name: SharedText,
    definition: String,
    firing: char,
    is_partition_copy: bool,
    depends_on_extensions: Vec<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let rows: Vec<Row> = reader.query("triggers", &sql(reader.version().major())).await?;
    for row in rows {
        let body = Trigger {
            table: QualifiedName::new(&row.schema, &row.table_name),
            definition: row.definition,
            firing: firing("trigger", &row.name, row.firing)?,
            is_partition_copy: row.is_partition_copy,
            depends_on_extensions: row.depends_on_extensions,
        };
        reader.push(part(Class::PG_TRIGGER, row.oid, row.schema, row.name, Body::from(body)));
    }
    Ok(())
}

/// `tgenabled` or `ev_enabled`.
pub(super) fn firing(what: &str, name: &str, letter: char) -> Result<Firing, Error> {
    match letter {
        'O' => Ok(Firing::Origin),
        'D' => Ok(Firing::Disabled),
        'R' => Ok(Firing::Replica),
        'A' => Ok(Firing::Always),
        other => Err(Error::Unexpected {
            what: "the state",
            object: format!("{what} {name}"),
            value: other.to_string(),
        }),
    }
}

/// Triggers that enforce foreign keys come with them. A partition's copy of its
/// parent's trigger comes with that too, and is here only where it is switched
/// differently; before 15 such copies were marked as internal.
fn sql(major: u32) -> String {
    let (is_copy, own) = match major {
        ..15 => ("t.tgisinternal", "NOT t.tgisinternal"),
        _ => ("t.tgparentid <> 0", "NOT t.tgisinternal AND t.tgparentid = 0"),
    };
    format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.tgname AS name, c.relname AS table_name,
           pg_catalog.pg_get_triggerdef(t.oid, false) AS definition, t.tgenabled::text AS firing,
           {is_copy} AS is_partition_copy, {extensions} AS depends_on_extensions
         FROM pg_catalog.pg_trigger t
           JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_trigger parent ON parent.oid = t.tgparentid
         WHERE {USER_NAMESPACE} AND ({own} OR (t.tgenabled <> parent.tgenabled AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_constraint con WHERE con.oid = t.tgconstraint AND con.contype = 'f')))
         ORDER BY t.tgrelid, t.tgname",
        extensions = depends_on_extensions("pg_trigger", "t.oid"),
    )
}
