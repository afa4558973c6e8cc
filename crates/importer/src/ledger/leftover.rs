//! Ledgers of earlier runs among the objects of a database.

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Object};

use crate::ledger::MARK;

/// The tables of a ledger and their columns, in order.
const TABLES: [(&str, &[&str]); 3] = [
    ("alive", &["yes"]),
    (
        "run",
        &[
            "run",
            "fingerprint",
            "shape",
            "source_state",
            "clean",
            "started_at",
            "flushed_at",
            "server_crashed",
        ],
    ),
    ("step", &["step", "digest", "left_out", "committed_at"]),
];

/// A ledger that a run has left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftoverLedger {
    /// The run.
    pub run: String,
    /// The schema of its ledger, which holds nothing else.
    pub schema: String,
}

/// The ledgers in a database. A schema is one if its comment says so and it holds the tables of a
/// ledger, each with its columns, and nothing else: whatever looks like one and is not belongs to
/// somebody.
pub fn leftover_ledgers(catalog: &Catalog) -> Vec<LeftoverLedger> {
    let schemas = catalog.objects.iter().filter(|object| matches!(object.body, Body::Schema(_)));
    let marked = schemas.filter_map(|object| {
        let run = object.comment.as_deref()?.strip_prefix(MARK)?.to_owned();
        Some(LeftoverLedger { run, schema: object.name.clone() })
    });
    marked.filter(|ledger| is_ledger(catalog, &ledger.schema)).collect()
}

fn is_ledger(catalog: &Catalog, schema: &str) -> bool {
    let mut tables = Vec::new();
    for object in catalog.objects.iter().filter(|object| object.schema.as_deref() == Some(schema)) {
        match &object.body {
            Body::Table(table) => {
                let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
                tables.push((object.name.as_str(), columns));
            }
            _ if is_part(object) => {}
            _ => return false,
        }
    }
    tables.sort_unstable();
    tables.len() == TABLES.len()
        && tables
            .iter()
            .zip(TABLES)
            .all(|((name, columns), (expected, of_it))| *name == expected && columns == of_it)
}

/// Keys, their indexes, checks and defaults go with a table.
fn is_part(object: &Object) -> bool {
    matches!(object.body, Body::Constraint(_) | Body::Index(_) | Body::ColumnDefault(_))
}
