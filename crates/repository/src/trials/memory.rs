//! Memory of a dump against a parent of a million chunks, measured in a process of its own.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dbhaul_archive::{
    ChunkId, ChunkPlace, Manifest, PackKind, PackSummary, RowChunk, SealedChunk, Segment, SegmentListWriter,
    SegmentRange, TableKind, sealed_json,
};
use dbhaul_progress::Progress;
use dbhaul_rows::RowDigest;
use dbhaul_store::{DirectoryStore, Store, StoreExt};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::small::{Wanted, catalog, manifest, table, toc};
use crate::{
    MetadataSealer, PackWriter, ParentRef, Repository, RepositoryError, StoreKeys, document, unnamed_pack,
};

const CHUNKS: u64 = 1_000_000;
/// As a dump ends them.
const SEGMENT_CHUNKS: u64 = 4096;
/// As in a real pack most of it is chunks, and not their index.
const STORED: &[u8] = &[7; 40];

/// Names the directory of the store in the process that is measured.
const STORE: &str = "DBHAUL_TEST_MILLION_CHUNKS";

/// What a whole dump may take, far more than this part of it needs.
const MOST_BYTES: u64 = 128 << 20;

/// What the table in hand may take.
const MOST_BYTES_PER_CHUNK: u64 = 12;

#[test]
fn a_parent_of_a_million_chunks_fits_into_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(store) = std::env::var_os(STORE) {
        return runtime.block_on(look_up(Path::new(&store)));
    }
    let directory = tempfile::tempdir().unwrap();
    runtime.block_on(make(directory.path())).unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["trials::memory::a_parent_of_a_million_chunks_fits_into_memory", "--exact", "--nocapture"])
        .env(STORE, directory.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{printed}\n{}", String::from_utf8_lossy(&run.stderr));
    let number = |name: &str| -> u64 {
        let (_, rest) = printed.split_once(name).unwrap_or_else(|| panic!("no {name} in {printed}"));
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (peak, table) = (number("peak-bytes: "), number("table-bytes: "));
    assert!(peak <= MOST_BYTES, "{peak} bytes at the peak");
    assert!(table <= CHUNKS * MOST_BYTES_PER_CHUNK + 4096, "the table takes {table} bytes");
}

fn id(number: u64) -> ChunkId {
    ChunkId::of(&number.to_le_bytes())
}

fn digest(number: u64) -> RowDigest {
    let mut digest = RowDigest::default();
    digest.add_row(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    digest
}

async fn open(store: &Path) -> Repository {
    let store: Arc<dyn Store> = Arc::new(DirectoryStore::new(store));
    Repository::at_or_create(store, &StoreKeys::default(), &Progress::silent()).await.unwrap()
}

/// Makes a store with one backup of one table. Nobody opens its rows.
async fn make(store: &Path) -> Result<(), RepositoryError> {
    let (repository, cancel) = (open(store).await, CancellationToken::new());
    let failed = |source| repository.error(source);
    let writer = |kind| PackWriter::new(Arc::clone(repository.store()), repository.codec(), kind, &cancel);
    let (data, meta) = (writer(PackKind::Data), writer(PackKind::Meta));
    let mut sealer = repository.codec().sealer(1).map_err(failed)?;
    let (catalog, toc) = (catalog(), toc());
    let catalog = meta.add(&sealed_json("catalog", &catalog, &mut sealer).map_err(failed)?).await?;
    let contents = meta.add(&sealed_json("table of contents", &toc, &mut sealer).map_err(failed)?).await?;
    let sealer = MetadataSealer::new("directory", repository.codec(), 1)?;
    let mut lines = SegmentListWriter::new("public.big").map_err(failed)?;
    let (mut pieces, mut list) = (Vec::new(), Vec::new());
    for index in 0..CHUNKS.div_ceil(SEGMENT_CHUNKS) {
        let numbers = index * SEGMENT_CHUNKS..CHUNKS.min((index + 1) * SEGMENT_CHUNKS);
        let chunks: Vec<SealedChunk> = numbers.clone().map(chunk).collect();
        let placed = data.add(&chunks).await?;
        // the pack has a name only when it ends
        data.flush().await?;
        let rows = numbers.zip(placed).map(|(number, placed)| {
            let place: ChunkPlace = placed.place().ok_or_else(unnamed_pack)?;
            Ok(RowChunk { place, digest: digest(number) })
        });
        let chunks = rows.collect::<Result<Vec<_>, RepositoryError>>()?;
        let segment = Segment { index: index as u32, range: SegmentRange::Part(index as u32), chunks };
        lines.write(&segment, &mut pieces).map_err(failed)?;
        list.extend(meta.add_plain(&sealer, std::mem::take(&mut pieces)).await?);
    }
    let totals = lines.finish(&mut pieces).map_err(failed)?;
    list.extend(meta.add_plain(&sealer, pieces).await?);
    let written = data.finish().await?.and(meta.finish().await?);
    let named = |pieces: &[_]| document(pieces).ok_or_else(unnamed_pack);
    let packs: BTreeMap<_, PackSummary> = written.packs.iter().map(|pack| (pack.id, *pack)).collect();
    let wanted = Wanted {
        id: Ulid::generate(),
        database: "shop".to_owned(),
        time: SystemTime::now(),
        parent: ParentRef::None,
        chunks: Vec::new(),
        chunks_per_pack: 1,
    };
    let documents = (named(&catalog)?, named(&contents)?);
    let mut backup: Manifest =
        manifest(&repository, &wanted, documents, packs.into_values().collect(), &written);
    let mut big = table(&toc, totals, named(&list)?);
    (big.kind, big.schema, big.name) = (TableKind::Table, "public".to_owned(), "big".to_owned());
    backup.tables = vec![big];
    backup.totals = backup.computed_totals();
    let bytes: Bytes = backup.seal(repository.codec()).map_err(failed)?;
    Ok(repository.store().create(&wanted.key().to_string(), bytes).await?)
}

fn chunk(number: u64) -> SealedChunk {
    SealedChunk { id: id(number), plain_bytes: 8, stored: Bytes::from_static(STORED), generation: None }
}

/// What a dump does with its parent; prints what it took.
async fn look_up(store: &Path) {
    let (repository, cancel) = (open(store).await, CancellationToken::new());
    let parent = Box::pin(repository.parent(&ParentRef::Newest, "shop", &cancel)).await.unwrap().unwrap();
    let known = parent.table(TableKind::Table, "public", "big").await.unwrap().unwrap();
    for number in (0..CHUNKS).step_by(997) {
        assert_eq!(known.find(id(number), 8).unwrap().id, id(number));
        assert_eq!(known.find(id(CHUNKS + number), 8), None);
    }
    writeln!(std::io::stdout(), "table-bytes: {}", known.table_bytes()).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    writeln!(std::io::stdout(), "peak-bytes: {}", kib * 1024).unwrap();
}
