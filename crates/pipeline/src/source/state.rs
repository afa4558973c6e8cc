//! What the source of a migration must still be for it to be resumed.

use std::collections::BTreeMap;

use dbhaul_catalog::kinds::Body;
use dbhaul_exporter::{ExportPlan, Segment, SegmentRange, TablePlan};
use dbhaul_introspect::SequenceValue;
use dbhaul_postgres::SnapshotInfo;
use serde::{Deserialize, Serialize};

use crate::PipelineError;
use crate::source::LiveDatabase;

/// The state of a source when its migration began, as it stands in the ledger on the target.
///
/// It has what is not a matter of the snapshot and would be found different by a later look: where the
/// tables were cut, and where the sequences stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceState {
    /// The snapshot.
    pub(crate) snapshot: SnapshotInfo,
    /// Where the sequences stood.
    pub(crate) sequences: Vec<SequenceValue>,
    /// How the rows of each TOC entry were cut.
    pub(crate) segments: BTreeMap<u32, Vec<Segment>>,
    /// Who holds the snapshot beside the run itself.
    pub(crate) holder: Option<HolderRecord>,
}

/// A process that holds a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HolderRecord {
    /// Its id on the machine that the run was begun on.
    pub(crate) process_id: Option<u32>,
    /// The source, without secrets.
    pub(crate) source: String,
    /// How long it holds the snapshot once the run has gone.
    pub(crate) limit_seconds: u64,
}

impl SourceState {
    /// What has to be known of an opened source whose snapshot is there to be found under this identifier.
    pub(crate) fn of(
        live: &LiveDatabase,
        snapshot: &str,
        export: &ExportPlan,
        holder: Option<HolderRecord>,
    ) -> Self {
        SourceState {
            snapshot: SnapshotInfo { id: snapshot.to_owned(), ..live.holder.info().clone() },
            sequences: live.sequences.clone(),
            segments: export.tables.iter().map(|table| (table.entry, table.segments.clone())).collect(),
            holder,
        }
    }

    /// As the ledger keeps it.
    pub(crate) fn to_text(&self) -> Result<String, PipelineError> {
        serde_json::to_string(self).map_err(|error| unreadable(&error))
    }

    /// Reads what [`Self::to_text`] has written.
    pub(crate) fn parse(text: &str) -> Result<Self, PipelineError> {
        serde_json::from_str(text).map_err(|error| unreadable(&error))
    }

    /// Cuts the tables where they were cut before. Tables that were cut then and are not in the plan, or
    /// the reverse, make it another plan, which the ledger refuses.
    ///
    /// # Errors
    /// If a table that was cut can only be read as a whole by now.
    pub(crate) fn cut(&self, export: &mut ExportPlan) -> Result<(), PipelineError> {
        for table in &mut export.tables {
            let Some(segments) = self.segments.get(&table.entry) else { continue };
            if table.is_unplanned && !is_whole(segments) {
                return Err(not_in_parts(table));
            }
            table.segments.clone_from(segments);
        }
        Ok(())
    }

    /// Why a source, opened anew, is not proven to be what it was; nothing if it is.
    pub(crate) fn change(&self, live: &LiveDatabase) -> Option<String> {
        let (then, now) = (&self.snapshot, live.holder.info());
        let changed = |what: &str, then: &Option<String>, now: &Option<String>| {
            let words = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
            (then != now).then(|| format!("{what} was {} and is {}", words(then), words(now)))
        };
        None.or_else(|| changed("its system identifier", &then.system_identifier, &now.system_identifier))
            .or_else(|| changed("its timeline", &then.timeline, &now.timeline))
            .or_else(|| {
                let hidden = then.system_identifier.is_none();
                hidden.then(|| "it hides its system identifier, so nothing can be proven of it".to_owned())
            })
            .or_else(|| {
                (then.transactions != now.transactions).then(|| {
                    format!(
                        "something has been written to its cluster since (pg_current_snapshot() was {} and is {})",
                        then.transactions, now.transactions
                    )
                })
            })
            // a crash may lose what was committed asynchronously, and give its transaction ids out again
            .or_else(|| (then.started_at != now.started_at).then(|| "it was started again since".to_owned()))
            // what a standby knows of transactions in progress may be incomplete
            .or_else(|| then.is_standby.then(|| changed("its position in the log", &then.lsn, &now.lsn))?)
            .or_else(|| {
                let hidden = then.is_standby && then.lsn.is_none();
                hidden.then(|| "it is a standby that hides its position in the log".to_owned())
            })
            .or_else(|| {
                // a crash empties unlogged tables, and neither a transaction nor the time of the start tells of it
                let table = unlogged_table(live)?;
                Some(format!("a crash may have emptied the unlogged table {table}, and nothing tells of it"))
            })
    }
}

fn is_whole(segments: &[Segment]) -> bool {
    matches!(segments, [Segment { range: SegmentRange::Whole, .. }])
}

fn not_in_parts(table: &TablePlan) -> PipelineError {
    PipelineError::Request {
        problem: format!(
            "the run on the target cannot be resumed: it reads {} in parts, and a query for a part of it would run \
             functions that its indexes or statistics have been given since",
            table.name()
        ),
        help: "start over with --clean --if-exists".to_owned(),
    }
}

fn unlogged_table(live: &LiveDatabase) -> Option<String> {
    let is_unlogged = |object: &&dbhaul_catalog::Object| match &object.body {
        Body::Table(table) => table.unlogged,
        _ => false,
    };
    live.catalog.objects.iter().find(is_unlogged).map(|object| object.sql_name())
}

fn unreadable(error: &serde_json::Error) -> PipelineError {
    PipelineError::Request {
        problem: format!("the ledger on the target is of another version of dbhaul: {error}"),
        help: "resume with the version that began the run, or start over with --clean --if-exists".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dbhaul_catalog::{QualifiedName, RelationSize, ServerVersion, TableData};
    use dbhaul_exporter::{ExportPlan, PAGE_BYTES, TablePlan};
    use dbhaul_postgres::SnapshotInfo;
    use dbhaul_rows::DigestSpec;

    use super::SourceState;

    fn table() -> TablePlan {
        let table = TableData {
            table: QualifiedName::new("public", "film"),
            root: None,
            columns: Vec::new(),
            condition: None,
            has_tids: true,
            created_by_toc: true,
            nests_regclass: false,
        };
        let size = RelationSize { heap_pages: 40, toast_bytes: 0, estimated_row_count: -1.0 };
        TablePlan::table(1, table, DigestSpec::default(), size, ServerVersion::of_major(16), 10 * PAGE_BYTES)
    }

    fn state(table: &TablePlan) -> SourceState {
        let snapshot = SnapshotInfo {
            id: String::new(),
            transactions: String::new(),
            lsn: None,
            system_identifier: None,
            timeline: None,
            started_at: String::new(),
            taken_at: String::new(),
            is_standby: false,
            version: ServerVersion::of_major(16),
            database: String::new(),
        };
        let segments = BTreeMap::from([(1, table.segments.clone())]);
        SourceState { snapshot, sequences: Vec::new(), segments, holder: None }
    }

    #[test]
    fn what_may_not_be_planned_any_more_is_not_read_in_parts() {
        let cut = |earlier: TablePlan, now: TablePlan| {
            let mut export = ExportPlan { tables: vec![now] };
            state(&earlier).cut(&mut export).map(|()| export.tables[0].segments.len())
        };
        let error = cut(table(), table().unplanned()).unwrap_err();
        assert!(error.to_string().contains("public.film"), "{error}");
        assert!(error.help().unwrap().contains("--clean"), "{error}");
        let parts = table().segments.len();
        assert!(parts > 1);
        assert_eq!(cut(table(), table()).unwrap(), parts);
        assert_eq!(cut(table().unplanned(), table()).unwrap(), 1);
        assert_eq!(cut(table().unplanned(), table().unplanned()).unwrap(), 1);
    }

    #[test]
    fn a_state_that_cannot_be_read_names_the_way_out() {
        let error = SourceState::parse("{}").unwrap_err();
        assert!(error.to_string().contains("another version"), "{error}");
        assert!(error.help().unwrap().contains("--clean"), "{error}");
    }
}
