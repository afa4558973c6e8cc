//! An index.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Part, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

/// An index of a table or materialized view, in the schema of it.
///
/// One that belongs to a primary key, unique or exclusion constraint renders
/// nothing: the [`Constraint`](super::Constraint) makes it, with everything of
/// [`IndexProperties`]. An invalid one, left behind by a failed `CREATE INDEX
/// CONCURRENTLY`, renders nothing either, as `pg_dump` skips it; it is listed so
/// that a run can say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The table or materialized view.
    pub table: QualifiedName,
    /// `pg_get_indexdef`: complete but for the tablespace. On a partitioned
    /// table it reads `ON ONLY`.
    pub definition: String,
    /// The predicate of a partial index, which ends the definition.
    pub predicate: Option<String>,
    /// The constraint it belongs to.
    pub constraint: Option<String>,
    /// Everything beside the definition.
    pub properties: IndexProperties,
    /// Statistics targets of expression columns: column number, target.
    pub column_statistics: Vec<(i16, i32)>,
    /// Whether it can be used, and so is made again.
    pub valid: bool,
}

/// What `pg_dump` carries beside an index or the constraint that owns it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IndexProperties {
    /// The tablespace, unless it is the database's.
    pub tablespace: Option<String>,
    /// `CLUSTER ON`.
    pub clustered: bool,
    /// `REPLICA IDENTITY USING INDEX`.
    pub replica_identity: bool,
    /// The index of the partitioned table that this one is a partition of.
    pub parent: Option<QualifiedName>,
    /// Extensions it goes away with: `DEPENDS ON EXTENSION`.
    pub depends_on_extensions: Vec<String>,
}

impl IndexProperties {
    /// What follows the statement that makes the index called `index` of `table`.
    pub(super) fn alter_statements(&self, table: &QualifiedName, index: &QualifiedName) -> Vec<String> {
        let bare = quote_identifier(&index.name);
        let mut statements = Vec::new();
        if self.clustered {
            statements.push(format!("ALTER TABLE {table} CLUSTER ON {bare}"));
        }
        if self.replica_identity {
            statements.push(format!("ALTER TABLE ONLY {table} REPLICA IDENTITY USING INDEX {bare}"));
        }
        let depends = |extension: &String| {
            format!("ALTER INDEX {index} DEPENDS ON EXTENSION {}", quote_identifier(extension))
        };
        statements.extend(self.depends_on_extensions.iter().map(depends));
        statements
    }

    /// The draft that joins the index to its parent, which must wait for both.
    pub(super) fn attach_draft(&self, index: &QualifiedName) -> Option<Draft> {
        let parent = self.parent.as_ref()?;
        let attach = format!("ALTER INDEX {parent} ATTACH PARTITION {index}");
        Some(Draft { part: Part::After, ..Draft::new(Section::PostData, EntryKind::IndexAttach, attach) })
    }
}

/// The statements that set statistics targets of an index's columns.
pub(super) fn statistics_statements(
    index: &QualifiedName,
    columns: &[(i16, i32)],
) -> impl Iterator<Item = String> {
    columns.iter().map(move |(number, target)| {
        format!("ALTER INDEX {index} ALTER COLUMN {number} SET STATISTICS {target}")
    })
}

impl Index {
    /// The statements that make the index, whether or not a constraint owns it:
    /// the first makes it, the others set what stands beside it. For an index
    /// that a constraint owns they make a unique index that the constraint can
    /// then adopt (`ADD CONSTRAINT ... USING INDEX`).
    pub fn create_statements(&self, object: &Object) -> Vec<String> {
        let name = self.qualified_name(object);
        let mut statements = vec![self.definition_in_tablespace()];
        statements.extend(statistics_statements(&name, &self.column_statistics));
        statements.extend(self.properties.alter_statements(&self.table, &name));
        statements
    }

    /// The definition with `TABLESPACE` where the grammar wants it: before `WHERE`.
    fn definition_in_tablespace(&self) -> String {
        let Some(tablespace) = &self.properties.tablespace else { return self.definition.clone() };
        let tablespace = quote_identifier(tablespace);
        let filter =
            self.predicate.as_ref().map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default();
        let head = self.definition.strip_suffix(&filter).unwrap_or(&self.definition);
        format!("{head} TABLESPACE {tablespace}{filter}")
    }

    fn qualified_name(&self, object: &Object) -> QualifiedName {
        QualifiedName::new(&self.table.schema, &object.name)
    }
}

impl Render for Index {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        if self.constraint.is_some() || !self.valid {
            return Vec::new();
        }
        let name = self.qualified_name(object);
        let create = self.create_statements(object);
        let mut main = Draft {
            create,
            has_owner: false,
            ..Draft::owned(Section::PostData, EntryKind::Index, &name.sql(), String::new())
        };
        if self.properties.parent.is_some() {
            // It cannot be dropped by itself: it goes with the parent's.
            main.drop = None;
        }
        std::iter::once(main).chain(self.properties.attach_draft(&name)).collect()
    }

    fn inline_address(&self, object: &Object) -> Option<String> {
        self.valid.then(|| format!("INDEX {}", self.qualified_name(object)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, IndexProperties};
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    fn index() -> Index {
        Index {
            table: QualifiedName::new("s", "t"),
            definition: "CREATE INDEX n ON s.t USING btree (a) WHERE (a > 0)".to_owned(),
            predicate: Some("(a > 0)".to_owned()),
            constraint: None,
            properties: IndexProperties::default(),
            column_statistics: Vec::new(),
            valid: true,
        }
    }

    #[track_caller]
    fn check(index: Index, expected: &str) {
        sample::check(true, Body::from(index), expected);
    }

    #[test]
    fn a_plain_index() {
        check(index(), "CREATE INDEX n ON s.t USING btree (a) WHERE (a > 0);\n");
    }

    #[test]
    fn everything_beside_the_definition() {
        let properties = IndexProperties {
            tablespace: Some("fast".to_owned()),
            clustered: true,
            replica_identity: true,
            parent: Some(QualifiedName::new("p", "whole")),
            depends_on_extensions: vec!["postgis".to_owned()],
        };
        check(
            Index { properties, column_statistics: vec![(1, 400), (3, 500)], ..index() },
            "CREATE INDEX n ON s.t USING btree (a) TABLESPACE fast WHERE (a > 0);\n\
             ALTER INDEX s.n ALTER COLUMN 1 SET STATISTICS 400;\n\
             ALTER INDEX s.n ALTER COLUMN 3 SET STATISTICS 500;\n\
             ALTER TABLE s.t CLUSTER ON n;\n\
             ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX n;\n\
             ALTER INDEX s.n DEPENDS ON EXTENSION postgis;\n\
             ALTER INDEX p.whole ATTACH PARTITION s.n;\n",
        );
    }

    #[test]
    fn a_constraints_index_and_an_invalid_one_are_not_made() {
        check(Index { constraint: Some("n".to_owned()), ..index() }, "");
        check(Index { valid: false, ..index() }, "");
    }
}
