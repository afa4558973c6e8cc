//! From a URL to a store that can be used.

use std::sync::Arc;

use dbhaul_progress::Progress;
use tokio_util::sync::CancellationToken;

use crate::{
    CancelStore, DirectoryStore, ErrorKind, Operation, RetryPolicy, RetryStore, S3Store, Store, StoreError,
    StoreUrl,
};

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// To read: a directory must exist.
    Read,
    /// To read and write: a missing directory is created by the first `put`. A bucket must exist.
    Write,
}

/// Opens a store and checks that it answers, so that a wrong name or credential shows at once.
///
/// What is read ends when `cancel` is cancelled; see [`CancelStore`].
/// S3 comes wrapped in a [`RetryStore`] that reports each retry to `progress` as a warning and
/// stops retrying once `cancel` is cancelled (a first attempt is still made, so that a cancelled
/// run can tidy up).
///
/// # Errors
/// `MissingStore`, `Auth`, `PermissionDenied`, `Unreachable`, `Invalid`, each with the way out.
pub async fn open(
    url: &StoreUrl,
    access: Access,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<Arc<dyn Store>, StoreError> {
    let store: Arc<dyn Store> = match url {
        StoreUrl::Directory(path) => {
            let store = DirectoryStore::new(path);
            let checked = cancel.run_until_cancelled(store.check_root(access == Access::Write)).await;
            checked.unwrap_or_else(|| {
                Err(StoreError::new(ErrorKind::Interrupted, Operation::Open, store.describe()))
            })?;
            Arc::new(store)
        }
        StoreUrl::S3(s3) => {
            let store = Arc::new(S3Store::connect(s3).await?);
            let retried =
                |policy| RetryStore::new(Arc::clone(&store) as _, policy, cancel.clone(), progress.clone());
            // Listing is what every command needs; it tells bucket, credentials and endpoint apart.
            // A name that leads nowhere should show soon, so this gives up earlier than later calls.
            let first = CancelStore::new(Arc::new(retried(RetryPolicy::brief())), cancel.clone());
            first.list_page("", None).await.map_err(StoreError::during_open)?;
            Arc::new(retried(RetryPolicy::default()))
        }
        #[cfg(feature = "testing")]
        StoreUrl::Memory => Arc::new(crate::MemoryStore::new()),
    };
    Ok(Arc::new(CancelStore::new(store, cancel.clone())))
}
