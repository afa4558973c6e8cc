//! Partitions whose rows another database keeps in other partitions: compared together, at their root.
//!
//! A table partitioned by the hash of an enum has each row in the partition that the OIDs of one database
//! say, so that partitions with the same name hold other rows elsewhere. The digest of rows is a sum, so that
//! of the root is the sum of those of its partitions.

use std::collections::BTreeMap;

use dbhaul_catalog::{Catalog, QualifiedName, TornFamily};
use dbhaul_rows::{DigestSpec, RowDigest};
use dbhaul_verifier::{Found, TableResult, Verdict};

/// Roots by the names of the partitions that are compared at them.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    by_table: BTreeMap<String, String>,
}

impl Roots {
    /// Takes tables with their roots, from both sides: one that is told by either side counts.
    pub(crate) fn new<'a>(tables: impl Iterator<Item = (&'a String, Option<&'a String>)>) -> Self {
        let rooted = tables.filter_map(|(table, root)| Some((table.clone(), root?.clone())));
        Roots { by_table: rooted.collect() }
    }

    /// All partitions that are compared together with one, itself left out.
    pub(crate) fn siblings(&self, table: &str) -> Vec<String> {
        let Some(root) = self.by_table.get(table) else { return Vec::new() };
        let below = self.by_table.iter().filter(|(other, of)| *of == root && *other != table);
        below.map(|(other, _)| other.clone()).collect()
    }

    /// What one side has, partitions summed up at their roots.
    pub(crate) fn sum_up(
        &self,
        found: BTreeMap<String, Found>,
        specs: &BTreeMap<String, Result<DigestSpec, String>>,
    ) -> BTreeMap<String, Found> {
        let mut summed: BTreeMap<String, Found> = BTreeMap::new();
        let mut first_specs: BTreeMap<&String, &DigestSpec> = BTreeMap::new();
        for (table, one) in found {
            let Some(root) = self.by_table.get(&table) else {
                summed.insert(table, one);
                continue;
            };
            let spec = specs.get(&table).and_then(|spec| spec.as_ref().ok());
            let is_alike = spec.is_none_or(|spec| *first_specs.entry(root).or_insert(spec) == spec);
            let none = match &one {
                Found::Count(_) => Found::Count(0),
                _ => Found::Digest(RowDigest::default()),
            };
            let so_far = summed.remove(root).unwrap_or(none);
            let sum = match (so_far, one) {
                (Found::Unreadable(reason), _) => Found::Unreadable(reason),
                (_, Found::Unreadable(reason)) => Found::Unreadable(format!("its partition {table}: {reason}")),
                (so_far @ Found::Count(_), one) | (so_far, one @ Found::Count(_)) => Found::Count(
                    so_far.row_count().unwrap_or_default() + one.row_count().unwrap_or_default(),
                ),
                _ if !is_alike => Found::Unreadable(
                    "its partitions have their columns in different orders, so that their digests cannot be added"
                        .to_owned(),
                ),
                (Found::Digest(so_far), Found::Digest(one)) => Found::Digest(so_far.merged(one)),
            };
            summed.insert(root.clone(), sum);
        }
        summed
    }

    /// What is not compared for it.
    pub(crate) fn not_compared(&self) -> Vec<String> {
        let mut roots: Vec<&String> = self.by_table.values().collect();
        roots.dedup();
        roots.sort_unstable();
        roots.dedup();
        let text = |root: &String| {
            format!("which partition of {root} holds which row; this differs between databases")
        };
        roots.into_iter().map(text).collect()
    }
}

/// Takes back that parts of such a table differ, where on both sides only these were looked at: their rows may
/// be in the others.
pub(crate) fn doubt_torn(tables: &mut [TableResult], left: &Catalog, right: &Catalog) {
    let torn = |catalog: &Catalog| -> BTreeMap<String, String> {
        let named = |family: &TornFamily| {
            let root = family.root.sql();
            let kept = family.kept.iter().map(QualifiedName::sql).chain([root.clone()]);
            kept.map(|name| (name, root.clone())).collect::<Vec<_>>()
        };
        catalog.torn_families.iter().flat_map(named).collect()
    };
    let (left, right) = (torn(left), torn(right));
    for table in tables.iter_mut().filter(|table| matches!(table.verdict, Verdict::Different { .. })) {
        if let (Some(root), true) = (left.get(&table.name), right.contains_key(&table.name)) {
            let reason = format!(
                "which rows of {root} it holds differs between databases: compare {root} with all its partitions"
            );
            table.verdict = Verdict::NotVerified { reason };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dbhaul_rows::{DigestColumn, DigestSpec, RowDigest, TextForm};
    use dbhaul_verifier::Found;

    use super::Roots;

    fn spec(columns: &[&str]) -> DigestSpec {
        let columns = columns.iter().map(|name| DigestColumn::new(*name, "integer")).collect();
        DigestSpec::new(columns, TextForm::Raw)
    }

    /// What is found of the root `m` of partitions `a` and `b`, beside a table `c`.
    fn found_of(a: Found, b: Found, spec_of_b: DigestSpec) -> BTreeMap<String, Found> {
        let root = "m".to_owned();
        let names = ["a", "b", "c"].map(str::to_owned);
        let tables = names.iter().map(|name| (name, Some(&root).filter(|_| name != "c")));
        let roots = Roots::new(tables);
        assert_eq!(roots.siblings("a"), ["b"]);
        assert_eq!(roots.siblings("c"), Vec::<String>::new());
        assert_eq!(roots.not_compared().len(), 1);
        let c = Found::Digest(digest(7));
        let found = names.into_iter().zip([a, b, c]).collect();
        let specs = [("a", spec(&["x", "y"])), ("b", spec_of_b), ("c", spec(&["z"]))];
        let specs = specs.into_iter().map(|(name, spec)| (name.to_owned(), Ok(spec))).collect();
        roots.sum_up(found, &specs)
    }

    fn digest(sum: u64) -> RowDigest {
        RowDigest { row_count: 1, sum: sum.to_string().parse().unwrap() }
    }

    #[test]
    fn partitions_are_summed_up() {
        let found = found_of(Found::Digest(digest(1)), Found::Digest(digest(2)), spec(&["x", "y"]));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["c", "m"]);
        assert_eq!(found["m"], Found::Digest(digest(1).merged(digest(2))));
        assert_eq!(found["c"], Found::Digest(digest(7)));
    }

    #[test]
    fn counts_are_summed_up_however_columns_lie() {
        let found = found_of(Found::Count(1), Found::Count(2), spec(&["y", "x"]));
        assert_eq!(found["m"], Found::Count(3));
    }

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_all() {
        let unread = Found::Unreadable("gone".to_owned());
        let found = found_of(Found::Digest(digest(1)), unread, spec(&["x", "y"]));
        assert_eq!(found["m"], Found::Unreadable("its partition b: gone".to_owned()));
        let found = found_of(Found::Digest(digest(1)), Found::Digest(digest(2)), spec(&["y", "x"]));
        assert!(matches!(&found["m"], Found::Unreadable(reason) if reason.contains("different orders")));
    }
}
