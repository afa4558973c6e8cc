//! Reading a whole backup to know that every byte of it is as it was written.

use dbhaul_archive::{Manifest, PackKind, PackReader, PackSummary, keys};
use futures::stream::{StreamExt, TryStreamExt, iter};

use super::Repository;
use super::segments::scan_list;
use crate::{Context, PipelineError};

/// Packs in memory at the same time; each is about 32 MiB.
const PACKS_AT_ONCE: usize = 2;

impl Repository {
    /// Reads every pack and compares it with its name, then every segment list
    /// and compares its sums with the manifest's. What a manifest says of rows
    /// is worth nothing if the rows cannot be read back.
    pub(crate) async fn check_contents(
        &self,
        manifest: &Manifest,
        context: &Context,
    ) -> Result<(), PipelineError> {
        self.check_each(manifest.packs.iter(), context).await?;
        for table in &manifest.tables {
            if context.cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            scan_list(self, table, |_, _| {}).await?;
        }
        Ok(())
    }

    /// Reads the packs of metadata and compares them with their names: they are
    /// small, and damage in them is better known before anything is written.
    pub(crate) async fn check_metadata(
        &self,
        manifest: &Manifest,
        context: &Context,
    ) -> Result<(), PipelineError> {
        let packs = manifest.packs.iter().filter(|pack| pack.kind == PackKind::Meta);
        self.check_each(packs, context).await
    }

    async fn check_each<'a>(
        &self,
        packs: impl Iterator<Item = &'a PackSummary>,
        context: &Context,
    ) -> Result<(), PipelineError> {
        let checks = packs.map(|pack| self.check_pack(pack, context));
        iter(checks).buffer_unordered(PACKS_AT_ONCE).try_collect().await
    }

    async fn check_pack(&self, pack: &PackSummary, context: &Context) -> Result<(), PipelineError> {
        if context.cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let task = context.progress.task("PACK", &pack.id.to_string(), Some(pack.bytes));
        let bytes = self.store().get(&keys::pack(pack.id)).await?;
        let read_bytes = bytes.len() as u64;
        // Opening it hashes every byte.
        let opened = PackReader::open(pack.id, bytes).map_err(|source| self.error(source));
        match opened {
            Ok(_) => {
                task.advance(0, read_bytes);
                task.finish();
                Ok(())
            }
            Err(error) => {
                task.fail(crate::one_line(&error));
                Err(error)
            }
        }
    }
}
