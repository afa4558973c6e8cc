//! The format of a backup: packs, segment lists, manifest, table of contents, compression, encryption; no I/O.
//!
//! A store holds objects that are never changed, but for manifests in a repack, under the names of [`keys`]. **Packs** hold **chunks**: runs of
//! whole rows, each compressed alone ([`ChunkSealer`], [`PackBuilder`]), named by the BLAKE3 hash of
//! their plain bytes ([`ChunkId`]). A pack is named by the hash of its stored bytes ([`PackId`]), so
//! damage is found without knowing what it holds.
//!
//! What a chunk is for is said elsewhere: a table's **segment list** ([`SegmentListWriter`],
//! [`SegmentListReader`]) names its segments and their chunks with place, row count and digest; a
//! [`Document`] is a large JSON text, such as the table of contents. Both are themselves stored as
//! chunks, in packs of their own. The [`Manifest`] names them all and is the commit point: a backup
//! exists when its manifest does.
//!
//! A backup in Parquet has the rows of each table in **parts** ([`Part`]) in the place of chunks: files that other programs read.
//!
//! A backup that was read is compared with itself before anything is done with it, for it may be broken or forged:
//! the manifest alone ([`Manifest::from_bytes`]), with the catalog and the table of contents
//! ([`Manifest::check_contents`]), and the lists with the packs' indexes ([`ListCheck`], [`PackIndex`]).
//!
//! Of an encrypted store, packs and manifests are files of age: a [`Keyring`] has the keys that are at hand, and the
//! [`ChunkCodec`] of a [`Generation`] of keys names chunks and encrypts and decrypts all that is stored.
//!
//! Everything read is verified before it is returned: lengths, hashes, counts and digests; each
//! [`ArchiveError`] names the object and the place. This crate knows no store and no server: it turns
//! values into bytes with keys, and back. The byte-level description is `docs/format.md`.
//!
//! ```
//! use dbhaul_archive::{ChunkOpener, ChunkSealer, PackBuilder, PackKind, PackReader};
//!
//! let mut pack = PackBuilder::new(PackKind::Data);
//! let entry = pack.add(&ChunkSealer::new(3)?.seal(b"1\tAnna\n")?);
//! let sealed = pack.finish();
//! let place = entry.place(sealed.id);
//! // `sealed.key()` and `sealed.bytes` go to a store and come back:
//! let reader = PackReader::open(sealed.id, sealed.bytes.clone())?;
//! let rows = ChunkOpener::new()?.open(&place, &reader.stored(&place)?)?;
//! assert_eq!(&rows[..], b"1\tAnna\n");
//! # Ok::<(), dbhaul_archive::ArchiveError>(())
//! ```

mod bounds;
mod check_report;
mod chunk;
mod codec;
mod contradiction;
mod document;
mod encryption;
mod error;
mod hash_id;
mod index;
pub mod keys;
mod list_check;
mod manifest;
mod manifest_seal;
mod outline;
mod pack;
mod pack_index;
mod part;
mod pieces;
mod repo;
mod segment;
mod segment_list;

pub(crate) use bounds::max_stored_bytes;
pub use bounds::{
    MAX_CONFIG_BYTES, MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES, MAX_MANIFEST_BYTES, MAX_PACK_BYTES,
    MAX_PIECE_BYTES, MAX_SEGMENTS, MAX_STATISTICS_BYTES, MAX_STATISTICS_PIECE_BYTES,
};
pub use check_report::{
    CheckFinding, CheckLevel, CheckReport, CheckResult, CheckedPacks, MAX_REPORT_BYTES, PackGroup, ReportName,
};
pub use chunk::{ChunkOpener, ChunkSealer, MAX_CHUNK_BYTES, SealedChunk};
pub use codec::{ChunkCodec, check_name};
pub use document::{
    DOCUMENT_PIECE_BYTES, Document, DocumentAssembler, json_pieces, read_document, sealed_json,
};
pub use encryption::{
    Fingerprint, Generation, Holder, KeyError, Keyring, MAX_WRAPPED_BYTES, PASSPHRASE, ReaderKeys, Recipient,
    Secret, WriterKey, generate_identity,
};
pub use error::ArchiveError;
pub use hash_id::{ChunkId, PackId, PartHash};
pub use index::{FIRST_TAIL_BYTES, PackIndex};
pub use keys::BackupKey;
pub use list_check::ListCheck;
pub use manifest::{
    ExcludedObject, MANIFEST_VERSION, Manifest, PackSummary, SequenceValue, SourceInfo, TableEntry,
    TableKind, Totals, Transfer,
};
pub use outline::{TocOutline, tables_with_primary_key};
pub use pack::{PACK_TARGET_BYTES, PackBuilder, PackKind, PackReader, SealedPack, check_pack_header};
pub use pack_index::{HEADER_BYTES as PACK_HEADER_BYTES, IndexTail, PackEntry, parse_index_tail};
pub use part::Part;
pub use pieces::ChunkPieces;
pub use repo::{Encryption, REPO_FORMAT_VERSION, RepoConfig};
pub use segment::{ChunkPlace, RowChunk, Segment, SegmentRange};
pub use segment_list::{ListTotals, SegmentListReader, SegmentListWriter};
