//! What can be told of a target whose database, or whose roles, are still to be created: nothing can be
//! tried there yet, but who is missing is known, and which extensions the server has.

use std::collections::BTreeSet;

use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use tokio_util::sync::CancellationToken;

use super::foretell::Foretold;
use super::{extensions, queries, refuse_without_roles, role_limits};
use crate::outcome::tell;
use crate::{ImportError, ImportPlan};

impl ImportPlan {
    /// Says in the plan what will be skipped for the roles that are missing, and which extensions are;
    /// `coming` are roles that are created before the import. What else the target refuses, the run finds
    /// out at its beginning.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn foretell_before(
        &mut self,
        target: &ConnectSettings,
        coming: BTreeSet<String>,
        cancel: &CancellationToken,
    ) -> Result<(), ImportError> {
        let asking = |error| ImportError::server("asking the target for its roles", error);
        let session = Session::connect(target, SessionRole::Loader, cancel).await.map_err(asking)?;
        let facts = queries::facts(&session).await.map_err(asking)?;
        let available = queries::available_extensions(&session).await.map_err(asking)?;
        self.options.coming_roles = coming;
        let roles = role_limits(self, &session, &facts).await;
        // of this look only: when the run begins they are there, or their creation was refused
        self.options.coming_roles = BTreeSet::new();
        let roles = roles.map_err(asking)?;
        session.close().await.map_err(asking)?;
        let mut refusals = Foretold::default();
        refuse_without_roles(self, &roles, &mut refusals);
        refusals.spread(self);
        let blockers = extensions::compare(self, &available).blockers;
        let mut told: Vec<String> = blockers.iter().map(|blocker| format!("BLOCKER: {blocker}")).collect();
        let skipped = tell(&refusals.skipped(self, &roles)).into_iter();
        told.extend(skipped.map(|(object, reason)| format!("will skip {object}: {reason}")));
        told.push("what else the target may refuse is tried, and told, when the run begins".to_owned());
        self.told = told;
        Ok(())
    }
}
