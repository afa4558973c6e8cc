//! Reads sequences and their values.

use std::collections::HashMap;

use dbhaul_catalog::kinds::{Body, IdentityKind, Sequence, SequenceOwner};
use dbhaul_catalog::{QualifiedName, SharedText, quote_literal};
use dbhaul_postgres::Flight;
use serde::{Deserialize, Serialize};

use super::table::RelationRow;
use super::table::sql::USER_NAMESPACE;
use crate::Error;
use crate::reader::Reader;

/// How many sequences are read by one statement.
const BATCH_SIZE: usize = 500;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    owner: SharedText,
    acl: Option<Vec<String>>,
    type_name: String,
    start: i64,
    increment: i64,
    min: i64,
    max: i64,
    cache: i64,
    cycle: bool,
    unlogged: bool,
    owned_by: Option<OwnerRow>,
}

#[derive(Deserialize)]
struct OwnerRow {
    table: QualifiedName,
    column: String,
    internal: bool,
    identity: String,
    column_type: String,
    table_unlogged: bool,
}

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceValue {
    /// The sequence.
    pub sequence: QualifiedName,
    /// `last_value`.
    pub last_value: i64,
    /// Whether `last_value` has been given out already.
    pub is_called: bool,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let rows: Vec<Row> = reader.query("sequences", &sql()).await?;
    for row in rows {
        let owned_by = row.owned_by.map(|owner| owner.into_owner(&row.type_name));
        let body = Sequence {
            type_name: row.type_name,
            start: row.start,
            increment: row.increment,
            min: row.min,
            max: row.max,
            cache: row.cache,
            cycle: row.cycle,
            unlogged: row.unlogged,
            owned_by,
            undeclared_columns: Vec::new(),
        };
        let body = Body::from(body);
        reader.push(RelationRow::object(row.oid, row.schema, row.name, row.owner, row.acl, body)?);
    }
    Ok(())
}

impl OwnerRow {
    fn into_owner(self, type_name: &str) -> SequenceOwner {
        let identity = match self.identity.as_str() {
            "a" if self.internal => Some(IdentityKind::Always),
            "d" if self.internal => Some(IdentityKind::ByDefault),
            _ => None,
        };
        let has_another = identity.is_some() && self.column_type != type_name;
        SequenceOwner {
            column_type: has_another.then_some(self.column_type),
            table: self.table,
            column: self.column,
            identity,
            table_unlogged: self.table_unlogged,
        }
    }
}

fn sql() -> String {
    format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name,
           pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relacl::text[] AS acl,
           pg_catalog.format_type(s.seqtypid, NULL) AS type_name, s.seqstart AS start,
           s.seqincrement AS increment, s.seqmin AS min, s.seqmax AS max, s.seqcache AS cache,
           s.seqcycle AS cycle, c.relpersistence = 'u' AS unlogged,
           (SELECT pg_catalog.json_build_object(
              'table', pg_catalog.json_build_object('schema', tn.nspname, 'name', t.relname),
              'column', a.attname, 'internal', d.deptype = 'i', 'identity', a.attidentity::text,
              'column_type', pg_catalog.format_type(a.atttypid, NULL), 'table_unlogged', t.relpersistence = 'u')
            FROM pg_catalog.pg_depend d
              JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
              JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
              JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
              AND d.deptype IN ('a', 'i') LIMIT 1) AS owned_by
         FROM pg_catalog.pg_sequence s
           JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND {USER_NAMESPACE}
         ORDER BY c.oid"
    )
}

/// Reads where the given sequences stand, in that order, a few hundred at a time: what is read in one message stays
/// locked until its end.
///
/// Sequences are not under the control of a snapshot: the values are those of
/// the moment, never older than the snapshot's. A sequence that may not be read
/// is an error.
///
/// Outside a transaction only: inside one every sequence stays locked, and many
/// fill the server's lock table.
pub async fn sequence_values(
    flight: &Flight<'_>,
    sequences: &[QualifiedName],
) -> Result<Vec<SequenceValue>, Error> {
    let mut values = Vec::with_capacity(sequences.len());
    for batch in sequences.chunks(BATCH_SIZE) {
        values.extend(batch_values(flight, batch).await?);
    }
    Ok(values)
}

/// Most sequences have given out a value, which a function tells of many at little
/// cost; the others are read as relations, one subquery each.
async fn batch_values(flight: &Flight<'_>, batch: &[QualifiedName]) -> Result<Vec<SequenceValue>, Error> {
    let failed = |source| Error::Query { what: "sequence values", source };
    let called: Vec<CalledRow> = flight.query_json(&called_sql(batch)).await.map_err(failed)?;
    let called: HashMap<usize, i64> = called.into_iter().map(|row| (row.position, row.last_value)).collect();
    let is_rest = |(position, _): &(usize, &QualifiedName)| !called.contains_key(position);
    let rest: Vec<QualifiedName> =
        batch.iter().enumerate().filter(is_rest).map(|(_, sequence)| sequence.clone()).collect();
    let mut read: Vec<SequenceValue> = Vec::new();
    if !rest.is_empty() {
        read = flight.query_json(&values_sql(&rest)).await.map_err(failed)?;
    }
    let mut read = read.into_iter();
    let value = |(position, sequence): (usize, &QualifiedName)| match called.get(&position) {
        Some(&last_value) => {
            Some(SequenceValue { sequence: sequence.clone(), last_value, is_called: true })
        }
        None => read.next(),
    };
    Ok(batch.iter().enumerate().filter_map(value).collect())
}

#[derive(Deserialize)]
struct CalledRow {
    position: usize,
    last_value: i64,
}

/// Where those sequences stand that have given out a value; `pg_sequence_last_value`
/// is NULL for the others (PostgreSQL src/backend/commands/sequence.c).
fn called_sql(batch: &[QualifiedName]) -> String {
    let list = |part: fn(&QualifiedName) -> &str| {
        batch.iter().map(|sequence| quote_literal(part(sequence))).collect::<Vec<_>>().join(", ")
    };
    let (schemas, names) = (list(|sequence| &sequence.schema), list(|sequence| &sequence.name));
    format!(
        "SELECT t.position - 1 AS position, v.last_value
         FROM ROWS FROM (pg_catalog.unnest(ARRAY[{schemas}]::pg_catalog.name[]),
                         pg_catalog.unnest(ARRAY[{names}]::pg_catalog.name[]))
              WITH ORDINALITY AS t(schema, name, position)
           JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema
           JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name AND c.relkind = 'S'
           CROSS JOIN LATERAL pg_catalog.pg_sequence_last_value(c.oid) AS v(last_value)
         WHERE v.last_value IS NOT NULL"
    )
}

fn values_sql(batch: &[QualifiedName]) -> String {
    let one = |(position, sequence): (usize, &QualifiedName)| {
        format!(
            "SELECT {position} AS position, pg_catalog.json_build_object('schema', {}::text, 'name', {}::text)
               AS sequence, last_value, is_called FROM {sequence}",
            quote_literal(&sequence.schema),
            quote_literal(&sequence.name),
        )
    };
    let parts: Vec<String> = batch.iter().enumerate().map(one).collect();
    format!(
        "SELECT v.sequence, v.last_value, v.is_called FROM ({}) v ORDER BY v.position",
        parts.join(" UNION ALL ")
    )
}
