//! `export`: the rows of one table or query become one file.
//!
//! One session reads, in one read-only transaction: what the rows are read from is locked against changes of its definition first,
//! then looked at, then copied, so that nothing is missed in between. Rows pass through a few MiB of memory; of
//! Parquet, the row group that is being written is in memory too.

mod work;

use std::fmt::{self, Display, Formatter};

use bytes::Bytes;
use dbhaul_columns::{ColumnsError, TableColumns};
use dbhaul_postgres::{ConnectSettings, Session, SessionOptions, SessionRole, quote_identifier};
use dbhaul_progress::{Phase, Task, counted};
use dbhaul_rows::CopyFormat;
use serde::Serialize;

use crate::command::relation::{Relation, query_columns};
use crate::output_file::{FileCompression, OutputFile};
use crate::output_place::OutputPlace;
use crate::sides::check_side;
use crate::source::lock_wait::{self, Waiting};
use crate::source::throttle::{Throttle, ThrottleOptions};
use crate::{Context, PipelineError, Status, format_bytes};

/// Bytes of rows that are worked on at a time, while the next are read.
const WORK_BYTES: usize = 1 << 20;

/// Asks for a file of rows.
#[derive(Debug)]
pub struct ExportRequest {
    /// Where they are.
    pub source: ConnectSettings,
    /// Which rows.
    pub rows: ExportRows,
    /// The format of the file.
    pub format: RowFormat,
    /// How the file is compressed as a whole, if it is.
    pub compression: Option<Compression>,
    /// How much of the source it may take.
    pub throttle: ThrottleOptions,
}

/// Rows to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportRows {
    /// All rows of a table, by its name as in SQL.
    Table(String),
    /// What a query gives.
    Query(String),
}

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, as a file.
    Arrow,
    /// CSV with a header, as PostgreSQL writes it.
    Csv,
    /// One JSON object for each row.
    #[serde(rename = "jsonl")]
    JsonLines,
}

/// A compression of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstd,
    /// `.xz`.
    Xz,
    /// `.bz2`.
    Bzip2,
    /// `.lz4`, frames.
    Lz4,
}

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// The source, without secrets.
    pub source: String,
    /// The table; none for a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Where the file is.
    pub place: String,
    /// Its format.
    pub format: RowFormat,
    /// Rows in it.
    pub row_count: u64,
    /// Columns of them.
    pub column_count: usize,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// What is not in it as one would expect.
    pub notes: Vec<String>,
    /// Seconds it took.
    pub elapsed_seconds: f64,
}

impl ExportReport {
    /// An export that is not whole is an error.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Writes the rows into a file, which has its name only once it is complete.
///
/// # Errors
/// Whatever stopped it; there is no file then. A stream ends before it is whole.
pub async fn export(
    request: ExportRequest,
    output: OutputPlace,
    context: Context,
) -> Result<ExportReport, PipelineError> {
    let started = std::time::Instant::now();
    Box::pin(check_side(("source", &request.source), &context)).await?;
    let throttle = Throttle::start(request.throttle, &request.source, &context).await?;
    let reading = Reading::open(&request, &context).await?;
    let mut file = OutputFile::open(output, request.compression.map(FileCompression::from)).await?;
    let name = reading.table.table.clone().unwrap_or_else(|| "query".to_owned());
    context.progress.phase_started(Phase::Data, Some(1), None);
    let task = context.progress.task("TABLE DATA", &name, None);
    let copied = context
        .cancel
        .run_until_cancelled(Box::pin(reading.copy(&request, &throttle, &mut file, &task)))
        .await;
    let row_count = match copied.unwrap_or(Err(PipelineError::Cancelled)) {
        Ok(row_count) => row_count,
        Err(error) => {
            error.stop(&context.progress);
            task.fail(dbhaul_progress::one_line(&error));
            return Err(error);
        }
    };
    let (place, file_bytes) = file.commit().await?;
    task.finish();
    context.progress.phase_finished(Phase::Data);
    let Reading { session, table, notes, .. } = reading;
    // nothing was changed that could be lost
    let _ = session.rollback().await;
    let _ = session.close().await;
    Ok(ExportReport {
        source: request.source.describe(),
        table: table.table.clone(),
        place,
        format: request.format,
        row_count,
        column_count: table.columns.len(),
        file_bytes,
        notes,
        elapsed_seconds: started.elapsed().as_secs_f64(),
    })
}

/// A session that is about to read.
struct Reading {
    session: Session,
    table: TableColumns,
    /// What a COPY reads: a table with columns, or a query in parentheses.
    copied: String,
    notes: Vec<String>,
}

impl Reading {
    async fn open(request: &ExportRequest, context: &Context) -> Result<Self, PipelineError> {
        let session = connect(request, context).await?;
        match &request.rows {
            ExportRows::Query(sql) => Self::of_query(session, sql).await,
            ExportRows::Table(name) => {
                let relation = Relation::find(&session, name).await?;
                Self::of_table(session, &relation, (&request.source, context)).await
            }
        }
    }

    /// The query is the user's own, and runs what it names; it is one statement, and writes nothing.
    async fn of_query(session: Session, sql: &str) -> Result<Self, PipelineError> {
        let sql = sql.trim().trim_end_matches(';');
        let reading = |source| PipelineError::server("the query cannot be read", source);
        let columns = session.describe(sql).await.map_err(reading)?;
        if columns.is_empty() {
            return Err(PipelineError::Request {
                problem: "the query gives no columns".to_owned(),
                help: "give a SELECT, VALUES or TABLE".to_owned(),
            });
        }
        let table = query_columns(&session, columns).await?;
        // the line break ends a comment that the query may end with
        let copied = format!("({sql}\n)");
        Ok(Reading { session, table, copied, notes: Vec::new() })
    }

    async fn of_table(
        session: Session,
        relation: &Relation,
        (source, context): (&ConnectSettings, &Context),
    ) -> Result<Self, PipelineError> {
        let name = relation.sql();
        // a foreign table cannot be locked, and nothing of it is rewritten
        if relation.kind != 'f' {
            let locking = async {
                let sql = format!("LOCK TABLE {name} IN ACCESS SHARE MODE");
                let locked = session.batch(&sql).await;
                locked.map_err(|source| PipelineError::server(format!("cannot lock {name}"), source))
            };
            let waiting = Waiting::Process(session.backend_pid());
            if let Err(error) = lock_wait::with_news(locking, waiting, source, context).await {
                return Err(lock_wait::named(error, source, context).await);
            }
        }
        let mut table = relation.columns(&session).await?;
        let mut notes = Vec::new();
        let is_computed = table.columns.iter().any(|column| column.is_generated);
        let is_view = relation.kind == 'v' || relation.kind == 'f';
        let is_planned = relation.kind != 'r' || is_computed;
        if is_planned && !is_view && relation.has_code_of_others(&session).await? {
            if relation.kind != 'r' {
                return Err(planned_code(&name));
            }
            notes.push(without_generated(&mut table));
        }
        let is_computed = table.columns.iter().any(|column| column.is_generated);
        let columns: Vec<String> =
            table.columns.iter().map(|column| quote_identifier(&column.name)).collect();
        let columns = columns.join(", ");
        let copied = match relation.kind {
            // a COPY of the table itself plans nothing
            'r' if !is_computed => format!("{name} ({columns})"),
            'r' => format!("(SELECT {columns} FROM ONLY {name})"),
            _ => format!("(SELECT {columns} FROM {name})"),
        };
        Ok(Reading { session, table, copied, notes })
    }

    /// Copies all rows; returns how many.
    async fn copy(
        &self,
        request: &ExportRequest,
        throttle: &Throttle,
        file: &mut OutputFile,
        task: &Task,
    ) -> Result<u64, PipelineError> {
        let copying = |source| PipelineError::server("the copy of rows stopped", source);
        let format = match request.format {
            RowFormat::Parquet | RowFormat::Arrow if self.table.is_binary() => CopyFormat::Binary,
            _ => CopyFormat::Text,
        };
        let options = match request.format {
            RowFormat::Csv => "(FORMAT csv, HEADER true)",
            _ => format.copy_out_options(),
        };
        let mut work = work::begin(request.format, &self.table, format)
            .map_err(|source| PipelineError::Columns { action: WRITING.to_owned(), source })?;
        let sql = format!("COPY {} TO STDOUT {options}", self.copied);
        let mut copy = self.session.copy_out(&sql).await.map_err(copying)?;
        let mut seen_rows = 0;
        loop {
            let (blocks, is_end) = gather(&mut copy).await.map_err(copying)?;
            let copied_bytes = blocks.iter().map(Bytes::len).sum::<usize>() as u64;
            throttle.pass(copied_bytes).await;
            let (worked, out) = in_background(WRITING, move || {
                let mut out = Vec::new();
                blocks.iter().try_for_each(|block| work.push(block, &mut out))?;
                Ok((work, out))
            })
            .await?;
            work = worked;
            file.write(&out).await?;
            task.advance(work.rows() - seen_rows, copied_bytes);
            seen_rows = work.rows();
            if is_end {
                break;
            }
        }
        let (row_count, out) = in_background(WRITING, move || {
            let mut out = Vec::new();
            Ok((work.finish(&mut out)?, out))
        })
        .await?;
        file.write(&out).await?;
        Ok(row_count)
    }
}

/// The next blocks of a copy, a piece of work; whether they are the last.
async fn gather(copy: &mut dbhaul_postgres::CopyOut) -> Result<(Vec<Bytes>, bool), dbhaul_postgres::Error> {
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    while bytes < WORK_BYTES {
        let Some(block) = copy.next_block().await? else { return Ok((blocks, true)) };
        bytes += block.len();
        blocks.push(block);
    }
    Ok((blocks, false))
}

/// Does what takes the processor on a thread that may be kept busy.
pub(crate) async fn in_background<T: Send + 'static>(
    action: &str,
    work: impl FnOnce() -> Result<T, ColumnsError> + Send + 'static,
) -> Result<T, PipelineError> {
    let done = tokio::task::spawn_blocking(work).await;
    let ended = |error: tokio::task::JoinError| PipelineError::Worker {
        what: "what turns rows into columns".to_owned(),
        reason: error.to_string(),
    };
    done.map_err(ended)?.map_err(|source| PipelineError::Columns { action: action.to_owned(), source })
}

/// What cannot be done where rows cannot be what the file holds.
const WRITING: &str = "cannot write the rows";

/// A session in a read-only transaction that sees what was committed before each of its statements: one that sees a snapshot
/// throughout would see a table without rows that was rewritten before it was locked.
async fn connect(request: &ExportRequest, context: &Context) -> Result<Session, PipelineError> {
    // views are kept from readers, who might be led to one in the place of a table; here one may be asked for
    let views = ("restrict_nonsystem_relation_kind".to_owned(), String::new());
    let options = SessionOptions { role: SessionRole::Reader, extra_pins: vec![views] };
    let connecting = |source| PipelineError::server("cannot connect to the source", source);
    let session = Session::connect(&request.source, options, &context.cancel).await.map_err(connecting)?;
    // a standby refuses even the beginning of a transaction that could write
    let mut begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY".to_owned();
    if let Some(limit) = context.lock_wait {
        begin.push_str(&format!("; SET LOCAL lock_timeout = '{}ms'", limit.as_millis()));
    }
    session.batch(&begin).await.map_err(connecting)?;
    Ok(session)
}

fn planned_code(name: &str) -> PipelineError {
    PipelineError::Request {
        problem: format!(
            "{name} cannot be read by a query without running functions of others: its indexes or statistics use some whose \
             owner is neither a superuser nor the role that reads"
        ),
        help: "export its partitions one by one, which are read without a query; or give the query with --query as a role \
               that may do no more than their owner"
            .to_owned(),
    }
}

/// Leaves out the columns that only a query can read; returns what to say of it.
fn without_generated(table: &mut TableColumns) -> String {
    let (generated, stored) =
        std::mem::take(&mut table.columns).into_iter().partition(|column| column.is_generated);
    table.columns = stored;
    let names: Vec<String> =
        generated.iter().map(|column: &dbhaul_columns::Column| quote_identifier(&column.name)).collect();
    format!(
        "left out: generated {} {}, which only a query can read, and one would run functions of others that indexes or \
         statistics use",
        if names.len() == 1 { "column" } else { "columns" },
        names.join(", ")
    )
}

impl Display for ExportReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = self.table.as_deref().unwrap_or("query");
        writeln!(f, "export complete: {what} of {} in {}", self.source, self.place)?;
        write!(
            f,
            "  {}, {}, {}, in {:.1} s",
            counted(self.row_count, "row"),
            counted(self.column_count, "column"),
            format_bytes(self.file_bytes),
            self.elapsed_seconds
        )?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}
