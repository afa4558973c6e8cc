//! What the target says of index builds that it is at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dbhaul_postgres::{Error, Session};
use dbhaul_progress::Task;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Shared, StepError};
use super::context::Context;
use crate::ledger::DoneStep;

/// How often the target is asked while it builds.
const INTERVAL: Duration = Duration::from_secs(2);

/// The view came with 12. Which of its counters counts depends on the phase: blocks while the table is
/// scanned, tuples while they are sorted and loaded.
const PROGRESS_SQL: &str = "SELECT pid, phase, \
       CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END AS done, \
       CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END AS total \
     FROM pg_catalog.pg_stat_progress_create_index WHERE datname = pg_catalog.current_database() \
       AND phase IS NOT NULL";

/// Tasks by the server process that works for them.
#[derive(Default)]
pub(super) struct Builds {
    tasks: Mutex<HashMap<i32, Arc<Task>>>,
}

impl Builds {
    fn insert(&self, backend: i32, task: &Arc<Task>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(backend, Arc::clone(task));
    }

    fn remove(&self, backend: i32) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&backend);
    }

    fn is_empty(&self) -> bool {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn tell(&self, rows: &[Row]) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            if let Some(task) = tasks.get(&row.pid) {
                task.progressed(&row.phase, row.done.unwrap_or(0), row.total.unwrap_or(0));
            }
        }
    }
}

#[derive(Deserialize)]
struct Row {
    pid: i32,
    phase: String,
    done: Option<u64>,
    total: Option<u64>,
}

/// An attempt whose server process is known while it works.
pub(super) struct Watched {
    pub(super) attempt: Box<dyn Attempt>,
    /// Nothing where there is nothing to watch.
    pub(super) task: Option<Arc<Task>>,
    pub(super) builds: Arc<Builds>,
}

#[async_trait]
impl Attempt for Watched {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        let Some(task) = &self.task else { return self.attempt.run(context, session).await };
        self.builds.insert(session.backend_pid(), task);
        let result = self.attempt.run(context, session).await;
        self.builds.remove(session.backend_pid());
        result
    }

    /// What goes together with others takes no time worth watching.
    async fn share(&mut self, context: &Context, session: &Session) -> Result<Shared, StepError> {
        self.attempt.share(context, session).await
    }
}

/// Asks again and again over a session of its own, opened when the first build takes long. A target that
/// does not say is not asked again: what it would say is for show.
pub(super) async fn watch(context: Arc<Context>, builds: Arc<Builds>, stop: CancellationToken) {
    let mut session = None;
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        if builds.is_empty() {
            continue;
        }
        match look(&context, &mut session).await {
            Ok(rows) => builds.tell(&rows),
            Err(error) => {
                tracing::debug!(%error, "the target does not say how its builds go");
                break;
            }
        }
    }
    if let Some(session) = session {
        // It only looked.
        let _ = session.close().await;
    }
}

async fn look(context: &Context, slot: &mut Option<Session>) -> Result<Vec<Row>, Error> {
    let session = match slot.take() {
        Some(session) => session,
        None => context.connect().await?,
    };
    let rows = session.query_json(PROGRESS_SQL).await?;
    *slot = Some(session);
    Ok(rows)
}
