//! A constraint of a table.

use serde::{Deserialize, Serialize};

use super::IndexProperties;
use super::index::statistics_statements;
use super::table::options::with_clause;
use crate::render::{Draft, Render, Target};
use crate::toc::{Adoption, DropStatement, Section};
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

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
    /// Whether it is a child's or partition's valid constraint that comes with a parent's which is not valid,
    /// and then is validated by a statement of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validated_later: bool,
    /// Whether triggers that enforce a foreign key are disabled, so that rows may violate it. No statement of its own
    /// does that to them (`pg_dump` leaves it out too), so it is told and not carried or compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub switched_off: bool,
    /// The index that enforces it, for primary key, unique and exclusion.
    pub index: Option<Box<ConstraintIndex>>,
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
    /// Statistics targets of expression columns: column number, target. Only an exclusion constraint's has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub column_statistics: Vec<(i16, i32)>,
}

impl Constraint {
    /// Whether rows may violate it: `NOT VALID`, which the server prints behind everything else.
    pub fn is_not_valid(&self) -> bool {
        self.definition.ends_with(" NOT VALID")
    }

    /// `name ON table`, the form `COMMENT ON CONSTRAINT` wants.
    fn address(&self, object: &Object) -> String {
        format!("CONSTRAINT {} ON {}", quote_identifier(&object.name), self.table)
    }

    fn draft(&self, object: &Object, kind: EntryKind, only: &str, definition: &str) -> Draft {
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
        let mut main = self.draft(object, EntryKind::Constraint, "ONLY ", &self.key_definition(index));
        if self.constraint_type == ConstraintType::Exclusion
            && let Some(tablespace) = &index.properties.tablespace
        {
            let tablespace = quote_identifier(tablespace);
            main.create.push(format!("ALTER INDEX {name} SET TABLESPACE {tablespace}"));
        }
        main.adoption = self.adoption(object, index).map(Box::new);
        main.create.extend(statistics_statements(&name, &index.column_statistics));
        main.create.extend(index.properties.alter_statements(&self.table, &name));
        if index.properties.parent.is_some() {
            // It cannot be dropped by itself: it goes with the parent's.
            main.drop = None;
        }
        std::iter::once(main).chain(index.properties.attach_draft(&name)).collect()
    }

    /// How the index is built first and then adopted; the constraint then is what it would be anyway. The
    /// constraint takes the index's name, so they must have the same.
    fn adoption(&self, object: &Object, index: &ConstraintIndex) -> Option<Adoption> {
        let demand = match self.constraint_type {
            ConstraintType::PrimaryKey => "PRIMARY KEY",
            ConstraintType::Unique => "UNIQUE",
            _ => return None,
        };
        if !index.can_be_adopted || index.name != object.name {
            return None;
        }
        let name = quote_identifier(&object.name);
        let tablespace = index.properties.tablespace.as_ref();
        let tablespace = tablespace.map(|name| format!(" TABLESPACE {}", quote_identifier(name)));
        let attributes = self.attributes();
        Some(Adoption {
            build: format!("{}{}", index.index_definition, tablespace.unwrap_or_default()),
            adopt: format!(
                "ALTER TABLE ONLY {} ADD CONSTRAINT {name} {demand} USING INDEX {name}{attributes}",
                self.table
            ),
        })
    }

    fn attributes(&self) -> String {
        let deferrable = if self.deferrable { " DEFERRABLE" } else { "" };
        let deferred = if self.initially_deferred { " INITIALLY DEFERRED" } else { "" };
        format!("{deferrable}{deferred}")
    }

    /// The definition with storage parameters and tablespace where the grammar
    /// wants them: behind the columns, before `DEFERRABLE`. An exclusion
    /// constraint's definition has its parameters already.
    fn key_definition(&self, index: &ConstraintIndex) -> String {
        if self.constraint_type == ConstraintType::Exclusion {
            return self.definition.clone();
        }
        let attributes = self.attributes();
        let head = self.definition.strip_suffix(&attributes).unwrap_or(&self.definition);
        let with = with_clause(&index.options);
        let tablespace = index.properties.tablespace.as_ref();
        let tablespace = tablespace
            .map(|name| format!(" USING INDEX TABLESPACE {}", quote_identifier(name)))
            .unwrap_or_default();
        format!("{head}{with}{tablespace}{attributes}")
    }

    /// Makes the constraint, which came with a parent's, a valid one.
    fn validation(&self, object: &Object) -> Draft {
        let name = quote_identifier(&object.name);
        let validate = format!("ALTER TABLE {} VALIDATE CONSTRAINT {name}", self.table);
        Draft { address: Some(self.address(object)), ..Draft::new(Section::PostData, EntryKind::Constraint, validate) }
    }

    fn drafts(&self, object: &Object) -> Vec<Draft> {
        match (self.constraint_type, &self.index) {
            (
                ConstraintType::PrimaryKey | ConstraintType::Unique | ConstraintType::Exclusion,
                Some(index),
            ) => self.key_drafts(object, index),
            (ConstraintType::ForeignKey, _) => {
                let only = if self.table_is_partitioned { "" } else { "ONLY " };
                vec![self.draft(object, EntryKind::ForeignKey, only, &self.definition)]
            }
            // Not ONLY: children inherit it, and theirs are not rendered.
            (ConstraintType::Check, _) => vec![self.draft(object, EntryKind::CheckConstraint, "", &self.definition)],
            _ => vec![self.draft(object, EntryKind::Constraint, "", &self.definition)],
        }
    }
}

impl Render for Constraint {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        if self.validated_later {
            return vec![self.validation(object)];
        }
        let inherited_check =
            !self.is_local && matches!(self.constraint_type, ConstraintType::Check | ConstraintType::NotNull);
        if !self.separate || inherited_check { Vec::new() } else { self.drafts(object) }
    }

    fn kind(&self) -> Option<EntryKind> {
        match self.constraint_type {
            ConstraintType::Check => Some(EntryKind::CheckConstraint),
            ConstraintType::ForeignKey => Some(EntryKind::ForeignKey),
            _ => None,
        }
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.to_string())
    }

    fn inline_address(&self, object: &Object) -> Option<String> {
        Some(self.address(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{Constraint, ConstraintIndex, ConstraintType};
    use crate::QualifiedName;
    use crate::kinds::{Body, IndexProperties, sample};

    fn constraint(constraint_type: ConstraintType, definition: &str) -> Constraint {
        Constraint {
            table: QualifiedName::new("s", "t"),
            table_is_partitioned: false,
            constraint_type,
            definition: definition.to_owned(),
            deferrable: false,
            initially_deferred: false,
            is_local: true,
            separate: true,
            validated_later: false,
            switched_off: false,
            index: None,
            referenced_table: None,
        }
    }

    fn index() -> ConstraintIndex {
        ConstraintIndex {
            name: "n".to_owned(),
            index_definition: "CREATE UNIQUE INDEX n ON s.t USING btree (a) INCLUDE (b)".to_owned(),
            can_be_adopted: true,
            options: Vec::new(),
            properties: IndexProperties::default(),
            column_statistics: Vec::new(),
        }
    }

    #[track_caller]
    fn check(constraint: Constraint, expected: &str) {
        sample::check(true, Body::from(constraint), expected);
    }

    #[test]
    fn a_key_with_everything_beside_it() {
        let properties = IndexProperties {
            tablespace: Some("fast".to_owned()),
            clustered: true,
            replica_identity: true,
            parent: Some(QualifiedName::new("s", "whole_key")),
            depends_on_extensions: Vec::new(),
        };
        let definition = "UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b) DEFERRABLE INITIALLY DEFERRED";
        check(
            Constraint {
                deferrable: true,
                initially_deferred: true,
                index: Some(Box::new(ConstraintIndex {
                    options: vec!["fillfactor=60".to_owned()],
                    properties,
                    ..index()
                })),
                ..constraint(ConstraintType::Unique, definition)
            },
            "ALTER TABLE ONLY s.t ADD CONSTRAINT n UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b) WITH (fillfactor=60) USING INDEX TABLESPACE fast DEFERRABLE INITIALLY DEFERRED;\n\
             ALTER TABLE s.t CLUSTER ON n;\n\
             ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX n;\n\
             ALTER INDEX s.whole_key ATTACH PARTITION s.n;\n",
        );
    }

    #[test]
    fn a_key_can_adopt_an_index_of_its_name() {
        let adoption = |constraint: &Constraint| {
            let index = constraint.index.as_ref().unwrap();
            let object = sample::object(Some("s"), "n", Body::from(constraint.clone()));
            constraint.adoption(&object, index).map(|adoption| (adoption.build, adoption.adopt))
        };
        let properties =
            IndexProperties { tablespace: Some("fast".to_owned()), ..IndexProperties::default() };
        let key = Constraint {
            deferrable: true,
            index: Some(Box::new(ConstraintIndex { properties, ..index() })),
            ..constraint(ConstraintType::Unique, "UNIQUE (a) INCLUDE (b) DEFERRABLE")
        };
        assert_eq!(
            adoption(&key).unwrap(),
            (
                "CREATE UNIQUE INDEX n ON s.t USING btree (a) INCLUDE (b) TABLESPACE fast".to_owned(),
                "ALTER TABLE ONLY s.t ADD CONSTRAINT n UNIQUE USING INDEX n DEFERRABLE".to_owned()
            )
        );
        let renamed = ConstraintIndex { name: "m".to_owned(), ..index() };
        assert_eq!(adoption(&Constraint { index: Some(Box::new(renamed)), ..key.clone() }), None);
        let partitioned = ConstraintIndex { can_be_adopted: false, ..index() };
        assert_eq!(adoption(&Constraint { index: Some(Box::new(partitioned)), ..key.clone() }), None);
        let exclusion = Constraint { constraint_type: ConstraintType::Exclusion, ..key };
        assert_eq!(adoption(&exclusion), None);
    }

    #[test]
    fn an_exclusion_constraint_moves_to_its_tablespace_afterwards() {
        let definition = "EXCLUDE USING gist (a WITH &&) WITH (fillfactor='60') WHERE ((a IS NOT NULL))";
        let properties =
            IndexProperties { tablespace: Some("fast".to_owned()), ..IndexProperties::default() };
        check(
            Constraint {
                index: Some(Box::new(ConstraintIndex {
                    options: vec!["fillfactor=60".to_owned()],
                    properties,
                    ..index()
                })),
                ..constraint(ConstraintType::Exclusion, definition)
            },
            "ALTER TABLE ONLY s.t ADD CONSTRAINT n EXCLUDE USING gist (a WITH &&) WITH (fillfactor='60') WHERE ((a IS NOT NULL));\n\
             ALTER INDEX s.n SET TABLESPACE fast;\n",
        );
    }

    #[test]
    fn a_foreign_key_of_a_partitioned_table_goes_to_its_partitions() {
        let key = constraint(ConstraintType::ForeignKey, "FOREIGN KEY (a) REFERENCES s.r(a) NOT VALID");
        check(
            key.clone(),
            "ALTER TABLE ONLY s.t ADD CONSTRAINT n FOREIGN KEY (a) REFERENCES s.r(a) NOT VALID;\n",
        );
        check(
            Constraint { table_is_partitioned: true, ..key },
            "ALTER TABLE s.t ADD CONSTRAINT n FOREIGN KEY (a) REFERENCES s.r(a) NOT VALID;\n",
        );
    }

    #[test]
    fn a_check_is_added_only_where_it_is_separate_and_the_tables_own() {
        let own = constraint(ConstraintType::Check, "CHECK (s.f(a)) NOT VALID");
        check(own.clone(), "ALTER TABLE s.t ADD CONSTRAINT n CHECK (s.f(a)) NOT VALID;\n");
        check(Constraint { separate: false, ..own.clone() }, "");
        check(Constraint { is_local: false, ..own }, "");
    }

    #[test]
    fn a_childs_not_null_is_validated_where_the_parents_is_not() {
        let own = constraint(ConstraintType::NotNull, "NOT NULL a");
        check(
            Constraint { is_local: false, validated_later: true, ..own },
            "ALTER TABLE s.t VALIDATE CONSTRAINT n;\n",
        );
    }

    #[test]
    fn a_not_null_that_rows_may_break_is_added_after_them() {
        check(
            constraint(ConstraintType::NotNull, "NOT NULL a NOT VALID"),
            "ALTER TABLE s.t ADD CONSTRAINT n NOT NULL a NOT VALID;\n",
        );
    }
}
