//! Which table is meant, and what its columns are.

use std::collections::BTreeSet;

use dbhaul_catalog::QualifiedName;
use dbhaul_columns::{Column, PgType, TableColumns, TypeFacts};
use dbhaul_introspect::plan_code;
use dbhaul_postgres::{Flight, ResultColumn, Session, quote_identifier, quote_literal};
use serde::Deserialize;

use crate::PipelineError;

/// A table, or what can be read as one.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    schema: String,
    name: String,
    /// `pg_class.relkind`.
    pub(crate) kind: char,
    comment: Option<String>,
}

/// A column as the catalog has it; a column of a query has a name and a type only.
#[derive(Debug, Clone, Deserialize)]
struct Given {
    name: String,
    type_oid: u32,
    modifier: i32,
    #[serde(default)]
    is_required: bool,
    #[serde(default)]
    is_generated: bool,
    #[serde(default)]
    collation: Option<String>,
    #[serde(default)]
    comment: Option<String>,
}

/// What the catalog says of a type.
#[derive(Debug, Deserialize)]
struct TypeRow {
    place: usize,
    type_sql: String,
    name: String,
    kind: char,
    modifier: i32,
    element_oid: Option<u32>,
    labels: Vec<String>,
}

impl Relation {
    /// Finds the table that is called so. A name without a schema is looked for in all schemas but the server's own, never by a
    /// search path, which is what a database's owner has made it.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub(crate) async fn find(session: &Session, text: &str) -> Result<Self, PipelineError> {
        let parts = parts(text).filter(|parts| (1..=2).contains(&parts.len()));
        let parts = parts.ok_or_else(|| PipelineError::Request {
            problem: format!("{text:?} is not the name of a table"),
            help: "write it as in SQL: orders, shop.orders, shop.\"Orders\"".to_owned(),
        })?;
        let (schema, name) = match parts.as_slice() {
            [schema, name] => (Some(schema), name),
            names => (None, &names[0]),
        };
        let within = match schema {
            Some(schema) => format!("n.nspname = {}", quote_literal(schema)),
            None => "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'".to_owned(),
        };
        let sql = format!(
            "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, \
                    pg_catalog.obj_description(c.oid, 'pg_class') AS comment \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = {} AND {within} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY n.nspname",
            quote_literal(name)
        );
        let mut found: Vec<Relation> = session.query_json(&sql).await.map_err(looking)?;
        match (found.pop(), found.as_slice()) {
            (Some(relation), []) => Ok(relation),
            (None, _) => Err(PipelineError::Request {
                problem: format!("there is no table {text} in {}", session.server()),
                help: "names are as in SQL: write those with capitals in double quotes".to_owned(),
            }),
            (Some(last), others) => {
                let names: Vec<String> = others.iter().chain([&last]).map(Relation::sql).collect();
                Err(PipelineError::Request {
                    problem: format!("{text} is the name of several tables: {}", names.join(", ")),
                    help: "give the table with its schema".to_owned(),
                })
            }
        }
    }

    /// The name, qualified and quoted.
    pub(crate) fn sql(&self) -> String {
        QualifiedName::new(self.schema.clone(), &self.name).sql()
    }

    /// The columns, in the table's order.
    pub(crate) async fn columns(&self, session: &Session) -> Result<TableColumns, PipelineError> {
        let sql = format!(
            "SELECT a.attname AS name, a.atttypid::int8 AS type_oid, a.atttypmod AS modifier, \
                    a.attnotnull AS is_required, a.attgenerated <> '' AS is_generated, \
                    CASE WHEN a.attcollation <> t.typcollation \
                         THEN pg_catalog.format('%I.%I', n.nspname, l.collname) END AS collation, \
                    pg_catalog.col_description(a.attrelid, a.attnum) AS comment \
             FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
               LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace \
             WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            self.oid
        );
        let given = session.query_json(&sql).await.map_err(looking)?;
        let columns = typed(session, given).await?;
        Ok(TableColumns { table: Some(self.sql()), comment: self.comment.clone(), columns })
    }

    /// Whether to plan a query on it, or on a partition of it, would run what others than superusers and the reading role have
    /// written.
    pub(crate) async fn has_code_of_others(&self, session: &Session) -> Result<bool, PipelineError> {
        let flight = Flight::new(session);
        let asked = Box::pin(flight.run(plan_code(&flight))).await;
        let code = asked
            .map_err(|source| PipelineError::Introspect { server: session.server().to_owned(), source })?;
        if code.of_others.is_empty() {
            return Ok(false);
        }
        let sql =
            format!("SELECT relid::pg_catalog.oid::text FROM pg_catalog.pg_partition_tree({})", self.oid);
        let parts = session.query_strings(&sql).await.map_err(looking)?;
        let parts: BTreeSet<u32> =
            parts.iter().filter_map(|oid| oid.parse().ok()).chain([self.oid]).collect();
        Ok(!parts.is_disjoint(&code.of_others))
    }
}

/// The columns of a query.
pub(crate) async fn query_columns(
    session: &Session,
    columns: Vec<ResultColumn>,
) -> Result<TableColumns, PipelineError> {
    let given = |ResultColumn { name, type_oid, modifier }: ResultColumn| Given {
        name,
        type_oid,
        modifier,
        is_required: false,
        is_generated: false,
        collation: None,
        comment: None,
    };
    let columns = typed(session, columns.into_iter().map(given).collect()).await?;
    Ok(TableColumns { table: None, comment: None, columns })
}

fn looking(source: dbhaul_postgres::Error) -> PipelineError {
    PipelineError::server("cannot look up the columns", source)
}

/// Domains are followed to what they are of, arrays to their elements, and these to what their domains are of.
async fn typed(session: &Session, given: Vec<Given>) -> Result<Vec<Column>, PipelineError> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let values = given.iter().enumerate();
    let values =
        values.map(|(place, column)| format!("({place}, {}::oid, {})", column.type_oid, column.modifier));
    let sql = format!(
        "WITH RECURSIVE given(place, oid, modifier) AS (VALUES {values}),
         base(place, oid, modifier, depth) AS (
           SELECT place, oid, modifier, 0 FROM given UNION ALL
           SELECT b.place, t.typbasetype, t.typtypmod, b.depth + 1
           FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'),
         bottom AS (SELECT DISTINCT ON (place) place, oid, modifier FROM base ORDER BY place, depth DESC),
         item AS (SELECT b.place, b.oid, b.modifier, e.oid AS element
           FROM bottom b LEFT JOIN pg_catalog.pg_type e ON e.typarray = b.oid),
         part(place, oid, modifier, depth) AS (
           SELECT place, coalesce(element, oid), modifier, 0 FROM item UNION ALL
           SELECT p.place, t.typbasetype, t.typtypmod, p.depth + 1
           FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.oid WHERE t.typtype = 'd'),
         scalar AS (SELECT DISTINCT ON (place) place, oid, modifier FROM part ORDER BY place, depth DESC)
         SELECT g.place, pg_catalog.format_type(g.oid, g.modifier) AS type_sql,
                pg_catalog.format_type(s.oid, NULL) AS name, t.typtype AS kind, s.modifier,
                i.element::int8 AS element_oid,
                ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
                      WHERE e.enumtypid = s.oid ORDER BY e.enumsortorder) AS labels
         FROM given g JOIN item i USING (place) JOIN scalar s USING (place)
           JOIN pg_catalog.pg_type t ON t.oid = s.oid
         ORDER BY g.place",
        values = values.collect::<Vec<_>>().join(", ")
    );
    let types: Vec<TypeRow> = session.query_json(&sql).await.map_err(looking)?;
    let mut types = types.into_iter().peekable();
    let mut columns = Vec::with_capacity(given.len());
    for (place, column) in given.into_iter().enumerate() {
        let found = types.next_if(|found| found.place == place).ok_or_else(|| PipelineError::Request {
            problem: format!("the type of column {} is not in the catalog", quote_identifier(&column.name)),
            help: "run it again: the type was dropped meanwhile".to_owned(),
        })?;
        columns.push(column_of(column, found));
    }
    Ok(columns)
}

fn column_of(given: Given, found: TypeRow) -> Column {
    let facts = TypeFacts {
        name: &found.name,
        kind: found.kind,
        modifier: found.modifier,
        labels: &found.labels,
        element_oid: found.element_oid,
    };
    Column {
        name: given.name,
        pg_type: PgType::of(&facts),
        type_sql: found.type_sql,
        modifier: given.modifier,
        collation: given.collation,
        is_nullable: !given.is_required,
        is_generated: given.is_generated,
        comment: given.comment,
    }
}

/// The parts of a name as SQL has it: folded to lower case unless in double quotes.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
                let part = Some(&rest[..end]).filter(|part| part.chars().all(is_plain))?;
                (part.to_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(parts),
        }
    }
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn names_are_read_as_sql_reads_them() {
        let read = |text: &str| parts(text).map(|parts| parts.join("|"));
        assert_eq!(read("Orders").as_deref(), Some("orders"));
        assert_eq!(read("shop.\"Or\"\"d.ers\"").as_deref(), Some("shop|Or\"d.ers"));
        assert_eq!(read("größe.x_1$").as_deref(), Some("größe|x_1$"));
        for text in ["", "a.", ".a", "a b", "\"a", "\"a\"b", "a;b", "\"\""] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
