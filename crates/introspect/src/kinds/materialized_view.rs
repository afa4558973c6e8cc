//! Reads materialized views.

use std::collections::HashMap;

use dbhaul_catalog::kinds::{Body, MaterializedView, ViewColumn};
use futures::try_join;
use serde::Deserialize;

use super::table::sql::{USER_NAMESPACE, relations};
use super::table::{RelationRow, columns};
use super::view::query_text;
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct DefinitionRow {
    oid: u32,
    definition: String,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let relations_sql = relations("'m'");
    let (relations, mut columns, mut definitions) = try_join!(
        reader.query::<RelationRow>("materialized views", &relations_sql),
        columns::read(reader, "'m'"),
        read_definitions(reader),
    )?;
    for mut row in relations {
        let (oid, schema, name, owner) = (row.oid, row.schema.clone(), row.name.clone(), row.owner.clone());
        let acl = row.take_acl();
        let Some(definition) = definitions.remove(&oid) else {
            let object = format!("materialized view {schema}.{name}");
            return Err(Error::Unexpected { what: "the definition", object, value: "none".to_owned() });
        };
        let columns = columns.remove(&oid).unwrap_or_default().into_iter().map(ViewColumn::from).collect();
        let body = Body::from(materialized_view(row, definition, columns));
        reader.push(RelationRow::object(oid, schema, name, owner, acl, body)?);
    }
    Ok(())
}

fn materialized_view(row: RelationRow, definition: String, columns: Vec<ViewColumn>) -> MaterializedView {
    MaterializedView {
        definition,
        columns,
        replica_identity: row.replica_identity(),
        unlogged: row.unlogged,
        options: row.options,
        toast_options: row.toast_options,
        access_method: row.access_method,
        tablespace: row.tablespace,
        populated: row.populated,
        undeclared_columns: Vec::new(),
        depends_on_extensions: row.depends_on_extensions,
    }
}

async fn read_definitions(reader: &Reader<'_>) -> Result<HashMap<u32, String>, Error> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, pg_catalog.pg_get_viewdef(c.oid) AS definition
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'm' AND {USER_NAMESPACE}"
    );
    let rows: Vec<DefinitionRow> = reader.query("materialized views", &sql).await?;
    Ok(rows.into_iter().map(|row| (row.oid, query_text(&row.definition))).collect())
}
