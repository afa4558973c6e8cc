//! A session that holds an exported snapshot open.

use std::sync::Arc;
use std::time::Duration;

use dbhaul_catalog::{QualifiedName, ServerVersion, quote_literal};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::held::{self, HeldTables};
use crate::pins::SessionRole;
use crate::session::{BEGIN_REPEATABLE_READ, Session, TextRows};
use crate::settings::ConnectSettings;

/// Often enough that no NAT or proxy on the way takes the connection for idle.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How long a reader waits for a lock. Where somebody queues for a table that the
/// holder has locked (`ALTER TABLE`), readers queue behind them and would wait for
/// ever; `pg_dump`'s workers do not wait at all.
const READER_LOCK_TIMEOUT: &str = "30s";

/// What is known of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// What `pg_export_snapshot` gave; good only while the holder lives.
    pub id: String,
    /// `pg_current_snapshot()`: equal texts mean that no transaction has ended or begun to write between.
    pub transactions: String,
    /// `pg_current_wal_lsn()` right after the snapshot was taken, or on a standby
    /// `pg_last_wal_replay_lsn()`; absent where the provider forbids both.
    pub lsn: Option<String>,
    /// `system_identifier` of the cluster; absent where the provider hides it.
    pub system_identifier: Option<String>,
    /// The timeline of the last checkpoint; absent where the provider hides it.
    pub timeline: Option<String>,
    /// `pg_postmaster_start_time()`: when the server was started, in UTC.
    pub started_at: String,
    /// The server's time when the transaction began, ISO 8601 in UTC.
    pub taken_at: String,
    /// Whether the server is a standby.
    pub is_standby: bool,
    /// The server's version.
    pub version: ServerVersion,
    /// The database.
    pub database: String,
}

impl SnapshotInfo {
    /// Whether both see the same rows of the same database: it is the same cluster, on the same
    /// timeline, and no transaction has ended or begun to write between. Of two clusters that hide
    /// their identifiers nothing is known but that their transactions look alike.
    pub fn is_same_state(&self, other: &SnapshotInfo) -> bool {
        self.system_identifier == other.system_identifier
            && self.timeline == other.timeline
            && self.database == other.database
            && self.transactions == other.transactions
    }
}

/// Holds a snapshot open in a REPEATABLE READ, READ ONLY transaction, and keeps
/// its connection awake with a heartbeat. [`import_into`](Self::import_into) has
/// other sessions see the same instant. Dropping it lets the snapshot go.
pub struct SnapshotHolder {
    info: SnapshotInfo,
    session: Arc<Session>,
    heart: Heart,
    held: HeldTables,
}

/// The task that beats; aborted when dropped.
struct Heart {
    task: JoinHandle<()>,
    stop: CancellationToken,
    lost: watch::Receiver<Option<String>>,
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SnapshotHolder {
    /// Opens a session, takes a snapshot and exports it.
    ///
    /// # Errors
    /// As [`Session::connect`], and whatever the server says about `pg_export_snapshot`.
    pub async fn open(settings: &ConnectSettings, token: &CancellationToken) -> Result<Self> {
        let session = Session::connect(settings, SessionRole::Reader, token).await?;
        Self::with_session(session).await
    }

    /// Takes and exports a snapshot on a session that is used for nothing else.
    pub async fn with_session(session: Session) -> Result<Self> {
        Self::holding(session, &format!("{BEGIN_REPEATABLE_READ} READ ONLY; ")).await
    }

    /// Opens a session that holds, from now on by itself, a snapshot that another session exported,
    /// and exports it once more under an identifier of its own. Nothing if the identifier now names
    /// another snapshot: a server that was started anew gives them out again.
    ///
    /// # Errors
    /// [`Error::SnapshotGone`] if nobody holds it any more, and as [`Self::open`].
    pub async fn adopt(
        settings: &ConnectSettings,
        original: &SnapshotInfo,
        token: &CancellationToken,
    ) -> Result<Option<Self>> {
        let session = Session::connect(settings, SessionRole::Reader, token).await?;
        import(&session, &original.id).await?;
        let mut holder = Self::holding(session, "").await?;
        let SnapshotInfo { taken_at, lsn, .. } = original.clone();
        if !holder.info.is_same_state(original) {
            holder.release().await?;
            return Ok(None);
        }
        holder.info = SnapshotInfo { taken_at, lsn, ..holder.info };
        Ok(Some(holder))
    }

    /// Exports the snapshot of the transaction that a session is in, or that `begin` begins.
    async fn holding(session: Session, begin: &str) -> Result<Self> {
        let info = take(&session, begin).await?;
        let session = Arc::new(session);
        let (sender, lost) = watch::channel(None);
        let stop = session.cancel_token().child_token();
        let task = tokio::spawn(beat(Arc::clone(&session), stop.clone(), sender));
        Ok(SnapshotHolder { info, session, heart: Heart { task, stop, lost }, held: HeldTables::default() })
    }

    /// What is known of the snapshot.
    pub fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    /// The identifier to import.
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// The process that serves the session that holds it.
    pub fn backend_pid(&self) -> i32 {
        self.session.backend_pid()
    }

    /// Whether the snapshot is still held, as far as the last heartbeat tells.
    pub fn is_alive(&self) -> bool {
        !self.session.is_closed() && self.heart.lost.borrow().is_none()
    }

    /// Asks the server now whether the snapshot is still held.
    pub async fn check(&self) -> Result<()> {
        self.session.query_one_text("SELECT 1").await.map(|_| ())
    }

    /// Waits until the snapshot is lost and returns why. Never returns before;
    /// meant for a `select!` beside the work that needs the snapshot.
    pub async fn lost(&self) -> String {
        let mut lost = self.heart.lost.clone();
        let reason = match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        reason.unwrap_or_else(|| "the heartbeat has stopped".to_owned())
    }

    /// Begins a transaction on another session that sees the same instant.
    ///
    /// # Errors
    /// [`Error::SnapshotGone`] if the snapshot is no longer held.
    pub async fn import_into(&self, session: &Session) -> Result<()> {
        import(session, &self.info.id).await
    }

    /// Locks tables in ACCESS SHARE mode for as long as the snapshot is held, and
    /// returns those that were truncated, rewritten, renamed or dropped since the snapshot.
    ///
    /// Where there are more than fit in half of the server's lock table, those at the
    /// front are locked, and [`check_table`](Self::check_table) has work with the others.
    /// Tables that the role may not read are left unlocked: reading them will say so.
    ///
    /// # Errors
    /// What the server says to `LOCK TABLE`; then the transaction has failed and the
    /// snapshot is of no more use.
    pub async fn hold_tables(&self, tables: &[QualifiedName]) -> Result<Vec<String>> {
        self.held.hold(&self.session, tables).await
    }

    /// Has [`hold_tables`](Self::hold_tables) fail with SQLSTATE 55P03 where a lock is not granted for so long.
    ///
    /// # Errors
    /// What the server says.
    pub async fn limit_lock_waits(&self, limit: Duration) -> Result<()> {
        self.session.batch(&format!("SET LOCAL lock_timeout = '{}ms'", limit.as_millis().max(1))).await
    }

    /// Makes sure that a table that `session` has read is what the snapshot saw. The
    /// session must have imported the snapshot and read the table in the transaction
    /// that is still open, whose lock keeps the answer true.
    ///
    /// # Errors
    /// [`Error::TableChanged`] if it was truncated, rewritten, renamed or dropped since.
    pub async fn check_table(&self, session: &Session, table: &QualifiedName) -> Result<()> {
        held::check(session, std::slice::from_ref(table)).await
    }

    /// As [`check_table`](Self::check_table), for several tables with one query.
    ///
    /// # Errors
    /// [`Error::TableChanged`] for the first of them that changed.
    pub async fn check_tables(&self, session: &Session, tables: &[QualifiedName]) -> Result<()> {
        held::check(session, tables).await
    }

    /// How many tables each of `sessions` readers may read in one transaction, which
    /// keeps its locks until it ends, so that all together leave room in the lock table.
    pub fn tables_per_transaction(&self, sessions: usize) -> usize {
        self.held.tables_per_transaction(sessions)
    }

    /// Lets the snapshot go and closes the session.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] if it was lost before: then what was read since
    /// by sessions that imported it is sound, but later imports were not possible.
    pub async fn release(self) -> Result<()> {
        let SnapshotHolder { session, mut heart, .. } = self;
        heart.stop.cancel();
        let stopped = (&mut heart.task).await;
        let reason = heart.lost.borrow().clone();
        drop(heart);
        if let Err(error) = stopped {
            return Err(Error::lost(session.server(), error.to_string(), None));
        }
        if let Some(reason) = reason {
            return Err(Error::lost(session.server(), reason, None));
        }
        session.rollback().await?;
        match Arc::try_unwrap(session) {
            Ok(session) => session.close().await,
            Err(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for SnapshotHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotHolder").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Begins a REPEATABLE READ, READ ONLY transaction on a snapshot by its identifier.
pub(crate) async fn import(session: &Session, id: &str) -> Result<()> {
    let sql = format!(
        "SET TRANSACTION SNAPSHOT {}; SET LOCAL lock_timeout = '{READER_LOCK_TIMEOUT}'",
        quote_literal(id)
    );
    let Err(error) = session.begin_reading_and(&sql).await else { return Ok(()) };
    session.rollback().await?;
    Err(match error {
        // 22023 up to 16 and 42704 from 17 on: no such snapshot; 55000: the exporter has just ended
        Error::Server(cause) if matches!(cause.sqlstate.as_str(), "22023" | "42704" | "55000" | "58P01") => {
            Error::SnapshotGone { snapshot: id.to_owned(), server: session.server().to_owned(), cause }
        }
        other => other,
    })
}

/// Takes the snapshot and what is known of it, in one flight.
async fn take(session: &Session, begin: &str) -> Result<SnapshotInfo> {
    let sql = format!(
        "{begin}SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot(), \
         pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
         pg_catalog.pg_postmaster_start_time() AT TIME ZONE 'UTC'"
    );
    let is_standby = session.is_in_recovery();
    let position = if is_standby { "pg_last_wal_replay_lsn" } else { "pg_current_wal_lsn" };
    let asked = [
        &format!("SELECT pg_catalog.{position}()"),
        "SELECT system_identifier FROM pg_catalog.pg_control_system()",
        "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()",
    ];
    let mut messages = vec![sql.clone()];
    for question in asked {
        // what a provider forbids must not fail the transaction
        messages.push(format!("SAVEPOINT dbhaul_ask; {question}"));
        messages.push("ROLLBACK TO SAVEPOINT dbhaul_ask; RELEASE SAVEPOINT dbhaul_ask".to_owned());
    }
    let mut answers = session.query_rows_each(&messages).await?.into_iter();
    let row = answers.next().transpose()?.and_then(|mut rows| rows.pop()).unwrap_or_default();
    let [Some(id), Some(transactions), Some(taken_at), Some(started_at)] = row.as_slice() else {
        return Err(Error::Answer {
            server: session.server().to_owned(),
            problem: "not the four columns asked for".to_owned(),
            query: crate::error::excerpt(&sql),
        });
    };
    let mut told = || -> Result<Option<String>> {
        let (answer, restored) = (answers.next(), answers.next());
        restored.transpose()?;
        granted(session, answer.transpose())
    };
    Ok(SnapshotInfo {
        id: id.clone(),
        transactions: transactions.clone(),
        lsn: told()?,
        system_identifier: told()?,
        timeline: told()?,
        started_at: started_at.clone(),
        taken_at: taken_at.clone(),
        is_standby,
        version: session.version(),
        database: session.database().to_owned(),
    })
}

/// The answer to something that a provider may forbid; none where one does.
fn granted(session: &Session, answer: Result<Option<TextRows>>) -> Result<Option<String>> {
    match answer {
        Ok(rows) => Ok(rows.and_then(|mut rows| rows.pop()?.into_iter().next()?)),
        Err(Error::Server(refusal)) => {
            tracing::debug!(server = session.server(), %refusal, "left out of the snapshot's description");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

async fn beat(session: Arc<Session>, stop: CancellationToken, lost: watch::Sender<Option<String>>) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        match session.query_one_text("SELECT 1").await {
            Ok(_) => {}
            Err(Error::Cancelled) => return,
            Err(error) => {
                lost.send_replace(Some(error.to_string()));
                return;
            }
        }
    }
}
