//! Looks whether the source has too much to do.

use std::time::Duration;

use dbhaul_postgres::{ConnectSettings, ErrorClass, Session, SessionRole};
use dbhaul_progress::counted;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ThrottleOptions;
use crate::{Context, PipelineError, format_bytes, one_line};

/// How often the source is asked.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long one look at the source may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(30);

/// For how long what was found last holds while the source does not answer.
const BLIND_PATIENCE: Duration = Duration::from_secs(60);

/// What the source has to do, one row: sessions at work besides those of this `application_name`, and
/// how far the last standby is behind. A standby that has its own standbys knows no current position.
const LOAD_SQL: &str = "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
       WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid() \
       AND application_name IS DISTINCT FROM pg_catalog.current_setting('application_name')), \
     (SELECT pg_catalog.max(pg_catalog.pg_wal_lsn_diff( \
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
         ELSE pg_catalog.pg_current_wal_lsn() END, replay_lsn))::int8 \
       FROM pg_catalog.pg_stat_replication WHERE replay_lsn IS NOT NULL)";

/// Whether the role sees what sessions of others do.
const SEES_ALL_SQL: &str =
    "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::pg_catalog.text";

/// What a source has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Load {
    active_sessions: u64,
    /// Nothing where there is no standby.
    standby_lag_bytes: Option<u64>,
}

/// Starts to watch, if a limit asks for it: whether reading has to wait, and the task that finds out.
pub(super) async fn start(
    options: ThrottleOptions,
    source: &ConnectSettings,
    context: &Context,
) -> Result<Option<(watch::Receiver<bool>, JoinHandle<()>)>, PipelineError> {
    if options.max_source_load.is_none() && options.max_standby_lag_bytes.is_none() {
        return Ok(None);
    }
    let asking = |error| PipelineError::server("cannot read the activity of the source", error);
    let session = Session::connect(source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let sees_all = session.query_one_text(SEES_ALL_SQL).await.map_err(asking)?;
    if sees_all.as_deref() != Some("true") {
        context.progress.warning(
            "the role may not see what others do on the source (it is no member of pg_read_all_stats): \
             their sessions do not count, and standbys may not be seen",
        );
    }
    let (sender, is_shut) = watch::channel(false);
    let mut watcher = Watcher { options, source: source.clone(), context: context.clone(), sender };
    watcher.judge(load(&session).await.map_err(asking)?);
    Ok(Some((is_shut, tokio::spawn(async move { watcher.watch(session).await }))))
}

struct Watcher {
    options: ThrottleOptions,
    source: ConnectSettings,
    context: Context,
    sender: watch::Sender<bool>,
}

impl Watcher {
    /// Looks again and again. While the source does not answer, what was found last holds for a
    /// while; then reading goes on: what nobody watches must not wait for ever.
    async fn watch(&mut self, session: Session) {
        let mut session = Some(session);
        let mut blind_since: Option<Instant> = None;
        loop {
            let pause = tokio::time::sleep(INTERVAL);
            if self.context.cancel.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let looked = tokio::time::timeout(LOOK_PATIENCE, self.look(&mut session)).await;
            let (problem, is_hopeless) = match looked {
                Ok(Ok(load)) => {
                    blind_since = None;
                    self.judge(load);
                    continue;
                }
                Ok(Err(error)) => (one_line(&error), is_hopeless(&error)),
                Err(_) => (format!("no answer for {} s", LOOK_PATIENCE.as_secs()), false),
            };
            if blind_since.is_none() {
                self.context.progress.warning(format!("the source cannot be watched for now: {problem}"));
            }
            let since = *blind_since.get_or_insert_with(Instant::now);
            if is_hopeless || since.elapsed() >= BLIND_PATIENCE {
                self.open_blindly();
            }
        }
    }

    /// Opens the gate, if it is shut, without knowing whether it should be.
    fn open_blindly(&self) {
        if self.sender.send_replace(false) {
            self.context.progress.warning(
                "reading goes on without the limits on load and lag: the activity of the source cannot be read",
            );
        }
    }

    async fn look(&self, session: &mut Option<Session>) -> Result<Load, dbhaul_postgres::Error> {
        let open = match session.take().filter(|session| !session.is_closed()) {
            Some(open) => open,
            None => Session::connect(&self.source, SessionRole::Reader, &self.context.cancel).await?,
        };
        let load = load(&open).await?;
        *session = Some(open);
        Ok(load)
    }

    /// Shuts the gate or opens it, and says so.
    fn judge(&mut self, load: Load) {
        let reason = too_much(self.options, load);
        let was_shut = self.sender.send_replace(reason.is_some());
        match (reason, was_shut) {
            (Some(reason), false) => self.context.progress.notice(format!("reading pauses: {reason}")),
            (None, true) => self.context.progress.notice("reading goes on"),
            _ => {}
        }
    }
}

/// Whether looking again will say the same: the role may not connect or ask any more.
fn is_hopeless(error: &dbhaul_postgres::Error) -> bool {
    !matches!(error.class(), ErrorClass::Transient | ErrorClass::Cancelled)
}

/// Why reading has to wait, if it has to.
fn too_much(options: ThrottleOptions, load: Load) -> Option<String> {
    let Load { active_sessions, standby_lag_bytes } = load;
    if let Some(most) = options.max_source_load.filter(|most| active_sessions > *most) {
        return Some(format!(
            "the source has {} besides ours, where at most {most} may be",
            counted(active_sessions, "active session")
        ));
    }
    let most = options.max_standby_lag_bytes?;
    let behind = standby_lag_bytes.filter(|behind| *behind > most)?;
    let (behind, most) = (format_bytes(behind), format_bytes(most));
    Some(format!("a standby of the source is {behind} behind, where at most {most} may be"))
}

async fn load(session: &Session) -> Result<Load, dbhaul_postgres::Error> {
    let row = session.query_rows(LOAD_SQL).await?.pop().unwrap_or_default();
    let number = |column: usize| row.get(column).cloned().flatten().and_then(|text| text.parse::<i64>().ok());
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Load { active_sessions: number(0).map_or(0, positive), standby_lag_bytes: number(1).map(positive) })
}

#[cfg(test)]
mod tests {
    use super::{Load, ThrottleOptions, too_much};

    #[track_caller]
    fn check(most: (Option<u64>, Option<u64>), load: (u64, Option<u64>), expected: Option<&str>) {
        let options = ThrottleOptions {
            max_source_load: most.0,
            max_standby_lag_bytes: most.1,
            ..ThrottleOptions::default()
        };
        let load = Load { active_sessions: load.0, standby_lag_bytes: load.1 };
        let reason = too_much(options, load);
        match expected {
            None => assert_eq!(reason, None),
            Some(words) => {
                assert!(reason.as_ref().is_some_and(|reason| reason.contains(words)), "{reason:?}")
            }
        }
    }

    #[test]
    fn reading_waits_only_beyond_a_limit() {
        check((Some(3), None), (3, Some(1 << 40)), None);
        check((Some(3), None), (4, None), Some("4 active sessions besides ours, where at most 3 may be"));
        check((Some(0), Some(1024)), (0, Some(1024)), None);
        check((None, Some(1024)), (99, Some(4096)), Some("4.0 KiB behind, where at most 1.0 KiB may be"));
        check((None, Some(0)), (99, None), None);
    }
}
