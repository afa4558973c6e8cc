//! Reading sessions that all see the same snapshot.

use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_postgres::{
    self as postgres, ConnectSettings, CopyOut, Session, SessionOptions, SessionRole, SnapshotHolder,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{RowSource, TablePlan};

/// Parallel workers hand their rows over in an order of chance. What is read twice, because the first
/// attempt was cut off, must come in the same order.
const SERIAL: [(&str, &str); 3] = [
    ("max_parallel_workers_per_gather", "0"),
    ("debug_parallel_query", "off"),
    // its name before 16
    ("force_parallel_mode", "off"),
];

/// An index that is not sound lacks rows, or has some twice, and nothing tells of it; a scan of the table
/// has each once. It also reads them in the same order again, whatever the planner has learned since.
const WITHOUT_INDEXES: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; \
     SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = on";

/// The end of [`WITHOUT_INDEXES`], for the queries on the catalogs that follow a reading.
const WITH_INDEXES: &str = "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; \
     SET LOCAL enable_bitmapscan = on";

/// At most `jobs` sessions on the source, each in a transaction under the
/// holder's snapshot, handed out one reader at a time.
pub(crate) struct SessionPool {
    settings: ConnectSettings,
    holder: Arc<SnapshotHolder>,
    cancel: CancellationToken,
    jobs: usize,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
}

/// A session in a transaction under the snapshot.
struct Reader {
    session: Session,
    /// Whether its queries use no index.
    is_without_indexes: bool,
    /// Reads in this transaction, which keeps a lock on each table that it has read.
    read_count: usize,
}

/// A session out of the pool. Dropped, it is closed; only [`Lease::give_back`] keeps it.
pub(crate) struct Lease {
    pool: Arc<SessionPool>,
    reader: Reader,
    _permit: OwnedSemaphorePermit,
}

impl SessionPool {
    pub(crate) fn new(
        settings: ConnectSettings,
        holder: Arc<SnapshotHolder>,
        jobs: usize,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(SessionPool {
            settings,
            holder,
            cancel,
            jobs: jobs.max(1),
            permits: Arc::new(Semaphore::new(jobs.max(1))),
            idle: Mutex::default(),
        })
    }

    pub(crate) fn has_snapshot(&self) -> bool {
        self.holder.is_alive()
    }

    /// Waits for a free place and returns a session under the snapshot: one that
    /// was given back, or a new one.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, postgres::Error> {
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit.map_err(|_| postgres::Error::Cancelled)?,
            () = self.cancel.cancelled() => return Err(postgres::Error::Cancelled),
        };
        let mut reader = match self.take_idle() {
            Some(reader) => reader,
            None => Reader { session: self.connect().await?, is_without_indexes: false, read_count: 0 },
        };
        if reader.read_count >= self.holder.tables_per_transaction(self.jobs) {
            reader.session.commit().await?;
            self.holder.import_into(&reader.session).await?;
            reader.read_count = 0;
        }
        reader.read_count += 1;
        Ok(Lease { pool: Arc::clone(self), reader, _permit: permit })
    }

    fn take_idle(&self) -> Option<Reader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(reader) = idle.pop() {
            if !reader.session.is_closed() {
                return Some(reader);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Session, postgres::Error> {
        let pins = SERIAL.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = SessionOptions { role: SessionRole::Reader, extra_pins: pins.to_vec() };
        let session = Session::connect(&self.settings, options, &self.cancel).await?;
        self.holder.import_into(&session).await?;
        Ok(session)
    }

    /// Closes the idle sessions.
    pub(crate) async fn close(&self) {
        let readers = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for reader in readers {
            // It only read: whatever closing says, nothing depends on it any more.
            let _ = reader.session.close().await;
        }
    }
}

impl Lease {
    pub(crate) fn session(&self) -> &Session {
        &self.reader.session
    }

    /// Starts to copy rows out; those of a table end with an error unless it is what the snapshot saw.
    pub(crate) async fn copy_out(&self, plan: &TablePlan, sql: &str) -> Result<CopyOut, postgres::Error> {
        match &plan.source {
            RowSource::Table(data) => self.reader.session.copy_out_checked(sql, &data.table).await,
            RowSource::LargeObjects => self.reader.session.copy_out(sql).await,
        }
    }

    /// Begins anew under the snapshot, after an error that has failed the transaction.
    pub(crate) async fn restart(&self) -> Result<(), postgres::Error> {
        self.reader.session.rollback().await?;
        self.pool.holder.import_into(&self.reader.session).await?;
        if self.reader.is_without_indexes {
            self.reader.session.batch(WITHOUT_INDEXES).await?;
        }
        Ok(())
    }

    /// Has queries read tables themselves, until the session is given back.
    pub(crate) async fn use_no_index(&mut self) -> Result<(), postgres::Error> {
        self.reader.session.batch(WITHOUT_INDEXES).await?;
        self.reader.is_without_indexes = true;
        Ok(())
    }

    /// Returns the session for the next reader. Only for one whose last command ended well.
    ///
    /// # Errors
    /// If it cannot be made what it was; then it is closed.
    pub(crate) async fn give_back(mut self) -> Result<(), postgres::Error> {
        if std::mem::take(&mut self.reader.is_without_indexes) {
            self.reader.session.batch(WITH_INDEXES).await?;
        }
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.reader);
        Ok(())
    }
}
