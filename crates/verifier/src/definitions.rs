//! Printed definitions whose texts differ, settled by what PostgreSQL's parser makes of them.
//!
//! First by their parse trees: what these say is the same is the same. The rest is created on the target, in a
//! transaction that is rolled back, and read back; where that cannot be, trees that name other things are
//! different, and everything else is not verified.

mod normal;
mod scratch;
mod shape;
mod tree;
mod trial;

use std::sync::Arc;

use dbhaul_catalog::{CatalogDiff, Comparison, Decision, ServerVersion, Unsettled};
use dbhaul_postgres::{ConnectSettings, Error};
use tokio_util::sync::CancellationToken;

use self::scratch::Scratch;
use self::tree::TreeVerdict;
use crate::VerifyError;

/// Who may be asked what a definition means.
#[derive(Debug, Clone)]
pub enum Settler {
    /// A server on which objects may be created in a transaction that is rolled back: the right side's.
    Target {
        /// How to get there.
        settings: Box<ConnectSettings>,
        /// Whether that may be done where transactions are read-only by default.
        although_read_only: bool,
        /// Whether functions that stand in the definitions may be run. The server runs them while it plans some
        /// kinds of definitions, with the rights of the session's role: right where the definitions have just
        /// been created there by the same role, and not where somebody else owns what is looked at.
        may_run_functions: bool,
    },
    /// Nobody, for this reason.
    Nobody(String),
}

/// Settles what a comparison left open. The versions are those of the servers that printed the left and the
/// right.
///
/// # Errors
/// [`VerifyError::Cancelled`] alone: what cannot be found out is not verified.
pub async fn settle_definitions(
    comparison: Comparison,
    versions: (ServerVersion, ServerVersion),
    settler: &Settler,
    token: &CancellationToken,
) -> Result<CatalogDiff, VerifyError> {
    let unsettled: Arc<Vec<Unsettled>> = Arc::new(comparison.unsettled().into_iter().cloned().collect());
    if unsettled.is_empty() {
        return Ok(comparison.settle([]));
    }
    let verdicts = compare_trees(Arc::clone(&unsettled), versions).await;
    let open: Vec<&Unsettled> = unsettled
        .iter()
        .zip(&verdicts)
        .filter_map(|(one, verdict)| (*verdict != TreeVerdict::Same).then_some(one))
        .collect();
    let mut asked = ask(&open, versions, settler, token).await?.into_iter();
    let decisions = verdicts.into_iter().map(|verdict| match verdict {
        TreeVerdict::Same => Decision::Same,
        verdict => {
            let asked =
                asked.next().unwrap_or_else(|| Decision::NotVerified("it was not looked at".to_owned()));
            decided(verdict, asked)
        }
    });
    Ok(comparison.settle(decisions.collect::<Vec<_>>()))
}

/// The server's word counts; where it has none, the trees may have.
fn decided(verdict: TreeVerdict, asked: Decision) -> Decision {
    match (asked, verdict) {
        (Decision::NotVerified(_), TreeVerdict::Different) => Decision::Different,
        (Decision::NotVerified(reason), TreeVerdict::Unknown(trees)) if reason != trees => {
            Decision::NotVerified(format!("{trees}, and {reason}"))
        }
        (asked, _) => asked,
    }
}

/// Parsing is work for a processor: not for a thread that serves connections.
async fn compare_trees(
    unsettled: Arc<Vec<Unsettled>>,
    (left, right): (ServerVersion, ServerVersion),
) -> Vec<TreeVerdict> {
    let count = unsettled.len();
    let compare = move || -> Vec<TreeVerdict> {
        let compared =
            unsettled.iter().map(|one| tree::compare(&one.printed, (&one.left, left), (&one.right, right)));
        compared.collect()
    };
    match tokio::task::spawn_blocking(compare).await {
        Ok(verdicts) => verdicts,
        Err(error) => vec![TreeVerdict::Unknown(format!("its texts were not parsed: {error}")); count],
    }
}

async fn ask(
    open: &[&Unsettled],
    (left, _): (ServerVersion, ServerVersion),
    settler: &Settler,
    token: &CancellationToken,
) -> Result<Vec<Decision>, VerifyError> {
    let nobody = |reason: &str| vec![Decision::NotVerified(reason.to_owned()); open.len()];
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let (settings, although_read_only, may_run_functions) = match settler {
        Settler::Target { settings, although_read_only, may_run_functions } => {
            (settings, *although_read_only, *may_run_functions)
        }
        Settler::Nobody(reason) => return Ok(nobody(reason)),
    };
    let decided = match Box::pin(Scratch::open(settings, left, although_read_only, token)).await {
        Ok(scratch) => Box::pin(scratch.running_functions(may_run_functions).decide(open)).await,
        Err(_) if token.is_cancelled() => return Err(VerifyError::Cancelled),
        Err(reason) => return Ok(nobody(&reason)),
    };
    match decided {
        Ok(decisions) => Ok(decisions),
        Err(Error::Cancelled) => Err(VerifyError::Cancelled),
        Err(error) => Ok(nobody(&format!("the target could not be asked: {error}"))),
    }
}
