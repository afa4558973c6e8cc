//! Queries whose rows arrive as JSON.

use std::error::Error as StdError;
use std::pin::pin;

use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use tokio_postgres::types::{FromSql, Type};

use crate::error::{Error, Result, excerpt};
use crate::session::Core;

/// A column's bytes, unchecked: a text column of an SQL_ASCII database may hold anything.
struct RawText<'a>(&'a [u8]);

impl<'a> FromSql<'a> for RawText<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(RawText(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Runs a query, deserialises each row as it arrives and hands it on, so that a
/// large catalog is never held twice.
pub(crate) async fn query<T: DeserializeOwned>(
    core: &Core,
    sql: &str,
    mut take: impl FnMut(T),
) -> Result<()> {
    let body = sql.trim_end().trim_end_matches(';');
    // the line break ends a comment that the query may end with
    let wrapped = format!("SELECT pg_catalog.row_to_json(q)::pg_catalog.text FROM ({body}\n) AS q");
    let operation = async {
        let rows = core.link().client().query_typed_raw(&wrapped, Vec::<(String, Type)>::new()).await?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await? {
            let RawText(text) = row.try_get(0)?;
            match decode(core, sql, text) {
                Ok(value) => take(value),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    };
    core.run(operation).await?
}

fn decode<T: DeserializeOwned>(core: &Core, sql: &str, text: &[u8]) -> Result<T> {
    let not_utf8 = || Error::NotUtf8 { server: core.link().server().to_owned(), query: excerpt(sql) };
    let text = std::str::from_utf8(text).map_err(|_| not_utf8())?;
    serde_json::from_str(text).map_err(|error| core.answer(sql, &format!("a row that does not fit: {error}")))
}
