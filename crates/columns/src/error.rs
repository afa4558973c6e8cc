//! What can be wrong with columns.

/// An error in rows that become columns, or in columns that become rows.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// The bytes are not the COPY of the columns asked for.
    #[error("row {row}: invalid COPY: {problem}")]
    BadCopy {
        /// The row's number, from 1.
        row: u64,
        /// What is wrong.
        problem: String,
    },
    /// A value is none of its column's type, or none that a column can hold.
    #[error("row {row}, column {column}: {problem}")]
    Value {
        /// The row's number, from 1.
        row: u64,
        /// The column's name.
        column: String,
        /// What is wrong with the value.
        problem: &'static str,
    },
    /// A column of a file has a type that no row can be made of.
    #[error("column {column} is of the Arrow type {data_type}, which cannot be read into PostgreSQL")]
    Type {
        /// The column's name.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// The columns cannot be written as they are.
    #[error("{problem}")]
    Schema {
        /// What is wrong.
        problem: String,
    },
    /// Arrow refused something, or a file is no Arrow file.
    #[error("Arrow")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// A file is no Parquet file, is damaged, or cannot be written.
    #[error("Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
}
