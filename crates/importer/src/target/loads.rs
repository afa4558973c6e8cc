//! Whether what is there already can take the rows and positions that are loaded into it.

use std::collections::BTreeMap;

use dbhaul_catalog::{DataEntry, EntryKind, QualifiedName, Section, TocEntry, in_one_line, quote_literal};
use dbhaul_postgres::{Error, Flight};
use serde::Deserialize;

use super::Blocker;
use super::advance::Advance;
use super::predict::wanted;
use crate::ImportPlan;

/// Of a list so many are named.
const SHOWN: usize = 20;

/// A relation that cannot take what is loaded into it.
#[derive(Debug, Deserialize)]
struct Row {
    kind: String,
    name: String,
    is_there: bool,
    /// What it is instead of a table or sequence, if so.
    is_instead: Option<String>,
    /// Columns that are not there, quoted.
    lacking: Vec<String>,
    /// Columns that are generated there, quoted.
    generated: Vec<String>,
    /// Columns, quoted, that need a value and get none.
    wanting: Vec<String>,
    /// Columns, quoted, that get no value from the rows, and can do without.
    others: Vec<String>,
    may_load: Option<bool>,
    may_enter: Option<bool>,
}

/// Looks at the tables and sequences that a plan fills and does not make; why some of them cannot be filled, and which
/// have more columns than their rows.
///
/// # Errors
/// If the target cannot be asked.
pub(super) async fn check(plan: &ImportPlan, flight: &Flight<'_>) -> Result<Advance, Error> {
    let mut advance = Advance::default();
    let makes = |entry: &TocEntry| entry.section == Section::PreData;
    if plan.options.sections.pre_data && plan.toc.entries.iter().any(makes) {
        return Ok(advance);
    }
    let tables: BTreeMap<String, String> = wanted(plan).filter_map(table).collect();
    let sequences: BTreeMap<String, String> = wanted(plan).filter_map(sequence).collect();
    let values: Vec<String> = tables.into_values().chain(sequences.into_values()).collect();
    if values.is_empty() {
        return Ok(advance);
    }
    let rows: Vec<Row> = flight.query_json(&sql(&values)).await?;
    let (full, rows): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::is_filled);
    let more = rows.len().saturating_sub(SHOWN);
    let problems: Vec<String> = rows.iter().take(SHOWN).map(Row::problem).collect();
    advance.blockers.extend((!problems.is_empty()).then_some(Blocker::CannotLoad { problems, more }));
    let more = full.len().saturating_sub(SHOWN);
    advance.warnings.extend(full.iter().take(SHOWN).map(Row::more_columns));
    advance
        .warnings
        .extend((more > 0).then(|| format!("{more} more tables have columns that the source lacks")));
    Ok(advance)
}

/// `column a`, `columns a, b`.
fn columns(columns: &[String]) -> String {
    let s = if columns.len() == 1 { "" } else { "s" };
    format!("column{s} {}", in_one_line(&columns.join(", ")))
}

impl Row {
    /// Whether nothing keeps it from taking what is loaded into it.
    fn is_filled(&self) -> bool {
        let Row { is_there, is_instead, lacking, generated, wanting, may_load, may_enter, .. } = self;
        let has_columns = lacking.is_empty() && generated.is_empty() && wanting.is_empty();
        *is_there
            && is_instead.is_none()
            && has_columns
            && *may_load != Some(false)
            && *may_enter != Some(false)
    }

    fn more_columns(&self) -> String {
        format!(
            "table {} has {} that the source lacks: rows get the default there or NULL, and it is not compared",
            in_one_line(&self.name),
            columns(&self.others)
        )
    }

    fn problem(&self) -> String {
        let Row {
            kind, name, is_there, is_instead, lacking, generated, wanting, may_load, may_enter, ..
        } = self;
        let what = if !is_there {
            "is not there".to_owned()
        } else if let Some(other) = is_instead {
            format!("is a {other} there")
        } else if !lacking.is_empty() {
            format!("has no {}", columns(lacking))
        } else if !generated.is_empty() {
            format!("computes {} itself", columns(generated))
        } else if !wanting.is_empty() {
            format!(
                "has {} that may not be NULL, without a default, and gets no values for it",
                columns(wanting)
            )
        } else if *may_enter == Some(false) {
            "cannot be loaded: the importing role lacks USAGE on its schema".to_owned()
        } else if *may_load == Some(false) {
            let privilege = if kind == "sequence" { "UPDATE" } else { "INSERT" };
            format!("cannot be loaded: the importing role lacks {privilege} on it")
        } else {
            "cannot be loaded".to_owned()
        };
        format!("{kind} {} {what}", in_one_line(name))
    }
}

/// The destination of an entry's rows with a row of the list that the query looks at.
fn table(entry: &TocEntry) -> Option<(String, String)> {
    let Some(DataEntry::Table(table)) = &entry.data else { return None };
    let destination = table.destination();
    let columns: Vec<String> = table.columns.iter().map(|column| quote_literal(&column.name)).collect();
    Some((destination.sql(), values("table", destination, &columns)))
}

fn sequence(entry: &TocEntry) -> Option<(String, String)> {
    if entry.kind != EntryKind::SequenceSet {
        return None;
    }
    let sequence = QualifiedName::new(entry.schema.as_deref()?, &entry.name);
    Some((sequence.sql(), values("sequence", &sequence, &[])))
}

/// A row of the list: by its parts, since a name as a whole is looked up only by who may use its schema.
fn values(kind: &str, relation: &QualifiedName, columns: &[String]) -> String {
    let literals = [kind, &relation.sql(), &relation.schema, &relation.name].map(quote_literal);
    format!("({}, ARRAY[{}]::pg_catalog.text[])", literals.join(", "), columns.join(", "))
}

fn sql(values: &[String]) -> String {
    format!(
        "SELECT * FROM ( \
           SELECT w.kind, w.name, c.oid IS NOT NULL AS is_there, \
             ARRAY(SELECT pg_catalog.quote_ident(u.name) FROM pg_catalog.unnest(w.columns) AS u(name) \
               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid \
                 AND a.attname = u.name AND a.attnum > 0 AND NOT a.attisdropped)) AS lacking, \
             ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a \
               WHERE a.attrelid = c.oid AND a.attname = ANY (w.columns) AND a.attgenerated <> '' \
               ORDER BY a.attnum) AS generated, \
             ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a \
               WHERE c.relkind IN ('r', 'p') AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attname <> ALL (w.columns) \
               ORDER BY a.attnum) AS wanting, \
             ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a \
               WHERE w.kind = 'table' AND c.relkind IN ('r', 'p', 'f') AND a.attrelid = c.oid AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attname <> ALL (w.columns) \
                 AND NOT (a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') \
               ORDER BY a.attnum) AS others, \
             CASE WHEN w.kind = 'table' AND c.relkind NOT IN ('r', 'p', 'f') OR w.kind = 'sequence' AND c.relkind <> 'S' \
               THEN CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' \
                 WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'c' THEN 'composite type' WHEN 'f' THEN 'foreign table' \
                 ELSE 'table' END END AS is_instead, \
             CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') \
               ELSE pg_catalog.has_table_privilege(c.oid, 'INSERT') OR NOT EXISTS ( \
                 SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (w.columns) \
                   AND NOT pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT')) \
             END AS may_load, \
             pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_enter \
           FROM (VALUES {}) AS w(kind, name, schema, relation, columns) \
           LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
           LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.relation) found \
         WHERE NOT is_there OR lacking <> '{{}}' OR generated <> '{{}}' OR wanting <> '{{}}' OR others <> '{{}}' OR is_instead IS NOT NULL OR may_load = false OR may_enter = false \
         ORDER BY 1 DESC, 2",
        values.join(", ")
    )
}
