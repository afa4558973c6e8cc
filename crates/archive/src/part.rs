//! Parts: files of Parquet that hold the rows of a table, in the place of chunks in packs.
//!
//! A part belongs to one backup and lies in that backup's own folder, so that a glob finds the whole table and nothing else.

use std::collections::BTreeMap;

use dbhaul_rows::RowDigest;
use serde::{Deserialize, Serialize};

use crate::bounds::MAX_PACK_BYTES;
use crate::{ArchiveError, Document, Manifest, PartHash, TableEntry, TableKind, keys};

/// The feature that a backup with parts needs.
pub(crate) const PARQUET_FEATURE: &str = "parquet";

/// One file of rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The segment of the table, as it was read.
    pub segment: u32,
    /// Counts the parts of a segment that was too long for one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub piece: u32,
    /// Its size in the store.
    pub bytes: u64,
    /// Hash of these bytes.
    pub blake3: PartHash,
    /// Bytes of its rows as COPY text.
    pub plain_bytes: u64,
    /// Count and digest of its rows.
    pub digest: RowDigest,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TableEntry {
    /// The same entry with its rows in these parts, which are put in order.
    #[must_use]
    pub fn with_parts(self, mut parts: Vec<Part>) -> Self {
        parts.sort_by_key(|part| (part.segment, part.piece));
        let (mut plain_bytes, mut stored_bytes, mut digest) = (0, 0, RowDigest::default());
        for part in &parts {
            plain_bytes += part.plain_bytes;
            stored_bytes += part.bytes;
            digest.merge(part.digest);
        }
        let segments = parts.len() as u64;
        let list = Document::default();
        TableEntry { digest, segments, chunks: 0, plain_bytes, stored_bytes, list, parts, ..self }
    }

    /// What is wrong with the parts in themselves.
    pub(crate) fn check_parts(&self) -> Result<(), String> {
        if self.kind != TableKind::Table || self.chunks > 0 || self.list != Document::default() {
            return Err("it has parts where rows lie in packs".to_owned());
        }
        if self.segments != self.parts.len() as u64 {
            return Err(format!("it has {} parts and {} segments", self.parts.len(), self.segments));
        }
        let is_ordered = |pair: &[Part]| (pair[0].segment, pair[0].piece) < (pair[1].segment, pair[1].piece);
        if !self.parts.windows(2).all(is_ordered) {
            return Err("its parts are not in order, each once".to_owned());
        }
        let (mut plain_bytes, mut stored_bytes, mut digest) = (0_u64, 0_u64, RowDigest::default());
        let too_large = || "its parts are larger than can be counted".to_owned();
        for part in &self.parts {
            if part.bytes > MAX_PACK_BYTES || part.digest.row_count > part.plain_bytes {
                return Err(format!("its part {} cannot be as it is described", part.name()));
            }
            plain_bytes = plain_bytes.checked_add(part.plain_bytes).ok_or_else(too_large)?;
            stored_bytes = stored_bytes.checked_add(part.bytes).ok_or_else(too_large)?;
            digest = digest.checked_merged(part.digest).ok_or_else(too_large)?;
        }
        match (plain_bytes, stored_bytes, digest) == (self.plain_bytes, self.stored_bytes, self.digest) {
            true => Ok(()),
            false => Err("its parts do not add up to it".to_owned()),
        }
    }
}

impl Part {
    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> String {
        keys::part_name(self.segment, self.piece)
    }
}

impl Manifest {
    /// Every part with its table.
    pub fn parts(&self) -> impl Iterator<Item = (&TableEntry, &Part)> {
        self.tables.iter().flat_map(|table| table.parts.iter().map(move |part| (table, part)))
    }

    /// The key of a part of a table.
    #[must_use]
    pub fn part_key(&self, table: &TableEntry, part: &Part) -> String {
        keys::part(&self.key(), (&table.schema, &table.name), (part.segment, part.piece))
    }

    /// Compares the parts with those found in a store by listing, by size.
    ///
    /// Returns one [`ArchiveError::MissingPart`], [`ArchiveError::PartSize`] or [`ArchiveError::StrayPart`] for each that is not
    /// as it must be: a file that the manifest does not name would be read by a glob.
    #[must_use]
    pub fn compare_parts(&self, mut found: BTreeMap<String, u64>) -> Vec<ArchiveError> {
        let mut errors = Vec::new();
        for (table, part) in self.parts() {
            let key = self.part_key(table, part);
            let table = table.qualified_name();
            match found.remove(&key) {
                None => errors.push(ArchiveError::MissingPart { key, table }),
                Some(bytes) if bytes != part.bytes => errors.push(ArchiveError::PartSize {
                    key,
                    table,
                    expected_bytes: part.bytes,
                    found_bytes: bytes,
                }),
                Some(_) => {}
            }
        }
        errors.extend(found.into_keys().map(|key| ArchiveError::StrayPart { key }));
        errors
    }
}
