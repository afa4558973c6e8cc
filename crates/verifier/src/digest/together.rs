//! Small tables digested many with one query: each alone costs its server more to be asked for than to be read.

use std::sync::PoisonError;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres as postgres;
use dbhaul_rows::RowDigest;

use super::{Answer, DigestTask, Reader, Reading, Scan};

/// Tables of more bytes are read alone.
const MOST_BYTES: u64 = 1 << 20;

/// Tables in one query at most.
const MOST_TABLES: usize = 32;

/// Their columns at most, which bounds the query's text and the server's memory for it.
const MOST_COLUMNS: usize = 512;

impl Scan {
    /// The next tasks, to be asked for with one query if they are several; nothing at the end.
    pub(super) fn next(&self) -> Vec<DigestTask> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // towards the end less, so that no session is left alone with the last
        let share = queue.len() / (2 * self.jobs);
        let most = MOST_TABLES.min(self.holder.tables_per_transaction(self.jobs)).min(share);
        let is_small = |task: &DigestTask| {
            task.estimated_bytes <= MOST_BYTES
                && task.table.is_some()
                && task.reading != Reading::Copy
                && task.groups_by.is_none()
        };
        let mut tasks: Vec<DigestTask> = queue.pop_front().into_iter().collect();
        let mut column_count = tasks.iter().map(|task| task.spec.columns.len()).sum::<usize>();
        while tasks.len() < most
            && tasks.iter().all(is_small)
            && let Some(next) = queue.front().filter(|next| is_small(next))
        {
            column_count += next.spec.columns.len();
            if column_count > MOST_COLUMNS {
                break;
            }
            tasks.extend(queue.pop_front());
        }
        tasks
    }

    /// The digests of several tasks, in their order; none if that did not work or there is but one task.
    /// Asked for alone, each then says what is the matter with it.
    pub(super) async fn digest_together(
        &self,
        tasks: &[DigestTask],
        kept: &mut Option<Reader>,
    ) -> Vec<RowDigest> {
        if tasks.len() < 2 {
            return Vec::new();
        }
        // whatever the error, it is met again by the table that it is about
        self.try_together(tasks, kept).await.unwrap_or_default()
    }

    /// One attempt. An error leaves the session's transaction failed, so the session is not kept.
    async fn try_together(
        &self,
        tasks: &[DigestTask],
        kept: &mut Option<Reader>,
    ) -> Result<Vec<RowDigest>, postgres::Error> {
        let Reader { session, read_count } = self.reader(kept.take(), tasks.len()).await?;
        let rows: Vec<PlacedAnswer> = session.query_json(&together_sql(tasks)).await?;
        let mut digests = Vec::with_capacity(tasks.len());
        for (place, task) in tasks.iter().enumerate() {
            let mut own = rows.iter().filter(|row| row.place == place);
            let (Some(row), None) = (own.next(), own.next()) else {
                return Err(task.answer_error(&session, "not one row for each table".to_owned()));
            };
            digests.push(row.answer.digest(task, &session)?);
        }
        let tables: Vec<QualifiedName> = tasks.iter().filter_map(|task| task.table.clone()).collect();
        self.holder.check_tables(&session, &tables).await?;
        *kept = Some(Reader { session, read_count: read_count + tasks.len() });
        Ok(digests)
    }
}

#[derive(serde::Deserialize)]
pub(super) struct PlacedAnswer {
    pub(super) place: usize,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

/// One row for each task: its place in the list, `count` and `sum`.
fn together_sql(tasks: &[DigestTask]) -> String {
    let arms = tasks
        .iter()
        .enumerate()
        .map(|(place, task)| format!("SELECT {place} AS place, {} FROM {}", task.sql_columns(), task.rows));
    arms.collect::<Vec<_>>().join("\nUNION ALL\n")
}
