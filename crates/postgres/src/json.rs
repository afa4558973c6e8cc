//! Queries whose rows arrive as JSON.
//!
//! They are copied out, because a copy comes in blocks of many rows. The driver hands out
//! the rows of a query one by one from another task, which for the catalogs of 100,000
//! tables was five million changes between threads.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use dbhaul_rows::{COPY_OUT_OPTIONS, ROW_TERMINATOR, unescape_field};
use serde::de::DeserializeOwned;

use crate::copy_out::CopyOut;
use crate::error::{Error, Result, excerpt};
use crate::session::Core;

/// Runs a query, deserialises each row as it arrives and hands it on, so that a
/// large catalog is never held twice.
pub(crate) async fn query<T: DeserializeOwned>(
    core: Arc<Core>,
    sql: &str,
    take: impl FnMut(T),
) -> Result<()> {
    let mut copy = CopyOut::start(Arc::clone(&core), &copy_sql(sql)).await?;
    let mut rows = Rows::new(&core, sql, take);
    while let Some(block) = copy.next_block().await? {
        rows.take(&block)?;
    }
    Ok(())
}

/// The statement that copies the rows of a query out as JSON. The comment in front tells it in
/// pg_stat_activity from a copy of a table's rows; the line break ends one that the query may end with.
pub(crate) fn copy_sql(sql: &str) -> String {
    let body = sql.trim_end().trim_end_matches(';');
    format!(
        "/* catalog */ COPY (SELECT pg_catalog.row_to_json(q) FROM ({body}\n) AS q) TO STDOUT {COPY_OUT_OPTIONS}"
    )
}

/// Puts together the rows of a query from blocks of COPY text that end anywhere, and hands their values on.
pub(crate) struct Rows<'a, T, F> {
    core: &'a Core,
    sql: &'a str,
    take: F,
    /// The beginning of a row whose end has not come.
    cut: BytesMut,
    value: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned, F: FnMut(T)> Rows<'a, T, F> {
    pub(crate) fn new(core: &'a Core, sql: &'a str, take: F) -> Self {
        Rows { core, sql, take, cut: BytesMut::new(), value: PhantomData }
    }

    /// Takes the next block.
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<()> {
        let mut rows = block;
        if !self.cut.is_empty() {
            let Some(end) = memchr::memchr(ROW_TERMINATOR, rows) else {
                self.cut.extend_from_slice(rows);
                return Ok(());
            };
            self.cut.extend_from_slice(&rows[..end]);
            (self.take)(decode(self.core, self.sql, &self.cut)?);
            self.cut.clear();
            rows.advance(end + 1);
        }
        while let Some(end) = memchr::memchr(ROW_TERMINATOR, rows) {
            (self.take)(decode(self.core, self.sql, &rows[..end])?);
            rows.advance(end + 1);
        }
        self.cut.extend_from_slice(rows);
        Ok(())
    }
}

/// The value in a row of COPY text.
fn decode<T: DeserializeOwned>(core: &Core, sql: &str, row: &[u8]) -> Result<T> {
    let not_utf8 = || Error::NotUtf8 { server: core.link().server().to_owned(), query: excerpt(sql) };
    let unfit = |problem: String| core.answer(sql, &format!("a row that does not fit: {problem}"));
    let text = unescape_field(row).map_err(|error| unfit(error.to_string()))?;
    let text = text.ok_or_else(|| unfit("a NULL".to_owned()))?;
    let text = std::str::from_utf8(&text).map_err(|_| not_utf8())?;
    serde_json::from_str(text).map_err(|error| unfit(error.to_string()))
}
