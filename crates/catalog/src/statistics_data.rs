//! Planner statistics of relations and columns, to be copied rather than gathered anew.
//!
//! Servers from 18 on take them by `pg_restore_relation_stats` and `pg_restore_attribute_stats`;
//! the statements are those of `pg_dump --statistics-only` (PostgreSQL src/bin/pg_dump/pg_dump.c,
//! dumpRelationStats). Every number is kept in the text form in which the source printed it.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{QualifiedName, ServerVersion, quote_literal};

/// First major whose servers can be given statistics.
const FIRST_MAJOR_THAT_TAKES_STATISTICS: u32 = 18;

/// What the planner knows of one relation: a table, materialized view, foreign table or index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationStatistics {
    /// The relation.
    pub relation: QualifiedName,
    /// The table of an index; `None` for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<QualifiedName>,
    /// Whether it is a materialized view or an index of one: set after `REFRESH`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_refreshed: bool,
    /// Whether extended statistics were defined on it. Their contents cannot be copied, so the
    /// table is analyzed before its own statistics are set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_extended: bool,
    /// `relpages`.
    pub pages: i32,
    /// `reltuples`.
    pub tuples: String,
    /// `relallvisible`.
    pub all_visible_pages: i32,
    /// `relallfrozen`, which came with 18.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_frozen_pages: Option<i32>,
    /// One for each row of `pg_stats`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnStatistics>,
}

/// One row of `pg_stats`; absent fields are NULL there, or unknown to the source's major.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnStatistics {
    /// The column's name; of an index, where names are the server's choice, it only informs.
    pub column: String,
    /// The column's number, for a column of an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i16>,
    /// Whether rows of children are counted in.
    pub inherited: bool,
    /// `real`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_frac: Option<String>,
    /// `integer`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_width: Option<String>,
    /// `real`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_distinct: Option<String>,
    /// An array of the column's type, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_common_vals: Option<String>,
    /// `real[]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_common_freqs: Option<String>,
    /// An array of the column's type, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram_bounds: Option<String>,
    /// `real`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// An array of the type of the column's elements, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_common_elems: Option<String>,
    /// `real[]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_common_elem_freqs: Option<String>,
    /// `real[]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elem_count_histogram: Option<String>,
    /// An array of `double precision`, as text; shown from 17 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_length_histogram: Option<String>,
    /// `real`; shown from 17 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_empty_frac: Option<String>,
    /// An array of the column's type, as text; shown from 17 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_bounds_histogram: Option<String>,
}

impl RelationStatistics {
    /// Whether a server of this version can be given statistics.
    pub fn can_be_set_on(version: ServerVersion) -> bool {
        version.major() >= FIRST_MAJOR_THAT_TAKES_STATISTICS
    }

    /// The table that `ANALYZE` is to be run on where statistics of the relation are to be gathered.
    pub fn analyzed_table(&self) -> &QualifiedName {
        self.table.as_ref().unwrap_or(&self.relation)
    }

    /// Statements that set the statistics, the relation's first, each a query of one boolean:
    /// whether all of it was taken. `source_version` is that of the server they are from.
    pub fn statements(&self, source_version: ServerVersion) -> Vec<String> {
        let head = format!(
            "'version', '{}'::integer, 'schemaname', {}, 'relname', {}",
            source_version.0,
            quote_literal(&self.relation.schema),
            quote_literal(&self.relation.name),
        );
        let mut statements = vec![self.relation_statement(&head, source_version)];
        statements.extend(self.columns.iter().map(|column| column.statement(&head)));
        statements
    }

    fn relation_statement(&self, head: &str, source_version: ServerVersion) -> String {
        // Before 14, 0 may also mean that nobody has looked, which is -1 since.
        let is_unknown = source_version.major() < 14 && self.tuples == "0";
        let tuples = if is_unknown { "-1" } else { &self.tuples };
        let mut sql = format!(
            "SELECT pg_catalog.pg_restore_relation_stats({head}, 'relpages', '{}'::integer, \
             'reltuples', {}::real, 'relallvisible', '{}'::integer",
            self.pages,
            quote_literal(tuples),
            self.all_visible_pages,
        );
        if let Some(pages) = self.all_frozen_pages {
            let _ = write!(sql, ", 'relallfrozen', '{pages}'::integer");
        }
        sql.push(')');
        sql
    }
}

impl ColumnStatistics {
    fn statement(&self, head: &str) -> String {
        let mut sql = format!("SELECT pg_catalog.pg_restore_attribute_stats({head}");
        let _ = match self.number {
            Some(number) => write!(sql, ", 'attnum', '{number}'::smallint"),
            None => write!(sql, ", 'attname', {}", quote_literal(&self.column)),
        };
        let _ = write!(sql, ", 'inherited', '{}'::boolean", self.inherited);
        for (name, type_name, value) in self.arguments() {
            if let Some(value) = value {
                let _ = write!(sql, ", '{name}', {}::{type_name}", quote_literal(value));
            }
        }
        sql.push(')');
        sql
    }

    /// Name, type and value of each argument.
    fn arguments(&self) -> [(&'static str, &'static str, Option<&String>); 13] {
        [
            ("null_frac", "real", self.null_frac.as_ref()),
            ("avg_width", "integer", self.avg_width.as_ref()),
            ("n_distinct", "real", self.n_distinct.as_ref()),
            ("most_common_vals", "text", self.most_common_vals.as_ref()),
            ("most_common_freqs", "real[]", self.most_common_freqs.as_ref()),
            ("histogram_bounds", "text", self.histogram_bounds.as_ref()),
            ("correlation", "real", self.correlation.as_ref()),
            ("most_common_elems", "text", self.most_common_elems.as_ref()),
            ("most_common_elem_freqs", "real[]", self.most_common_elem_freqs.as_ref()),
            ("elem_count_histogram", "real[]", self.elem_count_histogram.as_ref()),
            ("range_length_histogram", "text", self.range_length_histogram.as_ref()),
            ("range_empty_frac", "real", self.range_empty_frac.as_ref()),
            ("range_bounds_histogram", "text", self.range_bounds_histogram.as_ref()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{ColumnStatistics, RelationStatistics};
    use crate::{QualifiedName, ServerVersion};

    #[track_caller]
    fn check(statistics: &RelationStatistics, version: u32, expected: &[&str]) {
        assert_eq!(statistics.statements(ServerVersion(version)), expected);
    }

    fn relation(columns: Vec<ColumnStatistics>) -> RelationStatistics {
        RelationStatistics {
            relation: QualifiedName::new("s", "it's"),
            table: None,
            is_refreshed: false,
            has_extended: false,
            pages: 3,
            tuples: "0".to_owned(),
            all_visible_pages: 1,
            all_frozen_pages: None,
            columns,
        }
    }

    #[test]
    fn a_relation() {
        let sql = "SELECT pg_catalog.pg_restore_relation_stats('version', '130001'::integer, \
                   'schemaname', 's', 'relname', 'it''s', 'relpages', '3'::integer, 'reltuples', '-1'::real, \
                   'relallvisible', '1'::integer)";
        check(&relation(Vec::new()), 130_001, &[sql]);
        let newer = RelationStatistics { all_frozen_pages: Some(2), ..relation(Vec::new()) };
        let sql = "SELECT pg_catalog.pg_restore_relation_stats('version', '180000'::integer, \
                   'schemaname', 's', 'relname', 'it''s', 'relpages', '3'::integer, 'reltuples', '0'::real, \
                   'relallvisible', '1'::integer, 'relallfrozen', '2'::integer)";
        check(&newer, 180_000, &[sql]);
    }

    #[test]
    fn columns() {
        let named = ColumnStatistics {
            column: "a b".to_owned(),
            inherited: true,
            null_frac: Some("0.5".to_owned()),
            most_common_vals: Some(r#"{"it's",\\x}"#.to_owned()),
            most_common_freqs: Some("{0.1,0.2}".to_owned()),
            ..ColumnStatistics::default()
        };
        let numbered = ColumnStatistics { number: Some(2), ..ColumnStatistics::default() };
        let statements = relation(vec![named, numbered]).statements(ServerVersion(150_000));
        let head = "SELECT pg_catalog.pg_restore_attribute_stats('version', '150000'::integer, \
                    'schemaname', 's', 'relname', 'it''s', ";
        assert_eq!(
            statements[1..],
            [
                format!(
                    "{head}'attname', 'a b', 'inherited', 'true'::boolean, 'null_frac', '0.5'::real, \
                     'most_common_vals', E'{{\"it''s\",\\\\\\\\x}}'::text, \
                     'most_common_freqs', '{{0.1,0.2}}'::real[])"
                ),
                format!("{head}'attnum', '2'::smallint, 'inherited', 'false'::boolean)"),
            ]
        );
    }
}
