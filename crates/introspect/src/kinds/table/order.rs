//! Finds the children whose columns `CREATE TABLE ... INHERITS` would put in another order than they have.

use std::collections::{HashMap, HashSet};

use dbhaul_catalog::kinds::Column;

/// Of the tables whose order matters, `used`, those that keep it only if they are made alone and inherit
/// afterwards. `parents` lists parents by child.
pub(super) fn inheriting_later(
    columns: &HashMap<u32, Vec<Column>>,
    parents: &HashMap<u32, Vec<u32>>,
    used: &HashSet<u32>,
) -> HashSet<u32> {
    let mut orders = Orders { columns, parents, used, made: HashMap::new(), later: HashSet::new() };
    for &table in used.iter().filter(|table| parents.get(table).is_some_and(|parents| !parents.is_empty())) {
        orders.made(table);
    }
    orders.later
}

struct Orders<'a> {
    columns: &'a HashMap<u32, Vec<Column>>,
    parents: &'a HashMap<u32, Vec<u32>>,
    used: &'a HashSet<u32>,
    /// The order in which each table seen so far gets its columns.
    made: HashMap<u32, Vec<&'a str>>,
    later: HashSet<u32>,
}

impl<'a> Orders<'a> {
    /// The columns of a table as they will be: its parents' in their order, then its own.
    fn made(&mut self, table: u32) -> Vec<&'a str> {
        if let Some(made) = self.made.get(&table) {
            return made.clone();
        }
        let columns = self.columns.get(&table).map(Vec::as_slice).unwrap_or_default();
        let own: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut made: Vec<&str> = Vec::with_capacity(own.len());
        for &parent in self.parents.get(&table).into_iter().flatten() {
            let inherited = self.made(parent);
            made.extend(inherited.into_iter().filter(|name| own.contains(name)).collect::<Vec<_>>());
        }
        made.extend(&own);
        let mut seen = HashSet::new();
        made.retain(|name| seen.insert(*name));
        if made != own && self.used.contains(&table) {
            self.later.insert(table);
            made = own;
        }
        self.made.insert(table, made.clone());
        made
    }
}
