//! A materialized view.

use serde::{Deserialize, Serialize};

use super::table::options::storage_parameters;
use super::table::statement::storage_alterations;
use super::{ReplicaIdentity, UndeclaredColumn, ViewColumn};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_identifier};

/// A materialized view.
///
/// It is created without rows; one that is `populated` is refreshed by a
/// `MATERIALIZED VIEW DATA` entry after the rows it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterializedView {
    /// `pg_get_viewdef`, without the final semicolon.
    pub definition: String,
    /// Columns in the order of their numbers.
    pub columns: Vec<ViewColumn>,
    /// `UNLOGGED`, which old servers allowed.
    pub unlogged: bool,
    /// `name=value` of `reloptions`.
    pub options: Vec<String>,
    /// `name=value` of the TOAST table's `reloptions`.
    pub toast_options: Vec<String>,
    /// The table access method, unless it is `heap`.
    pub access_method: Option<String>,
    /// The tablespace, unless it is the database's.
    pub tablespace: Option<String>,
    /// What identifies an old row to logical replication.
    pub replica_identity: ReplicaIdentity,
    /// Whether it has been filled: `relispopulated`.
    pub populated: bool,
    /// Extensions it goes away with: `DEPENDS ON EXTENSION`.
    pub depends_on_extensions: Vec<String>,
    /// Privileges on columns that no statement declares, such as `ctid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_columns: Vec<UndeclaredColumn>,
}

impl MaterializedView {
    /// The statement that fills it.
    pub fn refresh_statement(object: &Object) -> String {
        format!("REFRESH MATERIALIZED VIEW {}", object.sql_name())
    }

    fn create_statement(&self, name: &str) -> String {
        let mut sql = format!("CREATE MATERIALIZED VIEW {name}");
        if let Some(method) = &self.access_method {
            sql.push_str(&format!("\nUSING {}", quote_identifier(method)));
        }
        let parameters =
            [storage_parameters(&self.options, ""), storage_parameters(&self.toast_options, "toast.")];
        let parameters: Vec<&str> =
            parameters.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        if !parameters.is_empty() {
            sql.push_str(&format!("\nWITH ({})", parameters.join(", ")));
        }
        if let Some(tablespace) = &self.tablespace {
            sql.push_str(&format!("\nTABLESPACE {}", quote_identifier(tablespace)));
        }
        sql.push_str(&format!(" AS\n{}\n  WITH NO DATA", self.definition));
        sql
    }

    fn alter_statements(&self, name: &str) -> Vec<String> {
        let mut statements = Vec::new();
        for column in &self.columns {
            let alter =
                format!("ALTER MATERIALIZED VIEW {name} ALTER COLUMN {}", quote_identifier(&column.name));
            let alterations = storage_alterations(
                column.statistics_target,
                column.storage.as_deref(),
                column.compression.as_deref(),
                &column.options,
            );
            statements.extend(alterations.into_iter().map(|what| format!("{alter} {what}")));
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
        let depends = |extension: &String| {
            format!("ALTER MATERIALIZED VIEW {name} DEPENDS ON EXTENSION {}", quote_identifier(extension))
        };
        statements.extend(self.depends_on_extensions.iter().map(depends));
        statements
    }
}

impl Render for MaterializedView {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let kind = EntryKind::MaterializedView;
        let mut create = vec![self.create_statement(&name)];
        create.extend(self.alter_statements(&name));
        vec![Draft { create, ..Draft::owned(Section::PreData, kind, &name, String::new()) }]
    }
}

#[cfg(test)]
mod tests {
    use super::MaterializedView;
    use crate::kinds::{Body, ReplicaIdentity, ViewColumn, sample};

    #[test]
    fn a_materialized_view_is_made_empty() {
        let column = ViewColumn {
            name: "a".to_owned(),
            type_name: "text".to_owned(),
            collation: None,
            storage: Some("PLAIN".to_owned()),
            compression: Some("lz4".to_owned()),
            statistics_target: Some(5),
            options: Vec::new(),
            acl: None,
            comment: None,
            security_labels: Vec::new(),
        };
        let view = MaterializedView {
            definition: " SELECT a\n   FROM s.t".to_owned(),
            columns: vec![column],
            unlogged: false,
            options: vec!["fillfactor=50".to_owned()],
            toast_options: Vec::new(),
            access_method: Some("columnar".to_owned()),
            tablespace: Some("fast".to_owned()),
            replica_identity: ReplicaIdentity::Nothing,
            populated: true,
            undeclared_columns: Vec::new(),
            depends_on_extensions: vec!["citext".to_owned()],
        };
        sample::check(
            true,
            Body::from(view),
            "CREATE MATERIALIZED VIEW s.n\nUSING columnar\nWITH (fillfactor=50)\nTABLESPACE fast AS\n SELECT a\n   FROM s.t\n  WITH NO DATA;\n\
             ALTER MATERIALIZED VIEW s.n ALTER COLUMN a SET STATISTICS 5;\n\
             ALTER MATERIALIZED VIEW s.n ALTER COLUMN a SET STORAGE PLAIN;\n\
             ALTER MATERIALIZED VIEW s.n ALTER COLUMN a SET COMPRESSION lz4;\n\
             ALTER TABLE ONLY s.n REPLICA IDENTITY NOTHING;\n\
             ALTER MATERIALIZED VIEW s.n DEPENDS ON EXTENSION citext;\n",
        );
    }
}
