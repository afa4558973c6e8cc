//! Which rows are looked at one by one: those of some groups, or those with some keys.

use std::collections::BTreeSet;

use super::groups::Slice;

/// The rows that are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Those of some groups.
    Groups(&'a Slice),
    /// Those with one of these keys, by their hashes.
    Keys(&'a BTreeSet<u64>),
}

impl Wanted<'_> {
    /// Whether the row with this key is one of them.
    pub(super) fn contains(&self, key_hash: u64) -> bool {
        match self {
            Wanted::Groups(slice) => slice.contains(key_hash),
            Wanted::Keys(keys) => keys.contains(&key_hash),
        }
    }

    /// The condition that a row is one of them, by the expression of its key's hash; `None` if all are.
    pub(super) fn sql_condition(&self, key_hash: &str) -> Option<String> {
        match self {
            Wanted::Groups(slice) => slice.sql_condition(key_hash),
            Wanted::Keys(keys) => {
                let hashes: Vec<String> = keys.iter().map(|key| (*key as i64).to_string()).collect();
                Some(format!(
                    "{key_hash} OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.int8[])",
                    hashes.join(",")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_as_the_server_prints_hashes() {
        let keys = BTreeSet::from([7, u64::MAX]);
        let wanted = Wanted::Keys(&keys);
        assert!(wanted.contains(7) && !wanted.contains(8));
        let sql = wanted.sql_condition("h").unwrap();
        assert_eq!(sql, "h OPERATOR(pg_catalog.=) ANY ('{7,-1}'::pg_catalog.int8[])");
        let all = Slice::all();
        assert_eq!(Wanted::Groups(&all).sql_condition("h"), None);
    }
}
