//! Which rows and columns of a table differ.
//!
//! Each side is read at most twice. One scan puts the rows into 1,024 groups by the hashes of their keys and
//! takes the digest of each group; of a large table of a live side it is the one that its digest is taken by. A second brings the hashes of the rows of those groups that differ, 1/1024
//! of the table for each. Then the rows that differ are known, and only they are read. A live side groups and hashes
//! on its server; rows of a backup are hashed here, by the same function.
//!
//! Rows are matched by a key. Without one whole rows are compared, as a multiset.

mod groups;
mod key;
mod matching;
mod queried;
mod repair;
mod settle;
mod shown;
mod side;
mod streamed;
mod wanted;

use std::collections::BTreeMap;
use std::time::Duration;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres as postgres;
use dbhaul_progress::{Progress, counted};
use dbhaul_retry::RetryPolicy;
use dbhaul_rows::{DigestSpec, RowDigest, RowHashes};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

pub use self::groups::Groups;
pub(crate) use self::groups::sql_group;
use self::groups::{Differing, GROUP_COUNT, Slice};
pub use self::key::{MatchingKey, PlainType};
use self::matching::{Difference, Differences, RowRef};
pub(crate) use self::queried::Lines;
pub use self::repair::{RepairColumn, RepairTable, TableRepair};
use self::settle::{Pending, settle};
pub(crate) use self::shown::Value;
pub use self::shown::ValueStyle;
pub use self::side::DrillSide;
use self::side::TableReader;
pub use self::streamed::StoredRows;
use self::wanted::Wanted;
use crate::digest::NOT_FOUND;
use crate::{
    DifferingColumn, DifferingRow, DifferingRows, NamedValue, Reading, RowDifference, TimeLimit, TimedToken,
    VerifyError,
};

/// Tables of no more rows on both sides together are compared row by row at once.
const SMALL_ROWS: u64 = 8192;

/// A table whose digests differ.
#[derive(Debug, Clone)]
pub struct DrillTask {
    /// What it is called in the report.
    pub name: String,
    /// How its rows are hashed, on both sides.
    pub spec: DigestSpec,
    /// By what they are matched.
    pub key: MatchingKey,
    /// The digests that differ, the left one first.
    pub digests: [RowDigest; 2],
    /// The digests of the groups of the rows, as far as they are known: by the same key, under the same snapshot.
    pub groups: [Option<Groups>; 2],
    /// How each side is read, where it is a live one; the left one first.
    pub rows: [Option<LiveRows>; 2],
    /// The table, if statements are to be written that make the right's rows equal.
    pub repair: Option<RepairTable>,
}

/// How rows of a live side are read.
#[derive(Debug, Clone)]
pub struct LiveRows {
    /// The table, where the rows are those of one.
    pub table: Option<QualifiedName>,
    /// What stands behind `FROM`: `ONLY public.film`, or a query in parentheses with an alias.
    pub from: String,
    /// Whether a query may read them.
    pub reading: Reading,
    /// Whether each row has a `ctid` by which it is found again.
    pub has_tids: bool,
}

/// What is wanted of a drill-down.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// Rows shown of each table.
    pub max_rows: usize,
    /// How their values are shown.
    pub values: ValueStyle,
    /// For how long rows that differ are looked at again, because the sides are being written to; `None`: not at all.
    pub settle: Option<Duration>,
    /// How long it may take.
    pub limit: Option<TimeLimit>,
}

/// What was found of a table.
#[derive(Debug, Clone, Default)]
pub struct LocatedRows {
    /// The rows that differ.
    pub rows: DifferingRows,
    /// Statements for them as they were first seen, where these were asked for and the rows were located.
    pub repair: Option<TableRepair>,
}

/// Values of rows, by the hashes of the rows, in the order of the columns.
type RowValues = BTreeMap<RowHashes, Vec<Option<Value>>>;

/// What was found in a table.
struct Located {
    rows: DifferingRows,
    /// How live sides are read.
    reading: [Option<LiveRows>; 2],
    /// What of it may agree a little later.
    pending: Option<Pending>,
    /// The values of the first columns of the keys of rows that differ, by the hashes of the keys, where rows can be
    /// asked for by these.
    first_values: BTreeMap<u64, String>,
    repair: Option<TableRepair>,
}

/// Why rows of a table were not located.
#[derive(Debug, Error)]
enum DrillError {
    #[error(transparent)]
    Live(#[from] postgres::Error),
    #[error("{0}")]
    Rows(String),
}

/// Looks for the rows that differ, table after table, in both sides at the same time. The result has an entry for
/// every task: where rows could not be located, or not in time, its notes say why.
///
/// # Errors
/// [`VerifyError::Cancelled`] alone.
pub async fn locate_rows(
    tasks: &[DrillTask],
    sides: &mut [DrillSide; 2],
    options: &DrillOptions,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Vec<LocatedRows>, VerifyError> {
    let mut located = Vec::with_capacity(tasks.len());
    let timed = TimedToken::new(cancel, options.limit);
    let mut budget = repair::MAX_BYTES;
    for task in tasks {
        let shown = progress.task("ROWS", &task.name, None);
        match Box::pin(locate_patiently(task, sides, options, (&mut budget, progress, timed.token()))).await {
            Ok(found) => {
                shown.finish();
                located.push(found);
            }
            Err(_) if timed.is_over() => {
                shown.fail(TimeLimit::REASON);
                located.push(not_located(task, options, TimeLimit::REASON));
            }
            Err(_) if cancel.is_cancelled() => return Err(VerifyError::Cancelled),
            Err(error) => {
                shown.fail(error.to_string());
                let rows = not_located(task, options, &error.to_string());
                located.push(rows);
            }
        }
    }
    for side in sides.iter_mut() {
        side.close().await;
    }
    if let Some(limit) = options.settle.filter(|_| !timed.is_over()) {
        Box::pin(settle(tasks, &mut located, sides, (options, limit), (progress, cancel))).await?;
    }
    Ok(located.into_iter().map(|found| LocatedRows { rows: found.rows, repair: found.repair }).collect())
}

fn not_located(task: &DrillTask, options: &DrillOptions, reason: &str) -> Located {
    let rows = DifferingRows {
        key: task.key.columns.clone(),
        values: options.values.show(),
        notes: vec![format!("the rows that differ were not located: {reason}")],
        ..DifferingRows::default()
    };
    Located { rows, reading: task.rows.clone(), pending: None, first_values: BTreeMap::new(), repair: None }
}

/// Tries again after an outage, and by `COPY` where the functions of an index rely on a search path.
async fn locate_patiently(
    task: &DrillTask,
    sides: &mut [DrillSide; 2],
    options: &DrillOptions,
    (budget, progress, cancel): (&mut usize, &Progress, &CancellationToken),
) -> Result<Located, DrillError> {
    let mut rows = task.rows.clone();
    let mut attempts = RetryPolicy::default().attempts();
    loop {
        let error = match Box::pin(locate(task, &rows, sides, options, (budget, cancel))).await {
            Err(DrillError::Live(error)) => error,
            Err(error) => return Err(error),
            Ok((located, found, first_values)) => {
                let pending = Some(Pending::of(task, &located.rows, &found));
                let LocatedRows { rows: differing, repair } = located;
                return Ok(Located { rows: differing, reading: rows, pending, first_values, repair });
            }
        };
        let mut read_otherwise = false;
        if error.sqlstate().is_some_and(|state| NOT_FOUND.contains(&state)) {
            for rows in rows.iter_mut().flatten().filter(|rows| rows.reading == Reading::QueryOrCopy) {
                (rows.reading, read_otherwise) = (Reading::Copy, true);
            }
        }
        if read_otherwise {
            continue;
        }
        let Some(pause) = attempts.failed(error.is_transient()) else { return Err(error.into()) };
        progress.warning(format!("rows of {}: {error}; trying again", task.name));
        pause.wait(cancel).await.map_err(|_| postgres::Error::Cancelled)?;
    }
}

/// One attempt. After an error the sessions are not kept.
async fn locate(
    task: &DrillTask,
    rows: &[Option<LiveRows>; 2],
    sides: &mut [DrillSide; 2],
    options: &DrillOptions,
    (budget, cancel): (&mut usize, &CancellationToken),
) -> Result<(LocatedRows, Differences, BTreeMap<u64, String>), DrillError> {
    let key = key_of(task)?;
    let [left, right] = sides;
    let (one, two) = (rows[0].as_ref(), rows[1].as_ref());
    let (one, two) =
        both(Box::pin(left.reader(task, one, &key, cancel)), Box::pin(right.reader(task, two, &key, cancel)))
            .await?;
    let mut search = Search { task, key: &key, options, left: one, right: two, budget: *budget };
    let (rows, found) = Box::pin(search.run()).await?;
    let values = match options.settle {
        Some(_) => Box::pin(search.first_values(&found)).await?,
        None => BTreeMap::new(),
    };
    let Search { left: one, right: two, budget: unspent, .. } = search;
    let (one, two) = both(Box::pin(one.finish()), Box::pin(two.finish())).await?;
    left.keep(one);
    right.keep(two);
    *budget = unspent;
    Ok((rows, found, values))
}

/// The places of the columns of the key.
fn key_of(task: &DrillTask) -> Result<Vec<usize>, DrillError> {
    let lacking = || DrillError::Rows("a column of its key has no values that could be compared".to_owned());
    task.key.places(&task.spec).ok_or_else(lacking)
}

/// Waits for both, so that no server is left working for nobody.
async fn both<T, U>(
    left: impl Future<Output = Result<T, DrillError>>,
    right: impl Future<Output = Result<U, DrillError>>,
) -> Result<(T, U), DrillError> {
    let (left, right) = futures::join!(left, right);
    Ok((left?, right?))
}

/// The search in one table.
struct Search<'a> {
    task: &'a DrillTask,
    /// The columns of the key, by their places in the spec.
    key: &'a [usize],
    options: &'a DrillOptions,
    left: TableReader<'a>,
    right: TableReader<'a>,
    /// Bytes that statements may still have.
    budget: usize,
}

impl Search<'_> {
    async fn run(&mut self) -> Result<(LocatedRows, Differences), DrillError> {
        let Differing { slices, too_large } = self.differing().await?;
        let enough = match self.task.repair {
            Some(_) => self.options.max_rows.max(repair::MAX_ROWS),
            None => self.options.max_rows,
        };
        let mut found = Differences::default();
        let (mut looked_at, mut left_out) = (0, 0);
        for slice in &slices {
            if looked_at > 0 && found.are_enough(enough) {
                left_out += slice.len();
                continue;
            }
            looked_at += slice.len();
            found = self.compare(slice, found).await?;
        }
        let rows = self.show(&found.first(self.options.max_rows)).await?;
        let is_whole = left_out + too_large == 0;
        let repair = self.repair(&found, is_whole).await?;
        let rows = DifferingRows {
            key: self.task.key.columns.clone(),
            values: self.options.values.show(),
            missing_count: found.missing_count,
            extra_count: found.extra_count,
            different_count: found.different_count,
            is_complete: is_whole && found.count() > 0,
            notes: self.notes(found.count(), (looked_at, left_out, too_large)),
            settled: None,
            rows,
        };
        Ok((LocatedRows { rows, repair }, found))
    }

    /// What is to be known of rows that were found, and of groups that were compared, left out and too large.
    fn notes(
        &self,
        found_count: u64,
        (looked_at, left_out, too_large): (usize, usize, usize),
    ) -> Vec<String> {
        let mut notes: Vec<String> = self.task.key.note.iter().cloned().collect();
        if left_out > 0 {
            notes.push(format!(
                "of the {GROUP_COUNT} groups of its rows {} differ, in each of which at least one row does; {looked_at} \
                 were compared row by row, the others not",
                looked_at + left_out + too_large
            ));
        }
        if too_large > 0 {
            notes.push(format!(
                "{} of its rows that differ {} too large to be compared row by row",
                counted(too_large, "group"),
                if too_large == 1 { "is" } else { "are" }
            ));
        }
        if found_count == 0 && left_out + too_large == 0 {
            notes.push("its digests differ, and no row was found that does".to_owned());
        }
        notes
    }

    /// The statements for the rows that differ, where they are asked for. They are written last, for reading that ends
    /// because values are too large fails the transaction.
    async fn repair(
        &mut self,
        found: &Differences,
        is_whole: bool,
    ) -> Result<Option<TableRepair>, DrillError> {
        let Some(table) = &self.task.repair else { return Ok(None) };
        let chosen = found.first(repair::MAX_ROWS);
        let [of_left, of_right] = repair::needed(&chosen);
        let (left, right) = both(self.left.raw_values(&of_left), self.right.raw_values(&of_right)).await?;
        let mut writer = repair::Writer::new(table, self.key, &mut self.budget);
        chosen.iter().for_each(|one| writer.add(one, [&left, &right]));
        Ok(Some(writer.finish(found.count_beside(&chosen), is_whole)))
    }

    /// The groups that differ; all of a small table.
    async fn differing(&mut self) -> Result<Differing, DrillError> {
        let [left, right] = self.task.digests;
        if left.row_count.saturating_add(right.row_count) <= SMALL_ROWS {
            return Ok(Differing { slices: vec![Slice::all()], too_large: 0 });
        }
        let [of_left, of_right] = &self.task.groups;
        let (left, right) =
            both(groups(&mut self.left, of_left.as_ref()), groups(&mut self.right, of_right.as_ref()))
                .await?;
        self.check(left.total(), right.total())?;
        Ok(Differing::of(&left, &right))
    }

    /// Makes sure that the rows are those whose digests were compared.
    fn check(&self, left: RowDigest, right: RowDigest) -> Result<(), DrillError> {
        for (side, digest, found) in
            [("left", self.task.digests[0], left), ("right", self.task.digests[1], right)]
        {
            if digest != found {
                let problem = format!(
                    "the rows of the {side} have the digest {found} now, where {digest} was compared before"
                );
                return Err(DrillError::Rows(problem));
            }
        }
        Ok(())
    }

    /// Compares the rows of some groups one by one.
    async fn compare(&mut self, slice: &Slice, mut found: Differences) -> Result<Differences, DrillError> {
        let wanted = Wanted::Groups(slice);
        let (left, right) = both(self.left.refs(wanted), self.right.refs(wanted)).await?;
        if *slice == Slice::all() {
            self.check(digest_of(&left), digest_of(&right))?;
        }
        let is_keyed = !self.key.is_empty();
        let compare = move || {
            found.add(left, right, is_keyed);
            found
        };
        let compared = tokio::task::spawn_blocking(compare).await;
        compared.map_err(|error| DrillError::Rows(format!("they were not compared: {error}")))
    }

    /// The values of the first columns of the keys of rows that differ, where rows can be asked for by these.
    async fn first_values(&self, found: &Differences) -> Result<BTreeMap<u64, String>, DrillError> {
        let (Some(_), Some(column)) = (self.task.key.plain, self.key.first()) else {
            return Ok(BTreeMap::new());
        };
        let left: Vec<RowRef> = found.kept.iter().filter_map(|one| one.left).collect();
        let lone = found.kept.iter().filter(|one| one.left.is_none());
        let right: Vec<RowRef> = lone.filter_map(|one| one.right).collect();
        let (mut values, more) = both(
            Box::pin(self.left.first_values(&left, *column)),
            Box::pin(self.right.first_values(&right, *column)),
        )
        .await?;
        values.extend(more);
        Ok(values)
    }

    /// What a report shows of these rows.
    async fn show(&mut self, chosen: &[Difference]) -> Result<Vec<DifferingRow>, DrillError> {
        let needs_text = self.options.values.needs_text();
        let of_left: Vec<RowRef> = chosen.iter().filter_map(|one| one.left).collect();
        let of_right: Vec<RowRef> = chosen.iter().filter_map(|one| one.right).collect();
        let (left, right) =
            both(self.left.values(&of_left, needs_text), self.right.values(&of_right, needs_text)).await?;
        chosen.iter().map(|one| self.row(one, &left, &right)).collect()
    }

    fn row(&self, one: &Difference, left: &RowValues, right: &RowValues) -> Result<DifferingRow, DrillError> {
        let values = |row: Option<RowRef>, values: &'_ RowValues| match row {
            None => Ok(None),
            Some(row) => match values.get(&row.hashes) {
                Some(values) if values.len() == self.task.spec.columns.len() => Ok(Some(values.clone())),
                _ => Err(DrillError::Rows("a row that differs was not found again".to_owned())),
            },
        };
        let (of_left, of_right) = (values(one.left, left)?, values(one.right, right)?);
        Ok(DifferingRow {
            kind: one.kind,
            left_count: one.left_count,
            right_count: one.right_count,
            left_at: one.left.and_then(|row| self.left.at(row)),
            right_at: one.right.and_then(|row| self.right.at(row)),
            key: self.key_of(of_left.as_deref().or(of_right.as_deref()).unwrap_or_default()),
            columns: self.columns_of(one.kind, of_left.as_deref(), of_right.as_deref()),
        })
    }

    fn key_of(&self, values: &[Option<Value>]) -> Vec<NamedValue> {
        let named = |place: &usize| {
            let name = self.task.spec.columns.get(*place)?.name.clone();
            Some(NamedValue { name, value: self.options.values.shown(values.get(*place)?) })
        };
        self.key.iter().filter_map(named).collect()
    }

    /// The columns that differ; of a row without a key all columns.
    fn columns_of(
        &self,
        kind: RowDifference,
        left: Option<&[Option<Value>]>,
        right: Option<&[Option<Value>]>,
    ) -> Vec<DifferingColumn> {
        let is_keyed = !self.key.is_empty();
        let is_shown = |place: usize| match (left, right) {
            (Some(left), Some(right)) if kind == RowDifference::Different => {
                !Value::is_same(&left[place], &right[place])
            }
            _ => !is_keyed,
        };
        let shown = |side: Option<&[Option<Value>]>, place: usize| {
            side.map(|values| self.options.values.shown(&values[place]))
        };
        let places = (0..self.task.spec.columns.len()).filter(|place| is_shown(*place));
        let column = |place: usize| DifferingColumn {
            name: self.task.spec.columns[place].name.clone(),
            left: shown(left, place),
            right: shown(right, place),
        };
        places.map(column).collect()
    }
}

/// The groups of a side, read unless they are known.
async fn groups(table: &mut TableReader<'_>, known: Option<&Groups>) -> Result<Groups, DrillError> {
    match known {
        Some(groups) => Ok(groups.clone()),
        None => table.groups().await,
    }
}

/// The digest of rows by their hashes.
fn digest_of(rows: &[RowRef]) -> RowDigest {
    let mut digest = RowDigest::default();
    rows.iter().for_each(|row| digest.add_row(row.hashes.row));
    digest
}
