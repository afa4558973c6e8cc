//! A publication.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Part, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// `FOR ALL TABLES`.
    pub all_tables: bool,
    /// `FOR ALL SEQUENCES` (19 and later).
    #[serde(default)]
    pub all_sequences: bool,
    /// Operations it publishes, of `insert`, `update`, `delete`, `truncate`.
    pub operations: Vec<String>,
    /// `publish_via_partition_root`.
    pub via_partition_root: bool,
    /// `publish_generated_columns = stored` (18 and later).
    pub generated_columns: bool,
    /// Its tables, in order of name.
    pub tables: Vec<PublicationTable>,
    /// Tables that `FOR ALL TABLES` does not hold (`EXCEPT`, 19 and later), in order of name.
    #[serde(default)]
    pub except_tables: Vec<QualifiedName>,
    /// Schemas all of whose tables it holds, in order of name.
    pub schemas: Vec<String>,
}

/// A table of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationTable {
    /// The table.
    #[serde(flatten)]
    pub table: QualifiedName,
    /// The columns it is limited to, in order of position.
    pub columns: Option<Vec<String>>,
    /// The rows it is limited to, as SQL.
    pub condition: Option<String>,
}

impl Publication {
    fn create(&self, name: &str, target: &Target) -> String {
        let (all, operations) = (self.all(), self.operations.join(", "));
        let mut sql = format!("CREATE PUBLICATION {name}{all} WITH (publish = '{operations}'");
        if self.via_partition_root {
            sql.push_str(", publish_via_partition_root = true");
        }
        if self.generated_columns && target.version.major() >= 18 {
            sql.push_str(", publish_generated_columns = stored");
        }
        sql.push(')');
        sql
    }

    /// ` FOR ALL TABLES, ALL SEQUENCES`, either of them, or nothing.
    fn all(&self) -> String {
        let mut all = Vec::new();
        if self.all_tables {
            let except: Vec<String> =
                self.except_tables.iter().map(|table| format!("TABLE ONLY {}", table.sql())).collect();
            let except =
                if except.is_empty() { String::new() } else { format!(" EXCEPT ({})", except.join(", ")) };
            all.push(format!("ALL TABLES{except}"));
        }
        if self.all_sequences {
            all.push("ALL SEQUENCES".to_owned());
        }
        if all.is_empty() { String::new() } else { format!(" FOR {}", all.join(", ")) }
    }
}

impl PublicationTable {
    fn add(&self, publication: &str) -> String {
        let mut sql = format!("ALTER PUBLICATION {publication} ADD TABLE ONLY {}", self.table.sql());
        if let Some(columns) = &self.columns {
            let columns: Vec<String> = columns.iter().map(|column| quote_identifier(column)).collect();
            sql.push_str(&format!(" ({})", columns.join(", ")));
        }
        if let Some(condition) = &self.condition {
            sql.push_str(&format!(" WHERE ({condition})"));
        }
        sql
    }
}

impl Render for Publication {
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let after = |kind: EntryKind, sql: String| Draft {
            part: Part::After,
            ..Draft::new(Section::PostData, kind, sql)
        };
        let create = self.create(&name, target);
        let mut drafts = vec![Draft::owned(Section::PostData, EntryKind::Publication, &name, create)];
        drafts.extend(self.tables.iter().map(|table| after(EntryKind::PublicationTable, table.add(&name))));
        drafts.extend(self.schemas.iter().map(|schema| {
            let sql = format!("ALTER PUBLICATION {name} ADD TABLES IN SCHEMA {}", quote_identifier(schema));
            after(EntryKind::PublicationSchema, sql)
        }));
        drafts
    }
}

#[cfg(test)]
mod tests {
    use super::{Publication, PublicationTable};
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    #[test]
    fn publications() {
        let all = Publication {
            all_tables: true,
            all_sequences: false,
            operations: vec!["insert".to_owned(), "truncate".to_owned()],
            via_partition_root: true,
            generated_columns: true,
            tables: Vec::new(),
            except_tables: Vec::new(),
            schemas: Vec::new(),
        };
        let all_but = Publication {
            all_sequences: true,
            operations: vec!["insert".to_owned()],
            via_partition_root: false,
            generated_columns: false,
            except_tables: vec![QualifiedName::new("s", "T"), QualifiedName::new("s", "u")],
            ..all.clone()
        };
        let sequences =
            Publication { all_tables: false, except_tables: Vec::new(), ..all_but.clone() };
        let some = Publication {
            all_tables: false,
            all_sequences: false,
            operations: Vec::new(),
            via_partition_root: false,
            generated_columns: false,
            tables: vec![PublicationTable {
                table: QualifiedName::new("s", "T"),
                columns: Some(vec!["a".to_owned(), "B".to_owned()]),
                condition: Some("(a > 0)".to_owned()),
            }],
            except_tables: Vec::new(),
            schemas: vec!["X".to_owned()],
        };
        for (body, expected) in [
            (
                all,
                "CREATE PUBLICATION n FOR ALL TABLES WITH (publish = 'insert, truncate', \
                 publish_via_partition_root = true, publish_generated_columns = stored);\n",
            ),
            (
                all_but,
                "CREATE PUBLICATION n FOR ALL TABLES EXCEPT (TABLE ONLY s.\"T\", TABLE ONLY s.u), ALL SEQUENCES \
                 WITH (publish = 'insert');\n",
            ),
            (sequences, "CREATE PUBLICATION n FOR ALL SEQUENCES WITH (publish = 'insert');\n"),
            (
                some,
                "CREATE PUBLICATION n WITH (publish = '');\n\
                 ALTER PUBLICATION n ADD TABLE ONLY s.\"T\" (a, \"B\") WHERE ((a > 0));\n\
                 ALTER PUBLICATION n ADD TABLES IN SCHEMA \"X\";\n",
            ),
        ] {
            sample::check(false, Body::from(body), expected);
        }
    }
}
