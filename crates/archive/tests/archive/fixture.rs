//! A tiny backup in memory, and a reader that verifies all it reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use dbhaul_archive::*;
use dbhaul_catalog::{EntryKind, ServerVersion};
use dbhaul_rows::{CutParameters, Cutter, DigestColumn, DigestSpec, RowDigest, SipKey, TextForm};
use serde_json::{Value, json};
use ulid::Ulid;

/// Keys and bytes, as in a store.
pub(crate) type Objects = BTreeMap<String, Bytes>;

/// Cuts every few rows, so that a small table has several chunks.
const CUT: CutParameters =
    CutParameters::Content { min_bytes: 32, average_bytes: 96, max_bytes: 256, key: SipKey(1, 2) };

pub(crate) fn film_rows(segment: u32) -> String {
    (0..40).map(|n| format!("{}\tFilm {n}\t\\N\n", segment * 100 + n)).collect()
}

pub(crate) fn film_spec() -> DigestSpec {
    let columns = [("film_id", "integer"), ("title", "text"), ("length", "smallint")];
    DigestSpec::new(columns.map(|(name, kind)| DigestColumn::new(name, kind)).to_vec(), TextForm::Raw)
}

pub(crate) fn toc() -> Value {
    json!({"entries": [{
        "id": 1,
        "section": "pre-data",
        "kind": EntryKind::Table,
        "schema": "public",
        "name": "film",
        "owner": "postgres",
        "create": ["CREATE TABLE public.film (film_id integer, title text, length smallint)"],
        "set_owner": "ALTER TABLE public.film OWNER TO postgres",
        "depends_on": [],
    }, {
        "id": 2,
        "section": "post-data",
        "kind": EntryKind::Constraint,
        "schema": "public",
        "name": "film film_pkey",
        "owner": "postgres",
        "create": ["ALTER TABLE ONLY public.film ADD CONSTRAINT film_pkey PRIMARY KEY (film_id)"],
        "set_owner": null,
        "depends_on": [1],
    }]})
}

/// A backup of `public.film` (two segments) and `public.empty`; the catalog is an empty object.
pub(crate) struct Backup {
    pub(crate) objects: Objects,
    pub(crate) manifest: Manifest,
    pub(crate) data_pack: SealedPack,
    pub(crate) meta_pack: SealedPack,
}

pub(crate) fn backup() -> Backup {
    backup_with(&ChunkCodec::plain())
}

/// The same, its chunks and packs as this codec makes them.
pub(crate) fn backup_with(codec: &ChunkCodec) -> Backup {
    let (data_pack, segments) = data_with(codec);
    let mut meta = MetaPack { builder: PackBuilder::new(PackKind::Meta), codec: codec.clone() };
    let film = meta.table("film", film_spec(), &segments);
    let empty_segment = Segment { index: 0, range: SegmentRange::Whole, chunks: vec![] };
    let empty = meta.table("empty", DigestSpec::default(), &[empty_segment]);
    let catalog = meta.add(json_pieces("catalog", &json!({})).unwrap());
    let toc = meta.add(json_pieces("table of contents", &toc()).unwrap());
    let meta_pack = codec.seal_pack(meta.builder).unwrap();
    let mut manifest = manifest(&data_pack, &meta_pack);
    manifest.tables = vec![film(&meta_pack), empty(&meta_pack)];
    manifest.catalog = document(&meta_pack, &catalog);
    manifest.toc = document(&meta_pack, &toc);
    manifest.totals = Totals { uploaded_bytes: 7, ..manifest.totals };
    manifest.totals = manifest.computed_totals();
    manifest.generation = codec.generation();
    manifest.required_features = Manifest::features(manifest.generation);
    let new = if codec.generation().is_some() { RepoConfig::encrypted } else { RepoConfig::new };
    let repo = RepoConfig { cut: CUT, ..new(manifest.repo, manifest.snapshot_time) };
    let objects = Objects::from([
        (dbhaul_archive::keys::REPO_CONFIG.to_owned(), repo.to_bytes().unwrap()),
        (data_pack.key(), data_pack.bytes.clone()),
        (meta_pack.key(), meta_pack.bytes.clone()),
        (manifest.key().to_string(), manifest.seal(codec).unwrap()),
    ]);
    Backup { objects, manifest, data_pack, meta_pack }
}

/// The data pack, and the segments whose chunks are in it.
pub(crate) fn data() -> (SealedPack, Vec<Segment>) {
    data_with(&ChunkCodec::plain())
}

fn data_with(codec: &ChunkCodec) -> (SealedPack, Vec<Segment>) {
    let mut pack = PackBuilder::new(PackKind::Data);
    let mut sealer = codec.sealer(3).unwrap();
    let mut segments = Vec::new();
    for index in 0..2 {
        let mut cutter = Cutter::new(CUT, &film_spec()).unwrap();
        let mut chunks = Vec::new();
        cutter.push(film_rows(index).as_bytes(), &mut chunks).unwrap();
        chunks.extend(cutter.finish().unwrap());
        let chunks = chunks.iter().map(|chunk| (pack.add(&sealer.seal(&chunk.data).unwrap()), chunk.digest));
        segments.push((index, chunks.collect::<Vec<_>>()));
    }
    let pack = codec.seal_pack(pack).unwrap();
    let place =
        |(entry, digest): &(PackEntry, RowDigest)| RowChunk { place: entry.place(pack.id), digest: *digest };
    let segments = segments.iter().map(|(index, chunks)| Segment {
        index: *index,
        range: SegmentRange::Pages(*index * 10, *index * 10 + 10),
        chunks: chunks.iter().map(place).collect(),
    });
    let segments = segments.collect();
    (pack, segments)
}

struct MetaPack {
    builder: PackBuilder,
    codec: ChunkCodec,
}

impl MetaPack {
    fn add(&mut self, pieces: Vec<Bytes>) -> Vec<PackEntry> {
        let mut sealer = self.codec.sealer(3).unwrap();
        pieces.iter().map(|piece| self.builder.add(&sealer.seal(piece).unwrap())).collect()
    }

    fn table(
        &mut self,
        name: &str,
        spec: DigestSpec,
        segments: &[Segment],
    ) -> impl Fn(&SealedPack) -> TableEntry + use<> {
        let name = name.to_owned();
        let (pieces, totals) = list(&format!("public.{name}"), segments);
        let entries = self.add(pieces);
        move |pack| TableEntry {
            kind: TableKind::Table,
            schema: "public".to_owned(),
            name: name.clone(),
            toc_id: Some(1),
            digest_spec: spec.clone(),
            digest: totals.digest,
            segments: totals.segments,
            chunks: totals.chunks,
            plain_bytes: totals.plain_bytes,
            stored_bytes: totals.stored_bytes,
            list: document(pack, &entries),
            parts: Vec::new(),
        }
    }
}

pub(crate) fn list(table: &str, segments: &[Segment]) -> (Vec<Bytes>, ListTotals) {
    let mut writer = SegmentListWriter::new(table).unwrap();
    let mut pieces = Vec::new();
    for segment in segments {
        writer.write(segment, &mut pieces).unwrap();
    }
    let totals = writer.finish(&mut pieces).unwrap();
    (pieces, totals)
}

fn document(pack: &SealedPack, entries: &[PackEntry]) -> Document {
    Document::new(entries.iter().map(|entry| entry.place(pack.id)).collect())
}

fn manifest(data: &SealedPack, meta: &SealedPack) -> Manifest {
    let time = "2026-01-31T02:03:04.567Z".parse().unwrap();
    let pack =
        |pack: &SealedPack| PackSummary { id: pack.id, bytes: pack.bytes.len() as u64, kind: pack.kind };
    Manifest {
        format_version: MANIFEST_VERSION,
        required_features: vec![],
        id: Ulid::from_parts(1_769_824_984_567, 42),
        repo: Ulid::from_parts(1_769_824_984_000, 1),
        snapshot_time: time,
        finished_time: time,
        dbhaul_version: "0.1.0".to_owned(),
        generation: None,
        parent: None,
        source: SourceInfo {
            database: "film/rental".to_owned(),
            server_version_num: ServerVersion(150_004),
            server_version: "PostgreSQL 15.4".to_owned(),
            system_identifier: "7300000000000000001".to_owned(),
            encoding: "UTF8".to_owned(),
            lsn: Some("0/1A2B3C4".to_owned()),
            snapshot: "00000003-0000001B-1".to_owned(),
            in_recovery: false,
            settings: BTreeMap::from([("DateStyle".to_owned(), "ISO, MDY".to_owned())]),
        },
        selection: vec![],
        tags: vec![],
        excluded: vec![],
        roles: None,
        catalog: Document::default(),
        toc: Document::default(),
        statistics: None,
        tables: vec![],
        sequences: vec![SequenceValue {
            schema: "public".to_owned(),
            name: "film_film_id_seq".to_owned(),
            last_value: 111,
            is_called: true,
        }],
        packs: vec![pack(data), pack(meta)],
        totals: Totals::default(),
        transfer: None,
    }
}

/// Reads a backup whole: rows by table, and the table of contents. Verifies every hash, count and digest.
pub(crate) fn read(objects: &Objects, key: &str) -> Result<Rows, ArchiveError> {
    read_with(objects, key, &Keyring::plain())
}

/// The rows of each table, and the table of contents.
pub(crate) type Rows = (BTreeMap<String, String>, Value);

/// The same with keys.
pub(crate) fn read_with(objects: &Objects, key: &str, keys: &Keyring) -> Result<Rows, ArchiveError> {
    let repo = RepoConfig::from_bytes(objects.get("repo.json").map_or(&[][..], |bytes| bytes))?;
    let manifest = Manifest::open(key, objects.get(key).map_or(&[][..], |bytes| bytes), keys)?;
    let codec = keys.codec(manifest.generation).unwrap();
    manifest.check_repo(&repo)?;
    let found = objects
        .iter()
        .filter(|(key, _)| key.starts_with(dbhaul_archive::keys::PACKS))
        .map(|(key, bytes)| Ok((dbhaul_archive::keys::parse_pack(key)?, bytes.len() as u64)));
    let found = found.collect::<Result<BTreeMap<_, _>, ArchiveError>>()?;
    if let Some(error) = manifest.compare_packs(&found).into_iter().next() {
        return Err(error);
    }
    let mut packs = BTreeMap::new();
    for pack in &manifest.packs {
        let bytes = objects[&dbhaul_archive::keys::pack(pack.id)].clone();
        packs.insert(pack.id, codec.open_pack(pack, bytes)?);
    }
    let mut opener = codec.opener()?;
    let mut open = |place: &ChunkPlace| opener.open(place, &packs[&place.pack].stored(place)?);
    let mut tables = BTreeMap::new();
    for table in &manifest.tables {
        tables.insert(table.qualified_name(), read_table(table, &mut open)?);
    }
    let mut toc = DocumentAssembler::new("table of contents", &manifest.toc);
    for piece in &manifest.toc.pieces {
        toc.push(&open(piece)?)?;
    }
    Ok((tables, toc.finish()?))
}

fn read_table(
    table: &TableEntry,
    open: &mut impl FnMut(&ChunkPlace) -> Result<Bytes, ArchiveError>,
) -> Result<String, ArchiveError> {
    let mut reader = SegmentListReader::new(&table.qualified_name());
    let mut segments = Vec::new();
    for piece in &table.list.pieces {
        reader.push(&open(piece)?, &mut segments)?;
    }
    assert_eq!(reader.finish()?.digest, table.digest);
    let mut rows = String::new();
    for chunk in segments.iter().flat_map(|segment| &segment.chunks) {
        rows.push_str(std::str::from_utf8(&open(&chunk.place)?).unwrap());
    }
    Ok(rows)
}

/// What [`read`] returns of [`backup`].
pub(crate) fn expected() -> Rows {
    let film = film_rows(0) + &film_rows(1);
    (BTreeMap::from([("public.film".to_owned(), film), ("public.empty".to_owned(), String::new())]), toc())
}
