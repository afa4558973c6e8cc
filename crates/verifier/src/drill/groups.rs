//! Rows by groups of their keys' hashes: what is equal in a group need not be looked at row by row.

use dbhaul_rows::RowDigest;

/// How many groups there are.
pub(super) const GROUP_COUNT: usize = 1024;

/// Rows of both sides that are compared one by one at a time, and so are in memory: 24 bytes each.
const ROWS_AT_ONCE: u64 = 2 << 20;

/// Groups of more rows on both sides together are not compared row by row. Tables that have such groups have
/// billions of rows.
const MAX_ROWS_OF_GROUP: u64 = 2 * ROWS_AT_ONCE;

/// The digests of the groups of one side's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(Vec<RowDigest>);

impl Default for Groups {
    fn default() -> Self {
        Groups(vec![RowDigest::default(); GROUP_COUNT])
    }
}

/// The group of a key.
pub(super) fn group_of(key_hash: u64) -> usize {
    (key_hash % GROUP_COUNT as u64) as usize
}

impl Groups {
    /// Adds rows to a group; nothing if there is no such group.
    pub(crate) fn add(&mut self, group: usize, rows: RowDigest) -> Option<()> {
        let sum = self.0.get_mut(group)?;
        *sum = sum.checked_merged(rows)?;
        Some(())
    }

    /// Of all rows.
    pub(crate) fn total(&self) -> RowDigest {
        self.0.iter().copied().collect()
    }
}

/// Some of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    /// A bit for each group, the lowest of each byte first, as `get_bit` counts them.
    bits: [u8; GROUP_COUNT / 8],
}

impl Slice {
    /// All groups.
    pub(super) fn all() -> Self {
        Slice { bits: [u8::MAX; GROUP_COUNT / 8] }
    }

    fn none() -> Self {
        Slice { bits: [0; GROUP_COUNT / 8] }
    }

    fn insert(&mut self, group: usize) {
        self.bits[group / 8] |= 1 << (group % 8);
    }

    /// Whether the group of a key is one of them.
    pub(super) fn contains(&self, key_hash: u64) -> bool {
        let group = group_of(key_hash);
        self.bits[group / 8] & (1 << (group % 8)) != 0
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// The condition that a row lies in one of them, by the expression of its key's hash; `None` if all rows do.
    pub(super) fn sql_condition(&self, key_hash: &str) -> Option<String> {
        if *self == Self::all() {
            return None;
        }
        let digits: String = self.bits.iter().map(|byte| format!("{byte:02x}")).collect();
        let group = sql_group(key_hash);
        Some(format!(
            "pg_catalog.get_bit(pg_catalog.decode('{digits}', 'hex'), ({group})::pg_catalog.int4) \
             OPERATOR(pg_catalog.=) 1"
        ))
    }
}

/// The expression (bigint) of the group of a key.
pub(crate) fn sql_group(key_hash: &str) -> String {
    format!("{key_hash} OPERATOR(pg_catalog.&) '{}'::pg_catalog.int8", GROUP_COUNT - 1)
}

/// The groups that differ, in slices that fit into memory.
#[derive(Debug, Default)]
pub(super) struct Differing {
    pub(super) slices: Vec<Slice>,
    /// How many groups differ and have too many rows.
    pub(super) too_large: usize,
}

impl Differing {
    pub(super) fn of(left: &Groups, right: &Groups) -> Self {
        let mut differing = Differing::default();
        let mut rows_of_slice = u64::MAX;
        for (group, (left, right)) in left.0.iter().zip(&right.0).enumerate() {
            let row_count = left.row_count.saturating_add(right.row_count);
            if left == right {
                continue;
            }
            if row_count > MAX_ROWS_OF_GROUP {
                differing.too_large += 1;
                continue;
            }
            if rows_of_slice.saturating_add(row_count) > ROWS_AT_ONCE {
                differing.slices.push(Slice::none());
                rows_of_slice = 0;
            }
            rows_of_slice = rows_of_slice.saturating_add(row_count);
            if let Some(slice) = differing.slices.last_mut() {
                slice.insert(group);
            }
        }
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(of: &[(usize, u64, i128)]) -> Groups {
        let mut groups = Groups::default();
        for (group, row_count, sum) in of {
            groups.add(*group, RowDigest { row_count: *row_count, sum: *sum }).unwrap();
        }
        groups
    }

    #[test]
    fn only_groups_that_differ_are_looked_at() {
        let left = groups(&[(3, 2, 5), (9, 1, 1), (1023, 4, 4)]);
        let right = groups(&[(3, 2, 5), (9, 1, 2), (1023, 3, 4)]);
        let differing = Differing::of(&left, &right);
        let [slice] = differing.slices.as_slice() else { panic!("{differing:?}") };
        assert_eq!((slice.len(), differing.too_large), (2, 0));
        assert!(slice.contains(9) && slice.contains(1023) && slice.contains(2047) && !slice.contains(3));
        assert!(Differing::of(&left, &left).slices.is_empty());
        assert_eq!(left.total(), RowDigest { row_count: 7, sum: 10 });
        assert_eq!(Groups::default().add(1024, RowDigest::default()), None);
    }

    #[test]
    fn memory_is_bounded() {
        let many = [(0, ROWS_AT_ONCE - 1, 1), (1, 2, 1), (2, 1, 1), (3, MAX_ROWS_OF_GROUP + 1, 1)];
        let differing = Differing::of(&groups(&many), &Groups::default());
        let sizes: Vec<usize> = differing.slices.iter().map(Slice::len).collect();
        assert_eq!((sizes, differing.too_large), (vec![1, 2], 1));
    }

    #[test]
    fn a_condition_names_groups_by_bits() {
        assert_eq!(Slice::all().sql_condition("h"), None);
        assert_eq!(Slice::all().len(), GROUP_COUNT);
        let mut slice = Slice::none();
        slice.insert(0);
        slice.insert(9);
        let sql = slice.sql_condition("h").unwrap();
        assert!(sql.starts_with("pg_catalog.get_bit(pg_catalog.decode('010200"), "{sql}");
        assert!(
            sql.contains("(h OPERATOR(pg_catalog.&) '1023'::pg_catalog.int8)::pg_catalog.int4)"),
            "{sql}"
        );
    }
}
