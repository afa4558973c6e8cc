//! A catalog as a target takes it, with what is lost by that.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Adaptation, Catalog, Identity, InlineExpression, Object, QualifiedName, ServerVersion, StorageParameter,
    Target, TargetFacts, adapt, as_made, compare, doubtful_expressions, doubtful_parameters, set_apart,
    settings_of_functions,
};
use dbhaul_importer::{Blocker, ImportError};
use dbhaul_postgres::{ConnectSettings, FailedStatement, Offer, Probe, Session, SessionRole};

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
        let original = catalog;
        let mut catalog = original.clone();
        let facts = TargetFacts { refused_parameters, ..facts(version, offer) };
        let Adaptation { losses, notes } = adapt(&mut catalog, &facts);
        let refused = refused_expressions(&session, &catalog).await.map_err(asking)?;
        session.close().await.map_err(asking)?;
        set_apart(&mut catalog, &refused);
        let changes = match losses.is_empty() && refused.is_empty() {
            true => Vec::new(),
            false => compare(original, &as_made(&catalog)).differences,
        };
        let mut objects: BTreeSet<Identity> =
            losses.iter().flat_map(|loss| loss.objects.iter().cloned()).collect();
        objects.extend(tables_of(original, &refused));
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

/// The tables whose statements lack these.
fn tables_of(catalog: &Catalog, expressions: &[InlineExpression]) -> BTreeSet<Identity> {
    let names: BTreeSet<&QualifiedName> = expressions.iter().map(InlineExpression::table).collect();
    let is_one = |object: &&Object| {
        let name = QualifiedName::new(object.schema.clone().unwrap_or_default(), object.name.as_str());
        matches!(object.body, Body::Table(_)) && names.contains(&name)
    };
    if names.is_empty() {
        return BTreeSet::new();
    }
    catalog.objects.iter().filter(is_one).map(Object::identity).collect()
}

/// How many expressions are tried at most; as with storage parameters.
const MOST_EXPRESSIONS: usize = 256;

/// The defaults and checks in `CREATE TABLE` that the target, of another major, does not take.
async fn refused_expressions(
    session: &Session,
    catalog: &Catalog,
) -> Result<Vec<InlineExpression>, dbhaul_postgres::Error> {
    let mut refused = Vec::new();
    if session.version().major() == catalog.server_version.major() {
        return Ok(refused);
    }
    let trials: Vec<(String, Vec<InlineExpression>)> =
        doubtful_expressions(catalog).into_iter().take(MOST_EXPRESSIONS).collect();
    let mut rest = &trials[..];
    while !rest.is_empty() {
        let statements: Vec<&str> =
            rest.iter().flat_map(|(trial, _)| [trial.as_str(), "DROP TABLE pg_temp.dbhaul_probe"]).collect();
        session.begin().await?;
        let tried = session.run_each(&statements).await;
        session.rollback().await?;
        let Err(FailedStatement { place, error }) = tried else { break };
        let Some((_, expressions)) = rest.get(place / 2) else { break };
        match error.sqlstate() {
            Some(NO_SUCH_FUNCTION | SYNTAX) => refused.extend(expressions.iter().cloned()),
            None => return Err(error),
            // it uses a column, a type or a schema that the trial does not have
            Some(state)
                if state != NO_PRIVILEGE && OF_DEFINITIONS.iter().any(|class| state.starts_with(class)) => {}
            // temporary tables cannot be made there: what is refused is found out when its table is made
            Some(_) => break,
        }
        rest = &rest[place / 2 + 1..];
    }
    Ok(refused)
}

/// `undefined_function`, of operators too; a postfix operator, which 14 has no more, is an error of syntax.
const NO_SUCH_FUNCTION: &str = "42883";
const SYNTAX: &str = "42601";

/// Classes of errors of a definition itself: access rules and syntax, schema names, data, features.
const OF_DEFINITIONS: [&str; 4] = ["42", "3F", "22", "0A"];
const NO_PRIVILEGE: &str = "42501";

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
