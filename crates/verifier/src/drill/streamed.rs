//! Rows that come here as COPY text, out of a backup or of a table that no query may read: hashed here.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres::Session;
use dbhaul_rows::{
    Chunk, CutParameters, Cutter, DigestSpec, FieldIter, KeyedRows, RowDigest, split_rows, unescape_field,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use super::groups::{Groups, group_of};
use super::matching::RowRef;
use super::repair::{RawRows, RawValues};
use super::shown::Value;
use super::wanted::Wanted;
use super::{DrillError, RowValues};
use crate::digest::{RUN_BYTES, table_copy_sql};

/// Hashes of so many rows are kept while the groups are made, so that the rows need not be read again for them.
const MAX_KEPT: u64 = 1 << 20;

/// Rows that are stored as COPY text, by tables and by parts of these.
pub trait StoredRows: Debug + Send + Sync {
    /// How many parts a table has.
    fn part_count(&self, table: &str) -> u32;

    /// The rows of a part in their order, in runs of whole rows; or why they cannot be read.
    fn part(&self, table: &str, part: u32) -> BoxStream<'static, Result<Chunk, String>>;
}

/// Where rows come from.
pub(super) enum Text<'a> {
    Stored { rows: Arc<dyn StoredRows>, table: &'a str, cancel: CancellationToken },
    Copied { session: Session, table: &'a QualifiedName },
}

/// A table whose rows come here.
pub(super) struct Streamed<'a> {
    pub(super) text: Text<'a>,
    pub(super) spec: &'a DigestSpec,
    pub(super) key: &'a [usize],
    /// The number of the first row of each part that was read.
    pub(super) starts: Vec<u64>,
    /// The hashes of all rows, where these are few.
    pub(super) kept: Option<Vec<RowRef>>,
    /// A copy was not read to its end, and the transaction is of no more use.
    pub(super) is_spoiled: bool,
}

impl<'a> Streamed<'a> {
    pub(super) fn new(text: Text<'a>, spec: &'a DigestSpec, key: &'a [usize]) -> Self {
        Streamed { text, spec, key, starts: Vec::new(), kept: None, is_spoiled: false }
    }

    /// The digests of all groups.
    pub(super) async fn groups(&mut self) -> Result<Groups, DrillError> {
        let mut groups = Groups::default();
        let mut kept = Some(Vec::new());
        self.each_ref(|row| {
            let mut digest = RowDigest::default();
            digest.add_row(row.hashes.row);
            // there is such a group, and no backup has more rows than can be counted
            let _ = groups.add(group_of(row.hashes.key), digest);
            if let Some(refs) = &mut kept {
                refs.push(row);
            }
            kept.take_if(|refs| refs.len() as u64 > MAX_KEPT);
        })
        .await?;
        self.kept = kept;
        Ok(groups)
    }

    /// Some of the rows.
    pub(super) async fn refs(&mut self, wanted: Wanted<'_>) -> Result<Vec<RowRef>, DrillError> {
        if let Some(kept) = &self.kept {
            return Ok(kept.iter().filter(|row| wanted.contains(row.hashes.key)).copied().collect());
        }
        let mut refs = Vec::new();
        self.each_ref(|row| {
            if wanted.contains(row.hashes.key) {
                refs.push(row);
            }
        })
        .await?;
        Ok(refs)
    }

    /// Hashes every row, and notes where each part starts.
    async fn each_ref(&mut self, mut take: impl FnMut(RowRef)) -> Result<(), DrillError> {
        let mut hasher = KeyedRows::new(self.spec, self.key);
        let mut place = 0;
        let mut starts = Vec::new();
        for part in 0..self.text.part_count() {
            starts.push(place);
            self.text
                .each_row(self.spec, part, |row| {
                    let hashes = hasher.hash(row).map_err(|error| error.to_string())?;
                    take(RowRef { hashes, place });
                    place += 1;
                    Ok(())
                })
                .await?;
        }
        self.starts = starts;
        Ok(())
    }

    /// The values of these rows; only the parts that they lie in are read.
    pub(super) async fn values(&self, wanted: &[RowRef]) -> Result<RowValues, DrillError> {
        let by_place: BTreeMap<u64, RowRef> = wanted.iter().map(|row| (row.place, *row)).collect();
        let mut values = RowValues::new();
        for (part, start) in (0..).zip(&self.starts) {
            let end = self.starts.get(part as usize + 1).copied().unwrap_or(u64::MAX);
            if by_place.range(*start..end).next().is_none() {
                continue;
            }
            let mut place = *start;
            self.text
                .each_row(self.spec, part, |row| {
                    if let Some(wanted) = by_place.get(&place) {
                        values.insert(wanted.hashes, self.values_of(row)?);
                    }
                    place += 1;
                    Ok(())
                })
                .await?;
        }
        Ok(values)
    }

    /// The values of these rows as they are, as many as fit.
    pub(super) async fn raw_values(&mut self, wanted: &[RowRef]) -> Result<RawValues, DrillError> {
        let by_place: BTreeMap<u64, RowRef> = wanted.iter().map(|row| (row.place, *row)).collect();
        let mut kept = RawRows::default();
        let mut is_full = false;
        for (part, start) in (0..).zip(&self.starts) {
            let end = self.starts.get(part as usize + 1).copied().unwrap_or(u64::MAX);
            if by_place.range(*start..end).next().is_none() {
                continue;
            }
            let mut place = *start;
            let read = self.text.each_row(self.spec, part, |row| {
                if let Some(wanted) = by_place.get(&place) {
                    let fields = FieldIter::new(row).take(self.spec.columns.len());
                    let values = fields.map(|field| {
                        let value = unescape_field(field).map_err(|error| error.to_string())?;
                        Ok(value.map(std::borrow::Cow::into_owned))
                    });
                    let values = values.collect::<Result<Vec<_>, String>>()?;
                    kept.keep(wanted.hashes, values).inspect_err(|_| is_full = true)?;
                }
                place += 1;
                Ok(())
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

    fn values_of(&self, row: &[u8]) -> Result<Vec<Option<Value>>, String> {
        let fields = FieldIter::new(row).take(self.spec.columns.len()).enumerate();
        let value = |(column, field)| {
            let value = self.spec.value(column, field).map_err(|error| error.to_string())?;
            Ok(value.as_ref().map(Value::new))
        };
        fields.map(value).collect()
    }
}

impl Text<'_> {
    fn part_count(&self) -> u32 {
        match self {
            Text::Stored { rows, table, .. } => rows.part_count(table),
            Text::Copied { .. } => 1,
        }
    }

    /// Hands every row of a part on, without its line feed.
    async fn each_row(
        &self,
        spec: &DigestSpec,
        part: u32,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), DrillError> {
        match self {
            Text::Stored { rows, table, cancel } => {
                let mut chunks = rows.part(table, part);
                while let Some(chunk) = chunks.next().await {
                    if cancel.is_cancelled() {
                        return Err(DrillError::Rows("cancelled".to_owned()));
                    }
                    let chunk = chunk.map_err(DrillError::Rows)?;
                    split_rows(&chunk.data).try_for_each(&mut take).map_err(DrillError::Rows)?;
                }
                Ok(())
            }
            Text::Copied { session, table } => {
                let rows = |error: dbhaul_rows::RowsError| DrillError::Rows(error.to_string());
                let mut cutter = Cutter::new(CutParameters::fixed(RUN_BYTES), spec).map_err(rows)?;
                let mut copy = session.copy_out_checked(&table_copy_sql(table, spec), table).await?;
                let mut chunks = Vec::new();
                while let Some(block) = copy.next_block().await? {
                    cutter.push(&block, &mut chunks).map_err(rows)?;
                    for chunk in chunks.drain(..) {
                        split_rows(&chunk.data).try_for_each(&mut take).map_err(DrillError::Rows)?;
                    }
                }
                let last = cutter.finish().map_err(rows)?;
                let last = last.iter().flat_map(|chunk| split_rows(&chunk.data));
                { last }.try_for_each(take).map_err(DrillError::Rows)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dbhaul_rows::{DigestColumn, TextForm};
    use futures::stream::iter;

    use super::*;
    use crate::drill::groups::Slice;
    use crate::drill::wanted::Keys;

    /// Two parts of two rows each.
    #[derive(Debug)]
    struct Parts;

    impl StoredRows for Parts {
        fn part_count(&self, _: &str) -> u32 {
            2
        }

        fn part(&self, _: &str, part: u32) -> BoxStream<'static, Result<Chunk, String>> {
            let rows: &[u8] = if part == 0 { b"1\ta\n2\t\\N\n" } else { b"3\tc\n4\td\n" };
            let data = rows.to_vec().into();
            iter([Ok(Chunk { data, row_count: 2, digest: RowDigest::default() })]).boxed()
        }
    }

    #[tokio::test]
    async fn rows_are_found_again_in_their_part() {
        let columns = [("id", "int4"), ("v", "text")].map(|(name, kind)| DigestColumn::new(name, kind));
        let spec = DigestSpec::new(columns.to_vec(), TextForm::Raw);
        let (rows, cancel) = (Arc::new(Parts), CancellationToken::new());
        let text = Text::Stored { rows, table: "t", cancel };
        let mut streamed = Streamed::new(text, &spec, &[0]);
        let groups = streamed.groups().await.unwrap();
        assert_eq!(groups.total().row_count, 4);
        let all = Slice::all();
        let refs = streamed.refs(Wanted::Groups(&all)).await.unwrap();
        // the same when they are read again
        streamed.kept = None;
        assert_eq!(streamed.refs(Wanted::Groups(&all)).await.unwrap(), refs);
        let keys = Keys { hashes: BTreeSet::from([refs[2].hashes.key]), first: None };
        assert_eq!(streamed.refs(Wanted::Keys(&keys)).await.unwrap(), refs[2..3]);
        let values = streamed.values(&[refs[1], refs[2]]).await.unwrap();
        let of = |at: usize| values[&refs[at].hashes].clone();
        let front = |value: &Option<Value>| value.as_ref().map(|value| value.front.clone());
        assert_eq!(of(1).iter().map(front).collect::<Vec<_>>(), [Some("2".to_owned()), None]);
        assert_eq!(of(2).iter().map(front).collect::<Vec<_>>(), [Some("3".into()), Some("c".into())]);
        assert_eq!(values.len(), 2);
    }
}
