//! Reads tables: ordinary, partitioned and foreign.

pub(super) mod columns;
mod inheritance;
mod order;
pub(super) mod sql;

use std::collections::{HashMap, HashSet};

use dbhaul_catalog::kinds::{
    Body, Column, ForeignSource, InlineCheck, PartitionOf, ReplicaIdentity, Table, TableKind,
};
use dbhaul_catalog::{Class, Object, ObjectId, QualifiedName, SharedText, parse_acl, quote_identifier};
use futures::try_join;
use serde::Deserialize;

use crate::Error;
use crate::reader::Reader;

/// Everything of `pg_class` that tables and materialized views share.
#[derive(Deserialize)]
pub(super) struct RelationRow {
    pub(super) oid: u32,
    pub(super) schema: SharedText,
    pub(super) name: String,
    pub(super) owner: SharedText,
    acl: Option<Vec<String>>,
    relkind: char,
    pub(super) unlogged: bool,
    pub(super) options: Vec<String>,
    pub(super) toast_options: Vec<String>,
    pub(super) access_method: Option<String>,
    pub(super) tablespace: Option<String>,
    row_security: bool,
    force_row_security: bool,
    replica_identity: char,
    pub(super) populated: bool,
    pub(super) depends_on_extensions: Vec<String>,
    of_type: Option<String>,
    partition_key: Option<String>,
    bound: Option<String>,
    parents: Vec<Parent>,
    server: Option<String>,
    fdw_options: Vec<(String, String)>,
    row_type_is_used: bool,
}

#[derive(Deserialize)]
struct Parent {
    oid: u32,
    schema: SharedText,
    name: SharedText,
}

#[derive(Deserialize)]
struct CheckRow {
    table_oid: u32,
    name: String,
    definition: String,
    is_own: bool,
}

impl RelationRow {
    pub(super) fn replica_identity(&self) -> ReplicaIdentity {
        match self.replica_identity {
            // A foreign table has 'n' and cannot be altered.
            'n' if self.relkind != 'f' => ReplicaIdentity::Nothing,
            'f' => ReplicaIdentity::Full,
            'i' => ReplicaIdentity::Index,
            _ => ReplicaIdentity::Default,
        }
    }

    /// The object around a body, with the relation's name, owner and privileges.
    pub(super) fn object(
        oid: u32,
        schema: SharedText,
        name: String,
        owner: SharedText,
        acl: Option<Vec<String>>,
        body: Body,
    ) -> Result<Object, Error> {
        let acl = acl.map(|items| parse_acl(&items)).transpose();
        Ok(Object {
            id: ObjectId::new(Class::PG_CLASS, oid),
            schema: Some(schema),
            name,
            owner: Some(owner),
            acl: acl.map_err(|source| Error::Acl { what: "relations", source })?,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body,
        })
    }

    /// Splits off the privileges.
    pub(super) fn take_acl(&mut self) -> Option<Vec<String>> {
        self.acl.take()
    }

    fn table_kind(&self) -> TableKind {
        match self.relkind {
            'p' => TableKind::Partitioned,
            'f' => TableKind::Foreign,
            _ => TableKind::Ordinary,
        }
    }

    fn into_table(self, columns: Vec<Column>, checks: Vec<InlineCheck>, inherits_later: bool) -> Table {
        let field_order = self.row_type_is_used.then(|| field_order(&columns));
        let names: Vec<QualifiedName> =
            self.parents.iter().map(|parent| QualifiedName::new(&parent.schema, &parent.name)).collect();
        let partition_of = self
            .bound
            .clone()
            .zip(names.first().cloned())
            .map(|(bound, parent)| PartitionOf { parent, bound });
        Table {
            table_kind: self.table_kind(),
            unlogged: self.unlogged,
            columns,
            checks,
            of_type: self.of_type.clone(),
            inherits: if partition_of.is_some() { Vec::new() } else { names },
            partition_of,
            partition_key: self.partition_key.clone(),
            row_security: self.row_security,
            force_row_security: self.force_row_security,
            replica_identity: self.replica_identity(),
            foreign: self.server.map(|server| ForeignSource { server, options: self.fdw_options }),
            options: self.options,
            toast_options: self.toast_options,
            access_method: self.access_method,
            tablespace: self.tablespace,
            field_order,
            inherits_later,
            undeclared_columns: Vec::new(),
        }
    }
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let (relations_sql, checks_sql) = (sql::relations("'r', 'p', 'f'"), sql::inline_checks());
    let (relations, mut columns, checks) = try_join!(
        reader.query::<RelationRow>("tables", &relations_sql),
        columns::read(reader, "'r', 'p', 'f'"),
        reader.query::<CheckRow>("check constraints", &checks_sql),
    )?;
    let parents: HashMap<u32, Vec<u32>> = relations
        .iter()
        .map(|row| (row.oid, row.parents.iter().map(|parent| parent.oid).collect()))
        .collect();
    let used = |row: &&RelationRow| row.row_type_is_used && row.bound.is_none();
    let used: HashSet<u32> = relations.iter().filter(used).map(|row| row.oid).collect();
    let later = order::inheriting_later(&columns, &parents, &used);
    let partitions = relations.iter().filter(|row| row.bound.is_some()).map(|row| row.oid);
    let alone = partitions.chain(later.iter().copied()).collect();
    inheritance::settle(&mut columns, &parents, &alone, reader.version());
    let mut checks = inline_checks(checks, &later);
    for mut row in relations {
        let (oid, schema, name, owner) = (row.oid, row.schema.clone(), row.name.clone(), row.owner.clone());
        let acl = row.take_acl();
        let columns = columns.remove(&oid).unwrap_or_default();
        let checks = checks.remove(&oid).unwrap_or_default();
        let table = row.into_table(columns, checks, later.contains(&oid));
        reader.push(RelationRow::object(oid, schema, name, owner, acl, Body::from(table))?);
    }
    Ok(())
}

/// The names of columns as a value of the row type has its fields.
fn field_order(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(&column.name)).collect();
    format!("({})", names.join(", "))
}

/// Check constraints that stand in `CREATE TABLE`, by table.
fn inline_checks(rows: Vec<CheckRow>, later: &HashSet<u32>) -> HashMap<u32, Vec<InlineCheck>> {
    let mut checks: HashMap<u32, Vec<InlineCheck>> = HashMap::new();
    for row in rows.into_iter().filter(|row| row.is_own || later.contains(&row.table_oid)) {
        let check = InlineCheck { name: row.name, definition: row.definition };
        checks.entry(row.table_oid).or_default().push(check);
    }
    checks
}

/// An object that is part of a relation: without privileges, and owned by the relation's owner.
pub(super) fn part(class: Class, oid: u32, schema: SharedText, name: String, body: Body) -> Object {
    Object {
        id: ObjectId::new(class, oid),
        schema: Some(schema),
        name,
        owner: None,
        acl: None,
        comment: None,
        security_labels: Vec::new(),
        extension: None,
        body,
    }
}
