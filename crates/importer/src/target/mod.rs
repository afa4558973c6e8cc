//! Whether a target can take an import; nothing is changed.

mod acts;
mod advance;
mod afar;
mod aside;
mod before;
mod blocker;
mod dropped;
mod extensions;
mod loads;
mod members;
mod polymorphic;
mod predict;
mod queries;
mod refresh;
mod refusal;
mod rehearse;
mod theirs;
mod tuning;
mod untried;

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{EntryKind, Section, ServerVersion, TocEntry};
use dbhaul_postgres::{ConnectSettings, Error, Flight, Session, SessionRole};
use dbhaul_progress::counted;
use futures::{TryFutureExt, try_join};
use tokio_util::sync::CancellationToken;

pub use blocker::Blocker;
pub(crate) use predict::{Predicted, wanted};
pub use queries::tablespaces;

use crate::ledger::{Clean, FoundLedger, Ledger};
use crate::plan::roles::{RoleLimits, needed_roles};
use crate::{ImportError, ImportPlan, Skipped};
use queries::{Contents, Facts};
use refusal::{Circumstances, refuse_shells};
use rehearse::rehearse;
pub use tuning::ImportingRole;
pub(crate) use tuning::Tuning;

/// What was found out about a target, and what the import will therefore do there.
#[derive(Debug, Clone)]
pub struct TargetReport {
    /// `host:port/database as user`.
    pub target: String,
    /// Its version.
    pub version: ServerVersion,
    /// Why the import cannot take place; empty if it can.
    pub blockers: Vec<Blocker>,
    /// What a person should know before it does.
    pub warnings: Vec<String>,
    /// The run that would be resumed.
    pub resumes: Option<String>,
    /// What index builds may use.
    pub(crate) tuning: Tuning,
    /// What will be left out: what the target refuses, found out by trying it in a transaction that was
    /// rolled back, and what depends on that. A run skips exactly this, unless the target changes.
    pub predicted: Vec<Skipped>,
    /// Tables and large objects among it, whose rows will be missing.
    pub lost_rows: Vec<String>,
    pub(crate) refusals: Predicted,
    pub(crate) roles: RoleLimits,
    pub(crate) found_ledger: Option<FoundLedger>,
    pub(crate) free_ledger_schema: String,
    /// Objects that the target holds already.
    pub object_count: u64,
}

/// Looks whether the target can take the import: what it holds already, whether an unfinished run is
/// there, which extensions and roles it lacks, what the importing role may do.
///
/// # Errors
/// If the target cannot be asked. Reasons against the import are [`TargetReport::blockers`], not errors.
pub async fn check_target(
    plan: &ImportPlan,
    target: &ConnectSettings,
    cancel: &CancellationToken,
) -> Result<TargetReport, ImportError> {
    let connecting = |error| ImportError::server("connecting to the target", error);
    let session = Session::connect(target, SessionRole::Loader, cancel).await.map_err(connecting)?;
    let report = inspect(plan, &session).await?;
    let closing = |error| ImportError::server("closing the session that checked the target", error);
    session.close().await.map_err(closing)?;
    Ok(report)
}

/// As [`check_target`], over an open session.
pub(crate) async fn inspect(plan: &ImportPlan, session: &Session) -> Result<TargetReport, ImportError> {
    let checking = |error| ImportError::server("checking the target", error);
    let facts = queries::facts(session).await.map_err(checking)?;
    let flight = Flight::new(session);
    let asked = async {
        try_join!(gather(plan, &flight, &facts), role_limits(plan, &flight, &facts).map_err(checking))
    };
    let (looked, roles) = Box::pin(flight.run(asked)).await?;
    let Gathered { mut blockers, contents, found_ledger, taken, extension_warnings } = looked;
    let resumes = found_ledger.as_ref().filter(|_| plan.options.resume);
    let refusals = match &plan.predicted {
        Some(known) => known.clone(),
        None => {
            let mut refusals = Predicted::default();
            refuse_without_roles(plan, &roles, &mut refusals);
            if blockers.is_empty() {
                let holds_others = contents.count > 0 && !is_all_ours(plan, resumes);
                refuse_shells(plan, holds_others, &mut refusals);
                let is_replaced = plan.options.resume || plan.options.clean;
                let may_stand = is_replaced || plan.options.allow_non_empty && contents.count > 0;
                let lock_slots = facts.lock_slots;
                let circumstances =
                    Circumstances { holds_others, may_stand, is_replaced, is_aside: false, lock_slots };
                rehearse(plan, &roles, circumstances, session, &mut refusals).await.map_err(checking)?;
            }
            refusals
        }
    };
    if resumes.is_none() && blockers.is_empty() {
        blockers.extend(refused_ledger(&taken, session).await.map_err(checking)?);
    }
    blockers.extend(extensions::refused(plan, &refusals));
    blockers.extend(refusals.in_the_way(plan));
    blockers.extend(refusals.keeps_rows_out(plan));
    let dropped = dropped::check(plan, session, &refusals).await.map_err(checking)?;
    blockers.extend(dropped.blockers);
    Ok(TargetReport {
        target: session.server().to_owned(),
        version: ServerVersion(facts.version),
        warnings: warnings(plan, &contents)
            .into_iter()
            .chain(extension_warnings)
            .chain(dropped.warnings)
            .chain(refusals.doubts(plan))
            .collect(),
        resumes: resumes.map(|found| found.ledger.run.clone()),
        tuning: Tuning::choose(&plan.options, &facts),
        predicted: refusals.skipped(plan, &roles),
        lost_rows: refusals.lost_rows(plan),
        blockers,
        refusals,
        roles,
        found_ledger,
        free_ledger_schema: Ledger::free_schema(&taken),
        object_count: contents.count,
    })
}

/// What is found in a target by looking alone, without trying anything.
struct Gathered {
    blockers: Vec<Blocker>,
    contents: Contents,
    found_ledger: Option<FoundLedger>,
    /// Schemas that are there or will be.
    taken: BTreeSet<String>,
    extension_warnings: Vec<String>,
}

async fn gather(plan: &ImportPlan, flight: &Flight<'_>, facts: &Facts) -> Result<Gathered, ImportError> {
    let usable_tablespaces = async {
        match plan.options.tablespaces.is_empty() {
            true => Ok(BTreeMap::new()),
            false => queries::usable_tablespaces(flight).await,
        }
    };
    let asked = try_join!(
        queries::contents(flight),
        Ledger::find_in(flight),
        advance::check(plan, flight, facts),
        queries::schemas(flight),
        loads::check(plan, flight),
        queries::available_extensions(flight),
        usable_tablespaces,
        Ledger::unread(flight),
    );
    let (contents, ledgers, advance, mut taken, loads, available, usable, unread) =
        asked.map_err(|error| ImportError::server("checking the target", error))?;
    let mut blockers = Vec::new();
    blockers.extend(writable(facts));
    blockers.extend(advance.blockers);
    let found_ledger = match_ledger(plan, &ledgers, &mut blockers);
    let resumes = found_ledger.as_ref().filter(|_| plan.options.resume);
    if resumes.is_none() && !plan.options.clean && !plan.options.allow_non_empty && contents.count > 0 {
        let (count, examples) = (contents.count, contents.examples.clone());
        blockers.push(Blocker::NotEmpty { count, examples, nothing_to_resume: plan.options.resume });
    }
    blockers.extend(closed_schema(plan, facts));
    blockers.extend(missing_schemas(plan, &taken));
    blockers.extend(loads.blockers);
    let extensions = extensions::compare(plan, &available, facts);
    blockers.extend(extensions.blockers);
    blockers.extend(unusable_tablespaces(plan, &usable));
    taken.extend(
        plan.toc
            .entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Schema)
            .map(|entry| entry.name.clone()),
    );
    let extension_warnings =
        extensions.warnings.into_iter().chain(advance.warnings).chain(loads.warnings).chain(unread).collect();
    Ok(Gathered { blockers, contents, found_ledger, taken, extension_warnings })
}

/// What the target says where it does not let the run keep its ledger there.
async fn refused_ledger(taken: &BTreeSet<String>, session: &Session) -> Result<Option<Blocker>, Error> {
    let ledger = Ledger { schema: Ledger::free_schema(taken), run: "rehearsal".to_owned() };
    let refused = ledger.rehearse(session).await?;
    Ok(refused.map(|error| Blocker::LedgerRefused { schema: ledger.schema, error: error.to_string() }))
}

fn writable(facts: &Facts) -> Option<Blocker> {
    if facts.in_recovery {
        return Some(Blocker::Standby);
    }
    (!facts.may_create)
        .then(|| Blocker::MayNotCreate { role: facts.role.clone(), database: facts.database.clone() })
}

/// Tablespaces that cannot be used, of those that are there by whether the role may create in them.
fn unusable_tablespaces(plan: &ImportPlan, usable: &BTreeMap<String, bool>) -> Vec<Blocker> {
    let blocker = |name: &String| match usable.get(name) {
        Some(true) => None,
        found => Some(Blocker::Tablespace { name: name.clone(), exists: found.is_some() }),
    };
    plan.options.tablespaces.iter().filter_map(blocker).collect()
}

/// The ledger that matters to this run; reasons against going on are added to `blockers`.
fn match_ledger(
    plan: &ImportPlan,
    ledgers: &[FoundLedger],
    blockers: &mut Vec<Blocker>,
) -> Option<FoundLedger> {
    let options = &plan.options;
    if let [first, second, ..] = ledgers {
        let schemas = [first.ledger.schema.clone(), second.ledger.schema.clone()];
        blockers.push(Blocker::SeveralRuns { schemas });
        return None;
    }
    let found = ledgers.first()?;
    let run = found.ledger.run.clone();
    if !options.resume {
        if !options.clean {
            blockers.push(Blocker::Unfinished { run, schema: found.ledger.schema.clone() });
        }
    } else if found.fingerprint != options.source_fingerprint {
        blockers.push(Blocker::OtherSource {
            run,
            found: found.fingerprint.clone(),
            wanted: options.source_fingerprint.clone(),
        });
    } else if found.shape != plan.shape() {
        blockers.push(Blocker::OtherPlan { run });
    }
    Some(found.clone())
}

/// Whether the run that is resumed has made all that the target holds: it began with an empty target, or has
/// dropped what it will replace.
fn is_all_ours(plan: &ImportPlan, resumes: Option<&FoundLedger>) -> bool {
    let is_dropping = |found: &FoundLedger| matches!(found.clean, Clean::Begun { .. });
    !plan.options.allow_non_empty && resumes.is_some_and(|found| !is_dropping(found))
}

/// `privilege_not_granted` and `privilege_not_revoked`.
pub(crate) fn is_about_privileges(warning: &dbhaul_postgres::ServerError) -> bool {
    matches!(warning.sqlstate.as_str(), "01007" | "01006")
}

/// Since 15 not everybody may create in `public`, which exists already, so that the plan cannot open it:
/// without that privilege most databases would arrive as empty shells.
fn closed_schema(plan: &ImportPlan, facts: &Facts) -> Option<Blocker> {
    let is_in_public = |entry: &&TocEntry| {
        entry.kind == EntryKind::Table
            && entry.schema.as_deref() == Some("public")
            && !entry.create.is_empty()
    };
    let count = wanted(plan).filter(is_in_public).count();
    (count > 0 && !facts.may_create_in_public)
        .then(|| Blocker::MayNotCreateInPublic { role: facts.role.clone(), table_count: count })
}

/// Schemas that a selection of tables does not bring along. An extension may make one of its own, so with
/// those it is left to the run.
fn missing_schemas(plan: &ImportPlan, existing: &BTreeSet<String>) -> Option<Blocker> {
    if wanted(plan).any(|entry| entry.kind == EntryKind::Extension) {
        return None;
    }
    let made: BTreeSet<&str> = wanted(plan)
        .filter(|entry| entry.kind == EntryKind::Schema)
        .map(|entry| entry.name.as_str())
        .collect();
    let needs = |entry: &&TocEntry| entry.section == Section::PreData && !entry.create.is_empty();
    let schemas = wanted(plan).filter(needs).filter_map(|entry| entry.schema.as_deref());
    let is_missing = |schema: &&str| !made.contains(schema) && !existing.contains(*schema);
    let missing: BTreeSet<String> = schemas.filter(is_missing).map(str::to_owned).collect();
    (!missing.is_empty()).then(|| Blocker::MissingSchemas { names: missing.into_iter().collect() })
}

/// A policy or a user mapping is for roles: where one of them is missing there is none.
fn refuse_without_roles(plan: &ImportPlan, roles: &RoleLimits, refusals: &mut Predicted) {
    for entry in wanted(plan).filter(|entry| matches!(entry.kind, EntryKind::Policy | EntryKind::UserMapping))
    {
        if let Some((_, cause)) = roles.runnable(entry).left_out.into_iter().next() {
            refusals.refuse(entry.id, cause);
        }
    }
}

async fn role_limits(
    plan: &ImportPlan,
    flight: &Flight<'_>,
    facts: &Facts,
) -> Result<RoleLimits, dbhaul_postgres::Error> {
    let entries = plan.toc.entries.iter().filter(|entry| plan.options.sections.contains(entry.section));
    let needed = needed_roles(entries, &plan.options);
    let found = queries::roles(flight, &needed, facts.version).await?;
    let not_ours = found.iter().filter(|role| !role.may_become).map(|role| role.name.clone()).collect();
    let not_inherited = found.iter().filter(|role| role.may_become && !role.inherits);
    let not_inherited = not_inherited.map(|role| role.name.clone()).collect();
    let existing: BTreeSet<String> = found.into_iter().map(|role| role.name).collect();
    let missing = needed.difference(&existing).filter(|role| !plan.options.coming_roles.contains(*role));
    let missing = missing.cloned().collect();
    Ok(RoleLimits { missing, not_ours, not_inherited, is_superuser: facts.is_superuser })
}

fn warnings(plan: &ImportPlan, contents: &Contents) -> Vec<String> {
    let mut warnings = plan.warnings.clone();
    if contents.count > 0 && plan.options.allow_non_empty {
        warnings.push(format!("the target holds {} already", counted(contents.count, "object")));
    }
    warnings
}
