//! What a role may not read of a side: it is not compared, and the report has it as not verified with the way out.

use std::collections::BTreeSet;

use dbhaul_catalog::{QualifiedName, Selection};
use dbhaul_verifier::{Report, SequenceResult, TableResult, Verdict};

use super::roots;
use super::roots::Roots;
use super::side::Side;
use crate::source::{LiveDatabase, sequences_of};
use crate::{NamedReason, PipelineError};

/// What may not be read of either side, each with its side and reason.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    tables: Vec<NamedReason>,
    sequences: Vec<NamedReason>,
}

impl Hidden {
    /// Takes what may not be read of either side out of both, so that all else is compared.
    ///
    /// # Errors
    /// If a selection cannot be used.
    pub(super) fn take_out(
        (left, of_left): (&mut Side, &Selection),
        (right, of_right): (&mut Side, &Selection),
    ) -> Result<Self, PipelineError> {
        let mut hidden = Hidden::default();
        for (live, selection, role) in [(&left.live, of_left, "left"), (&right.live, of_right, "right")] {
            if let Some(live) = live {
                hidden.find(live, selection, role)?;
            }
        }
        hidden.add_siblings(&roots(left, right));
        for side in [left, right] {
            hidden.tables.iter().for_each(|NamedReason { object, .. }| _ = side.rows.remove(object));
            side.hide_sequences(&hidden.sequences);
        }
        Ok(hidden)
    }

    fn find(&mut self, live: &LiveDatabase, selection: &Selection, role: &str) -> Result<(), PipelineError> {
        let names: BTreeSet<String> = sequences_of(&live.catalog).iter().map(QualifiedName::sql).collect();
        for NamedReason { object, reason } in live.unreadable(selection)? {
            let list = if names.contains(&object) { &mut self.sequences } else { &mut self.tables };
            if list.iter().all(|known| known.object != object) {
                list.push(NamedReason { object, reason: format!("{role}: {reason}") });
            }
        }
        Ok(())
    }

    /// What cannot be compared takes the partitions that are compared together with it along.
    fn add_siblings(&mut self, roots: &Roots) {
        let mut known: BTreeSet<String> = self.tables.iter().map(|hidden| hidden.object.clone()).collect();
        for NamedReason { object, reason } in self.tables.clone() {
            let reason = format!("rows of it may be in {object}, of which: {reason}");
            let siblings =
                roots.siblings(&object).into_iter().filter(|sibling| known.insert(sibling.clone()));
            self.tables.extend(siblings.map(|object| NamedReason { object, reason: reason.clone() }));
        }
    }

    /// Puts all of it into a report.
    pub(super) fn add_to(self, report: &mut Report) {
        let table =
            |NamedReason { object, reason }| TableResult::new(object, Verdict::NotVerified { reason });
        let sequence = |NamedReason { object, reason }| SequenceResult {
            name: object,
            left: None,
            right: None,
            not_verified: Some(reason),
            behind: None,
        };
        report.tables.extend(self.tables.into_iter().map(table));
        report.tables.sort_by(|one, other| one.name.cmp(&other.name));
        report.sequences.extend(self.sequences.into_iter().map(sequence));
        report.sequences.sort_by(|one, other| one.name.cmp(&other.name));
    }
}
