//! Freeing the space in sparse packs: packs of rows of which the backups need a third or less.
//!
//! The chunks that some backup needs are copied into new packs, as they are stored, each compared with its identity on
//! the way. Then the manifest of each backup that referred to a sparse pack is replaced by one that says the same of the
//! same backup, with other places, and what else it has of metadata is copied along. This is the only time that a committed manifest is written again. It is done as a dump
//! commits: under the sign of a dump, so that no prune removes a pack meanwhile, and only when everything that the new
//! manifest names was compared with what lies in the store. A run may be killed at any point: each backup has its old
//! manifest or its new one, and the packs of both are there. The packs that no manifest names afterwards are left to
//! [prunes](Repository::prune), which mark them first: whoever reads a backup by its old manifest can go on.

mod chunks;
mod manifests;
mod survey;

use std::collections::BTreeMap;

use dbhaul_archive::{PackId, PackKind};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::survey::Survey;
use crate::check::stop_if_cancelled;
use crate::{PackTotals, Repository, RepositoryError, Sign};

/// What a repack found and did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repacked {
    /// Packs of rows of which backups need a third or less.
    pub sparse: PackTotals,
    /// Bytes in them that backups need.
    pub live_bytes: u64,
    /// Bytes that are free once prunes have removed these packs.
    pub freed_bytes: u64,
    /// Packs that were written in their place, those of segment lists included.
    pub written: PackTotals,
    /// Backups whose manifests were replaced, or would be.
    pub backup_count: u64,
}

impl Repository {
    /// Copies what backups need of sparse packs into new packs, and lets the backups refer to these.
    ///
    /// # Errors
    /// [`RepositoryError::NoDataKey`] if the rows cannot be read; if a backup is damaged, or the store fails.
    pub async fn repack(
        &self,
        dry_run: bool,
        cancel: &CancellationToken,
    ) -> Result<Repacked, RepositoryError> {
        if !self.codec.opens(PackKind::Data) {
            return Err(RepositoryError::NoDataKey { store: self.describe() });
        }
        if dry_run {
            return Ok(Box::pin(self.survey_packs(cancel)).await?.report());
        }
        let lease = self.lease(cancel).await?;
        let repacked = Box::pin(self.repack_under(&lease, cancel)).await;
        lease.release().await;
        repacked
    }

    async fn repack_under(
        &self,
        lease: &Sign,
        cancel: &CancellationToken,
    ) -> Result<Repacked, RepositoryError> {
        let survey: Survey = self.survey_packs(cancel).await?;
        let mut report = survey.report();
        report.backup_count = 0;
        if survey.sparse.is_empty() {
            return Ok(report);
        }
        let moved = self.copy_chunks(&survey.sparse, cancel).await?;
        moved.packs.values().for_each(|pack| report.written.add(pack.bytes));
        for backup in &survey.backups {
            stop_if_cancelled(cancel)?;
            if let Some(lists) = self.move_backup(backup, &moved, lease, cancel).await? {
                report.backup_count += 1;
                lists.iter().for_each(|pack| report.written.add(pack.bytes));
            }
        }
        Ok(report)
    }
}

/// Chunks by their places: the pack, and the offset in it.
type ByPlace<T> = BTreeMap<(PackId, u64), T>;
