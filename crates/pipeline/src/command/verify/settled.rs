//! Sides that are written to while they are compared: what rows have come to that were looked at again, and what is
//! said where nobody looked again.

use dbhaul_postgres::SnapshotHolder;
use dbhaul_verifier::{TableResult, Verdict};

use super::side::Side;
use crate::Context;

/// Judges a table anew whose rows were looked at again.
pub(super) fn judge(table: &mut TableResult) {
    let (Verdict::Different { left, right }, Some(rows)) = (&table.verdict, &table.rows) else { return };
    let Some(settled) = &rows.settled else { return };
    if settled.is_all() {
        table.verdict = Verdict::Settled { left: *left, right: *right };
    } else if settled.differing_count == 0 {
        let reason = format!("its rows were being changed: {settled}");
        table.verdict = Verdict::NotVerified { reason };
    }
}

/// What is to be said where rows differ and a side was written to: they may have changed between the two snapshots.
pub(super) async fn written_to(tables: &[TableResult], sides: [&Side; 2], context: &Context) -> Vec<String> {
    let differ = |table: &TableResult| {
        matches!(table.verdict, Verdict::Different { .. } | Verdict::OtherCount { .. })
            && table.rows.as_ref().is_none_or(|rows| rows.settled.is_none())
    };
    if !tables.iter().any(differ) || sides.iter().any(|side| side.live.is_none()) {
        return Vec::new();
    }
    let mut notes = Vec::new();
    for (side, role) in sides.into_iter().zip(["left", "right"]) {
        let Some(live) = &side.live else { continue };
        // what cannot be found out is not said
        let Ok(now) = Box::pin(SnapshotHolder::open(&live.settings, &context.cancel)).await else { continue };
        let (then, at) = (live.holder.info(), now.info());
        if then.transactions != at.transactions {
            notes.push(format!(
                "the server of the {role} was written to between {} and {}, while the sides were compared: rows that \
                 differ may have changed between the snapshots of the two sides; `--mode deep --settle SECONDS` looks at \
                 them again before they count",
                then.taken_at, at.taken_at
            ));
        }
        // it has told what was to be known
        let _ = now.release().await;
    }
    notes
}

#[cfg(test)]
mod tests {
    use dbhaul_rows::RowDigest;
    use dbhaul_verifier::{DifferingRows, SettledRows, TableResult, Verdict};

    use super::judge;

    #[test]
    fn only_what_stayed_as_it_was_counts_as_different() {
        let digest = |sum| RowDigest { row_count: 1, sum };
        let judged = |count, undecided_count, differing_count| {
            let verdict = Verdict::Different { left: digest(1), right: digest(2) };
            let settled =
                SettledRows { count, undecided_count, differing_count, look_count: 1, ..Default::default() };
            let rows = DifferingRows { settled: Some(settled), ..Default::default() };
            let mut table =
                TableResult { rows: Some(Box::new(rows)), ..TableResult::new("public.t", verdict) };
            judge(&mut table);
            table.verdict
        };
        assert!(matches!(judged(3, 0, 0), Verdict::Settled { .. }));
        assert!(matches!(judged(3, 1, 0), Verdict::NotVerified { .. }));
        assert!(matches!(judged(0, 1, 1), Verdict::Different { .. }));
    }
}
