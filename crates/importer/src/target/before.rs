//! What can be told of a target whose database, or whose roles, are still to be created: nothing can be
//! tried there yet, but who is missing is known, and which extensions the server has.

use std::collections::BTreeSet;

use dbhaul_catalog::in_one_line;
use dbhaul_postgres::{ConnectSettings, Flight, Session, SessionRole};
use tokio_util::sync::CancellationToken;

use super::predict::Predicted;
use super::queries::OfferedExtension;
use super::{dropped, extensions, gather, queries, refuse_without_roles, role_limits};
use crate::outcome::tell;
use crate::{ImportError, ImportPlan, Skipped};

/// What is said where nothing could be tried.
const LATER: &str = "what else the target may refuse is tried, and told, when the run begins";

impl ImportPlan {
    /// Says in the plan what will be skipped for the roles that are missing, and which extensions are;
    /// `coming` are roles that are created before the import. What else the target refuses, the run finds
    /// out at its beginning. Where the database is there already (`is_there`), why it could not take the
    /// import is told as well. Returns what will be skipped.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn predict_before(
        &mut self,
        target: &ConnectSettings,
        (coming, is_there): (BTreeSet<String>, bool),
        cancel: &CancellationToken,
    ) -> Result<Vec<Skipped>, ImportError> {
        let asking = |error| ImportError::server("asking the target for its roles", error);
        let session = Session::connect(target, SessionRole::Loader, cancel).await.map_err(asking)?;
        let facts = queries::facts(&session).await.map_err(asking)?;
        self.options.coming_roles = coming;
        let flight = Flight::new(&session);
        let roles = Box::pin(flight.run(role_limits(self, &flight, &facts))).await;
        // of this look only: when the run begins they are there, or their creation was refused
        self.options.coming_roles = BTreeSet::new();
        let roles = roles.map_err(asking)?;
        let mut blockers = match is_there {
            true => Box::pin(flight.run(gather(self, &flight, &facts))).await?.blockers,
            false => {
                let offered =
                    Box::pin(flight.run(queries::available_extensions(&flight))).await.map_err(asking)?;
                // what is in the database that we are in is not in the one that will be
                let offered: Vec<OfferedExtension> =
                    offered.into_iter().map(OfferedExtension::anew).collect();
                extensions::compare(self, &offered, &facts).blockers
            }
        };
        let mut refusals = Predicted::default();
        refuse_without_roles(self, &roles, &mut refusals);
        refusals.spread(self);
        let mut warnings = Vec::new();
        if is_there {
            let dropped = dropped::check(self, &session, &refusals).await.map_err(asking)?;
            blockers.extend(dropped.blockers);
            warnings = dropped.warnings;
        }
        session.close().await.map_err(asking)?;
        self.blockers = blockers.iter().map(ToString::to_string).collect();
        let skipped = refusals.skipped(self, &roles);
        let told = tell(&skipped).into_iter();
        self.told =
            told.map(|(object, reason)| format!("will skip {}: {reason}", in_one_line(&object))).collect();
        self.told.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
        self.told.push(LATER.to_owned());
        Ok(skipped)
    }
}
