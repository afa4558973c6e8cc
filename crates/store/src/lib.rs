//! Where bytes live: memory, a local directory or S3, behind one trait and one contract suite.
//!
//! A [`Store`] is a flat map from *keys* (`/`-separated relative paths) to *objects* (byte strings
//! that are written whole and, by convention, never changed). It knows nothing of packs, manifests
//! or backups. A person names a store by a [`StoreUrl`]; [`open`] turns that into an
//! `Arc<dyn Store>`. The trait is small; [`StoreExt`] adds what can be said in its terms.
//!
//! An object is *put* in one of two modes: [`PutMode::Overwrite`] replaces what is there,
//! [`PutMode::Create`] refuses to, atomically where the store can. The latter makes one small
//! object the commit point of a backup. Failures are [`StoreError`]s, which name operation, key
//! and store, and have an [`ErrorKind`] to decide on.
//!
//! *Wrappers* are stores around a store: [`RetryStore`] tries again and finds out what became of a
//! write whose answer was lost, [`CancelStore`] ends reads when
//! the user stops the command, [`ThrottleStore`] limits bytes per second, [`RecordingStore`]
//! counts calls and bytes, [`CountingStore`] calls alone, [`FaultStore`] fails by a script. Every implementation, wrapped or not,
//! passes the one suite in `contract` (feature `testing`).
//!
//! ```
//! use dbhaul_store::{DirectoryStore, PutMode, Store, StoreExt};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # let directory = tempfile::tempdir()?;
//! # runtime.block_on(async {
//! let store = DirectoryStore::new(directory.path());
//! store.put("backups/shop/1", "manifest".into(), PutMode::Create).await?;
//! let again = store.put("backups/shop/1", "other".into(), PutMode::Create).await;
//! assert!(again.is_err_and(|error| error.is_already_exists()));
//! assert_eq!(store.list("backups/").await?.len(), 1);
//! assert_eq!(store.get("backups/shop/1").await?, "manifest");
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Why not the crate `object_store`
//!
//! Its trait hides what this crate must see. A lost answer to a `put` has to be resolved by
//! looking the object up and comparing it, retries included, while `object_store` retries inside.
//! Conditional writes and checksums have to be tried and given up again per server, as
//! implementations other than AWS differ. The credential chain has to be the whole one of the AWS
//! SDK: profiles, web identity, instance roles, external processes. What is left of `object_store`
//! after that is its trait, whose habits this one follows.

mod cancel;
#[cfg(feature = "testing")]
pub mod contract;
mod counting;
mod directory;
mod error;
mod ext;
mod fault;
mod key;
mod memory;
mod open;
mod probe;
mod recording;
mod retry;
mod s3;
mod store;
mod throttle;
mod url;

pub use dbhaul_retry::RetryPolicy;

pub use cancel::CancelStore;
pub use counting::CountingStore;
pub use directory::DirectoryStore;
pub use error::{ErrorKind, Operation, Source, StoreError};
pub use ext::StoreExt;
pub use fault::{Fault, FaultRule, FaultStore};
pub use key::{MAX_COMPONENT_BYTES, MAX_KEY_BYTES, check_key, check_prefix};
pub use memory::MemoryStore;
pub use open::{Access, open};
pub use probe::{Ability, Answer, Finding, StoreProbe, probe, probe_s3};
pub use recording::{Call, RecordingStore};
pub use retry::RetryStore;
pub use s3::{AccessKeys, S3Store};
pub use store::{ListPage, MAX_OBJECT_BYTES, MAX_PAGE_OBJECT_COUNT, ObjectMeta, PutMode, Replaced, Store};
pub use throttle::ThrottleStore;
pub use url::{S3Url, Sse, StoreUrl, StoreUrlError};
