//! Rows that differ while a side is being written to are looked at again, under new snapshots of both sides: what is the
//! same on both a little later has only been on its way.
//!
//! Rows of a table with a key are found again by the hashes of their keys. Without a key, or where too many rows
//! differ to be named one by one, the table is looked at as a whole.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dbhaul_progress::{Progress, counted};
use dbhaul_rows::RowDigest;
use tokio_util::sync::CancellationToken;

use super::matching::Differences;
use super::side::{DrillSide, Renewed};
use super::wanted::{FirstValues, Keys, Wanted};
use super::{DrillError, DrillOptions, DrillTask, Located, Search, both, key_of};
use crate::{DifferingRow, DifferingRows, SettledRows, VerifyError};

/// The pause before the first look. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is looked at again in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    /// Rows by the hashes of their keys, each with a mark of what the sides had at the last look.
    Keys(BTreeMap<u64, u64>),
    /// All of it, with the digests of both sides at the last look.
    Whole([RowDigest; 2]),
}

impl Pending {
    /// After rows were located.
    pub(super) fn of(task: &DrillTask, rows: &DifferingRows, found: &Differences) -> Self {
        let is_known = rows.is_complete && found.is_whole() && !task.key.columns.is_empty();
        if is_known { Pending::Keys(found.states()) } else { Pending::Whole(task.digests) }
    }
}

/// Looks at what differs again and again, until it agrees or the time is over.
///
/// # Errors
/// [`VerifyError::Cancelled`] alone.
pub(super) async fn settle(
    tasks: &[DrillTask],
    located: &mut [Located],
    sides: &[DrillSide; 2],
    (options, limit): (&DrillOptions, Duration),
    (progress, cancel): (&Progress, &CancellationToken),
) -> Result<(), VerifyError> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let table_count = located.iter().filter(|found| found.pending.is_some()).count();
        if table_count == 0 {
            return Ok(());
        }
        let (wait, is_last) = next_pause(pause, deadline.saturating_duration_since(Instant::now()));
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(VerifyError::Cancelled),
            () = tokio::time::sleep(wait) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        let shown = progress.task("ROWS AGAIN", &format!("of {}", counted(table_count, "table")), None);
        let look = Look { options, is_last, cancel };
        match Box::pin(look.at_all(tasks, located, sides)).await {
            Ok(()) => shown.finish(),
            Err(_) if cancel.is_cancelled() => return Err(VerifyError::Cancelled),
            Err(error) => {
                shown.fail(error.to_string());
                progress.warning(format!("rows that differ could not be looked at again: {error}"));
                if is_last {
                    located.iter_mut().for_each(|found| found.not_seen(&error));
                }
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// How long to wait before the next look, and whether it is the last. What would be left after it is not too short
/// for anything to happen in it.
fn next_pause(pause: Duration, left: Duration) -> (Duration, bool) {
    if left < pause * 2 { (left, true) } else { (pause, false) }
}

/// One look at all that does not agree.
struct Look<'a> {
    options: &'a DrillOptions,
    /// Whether there is none after it: then the rows that still differ are read for the report.
    is_last: bool,
    cancel: &'a CancellationToken,
}

/// What a look found in a table.
struct Seen {
    /// How many rows agree that differed before.
    settled_count: u64,
    /// How many differ and have changed since the last look.
    changed_count: u64,
    /// How many differ as before.
    same_count: u64,
    pending: Option<Pending>,
    /// What differs now; nothing where the rows are not known one by one.
    found: Option<(Differences, Vec<DifferingRow>)>,
}

impl Look<'_> {
    async fn at_all(
        &self,
        tasks: &[DrillTask],
        located: &mut [Located],
        [left, right]: &[DrillSide; 2],
    ) -> Result<(), DrillError> {
        // the left first: what it has then may reach the right until that is looked at
        let (Some(mut left), Some(mut right)) =
            (left.renewed(self.cancel).await?, right.renewed(self.cancel).await?)
        else {
            let problem = "a backup does not change".to_owned();
            return Err(DrillError::Rows(problem));
        };
        for (task, found) in tasks.iter().zip(located).filter(|(_, found)| found.pending.is_some()) {
            match Box::pin(self.at(task, found, &mut left.side, &mut right.side)).await {
                Ok(seen) => {
                    found.take(seen, self.is_last);
                    found.note_time(&left, &right);
                }
                Err(_) if self.cancel.is_cancelled() => break,
                Err(error) if self.is_last => found.not_seen(&error),
                // the next look will tell
                Err(_) => {}
            }
        }
        left.release().await;
        right.release().await;
        Ok(())
    }

    async fn at(
        &self,
        task: &DrillTask,
        located: &Located,
        left: &mut DrillSide,
        right: &mut DrillSide,
    ) -> Result<Seen, DrillError> {
        let key = key_of(task)?;
        let (one, two) = (located.reading[0].as_ref(), located.reading[1].as_ref());
        let (one, two) = both(
            Box::pin(left.reader(task, one, &key, self.cancel)),
            Box::pin(right.reader(task, two, &key, self.cancel)),
        )
        .await?;
        let mut search = Search { task, key: &key, options: self.options, left: one, right: two, budget: 0 };
        let seen = match &located.pending {
            Some(Pending::Keys(states)) => self.at_keys(&mut search, states, &located.first_values).await?,
            Some(Pending::Whole(digests)) => self.at_whole(&mut search, *digests, &located.rows).await?,
            None => Seen::nothing(),
        };
        let Search { left: one, right: two, .. } = search;
        let (one, two) = both(Box::pin(one.finish()), Box::pin(two.finish())).await?;
        left.keep(one);
        right.keep(two);
        Ok(seen)
    }

    async fn at_keys(
        &self,
        search: &mut Search<'_>,
        states: &BTreeMap<u64, u64>,
        values: &BTreeMap<u64, String>,
    ) -> Result<Seen, DrillError> {
        let keys = keys(search.task, states, values);
        let wanted = Wanted::Keys(&keys);
        let (left, right) = both(search.left.refs(wanted), search.right.refs(wanted)).await?;
        let mut found = Differences::default();
        found.add(left, right, true);
        let now = found.states();
        let same_count = now.iter().filter(|(key, state)| states.get(key) == Some(state)).count();
        let rows = match self.is_last {
            true => search.show(&found.first(self.options.max_rows)).await?,
            false => Vec::new(),
        };
        Ok(Seen {
            settled_count: (states.len() - now.len().min(states.len())) as u64,
            changed_count: (now.len() - same_count) as u64,
            same_count: same_count as u64,
            pending: (!now.is_empty()).then_some(Pending::Keys(now)),
            found: Some((found, rows)),
        })
    }

    async fn at_whole(
        &self,
        search: &mut Search<'_>,
        before: [RowDigest; 2],
        rows: &DifferingRows,
    ) -> Result<Seen, DrillError> {
        let (left, right) = both(search.left.groups(), search.right.groups()).await?;
        let now = [left.total(), right.total()];
        let count = rows.count().max(1);
        let (is_same, is_equal) = (now == before, now[0] == now[1]);
        Ok(match is_equal {
            true => Seen { settled_count: count, found: Some(Default::default()), ..Seen::nothing() },
            false => Seen {
                changed_count: if is_same { 0 } else { count },
                same_count: if is_same { count } else { 0 },
                pending: Some(Pending::Whole(now)),
                ..Seen::nothing()
            },
        })
    }
}

/// The keys that are looked at, with the values of their first columns, where all are known.
fn keys<'a>(task: &'a DrillTask, states: &BTreeMap<u64, u64>, values: &'a BTreeMap<u64, String>) -> Keys<'a> {
    let known = states.keys().map(|key| values.get(key).map(String::as_str)).collect::<Option<_>>();
    let first = match (known, task.key.plain, task.key.columns.first()) {
        (Some(values), Some(plain), Some(column)) => Some(FirstValues { column, plain, values }),
        _ => None,
    };
    Keys { hashes: states.keys().copied().collect(), first }
}

impl Seen {
    fn nothing() -> Self {
        Seen { settled_count: 0, changed_count: 0, same_count: 0, pending: None, found: None }
    }
}

impl Located {
    fn take(&mut self, seen: Seen, is_last: bool) {
        let settled = self.rows.settled.get_or_insert_default();
        settled.count += seen.settled_count;
        (settled.undecided_count, settled.differing_count) = (seen.changed_count, seen.same_count);
        self.pending = seen.pending;
        match seen.found {
            Some((found, rows)) => {
                self.rows.missing_count = found.missing_count;
                self.rows.extra_count = found.extra_count;
                self.rows.different_count = found.different_count;
                self.rows.is_complete = true;
                self.rows.rows = rows;
            }
            None if is_last => self.rows.notes.push(
                "its rows could not be looked at again one by one: their numbers, and those that are shown, are as of \
                 the first look"
                    .to_owned(),
            ),
            None => {}
        }
    }

    /// Notes that what is pending could not be looked at, at last.
    fn not_seen(&mut self, error: &DrillError) {
        let Some(pending) = self.pending.take() else { return };
        let count = match pending {
            Pending::Keys(states) => states.len() as u64,
            Pending::Whole(_) => self.rows.count().max(1),
        };
        let settled = self.rows.settled.get_or_insert_default();
        (settled.undecided_count, settled.differing_count) = (count, 0);
        self.rows.notes.push(format!("rows that differ could not be looked at again: {error}"));
    }

    fn note_time(&mut self, left: &Renewed, right: &Renewed) {
        let settled: &mut SettledRows = self.rows.settled.get_or_insert_default();
        settled.look_count += 1;
        settled.left_as_of.clone_from(&left.info().taken_at);
        settled.right_as_of.clone_from(&right.info().taken_at);
        settled.left_lsn.clone_from(&left.info().lsn);
        settled.right_lsn.clone_from(&right.info().lsn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pause_is_no_remainder() {
        let second = Duration::from_secs(1);
        assert_eq!(next_pause(second, 10 * second), (second, false));
        assert_eq!(next_pause(4 * second, 7 * second), (7 * second, true));
        // even where the time is over, rows that differ are read once more for the report
        assert_eq!(next_pause(second, Duration::ZERO), (Duration::ZERO, true));
    }
}
