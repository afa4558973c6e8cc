//! Reads views.

use dbhaul_catalog::SharedText;
use dbhaul_catalog::kinds::{Body, View, ViewColumn};
use futures::try_join;
use serde::Deserialize;

use super::table::sql::USER_NAMESPACE;
use super::table::{RelationRow, columns};
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    owner: SharedText,
    acl: Option<Vec<String>>,
    options: Vec<String>,
    definition: String,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name,
           pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relacl::text[] AS acl,
           COALESCE(c.reloptions, '{{}}') AS options, pg_catalog.pg_get_viewdef(c.oid) AS definition
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'v' AND {USER_NAMESPACE}
         ORDER BY c.oid"
    );
    let (rows, mut columns) =
        try_join!(reader.query::<Row>("views", &sql), columns::read(reader, "'v'"))?;
    for row in rows {
        let columns = columns.remove(&row.oid).unwrap_or_default();
        let body = Body::from(view(
            row.options,
            &row.definition,
            columns.into_iter().map(ViewColumn::from).collect(),
        ));
        reader.push(RelationRow::object(row.oid, row.schema, row.name, row.owner, row.acl, body)?);
    }
    Ok(())
}

fn view(options: Vec<String>, definition: &str, columns: Vec<ViewColumn>) -> View {
    let check_option =
        options.iter().find_map(|option| option.strip_prefix("check_option=")).map(str::to_uppercase);
    View {
        options: options.into_iter().filter(|option| !option.starts_with("check_option=")).collect(),
        check_option,
        definition: query_text(definition),
        columns,
    }
}

/// The text of `pg_get_viewdef` or `pg_get_ruledef` without the final semicolon.
pub(super) fn query_text(definition: &str) -> String {
    definition.strip_suffix(';').unwrap_or(definition).to_owned()
}
