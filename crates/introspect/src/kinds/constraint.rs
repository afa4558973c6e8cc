//! Reads constraints of tables.

use dbhaul_catalog::kinds::{Body, Constraint, ConstraintIndex, ConstraintType, IndexProperties};
use dbhaul_catalog::{Class, Object, QualifiedName, SharedText};
use serde::Deserialize;

use super::index::{column_statistics, property_columns};
use super::table::part;
use super::table::sql::{CHECK_IS_SEPARATE, USER_NAMESPACE, is_validated_later};
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    table_name: SharedText,
    table_is_partitioned: bool,
    contype: char,
    definition: String,
    deferrable: bool,
    initially_deferred: bool,
    is_local: bool,
    separate: bool,
    validated_later: bool,
    switched_off: bool,
    referenced_table: Option<QualifiedName>,
    index: Option<IndexRow>,
}

#[derive(Deserialize)]
struct IndexRow {
    name: String,
    definition: String,
    can_be_adopted: bool,
    options: Vec<String>,
    #[serde(flatten)]
    properties: IndexProperties,
    column_statistics: Vec<(i16, i32)>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let mut objects = Vec::new();
    let mut problem = None;
    let take = |row: Row| match row.into_object() {
        Ok(object) => objects.push(object),
        Err(error) => problem = Some(error),
    };
    reader.query_each("constraints", &sql(reader.version().major()), take).await?;
    reader.extend(objects);
    problem.map_or(Ok(()), Err)
}

impl Row {
    fn into_object(mut self) -> Result<Object, Error> {
        let constraint_type = self.constraint_type()?;
        let body = Constraint {
            table: QualifiedName::new(&self.schema, self.table_name),
            table_is_partitioned: self.table_is_partitioned,
            constraint_type,
            definition: self.definition,
            deferrable: self.deferrable,
            initially_deferred: self.initially_deferred,
            is_local: self.is_local,
            separate: self.separate,
            validated_later: self.validated_later,
            switched_off: self.switched_off,
            index: self.index.take().map(IndexRow::into_index).map(Box::new),
            referenced_table: self.referenced_table,
        };
        Ok(part(Class::PG_CONSTRAINT, self.oid, self.schema, self.name, Body::from(body)))
    }

    fn constraint_type(&self) -> Result<ConstraintType, Error> {
        Ok(match self.contype {
            'c' => ConstraintType::Check,
            'n' => ConstraintType::NotNull,
            'p' => ConstraintType::PrimaryKey,
            'u' => ConstraintType::Unique,
            'x' => ConstraintType::Exclusion,
            'f' => ConstraintType::ForeignKey,
            other => {
                let object = format!("constraint {} of {}.{}", self.name, self.schema, self.table_name);
                return Err(Error::Unexpected { what: "the type", object, value: other.to_string() });
            }
        })
    }
}

impl IndexRow {
    fn into_index(self) -> ConstraintIndex {
        ConstraintIndex {
            name: self.name,
            index_definition: self.definition,
            can_be_adopted: self.can_be_adopted,
            options: self.options,
            properties: self.properties,
            column_statistics: self.column_statistics,
        }
    }
}

/// Foreign keys that a partitioned table's foreign key has made (`conparentid`)
/// are left out, as they come with it. `NOT NULL` constraints belong to their
/// columns; only those that need something more are here.
fn sql(major: u32) -> String {
    let period = if major >= 18 { "con.conperiod" } else { "false" };
    let later = is_validated_later("con", major);
    format!(
        "SELECT con.oid::int8 AS oid, n.nspname AS schema, con.conname AS name, c.relname AS table_name,
           c.relkind = 'p' AS table_is_partitioned, con.contype::text AS contype,
           pg_catalog.pg_get_constraintdef(con.oid) AS definition, con.condeferrable AS deferrable,
           con.condeferred AS initially_deferred, con.conislocal AS is_local,
           CASE con.contype WHEN 'c' THEN {CHECK_IS_SEPARATE} WHEN 'n' THEN NOT con.convalidated ELSE true END
             AS separate,
           {later} AS validated_later,
           con.contype = 'f' AND EXISTS (
             SELECT FROM pg_catalog.pg_constraint part
               JOIN pg_catalog.pg_trigger t ON t.tgconstraint = part.oid AND t.tgenabled IN ('D', 'R')
             WHERE part.contype = 'f' AND (part.oid = con.oid OR part.conparentid = con.oid)) AS switched_off,
           (SELECT pg_catalog.json_build_object('schema', fn.nspname, 'name', f.relname)
            FROM pg_catalog.pg_class f JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
            WHERE f.oid = con.confrelid) AS referenced_table,
           (SELECT pg_catalog.row_to_json(q) FROM (
              SELECT ic.relname AS name, pg_catalog.pg_get_indexdef(ic.oid) AS definition,
                c.relkind = 'r' AND con.contype IN ('p', 'u') AND am.amname = 'btree' AND NOT {period}
                  AS can_be_adopted,
                COALESCE(ic.reloptions, '{{}}') AS options, {properties},
                {statistics} AS column_statistics
              FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
                JOIN pg_catalog.pg_am am ON am.oid = ic.relam
              WHERE i.indexrelid = con.conindid AND con.contype IN ('p', 'u', 'x')) q) AS index
         FROM pg_catalog.pg_constraint con
           JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'f') AND {USER_NAMESPACE}
           AND (con.contype IN ('c', 'p', 'u', 'x') OR (con.contype = 'f' AND (con.conparentid = 0 OR {later}))
             OR (con.contype = 'n' AND (NOT con.convalidated OR {later}
               OR pg_catalog.obj_description(con.oid, 'pg_constraint') IS NOT NULL)))
         ORDER BY con.conrelid, con.conname",
        properties = property_columns(),
        statistics = column_statistics(),
    )
}
