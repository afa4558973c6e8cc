//! Whether a store can take a backup, found out before a row is read.

use std::sync::Arc;

use dbhaul_exporter::ExportPlan;
use dbhaul_store::{Operation, Store, StoreUrl};

use crate::{Context, PipelineError, format_bytes};
use dbhaul_repository::Repository;

/// A store where an object was written and removed again.
pub(crate) struct TriedStore {
    store: Arc<dyn Store>,
    /// What lies there; nothing in an empty place.
    repository: Option<Repository>,
    /// What the trial has left behind, where the store lets nothing be removed.
    pub(crate) left_behind: Option<String>,
}

impl TriedStore {
    /// Opens a store as a dump does, without making one of an empty place, and tries to write there.
    ///
    /// # Errors
    /// If it is no place for a backup, or nothing can be written.
    pub(crate) async fn open(url: &StoreUrl, context: &Context) -> Result<Self, PipelineError> {
        let opened = Repository::open_to_try(url, &context.keys, &context.progress, &context.cancel);
        let (store, repository) = opened.await?;
        let left_behind = match store.try_write(&Repository::trial_keys()).await {
            Ok(()) => None,
            Err(error) if error.operation() == Operation::Delete => Some(format!(
                "{} takes objects, and lets none be removed: {error}; what was written to try that stays there",
                store.describe()
            )),
            Err(error) => return Err(error.into()),
        };
        Ok(TriedStore { store, repository, left_behind })
    }

    /// Waits while packs are being removed from it.
    ///
    /// # Errors
    /// If that does not end, the user stops the dump, or the store fails.
    pub(crate) async fn wait_for_removals(&self, context: &Context) -> Result<(), PipelineError> {
        match &self.repository {
            Some(repository) => Ok(repository.wait_for_removals(&context.cancel).await?),
            None => Ok(()),
        }
    }

    /// The store's name in messages.
    pub(crate) fn describe(&self) -> String {
        self.store.describe()
    }

    /// What to say if a backup of so many bytes of rows may not find room there.
    pub(crate) async fn narrowness(&self, row_bytes: u64) -> Result<Option<String>, PipelineError> {
        let free = self.store.free_bytes().await?;
        Ok(free.and_then(|free| narrowness(&self.describe(), free, row_bytes)))
    }
}

/// What to say where less is free than half of what the rows take on the source, without their indexes: text
/// compresses to a third and less, what is compressed already hardly at all.
fn narrowness(store: &str, free: u64, row_bytes: u64) -> Option<String> {
    let expected = row_bytes / 2;
    (free < expected).then(|| {
        format!(
            "{store} has room for {} more: the rows take {} on the source, and a backup of them may take half of \
             that, {}; what the store holds of them already takes no room again",
            format_bytes(free),
            format_bytes(row_bytes),
            format_bytes(expected)
        )
    })
}

/// What the rows of a plan are expected to take on the source.
pub(crate) fn row_bytes(plan: &ExportPlan) -> u64 {
    plan.tables.iter().map(dbhaul_exporter::TablePlan::estimated_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::narrowness;

    #[test]
    fn room_for_half_of_the_rows_is_enough() {
        assert_eq!(narrowness("s", 1 << 20, 2 << 20), None);
        assert_eq!(narrowness("s", 0, 0), None);
        let told = narrowness("/backups", 1 << 20, 4 << 20).unwrap_or_default();
        assert!(told.starts_with("/backups has room for 1.0 MiB more: the rows take 4.0 MiB"), "{told}");
        assert!(told.contains("may take half of that, 2.0 MiB;"), "{told}");
    }
}
