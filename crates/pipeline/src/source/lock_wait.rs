//! Says for whom a session waits that does not get its locks.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use dbhaul_postgres::{ConnectSettings, Error, Session, SessionRole};

use crate::{Context, PipelineError};

/// How long nobody is told, since most locks are granted sooner.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long until it is said again.
const PAUSE: Duration = Duration::from_secs(60);

/// The session that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waiting<'a> {
    /// By the process that serves it.
    Process(i32),
    /// By the name that it has given itself.
    Named(&'a str),
}

/// Waits for `locking`, which is done when a session of `settings` has its locks. If that takes long, a session
/// of its own finds out who has them, and a notice says so.
pub(crate) async fn with_news<T>(
    locking: impl Future<Output = T>,
    waiting: Waiting<'_>,
    settings: &ConnectSettings,
    context: &Context,
) -> T {
    let mut locking = pin!(locking);
    let mut pause = PATIENCE;
    loop {
        tokio::select! {
            done = &mut locking => return done,
            () = tokio::time::sleep(pause) => {}
        }
        pause = PAUSE;
        // What cannot be found out is not said: the wait goes on, and its end says what has to be said.
        let found = tokio::select! {
            done = &mut locking => return done,
            found = blockers(waiting, settings, context) => found.unwrap_or_default(),
        };
        for blocker in found {
            context.progress.warning(blocker);
        }
    }
}

/// Waits for `locking` no longer than the run is to wait for a lock.
///
/// # Errors
/// If that was not long enough.
pub(crate) async fn limited<T>(
    locking: impl Future<Output = Result<T, PipelineError>>,
    settings: &ConnectSettings,
    context: &Context,
) -> Result<T, PipelineError> {
    let Some(limit) = context.lock_wait else { return locking.await };
    match tokio::time::timeout(limit, locking).await {
        Ok(result) => result,
        Err(_) => {
            let seconds = limit.as_secs_f64();
            let problem = format!("the tables of the source could not be locked within {seconds:.1} s");
            Err(timed_out(problem, settings, context).await)
        }
    }
}

/// An error, with the tables that are locked where it is that of a lock that was not granted in time.
pub(crate) async fn named(
    error: PipelineError,
    settings: &ConnectSettings,
    context: &Context,
) -> PipelineError {
    match error.is_lock_timeout() {
        true => timed_out(with_causes(&error), settings, context).await,
        false => error,
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Of so many tables is said who has them.
const SHOWN: usize = 8;

async fn timed_out(problem: String, settings: &ConnectSettings, context: &Context) -> PipelineError {
    // what cannot be found out is not said
    let locked = locked(settings, context).await.unwrap_or_default();
    let more = if locked.len() > SHOWN { ", ..." } else { "" };
    let locked = match locked.is_empty() {
        true => String::new(),
        false => format!("; others have locked {}{more}", locked[..locked.len().min(SHOWN)].join(", ")),
    };
    PipelineError::Request {
        problem: format!("{problem}{locked}"),
        help: "run it again when nobody holds or waits for stronger locks on its tables, or with a longer \
               --lock-wait-timeout"
            .to_owned(),
    }
}

/// The tables of a database that nobody can read, for whoever has locked them or wants to, with who that is.
async fn locked(settings: &ConnectSettings, context: &Context) -> Result<Vec<String>, Error> {
    let session = Session::connect(settings, SessionRole::Reader, &context.cancel).await?;
    let sql = format!(
        "SELECT DISTINCT l.relation::pg_catalog.regclass::pg_catalog.text, l.pid, a.usename, a.application_name, a.state \
         FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid() \
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) \
         ORDER BY 1, 2 LIMIT {}",
        SHOWN + 1
    );
    let rows = session.query_rows(&sql).await?;
    session.close().await?;
    let text = |row: &Vec<Option<String>>| {
        let [Some(relation), Some(pid), who @ ..] = row.as_slice() else { return None };
        Some(dbhaul_catalog::in_one_line(&format!("{relation} (process {pid}{})", who_text(who))))
    };
    Ok(rows.iter().filter_map(text).collect())
}

/// `: postgres, psql, active`, as far as it is known.
fn who_text(parts: &[Option<String>]) -> String {
    let who: Vec<&str> =
        parts.iter().filter_map(|part| part.as_deref().filter(|text| !text.is_empty())).collect();
    if who.is_empty() { String::new() } else { format!(": {}", who.join(", ")) }
}

/// Whom a session waits for, each in a sentence; nobody if it waits for no lock.
async fn blockers(
    waiting: Waiting<'_>,
    settings: &ConnectSettings,
    context: &Context,
) -> Result<Vec<String>, Error> {
    let session = Session::connect(settings, SessionRole::Reader, &context.cancel).await?;
    let rows = session.query_rows(&blockers_sql(waiting)).await?;
    session.close().await?;
    Ok(rows.into_iter().filter_map(|row| sentence(&row, settings)).collect())
}

fn blockers_sql(waiting: Waiting<'_>) -> String {
    let condition = match waiting {
        Waiting::Process(pid) => format!("s.pid = {pid}"),
        Waiting::Named(name) => format!(
            "s.application_name = {} AND s.datname = pg_catalog.current_database()",
            dbhaul_catalog::quote_literal(name)
        ),
    };
    format!(
        "SELECT DISTINCT w.relation, b.pid, a.usename, a.application_name, a.state \
         FROM pg_catalog.pg_stat_activity s \
         CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(s.pid)) AS b(pid) \
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid \
         LEFT JOIN LATERAL (SELECT l.relation::pg_catalog.regclass::pg_catalog.text AS relation \
             FROM pg_catalog.pg_locks l WHERE l.pid = s.pid AND NOT l.granted LIMIT 1) w ON true \
         WHERE {condition}"
    )
}

fn sentence(row: &[Option<String>], settings: &ConnectSettings) -> Option<String> {
    let [relation, Some(pid), role, application, state] = row else { return None };
    let what = relation.as_ref().map_or("a lock".to_owned(), |relation| format!("the lock on {relation}"));
    let who: Vec<&str> = [role, application, state]
        .into_iter()
        .filter_map(|part| part.as_deref().filter(|text| !text.is_empty()))
        .collect();
    let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
    Some(dbhaul_catalog::in_one_line(&format!(
        "{}: waiting for {what}: process {pid}{who} holds it or waits for it too; dbhaul continues when that process ends its transaction",
        settings.describe()
    )))
}

#[cfg(test)]
mod tests {
    use dbhaul_postgres::ConnectSettings;

    use super::sentence;

    #[test]
    fn what_is_known_is_said() {
        let settings = ConnectSettings::resolve(Some("host=db user=me dbname=shop"), &|_| None).unwrap();
        let row = |texts: [Option<&str>; 5]| texts.map(|text| text.map(str::to_owned)).to_vec();
        let whole =
            row([Some("public.t"), Some("7"), Some("app"), Some("psql"), Some("idle in transaction")]);
        assert_eq!(
            sentence(&whole, &settings).unwrap(),
            "db:5432/shop as me: waiting for the lock on public.t: process 7 (app, psql, idle in transaction) holds it \
             or waits for it too; dbhaul continues when that process ends its transaction"
        );
        let hidden = sentence(&row([None, Some("7"), None, Some(""), None]), &settings).unwrap();
        assert!(hidden.contains("waiting for a lock: process 7 holds it"), "{hidden}");
        assert_eq!(sentence(&row([None, None, None, None, None]), &settings), None);
    }
}
