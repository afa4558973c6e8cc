//! Takes a real store apart, changes it, and seals it again as only dbhaul would: every hash fits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dbhaul_archive::{
    ChunkOpener, ChunkPlace, ChunkSealer, Document, Manifest, PackBuilder, PackId, PackKind, PackReader,
    PackSummary, RowChunk, SealedPack, Segment, SegmentListReader, SegmentListWriter, keys,
};
use dbhaul_tests::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The database that is dumped: rows with and without a key in several chunks, a sequence, a view, large objects.
const DATABASE: &str = "
    CREATE TABLE sale (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
    INSERT INTO sale (v) SELECT md5(i::text) || md5((-i)::text) FROM generate_series(1, 6000) i;
    CREATE TABLE log (line text, n integer);
    INSERT INTO log SELECT md5((7 * i)::text) || md5((-7 * i)::text), i FROM generate_series(1, 6000) i;
    CREATE TABLE note (line text, n integer);
    INSERT INTO note VALUES ('only one', 1);
    CREATE VIEW sales AS SELECT count(*) FROM sale;
    SELECT lo_from_bytea(0, 'large')";

/// A server with the database, and its backup in a store that nobody changes.
pub(crate) struct Origin {
    pub(crate) server: Server,
    store: TempDir,
}

impl Origin {
    pub(crate) fn new(major: u16) -> Self {
        let server = Server::start(major);
        server.create_db("shop");
        server.psql("shop", DATABASE);
        let store = TempDir::new().unwrap();
        let place = store.path().to_str().unwrap();
        let uri = server.uri("shop");
        dbhaul_tests::Dbhaul::new(["dump", "--source", &uri, "--store", place]).run().assert_code(0);
        Origin { server, store }
    }

    /// A copy of the store, taken apart.
    pub(crate) fn take_apart(&self) -> Parts {
        let directory = TempDir::new().unwrap();
        copy(self.store.path(), directory.path());
        Parts::read(directory)
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A backup in its parts, each to be changed.
pub(crate) struct Parts {
    pub(crate) directory: TempDir,
    key: String,
    /// As it will be written, but for what comes from the other parts.
    pub(crate) manifest: Manifest,
    pub(crate) catalog: Value,
    pub(crate) toc: Value,
    /// The segment list of each table, in the order of the manifest.
    pub(crate) lists: Vec<Vec<Segment>>,
    /// Text of a list that is written in the place of the one that its segments make.
    pub(crate) list_texts: BTreeMap<usize, Vec<u8>>,
    /// The kind of the pack that lists go to.
    pub(crate) list_pack_kind: PackKind,
}

impl Parts {
    fn read(directory: TempDir) -> Self {
        let key = files(&directory.path().join("backups")).pop().unwrap();
        let key = key.strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(directory.path().join(&key)).unwrap();
        let manifest = Manifest::from_bytes(&key, &bytes).unwrap();
        let text = |document: &Document| plain(directory.path(), document);
        let catalog = serde_json::from_slice(&text(&manifest.catalog)).unwrap();
        let toc = serde_json::from_slice(&text(&manifest.toc)).unwrap();
        let lists = manifest.tables.iter().map(|table| {
            let (mut reader, mut segments) = (SegmentListReader::new(&table.qualified_name()), Vec::new());
            reader.push(&text(&table.list), &mut segments).unwrap();
            reader.finish().unwrap();
            segments
        });
        let lists = lists.collect();
        let (list_texts, list_pack_kind) = (BTreeMap::new(), PackKind::Meta);
        Parts { directory, key, manifest, catalog, toc, lists, list_texts, list_pack_kind }
    }

    /// The number of the table's entry in the manifest.
    pub(crate) fn table(&self, name: &str) -> usize {
        self.manifest.tables.iter().position(|table| table.name == name).unwrap()
    }

    /// The chunks of a table's first segment.
    pub(crate) fn chunks(&mut self, name: &str) -> &mut Vec<RowChunk> {
        let table = self.table(name);
        &mut self.lists[table][0].chunks
    }

    pub(crate) fn path(&self, pack: PackId) -> PathBuf {
        self.directory.path().join(keys::pack(pack))
    }

    /// The text of a table's list, as its segments make it.
    pub(crate) fn list_text(&self, number: usize) -> Vec<u8> {
        let mut writer = SegmentListWriter::new(&self.manifest.tables[number].qualified_name()).unwrap();
        let mut pieces = Vec::new();
        for segment in &self.lists[number] {
            writer.write(segment, &mut pieces).unwrap();
        }
        writer.finish(&mut pieces).unwrap();
        pieces.concat()
    }

    /// Writes a pack of rows of its own for this text; returns its only chunk's place.
    pub(crate) fn add_rows(&mut self, kind: PackKind, rows: &str) -> ChunkPlace {
        let mut builder = PackBuilder::new(kind);
        let entry = builder.add(&ChunkSealer::new(1).unwrap().seal(rows.as_bytes()).unwrap());
        let pack = builder.finish();
        self.add_pack(&pack);
        entry.place(pack.id)
    }

    fn add_pack(&mut self, pack: &SealedPack) {
        self.write_pack(pack.id, &pack.bytes);
        let summary = PackSummary { id: pack.id, bytes: pack.bytes.len() as u64, kind: pack.kind };
        self.manifest.packs.push(summary);
    }

    pub(crate) fn write_pack(&self, id: PackId, bytes: &[u8]) {
        let path = self.path(id);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Seals what was changed: sums, packs and manifest fit, but for what `change` does to the manifest's JSON.
    pub(crate) fn seal(mut self, change: impl FnOnce(&mut Value)) -> TempDir {
        let mut lists = PackBuilder::new(self.list_pack_kind);
        let mut meta = PackBuilder::new(PackKind::Meta);
        let mut sealer = ChunkSealer::new(1).unwrap();
        let mut placed = Vec::new();
        for number in 0..self.lists.len().min(self.manifest.tables.len()) {
            let text = self.list_texts.remove(&number).unwrap_or_else(|| self.list_text(number));
            placed.push(lists.add(&sealer.seal(&text).unwrap()));
            let table = &mut self.manifest.tables[number];
            let segments = &self.lists[number];
            table.segments = segments.len() as u64;
            table.chunks = segments.iter().map(|segment| segment.chunks.len() as u64).sum();
            table.digest = segments.iter().map(Segment::digest).collect();
            table.plain_bytes = segments.iter().map(Segment::plain_bytes).sum();
            table.stored_bytes = segments.iter().map(Segment::stored_bytes).sum();
        }
        let catalog = meta.add(&sealer.seal(&serde_json::to_vec(&self.catalog).unwrap()).unwrap());
        let toc = meta.add(&sealer.seal(&serde_json::to_vec(&self.toc).unwrap()).unwrap());
        let (lists, meta) = (lists.finish(), meta.finish());
        self.manifest.packs.retain(|pack| pack.kind == PackKind::Data);
        (self.manifest.roles, self.manifest.statistics) = (None, None);
        self.add_pack(&lists);
        self.add_pack(&meta);
        for (table, entry) in self.manifest.tables.iter_mut().zip(&placed) {
            table.list = Document::new(vec![entry.place(lists.id)]);
        }
        self.manifest.catalog = Document::new(vec![catalog.place(meta.id)]);
        self.manifest.toc = Document::new(vec![toc.place(meta.id)]);
        self.manifest.totals = self.manifest.computed_totals();
        let mut body = serde_json::to_value(&self.manifest).unwrap();
        change(&mut body);
        fs::write(self.directory.path().join(&self.key), sealed(&body)).unwrap();
        self.directory
    }
}

/// The manifest of this JSON, with the line that seals it.
fn sealed(body: &Value) -> Vec<u8> {
    let body = format!("{body}\n");
    let hash = blake3::hash(body.as_bytes()).to_hex();
    let seal = format!("{{\"dbhaul\":\"manifest\",\"body_bytes\":{},\"blake3\":\"{hash}\"}}\n", body.len());
    (seal + &body).into_bytes()
}

/// Makes the totals of a manifest's JSON those of its tables and packs again.
pub(crate) fn add_up(manifest: &mut Value) {
    let sum = |list: &Value, field: &str| {
        list.as_array().unwrap().iter().map(|one| one[field].as_u64().unwrap()).fold(0_u64, u64::wrapping_add)
    };
    let (tables, packs) = (manifest["tables"].clone(), manifest["packs"].clone());
    manifest["totals"]["tables"] = json!(tables.as_array().unwrap().len());
    for field in ["plain_bytes", "stored_bytes"] {
        manifest["totals"][field] = json!(sum(&tables, field));
    }
    manifest["totals"]["pack_bytes"] = json!(sum(&packs, "bytes"));
    let digests = tables
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["digest"].as_str().unwrap().parse::<dbhaul_rows::RowDigest>().unwrap());
    let digest: Option<dbhaul_rows::RowDigest> =
        digests.into_iter().try_fold(dbhaul_rows::RowDigest::default(), |sum, one| sum.checked_merged(one));
    if let Some(digest) = digest {
        manifest["totals"]["digest"] = json!(digest.to_string());
    }
}

/// The files below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn plain(store: &Path, document: &Document) -> Vec<u8> {
    let mut opener = ChunkOpener::new().unwrap();
    let pieces = document.pieces.iter().map(|place| {
        let bytes = Bytes::from(fs::read(store.join(keys::pack(place.pack))).unwrap());
        let pack = PackReader::open(place.pack, bytes).unwrap();
        opener.open(place, &pack.stored(place).unwrap()).unwrap().to_vec()
    });
    pieces.collect::<Vec<_>>().concat()
}
