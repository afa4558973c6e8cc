//! Carries a request out.

use dbhaul_pipeline::{
    Context, Dump, Migrate, PipelineError, Restore, list_backups, preflight, show_backup, verify,
};

use crate::intent::Request;
use crate::output::Outcome;

/// Runs a command to its end, or only plans it.
///
/// # Errors
/// Whatever stops the command. What went wrong with single objects is in the outcome.
pub(crate) async fn run(request: Request, dry_run: bool, context: Context) -> Result<Outcome, PipelineError> {
    match request {
        Request::Preflight(request) => {
            let report = Box::pin(preflight(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Dump(request) => {
            let dump = Box::pin(Dump::prepare(request, context)).await?;
            if dry_run {
                return Ok(Outcome::listing(dump.plan()));
            }
            let report = Box::pin(dump.execute()).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Restore(request) => {
            let restore = Box::pin(Restore::prepare(request, context)).await?;
            if dry_run {
                return Ok(Outcome::listing(restore.plan()));
            }
            let report = Box::pin(restore.execute()).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Migrate(request) => {
            let migrate = Box::pin(Migrate::prepare(request, context)).await?;
            if dry_run {
                return Ok(Outcome::listing(migrate.plan()));
            }
            let report = Box::pin(migrate.execute()).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Verify(request) => {
            let report = Box::pin(verify(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::ListBackups(store) => Ok(Outcome::listing(&list_backups(&store, context).await?)),
        Request::ShowBackup { store, backup, database } => {
            let details = show_backup(&store, &backup, database.as_deref(), context).await?;
            Ok(Outcome::listing(&details))
        }
    }
}
