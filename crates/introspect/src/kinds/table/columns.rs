//! Reads the columns of relations.

use std::collections::HashMap;

use dbhaul_catalog::kinds::{
    Column, ColumnExpression, ColumnExtras, ExpressionPlace, ExpressionRole, IdentityKind, NotNull,
    column_options,
};
use dbhaul_catalog::{QualifiedName, SharedText, parse_acl};
use serde::Deserialize;

use super::sql;
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    relation_oid: u32,
    name: SharedText,
    type_name: SharedText,
    base_type_name: SharedText,
    base_type_kind: char,
    collation: Option<QualifiedName>,
    not_null: Option<Box<NotNull>>,
    expression: Option<SharedText>,
    separate: bool,
    generated: String,
    identity: String,
    storage: Option<String>,
    compression: Option<String>,
    statistics_target: Option<i32>,
    options: Vec<String>,
    fdw_options: Vec<(String, String)>,
    is_local: bool,
    inherit_count: i32,
    acl: Option<Vec<String>>,
}

/// The columns of all relations of some `relkind`s, by relation, in the order of
/// their numbers.
pub(in crate::kinds) async fn read(
    reader: &Reader<'_>,
    relkinds: &str,
) -> Result<HashMap<u32, Vec<Column>>, Error> {
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    let mut problem = None;
    let take = |row: Row| {
        let relation_oid = row.relation_oid;
        match row.into_column() {
            Ok(column) => columns.entry(relation_oid).or_default().push(column),
            Err(error) => problem = Some(error),
        }
    };
    reader.query_each("columns", &sql::columns(relkinds, reader.version().major()), take).await?;
    if let Some(error) = problem {
        return Err(error);
    }
    columns.values_mut().for_each(Vec::shrink_to_fit);
    Ok(columns)
}

impl Row {
    fn into_column(mut self) -> Result<Column, Error> {
        let default = self.default()?;
        let identity = match self.identity.as_str() {
            "a" => Some(IdentityKind::Always),
            "d" => Some(IdentityKind::ByDefault),
            "" => None,
            other => return Err(self.unexpected("identity", other)),
        };
        let acl = self.acl.map(|items| parse_acl(&items)).transpose();
        let extras = ColumnExtras {
            acl: acl.map_err(|source| Error::Acl { what: "columns", source })?,
            collation: self.collation,
            storage: self.storage,
            compression: self.compression,
            statistics_target: self.statistics_target,
            options: column_options(self.options),
            fdw_options: self.fdw_options,
            comment: None,
            security_labels: Vec::new(),
            drops_not_null: false,
        };
        Ok(Column {
            default,
            identity,
            name: self.name,
            type_name: self.type_name,
            base_type_name: self.base_type_name,
            base_type_kind: self.base_type_kind,
            not_null: self.not_null,
            is_local: self.is_local,
            inherit_count: self.inherit_count,
            extras: extras.boxed(),
        })
    }

    fn default(&mut self) -> Result<Option<Box<ColumnExpression>>, Error> {
        let role = match self.generated.as_str() {
            "" => ExpressionRole::Default,
            "s" => ExpressionRole::Stored,
            "v" => ExpressionRole::Virtual,
            other => return Err(self.unexpected("generation", other)),
        };
        let place = if self.separate { ExpressionPlace::Separate } else { ExpressionPlace::Inline };
        let expression = self.expression.take();
        Ok(expression.map(|expression| Box::new(ColumnExpression { expression, role, place })))
    }

    fn unexpected(&self, what: &'static str, value: &str) -> Error {
        Error::Unexpected { what, object: format!("column {}", self.name), value: value.to_owned() }
    }
}
