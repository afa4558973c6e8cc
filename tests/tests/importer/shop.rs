//! Tables of contents and rows made up for the importer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dbhaul_catalog::{
    Class, DataColumn, DataEntry, DropStatement, EntryKind, ObjectId, QualifiedName, Section, TableData, Toc,
    TocEntry,
};
use dbhaul_importer::{EntrySegments, SegmentRef, SegmentRows, SegmentSource, SourceError};
use dbhaul_rows::{Chunk, CutParameters, Cutter, DigestColumn, DigestSpec, RowDigest, TextForm};
use futures::StreamExt;
use tokio::sync::oneshot;

/// A TOC under construction; each call returns the id of its entry.
#[derive(Default)]
pub(crate) struct TocBuilder {
    toc: Toc,
}

impl TocBuilder {
    pub(crate) fn into_toc(self) -> Toc {
        self.toc
    }

    pub(crate) fn add(
        &mut self,
        section: Section,
        kind: EntryKind,
        name: &str,
        needs: &[u32],
        create: &[&str],
    ) -> u32 {
        let id = self.toc.entries.len() as u32 + 1;
        self.toc.entries.push(TocEntry {
            id,
            section,
            kind,
            schema: (kind != EntryKind::Schema && kind != EntryKind::LargeObject).then(|| "public".into()),
            name: name.to_owned(),
            owner: None,
            create: create.iter().map(|&statement| statement.to_owned()).collect(),
            set_owner: None,
            drop: None,
            depends_on: needs.to_vec(),
            object: None,
            data: None,
            weight_bytes: 0,
            adoption: None,
        });
        id
    }

    pub(crate) fn table(&mut self, name: &str, create: &str) -> u32 {
        let id = self.add(Section::PreData, EntryKind::Table, name, &[], &[create]);
        self.entry(id).object = Some(ObjectId::new(Class::PG_CLASS, 16_384 + id));
        id
    }

    /// The rows of a table with the columns `id bigint, v text`.
    pub(crate) fn rows(&mut self, name: &str, table: u32) -> u32 {
        let id = self.add(Section::Data, EntryKind::TableData, name, &[table], &[]);
        let column = |name: &str, type_name: &str| DataColumn {
            name: name.into(),
            type_name: type_name.into(),
            base_type_name: type_name.into(),
            base_type_kind: 'b',
        };
        let object = self.entry(table).object;
        let entry = self.entry(id);
        entry.object = object;
        entry.data = Some(DataEntry::Table(Box::new(TableData {
            table: QualifiedName::new("public", name),
            columns: vec![column("id", "bigint"), column("v", "text")],
            condition: None,
            root: None,
            has_tids: true,
            created_by_toc: true,
            nests_regclass: false,
        })));
        id
    }

    pub(crate) fn large_objects(&mut self, object: u32) -> u32 {
        let id = self.add(Section::Data, EntryKind::LargeObjectData, "BLOBS", &[object], &[]);
        self.entry(id).data = Some(DataEntry::LargeObjects);
        id
    }

    pub(crate) fn owned_by(&mut self, id: u32, owner: &str, set_owner: &str) {
        let entry = self.entry(id);
        entry.owner = Some(owner.into());
        entry.set_owner = Some(set_owner.to_owned());
    }

    pub(crate) fn dropped_by(&mut self, id: u32, command: &str, object: &str) {
        self.entry(id).drop =
            Some(Box::new(DropStatement { command: command.to_owned(), object: object.to_owned() }));
    }

    fn entry(&mut self, id: u32) -> &mut TocEntry {
        &mut self.toc.entries[id as usize - 1]
    }
}

/// A segment, whom to tell that it has come so far, and what to wait for.
type Pause = (u32, oneshot::Sender<()>, oneshot::Receiver<()>);

type Hook = Box<dyn Fn(u32, u64) + Send + Sync>;

/// A source of made-up rows: every segment holds as many, in chunks of about 2 KiB.
pub(crate) struct Rows {
    rows_per_segment: u64,
    pages_of: Option<u32>,
    hook: Mutex<Hook>,
    pause: Mutex<Option<Pause>>,
    opened: Mutex<HashMap<u32, u64>>,
    pub(crate) total_opened: AtomicU64,
}

impl Rows {
    /// Rows of `id bigint, v text`.
    pub(crate) fn new(rows_per_segment: u64) -> Self {
        Rows {
            rows_per_segment,
            pages_of: None,
            hook: Mutex::new(Box::new(|_, _| {})),
            pause: Mutex::default(),
            opened: Mutex::default(),
            total_opened: AtomicU64::new(0),
        }
    }

    /// Full pages of one large object, page n filled with bytes n.
    pub(crate) fn pages(oid: u32, page_count: u64) -> Self {
        Rows { pages_of: Some(oid), ..Rows::new(page_count) }
    }

    /// Calls back with the segment and how often it has been opened, when its first chunk has been sent.
    pub(crate) fn on_first_chunk(&self, hook: impl Fn(u32, u64) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Box::new(hook);
    }

    /// Stops once after the first chunk of a segment: the first channel says when, the second goes on.
    pub(crate) fn pause_at(&self, segment: u32) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((said, when), (go_on, wait)) = (oneshot::channel(), oneshot::channel());
        *self.pause.lock().unwrap() = Some((segment, said, wait));
        (when, go_on)
    }

    pub(crate) fn segments(&self, entry: u32, count: u32) -> EntrySegments {
        EntrySegments { entry, segment_bytes: vec![self.rows_per_segment * 20; count as usize] }
    }

    pub(crate) fn opened_count(&self, segment: u32) -> u64 {
        self.opened.lock().unwrap().get(&segment).copied().unwrap_or(0)
    }

    pub(crate) fn spec(&self) -> DigestSpec {
        let columns = match self.pages_of {
            None => vec![DigestColumn::new("id", "int8"), DigestColumn::new("v", "text")],
            Some(_) => ["loid", "pageno", "data"].map(|name| DigestColumn::new(name, "text")).into(),
        };
        DigestSpec::new(columns, TextForm::Raw)
    }

    /// The digest of the first segments together.
    pub(crate) fn digest(&self, segments: u32) -> RowDigest {
        (0..segments).flat_map(|segment| self.chunks(segment)).map(|chunk| chunk.digest).collect()
    }

    /// The digest of one segment.
    pub(crate) fn digest_of(&self, segment: u32) -> RowDigest {
        self.chunks(segment).iter().map(|chunk| chunk.digest).collect()
    }

    fn chunks(&self, segment: u32) -> Vec<Chunk> {
        let mut cutter = Cutter::new(CutParameters::fixed(2_048), &self.spec()).unwrap();
        let mut chunks = Vec::new();
        for row in 0..self.rows_per_segment {
            let text = match self.pages_of {
                None => {
                    let id = u64::from(segment) * self.rows_per_segment + row;
                    format!("{id}\tvalue\\t{}\n", id % 97)
                }
                Some(oid) => format!("{oid}\t{row}\t\\\\x{}\n", format!("{row:02x}").repeat(2_048)),
            };
            cutter.push(text.as_bytes(), &mut chunks).unwrap();
        }
        chunks.extend(cutter.finish().unwrap());
        chunks
    }

    async fn after_first_chunk(&self, segment: u32, opened: u64) {
        tokio::task::block_in_place(|| self.hook.lock().unwrap()(segment, opened));
        let pause = self.pause.lock().unwrap().take_if(|(at, ..)| *at == segment);
        if let Some((_, said, wait)) = pause {
            said.send(()).unwrap();
            wait.await.unwrap();
        }
    }
}

/// The rows as the importer asks for them.
pub(crate) struct Source(pub(crate) Arc<Rows>);

#[async_trait]
impl SegmentSource for Source {
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError> {
        let number = segment.segment;
        let rows = self.0.clone();
        rows.total_opened.fetch_add(1, Ordering::Relaxed);
        let opened = {
            let mut counts = rows.opened.lock().unwrap();
            *counts.entry(number).and_modify(|count| *count += 1).or_insert(1)
        };
        let chunks = futures::stream::iter(rows.chunks(number).into_iter().enumerate());
        let stream = chunks.then(move |(place, chunk)| {
            let rows = rows.clone();
            async move {
                if place == 1 || rows.rows_per_segment < 200 && place == 0 {
                    rows.after_first_chunk(number, opened).await;
                }
                Ok(chunk)
            }
        });
        Ok(SegmentRows::text(stream.boxed()))
    }
}
