//! Rows of COPY as columns: PostgreSQL's types and Arrow's, Parquet and Arrow IPC.
//!
//! A [`TableColumns`] is the **typed schema** of a table or query: of each [`Column`] its [`PgType`], as far as values go, and
//! what else PostgreSQL says of it. It makes an Arrow schema in which each column has the type that says most of its
//! values, and, where that cannot say all of them, a **companion**: a column of text, `<name>__pg`, that holds what the column itself
//! cannot (`infinity`, `NaN`, `24:00:00`), and is NULL elsewhere. The schema follows from the types alone, never from the
//! values, so that all files of a table have one. `docs/parquet.md` has the whole mapping.
//!
//! A [`Decoder`] takes the bytes of one COPY, binary or text, and makes **record batches**; an [`Encoder`] makes the bytes of a COPY of
//! batches, also of such as others have written. What goes through both is what it was, bit by bit in binary: signs of zeros
//! and bits of NaNs too. Text keeps what PostgreSQL's own text keeps.
//!
//! [`ParquetWriter`], [`ArrowFileWriter`] and [`FileReader`] are the files. This crate knows no server and opens no file.
//!
//! ```
//! use dbhaul_columns::{Column, Decoder, Encoder, FileReader, ParquetOptions, ParquetWriter, PgType, TableColumns};
//! use dbhaul_rows::CopyFormat;
//!
//! let column = |name: &str, pg_type, type_sql: &str| Column {
//!     name: name.to_owned(),
//!     pg_type,
//!     type_sql: type_sql.to_owned(),
//!     modifier: -1,
//!     collation: None,
//!     is_nullable: true,
//!     is_generated: false,
//!     comment: None,
//! };
//! let columns = vec![column("id", PgType::Int4, "integer"), column("day", PgType::Date, "date")];
//! let table = TableColumns { table: Some("public.days".to_owned()), comment: None, columns };
//!
//! let mut decoder = Decoder::new(&table, CopyFormat::Text)?;
//! let mut batches = Vec::new();
//! decoder.push(b"1\t2026-11-30\n2\tinfinity\n", &mut batches)?;
//! batches.extend(decoder.finish()?);
//!
//! let mut file = ParquetWriter::new(Vec::new(), &table, ParquetOptions::default())?;
//! batches.iter().try_for_each(|batch| file.write(batch))?;
//! let mut reader = FileReader::parquet_bytes(file.finish()?.into())?;
//!
//! let mut encoder = Encoder::new(reader.columns()?, CopyFormat::Text);
//! let mut rows = Vec::new();
//! while let Some(batch) = reader.next_batch()? {
//!     encoder.encode(&batch, &mut rows)?;
//! }
//! assert_eq!(rows, b"1\t2026-11-30\n2\tinfinity\n");
//! # Ok::<(), dbhaul_columns::ColumnsError>(())
//! ```

mod array;
mod builder;
mod decode;
mod encode;
mod error;
mod file;
mod float;
mod frames;
mod json_lines;
mod moment;
mod numeric;
mod pg_type;
mod schema;
mod source;
#[cfg(test)]
mod trips;
mod value;

pub use decode::Decoder;
pub use encode::{Encoder, FileColumn};
pub use error::ColumnsError;
pub use file::{ArrowFileWriter, FileReader, ParquetOptions, ParquetWriter};
pub use json_lines::JsonLinesWriter;
pub use pg_type::{PgType, TypeFacts};
pub use schema::{Column, ColumnMetadata, FileMetadata, TableColumns};

pub use arrow_array::RecordBatch;
