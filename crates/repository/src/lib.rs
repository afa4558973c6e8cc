//! A store as a place of backups: find, list, read, write and check them.
//!
//! A *repository* is a [store](dbhaul_store::Store) with a `repo.json`, which says how backups in it are cut and
//! whose they are. Its objects are those of the [archive](dbhaul_archive): *packs* of chunks, and for each *backup* a
//! *manifest*, which names the packs and commits the backup by being there. Of a backup in Parquet, rows are in *parts* ([`NewPart`]).
//! A dump brings chunks to a
//! [`PackWriter`], which tells where each was [placed](PlacedChunk), and ends with [`Repository::commit`]. Chunks that
//! the newest backup of the database has already, its [`Parent`], are [known](KnownChunks) and not stored again.
//! Whoever reads a backup [checks](Repository::checked_backup) first that its parts fit together, and reads rows
//! by segments ([`BackupRows`]) or all of them ([`Repository::read_rows`]). A [check](Repository::check_backup) names
//! everything that is damaged, and leaves a report ([`CheckState`]). A dump and a cleanup see each other by
//! *signs* ([`Sign`]) that they leave in the store. Backups are *forgotten* by a [policy](KeepPolicy), which removes their
//! manifests; a [prune](Repository::prune) then removes the packs that no manifest names, and a [sweep](Repository::sweep) what
//! failed dumps have left.
//!
//! An encrypted store is opened with [`StoreKeys`]; packs of a backup are then read through
//! [`Repository::reading`], which knows the keys of its generation.
//!
//! This crate knows no server, and not where the rows come from or go.
//!
//! ```no_run
//! # async fn example(url: dbhaul_store::StoreUrl) -> Result<(), dbhaul_repository::RepositoryError> {
//! use dbhaul_progress::Progress;
//! use dbhaul_repository::{BackupRef, Repository, StoreKeys};
//! use tokio_util::sync::CancellationToken;
//!
//! let cancel = CancellationToken::new();
//! let repository = Repository::open(&url, &StoreKeys::default(), &Progress::silent(), &cancel).await?;
//! let key = repository.find(&BackupRef::Latest, Some("shop")).await?;
//! let backup = repository.checked_backup(&key, &cancel).await?;
//! println!("{} tables", backup.manifest.tables.len());
//! # Ok(())
//! # }
//! ```

mod access;
mod backup_check;
mod check;
mod check_reports;
mod chunks;
mod clock;
mod commit;
mod error;
mod indexes;
mod key_changes;
mod key_forks;
mod key_passphrase;
mod known_chunks;
mod lease;
mod listing;
mod lists;
mod metadata;
mod metadata_sealer;
mod new_store;
mod pack_lookup;
mod pack_reads;
mod pack_writer;
mod parent;
mod parts;
mod pins;
mod prune;
mod prune_parts;
mod repack;
mod repository;
mod retention;
mod rows_check;
mod sweep;
#[cfg(test)]
mod trials;

pub use access::StoreKeys;
pub use backup_check::{BackupCheck, CheckScope, HashedPacks};
pub use check::CheckedBackup;
pub use check_reports::{CheckState, KnownBackups};
pub use chunks::{ChunkReader, RowReader};
pub use error::RepositoryError;
pub use key_changes::{KeyStore, Rotation};
pub use known_chunks::{KnownChunks, ReadyChunk};
pub use lease::Sign;
pub use listing::{AHEAD, BackupRef, ListedBackup};
pub use lists::BackupRows;
pub use metadata_sealer::MetadataSealer;
pub use new_store::NewStore;
pub use pack_writer::{PackWriter, PlacedChunk, WrittenPacks, document, unnamed_pack};
pub use parent::{Parent, ParentRef};
pub use parts::{NewPart, PartReader};
pub use prune::{PackTotals, PruneOptions, Pruned};
pub use prune_parts::PrunedParts;
pub use repack::Repacked;
pub use repository::Repository;
pub use retention::{Candidate, Decision, KeepCount, KeepPolicy, Period, PolicyError, Reason};
pub use sweep::{LeftFolder, LeftPack, SweepOptions, Swept};
