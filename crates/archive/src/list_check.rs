//! Whether what the list of a table names is in the packs, as it says and as often.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    ArchiveError, ListTotals, MAX_CHUNK_BYTES, PackId, PackIndex, PackKind, PackSummary, RowChunk, Segment,
    TableEntry, max_stored_bytes,
};

/// Bytes of a chunk's identity that are kept to find one that is named twice.
const KEPT_ID_BYTES: usize = 12;

/// A longer chunk has one row. Writers begin another chunk after 256 KiB.
const MAX_SHORT_BYTES: u64 = 64 << 20;

/// Identities that are kept at a time, 12 bytes each. A longer list is read several times.
const KEPT_IDS: u64 = 2 << 20;

/// Checks the segment list of one table against the indexes of the packs that it names.
///
/// Chunks come once: each takes a bit. In a table with a primary key no two chunks have the same rows, so that
/// their identities are compared as well, in [`passes`](Self::passes) over the list.
#[derive(Debug)]
pub struct ListCheck<'a> {
    table: &'a TableEntry,
    packs: &'a BTreeMap<PackId, PackSummary>,
    has_key: bool,
    has_places: bool,
    passes: u64,
    pass: u64,
    used: HashMap<PackId, Vec<u64>>,
    ids: Vec<[u8; KEPT_ID_BYTES]>,
}

impl<'a> ListCheck<'a> {
    /// The check of a table's list. `has_key` says that no row of the table is there twice.
    #[must_use]
    pub fn new(table: &'a TableEntry, packs: &'a BTreeMap<PackId, PackSummary>, has_key: bool) -> Self {
        let passes = if has_key { table.chunks.div_ceil(KEPT_IDS).max(1) } else { 1 };
        let (used, ids) = (HashMap::new(), Vec::new());
        Self { table, packs, has_key, has_places: true, passes, pass: 0, used, ids }
    }

    /// Compares no places with indexes: those of packs that cannot be opened with the keys at hand.
    #[must_use]
    pub fn without_places(self) -> Self {
        Self { has_places: false, ..self }
    }

    /// How often the list is to be read, each time with [`take`](Self::take) for every segment and
    /// [`end_pass`](Self::end_pass) at the end.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// The packs that these segments name, whose indexes [`take`](Self::take) will ask for.
    ///
    /// # Errors
    /// [`ArchiveError::Inconsistent`] if one is none of the backup's, or one of metadata.
    pub fn packs(&self, segments: &[Segment]) -> Result<BTreeSet<PackId>, ArchiveError> {
        let chunks = segments.iter().flat_map(|segment| &segment.chunks);
        let packs: BTreeSet<PackId> = chunks.map(|chunk| chunk.place.pack).collect();
        for pack in &packs {
            match self.packs.get(pack) {
                Some(PackSummary { kind: PackKind::Data, .. }) => {}
                Some(_) => {
                    return Err(
                        self.damaged(format!("its rows are to lie in pack {pack}, which is of metadata"))
                    );
                }
                None => {
                    let reason =
                        format!("its rows are to lie in pack {pack}, which the manifest does not list");
                    return Err(self.damaged(reason));
                }
            }
        }
        Ok(packs)
    }

    /// Takes those chunks of a segment that lie in these packs: some at a time, where there are many.
    ///
    /// # Errors
    /// [`ArchiveError::Inconsistent`] or [`ArchiveError::DamagedChunk`], naming the chunk.
    pub fn take<'i>(
        &mut self,
        segment: &Segment,
        packs: &BTreeSet<PackId>,
        index_of: impl Fn(PackId) -> Option<&'i PackIndex>,
    ) -> Result<(), ArchiveError> {
        for chunk in segment.chunks.iter().filter(|chunk| packs.contains(&chunk.place.pack)) {
            if self.pass == 0 {
                self.check_counts(chunk)?;
            }
            if self.pass == 0 && self.has_places {
                let pack = chunk.place.pack;
                let index = index_of(pack).ok_or(ArchiveError::MissingPack { pack })?;
                let number = index.number_of(&chunk.place)?;
                let is_again = !mark(self.used.entry(pack).or_default(), number);
                if is_again && self.has_key {
                    return Err(self.twice(chunk));
                }
            }
            self.keep(chunk);
        }
        Ok(())
    }

    /// Ends a pass over the list; `totals` is what it added up to.
    ///
    /// # Errors
    /// [`ArchiveError::Inconsistent`] if a chunk is named twice, or the list adds up to something else than the
    /// manifest says.
    pub fn end_pass(&mut self, totals: &ListTotals) -> Result<(), ArchiveError> {
        let table = self.table;
        let said = ListTotals {
            segments: table.segments,
            chunks: table.chunks,
            plain_bytes: table.plain_bytes,
            stored_bytes: table.stored_bytes,
            digest: table.digest,
        };
        if *totals != said {
            return Err(
                self.damaged(format!("its segment list adds up to {totals}, the manifest says {said}"))
            );
        }
        self.ids.sort_unstable();
        if let Some(twice) = self.ids.windows(2).find(|pair| pair[0] == pair[1]) {
            let start = hex::encode(twice[0]);
            let reason = format!("its segment list names the chunk that starts with {start} twice");
            return Err(self.damaged(format!("{reason}, although the table has a primary key")));
        }
        self.ids.clear();
        self.pass += 1;
        Ok(())
    }

    fn check_counts(&self, chunk: &RowChunk) -> Result<(), ArchiveError> {
        let (place, rows) = (&chunk.place, chunk.digest.row_count);
        let is_long = place.plain_bytes > MAX_SHORT_BYTES && rows > 1;
        if place.stored_bytes > max_stored_bytes(place.plain_bytes) {
            let (stored, plain) = (place.stored_bytes, place.plain_bytes);
            return Err(self.damaged(format!("chunk {} takes {stored} bytes for {plain}", place.id)));
        }
        match rows == 0 || rows > place.plain_bytes || place.plain_bytes > MAX_CHUNK_BYTES || is_long {
            false => Ok(()),
            true => Err(self.damaged(format!(
                "chunk {} is to have rows and bytes as cannot be: rows {rows}, bytes {}",
                place.id, place.plain_bytes
            ))),
        }
    }

    /// Keeps the identity, if it is one of this pass.
    fn keep(&mut self, chunk: &RowChunk) {
        if !self.has_key {
            return;
        }
        let id = &chunk.place.id.0;
        let share = u64::from(u16::from_be_bytes([id[0], id[1]])) % self.passes;
        if share == self.pass {
            let mut kept = [0; KEPT_ID_BYTES];
            kept.copy_from_slice(&id[..KEPT_ID_BYTES]);
            self.ids.push(kept);
        }
    }

    fn twice(&self, chunk: &RowChunk) -> ArchiveError {
        let reason = format!("its segment list names chunk {} twice", chunk.place.id);
        self.damaged(format!("{reason}, although the table has a primary key"))
    }

    fn damaged(&self, reason: String) -> ArchiveError {
        ArchiveError::Inconsistent { object: format!("table {}", self.table.qualified_name()), reason }
    }
}

/// Sets a bit; whether it was not set before.
fn mark(bits: &mut Vec<u64>, number: usize) -> bool {
    let (word, bit) = (number / 64, 1 << (number % 64));
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    let is_new = bits[word] & bit == 0;
    bits[word] |= bit;
    is_new
}
