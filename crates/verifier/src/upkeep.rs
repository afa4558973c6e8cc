//! What a live side needs to be worked with that neither its definitions nor its rows show: sequences that are ahead of
//! the columns they fill, and planner statistics.

use std::collections::BTreeSet;
use std::sync::Arc;

use dbhaul_catalog::{QualifiedName, quote_identifier};
use dbhaul_postgres::{self as postgres, ConnectSettings, Session, SessionRole, SnapshotHolder};
use dbhaul_retry::RetryPolicy;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::VerifyError;

/// Columns whose furthest values are asked for by one query.
const BATCH_SIZE: usize = 100;

/// Seconds that such a query may take: an index whose end is all dead rows is not waited for.
const MOST_SECONDS: u64 = 60;

/// Bytes of a table without an index that is scanned all the same.
const SMALL_BYTES: u64 = 8 << 20;

/// What was found of a side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upkeep {
    /// Columns that sequences fill.
    pub filled: Vec<FilledColumn>,
    /// Tables with planner statistics, of those that the role may read.
    pub analyzed: BTreeSet<QualifiedName>,
}

/// A column of integers that a sequence fills: as an identity column, by its default, or because the column owns the
/// sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledColumn {
    /// The sequence, which does not start over at its end.
    pub sequence: QualifiedName,
    /// Its `INCREMENT BY`.
    pub increment: i64,
    /// The table.
    pub table: QualifiedName,
    /// The column.
    pub column: String,
    /// How far its values go.
    pub furthest: Furthest,
}

/// How far the values of a column go in the direction of its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Furthest {
    /// To this one; `None` if there is none.
    Value(Option<i64>),
    /// Nobody looked, for this reason.
    Unknown(String),
}

impl FilledColumn {
    /// The value that the column already has although its sequence, which stands here, has still to give it out.
    pub fn ahead_of(&self, last_value: i64, is_called: bool) -> Option<i64> {
        let Furthest::Value(Some(furthest)) = self.furthest else { return None };
        let next = match is_called {
            true => last_value.checked_add(self.increment)?,
            false => last_value,
        };
        let is_ahead = if self.increment > 0 { furthest >= next } else { furthest <= next };
        is_ahead.then_some(furthest)
    }

    /// The column as a report names it.
    pub fn sql(&self) -> String {
        format!("{}.{}", self.table, quote_identifier(&self.column))
    }
}

#[derive(Deserialize)]
struct Row {
    sequence: QualifiedName,
    increment: i64,
    table: QualifiedName,
    column: String,
    is_partitioned: bool,
    relations: Vec<u32>,
    unreadable: bool,
    foreign: bool,
    cheap: bool,
}

#[derive(Deserialize)]
struct Value {
    position: usize,
    furthest: Option<i64>,
}

/// Looks at a side under the holder's snapshot, over one session. How far a column of one of these tables goes is asked
/// where an index tells or the table is small; tables of which no query may be planned, by `pg_class` OID, are not asked.
///
/// # Errors
/// [`VerifyError::Cancelled`], and [`VerifyError::Side`] if the server stays away or the snapshot is lost.
pub async fn look_at_upkeep(
    settings: &ConnectSettings,
    holder: &Arc<SnapshotHolder>,
    asked: (&BTreeSet<QualifiedName>, &BTreeSet<u32>),
    cancel: &CancellationToken,
) -> Result<Upkeep, VerifyError> {
    let mut attempts = RetryPolicy::default().attempts();
    loop {
        let error = match Box::pin(look(settings, holder, asked, cancel)).await {
            Ok(upkeep) => return Ok(upkeep),
            Err(error) => error,
        };
        if error.is_cancelled() || cancel.is_cancelled() {
            return Err(VerifyError::Cancelled);
        }
        let Some(pause) = attempts.failed(error.is_transient()) else {
            let (side, table) = (settings.describe(), "columns that sequences fill".to_owned());
            return Err(VerifyError::Side { side, table, source: error });
        };
        pause.wait(cancel).await.map_err(|_| VerifyError::Cancelled)?;
    }
}

async fn look(
    settings: &ConnectSettings,
    holder: &SnapshotHolder,
    (tables, unplanned): (&BTreeSet<QualifiedName>, &BTreeSet<u32>),
    cancel: &CancellationToken,
) -> Result<Upkeep, postgres::Error> {
    let session = Session::connect(settings, SessionRole::Reader, cancel).await?;
    holder.import_into(&session).await?;
    let analyzed: Vec<QualifiedName> = session.query_json(ANALYZED_SQL).await?;
    let mut rows: Vec<Row> = session.query_json(&filled_sql()).await?;
    rows.retain(|row| tables.contains(&row.table));
    session.commit().await?;
    let mut filled: Vec<(FilledColumn, Option<String>)> =
        rows.into_iter().map(|row| column(row, unplanned)).collect();
    let mut asked: Vec<&mut (FilledColumn, Option<String>)> =
        filled.iter_mut().filter(|(_, sql)| sql.is_some()).collect();
    // a transaction keeps its locks until it ends
    let at_once = holder.tables_per_transaction(1).clamp(1, BATCH_SIZE);
    for batch in asked.chunks_mut(at_once) {
        // a transaction of its own, for what one batch cannot tell others can
        holder.import_into(&session).await?;
        session.batch(&format!("SET LOCAL statement_timeout = '{MOST_SECONDS}s'")).await?;
        let parts: Vec<String> =
            (0..).zip(batch.iter()).filter_map(|(at, (_, sql))| Some(part(at, sql.as_deref()?))).collect();
        let answer = session.query_json::<Value>(&parts.join(" UNION ALL ")).await;
        match answer {
            Ok(values) => {
                session.commit().await?;
                for value in values {
                    if let Some((column, _)) = batch.get_mut(value.position) {
                        column.furthest = Furthest::Value(value.furthest);
                    }
                }
            }
            Err(error) => {
                let reason = refusal(&error, cancel);
                let Some(reason) = reason else { return Err(error) };
                session.rollback().await?;
                batch.iter_mut().for_each(|(column, _)| column.furthest = Furthest::Unknown(reason.clone()));
            }
        }
    }
    session.close().await?;
    let filled = filled.into_iter().map(|(column, _)| column).collect();
    Ok(Upkeep { filled, analyzed: analyzed.into_iter().collect() })
}

/// Why a server did not answer a query that it has understood; `None` where it may answer it once more.
fn refusal(error: &postgres::Error, cancel: &CancellationToken) -> Option<String> {
    const QUERY_CANCELED: &str = "57014";
    let server = error.server_error()?;
    match server.sqlstate == QUERY_CANCELED {
        true if cancel.is_cancelled() => None,
        true => Some(format!("that took more than {MOST_SECONDS} s")),
        false if error.is_transient() => None,
        false => Some(format!("SQLSTATE {}", server.sqlstate)),
    }
}

/// One of many questions.
fn part(at: usize, sql: &str) -> String {
    format!("SELECT {at} AS position, ({sql}) AS furthest")
}

/// A column, and the query that tells how far it goes.
fn column(row: Row, unplanned: &BTreeSet<u32>) -> (FilledColumn, Option<String>) {
    let reason = if row.unreadable {
        Some("its column may not be read")
    } else if row.foreign {
        Some("some of its rows lie on other servers")
    } else if row.relations.iter().any(|oid| unplanned.contains(oid)) {
        Some("to plan a query on its table would run functions of others")
    } else if row.cheap {
        None
    } else {
        Some("its column has no index")
    };
    let (value, only) =
        (if row.increment > 0 { "max" } else { "min" }, if row.is_partitioned { "" } else { "ONLY " });
    let name = quote_identifier(&row.column);
    let sql = format!("SELECT pg_catalog.{value}({name})::pg_catalog.int8 FROM {only}{}", row.table);
    let column = FilledColumn {
        sequence: row.sequence,
        increment: row.increment,
        table: row.table,
        column: row.column,
        furthest: Furthest::Unknown(reason.unwrap_or("nobody asked").to_owned()),
    };
    (column, reason.is_none().then_some(sql))
}

/// Tables of which the planner knows something. Only what the role may read is in the view.
const ANALYZED_SQL: &str = "SELECT DISTINCT schemaname AS schema, tablename AS name FROM pg_catalog.pg_stats
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";

/// Columns of integers that sequences fill which do not start over. A default counts that is `nextval` of the sequence
/// and nothing more: what is computed from it goes elsewhere.
fn filled_sql() -> String {
    format!(
        "WITH fills AS (
           SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_catalog.pg_depend d
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0
             AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
           UNION
           SELECT d.refobjid, ad.adrelid, ad.adnum::pg_catalog.int4 FROM pg_catalog.pg_attrdef ad
             JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = ad.oid
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
         SELECT pg_catalog.json_build_object('schema', sn.nspname, 'name', s.relname) AS sequence,
           q.seqincrement AS increment,
           pg_catalog.json_build_object('schema', tn.nspname, 'name', t.relname) AS \"table\",
           a.attname AS column, t.relkind = 'p' AS is_partitioned,
           CASE WHEN t.relkind = 'p' THEN
             (SELECT pg_catalog.array_agg(p.relid::pg_catalog.oid::pg_catalog.int8) FROM pg_catalog.pg_partition_tree(t.oid) p)
           ELSE ARRAY[t.oid::pg_catalog.int8] END AS relations,
           t.relkind = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(t.oid) p
             JOIN pg_catalog.pg_class l ON l.oid = p.relid AND l.relkind = 'f') AS \"foreign\",
           NOT (pg_catalog.has_schema_privilege(tn.oid, 'USAGE')
             AND pg_catalog.has_column_privilege(t.oid, a.attnum, 'SELECT'))
             OR pg_catalog.row_security_active(t.oid) AS unreadable,
           EXISTS (SELECT FROM pg_catalog.pg_index i
               JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid JOIN pg_catalog.pg_am am ON am.oid = ic.relam
             WHERE i.indrelid = t.oid AND i.indisvalid AND i.indisready AND i.indpred IS NULL
               AND i.indkey[0] = a.attnum AND am.amname = 'btree')
             OR t.relkind = 'r' AND pg_catalog.pg_relation_size(t.oid) <= {SMALL_BYTES} AS cheap
         FROM fills f
           JOIN pg_catalog.pg_sequence q ON q.seqrelid = f.sequence AND NOT q.seqcycle
           JOIN pg_catalog.pg_class s ON s.oid = f.sequence
           JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
           JOIN pg_catalog.pg_class t ON t.oid = f.relation AND t.relkind IN ('r', 'p') AND t.relpersistence <> 't'
           JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
           JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.number AND NOT a.attisdropped
             AND a.attgenerated = '' AND a.atttypid IN ('pg_catalog.int2'::pg_catalog.regtype,
               'pg_catalog.int4'::pg_catalog.regtype, 'pg_catalog.int8'::pg_catalog.regtype)
           LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = t.oid AND ad.adnum = a.attnum
         WHERE ad.oid IS NULL OR pg_catalog.pg_get_expr(ad.adbin, ad.adrelid) = pg_catalog.format('nextval(%L::regclass)',
           pg_catalog.format('%I.%I', sn.nspname, s.relname))
         ORDER BY sn.nspname, s.relname, tn.nspname, t.relname, a.attnum"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(increment: i64, furthest: Option<i64>) -> FilledColumn {
        FilledColumn {
            sequence: QualifiedName::new("s", "q"),
            increment,
            table: QualifiedName::new("s", "t"),
            column: "Id".to_owned(),
            furthest: Furthest::Value(furthest),
        }
    }

    #[test]
    fn a_sequence_is_behind_where_it_will_give_out_what_is_there() {
        for (increment, furthest, last_value, is_called, ahead) in [
            (1, Some(5), 5, true, false),
            (1, Some(5), 4, true, true),
            (1, Some(5), 5, false, true),
            (1, Some(5), 6, false, false),
            (1, None, 1, false, false),
            // identifiers that an application takes from a block that it was given
            (50, Some(149), 100, true, false),
            (50, Some(150), 100, true, true),
            (-1, Some(-5), -4, true, true),
            (-1, Some(-5), -5, true, false),
            // at its end it gives out nothing any more
            (1, Some(i64::MAX), i64::MAX, true, false),
        ] {
            let found = filled(increment, furthest).ahead_of(last_value, is_called);
            assert_eq!(
                found,
                furthest.filter(|_| ahead),
                "{increment} {furthest:?} {last_value} {is_called}"
            );
        }
        assert_eq!(filled(1, None).sql(), "s.t.\"Id\"");
    }
}
