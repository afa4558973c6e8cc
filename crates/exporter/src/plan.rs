//! What an export will read, as data, before anything is read.

use dbhaul_catalog::{RangeKey, RelationSize, ServerVersion, TableData, quote_identifier};
use dbhaul_rows::{CopyFormat, DigestColumn, DigestSpec, TextForm};
use serde::{Deserialize, Serialize};

use crate::RowForm;
use crate::keys::{keys_condition, split_keys};

/// Bytes in a page of a heap. Servers built with another block size are
/// measured in these units too, because sizes come from `pg_relation_size`.
pub const PAGE_BYTES: u64 = 8192;

/// Pages of a TID range start at 0; a range without end takes whatever was
/// appended since the sizes were read (which the snapshot then hides).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentRange {
    /// The whole relation.
    Whole,
    /// Heap pages from `start_page` up to, not including, `end_page`.
    Pages {
        /// First page.
        start_page: u64,
        /// First page of the next segment; `None` for the last segment.
        end_page: Option<u64>,
    },
    /// Rows whose integer key is in a range. The ranges of a table's segments meet, and the first and the
    /// last have no bounds, so together they hold every row whose key is not NULL.
    Keys {
        /// The column, not quoted.
        column: String,
        /// The least value; `None` for the first range.
        from: Option<i64>,
        /// The least value of the next range; `None` for the last.
        to: Option<i64>,
    },
    /// Rows whose key is NULL.
    NullKeys {
        /// The column, not quoted.
        column: String,
    },
    /// Large objects from one OID to another, both included.
    LargeObjects {
        /// Lowest OID.
        first_oid: u32,
        /// Highest OID.
        last_oid: u32,
    },
}

impl SegmentRange {
    /// Whether the rows are told by their key, and not by where they are.
    pub(crate) fn is_by_key(&self) -> bool {
        matches!(self, SegmentRange::Keys { .. } | SegmentRange::NullKeys { .. })
    }
}

/// The unit of parallel COPY, retry and restore commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Which rows.
    pub range: SegmentRange,
    /// Expected bytes, from sizes on disk; for ordering and progress only.
    pub estimated_bytes: u64,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum RowSource {
    /// One table.
    Table(TableData),
    /// The contents of all large objects, as rows of three columns: the OID,
    /// the number of the 2 KiB page at which the piece starts, and up to 64 KiB
    /// of data. Pieces are read by `lo_get`, so no privilege on
    /// `pg_largeobject` is needed and holes read as zeros.
    LargeObjects,
}

/// One entry of the TOC whose rows will be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TablePlan {
    /// The TOC entry.
    pub entry: u32,
    /// Where its rows come from.
    pub source: RowSource,
    /// How its rows are hashed.
    pub digest_spec: DigestSpec,
    /// Its segments; never empty.
    pub segments: Vec<Segment>,
    /// How its rows travel; as text, unless somebody who knows where they go decides otherwise.
    pub form: RowForm,
    /// Whether nothing but a `COPY` of the table itself may read it, since that is not planned.
    pub is_unplanned: bool,
}

/// Everything an export will read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ExportPlan {
    /// In TOC order.
    pub tables: Vec<TablePlan>,
}

/// Bytes of a large object in one row: 32 pages of `pg_largeobject`.
const LARGE_OBJECT_PIECE_BYTES: u64 = 65_536;
/// Bytes of a page of `pg_largeobject` (`LOBLKSIZE` with 8 KiB blocks).
const LARGE_OBJECT_PAGE_BYTES: u64 = 2048;
/// The last of so many parts of a large heap is cut so many times finer.
const FINE_PARTS: u64 = 4;
/// Large objects in one segment.
const LARGE_OBJECTS_PER_SEGMENT: usize = 4096;

impl TablePlan {
    /// The plan of one table: segments of about `segment_bytes` of heap with its TOAST share.
    pub fn table(
        entry: u32,
        table: TableData,
        digest_spec: DigestSpec,
        size: RelationSize,
        version: ServerVersion,
        segment_bytes: u64,
    ) -> Self {
        // TID range scans came with 14; before, a condition on ctid reads the whole table each time.
        let by_tid = table.has_tids && table.condition.is_none() && version.major() >= 14;
        let segments = split_pages(size, if by_tid { segment_bytes } else { u64::MAX });
        let (source, form) = (RowSource::Table(table), RowForm::Text);
        TablePlan { entry, source, digest_spec, segments, form, is_unplanned: false }
    }

    /// Has a table read by one `COPY` of the table itself and by no query, for to plan one would run functions of
    /// others. What only a query can read, some rows of a table or those of a foreign table, stays as it is.
    #[must_use]
    pub fn unplanned(mut self) -> Self {
        if matches!(&self.source, RowSource::Table(table) if table.condition.is_none()) {
            let estimated_bytes = self.estimated_bytes();
            self.segments = vec![Segment { range: SegmentRange::Whole, estimated_bytes }];
            self.is_unplanned = true;
        }
        self
    }

    /// Cuts a table that would be read as one stream by ranges of a key, if it is worth it and enough is
    /// known of the key. A table that is cut by pages, or of which only some rows are read, stays as it is.
    #[must_use]
    pub fn cut_by_key(mut self, key: &RangeKey, segment_bytes: u64) -> Self {
        let is_whole = matches!(self.segments.as_slice(), [Segment { range: SegmentRange::Whole, .. }]);
        let is_all = matches!(&self.source, RowSource::Table(table) if table.condition.is_none());
        if is_whole
            && is_all
            && !self.is_unplanned
            && let Some(segments) = split_keys(key, self.estimated_bytes(), segment_bytes)
        {
            self.segments = segments;
        }
        self
    }

    /// The plan of all large objects, whose OIDs must be sorted.
    pub fn large_objects(entry: u32, oids: &[u32]) -> Self {
        let segments = oids
            .chunks(LARGE_OBJECTS_PER_SEGMENT)
            .filter_map(|run| Some((*run.first()?, *run.last()?, run.len() as u64)))
            .map(|(first_oid, last_oid, count)| Segment {
                range: SegmentRange::LargeObjects { first_oid, last_oid },
                estimated_bytes: count * LARGE_OBJECT_PAGE_BYTES,
            })
            .collect();
        let columns = [("loid", "oid"), ("page", "int8"), ("data", "bytea")];
        let columns = columns.map(|(name, type_name)| DigestColumn::new(name, type_name)).to_vec();
        let digest_spec = DigestSpec::new(columns, TextForm::Raw);
        let (source, form) = (RowSource::LargeObjects, RowForm::Text);
        TablePlan { entry, source, digest_spec, segments, form, is_unplanned: false }
    }

    /// What it is called in messages and progress.
    pub fn name(&self) -> String {
        match &self.source {
            RowSource::Table(table) => table.table.to_string(),
            RowSource::LargeObjects => "large objects".to_owned(),
        }
    }

    /// Expected bytes of all segments.
    pub fn estimated_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.estimated_bytes).sum()
    }

    /// The `COPY` that reads one segment in a format.
    pub fn copy_sql(&self, segment: &Segment, format: CopyFormat) -> String {
        let rows = match &self.source {
            RowSource::Table(table) => table_rows_sql(table, &segment.range),
            RowSource::LargeObjects => format!("({})", large_objects_sql(&segment.range)),
        };
        format!("COPY {rows} TO STDOUT {}", format.copy_out_options())
    }
}

/// The query whose rows are the contents of the large objects in a range: OID,
/// 2 KiB page number at which the piece starts, data. As all that reads rows, it names everything with its
/// schema: it may be read under a search path of the source's.
pub fn large_objects_sql(range: &SegmentRange) -> String {
    let condition = match range {
        SegmentRange::LargeObjects { first_oid, last_oid } => {
            format!(
                " WHERE m.oid OPERATOR(pg_catalog.>=) '{first_oid}'::pg_catalog.oid \
                 AND m.oid OPERATOR(pg_catalog.<=) '{last_oid}'::pg_catalog.oid"
            )
        }
        _ => String::new(),
    };
    // 262144 is INV_READ; lo_open's descriptors live until the end of the transaction, so each is
    // closed in the same expression. Whence 2 is SEEK_END.
    format!(
        "SELECT o.oid AS loid, (p.start OPERATOR(pg_catalog./) {LARGE_OBJECT_PAGE_BYTES})::pg_catalog.int8 AS page, \
         pg_catalog.lo_get(o.oid, p.start, {LARGE_OBJECT_PIECE_BYTES}) AS data \
         FROM (SELECT s.oid, s.size, pg_catalog.lo_close(s.fd) FROM \
         (SELECT f.oid, f.fd, pg_catalog.lo_lseek64(f.fd, 0, 2) AS size FROM \
         (SELECT m.oid, pg_catalog.lo_open(m.oid, 262144) AS fd FROM pg_catalog.pg_largeobject_metadata m{condition} \
         ORDER BY m.oid OFFSET 0) f OFFSET 0) s OFFSET 0) o, \
         pg_catalog.generate_series(0::pg_catalog.int8, o.size OPERATOR(pg_catalog.-) 1, {LARGE_OBJECT_PIECE_BYTES}) \
         p(start)"
    )
}

/// What `COPY` reads of a table: its name and columns, or a query in parentheses.
fn table_rows_sql(table: &TableData, range: &SegmentRange) -> String {
    let columns =
        table.columns.iter().map(|column| quote_identifier(&column.name)).collect::<Vec<_>>().join(", ");
    let name = table.table.sql();
    match segment_condition(table, range) {
        Some(condition) => {
            format!("(SELECT {columns} FROM ONLY {name} {condition})")
        }
        // An empty column list is no valid syntax, and a table without columns still has rows. Without a list,
        // generated columns are left out.
        None if columns.is_empty() => name,
        None => format!("{name} ({columns})"),
    }
}

/// `WHERE ...`, if a segment is not all of its table.
pub(crate) fn segment_condition(table: &TableData, range: &SegmentRange) -> Option<String> {
    match range {
        SegmentRange::Pages { start_page, end_page } => Some(tid_condition(*start_page, *end_page)),
        SegmentRange::Keys { column, from, to } => Some(keys_condition(column, *from, *to)),
        SegmentRange::NullKeys { column } => Some(format!("WHERE {} IS NULL", quote_identifier(column))),
        _ => table.condition.clone(),
    }
}

fn tid_condition(start_page: u64, end_page: Option<u64>) -> String {
    let bound = |operator: &str, page: u64| {
        format!("ctid OPERATOR(pg_catalog.{operator}) '({page},0)'::pg_catalog.tid")
    };
    match end_page {
        Some(end) => format!("WHERE {} AND {}", bound(">=", start_page), bound("<", end)),
        None => format!("WHERE {}", bound(">=", start_page)),
    }
}

/// Cuts a heap into ranges of pages, each at most about `segment_bytes` with its share of TOAST.
/// The first starts at page 0 and the last has no end, so together they miss no row.
///
/// Of a heap of several segments the last quarter is cut finer: segments are read by size, so what
/// is left for the end of a run is small, and no session waits long for the last one.
///
/// The lengths are round, so that a table that has grown a little since the last backup is cut at the same pages: chunks
/// start with segments, and those around an end that has moved are no more what they were.
fn split_pages(size: RelationSize, segment_bytes: u64) -> Vec<Segment> {
    let heap_pages = size.heap_pages;
    let total_bytes = heap_pages.saturating_mul(PAGE_BYTES).saturating_add(size.toast_bytes);
    let count = total_bytes.div_ceil(segment_bytes.max(PAGE_BYTES)).clamp(1, heap_pages.max(1));
    if count == 1 {
        return vec![Segment { range: SegmentRange::Whole, estimated_bytes: total_bytes }];
    }
    let pages = rounded_up(heap_pages.div_ceil(count));
    let fine_pages = pages / FINE_PARTS;
    let coarse_end = match count < FINE_PARTS || fine_pages == 0 {
        true => heap_pages,
        false => (heap_pages - heap_pages / FINE_PARTS) / pages * pages,
    };
    let coarse = (0..coarse_end).step_by(pages as usize);
    let fine = (coarse_end..heap_pages).step_by(fine_pages.max(1) as usize);
    let starts: Vec<u64> = coarse.chain(fine).collect();
    let segment = |(index, start_page): (usize, &u64)| {
        let end_page = starts.get(index + 1).copied();
        let share = u128::from(end_page.unwrap_or(heap_pages) - start_page) * u128::from(total_bytes);
        Segment {
            range: SegmentRange::Pages { start_page: *start_page, end_page },
            estimated_bytes: (share / u128::from(heap_pages)) as u64,
        }
    };
    starts.iter().enumerate().map(segment).collect()
}

/// The next number that has at most four binary digits before its zeros: at most an eighth larger.
fn rounded_up(pages: u64) -> u64 {
    let digits = u64::BITS - pages.leading_zeros();
    pages.next_multiple_of(1 << digits.saturating_sub(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(heap_pages: u64, toast_bytes: u64, segment_pages: u64, expected: &[(u64, Option<u64>)]) {
        let size = RelationSize { heap_pages, toast_bytes, estimated_row_count: -1.0 };
        let found: Vec<_> = split_pages(size, segment_pages * PAGE_BYTES)
            .into_iter()
            .map(|segment| match segment.range {
                SegmentRange::Pages { start_page, end_page } => (start_page, end_page),
                _ => (0, None),
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn segments_cover_every_page_once() {
        check(0, 0, 10, &[(0, None)]);
        check(10, 0, 10, &[(0, None)]);
        check(11, 0, 10, &[(0, Some(6)), (6, None)]);
        check(30, 0, 10, &[(0, Some(10)), (10, Some(20)), (20, None)]);
    }

    #[test]
    fn a_table_that_has_grown_is_cut_at_the_same_pages() {
        let starts = |heap_pages| {
            let size = RelationSize { heap_pages, toast_bytes: 0, estimated_row_count: -1.0 };
            let segments = split_pages(size, 64 << 20).into_iter();
            segments.filter_map(|segment| match segment.range {
                SegmentRange::Pages { start_page, .. } => Some(start_page),
                _ => None,
            })
        };
        let mut moved = 0;
        for heap_pages in (10_000..2_000_000).step_by(9973) {
            let before: std::collections::BTreeSet<u64> = starts(heap_pages).collect();
            let after: Vec<u64> = starts(heap_pages + heap_pages / 100).collect();
            let kept = after.iter().filter(|start| before.contains(start)).count();
            moved += usize::from(kept * 4 < after.len() * 3);
        }
        assert!(moved < 40, "{moved} of 200 are cut otherwise after 1% was appended");
    }

    fn plan(condition: Option<&str>) -> TablePlan {
        let table = TableData {
            table: dbhaul_catalog::QualifiedName::new("public", "film"),
            root: None,
            columns: Vec::new(),
            condition: condition.map(str::to_owned),
            has_tids: true,
            created_by_toc: true,
            nests_regclass: false,
        };
        let size = RelationSize { heap_pages: 40, toast_bytes: 0, estimated_row_count: -1.0 };
        let version = ServerVersion::of_major(16);
        TablePlan::table(1, table, DigestSpec::default(), size, version, 10 * PAGE_BYTES)
    }

    #[test]
    fn what_may_not_be_planned_is_one_copy_of_the_table() {
        let sql = |plan: &TablePlan| -> Vec<String> {
            plan.segments.iter().map(|segment| plan.copy_sql(segment, CopyFormat::Text)).collect()
        };
        assert!(sql(&plan(None)).iter().all(|sql| sql.contains("SELECT")));
        let key = RangeKey {
            column: "id".to_owned(),
            is_nullable: false,
            null_fraction: 0.0,
            histogram: vec![1, 50, 100],
            common_values: Vec::new(),
            common_fractions: Vec::new(),
        };
        let unplanned = plan(None).unplanned().cut_by_key(&key, PAGE_BYTES);
        assert_eq!(sql(&unplanned), ["COPY public.film TO STDOUT (FORMAT text)"]);
        assert_eq!((unplanned.is_unplanned, unplanned.estimated_bytes()), (true, 40 * PAGE_BYTES));
        // some rows of a table are read by a query or not at all
        assert!(!plan(Some("WHERE i > 1")).unplanned().is_unplanned);
    }

    #[test]
    fn toast_counts_and_a_page_is_the_least() {
        check(4, 40 * PAGE_BYTES, 11, &[(0, Some(1)), (1, Some(2)), (2, Some(3)), (3, None)]);
        check(2, 1000 * PAGE_BYTES, 10, &[(0, Some(1)), (1, None)]);
    }

    #[test]
    fn odd_counts_leave_no_empty_tail() {
        // 7 pages in 4 would be 2 each; the fourth starts at 6 and is not empty.
        check(7, 0, 2, &[(0, Some(2)), (2, Some(4)), (4, Some(6)), (6, None)]);
        // 9 pages in 5 would be 2 each: five segments, the last from 8.
        check(9, 0, 2, &[(0, Some(2)), (2, Some(4)), (4, Some(6)), (6, Some(8)), (8, None)]);
    }

    #[test]
    fn the_end_of_a_large_heap_is_cut_finer() {
        let expected = [
            (0, Some(8)),
            (8, Some(16)),
            (16, Some(24)),
            (24, Some(26)),
            (26, Some(28)),
            (28, Some(30)),
            (30, None),
        ];
        check(32, 0, 8, &expected);
    }

    #[test]
    fn any_heap_is_covered_once_by_segments_of_the_size_asked_for() {
        for heap_pages in (1..400).chain([65_537, 1_000_003]) {
            for (toast_bytes, segment_pages) in
                [(0, 1), (0, 7), (0, 64), (777_777, 16), (u64::from(u32::MAX), 8192)]
            {
                let size = RelationSize { heap_pages, toast_bytes, estimated_row_count: -1.0 };
                let segments = split_pages(size, segment_pages * PAGE_BYTES);
                let mut next = Some(0);
                let mut pages_at_most = 0;
                for segment in &segments {
                    let SegmentRange::Pages { start_page, end_page } = segment.range else { continue };
                    assert_eq!(Some(start_page), next, "{heap_pages} pages by {segment_pages}");
                    assert!(end_page.is_none_or(|end| end > start_page && end < heap_pages));
                    pages_at_most = pages_at_most.max(end_page.unwrap_or(heap_pages) - start_page);
                    next = end_page;
                }
                assert!(segments.len() == 1 || next.is_none());
                assert!(segments.len() == 1 || pages_at_most <= segment_pages);
                let bytes: u64 = segments.iter().map(|segment| segment.estimated_bytes).sum();
                let total_bytes = heap_pages * PAGE_BYTES + toast_bytes;
                assert!(bytes <= total_bytes && bytes + segments.len() as u64 >= total_bytes);
            }
        }
    }
}
