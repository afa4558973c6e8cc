//! Loading one segment: its rows and its ledger row commit together.

use std::sync::Arc;

use async_trait::async_trait;
use dbhaul_catalog::{DataEntry, TableData, TocEntry, quote_identifier, replaced_rows};
use dbhaul_postgres::Session;
use dbhaul_progress::Task;
use dbhaul_rows::{Chunk, CopyFormat, RowDigest};
use futures::StreamExt;

use super::attempt::{Shared, StepError};
use super::context::{Context, join};
use super::large_objects;
use super::search_path::{PathAttempt, Transaction};
use crate::ledger::DoneStep;
use crate::{SegmentRef, SegmentRows};

/// Tables of fewer bytes are not loaded frozen. `TRUNCATE` gives a table, its TOAST table and that one's index
/// new files and removes the old, freezing adds a visibility map: for a small table that is most of the work,
/// and a vacuum of so few pages is none.
pub(super) const LEAST_FROZEN_BYTES: u64 = 1 << 20;

/// Loads one segment of a table or of large objects.
pub(crate) struct SegmentAttempt {
    key: String,
    segment: SegmentRef,
    prepare: Option<String>,
    copy: CopyStatement,
    finish: Option<String>,
    meter: Meter,
}

/// The `COPY` into a table, whose format the rows decide.
#[derive(Debug)]
struct CopyStatement {
    /// The table and its columns.
    relation: String,
    is_frozen: bool,
}

impl CopyStatement {
    fn sql(&self, format: CopyFormat) -> String {
        format!("COPY {} FROM STDIN WITH {}", self.relation, format.copy_in_options(self.is_frozen))
    }
}

impl SegmentAttempt {
    pub(crate) fn new(
        context: &Context,
        entry: &TocEntry,
        segment: SegmentRef,
        key: String,
        task: Option<Arc<Task>>,
    ) -> PathAttempt<Self> {
        let segments = context.plan.segments.get(&entry.id).map(Vec::as_slice).unwrap_or_default();
        let (prepare, copy, finish) = match &entry.data {
            Some(DataEntry::Table(table)) => {
                let is_ours = table.created_by_toc && context.plan.options.sections.pre_data;
                // what is loaded through a root goes into partitions that other segments fill too
                let is_whole = matches!(segments, [bytes] if *bytes >= LEAST_FROZEN_BYTES);
                let (prepare, copy) = table_statements(table, is_ours && is_whole && table.root.is_none());
                (prepare.or_else(|| replaced_rows(table)), copy, None)
            }
            Some(DataEntry::LargeObjects) | None => (
                Some(large_objects::CREATE_PAGES_SQL.to_owned()),
                CopyStatement { relation: large_objects::PAGES.to_owned(), is_frozen: false },
                Some(large_objects::PUT_PAGES_SQL.to_owned()),
            ),
        };
        let meter = Meter { task, ..Meter::default() };
        let attempt = SegmentAttempt { key, segment, prepare, copy, finish, meter };
        PathAttempt::new(attempt, format!("{}, {segment}", crate::plan::touched_tables::describe(entry)))
    }

    /// Feeds all chunks; the stream is polled only as fast as the target takes rows.
    async fn copy(&mut self, context: &Context, session: &Session) -> Result<RowDigest, StepError> {
        let mut digest = RowDigest::default();
        let cancelled = || StepError::Cancelled;
        let opening = context.source.open(self.segment);
        let rows = context.cancel.run_until_cancelled(opening).await.ok_or_else(cancelled)??;
        let SegmentRows { format, mut chunks } = rows;
        let mut copy = session.copy_in(&self.copy.sql(format)).await?;
        while let Some(chunk) =
            context.cancel.run_until_cancelled(chunks.next()).await.ok_or_else(cancelled)?
        {
            let Chunk { data, row_count, digest: chunk_digest } = chunk?;
            if row_count != chunk_digest.row_count {
                return Err(StepError::ChunkCount { row_count, digest_row_count: chunk_digest.row_count });
            }
            let copied_bytes = data.len() as u64;
            copy.send(data).await?;
            digest.merge(chunk_digest);
            self.meter.advance(row_count, copied_bytes);
        }
        let taken = copy.finish().await?;
        match taken == digest.row_count {
            true => Ok(digest),
            false => Err(StepError::RowCount { sent: digest.row_count, taken }),
        }
    }
}

#[async_trait]
impl Transaction for SegmentAttempt {
    async fn run(
        &mut self,
        context: &Context,
        session: &Session,
        first: Option<String>,
    ) -> Result<DoneStep, StepError> {
        self.meter.restart();
        let mut statements: Vec<String> = first.into_iter().collect();
        statements.push(context.ledger.claim_sql(&self.key, None));
        statements.extend(self.prepare.clone());
        session.begin_and(&join(&statements)).await?;
        let digest = self.copy(context, session).await?;
        if let Some(finish) = &self.finish {
            session.batch(finish).await?;
        }
        session.commit_after(&context.ledger.digest_sql(&self.key, digest)).await?;
        Ok(DoneStep { digest, left_out: None })
    }

    async fn share(&mut self, context: &Context, session: &Session) -> Result<Shared, StepError> {
        if self.prepare.is_some() || self.finish.is_some() {
            return Ok(Shared::Alone);
        }
        self.meter.restart();
        let digest = self.copy(context, session).await?;
        Ok(Shared::Done(DoneStep { digest, left_out: None }))
    }

    /// Check constraints, generated columns and domains may.
    fn runs_functions(&self) -> bool {
        true
    }
}

/// What goes before the rows, and the COPY itself. A table whose rows all come in one transaction, and that
/// nobody else has seen, takes them frozen: visible to all and never to be rewritten by vacuum.
fn table_statements(table: &TableData, is_whole: bool) -> (Option<String>, CopyStatement) {
    let name = table.destination().sql();
    let columns: Vec<String> = table.columns.iter().map(|column| quote_identifier(&column.name)).collect();
    // a table without columns has no list, since the grammar has no empty one
    let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let truncate = is_whole.then(|| format!("TRUNCATE ONLY {name}"));
    (truncate, CopyStatement { relation: format!("{name}{list}"), is_frozen: is_whole && table.has_tids })
}

/// Reports what is loaded. Rows that an earlier attempt has reported are not reported twice.
#[derive(Default)]
struct Meter {
    task: Option<Arc<Task>>,
    row_count: u64,
    copied_bytes: u64,
    reported_row_count: u64,
    reported_bytes: u64,
}

impl Meter {
    fn restart(&mut self) {
        self.row_count = 0;
        self.copied_bytes = 0;
    }

    fn advance(&mut self, row_count: u64, copied_bytes: u64) {
        self.row_count += row_count;
        self.copied_bytes += copied_bytes;
        let new_rows = self.row_count.saturating_sub(self.reported_row_count);
        let new_bytes = self.copied_bytes.saturating_sub(self.reported_bytes);
        self.reported_row_count += new_rows;
        self.reported_bytes += new_bytes;
        if let Some(task) = self.task.as_ref().filter(|_| new_bytes > 0) {
            task.advance(new_rows, new_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dbhaul_catalog::{DataColumn, QualifiedName, TableData};
    use dbhaul_progress::{Progress, Recorder};
    use dbhaul_rows::CopyFormat;

    use super::{Meter, table_statements};

    fn table(columns: &[&str], has_tids: bool) -> TableData {
        let column = |name: &&str| DataColumn {
            name: (*name).into(),
            type_name: "integer".into(),
            base_type_name: "integer".into(),
            base_type_kind: 'b',
        };
        TableData {
            table: QualifiedName::new("public", "Film"),
            root: None,
            columns: columns.iter().map(column).collect(),
            condition: None,
            has_tids,
            created_by_toc: true,
            nests_regclass: false,
        }
    }

    #[test]
    fn whole_tables_are_frozen() {
        let (truncate, copy) = table_statements(&table(&["a", "B"], true), true);
        assert_eq!(truncate.as_deref(), Some("TRUNCATE ONLY public.\"Film\""));
        let expected = "COPY public.\"Film\" (a, \"B\") FROM STDIN WITH (FORMAT text, FREEZE true)";
        assert_eq!(copy.sql(CopyFormat::Text), expected);
        let expected = "COPY public.\"Film\" (a, \"B\") FROM STDIN WITH (FORMAT binary, FREEZE true)";
        assert_eq!(copy.sql(CopyFormat::Binary), expected);
    }

    #[test]
    fn parts_and_other_access_methods_are_not() {
        let (truncate, copy) = table_statements(&table(&[], true), false);
        assert_eq!(truncate, None);
        assert_eq!(copy.sql(CopyFormat::Text), "COPY public.\"Film\" FROM STDIN WITH (FORMAT text)");
        let (_, copy) = table_statements(&table(&[], false), true);
        assert_eq!(copy.sql(CopyFormat::Text), "COPY public.\"Film\" FROM STDIN WITH (FORMAT text)");
    }

    #[test]
    fn a_repeated_attempt_reports_only_what_is_new() {
        let recorder = Recorder::default();
        let task = Arc::new(Progress::new(recorder.clone()).task("TABLE DATA", "t", None));
        let mut meter = Meter { task: Some(task), ..Meter::default() };
        meter.advance(10, 100);
        meter.restart();
        meter.advance(4, 40);
        meter.advance(8, 80);
        assert_eq!(recorder.copied(), (12, 120));
    }
}
