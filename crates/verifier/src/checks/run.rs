//! Checks asked of two sides.

use std::sync::Arc;

use dbhaul_catalog::quote_identifier;
use dbhaul_postgres::{
    self as postgres, ConnectSettings, Session, SessionOptions, SessionRole, SnapshotHolder, search_path_sql,
};
use dbhaul_progress::Progress;
use dbhaul_retry::RetryPolicy;
use dbhaul_rows::COPY_OUT_OPTIONS;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, judge};
use super::{Check, CheckResult, CheckVerdict, Checks, MAX_ANSWER_BYTES, MAX_ANSWER_ROWS};
use crate::drill::Lines;
use crate::{ShowValues, ValueStyle, VerifyError};

/// The SQLSTATE with which a server ends what has taken too long.
const QUERY_CANCELED: &str = "57014";

/// A side that checks are asked of.
#[derive(Debug)]
pub struct CheckSide {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Live { settings: Box<ConnectSettings>, holder: Arc<SnapshotHolder>, session: Option<Session> },
    Unasked(&'static str),
}

impl CheckSide {
    /// A database that is asked under the holder's snapshot, by one session.
    pub fn live(settings: &ConnectSettings, holder: &Arc<SnapshotHolder>) -> Self {
        let (settings, holder) = (Box::new(settings.clone()), Arc::clone(holder));
        CheckSide { kind: Kind::Live { settings, holder, session: None } }
    }

    /// A side that cannot answer, for this reason.
    pub fn unasked(reason: &'static str) -> Self {
        CheckSide { kind: Kind::Unasked(reason) }
    }
}

/// Why a side gave no answer.
enum Unanswered {
    Cancelled,
    Reason(String),
}

/// Asks both sides every check, one check after the other. The result has an entry for every check.
///
/// # Errors
/// [`VerifyError::Cancelled`] alone: what a side cannot answer is not verified.
pub async fn run_checks(
    checks: &Checks,
    sides: &mut [CheckSide; 2],
    (max_rows, style): (usize, &ValueStyle),
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Vec<CheckResult>, VerifyError> {
    let mut results = Vec::with_capacity(checks.checks.len());
    for check in &checks.checks {
        let shown = progress.task("CHECK", &check.name, None);
        let asked = Asked { checks, check, values: style.show(), cancel };
        let [left, right] = &mut *sides;
        let (left, right) = futures::join!(Box::pin(asked.patiently(left)), Box::pin(asked.patiently(right)));
        let verdict = match (left, right) {
            (Err(Unanswered::Cancelled), _) | (_, Err(Unanswered::Cancelled)) => {
                return Err(VerifyError::Cancelled);
            }
            (Ok(left), Ok(right)) => judge(&left, &right, check.is_ordered, (max_rows, style)),
            (left, right) => CheckVerdict::NotVerified { reason: reasons(left, right) },
        };
        match &verdict {
            CheckVerdict::NotVerified { reason } => shown.fail(reason.clone()),
            _ => shown.finish(),
        }
        results.push(CheckResult { name: check.name.clone(), sql: check.sql.clone(), verdict });
    }
    for side in sides {
        if let Kind::Live { session, .. } = &mut side.kind
            && let Some(session) = session.take()
        {
            // everything it was asked has been answered
            let _ = session.close().await;
        }
    }
    Ok(results)
}

fn reasons(left: Result<Answer, Unanswered>, right: Result<Answer, Unanswered>) -> String {
    let reason = |side: &str, answer: Result<Answer, Unanswered>| match answer {
        Err(Unanswered::Reason(reason)) => Some(format!("{side}: {reason}")),
        _ => None,
    };
    let both: Vec<String> = [reason("left", left), reason("right", right)].into_iter().flatten().collect();
    both.join("; ")
}

/// A check that is being asked.
struct Asked<'a> {
    checks: &'a Checks,
    check: &'a Check,
    values: ShowValues,
    cancel: &'a CancellationToken,
}

impl Asked<'_> {
    /// Tries again after an outage.
    async fn patiently(&self, side: &mut CheckSide) -> Result<Answer, Unanswered> {
        let mut attempts = RetryPolicy::default().attempts();
        loop {
            let (settings, holder, session) = match &mut side.kind {
                Kind::Live { settings, holder, session } => (&**settings, &**holder, session),
                Kind::Unasked(reason) => return Err(Unanswered::Reason((*reason).to_owned())),
            };
            let error = match Box::pin(self.once(settings, holder, session)).await {
                Ok(answer) => return answer.map_err(Unanswered::Reason),
                Err(error) => error,
            };
            if error.is_cancelled() || self.cancel.is_cancelled() {
                return Err(Unanswered::Cancelled);
            }
            // what took too long once would do so again
            let may_pass = error.is_transient() && error.sqlstate() != Some(QUERY_CANCELED);
            let Some(pause) = attempts.failed(may_pass) else {
                return Err(Unanswered::Reason(self.told(&error)));
            };
            pause.wait(self.cancel).await.map_err(|_| Unanswered::Cancelled)?;
        }
    }

    /// One attempt, in a transaction of its own, which is rolled back whatever was done in it. After an error the
    /// session is not kept.
    async fn once(
        &self,
        settings: &ConnectSettings,
        holder: &SnapshotHolder,
        kept: &mut Option<Session>,
    ) -> Result<Result<Answer, String>, postgres::Error> {
        let session = match kept.take() {
            Some(session) => session,
            None => Box::pin(self.connect(settings)).await?,
        };
        holder.import_into(&session).await?;
        let answered = Box::pin(self.ask(&session)).await;
        if let Ok(answered) = answered {
            session.rollback().await?;
            *kept = Some(session);
            return Ok(answered);
        }
        answered
    }

    async fn connect(&self, settings: &ConnectSettings) -> Result<Session, postgres::Error> {
        // views are what an application reads
        let pins = [("restrict_nonsystem_relation_kind".to_owned(), String::new())];
        let options = SessionOptions { role: SessionRole::Reader, extra_pins: pins.to_vec() };
        Session::connect(settings, options, self.cancel).await
    }

    /// The answer, or why it is none that is compared.
    async fn ask(&self, session: &Session) -> Result<Result<Answer, String>, postgres::Error> {
        let path: Vec<String> =
            self.checks.search_path.iter().map(|schema| quote_identifier(schema)).collect();
        let limit = u64::from(self.check.timeout_seconds) * 1000;
        let set = format!("SET LOCAL statement_timeout = {limit}; {}", search_path_sql(&path.join(", ")));
        session.batch(&set).await?;
        // a line feed ends a comment at the end of the query
        let sql = &self.check.sql;
        let columns = session
            .query_columns(&format!("SELECT * FROM (/* check */ {sql}\n) AS answer WHERE false"))
            .await?;
        let mut copy =
            session.copy_out(&format!("COPY (/* check */ {sql}\n) TO STDOUT {COPY_OUT_OPTIONS}")).await?;
        let (mut lines, mut rows, mut bytes) = (Lines::default(), Vec::new(), 0);
        while let Some(block) = copy.next_block().await? {
            bytes += block.len();
            if bytes > MAX_ANSWER_BYTES {
                return Ok(Err(format!("its answer has more than {} MiB", MAX_ANSWER_BYTES >> 20)));
            }
            let kept = lines.each(&block, &mut |line| {
                rows.push(line.to_vec());
                if rows.len() > MAX_ANSWER_ROWS { Err(too_many()) } else { Ok(()) }
            });
            if let Err(reason) = kept {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(Answer { columns, rows }))
    }

    /// What a report says of an error. The message of one that is about values may hold some: it is shown only where
    /// values are.
    fn told(&self, error: &postgres::Error) -> String {
        match error.server_error() {
            Some(server) if self.values != ShowValues::Show && !is_about_names(&server.sqlstate) => format!(
                "the query failed with SQLSTATE {}; its message may hold values, which are not shown",
                server.sqlstate
            ),
            Some(server) => format!("{} (SQLSTATE {})", server.message, server.sqlstate),
            None => error.to_string(),
        }
    }
}

fn too_many() -> String {
    format!("its answer has more than {MAX_ANSWER_ROWS} rows: let the query sum them up")
}

/// Classes of errors whose messages name objects, limits and states, and no values.
fn is_about_names(sqlstate: &str) -> bool {
    const CLASSES: [&str; 8] = ["08", "0A", "25", "40", "42", "53", "55", "57"];
    CLASSES.iter().any(|class| sqlstate.starts_with(class))
}
