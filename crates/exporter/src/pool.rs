//! Reading sessions that all see the same snapshot.

use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_postgres::{self as postgres, ConnectSettings, Session, SessionRole, SnapshotHolder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// At most `jobs` sessions on the source, each in a transaction under the
/// holder's snapshot, handed out one reader at a time.
pub(crate) struct SessionPool {
    settings: ConnectSettings,
    holder: Arc<SnapshotHolder>,
    cancel: CancellationToken,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

/// A session out of the pool. Dropped, it is closed; only [`Lease::give_back`] keeps it.
pub(crate) struct Lease {
    pool: Arc<SessionPool>,
    session: Session,
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
            permits: Arc::new(Semaphore::new(jobs.max(1))),
            idle: Mutex::default(),
        })
    }

    /// Waits for a free place and returns a session under the snapshot: one that
    /// was given back, or a new one.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, postgres::Error> {
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit.map_err(|_| postgres::Error::Cancelled)?,
            () = self.cancel.cancelled() => return Err(postgres::Error::Cancelled),
        };
        let session = match self.take_idle() {
            Some(session) => session,
            None => self.connect().await?,
        };
        Ok(Lease { pool: Arc::clone(self), session, _permit: permit })
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = idle.pop() {
            if !session.is_closed() {
                return Some(session);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Session, postgres::Error> {
        let session = Session::connect(&self.settings, SessionRole::Reader, &self.cancel).await?;
        self.holder.import_into(&session).await?;
        Ok(session)
    }

    /// Closes the idle sessions.
    pub(crate) async fn close(&self) {
        let sessions = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for session in sessions {
            // It only read: whatever closing says, nothing depends on it any more.
            let _ = session.close().await;
        }
    }
}

impl Lease {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the session for the next reader. Only for one whose last command ended well.
    pub(crate) fn give_back(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.session);
    }
}
