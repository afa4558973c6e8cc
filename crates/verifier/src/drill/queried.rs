//! Rows of a live table, found by queries: the server groups and hashes, and only what differs comes here.

use std::collections::BTreeMap;

use dbhaul_catalog::quote_identifier;
use dbhaul_postgres::{self as postgres, Session};
use dbhaul_rows::{COPY_OUT_OPTIONS, DigestSpec, FieldIter, RowDigest, RowHashes, unescape_field};

use super::groups::{Groups, sql_group};
use super::matching::RowRef;
use super::repair::{RawRows, RawValues};
use super::shown::{SHOWN_CHARACTERS, Value};
use super::wanted::Wanted;
use super::{DrillError, LiveRows, RowValues};

/// Rows whose keys are asked for with one statement.
const ROWS_AT_ONCE: usize = 10_000;

/// Columns asked for with one statement. Each takes three of the 1,664 that a query may have.
const COLUMNS_AT_ONCE: usize = 400;

/// Rows whose values are asked for with one statement.
const VALUES_AT_ONCE: usize = 1000;

/// A table that a session reads.
pub(super) struct Queried<'a> {
    pub(super) session: Session,
    pub(super) rows: &'a LiveRows,
    pub(super) spec: &'a DigestSpec,
    /// The columns of the key, by their places in the spec.
    pub(super) key: &'a [usize],
    /// An answer was not read to its end, and the transaction is of no more use.
    pub(super) is_spoiled: bool,
}

impl Queried<'_> {
    /// The digests of all groups: one scan.
    pub(super) async fn groups(&self) -> Result<Groups, DrillError> {
        let mut groups = Groups::default();
        self.each_line(&self.groups_sql(), |line| {
            let [group, count, sum] = fields(line)?;
            let rows = RowDigest { row_count: number(&count)?, sum: number(&sum)? };
            groups.add(number(&group)?, rows).ok_or_else(|| format!("{group} is no group"))
        })
        .await?;
        Ok(groups)
    }

    /// Some of the rows: one scan, and only these rows are hashed as a whole.
    pub(super) async fn refs(&self, wanted: Wanted<'_>) -> Result<Vec<RowRef>, DrillError> {
        let mut refs = Vec::new();
        self.each_line(&self.refs_sql(wanted), |line| {
            let [place, key, row] = fields(line)?;
            let hashes = RowHashes { key: hash(&key)?, row: hash(&row)? };
            refs.push(RowRef { hashes, place: place_of(&place)? });
            Ok(())
        })
        .await?;
        Ok(refs)
    }

    /// The values of these rows.
    pub(super) async fn values(&self, wanted: &[RowRef], needs_text: bool) -> Result<RowValues, DrillError> {
        let mut values: BTreeMap<RowHashes, Vec<Option<Value>>> = BTreeMap::new();
        let columns: Vec<usize> = (0..self.spec.columns.len()).collect();
        if columns.is_empty() {
            return Ok(wanted.iter().map(|row| (row.hashes, Vec::new())).collect());
        }
        for columns in columns.chunks(COLUMNS_AT_ONCE) {
            let sql = self.values_sql(wanted, columns, needs_text);
            let mut seen = std::collections::BTreeSet::new();
            self.each_line(&sql, |line| {
                let mut fields = FieldIter::new(line);
                let mut next = || text(fields.next());
                let hashes = RowHashes { key: hash(&required(next()?)?)?, row: hash(&required(next()?)?)? };
                let read = columns.iter().map(|_| value(next()?, next()?, next()?));
                let read = read.collect::<Result<Vec<_>, String>>()?;
                // where rows are asked for by their hashes, the same one may be there several times
                if seen.insert(hashes) {
                    values.entry(hashes).or_default().extend(read);
                }
                Ok(())
            })
            .await?;
        }
        Ok(values)
    }

    /// The values of a column in these rows, by the hashes of the rows' keys.
    pub(super) async fn first_values(
        &self,
        rows: &[RowRef],
        column: usize,
    ) -> Result<BTreeMap<u64, String>, DrillError> {
        let mut values = BTreeMap::new();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let Some(value) = self.spec.sql_value_front(column, SHOWN_CHARACTERS as u32) else { break };
            let columns = format!("{}, {value}", self.spec.sql_key_hash(self.key));
            let sql = self.copy_sql(&columns, Some(at_places(rows)), "");
            self.each_line(&sql, |line| {
                let mut fields = FieldIter::new(line);
                let key = hash(&required(text(fields.next())?)?)?;
                values.insert(key, required(text(fields.next())?)?);
                Ok(())
            })
            .await?;
        }
        Ok(values)
    }

    /// The values of these rows as they are, as many as fit.
    pub(super) async fn raw_values(&mut self, wanted: &[RowRef]) -> Result<RawValues, DrillError> {
        let mut kept = RawRows::default();
        // without places each statement is a scan
        let at_once = if self.rows.has_tids { VALUES_AT_ONCE } else { wanted.len().max(1) };
        let count = self.spec.columns.len();
        for wanted in wanted.chunks(at_once) {
            let mut is_full = false;
            let sql = self.raw_sql(wanted);
            let read = self.each_line(&sql, |line| {
                let mut fields = FieldIter::new(line);
                let mut next = || text(fields.next());
                let hashes = RowHashes { key: hash(&required(next()?)?)?, row: hash(&required(next()?)?)? };
                let values = fields.map(raw).collect::<Result<Vec<_>, String>>()?;
                if values.len() != count {
                    return Err("a row has another number of fields".to_owned());
                }
                kept.keep(hashes, values).inspect_err(|_| is_full = true)
            });
            match read.await {
                Err(_) if is_full => {
                    self.is_spoiled = true;
                    break;
                }
                read => read?,
            }
        }
        Ok(kept.values)
    }

    fn raw_sql(&self, wanted: &[RowRef]) -> String {
        let (key, row) = (self.spec.sql_key_hash(self.key), self.spec.sql_row_hash());
        let own = self.spec.columns.iter().map(|column| format!(", {}", quote_identifier(&column.name)));
        self.copy_sql(&format!("{key}, {row}{}", own.collect::<String>()), Some(self.sql_places(wanted)), "")
    }

    fn groups_sql(&self) -> String {
        let group = sql_group(&self.spec.sql_key_hash(self.key));
        let sum = self.spec.sql_expression();
        self.copy_sql(&format!("{group}, pg_catalog.count(*), {sum}"), None, " GROUP BY 1")
    }

    fn refs_sql(&self, wanted: Wanted<'_>) -> String {
        let key = self.spec.sql_key_hash(self.key);
        let place = if self.rows.has_tids { "ctid" } else { "NULL" };
        let columns = format!("{place}, {key}, {}", self.spec.sql_row_hash());
        self.copy_sql(&columns, wanted.sql_condition(&key), "")
    }

    fn values_sql(&self, wanted: &[RowRef], columns: &[usize], needs_text: bool) -> String {
        let (key, row) = (self.spec.sql_key_hash(self.key), self.spec.sql_row_hash());
        let value = |column: &usize| {
            let front = self.spec.sql_value_front(*column, SHOWN_CHARACTERS as u32);
            let front = front.filter(|_| needs_text).unwrap_or_else(|| "NULL".to_owned());
            let (hash, bytes) = (self.spec.sql_value_hash(*column), self.spec.sql_value_bytes(*column));
            format!(", {}, {}, {front}", hash.unwrap_or_default(), bytes.unwrap_or_default())
        };
        let values: String = columns.iter().map(value).collect();
        self.copy_sql(&format!("{key}, {row}{values}"), Some(self.sql_places(wanted)), "")
    }

    /// The condition that a row is one of these.
    fn sql_places(&self, wanted: &[RowRef]) -> String {
        if self.rows.has_tids {
            at_places(wanted)
        } else {
            let row = self.spec.sql_row_hash();
            let hashes = listed(wanted, |row| (row.hashes.row as i64).to_string());
            format!("{row} OPERATOR(pg_catalog.=) ANY ('{{{hashes}}}'::pg_catalog.int8[])")
        }
    }

    fn copy_sql(&self, columns: &str, condition: Option<String>, rest: &str) -> String {
        let place = self.rows.has_tids.then(|| "ctid".to_owned());
        let own = self.spec.columns.iter().map(|column| quote_identifier(&column.name));
        let own = place.into_iter().chain(own).collect::<Vec<_>>().join(", ");
        let condition = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        format!(
            "COPY (SELECT {columns} FROM (SELECT {own} FROM {}) AS kept{condition}{rest}) TO STDOUT {COPY_OUT_OPTIONS}",
            self.rows.from
        )
    }

    /// Hands every line of an answer on, and makes sure that the table is what the snapshot saw.
    async fn each_line(
        &self,
        sql: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), DrillError> {
        let mut copy = match &self.rows.table {
            Some(table) => self.session.copy_out_checked(sql, table).await?,
            None => self.session.copy_out(sql).await?,
        };
        let odd = |problem: String| postgres::Error::Answer {
            server: self.session.server().to_owned(),
            problem,
            query: "rows that differ".to_owned(),
        };
        let mut lines = Lines::default();
        while let Some(block) = copy.next_block().await? {
            lines.each(&block, &mut take).map_err(odd)?;
        }
        if lines.rest.is_empty() {
            Ok(())
        } else {
            Err(odd("the answer ends inside a row".to_owned()).into())
        }
    }
}

/// Lines out of blocks that end anywhere.
#[derive(Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Hands on every line that ends in a block, without its line feed.
    pub(crate) fn each(
        &mut self,
        block: &[u8],
        take: &mut impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut block = block;
        while let Some(end) = block.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&block[..end], &block[end + 1..]);
            if self.rest.is_empty() {
                take(line)?;
            } else {
                self.rest.extend_from_slice(line);
                take(&self.rest)?;
                self.rest.clear();
            }
            block = rest;
        }
        self.rest.extend_from_slice(block);
        Ok(())
    }
}

/// The condition that a row is one of these, by their places.
fn at_places(rows: &[RowRef]) -> String {
    let places = listed(rows, |row| format!("\"{}\"", tid(row.place)));
    format!("ctid OPERATOR(pg_catalog.=) ANY ('{{{places}}}'::pg_catalog.tid[])")
}

fn listed(rows: &[RowRef], text: impl Fn(&RowRef) -> String) -> String {
    rows.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A place as the server writes it.
pub(super) fn tid(place: u64) -> String {
    format!("({},{})", place >> 16, place & 0xffff)
}

/// A place as a number; of rows without one, zero.
fn place_of(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let bare = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let parts = bare.and_then(|bare| bare.split_once(','));
    let (page, row) = parts.ok_or_else(|| format!("{text:?} is no place of a row"))?;
    Ok(number::<u64>(page)? << 16 | u64::from(number::<u16>(row)?))
}

fn text(field: Option<&[u8]>) -> Result<Option<String>, String> {
    let field = field.ok_or("a row has too few fields")?;
    let value = unescape_field(field).map_err(|error| error.to_string())?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The bytes of a field, whatever their encoding.
fn raw(field: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let value = unescape_field(field).map_err(|error| error.to_string())?;
    Ok(value.map(std::borrow::Cow::into_owned))
}

fn required(text: Option<String>) -> Result<String, String> {
    text.ok_or_else(|| "a hash is NULL".to_owned())
}

/// The fields of a line of three; NULL as nothing.
fn fields(line: &[u8]) -> Result<[String; 3], String> {
    let mut fields = FieldIter::new(line);
    let mut next = || text(fields.next()).map(Option::unwrap_or_default);
    Ok([next()?, next()?, next()?])
}

fn value(
    value_hash: Option<String>,
    bytes: Option<String>,
    front: Option<String>,
) -> Result<Option<Value>, String> {
    let Some(value_hash) = value_hash else { return Ok(None) };
    let bytes = number(&bytes.unwrap_or_default())?;
    Ok(Some(Value { hash: hash(&value_hash)?, bytes, front: front.unwrap_or_default() }))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// A hash, which a server prints with its sign.
fn hash(text: &str) -> Result<u64, String> {
    Ok(number::<i64>(text)? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["(0,1)", "(4294967295,65535)", "(17,3)"] {
            assert_eq!(tid(place_of(text).unwrap()), text);
        }
        assert!(place_of("(1,2").is_err() && place_of("(1,70000)").is_err());
    }

    #[test]
    fn lines_are_put_together() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for block in [&b"a\nb"[..], b"c", b"\n\nd\n", b"e"] {
            lines
                .each(block, &mut |line| {
                    seen.push(String::from_utf8(line.to_vec()).unwrap());
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!((seen, lines.rest), (["a", "bc", "", "d"].map(str::to_owned).to_vec(), b"e".to_vec()));
    }
}
