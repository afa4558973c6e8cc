//! The chunks of a parent backup: on disk as records of one length, and of the tables in hand as fingerprints in
//! memory, 12 bytes for each chunk.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use dbhaul_archive::{ArchiveError, ChunkId, ChunkPlace, ChunkSealer, PackId, SealedChunk};

/// Identity (32 bytes), number of the pack, offset, stored and plain bytes (4 each), all as they stand in the list; and
/// a keyed sum over these (8), because what a temporary directory returns ends in a backup.
const RECORD_BYTES: usize = 56;
/// Bytes that the sum is taken of.
const SUMMED_BYTES: usize = RECORD_BYTES - 8;
/// Records that are read at a time.
const RECORDS_AT_ONCE: usize = 4096;
/// Places of the table that are looked at for one chunk. Only identities made to meet need more.
const MAX_PROBES: usize = 128;

/// A pack of the parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParentPack {
    pub(crate) id: PackId,
    /// Whether chunks in it may be referred to.
    pub(crate) is_live: bool,
}

/// Writes records into a file that has no name, so that it is gone with the process, however that ends.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    file: BufWriter<File>,
    sums: RandomState,
}

impl RecordWriter {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(RecordWriter { file: BufWriter::new(tempfile::tempfile()?), sums: RandomState::new() })
    }

    /// Appends the chunk at `place`, which lies in the parent's pack of this number.
    pub(crate) fn add(&mut self, place: &ChunkPlace, pack: u32) -> io::Result<()> {
        // a pack has less than 4 GiB: MAX_PACK_BYTES
        let short = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let mut record = [0; RECORD_BYTES];
        record[..32].copy_from_slice(&place.id.0);
        let numbers = [pack, short(place.offset)?, short(place.stored_bytes)?, short(place.plain_bytes)?];
        for (field, number) in record[32..SUMMED_BYTES].chunks_exact_mut(4).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let sum = self.sums.hash_one(&record[..SUMMED_BYTES]);
        record[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all(&record)
    }

    pub(crate) fn finish(self) -> io::Result<Records> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Records { file, sums: self.sums })
    }
}

/// The records of all chunks of a parent.
#[derive(Debug)]
pub(crate) struct Records {
    file: File,
    sums: RandomState,
}

/// One record.
struct Record {
    id: ChunkId,
    pack: u32,
    offset: u32,
    stored_bytes: u32,
    plain_bytes: u32,
}

impl Records {
    /// The record of this number; nothing, if it is not what was written.
    fn read(&self, number: u64) -> Option<Record> {
        let mut record = [0; RECORD_BYTES];
        self.file.read_exact_at(&mut record, number * RECORD_BYTES as u64).ok()?;
        self.parse(&record)
    }

    fn parse(&self, record: &[u8]) -> Option<Record> {
        let (id, rest) = record.split_first_chunk::<32>()?;
        let (numbers, sum) = rest.split_first_chunk::<16>()?;
        if self.sums.hash_one(&record[..SUMMED_BYTES]).to_le_bytes()[..] != *sum {
            return None;
        }
        let number = |at: usize| {
            let bytes = [numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (pack, offset, stored_bytes, plain_bytes) = (number(0), number(4), number(8), number(12));
        Some(Record { id: ChunkId(*id), pack, offset, stored_bytes, plain_bytes })
    }
}

/// An entry of the table: 32 bits of the identity, and the number of the chunk's record among those of its table.
#[derive(Debug, Clone, Copy)]
struct Slot {
    fingerprint: u32,
    number: u32,
}

/// No chunk has this number.
const FREE: u32 = u32::MAX;

/// The chunks that one table has in the parent. What it finds was compared whole: the identity and the plain size.
#[derive(Debug)]
pub struct KnownChunks {
    records: Arc<Records>,
    packs: Arc<[ParentPack]>,
    /// The number of the table's first record.
    first: u64,
    /// Open addressing with linear probing; a third of the slots is free.
    slots: Box<[Slot]>,
}

impl KnownChunks {
    /// Most chunks of a table.
    pub(crate) const MAX_CHUNKS: u64 = FREE as u64;

    /// The table over the records from `first` on. Chunks in packs that may not be referred to are left out, and what
    /// is damaged. CPU-bound, and reads the records: call it on a worker thread.
    pub(crate) fn build(
        records: Arc<Records>,
        packs: Arc<[ParentPack]>,
        first: u64,
        count: u32,
    ) -> io::Result<Self> {
        let slot_count = count as usize + count as usize / 2 + 1;
        let slots = vec![Slot { fingerprint: 0, number: FREE }; slot_count].into_boxed_slice();
        let mut known = KnownChunks { records, packs, first, slots };
        let mut buffer = vec![0; RECORDS_AT_ONCE * RECORD_BYTES];
        let mut number = 0;
        while number < count {
            let some = (count - number).min(RECORDS_AT_ONCE as u32) as usize;
            let buffer = &mut buffer[..some * RECORD_BYTES];
            let offset = (first + u64::from(number)) * RECORD_BYTES as u64;
            known.records.file.read_exact_at(buffer, offset)?;
            for (number, record) in (number..).zip(buffer.chunks_exact(RECORD_BYTES)) {
                if let Some(record) = known.records.parse(record)
                    && known.packs.get(record.pack as usize).is_some_and(|pack| pack.is_live)
                {
                    known.insert(&record.id, number);
                }
            }
            number += some as u32;
        }
        Ok(known)
    }

    /// Chunks that there is room for in memory.
    pub(crate) fn chunk_count(&self) -> u64 {
        self.slots.len() as u64 * 2 / 3
    }

    /// Bytes of memory that it takes.
    #[cfg(test)]
    pub(crate) fn table_bytes(&self) -> u64 {
        size_of_val(&*self.slots) as u64
    }

    /// Adds a chunk, unless the same is there: in a table without a key equal rows make equal chunks, any number.
    fn insert(&mut self, id: &ChunkId, number: u32) {
        let (fingerprint, start) = self.home(id);
        for at in self.probes(start) {
            let slot = self.slots[at];
            if slot.number == FREE {
                self.slots[at] = Slot { fingerprint, number };
                return;
            }
            let is_same = |record: Record| record.id == *id;
            if slot.fingerprint == fingerprint
                && self.records.read(self.first + u64::from(slot.number)).is_some_and(is_same)
            {
                return;
            }
        }
    }

    /// Where in the parent a chunk of this identity and size lies.
    pub fn find(&self, id: ChunkId, plain_bytes: u64) -> Option<ChunkPlace> {
        let (fingerprint, start) = self.home(&id);
        for at in self.probes(start) {
            let slot = self.slots[at];
            if slot.number == FREE {
                return None;
            }
            if slot.fingerprint != fingerprint {
                continue;
            }
            if let Some(record) = self.records.read(self.first + u64::from(slot.number))
                && record.id == id
                && u64::from(record.plain_bytes) == plain_bytes
            {
                let (offset, stored_bytes) = (u64::from(record.offset), u64::from(record.stored_bytes));
                let pack = self.packs.get(record.pack as usize)?.id;
                return Some(ChunkPlace { id, pack, offset, stored_bytes, plain_bytes });
            }
        }
        None
    }

    /// The fingerprint, and the slot to begin at; both out of the identity, which is a hash.
    fn home(&self, id: &ChunkId) -> (u32, usize) {
        let [a, b, c, d, rest @ ..] = id.0;
        let start = rest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let start = (u128::from(start) * self.slots.len() as u128) >> 64;
        (u32::from_le_bytes([a, b, c, d]), start as usize)
    }

    fn probes(&self, start: usize) -> impl Iterator<Item = usize> + use<> {
        let len = self.slots.len();
        (0..MAX_PROBES.min(len)).map(move |step| (start + step) % len)
    }
}

/// A chunk ready for a backup.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadyChunk {
    /// To be brought to a pack.
    Sealed(SealedChunk),
    /// In a pack of the parent.
    Known(ChunkPlace),
}

impl ReadyChunk {
    /// Its bytes before compression.
    pub fn plain_bytes(&self) -> u64 {
        match self {
            ReadyChunk::Sealed(chunk) => chunk.plain_bytes,
            ReadyChunk::Known(place) => place.plain_bytes,
        }
    }

    /// Finds a chunk among those that are known, or else seals it. CPU-bound: call it on a worker thread.
    ///
    /// # Errors
    /// As [`ChunkSealer::seal`].
    pub fn new(
        sealer: &mut ChunkSealer,
        plain: &[u8],
        known: Option<&KnownChunks>,
    ) -> Result<Self, ArchiveError> {
        let Some(known) = known else { return sealer.seal(plain).map(ReadyChunk::Sealed) };
        let id = sealer.id(plain);
        match known.find(id, plain.len() as u64) {
            Some(place) => Ok(ReadyChunk::Known(place)),
            None => sealer.seal_as(id, plain).map(ReadyChunk::Sealed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dbhaul_archive::{ChunkId, ChunkPlace, PackId};

    use super::{KnownChunks, ParentPack, RECORD_BYTES, RecordWriter, Slot};

    fn place(number: u64, pack: u8) -> ChunkPlace {
        let id = ChunkId::of(&number.to_le_bytes());
        ChunkPlace { id, pack: PackId([pack; 32]), offset: 24 + number, stored_bytes: 7, plain_bytes: number }
    }

    fn known(places: &[ChunkPlace], first: u64) -> KnownChunks {
        let packs = (0..3).map(|n| ParentPack { id: PackId([n; 32]), is_live: n != 1 }).collect();
        let mut writer = RecordWriter::new().unwrap();
        places.iter().for_each(|place| writer.add(place, u32::from(place.pack.0[0])).unwrap());
        let count = places.len() as u32 - first as u32;
        KnownChunks::build(Arc::new(writer.finish().unwrap()), packs, first, count).unwrap()
    }

    #[test]
    fn every_chunk_is_found_with_its_place_and_no_other() {
        for count in [0_u64, 1, 2, 3, 10_000] {
            let places: Vec<_> = (0..count + 5).map(|number| place(number, 2)).collect();
            let known = known(&places, 5);
            for (number, place) in (0..).zip(&places) {
                let found = known.find(place.id, place.plain_bytes);
                assert_eq!(found, Some(*place).filter(|_| number >= 5), "{number} of {count}");
                assert_eq!(known.find(place.id, place.plain_bytes + 1), None, "of another size");
            }
            let unknown = (0..1000).map(|number| ChunkId::of(&[number as u8; 9]));
            assert!(unknown.into_iter().all(|id| known.find(id, 3).is_none()));
        }
    }

    #[test]
    fn a_chunk_that_is_there_a_thousand_times_takes_one_place() {
        let mut places = vec![place(7, 0); 1000];
        places.extend((0..500).map(|number| place(1000 + number, 2)));
        let known = known(&places, 0);
        assert!(places.iter().all(|place| known.find(place.id, place.plain_bytes) == Some(*place)));
    }

    #[test]
    fn equal_fingerprints_are_told_apart() {
        let twins: Vec<_> = (0..50_u8)
            .map(|number| {
                let mut place = place(u64::from(number), 0);
                place.id.0[..12].fill(1);
                place
            })
            .collect();
        let known = known(&twins, 0);
        for place in &twins {
            assert_eq!(known.find(place.id, place.plain_bytes), Some(*place));
        }
    }

    #[test]
    fn chunks_of_sparse_packs_and_damaged_records_are_not_known() {
        let places = [place(1, 0), place(2, 1), place(3, 2)];
        let known = known(&places, 0);
        let found =
            |known: &KnownChunks| places.map(|place| known.find(place.id, place.plain_bytes).is_some());
        assert_eq!(found(&known), [true, false, true]);
        let mut byte = [0];
        for at in [0, 35, 40, 44, RECORD_BYTES as u64 - 1] {
            std::os::unix::fs::FileExt::read_exact_at(&known.records.file, &mut byte, at).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&known.records.file, &[byte[0] ^ 1], at).unwrap();
            assert_eq!(found(&known), [false, false, true], "byte {at}");
            std::os::unix::fs::FileExt::write_all_at(&known.records.file, &byte, at).unwrap();
        }
    }

    #[test]
    fn a_chunk_takes_twelve_bytes() {
        let places: Vec<_> = (0..3000).map(|number| place(number, 2)).collect();
        let known = known(&places, 0);
        assert!(size_of::<Slot>() * (known.slots.len() - 1) <= 12 * places.len());
        assert_eq!(known.chunk_count(), 3000);
    }
}
