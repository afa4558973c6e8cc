//! `--mode deep`: which rows of the tables differ whose digests do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dbhaul_rows::DigestSpec;
use dbhaul_verifier::{
    DifferingRows, DrillOptions, DrillSide, DrillTask, Groups, LiveRows, MatchingKey, ShowValues,
    TableResult, ValueStyle, Verdict, locate_rows,
};

use super::repair::{Repair, repair_table};
use super::scope::Scope;
use super::settled;
use super::side::{Rows, Side};
use crate::{Context, PipelineError};

/// How each table is hashed, or why it cannot be compared.
type Specs = BTreeMap<String, Result<DigestSpec, String>>;

/// What becomes of the rows that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownRows {
    /// How many rows of each table.
    pub max_rows: usize,
    /// Their values.
    pub values: ShowValues,
    /// For how long they are looked at again before they count, because the sides are being written to; `None`: they
    /// count as they are first seen. Backups do not change, and rows of theirs are not looked at again.
    pub settle: Option<Duration>,
}

impl Default for ShownRows {
    fn default() -> Self {
        ShownRows { max_rows: 20, values: ShowValues::default(), settle: None }
    }
}

/// Adds to each table whose digests differ which of its rows do. Where a repair is asked for, returns the statements.
pub(super) async fn drill_down(
    tables: &mut [TableResult],
    (left, right): (&Side, &Side),
    (specs, mut groups): (&Specs, [BTreeMap<String, Groups>; 2]),
    (scope, style): (&Scope<'_>, &ValueStyle),
    context: &Context,
) -> Result<Repair, PipelineError> {
    let are_live = left.live.is_some() && right.live.is_some();
    let options = DrillOptions {
        max_rows: scope.shown.max_rows,
        values: style.clone(),
        settle: scope.shown.settle.filter(|_| are_live),
        limit: scope.limit,
    };
    let (mut tasks, mut places) = (Vec::new(), Vec::new());
    let mut repair = Repair::default();
    for (place, table) in tables.iter_mut().enumerate() {
        let Verdict::Different { left: of_left, right: of_right } = &table.verdict else { continue };
        let rows = (left.rows.get(&table.name), right.rows.get(&table.name));
        let (Some(Ok(spec)), (Some(one), Some(two))) = (specs.get(&table.name), rows) else {
            table.rows = Some(Box::new(at_root(&table.name, style.show())));
            repair.left_out.push(format!("{} is left out: its rows were not located", table.name));
            continue;
        };
        let key = MatchingKey::of(&table.name, &left.catalog, &right.catalog);
        let repaired = match scope.accept {
            Some(accept) if accept.covers_rows(&table.name) => {
                Some(Err(format!("{} is left out: its differences are accepted", table.name)))
            }
            Some(_) => Some(repair_table(&table.name, spec, &key, right)),
            None => None,
        };
        tasks.push(DrillTask {
            name: table.name.clone(),
            spec: spec.clone(),
            key,
            repair: repaired
                .and_then(|repaired| repaired.map_err(|reason| repair.left_out.push(reason)).ok()),
            digests: [*of_left, *of_right],
            groups: groups.each_mut().map(|groups| groups.remove(&table.name)),
            rows: [live_rows(left, one), live_rows(right, two)],
        });
        places.push(place);
    }
    if tasks.is_empty() {
        return Ok(repair);
    }
    let mut sides = [drill_side(left), drill_side(right)];
    let located =
        Box::pin(locate_rows(&tasks, &mut sides, &options, &context.progress, &context.cancel)).await?;
    for ((place, task), located) in places.into_iter().zip(&tasks).zip(located) {
        if task.repair.is_some() && located.repair.is_none() {
            repair.left_out.push(format!("{} is left out: its rows were not located", task.name));
        }
        repair.tables.extend(located.repair);
        tables[place].rows = Some(Box::new(located.rows));
        settled::judge(&mut tables[place]);
    }
    Ok(repair)
}

/// Tables of fewer bytes are read many with one query, and once more where they differ.
const LARGE_BYTES: u64 = 1 << 20;

/// Tables whose groups are kept until both sides are read: 32 KiB for each side.
const MOST_GROUPED: usize = 256;

/// The largest tables, with the columns of their keys by whose hashes rows are put into groups while their digests are
/// taken. Where such a table differs, that saves a scan of it.
pub(super) fn group_large((left, right): (&Side, &Side), specs: &Specs) -> BTreeMap<String, Vec<usize>> {
    let size = |name: &String| {
        let (left, right) = (left.rows.get(name)?, right.rows.get(name)?);
        (left.table.is_some() || right.table.is_some())
            .then_some(left.estimated_bytes.max(right.estimated_bytes))
    };
    let mut large: Vec<(u64, &String, &DigestSpec)> = specs
        .iter()
        .filter_map(|(name, spec)| Some((size(name)?, name, spec.as_ref().ok()?)))
        .filter(|(bytes, ..)| *bytes > LARGE_BYTES)
        .collect();
    large.sort_by_key(|(bytes, ..)| std::cmp::Reverse(*bytes));
    let keyed = large.into_iter().take(MOST_GROUPED).filter_map(|(_, name, spec)| {
        let key = MatchingKey::of(name, &left.catalog, &right.catalog).places(spec)?;
        Some((name.clone(), key))
    });
    keyed.collect()
}

/// What is said of tables of which only the sum of their partitions is compared, and of large objects that only one
/// side has.
fn at_root(table: &str, values: ShowValues) -> DifferingRows {
    let note = format!(
        "the rows that differ were not located: those of {table} are compared together, and not in the parts in which \
         each side has them"
    );
    DifferingRows { values, notes: vec![note], ..DifferingRows::default() }
}

fn live_rows(side: &Side, rows: &Rows) -> Option<LiveRows> {
    side.live.as_ref().map(|_| LiveRows {
        table: rows.table.clone(),
        from: rows.from.clone(),
        reading: rows.reading,
        has_tids: rows.has_tids,
    })
}

fn drill_side(side: &Side) -> DrillSide {
    match (&side.live, &side.stored) {
        (Some(live), _) => DrillSide::live(&live.settings, &live.holder),
        (None, Some(stored)) => DrillSide::stored(Arc::clone(stored)),
        (None, None) => DrillSide::unread(),
    }
}
