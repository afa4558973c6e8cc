//! Backups of one large object, whose pieces are the chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dbhaul_archive::{
    BackupKey, Document, ListTotals, Manifest, PackId, PackKind, PackSummary, RowChunk, Segment,
    SegmentListWriter, SegmentRange, SourceInfo, TableEntry, TableKind, Totals, sealed_json,
};
use dbhaul_catalog::kinds::{Body, LargeObject};
use dbhaul_catalog::{Catalog, Class, DataEntry, Object, ObjectId, ServerVersion, Target, Toc, TocOptions};
use dbhaul_rows::{DigestColumn, DigestSpec, RowDigest, RowsDigester, TextForm};
use dbhaul_store::StoreExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::{
    MetadataSealer, PackWriter, ParentRef, PlacedChunk, ReadyChunk, Repository, RepositoryError, Sign,
    WrittenPacks, document, unnamed_pack,
};

const VERSION: ServerVersion = ServerVersion::of_major(18);
const SCHEMA: &str = "pg_catalog";
const NAME: &str = "pg_largeobject";

/// What a backup is to be of.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) id: Ulid,
    pub(super) database: String,
    pub(super) time: SystemTime,
    pub(super) parent: ParentRef,
    /// Its chunks, each by a number.
    pub(super) chunks: Vec<u32>,
    /// After how many chunks a pack ends.
    pub(super) chunks_per_pack: usize,
}

impl Wanted {
    /// The digest of its rows.
    pub(super) fn digest(&self) -> RowDigest {
        self.chunks.iter().map(|chunk| digest(&rows(*chunk))).collect()
    }

    pub(super) fn key(&self) -> BackupKey {
        BackupKey::new(&self.database, timestamp(self.time), self.id)
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap()
}

/// The rows of a chunk.
fn rows(chunk: u32) -> Bytes {
    (0..3).map(|page| format!("16385\t{}\t\\\\x{chunk:08x}\n", chunk * 3 + page)).collect::<String>().into()
}

fn spec() -> DigestSpec {
    let columns = [("loid", "oid"), ("page", "integer"), ("data", "bytea")];
    DigestSpec::new(columns.map(|(name, kind)| DigestColumn::new(name, kind)).to_vec(), TextForm::Raw)
}

fn digest(rows: &[u8]) -> RowDigest {
    RowsDigester::new(&spec()).digest(rows).unwrap()
}

pub(super) fn catalog() -> Catalog {
    let object = Object {
        id: ObjectId::new(Class::PG_LARGEOBJECT, 16_385),
        schema: None,
        name: "16385".to_owned(),
        owner: Some("own".into()),
        acl: None,
        comment: None,
        security_labels: Vec::new(),
        extension: None,
        body: Body::from(LargeObject {}),
    };
    let mut catalog = Catalog { objects: vec![object], ..Catalog::empty(VERSION) };
    catalog.database.encoding = "UTF8".to_owned();
    catalog
}

/// Makes a backup as `dbhaul dump` does, in the same order: the sign, the parent, packs, the manifest.
pub(super) async fn dump(
    repository: &Repository,
    wanted: &Wanted,
    cancel: &CancellationToken,
) -> Result<BackupKey, RepositoryError> {
    let lease = repository.lease(cancel).await?;
    let dumped = store(repository, &lease, wanted, cancel).await;
    lease.release().await;
    dumped
}

async fn store(
    repository: &Repository,
    lease: &Sign,
    wanted: &Wanted,
    cancel: &CancellationToken,
) -> Result<BackupKey, RepositoryError> {
    let parent = Box::pin(repository.parent(&wanted.parent, &wanted.database, cancel)).await?;
    let known = match &parent {
        Some(parent) => parent.table(TableKind::LargeObjects, SCHEMA, NAME).await?,
        None => None,
    };
    let failed = |source| repository.error(source);
    let writer = |kind| PackWriter::new(Arc::clone(repository.store()), repository.codec(), kind, cancel);
    let (data, meta) = (writer(PackKind::Data), writer(PackKind::Meta));
    let mut sealer = repository.codec().sealer(1).map_err(failed)?;
    let (catalog, toc) = (catalog(), toc());
    let mut documents = Vec::new();
    for sealed in [
        sealed_json("catalog", &catalog, &mut sealer).map_err(failed)?,
        sealed_json("table of contents", &toc, &mut sealer).map_err(failed)?,
    ] {
        documents.push(meta.add(&sealed).await?);
    }
    let mut placed: Vec<(PlacedChunk, RowDigest)> = Vec::new();
    for (number, chunk) in wanted.chunks.iter().enumerate() {
        let rows = rows(*chunk);
        let digest = digest(&rows);
        match ReadyChunk::new(&mut sealer, &rows, known.as_deref()).map_err(failed)? {
            ReadyChunk::Known(place) => placed.push((PlacedChunk::known(place), digest)),
            ReadyChunk::Sealed(sealed) => {
                placed.extend(data.add(&[sealed]).await?.into_iter().map(|place| (place, digest)));
            }
        }
        if (number + 1).is_multiple_of(wanted.chunks_per_pack) {
            data.flush().await?;
        }
    }
    let rows = data.finish().await?;
    let mut chunks = Vec::new();
    for (placed, digest) in &placed {
        chunks.push(RowChunk { place: placed.place().ok_or_else(unnamed_pack)?, digest: *digest });
    }
    let reused: BTreeSet<PackId> = chunks.iter().map(|chunk| chunk.place.pack).collect();
    let reused = reused.into_iter().filter_map(|id| parent.as_ref()?.pack(id));
    let (pieces, totals) = list(chunks).map_err(failed)?;
    let sealer = MetadataSealer::new(&repository.store().describe(), repository.codec(), 1)?;
    let list = meta.add_plain(&sealer, pieces).await?;
    let meta = meta.finish().await?;
    let named = |pieces: &[PlacedChunk]| document(pieces).ok_or_else(unnamed_pack);
    let table = table(&toc, totals, named(&list)?);
    let packs: BTreeMap<PackId, PackSummary> = reused
        .chain(rows.packs.iter().copied())
        .chain(meta.packs.iter().copied())
        .map(|p| (p.id, p))
        .collect();
    let uploaded = rows.clone().and(meta);
    let documents = (named(&documents[0])?, named(&documents[1])?);
    let mut manifest = manifest(repository, wanted, documents, packs.into_values().collect(), &uploaded);
    manifest.parent = parent.as_ref().map(crate::Parent::id);
    manifest.tables = vec![table];
    manifest.totals = manifest.computed_totals();
    repository.commit(&manifest, lease, cancel).await
}

pub(super) fn toc() -> Toc {
    Toc::build(&catalog(), &Target { version: VERSION }, &TocOptions::default()).unwrap()
}

fn list(chunks: Vec<RowChunk>) -> Result<(Vec<Bytes>, ListTotals), dbhaul_archive::ArchiveError> {
    let mut writer = SegmentListWriter::new(&format!("{SCHEMA}.{NAME}"))?;
    let mut pieces = Vec::new();
    writer.write(&Segment { index: 0, range: SegmentRange::Whole, chunks }, &mut pieces)?;
    let totals = writer.finish(&mut pieces)?;
    Ok((pieces, totals))
}

pub(super) fn table(toc: &Toc, totals: ListTotals, list: Document) -> TableEntry {
    let entry = toc.entries.iter().find(|entry| matches!(entry.data, Some(DataEntry::LargeObjects)));
    TableEntry {
        kind: TableKind::LargeObjects,
        schema: SCHEMA.to_owned(),
        name: NAME.to_owned(),
        toc_id: entry.map(|entry| entry.id),
        digest_spec: spec(),
        digest: totals.digest,
        segments: totals.segments,
        chunks: totals.chunks,
        plain_bytes: totals.plain_bytes,
        stored_bytes: totals.stored_bytes,
        list,
        parts: Vec::new(),
    }
}

pub(super) fn manifest(
    repository: &Repository,
    wanted: &Wanted,
    (catalog, toc): (Document, Document),
    packs: Vec<PackSummary>,
    uploaded: &WrittenPacks,
) -> Manifest {
    let time = timestamp(wanted.time);
    Manifest {
        format_version: repository.config().format_version,
        required_features: Vec::new(),
        id: wanted.id,
        repo: repository.config().id,
        generation: None,
        snapshot_time: time,
        finished_time: time,
        dbhaul_version: "0".to_owned(),
        parent: None,
        source: SourceInfo {
            database: wanted.database.clone(),
            server_version_num: VERSION,
            server_version: "18".to_owned(),
            system_identifier: String::new(),
            encoding: "UTF8".to_owned(),
            lsn: None,
            snapshot: String::new(),
            in_recovery: false,
            settings: BTreeMap::new(),
        },
        selection: Vec::new(),
        tags: Vec::new(),
        excluded: Vec::new(),
        catalog,
        toc,
        roles: None,
        statistics: None,
        tables: Vec::new(),
        sequences: Vec::new(),
        packs,
        totals: Totals { uploaded_bytes: uploaded.new_bytes, ..Totals::default() },
        transfer: None,
    }
}

/// Reads a backup whole, rows and all; returns their digest.
pub(super) async fn read(
    repository: &Repository,
    key: &BackupKey,
    cancel: &CancellationToken,
) -> Result<RowDigest, RepositoryError> {
    let backup = Box::pin(repository.checked_backup(key, cancel)).await?;
    let tables: Vec<&TableEntry> = backup.manifest.tables.iter().collect();
    let digests = Box::pin(backup.repository.read_rows(&backup.manifest, &tables, cancel)).await?;
    Ok(digests.into_iter().collect())
}

/// The packs that lie in a store.
pub(super) async fn packs_of(store: &impl StoreExt) -> BTreeSet<PackId> {
    let objects = store.list(dbhaul_archive::keys::PACKS).await.unwrap();
    objects.iter().map(|object| dbhaul_archive::keys::parse_pack(&object.key).unwrap()).collect()
}
