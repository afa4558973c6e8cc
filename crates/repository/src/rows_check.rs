//! Reading the rows of a backup to know that they are there, and which they are.
//!
//! Every pack is read once: its bytes are compared with its name, and its chunks are opened and their rows counted
//! and hashed. What they should come to stands in the segment lists, in another order. As many chunks as there is room
//! for are looked up at a time; for longer backups the lists are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{
    ArchiveError, ChunkCodec, ChunkOpener, ChunkPieces, ChunkPlace, Manifest, PackId, PackKind, PackReader,
    PackSummary, RowChunk, TableEntry,
};
use dbhaul_progress::one_line;
use dbhaul_rows::{DigestSpec, LongRow, RowDigest, RowsDigester, RowsError, check_copy_text, check_returns};
use futures::stream::{StreamExt, iter};
use tokio_util::sync::CancellationToken;

use crate::check::stop_if_cancelled;
use crate::lists::scan_list;
use crate::repository::rows_fault;
use crate::{Repository, RepositoryError};

/// Chunks that are looked up at a time, about 100 bytes each.
const CHUNKS_AT_ONCE: u64 = 512 << 10;

/// Packs in memory at the same time; each is about 32 MiB.
const PACKS_AT_ONCE: usize = 2;

/// A chunk of rows, and the table whose they are.
struct Wanted {
    table: u32,
    place: ChunkPlace,
    digest: RowDigest,
}

/// The digests of the rows of a pack, by the numbers of their tables.
pub(crate) type PackRows = Result<BTreeMap<u32, RowDigest>, RepositoryError>;

/// Takes what came of reading a pack.
pub(crate) type TakePack<'a> = dyn FnMut(&PackSummary, PackRows) -> Result<(), RepositoryError> + Send + 'a;

/// Adds the digests of a pack to those of its tables.
pub(crate) fn add(digests: &mut [RowDigest], found: BTreeMap<u32, RowDigest>) {
    for (table, digest) in found {
        let sum = &mut digests[table as usize];
        *sum = sum.merged(digest);
    }
}

impl Repository {
    /// Reads every pack of rows of a checked backup, and in them the rows of these tables; returns the digest of the
    /// rows that were read, table by table. A difference from what the lists say is an error that names the table.
    pub async fn read_rows(
        &self,
        manifest: &Manifest,
        tables: &[&TableEntry],
        cancel: &CancellationToken,
    ) -> Result<Vec<RowDigest>, RepositoryError> {
        let mut digests = vec![RowDigest::default(); tables.len()];
        let packs: Vec<&PackSummary> =
            manifest.packs.iter().filter(|pack| pack.kind == PackKind::Data).collect();
        let mut take = |_: &PackSummary, found: PackRows| {
            add(&mut digests, found?);
            Ok(())
        };
        self.each_pack_of_rows(tables, &packs, cancel, &mut take).await?;
        self.read_parts(manifest, tables, cancel).await?;
        for (table, digest) in tables.iter().zip(&mut digests) {
            if !table.parts.is_empty() {
                *digest = table.digest;
            }
            compare_table(table, *digest)?;
        }
        Ok(digests)
    }

    /// Reads these packs, and in each the rows of these tables; `take` is given what came of each, and decides whether
    /// an error ends it all.
    pub(crate) async fn each_pack_of_rows(
        &self,
        tables: &[&TableEntry],
        packs: &[&PackSummary],
        cancel: &CancellationToken,
        take: &mut TakePack<'_>,
    ) -> Result<(), RepositoryError> {
        let specs: Arc<[(String, DigestSpec)]> =
            tables.iter().map(|table| (table.qualified_name(), table.digest_spec.clone())).collect();
        let chunk_count: u64 = tables.iter().map(|table| table.chunks).sum();
        let rounds = chunk_count.div_ceil(CHUNKS_AT_ONCE).max(1);
        let packs_of_round = packs.len().div_ceil(usize::try_from(rounds).unwrap_or(usize::MAX)).max(1);
        for some in packs.chunks(packs_of_round) {
            let wanted = self.look_up(tables, some, cancel).await?;
            let reads = iter(wanted).map(|(pack, chunks)| {
                let read = self.read_pack_rows(pack, chunks, &specs, cancel);
                async move { (pack, read.await) }
            });
            let mut reads = reads.buffer_unordered(PACKS_AT_ONCE);
            while let Some((pack, found)) = reads.next().await {
                take(pack, found)?;
            }
        }
        Ok(())
    }

    /// The chunks of these tables that lie in each of these packs.
    async fn look_up<'p>(
        &self,
        tables: &[&TableEntry],
        packs: &[&'p PackSummary],
        cancel: &CancellationToken,
    ) -> Result<Vec<(&'p PackSummary, Vec<Wanted>)>, RepositoryError> {
        let mut wanted: BTreeMap<PackId, Vec<Wanted>> =
            packs.iter().map(|pack| (pack.id, Vec::new())).collect();
        for (number, table) in (0..).zip(tables) {
            stop_if_cancelled(cancel)?;
            let mut list = scan_list(self, table);
            while let Some((_, segments)) = list.next().await? {
                for RowChunk { place, digest } in segments.iter().flat_map(|segment| &segment.chunks) {
                    if let Some(chunks) = wanted.get_mut(&place.pack) {
                        chunks.push(Wanted { table: number, place: *place, digest: *digest });
                    }
                }
            }
            list.finish()?;
        }
        Ok(packs.iter().map(|pack| (*pack, wanted.remove(&pack.id).unwrap_or_default())).collect())
    }

    /// Reads a pack and the rows of these chunks of it; returns their digest, table by table.
    async fn read_pack_rows(
        &self,
        pack: &PackSummary,
        chunks: Vec<Wanted>,
        specs: &Arc<[(String, DigestSpec)]>,
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<u32, RowDigest>, RepositoryError> {
        stop_if_cancelled(cancel)?;
        let task = self.progress.task("PACK", &pack.id.to_string(), Some(pack.bytes));
        let read = match self.read_pack(pack).await {
            Ok(read) => {
                let (store, specs) = (self.describe(), Arc::clone(specs));
                let codec = self.codec.clone();
                let opening =
                    tokio::task::spawn_blocking(move || open_chunks(&store, &codec, &read, &chunks, &specs));
                opening.await.unwrap_or_else(|error| {
                    Err(RepositoryError::Worker {
                        what: "reader of a pack".into(),
                        reason: error.to_string(),
                    })
                })
            }
            Err(error) => Err(error),
        };
        match &read {
            Ok(found) => {
                task.advance(found.values().map(|digest| digest.row_count).sum(), pack.bytes);
                task.finish();
            }
            Err(error) => task.fail(one_line(error)),
        }
        read
    }
}

/// Compares the digest of all rows of a table that were read with the one of the manifest.
pub(crate) fn compare_table(table: &TableEntry, found: RowDigest) -> Result<(), RepositoryError> {
    if table.digest == found {
        return Ok(());
    }
    let reason = format!("its rows have the digest {found}, where {} was written", table.digest);
    Err(rows_fault(&table.qualified_name(), reason))
}

fn open_chunks(
    store: &str,
    codec: &ChunkCodec,
    pack: &PackReader,
    chunks: &[Wanted],
    specs: &[(String, DigestSpec)],
) -> Result<BTreeMap<u32, RowDigest>, RepositoryError> {
    let failed = |source: ArchiveError| RepositoryError::Archive { store: store.to_owned(), source };
    let mut opener = codec.opener().map_err(failed)?;
    let mut digesters: BTreeMap<u32, RowsDigester> = BTreeMap::new();
    let mut found: BTreeMap<u32, RowDigest> = BTreeMap::new();
    for Wanted { table, place, digest } in chunks {
        let (name, spec) = &specs[*table as usize];
        let stored = pack.stored(place).map_err(failed)?;
        if is_long(place, *digest) {
            let mut long = LongChunk::open(codec, spec, place, stored, *digest).map_err(failed)?;
            while long.next_piece(name).map_err(|fault| fault.into_error(failed))?.is_some() {}
        } else {
            let rows = opener.open(place, &stored).map_err(failed)?;
            let digester = digesters.entry(*table).or_insert_with(|| RowsDigester::new(spec));
            check_rows(digester, name, place, &rows, *digest)?;
        }
        let sum = found.entry(*table).or_default();
        *sum = sum.merged(*digest);
    }
    Ok(found)
}

/// Compares the rows of a chunk with the count and digest that the list of their table has for it.
pub(crate) fn check_rows(
    digester: &mut RowsDigester,
    table: &str,
    place: &ChunkPlace,
    rows: &[u8],
    expected: RowDigest,
) -> Result<(), RepositoryError> {
    match check_copy_text(rows).and_then(|()| digester.digest(rows)) {
        Ok(digest) => compare(table, place, digest, expected),
        Err(error) => {
            let chunk = format!("chunk {} at offset {} of pack {}", place.id, place.offset, place.pack);
            Err(rows_fault(table, format!("{chunk}: {error}")))
        }
    }
}

/// A chunk that is longer before compression and has one row only is not opened as a whole.
const LONG_CHUNK_BYTES: u64 = 8 << 20;

/// Whether a chunk holds one long row.
pub(crate) fn is_long(place: &ChunkPlace, digest: RowDigest) -> bool {
    place.plain_bytes > LONG_CHUNK_BYTES && digest.row_count == 1
}

/// A chunk of one long row in pieces.
#[derive(Debug)]
pub(crate) struct LongChunk {
    pieces: ChunkPieces,
    place: ChunkPlace,
    /// Taken at the end.
    row: Option<LongRow>,
    expected: RowDigest,
}

/// What is wrong with a long chunk.
pub(crate) enum Fault {
    Archive(ArchiveError),
    Rows(RepositoryError),
}

impl Fault {
    /// As an error of the pipeline.
    pub(crate) fn into_error(self, failed: impl Fn(ArchiveError) -> RepositoryError) -> RepositoryError {
        match self {
            Fault::Archive(error) => failed(error),
            Fault::Rows(error) => error,
        }
    }
}

impl LongChunk {
    /// Compares the bytes of the chunk with its identity, and measures its row.
    pub(crate) fn open(
        codec: &ChunkCodec,
        spec: &DigestSpec,
        place: &ChunkPlace,
        stored: Bytes,
        expected: RowDigest,
    ) -> Result<Self, ArchiveError> {
        let mut row = LongRow::new(spec);
        let mut measured = Ok(());
        let pieces = ChunkOpener::open_in_pieces(codec, place, stored, |piece| {
            if measured.is_ok() {
                measured = check_returns(piece).and_then(|()| row.measure(piece));
            }
        })?;
        let damaged = |error: RowsError| ArchiveError::DamagedChunk {
            pack: place.pack,
            chunk: place.id,
            offset: place.offset,
            reason: error.to_string(),
        };
        measured.map_err(damaged)?;
        Ok(LongChunk { pieces, place: *place, row: Some(row), expected })
    }

    /// The next piece, and the digest of the row with the last one: it was compared with the expected one.
    pub(crate) fn next_piece(&mut self, table: &str) -> Result<Option<(Bytes, RowDigest)>, Fault> {
        let Some(piece) = self.pieces.next_piece().map_err(Fault::Archive)? else { return Ok(None) };
        let wrong = |error: RowsError| {
            let reason = format!("chunk {} of pack {}: {error}", self.place.id, self.place.pack);
            Fault::Rows(rows_fault(table, reason))
        };
        if let Some(row) = &mut self.row {
            row.hash(&piece).map_err(wrong)?;
        }
        let Some(row) = self.row.take_if(|_| self.pieces.is_over()) else {
            return Ok(Some((piece, RowDigest::default())));
        };
        let digest = row.finish().map_err(wrong)?;
        compare(table, &self.place, digest, self.expected).map_err(Fault::Rows)?;
        Ok(Some((piece, digest)))
    }
}

fn compare(
    table: &str,
    place: &ChunkPlace,
    found: RowDigest,
    expected: RowDigest,
) -> Result<(), RepositoryError> {
    if found == expected {
        return Ok(());
    }
    let chunk = format!("chunk {} at offset {} of pack {}", place.id, place.offset, place.pack);
    let reason =
        format!("the rows of {chunk} have the digest {found}, where its segment list says {expected}");
    Err(rows_fault(table, reason))
}
