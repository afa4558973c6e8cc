//! Reading a whole backup to know that every byte of it is as it was written.

use dbhaul_archive::{Manifest, PackReader, PackSummary, keys};
use futures::stream::{StreamExt, TryStreamExt, iter};

use super::Repository;
use super::segments::read_list;
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
        let checks = manifest.packs.iter().map(|pack| self.check_pack(pack, context));
        iter(checks).buffer_unordered(PACKS_AT_ONCE).try_collect::<()>().await?;
        for table in &manifest.tables {
            if context.cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            read_list(self, table).await?;
        }
        Ok(())
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
