//! Streaming logical exporter: a database under one snapshot becomes segments of rows.
//!
//! An [`ExportPlan`] says, before anything is read, which **segments** each
//! table is cut into: ranges of heap pages, with their share of TOAST, of about
//! [`DEFAULT_SEGMENT_BYTES`], or of an integer key where pages cannot be read by ranges. An [`Exporter`] reads any segment of the plan with
//! one `COPY` in a session that imported the run's snapshot, hashes and cuts the
//! rows on the way, and hands them out as a [`SegmentStream`] of chunks. Reading
//! a segment twice gives the same rows twice, so whoever consumes them may retry.
//!
//! Rows come as COPY text or, where whoever takes them wants it and all types of a table allow it, in
//! binary COPY: [`RowForm`].
//!
//! This crate does not know where the rows go.
//!
//! ```
//! use dbhaul_catalog::{QualifiedName, RelationSize, ServerVersion, TableData};
//! use dbhaul_exporter::{DEFAULT_SEGMENT_BYTES, TablePlan};
//! use dbhaul_rows::DigestSpec;
//!
//! let table = TableData {
//!     table: QualifiedName::new("public", "film"),
//!     root: None,
//!     columns: Vec::new(),
//!     condition: None,
//!     has_tids: true,
//!     created_by_toc: true,
//!     nests_regclass: false,
//! };
//! let size = RelationSize { heap_pages: 20_000, toast_bytes: 0, estimated_row_count: 1e6 };
//! let version = ServerVersion::of_major(16);
//! let plan = TablePlan::table(7, table, DigestSpec::default(), size, version, DEFAULT_SEGMENT_BYTES);
//! assert_eq!(plan.segments.len(), 3);
//! ```

mod error;
mod export;
mod form;
mod keys;
mod plan;
mod pool;
mod stream;

pub use error::ExportError;
pub use export::Exporter;
pub use form::{RowForm, binary_types};
pub use plan::{ExportPlan, PAGE_BYTES, RowSource, Segment, SegmentRange, TablePlan, large_objects_sql};
pub use stream::{SegmentRows, SegmentStream};

/// About how much of a heap, with its share of TOAST, is one segment: 64 MiB.
pub const DEFAULT_SEGMENT_BYTES: u64 = 64 << 20;
