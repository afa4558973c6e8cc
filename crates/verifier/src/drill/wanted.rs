//! Which rows are looked at one by one: those of some groups, or those with some keys.

use std::collections::BTreeSet;

use dbhaul_catalog::quote_identifier;

use super::groups::Slice;
use super::key::PlainType;

/// The rows that are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Those of some groups.
    Groups(&'a Slice),
    /// Those with some keys.
    Keys(&'a Keys<'a>),
}

/// Keys by their hashes.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    pub(super) hashes: BTreeSet<u64>,
    /// The values of the first column of each, so that an index can find the rows.
    pub(super) first: Option<FirstValues<'a>>,
}

/// A column with all values of it in some keys.
#[derive(Debug)]
pub(super) struct FirstValues<'a> {
    pub(super) column: &'a str,
    pub(super) plain: PlainType,
    pub(super) values: BTreeSet<&'a str>,
}

impl Wanted<'_> {
    /// Whether the row with this key is one of them.
    pub(super) fn contains(&self, key_hash: u64) -> bool {
        match self {
            Wanted::Groups(slice) => slice.contains(key_hash),
            Wanted::Keys(keys) => keys.hashes.contains(&key_hash),
        }
    }

    /// The condition that a row is one of them, by the expression of its key's hash; `None` if all are.
    pub(super) fn sql_condition(&self, key_hash: &str) -> Option<String> {
        match self {
            Wanted::Groups(slice) => slice.sql_condition(key_hash),
            Wanted::Keys(keys) => Some(keys.sql_condition(key_hash)),
        }
    }
}

impl Keys<'_> {
    fn sql_condition(&self, key_hash: &str) -> String {
        let hashes: Vec<String> = self.hashes.iter().map(|key| (*key as i64).to_string()).collect();
        let by_hash =
            format!("{key_hash} OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.int8[])", hashes.join(","));
        match self.first.as_ref().and_then(FirstValues::sql_condition) {
            Some(by_value) => format!("{by_value} AND {by_hash}"),
            None => by_hash,
        }
    }
}

impl FirstValues<'_> {
    /// The condition by which an index finds rows; `None` if a value is not what its type prints.
    fn sql_condition(&self) -> Option<String> {
        let is_plain = |value: &&str| value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let (column, values) = (quote_identifier(self.column), Vec::from_iter(self.values.iter().copied()));
        values.iter().all(is_plain).then(|| {
            format!(
                "{column} OPERATOR(pg_catalog.=) ANY ('{{{}}}'::{}[])",
                values.join(","),
                self.plain.sql()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_as_the_server_prints_hashes() {
        let mut keys = Keys { hashes: BTreeSet::from([7, u64::MAX]), first: None };
        assert!(Wanted::Keys(&keys).contains(7) && !Wanted::Keys(&keys).contains(8));
        let by_hash = "h OPERATOR(pg_catalog.=) ANY ('{7,-1}'::pg_catalog.int8[])";
        assert_eq!(Wanted::Keys(&keys).sql_condition("h").unwrap(), by_hash);
        let first = |values: &[&'static str]| {
            let values = values.iter().copied().collect();
            Some(FirstValues { column: "Id", plain: PlainType::Integer, values })
        };
        keys.first = first(&["-5", "30"]);
        assert_eq!(
            Wanted::Keys(&keys).sql_condition("h").unwrap(),
            format!("\"Id\" OPERATOR(pg_catalog.=) ANY ('{{-5,30}}'::pg_catalog.int8[]) AND {by_hash}")
        );
        // what is not plain is not sent
        keys.first = first(&["1'"]);
        assert_eq!(Wanted::Keys(&keys).sql_condition("h").unwrap(), by_hash);
        let all = Slice::all();
        assert_eq!(Wanted::Groups(&all).sql_condition("h"), None);
    }
}
