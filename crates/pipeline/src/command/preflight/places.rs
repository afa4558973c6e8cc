//! What is found out of the sides and the store before anything is asked of them.

use dbhaul_postgres::{self as postgres, ConnectSettings, Session, SessionRole};
use dbhaul_store::StoreUrl;

use super::{Level, PreflightReport};
use crate::command::dump::store_trial::TriedStore;
use crate::sides::{NamedSide, check_side};
use crate::{Context, PipelineError, Status, one_line};

/// Tries to write to the store, and compares its room with what a backup of the source may take.
pub(super) async fn look_at_store(
    url: &StoreUrl,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let store = match TriedStore::open(url, context).await {
        Ok(store) => store,
        Err(error) if error.status() == Status::Interrupted => return Err(error),
        Err(error) => {
            report.add(Level::Blocker, "store", one_line(&error));
            return Ok(());
        }
    };
    report.add(Level::Info, "store", format!("{} can be written to", store.describe()));
    let tight = match report.row_bytes {
        Some(row_bytes) => store.narrowness(row_bytes).await?,
        None => None,
    };
    for warning in store.left_behind.iter().chain(&tight) {
        report.add(Level::Warning, "store", warning.as_str());
    }
    Ok(())
}

/// Whether sessions can be had of a side, and stay with their server processes.
pub(super) async fn can_use(
    side: NamedSide<'_>,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<bool, PipelineError> {
    match check_side(side, context).await {
        Ok(()) => Ok(true),
        Err(PipelineError::Server { source, .. }) => {
            report.add(Level::Blocker, side.0, one_line(&source));
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Without a source there is nothing to ask the target about, but whether it answers.
pub(super) async fn reach_target(
    target: &ConnectSettings,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    match Session::connect(target, SessionRole::Loader, &context.cancel).await {
        Ok(session) => {
            report.add(Level::Info, "target", format!("PostgreSQL {}", session.version()));
            let closing = |error| PipelineError::server("cannot ask the target", error);
            session.close().await.map_err(closing)
        }
        Err(postgres::Error::Cancelled) => Err(PipelineError::Cancelled),
        Err(error) => {
            report.add(Level::Blocker, "target", one_line(&error));
            Ok(())
        }
    }
}
