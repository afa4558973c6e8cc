//! A constraint of a table.

use serde::{Deserialize, Serialize};

use super::IndexProperties;
use super::table::options::with_clause;
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{Object, QualifiedName, quote_identifier};

/// A constraint of a table, in the schema of it.
///
/// Check constraints that need nothing but their own table and types stand in
/// `CREATE TABLE`; then this renders nothing, and what it depends on, the table
/// depends on. All others are added after the rows. `NOT NULL` constraints are
/// part of their [`Column`](super::Column) and are listed only where they are
/// `NOT VALID` or carry a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// The table.
    pub table: QualifiedName,
    /// Whether the table is partitioned: a foreign key then goes to all partitions.
    pub table_is_partitioned: bool,
    /// What it demands.
    pub constraint_type: ConstraintType,
    /// `pg_get_constraintdef`: for a key without storage parameters and tablespace.
    pub definition: String,
    /// `DEFERRABLE`; part of `definition` too.
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`; part of `definition` too.
    pub initially_deferred: bool,
    /// Whether the table itself defines it, besides any parents.
    pub is_local: bool,
    /// Whether it is added by a statement of its own, after the rows.
    pub separate: bool,
    /// The index that enforces it, for primary key, unique and exclusion.
    pub index: Option<ConstraintIndex>,
    /// The table a foreign key refers to.
    pub referenced_table: Option<QualifiedName>,
}

/// What a constraint demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConstraintType {
    /// `CHECK`.
    Check,
    /// `NOT NULL`; since 18.
    NotNull,
    /// `PRIMARY KEY`.
    PrimaryKey,
    /// `UNIQUE`.
    Unique,
    /// `EXCLUDE`.
    Exclusion,
    /// `FOREIGN KEY`.
    ForeignKey,
}

/// The index that enforces a constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConstraintIndex {
    /// Its name, in the schema of the table.
    pub name: String,
    /// `pg_get_indexdef`, from which the same index can be built by itself and
    /// then adopted by `ADD CONSTRAINT ... USING INDEX`.
    pub index_definition: String,
    /// Whether it can be built so: a plain btree that is neither an exclusion
    /// constraint's, `WITHOUT OVERLAPS`, nor on a partitioned table.
    pub can_be_adopted: bool,
    /// `name=value` of its `reloptions`.
    pub options: Vec<String>,
    /// Everything beside its definition.
    pub properties: IndexProperties,
}

impl Constraint {
    /// `name ON table`, the form `COMMENT ON CONSTRAINT` wants.
    fn address(&self, object: &Object) -> String {
        format!("CONSTRAINT {} ON {}", quote_identifier(&object.name), self.table)
    }

    fn draft(&self, object: &Object, kind: &'static str, only: &str, definition: &str) -> Draft {
        let name = quote_identifier(&object.name);
        let table = &self.table;
        let add = format!("ALTER TABLE {only}{table} ADD CONSTRAINT {name} {definition}");
        let drop =
            DropStatement { command: format!("ALTER TABLE {only}{table} DROP CONSTRAINT"), object: name };
        Draft {
            address: Some(self.address(object)),
            drop: Some(drop),
            ..Draft::new(Section::PostData, kind, add)
        }
    }

    /// A key with the index that enforces it and everything beside that.
    fn key_drafts(&self, object: &Object, index: &ConstraintIndex) -> Vec<Draft> {
        let name = QualifiedName::new(&self.table.schema, &index.name);
        let mut main = self.draft(object, "CONSTRAINT", "ONLY ", &self.key_definition(index));
        if self.constraint_type == ConstraintType::Exclusion
            && let Some(tablespace) = &index.properties.tablespace
        {
            let tablespace = quote_identifier(tablespace);
            main.create.push(format!("ALTER INDEX {name} SET TABLESPACE {tablespace}"));
        }
        main.create.extend(index.properties.alter_statements(&self.table, &name));
        std::iter::once(main).chain(index.properties.attach_draft(&name)).collect()
    }

    /// The definition with storage parameters and tablespace where the grammar
    /// wants them: behind the columns, before `DEFERRABLE`. An exclusion
    /// constraint's definition has its parameters already.
    fn key_definition(&self, index: &ConstraintIndex) -> String {
        if self.constraint_type == ConstraintType::Exclusion {
            return self.definition.clone();
        }
        let mut attributes = String::new();
        if self.deferrable {
            attributes.push_str(" DEFERRABLE");
        }
        if self.initially_deferred {
            attributes.push_str(" INITIALLY DEFERRED");
        }
        let head = self.definition.strip_suffix(&attributes).unwrap_or(&self.definition);
        let with = with_clause(&index.options);
        let tablespace = index.properties.tablespace.as_ref();
        let tablespace = tablespace
            .map(|name| format!(" USING INDEX TABLESPACE {}", quote_identifier(name)))
            .unwrap_or_default();
        format!("{head}{with}{tablespace}{attributes}")
    }

    fn drafts(&self, object: &Object) -> Vec<Draft> {
        match (self.constraint_type, &self.index) {
            (
                ConstraintType::PrimaryKey | ConstraintType::Unique | ConstraintType::Exclusion,
                Some(index),
            ) => self.key_drafts(object, index),
            (ConstraintType::ForeignKey, _) => {
                let only = if self.table_is_partitioned { "" } else { "ONLY " };
                vec![self.draft(object, "FK CONSTRAINT", only, &self.definition)]
            }
            // Not ONLY: children inherit it, and theirs are not rendered.
            (ConstraintType::Check, _) => vec![self.draft(object, "CHECK CONSTRAINT", "", &self.definition)],
            _ => vec![self.draft(object, "CONSTRAINT", "", &self.definition)],
        }
    }
}

impl Render for Constraint {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let inherited_check =
            !self.is_local && matches!(self.constraint_type, ConstraintType::Check | ConstraintType::NotNull);
        if !self.separate || inherited_check { Vec::new() } else { self.drafts(object) }
    }

    fn kind(&self) -> Option<&'static str> {
        match self.constraint_type {
            ConstraintType::Check => Some("CHECK CONSTRAINT"),
            ConstraintType::ForeignKey => Some("FK CONSTRAINT"),
            _ => None,
        }
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.clone())
    }

    fn inline_address(&self, object: &Object) -> Option<String> {
        Some(self.address(object))
    }
}
