//! Which rows of two sides differ, by the hashes of their keys and of all of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use dbhaul_rows::RowHashes;

use crate::RowDifference;

/// So many rows that differ are kept to choose from; the others are only counted.
const MAX_KEPT: usize = 100_000;

/// A row of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowRef {
    pub(super) hashes: RowHashes,
    /// Where it lies, in the terms of its side.
    pub(super) place: u64,
}

/// Rows that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) kind: RowDifference,
    pub(super) left: Option<RowRef>,
    pub(super) right: Option<RowRef>,
    pub(super) left_count: u64,
    pub(super) right_count: u64,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) missing_count: u64,
    pub(super) extra_count: u64,
    pub(super) different_count: u64,
    pub(super) kept: Vec<Difference>,
    /// Whether some were only counted.
    is_cut: bool,
}

impl Differences {
    /// How many rows differ.
    pub(super) fn count(&self) -> u64 {
        self.missing_count + self.extra_count + self.different_count
    }

    /// How many rows differ beside these.
    pub(super) fn count_beside(&self, some: &[Difference]) -> u64 {
        let weight = |one: &Difference| match one.kind {
            RowDifference::Different => 1,
            _ => one.left_count.abs_diff(one.right_count),
        };
        self.count().saturating_sub(some.iter().map(weight).sum())
    }

    /// Whether each of them is kept.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_cut
    }

    /// The keys of rows that differ, by their hashes, each with a mark of what the sides have there: it is another
    /// once a side has something else.
    pub(super) fn states(&self) -> BTreeMap<u64, u64> {
        let mut states: BTreeMap<u64, u64> = BTreeMap::new();
        for one in &self.kept {
            let Some(key) = one.left.or(one.right).map(|row| row.hashes.key) else { continue };
            let state = states.entry(key).or_default();
            // rows of a key come in any order
            *state = state.wrapping_add(one.mark());
        }
        states
    }

    /// Whether to look for more would serve nobody who is shown so many rows.
    pub(super) fn are_enough(&self, max_rows: usize) -> bool {
        self.kept.len() >= max_rows.max(1)
    }

    /// The first rows, in the order in which they lie on the left, then those of the right alone.
    pub(super) fn first(&self, max_rows: usize) -> Vec<Difference> {
        let mut kept = self.kept.clone();
        kept.sort_by_key(|one| {
            let place = |row: Option<RowRef>| row.map_or(u64::MAX, |row| row.place);
            (place(one.left), place(one.right))
        });
        kept.truncate(max_rows);
        kept
    }

    /// Compares the rows of both sides in some groups. If `is_keyed`, one row of each with the same key is one row
    /// with other values.
    pub(super) fn add(&mut self, mut left: Vec<RowRef>, mut right: Vec<RowRef>, is_keyed: bool) {
        left.sort_unstable();
        right.sort_unstable();
        let (mut left, mut right) = (left.as_slice(), right.as_slice());
        loop {
            let next = [left.first(), right.first()].into_iter().flatten().map(|row| row.hashes.key).min();
            let Some(key) = next else { return };
            let of_left = take_run(&mut left, |row| row.hashes.key == key);
            let of_right = take_run(&mut right, |row| row.hashes.key == key);
            self.add_key(of_left, of_right, is_keyed);
        }
    }

    /// Compares the rows with one key.
    fn add_key(&mut self, mut left: &[RowRef], mut right: &[RowRef], is_keyed: bool) {
        let mut unlike = Vec::new();
        loop {
            let next = [left.first(), right.first()].into_iter().flatten().map(|row| row.hashes.row).min();
            let Some(hash) = next else { break };
            let of_left = take_run(&mut left, |row| row.hashes.row == hash);
            let of_right = take_run(&mut right, |row| row.hashes.row == hash);
            if of_left.len() != of_right.len() {
                unlike.push(counted(of_left, of_right));
            }
        }
        if is_keyed && let Some(changed) = changed(&unlike) {
            unlike = vec![changed];
        }
        unlike.into_iter().for_each(|one| self.keep(one));
    }

    fn keep(&mut self, one: Difference) {
        match one.kind {
            RowDifference::Different => self.different_count += 1,
            _ => {
                self.missing_count += one.left_count.saturating_sub(one.right_count);
                self.extra_count += one.right_count.saturating_sub(one.left_count);
            }
        }
        if self.kept.len() < MAX_KEPT {
            self.kept.push(one);
        } else {
            self.is_cut = true;
        }
    }
}

impl Difference {
    /// A mark of what each side has, wherever it lies.
    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let row = |side: Option<RowRef>| side.map(|row| row.hashes.row);
        (row(self.left), self.left_count, row(self.right), self.right_count).hash(&mut hasher);
        hasher.finish()
    }
}

/// Takes the rows off the front for which that holds.
fn take_run<'a>(rows: &mut &'a [RowRef], is_of_it: impl Fn(&RowRef) -> bool) -> &'a [RowRef] {
    let end = rows.iter().position(|row| !is_of_it(row)).unwrap_or(rows.len());
    let (run, rest) = rows.split_at(end);
    *rows = rest;
    run
}

/// The same row on both sides, not equally often.
fn counted(left: &[RowRef], right: &[RowRef]) -> Difference {
    let kind = match (left.is_empty(), right.is_empty()) {
        (false, true) => RowDifference::Missing,
        (true, _) => RowDifference::Extra,
        (false, false) => RowDifference::Count,
    };
    Difference {
        kind,
        left: left.first().copied(),
        right: right.first().copied(),
        left_count: left.len() as u64,
        right_count: right.len() as u64,
    }
}

/// One row on the left and another on the right, with the same key.
fn changed(unlike: &[Difference]) -> Option<Difference> {
    let [one, two] = unlike else { return None };
    let (missing, extra) = match (one.kind, two.kind) {
        (RowDifference::Missing, RowDifference::Extra) => (one, two),
        (RowDifference::Extra, RowDifference::Missing) => (two, one),
        _ => return None,
    };
    (missing.left_count == 1 && extra.right_count == 1).then_some(Difference {
        kind: RowDifference::Different,
        left: missing.left,
        right: extra.right,
        left_count: 1,
        right_count: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(u64, u64)]) -> Vec<RowRef> {
        let row = |(place, (key, row)): (usize, &(u64, u64))| RowRef {
            hashes: RowHashes { key: *key, row: *row },
            place: place as u64,
        };
        rows.iter().enumerate().map(row).collect()
    }

    /// Kinds and counts of what differs, in the order of the left.
    fn compare(left: &[(u64, u64)], right: &[(u64, u64)], is_keyed: bool) -> Vec<(RowDifference, u64, u64)> {
        let mut found = Differences::default();
        found.add(rows(left), rows(right), is_keyed);
        found.first(9).into_iter().map(|one| (one.kind, one.left_count, one.right_count)).collect()
    }

    #[test]
    fn rows_with_the_same_key_are_one_row() {
        use RowDifference::*;
        let left = [(5, 50), (1, 10), (2, 20), (3, 30)];
        let right = [(2, 21), (5, 50), (4, 40), (1, 10)];
        let found = compare(&left, &right, true);
        assert_eq!(found, [(Different, 1, 1), (Missing, 1, 0), (Extra, 0, 1)]);
        assert_eq!(compare(&left, &left, true), []);
        assert_eq!(compare(&[], &right[..1], true), [(Extra, 0, 1)]);
    }

    #[test]
    fn a_state_changes_with_what_a_side_has_and_not_with_where_it_lies() {
        let states = |left: &[(u64, u64)], right: &[(u64, u64)]| {
            let mut found = Differences::default();
            found.add(rows(left), rows(right), true);
            assert!(found.is_whole());
            found.states()
        };
        let first = states(&[(1, 10), (2, 20), (3, 30)], &[(1, 11), (3, 30)]);
        assert_eq!(first.keys().collect::<Vec<_>>(), [&1, &2]);
        assert_eq!(states(&[(2, 20), (1, 10)], &[(1, 11)]), first);
        let changed = states(&[(1, 12), (2, 20)], &[(1, 11)]);
        assert!(changed[&1] != first[&1] && changed[&2] == first[&2]);
    }

    #[test]
    fn a_key_that_is_there_twice_is_counted() {
        use RowDifference::*;
        assert_eq!(compare(&[(1, 10)], &[(1, 10), (1, 10)], true), [(Count, 1, 2)]);
        let found = compare(&[(1, 10)], &[(1, 11), (1, 12)], true);
        assert_eq!(found, [(Missing, 1, 0), (Extra, 0, 1), (Extra, 0, 1)]);
        // the one that is the same on both sides is none of those that differ
        assert_eq!(compare(&[(1, 10), (1, 11)], &[(1, 12), (1, 10)], true), [(Different, 1, 1)]);
    }

    #[test]
    fn whole_rows_are_a_multiset() {
        use RowDifference::*;
        let found = compare(&[(7, 7), (7, 7), (8, 8)], &[(7, 7), (9, 9)], false);
        assert_eq!(found, [(Count, 2, 1), (Missing, 1, 0), (Extra, 0, 1)]);
        let mut sums = Differences::default();
        sums.add(rows(&[(7, 7), (7, 7), (8, 8)]), rows(&[(7, 7), (9, 9)]), false);
        assert_eq!((sums.missing_count, sums.extra_count, sums.different_count), (2, 1, 0));
        assert_eq!(sums.count(), 3);
    }
}
