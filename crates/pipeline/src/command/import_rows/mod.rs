//! `import`: the rows of one file become rows of one table, all of them or none.
//!
//! Columns are matched by name. Everything happens in one transaction, whose COPY counts lines as the file does, so that the
//! server's own message about a row that does not fit names its line.

mod columns;
mod json_lines;
mod text;

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use dbhaul_columns::Column;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, quote_identifier};
use dbhaul_progress::{Phase, Task, counted};
use serde::Serialize;

use crate::command::export::{Compression, RowFormat};
use crate::command::relation::Relation;
use crate::sides::check_side;
use crate::source::lock_wait::{self, Waiting};
use crate::{Context, PipelineError, Status};

/// Asks for rows of a file in a table.
#[derive(Debug, Clone)]
pub struct ImportRowsRequest {
    /// Where the table is.
    pub target: ConnectSettings,
    /// The table, by its name as in SQL.
    pub table: String,
    /// The file.
    pub file: PathBuf,
    /// Its format.
    pub format: RowFormat,
    /// How the file is compressed as a whole, if it is.
    pub compression: Option<Compression>,
}

/// What was imported.
#[derive(Debug, Clone, Serialize)]
pub struct ImportRowsReport {
    /// The target, without secrets.
    pub target: String,
    /// The table.
    pub table: String,
    /// The file.
    pub file: String,
    /// Rows that the server took.
    pub row_count: u64,
    /// The columns that were filled.
    pub columns: Vec<String>,
    /// What was not taken over as one would expect.
    pub notes: Vec<String>,
    /// Seconds it took.
    pub elapsed_seconds: f64,
}

impl ImportRowsReport {
    /// An import that is not whole is an error.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Imports all rows of the file, or none.
///
/// # Errors
/// Whatever stopped it; the table is as it was.
pub async fn import_rows(
    request: ImportRowsRequest,
    context: Context,
) -> Result<ImportRowsReport, PipelineError> {
    let started = std::time::Instant::now();
    Box::pin(check_side(("target", &request.target), &context)).await?;
    let writing = |source| PipelineError::server("cannot use the target", source);
    let session =
        Session::connect(&request.target, SessionRole::Loader, &context.cancel).await.map_err(writing)?;
    let relation = Relation::find(&session, &request.table).await?;
    let table = relation.sql();
    lock(&session, &table, &request.target, &context).await?;
    let columns = relation.columns(&session).await?.columns;
    let mut import =
        Import { session: &session, table: &table, columns, file: &request.file, notes: Vec::new() };
    context.progress.phase_started(Phase::Data, Some(1), None);
    let task = context.progress.task("TABLE DATA", &table, None);
    let copied = Box::pin(import.copy(&request, &task));
    let copied = context.cancel.run_until_cancelled(copied).await.unwrap_or(Err(PipelineError::Cancelled));
    let (row_count, columns) = match copied {
        Ok(copied) => copied,
        Err(error) => {
            error.stop(&context.progress);
            task.fail(dbhaul_progress::one_line(&error));
            return Err(error);
        }
    };
    let notes = import.notes;
    let committing =
        |source| PipelineError::server(format!("the import into {table} was not committed"), source);
    session.commit().await.map_err(committing)?;
    task.finish();
    context.progress.phase_finished(Phase::Data);
    // everything is committed
    let _ = session.close().await;
    Ok(ImportRowsReport {
        target: request.target.describe(),
        table,
        file: request.file.display().to_string(),
        row_count,
        columns,
        notes,
        elapsed_seconds: started.elapsed().as_secs_f64(),
    })
}

/// Begins the transaction and locks the table against changes of its definition, before these are looked at.
async fn lock(
    session: &Session,
    table: &str,
    target: &ConnectSettings,
    context: &Context,
) -> Result<(), PipelineError> {
    let writing = |source| PipelineError::server(format!("cannot lock {table}"), source);
    let limit = context.lock_wait.map_or(0, |limit| limit.as_millis());
    session.begin_and(&format!("SET LOCAL lock_timeout = '{limit}ms'")).await.map_err(writing)?;
    let locking = async {
        let sql = format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE");
        session.batch(&sql).await.map_err(writing)
    };
    match lock_wait::with_news(locking, Waiting::Process(session.backend_pid()), target, context).await {
        Ok(()) => Ok(()),
        Err(error) => Err(lock_wait::named(error, target, context).await),
    }
}

/// An import under way.
struct Import<'a> {
    session: &'a Session,
    table: &'a str,
    columns: Vec<Column>,
    file: &'a std::path::Path,
    notes: Vec<String>,
}

impl Import<'_> {
    /// Copies all rows; returns how many, and into which columns.
    async fn copy(
        &mut self,
        request: &ImportRowsRequest,
        task: &Task,
    ) -> Result<(u64, Vec<String>), PipelineError> {
        match request.format {
            RowFormat::Parquet | RowFormat::Arrow => columns::copy(self, request.format, task).await,
            RowFormat::Csv => text::copy_csv(self, request.compression, task).await,
            RowFormat::JsonLines => text::copy_json_lines(self, request.compression, task).await,
        }
    }

    /// For each name in the file the table's column; `None` for one that the server computes itself.
    fn matched(&mut self, names: &[String]) -> Result<Vec<Option<Column>>, PipelineError> {
        let mut matched: Vec<Option<Column>> = Vec::with_capacity(names.len());
        let mut unknown = Vec::new();
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                return Err(self.misfit(format!("two columns of the file are called {name:?}")));
            }
            match self.columns.iter().find(|column| column.name == *name) {
                None => unknown.push(quote_identifier(name)),
                Some(column) if column.is_generated => {
                    self.notes.push(format!(
                        "column {} was not read: the server computes it",
                        quote_identifier(name)
                    ));
                    matched.push(None);
                }
                Some(column) => matched.push(Some(column.clone())),
            }
        }
        if !unknown.is_empty() {
            let noun = if unknown.len() == 1 { "a column" } else { "columns" };
            return Err(
                self.misfit(format!("the file has {noun} that the table has not: {}", unknown.join(", ")))
            );
        }
        if matched.iter().flatten().next().is_none() {
            return Err(self.misfit("the file has no column that can be imported".to_owned()));
        }
        let given: Vec<&Column> = matched.iter().flatten().collect();
        let is_missing =
            |column: &&Column| !column.is_generated && !given.iter().any(|given| given.name == column.name);
        let missing: Vec<String> =
            self.columns.iter().filter(is_missing).map(|column| quote_identifier(&column.name)).collect();
        if !missing.is_empty() {
            let noun = if missing.len() == 1 { "column" } else { "columns" };
            self.notes
                .push(format!("the file has no {noun} {}: default values were used", missing.join(", ")));
        }
        Ok(matched)
    }

    /// The file and the table do not go together.
    fn misfit(&self, problem: String) -> PipelineError {
        PipelineError::Request {
            problem: format!("{} does not fit {}: {problem}", self.file.display(), self.table),
            help: "columns are matched by name; give the file names that the table has".to_owned(),
        }
    }

    fn copy_sql(&self, columns: &[&Column], options: &str) -> String {
        let names: Vec<String> = columns.iter().map(|column| quote_identifier(&column.name)).collect();
        format!("COPY {} ({}) FROM STDIN {options}", self.table, names.join(", "))
    }

    /// What the server refuses; `counted` says what its line numbers are in the file.
    fn refused(&self, counted: &str) -> impl Fn(dbhaul_postgres::Error) -> PipelineError + use<> {
        let action = format!("cannot import {} into {}, {counted}", self.file.display(), self.table);
        move |source| PipelineError::server(action.clone(), source)
    }

    fn unreadable(&self) -> impl Fn(std::io::Error) -> PipelineError + use<> {
        let place = self.file.display().to_string();
        move |source| PipelineError::Input { place: place.clone(), source }
    }
}

impl Display for ImportRowsReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "import complete: {} into {} of {}", self.file, self.table, self.target)?;
        write!(
            f,
            "  {}, {}, in {:.1} s",
            counted(self.row_count, "row"),
            counted(self.columns.len(), "column"),
            self.elapsed_seconds
        )?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}
