//! What has to hold of every live side of a command before anything else is done there.

use dbhaul_postgres::{self as postgres, ConnectSettings, Session, connect_directly, is_same_database};
use ulid::Ulid;

use crate::{Context, PipelineError, VerifyRequest, VerifySide, WriteOptions};

/// A live side: what messages call it, and how it is reached.
pub(crate) type NamedSide<'a> = (&'a str, &'a ConnectSettings);

/// Fails if the sessions of a side would not stay with their server processes.
///
/// # Errors
/// If there is a pooler in transaction or statement mode, or the side cannot be reached.
pub(crate) async fn check_side(side: NamedSide<'_>, context: &Context) -> Result<(), PipelineError> {
    close(open(side, context).await?).await;
    Ok(())
}

/// Fails as [`check_side`] does for one of two sides, and if they are one database.
///
/// # Errors
/// Whichever of these it is.
pub(crate) async fn check_two_sides(
    one: NamedSide<'_>,
    other: NamedSide<'_>,
    context: &Context,
) -> Result<(), PipelineError> {
    let (opened, other_opened) = futures::join!(open(one, context), open(other, context));
    let sessions = (opened?, other_opened?);
    let is_same = is_same_database(&sessions.0, &sessions.1, marker()).await;
    futures::join!(close(sessions.0), close(sessions.1));
    match is_same.map_err(|source| PipelineError::server("cannot tell the two sides apart", source))? {
        true => Err(same_database(one, other)),
        false => Ok(()),
    }
}

/// Checks the sides of a migration. With `--create` it is given a database beside the one that it writes, which is
/// there already only if a run is resumed.
pub(crate) async fn check_migration(
    (source, target): (&ConnectSettings, &ConnectSettings),
    options: &WriteOptions,
    context: &Context,
) -> Result<(), PipelineError> {
    let (source, given) = (("source", source), ("target", target));
    if !options.create {
        return Box::pin(check_two_sides(source, given, context)).await;
    }
    let (checked, given_checked) = futures::join!(check_side(source, context), check_side(given, context));
    checked?;
    given_checked?;
    if !options.resume {
        return Ok(());
    }
    let written = target.with_database(source.1.database());
    match Box::pin(check_two_sides(source, ("target", &written), context)).await {
        // 3D000: there is no such database yet
        Err(PipelineError::Server { source, .. }) if source.sqlstate() == Some("3D000") => Ok(()),
        checked => checked,
    }
}

/// Checks the live sides of a comparison.
pub(crate) async fn check_comparison(
    request: &VerifyRequest,
    context: &Context,
) -> Result<(), PipelineError> {
    match (&request.left, &request.right) {
        (VerifySide::Live(left), VerifySide::Live(right)) => {
            Box::pin(check_two_sides(("left", left), ("right", right), context)).await
        }
        (VerifySide::Live(left), VerifySide::Backup { .. }) => check_side(("left", left), context).await,
        (VerifySide::Backup { .. }, VerifySide::Live(right)) => check_side(("right", right), context).await,
        (VerifySide::Backup { .. }, VerifySide::Backup { .. }) => Ok(()),
    }
}

async fn open((role, settings): NamedSide<'_>, context: &Context) -> Result<Session, PipelineError> {
    connect_directly(settings, &context.cancel).await.map_err(|source| match source {
        postgres::Error::Pooler { .. } => PipelineError::server(format!("cannot use the {role}"), source),
        source => PipelineError::server(format!("cannot connect to the {role}"), source),
    })
}

/// Nothing was done there that could be lost.
async fn close(session: Session) {
    let _ = session.close().await;
}

/// The key of a lock that nobody else will take: 64 random bits.
fn marker() -> i64 {
    let [.., a, b, c, d, e, f, g, h] = Ulid::generate().to_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn same_database(one: NamedSide<'_>, other: NamedSide<'_>) -> PipelineError {
    let side = |(role, settings): NamedSide<'_>| format!("the {role} ({})", settings.describe());
    PipelineError::SameDatabase { one: side(one), other: side(other) }
}
