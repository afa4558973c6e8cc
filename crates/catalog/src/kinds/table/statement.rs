//! The statements that make a table.

use super::options::{generic_options, storage_parameters};
use super::{Column, ExpressionPlace, ReplicaIdentity, Table, TableKind};
use crate::quote_identifier;
use crate::render::Target;

impl Table {
    /// `CREATE TABLE`, with everything that it has syntax for.
    pub(super) fn create_statement(&self, name: &str, target: &Target) -> String {
        let unlogged =
            if self.unlogged && self.table_kind != TableKind::Partitioned { "UNLOGGED " } else { "" };
        let mut sql = format!("CREATE {unlogged}{} {name}", self.command());
        if let Some(of_type) = &self.of_type {
            sql.push_str(&format!(" OF {of_type}"));
        }
        let elements = self.elements();
        if !elements.is_empty() {
            sql.push_str(&format!(" (\n    {}\n)", elements.join(",\n    ")));
        } else if self.of_type.is_none() {
            sql.push_str(" (\n)");
        }
        for clause in self.clauses(target) {
            sql.push('\n');
            sql.push_str(&clause);
        }
        sql
    }

    /// Columns and constraints between the parentheses.
    fn elements(&self) -> Vec<String> {
        let columns = self.columns.iter().filter_map(|column| self.column_element(column));
        let check =
            |name: &str, definition: &str| format!("CONSTRAINT {} {definition}", quote_identifier(name));
        columns.chain(self.checks.iter().map(|one| check(&one.name, &one.definition))).collect()
    }

    fn column_element(&self, column: &Column) -> Option<String> {
        let not_null = column.not_null.as_ref().filter(|not_null| !not_null.not_valid);
        if !self.prints(column) {
            let local = not_null.filter(|not_null| not_null.is_local)?;
            return Some(local.table_element(&column.name));
        }
        let expression = column.inline_expression();
        let not_null = not_null.filter(|not_null| not_null.is_local || self.partition_of.is_some());
        if self.of_type.is_some() && expression.is_none() && not_null.is_none() {
            return None;
        }
        let mut sql = quote_identifier(&column.name);
        if self.of_type.is_none() {
            sql.push_str(&format!(" {}", column.type_name));
        }
        sql.push_str(&expression.unwrap_or_default());
        if let Some(not_null) = not_null {
            sql.push_str(&format!(" {}", not_null.column_clause()));
        }
        if let Some(collation) = column.collation.as_ref().filter(|_| self.of_type.is_none()) {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
        Some(sql)
    }

    /// What follows the parentheses, in the order of the grammar.
    fn clauses(&self, target: &Target) -> Vec<String> {
        let mut clauses = Vec::new();
        if !self.inherits.is_empty() {
            let parents: Vec<String> = self.inherits.iter().map(ToString::to_string).collect();
            clauses.push(format!("INHERITS ({})", parents.join(", ")));
        }
        clauses.extend(self.partition_key.as_ref().map(|key| format!("PARTITION BY {key}")));
        if let Some(foreign) = &self.foreign {
            clauses.push(format!("SERVER {}", quote_identifier(&foreign.server)));
            if !foreign.options.is_empty() {
                clauses.push(format!("OPTIONS ({})", generic_options(&foreign.options)));
            }
        }
        // A partitioned table can only say which access method its partitions get since 17.
        let keeps_method = self.table_kind != TableKind::Partitioned || target.version.major() >= 17;
        if let Some(method) = self.access_method.as_ref().filter(|_| keeps_method) {
            clauses.push(format!("USING {}", quote_identifier(method)));
        }
        let parameters =
            [storage_parameters(&self.options, ""), storage_parameters(&self.toast_options, "toast.")];
        let parameters: Vec<&str> =
            parameters.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        if !parameters.is_empty() {
            clauses.push(format!("WITH ({})", parameters.join(", ")));
        }
        clauses.extend(self.tablespace.as_ref().map(|name| format!("TABLESPACE {}", quote_identifier(name))));
        clauses
    }

    /// What only `ALTER TABLE` has syntax for.
    pub(super) fn alter_statements(&self, name: &str) -> Vec<String> {
        let command = self.command();
        let mut statements: Vec<String> = Vec::new();
        for column in &self.columns {
            let alter =
                format!("ALTER {command} ONLY {name} ALTER COLUMN {}", quote_identifier(&column.name));
            statements.extend(column_alterations(column).into_iter().map(|what| format!("{alter} {what}")));
        }
        match self.replica_identity {
            ReplicaIdentity::Nothing => {
                statements.push(format!("ALTER TABLE ONLY {name} REPLICA IDENTITY NOTHING"));
            }
            ReplicaIdentity::Full => {
                statements.push(format!("ALTER TABLE ONLY {name} REPLICA IDENTITY FULL"))
            }
            ReplicaIdentity::Default | ReplicaIdentity::Index => {}
        }
        if self.force_row_security {
            statements.push(format!("ALTER TABLE ONLY {name} FORCE ROW LEVEL SECURITY"));
        }
        statements
    }
}

/// What follows `ALTER COLUMN name` for everything `CREATE TABLE` does not say.
fn column_alterations(column: &Column) -> Vec<String> {
    let behind = column.default.as_ref().filter(|default| default.place == ExpressionPlace::Behind);
    let mut alterations = Vec::new();
    alterations.extend(behind.map(|default| format!("SET DEFAULT {}", default.expression)));
    alterations.extend(storage_alterations(
        column.statistics_target,
        column.storage.as_deref(),
        column.compression.as_deref(),
        &column.options,
    ));
    if !column.fdw_options.is_empty() {
        alterations.push(format!("OPTIONS ({})", generic_options(&column.fdw_options)));
    }
    alterations
}

/// What follows `ALTER COLUMN name` for a stored column of a table or materialized view.
pub(crate) fn storage_alterations(
    statistics_target: Option<i32>,
    storage: Option<&str>,
    compression: Option<&str>,
    options: &[String],
) -> Vec<String> {
    let mut alterations = Vec::new();
    alterations.extend(statistics_target.map(|target| format!("SET STATISTICS {target}")));
    alterations.extend(storage.map(|storage| format!("SET STORAGE {storage}")));
    alterations.extend(compression.map(|method| format!("SET COMPRESSION {method}")));
    if !options.is_empty() {
        alterations.push(format!("SET ({})", storage_parameters(options, "")));
    }
    alterations
}
