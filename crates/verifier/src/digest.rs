//! Row digests of a live database: one plain-SQL scan of each table, or a `COPY` where no query may read it.

mod copied;
mod together;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres::{
    self as postgres, ConnectSettings, Session, SessionOptions, SessionRole, SnapshotHolder,
};
use dbhaul_progress::{Progress, Task};
use dbhaul_retry::RetryPolicy;
use dbhaul_rows::{DigestSpec, RowDigest};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::copied::copied;
pub(crate) use self::copied::{RUN_BYTES, copy_sql as table_copy_sql};
use self::together::PlacedAnswer;
use crate::drill::{Groups, sql_group};
use crate::{Found, TimeLimit, TimedToken, VerifyError};

/// Rows are read from their table: an index that has all columns need not have all rows.
pub(crate) const PINS: [(&str, &str); 2] = [("enable_indexonlyscan", "off"), ("enable_seqscan", "on")];

/// How a set of rows is read for its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// By a query, on the server.
    Query,
    /// By a query, or by a `COPY` of the table where a query cannot be planned.
    QueryOrCopy,
    /// By a `COPY` of the table, for to plan a query would run functions of others. The rows come here.
    Copy,
}

/// What is to be known of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Their number and the sum of their hashes.
    Digest,
    /// Their number alone.
    Count,
}

/// One set of rows to digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestTask {
    /// What it is called in the report; the key of the result.
    pub name: String,
    /// The table, where the rows are those of one; all of them, unless they are read by a query alone.
    pub table: Option<QualifiedName>,
    /// What stands behind `FROM`: `ONLY public.film`, or a query in parentheses with an alias.
    pub rows: String,
    /// What is to be known of them.
    pub measure: Measure,
    /// How the rows are hashed.
    pub spec: DigestSpec,
    /// How they are read.
    pub reading: Reading,
    /// Size on disk in bytes, for order and progress.
    pub estimated_bytes: u64,
    /// The columns of the key, by their places in the spec, by whose hashes rows are put into groups while they are
    /// read, so that the rows that differ are found by one scan less; `None`: they are not.
    pub groups_by: Option<Vec<usize>>,
}

/// What is known of tables after they were read.
#[derive(Debug, Clone, Default)]
pub struct Digested {
    /// What was found of each.
    pub found: BTreeMap<String, Found>,
    /// The digests of the groups of their rows, where these were asked for and a query could tell them.
    pub groups: BTreeMap<String, Groups>,
}

/// What one scan of a table tells.
type Scanned = (RowDigest, Option<Groups>);

/// What became of a task.
type Ended = (String, Found, Option<Groups>);

impl DigestTask {
    /// The query: one row, `count` and `sum`.
    pub fn sql(&self) -> String {
        format!("SELECT {} FROM {}", self.sql_columns(), self.rows)
    }

    /// The same for each group: one row, `place`, `count` and `sum`.
    fn groups_sql(&self, key: &[usize]) -> String {
        let group = sql_group(&self.spec.sql_key_hash(key));
        format!("SELECT {group} AS place, {} FROM {} GROUP BY 1", self.sql_columns(), self.rows)
    }

    fn sql_columns(&self) -> String {
        let sum = match self.measure {
            Measure::Digest => format!("{}::pg_catalog.text", self.spec.sql_expression()),
            Measure::Count => "'0'::pg_catalog.text".to_owned(),
        };
        format!("pg_catalog.count(*)::pg_catalog.int8 AS count, {sum} AS sum")
    }

    fn found(&self, digest: RowDigest) -> Found {
        match self.measure {
            Measure::Digest => Found::Digest(digest),
            Measure::Count => Found::Count(digest.row_count),
        }
    }

    fn answer_error(&self, session: &Session, problem: String) -> postgres::Error {
        let server = session.server().to_owned();
        postgres::Error::Answer { server, problem, query: format!("digest of {}", self.name) }
    }
}

#[derive(Deserialize)]
struct Answer {
    count: u64,
    sum: String,
}

impl Answer {
    fn digest(&self, task: &DigestTask, session: &Session) -> Result<RowDigest, postgres::Error> {
        let no_sum = |_| task.answer_error(session, format!("{:?} is no sum", self.sum));
        Ok(RowDigest { row_count: self.count, sum: self.sum.parse().map_err(no_sum)? })
    }
}

/// SQLSTATEs of a name that was not found: function, table, other object, schema.
pub(crate) const NOT_FOUND: [&str; 4] = ["42883", "42P01", "42704", "3F000"];

/// Digests tables over at most `jobs` sessions, largest first, all under the
/// holder's snapshot. The result has an entry for every task: a table that
/// cannot be read is [`Found::Unreadable`], not an error. Planning a scan looks into
/// the functions of the table's indexes; where these do not find a name without the search path under which they
/// were made, the table is read by `COPY`, which is not planned. What is not read within the limit is unreadable too.
///
/// # Errors
/// [`VerifyError::Cancelled`], [`VerifyError::Side`] if the server stays away or the snapshot is lost, and
/// [`VerifyError::Worker`] if results would be missing.
pub async fn digest_tables(
    settings: &ConnectSettings,
    holder: &Arc<SnapshotHolder>,
    mut tasks: Vec<DigestTask>,
    (jobs, limit): (usize, Option<TimeLimit>),
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Digested, VerifyError> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.estimated_bytes));
    let expected_count = tasks.len();
    let worker_count = jobs.clamp(1, expected_count.max(1));
    let timed = TimedToken::new(cancel, limit);
    let cancel = timed.token().clone();
    let scan = Arc::new(Scan {
        settings: settings.clone(),
        holder: Arc::clone(holder),
        jobs: worker_count,
        queue: Mutex::new(tasks.into()),
        progress: progress.clone(),
        timed,
        cancel: cancel.clone(),
    });
    let mut workers = JoinSet::new();
    for _ in 0..worker_count {
        let scan = Arc::clone(&scan);
        workers.spawn(async move { scan.work().await });
    }
    let digested = match gather(&mut workers, settings).await {
        Ok(digested) => digested,
        Err(error) => {
            if !matches!(error, VerifyError::Cancelled) {
                progress.stopping(words(&error));
            }
            // a session that is only dropped leaves its server scanning
            cancel.cancel();
            while workers.join_next().await.is_some() {}
            return Err(error);
        }
    };
    if digested.found.len() != expected_count {
        let reason = format!("{} of {expected_count} tables were digested", digested.found.len());
        return Err(worker_error(settings, reason));
    }
    Ok(digested)
}

/// An error and its cause in one line.
fn words(error: &VerifyError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}").lines().next().unwrap_or_default().to_owned()
}

/// What all workers found, or the first error.
async fn gather(
    workers: &mut JoinSet<Result<Vec<Ended>, VerifyError>>,
    settings: &ConnectSettings,
) -> Result<Digested, VerifyError> {
    let mut digested = Digested::default();
    while let Some(result) = workers.join_next().await {
        let result = result.map_err(|error| worker_error(settings, error.to_string()))?;
        for (name, found, groups) in result? {
            digested.groups.extend(groups.map(|groups| (name.clone(), groups)));
            digested.found.insert(name, found);
        }
    }
    Ok(digested)
}

fn worker_error(settings: &ConnectSettings, reason: String) -> VerifyError {
    VerifyError::Worker { side: settings.describe(), reason }
}

/// What the workers share.
struct Scan {
    settings: ConnectSettings,
    holder: Arc<SnapshotHolder>,
    jobs: usize,
    queue: Mutex<VecDeque<DigestTask>>,
    progress: Progress,
    timed: TimedToken,
    cancel: CancellationToken,
}

/// A session that has read tables in its transaction.
struct Reader {
    session: Session,
    read_count: usize,
}

impl Scan {
    async fn work(&self) -> Result<Vec<Ended>, VerifyError> {
        let mut found = Vec::new();
        let mut kept = None;
        loop {
            let tasks = self.next();
            if tasks.is_empty() {
                break;
            }
            let mut together = self.digest_together(&tasks, &mut kept).await.into_iter();
            for task in tasks {
                let shown = self.progress.task("DIGEST", &task.name, Some(task.estimated_bytes));
                let answer = match together.next() {
                    Some(digest) => Ok((digest, None)),
                    None => self.digest(&task, &mut kept).await,
                };
                found.push(self.tell(task, answer, shown)?);
            }
        }
        if let Some(reader) = kept {
            // Everything it was asked has been answered.
            let _ = reader.session.close().await;
        }
        Ok(found)
    }

    /// What became of a task, told to whoever watches.
    fn tell(
        &self,
        task: DigestTask,
        answer: Result<Scanned, postgres::Error>,
        shown: Task,
    ) -> Result<Ended, VerifyError> {
        match answer {
            Ok((digest, groups)) => {
                shown.advance(digest.row_count, task.estimated_bytes);
                shown.finish();
                let found = task.found(digest);
                Ok((task.name, found, groups))
            }
            Err(postgres::Error::Cancelled) if self.timed.is_over() => {
                shown.fail(TimeLimit::REASON);
                Ok((task.name, Found::Unreadable(TimeLimit::REASON.to_owned()), None))
            }
            Err(postgres::Error::Cancelled) => Err(VerifyError::Cancelled),
            // what could not be asked is no difference, and the other tables cannot be asked either
            Err(source) if is_outage(&source) => {
                shown.fail(source.to_string());
                Err(VerifyError::Side { side: self.settings.describe(), table: task.name, source })
            }
            Err(error) => {
                shown.fail(error.to_string());
                Ok((task.name, Found::Unreadable(error.to_string()), None))
            }
        }
    }

    async fn digest(&self, task: &DigestTask, kept: &mut Option<Reader>) -> Result<Scanned, postgres::Error> {
        let mut attempts = RetryPolicy::default().attempts();
        let mut reading = task.reading;
        loop {
            let error = match self.try_digest(task, reading, kept).await {
                Ok(scanned) => return Ok(scanned),
                // the functions of its indexes rely on a search path, under which nothing is planned here
                Err(error)
                    if reading == Reading::QueryOrCopy
                        && error.sqlstate().is_some_and(|state| NOT_FOUND.contains(&state)) =>
                {
                    reading = Reading::Copy;
                    continue;
                }
                Err(error) => error,
            };
            let Some(pause) = attempts.failed(error.is_transient()) else {
                return Err(error);
            };
            self.progress.warning(format!("digest of {}: {error}; trying again", task.name));
            pause.wait(&self.cancel).await.map_err(|_| postgres::Error::Cancelled)?;
        }
    }

    /// One attempt. An error leaves the session's transaction failed, so the session is not kept.
    async fn try_digest(
        &self,
        task: &DigestTask,
        reading: Reading,
        kept: &mut Option<Reader>,
    ) -> Result<Scanned, postgres::Error> {
        let Reader { session, read_count } = self.reader(kept.take(), 1).await?;
        let scanned = match &task.table {
            Some(table) if reading == Reading::Copy => (copied(&session, task, table).await?, None),
            _ => self.queried(&session, task).await?,
        };
        *kept = Some(Reader { session, read_count: read_count + 1 });
        Ok(scanned)
    }

    async fn queried(&self, session: &Session, task: &DigestTask) -> Result<Scanned, postgres::Error> {
        let scanned = match task.groups_by.as_deref().filter(|_| task.measure == Measure::Digest) {
            Some(key) => {
                let groups = grouped(session, task, key).await?;
                (groups.total(), Some(groups))
            }
            None => {
                let answers: Vec<Answer> = session.query_json(&task.sql()).await?;
                let [answer] = answers.as_slice() else {
                    return Err(task.answer_error(session, "not one row".to_owned()));
                };
                (answer.digest(task, session)?, None)
            }
        };
        if let Some(table) = &task.table {
            self.holder.check_table(session, table).await?;
        }
        Ok(scanned)
    }

    /// A session in a transaction under the snapshot: the one kept, or a new one. A transaction
    /// keeps its locks until it ends, so none reads more than its share of tables; `more` are going to be read.
    async fn reader(&self, kept: Option<Reader>, more: usize) -> Result<Reader, postgres::Error> {
        let session = match kept {
            Some(reader) if reader.read_count + more <= self.holder.tables_per_transaction(self.jobs) => {
                return Ok(reader);
            }
            Some(Reader { session, .. }) => {
                session.commit().await?;
                session
            }
            None => {
                let pins = PINS.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let options = SessionOptions { role: SessionRole::Reader, extra_pins: pins.to_vec() };
                Session::connect(&self.settings, options, &self.cancel).await?
            }
        };
        self.holder.import_into(&session).await?;
        Ok(Reader { session, read_count: 0 })
    }
}

/// The digests of the groups of a table's rows.
async fn grouped(session: &Session, task: &DigestTask, key: &[usize]) -> Result<Groups, postgres::Error> {
    let answers: Vec<PlacedAnswer> = session.query_json(&task.groups_sql(key)).await?;
    let mut groups = Groups::default();
    for PlacedAnswer { place, answer } in answers {
        let none = || task.answer_error(session, format!("{place} is no group"));
        groups.add(place, answer.digest(task, session)?).ok_or_else(none)?;
    }
    Ok(groups)
}

/// Whether the server is away, or the snapshot gone that all tables are read under.
fn is_outage(error: &postgres::Error) -> bool {
    error.is_connection_lost()
        || matches!(error, postgres::Error::Connect(_) | postgres::Error::SnapshotGone { .. })
}
