//! The files of a backup in Parquet, read one after the other.

use dbhaul_archive::{CheckLevel, PackId, Part, TableEntry};
use futures::stream::{StreamExt, iter};
use tokio_util::sync::CancellationToken;

use super::{Check, CheckScope};
use crate::RepositoryError;
use crate::check::PACKS_AT_ONCE;

impl Check<'_> {
    /// Levels 1 and 2 of parts; returns how many rows were read.
    pub(super) async fn parts(
        &mut self,
        scope: &CheckScope,
        cancel: &CancellationToken,
    ) -> Result<u64, RepositoryError> {
        let (manifest, repository) = (self.manifest, self.repository.clone());
        let with_rows = scope.level >= CheckLevel::Rows;
        let is_wanted = |(table, part): &(&TableEntry, &Part)| {
            !self.damage.contains_key(&manifest.part_key(table, part))
                && scope.group.is_none_or(|group| group.contains(PackId(part.blake3.0)))
        };
        let wanted: Vec<(&TableEntry, &Part)> = manifest.parts().filter(is_wanted).collect();
        let backup = manifest.key();
        let mut reads = iter(wanted)
            .map(|part| {
                let read = repository.check_part(&backup, part, with_rows, cancel);
                async move { (part, read.await) }
            })
            .buffer_unordered(PACKS_AT_ONCE);
        let mut row_count = 0;
        while let Some(((table, part), read)) = reads.next().await {
            match read {
                Ok(()) => {
                    row_count += part.digest.row_count;
                    self.read.count += 1;
                    self.read.bytes += part.bytes;
                }
                Err(error) => {
                    let key = manifest.part_key(table, part);
                    self.note(key.clone(), error)?;
                    let lists = [&mut self.damage, &mut self.unread];
                    if let Some(finding) = lists.into_iter().find_map(|list| list.get_mut(&key)) {
                        finding.affects = vec![format!("table {}", table.qualified_name())];
                        finding.affected_count = 1;
                    }
                }
            }
        }
        Ok(row_count)
    }
}
