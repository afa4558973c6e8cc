//! What each session's index builds may use of the target.

use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use tokio_util::sync::CancellationToken;

use super::queries::{self, Facts};
use crate::{ImportError, ImportOptions, ImportPlan};

/// Memory beyond which builds do not get faster.
const MOST_BYTES: u64 = 1 << 30;

/// What the index builds of one session may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// `maintenance_work_mem`.
    pub(crate) maintenance_work_mem_bytes: u64,
    /// `max_parallel_maintenance_workers`.
    pub(crate) index_workers: u32,
}

impl Tuning {
    /// What was asked for, else: an even part of an eighth of the shared buffers, but never less than the
    /// server's own setting; and an even part of the server's parallel workers, but never more than its
    /// own setting, so that as many builds as there are sessions do not fight for processors.
    pub(super) fn choose(options: &ImportOptions, facts: &Facts) -> Self {
        let jobs = options.jobs.max(1);
        let own = facts.maintenance_work_mem_bytes;
        let share = facts.shared_buffers_bytes / 8 / jobs as u64;
        let workers = facts.max_parallel_workers / u32::try_from(jobs).unwrap_or(u32::MAX);
        Tuning {
            maintenance_work_mem_bytes: options
                .maintenance_work_mem_bytes
                .unwrap_or(share.max(own).min(MOST_BYTES.max(own))),
            index_workers: options.index_workers.unwrap_or(workers.min(facts.index_workers)),
        }
    }

    /// As settings to pin.
    pub(crate) fn pins(self) -> Vec<(String, String)> {
        let memory_kib = self.maintenance_work_mem_bytes / 1024;
        vec![
            ("maintenance_work_mem".to_owned(), format!("{memory_kib}kB")),
            ("max_parallel_maintenance_workers".to_owned(), self.index_workers.to_string()),
        ]
    }
}

/// The role with whose rights an import is done, and whatever the functions of the source do in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportingRole {
    /// `current_user`.
    pub name: String,
    /// Whether it may do anything on the server.
    pub is_superuser: bool,
}

impl std::fmt::Display for ImportingRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_superuser { "superuser" } else { "role" };
        write!(f, "{kind} {}", self.name)
    }
}

impl ImportPlan {
    /// Settles what was left open in its options by the target's settings, so that the plan says it. Returns
    /// the role that will do it.
    ///
    /// # Errors
    /// If the target cannot be asked.
    pub async fn tune(
        &mut self,
        target: &ConnectSettings,
        cancel: &CancellationToken,
    ) -> Result<ImportingRole, ImportError> {
        let asking = |error| ImportError::server("asking the target for its settings", error);
        let session = Session::connect(target, SessionRole::Loader, cancel).await.map_err(asking)?;
        let facts = queries::facts(&session).await.map_err(asking)?;
        session.close().await.map_err(asking)?;
        let tuning = Tuning::choose(&self.options, &facts);
        self.options.maintenance_work_mem_bytes = Some(tuning.maintenance_work_mem_bytes);
        self.options.index_workers = Some(tuning.index_workers);
        Ok(ImportingRole { name: facts.role, is_superuser: facts.is_superuser })
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Tuning};
    use crate::ImportOptions;

    #[track_caller]
    fn check(change: impl FnOnce(&mut ImportOptions, &mut Facts), mib: u64, workers: u32) {
        let mut options = ImportOptions::new("run", "backup");
        let mut facts = Facts {
            role: "r".to_owned(),
            database: "d".to_owned(),
            version: 180_000,
            is_superuser: false,
            bypasses_security: false,
            is_read_only: false,
            may_disable_triggers: false,
            in_recovery: false,
            may_create: true,
            may_create_in_public: true,
            has_timescaledb: false,
            lock_slots: 6_400,
            maintenance_work_mem_bytes: 64 << 20,
            shared_buffers_bytes: 16 << 30,
            max_parallel_workers: 8,
            index_workers: 2,
        };
        change(&mut options, &mut facts);
        let tuning = Tuning::choose(&options, &facts);
        assert_eq!((tuning.maintenance_work_mem_bytes >> 20, tuning.index_workers), (mib, workers));
    }

    #[test]
    fn sessions_share_what_the_target_has() {
        check(|_, _| {}, 512, 2);
        check(|options, _| options.jobs = 16, 128, 0);
        check(|options, _| options.jobs = 1, 1024, 2);
        check(|_, facts| facts.shared_buffers_bytes = 128 << 20, 64, 2);
        check(|_, facts| facts.maintenance_work_mem_bytes = 2 << 30, 2048, 2);
        check(|_, facts| facts.max_parallel_workers = 4, 512, 1);
        check(|options, _| options.index_workers = Some(7), 512, 7);
        check(|options, _| options.maintenance_work_mem_bytes = Some(5 << 20), 5, 2);
    }
}
