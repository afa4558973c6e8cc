//! The packs that a backup is made of.

use std::collections::BTreeMap;

use dbhaul_archive::{PackSummary, TableEntry, Transfer};
use dbhaul_repository::{Repository, WrittenPacks};

use crate::command::dump::lists::Reused;

/// The packs of a backup, and what it shares with its parent.
pub(crate) struct Written {
    pub(crate) rows: WrittenPacks,
    pub(crate) meta: WrittenPacks,
    pub(crate) reused: Reused,
}

impl Written {
    pub(crate) fn transfer(&self, repository: &Repository) -> Transfer {
        Transfer {
            uploaded_packs: self.rows.new_packs + self.meta.new_packs,
            reused_bytes: self.reused.bytes,
            requests: repository.request_count(),
        }
    }

    /// Bytes of packs and parts that were written.
    pub(crate) fn uploaded_bytes(&self, tables: &[TableEntry]) -> u64 {
        let part_bytes: u64 = tables.iter().flat_map(|table| &table.parts).map(|part| part.bytes).sum();
        self.rows.new_bytes + self.meta.new_bytes + part_bytes
    }

    /// All packs, with `kept` that were there; each once: the same rows twice make the same pack.
    pub(crate) fn packs(self, kept: impl IntoIterator<Item = PackSummary>) -> Vec<PackSummary> {
        let packs = kept.into_iter().chain(self.reused.packs.into_values());
        let packs = packs.chain(self.rows.packs).chain(self.meta.packs);
        packs.map(|pack| (pack.id, pack)).collect::<BTreeMap<_, _>>().into_values().collect()
    }
}
