//! Rows of COPY, text and binary: framing, escaping, digests and content-defined cuts; no I/O.
//!
//! A table's rows leave PostgreSQL as **COPY text**: fields separated by tabs, NULL as `\N`, one line
//! feed after each row and never inside one. Everything here works on those bytes as they are; they
//! are what a backup stores and what a target is fed with.
//!
//! The **row digest** of a set of rows is a count and a sum of 64-bit row hashes. A [`DigestSpec`]
//! says how each column takes part, hashes rows that pass through, and renders the plain SQL
//! expression with which any server from 13 to 18 computes the same value of its own rows. So a dump
//! yields the digests of its source without a second scan, and a target is checked with one.
//!
//! A [`Cutter`] takes the bytes of one COPY in any framing and returns **chunks**: runs of whole rows
//! with their digest. Chunks end where the content says so, not at fixed sizes, hence rows that did
//! not change since the last backup mostly form the same chunks again. The constants that decide are
//! [`CutParameters`], and belong to the store.
//!
//! Rows that go straight into another server may travel as **binary COPY**, if all their types are
//! a [`BinaryType`]: a [`BinaryCutter`] passes them on, and takes the digest that they have as text.
//!
//! This crate knows no server, no files, no compression and no identity of chunks.
//!
//! ```
//! use dbhaul_rows::{CutParameters, Cutter, DigestColumn, DigestSpec, TextForm};
//!
//! let spec = DigestSpec::new(
//!     vec![DigestColumn::new("id", "int4"), DigestColumn::new("name", "bpchar")],
//!     TextForm::Raw,
//! );
//! let mut cutter = Cutter::new(CutParameters::default(), &spec)?;
//! let mut chunks = Vec::new();
//! cutter.push(b"1\tAnna\n2\t", &mut chunks)?;
//! cutter.push(b"\\N\n", &mut chunks)?;
//! chunks.extend(cutter.finish()?);
//! assert_eq!(chunks[0].row_count, 2);
//! assert_eq!(&chunks[0].data[..], b"1\tAnna\n2\t\\N\n");
//! println!("{}", spec.sql_query("public.people"));
//! # Ok::<(), dbhaul_rows::RowsError>(())
//! ```

mod binary;
mod binary_text;
mod cut;
mod digest;
mod error;
mod field;
mod hash;
mod hasher;
mod keyed;
mod long_row;
mod parameters;
mod spare;
mod spec;
mod whole;

pub use binary::BinaryCutter;
pub use binary_text::BinaryType;
pub use cut::{Chunk, Cutter};
pub use digest::RowDigest;
pub use error::RowsError;
pub use field::{
    COPY_IN_FREEZE_OPTIONS, COPY_IN_OPTIONS, COPY_OUT_OPTIONS, CopyFormat, FIELD_DELIMITER, FieldIter,
    NULL_FIELD, ROW_TERMINATOR, check_copy_text, check_returns, escape_field, split_rows, unescape_field,
};
pub use hash::hash_bytes_extended;
pub use keyed::{ColumnValue, KEY_SEED, KeyedRows, RowHashes};
pub use long_row::LongRow;
pub use parameters::{CutParameters, SipKey};
pub use spare::SpareBuffers;
pub use spec::{DIGEST_VERSION, DigestColumn, DigestKind, DigestSpec, NULL_MARK, TextForm};
pub use whole::RowsDigester;
