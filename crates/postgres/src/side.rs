//! What is found out about a side before anything else is done there: that no pooler takes its sessions
//! apart, and that the other side is another database.

use futures::future::try_join;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorClass, Result};
use crate::pins::SessionRole;
use crate::session::{BEGIN_REPEATABLE_READ, Session};
use crate::settings::ConnectSettings;

/// Opens a session that is proven to stay with one server process, as pinned settings, snapshots and locks
/// need it.
///
/// Two sessions are opened and used alternately, each once while a transaction keeps the other's process busy.
/// Without a pooler, or with one in session mode, each has a process of its own for as long as it lives. In
/// transaction mode an idle session has none: the two report the same process, or one of them is served by
/// another while the first process is busy. In statement mode no transaction can be begun at all. Where the
/// server has no room for a second session there is nothing to be learnt, and nothing to be run either.
///
/// The settings that the sessions have pinned would stay with processes that the pooler gives to others, so
/// they are taken back where a pooler is found.
///
/// # Errors
/// [`Error::Pooler`] if there is one in transaction or statement mode, and as [`Session::connect`].
pub async fn connect_directly(settings: &ConnectSettings, token: &CancellationToken) -> Result<Session> {
    let first = Session::connect(settings, SessionRole::Reader, token).await?;
    let second = match Session::connect(settings, SessionRole::Reader, token).await {
        Ok(second) => second,
        Err(error) if error.class() == ErrorClass::Transient => return Ok(first),
        Err(error) => return Err(error),
    };
    let evidence = match first.backend_pid() == second.backend_pid() {
        true => Some("two connections were served by one server process".to_owned()),
        false => match changes_process(&first, &second).await? {
            Some(evidence) => Some(evidence),
            None => changes_process(&second, &first).await?,
        },
    };
    let Some(evidence) = evidence else {
        second.close().await?;
        return Ok(first);
    };
    forget_pins(&first, &second).await;
    Err(Error::Pooler { server: first.server().to_owned(), evidence })
}

/// Whether a session is served by another process than its own while a transaction keeps the other session's.
async fn changes_process(idle: &Session, busy: &Session) -> Result<Option<String>> {
    match busy.begin_repeatable_read(true).await {
        // 08P01: what the pooler says, for the server knows no such error for BEGIN
        Err(error) if error.sqlstate() == Some("08P01") => {
            return Ok(Some("a transaction was refused".to_owned()));
        }
        begun => begun?,
    }
    let process = idle.query_one_text("SELECT pg_catalog.pg_backend_pid()").await?;
    busy.rollback().await?;
    let has_changed = process != Some(idle.backend_pid().to_string());
    Ok(has_changed.then(|| "a connection changed its server process while another was busy".to_owned()))
}

/// Takes back what was set on the processes that served two sessions behind a pooler, as far as they still do.
async fn forget_pins(first: &Session, second: &Session) {
    for session in [first, second] {
        let _ = session.batch("RESET ROLE; RESET ALL").await;
    }
}

/// Whether two sessions are in the same database, whatever the names are under which they were reached: a lock
/// under `key`, which nobody else has thought of, is held in one and then cannot be had in the other. Such locks
/// are a database's own, and no clone of it has them.
///
/// # Errors
/// If a server went away.
pub async fn is_same_database(one: &Session, other: &Session, key: i64) -> Result<bool> {
    let lock =
        format!("{BEGIN_REPEATABLE_READ} READ ONLY; SELECT pg_catalog.pg_try_advisory_xact_lock({key})");
    let held = one.query_one_text(&lock).await?;
    let granted = other.query_one_text(&lock).await?;
    try_join(other.rollback(), one.rollback()).await?;
    Ok(held.as_deref() == Some("t") && granted.as_deref() == Some("f"))
}
