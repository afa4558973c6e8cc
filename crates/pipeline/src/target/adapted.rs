//! A catalog as a target takes it, with what is lost by that.

use std::collections::BTreeSet;

use dbhaul_catalog::{
    Adaptation, Catalog, ServerVersion, StorageParameter, Target, TargetFacts, adapt, as_made, compare,
    doubtful_parameters, settings_of_functions,
};
use dbhaul_importer::{Blocker, ImportError};
use dbhaul_postgres::{ConnectSettings, Offer, Probe, Session, SessionRole};

use crate::report::explained::Told;
use crate::target::import_error;
use crate::{Context, NamedReason, PipelineError};

/// A catalog that was changed for a target.
pub(crate) struct Adapted {
    /// The catalog, without what the target cannot have.
    pub(crate) catalog: Catalog,
    /// What statements are written for.
    pub(crate) target: Target,
    /// Whether the target is of an older major than the source.
    pub(crate) is_downgrade: bool,
    /// What is lost.
    pub(crate) losses: Vec<NamedReason>,
    /// The same by object, with the differences of definitions that come with it.
    pub(crate) told: Told,
    /// What is not as one would expect, though nothing is lost.
    pub(crate) notes: Vec<String>,
}

impl Adapted {
    /// Asks the target what it is and has, and changes a copy of the catalog for it.
    ///
    /// # Errors
    /// If the target cannot be asked, is a standby, or is of an older major and `allow_downgrade` is not given:
    /// what the source has may have no place there.
    pub(crate) async fn new(
        catalog: &Catalog,
        target: &ConnectSettings,
        allow_downgrade: bool,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let connecting = |source| PipelineError::server("cannot connect to the target", source);
        let session =
            Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(connecting)?;
        let asking = |source| PipelineError::server("cannot ask the target", source);
        if session.is_in_recovery() {
            // what it offers could not even be tried
            let (server, blockers) = (session.server().to_owned(), vec![Blocker::Standby]);
            session.close().await.map_err(asking)?;
            return Err(import_error(target, ImportError::Blocked { target: server, blockers }));
        }
        let version = session.version();
        let is_downgrade = version.major() < catalog.server_version.major();
        if is_downgrade && !allow_downgrade {
            return Err(too_old(target, version, catalog.server_version));
        }
        let offer = Probe::new(&session).offer(&settings_of_functions(catalog)).await.map_err(asking)?;
        let refused_parameters = refused_parameters(&session, catalog).await.map_err(asking)?;
        session.close().await.map_err(asking)?;
        let original = catalog;
        let mut catalog = original.clone();
        let facts = TargetFacts { refused_parameters, ..facts(version, offer) };
        let Adaptation { losses, notes } = adapt(&mut catalog, &facts);
        let changes =
            if losses.is_empty() { Vec::new() } else { compare(original, &as_made(&catalog)).differences };
        let objects = losses.iter().flat_map(|loss| loss.objects.iter().cloned()).collect();
        let told = Told { objects, changes };
        let losses = losses.into_iter().map(NamedReason::from).collect();
        Ok(Adapted { catalog, target: Target { version }, is_downgrade, losses, told, notes })
    }
}

/// How many storage parameters are tried at most. Databases have none or a few that are not in every server; what is
/// not tried is found out when its object is.
const MOST_TRIALS: usize = 64;

/// The storage parameters that the target does not take, found out by trying them.
async fn refused_parameters(
    session: &Session,
    catalog: &Catalog,
) -> Result<BTreeSet<StorageParameter>, dbhaul_postgres::Error> {
    let mut refused = BTreeSet::new();
    for parameter in doubtful_parameters(catalog).into_iter().take(MOST_TRIALS) {
        let refusal = Probe::new(session).refusal(&parameter.trial()).await?;
        if refusal.is_some_and(|refusal| refusal.sqlstate == INVALID_PARAMETER) {
            refused.insert(parameter);
        }
    }
    Ok(refused)
}

/// How a server refuses a storage parameter that it does not know, or its value.
const INVALID_PARAMETER: &str = "22023";

fn facts(version: ServerVersion, offer: Offer) -> TargetFacts {
    TargetFacts {
        version,
        settings: offer.settings.into_iter().collect(),
        has_lz4: offer.has_lz4,
        may_be_leakproof: offer.may_be_leakproof,
        refused_parameters: BTreeSet::new(),
    }
}

fn too_old(target: &ConnectSettings, version: ServerVersion, source: ServerVersion) -> PipelineError {
    PipelineError::Request {
        problem: format!("{} runs PostgreSQL {version}, older than the source's {source}", target.describe()),
        help: "choose a target of the source's major version or newer, or see with preflight what \
               --allow-downgrade would lose"
            .to_owned(),
    }
}
