//! Whether a target can take an import; nothing is changed.

mod blocker;
mod queries;
mod tuning;

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{ServerVersion, TocEntry};
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use tokio_util::sync::CancellationToken;

pub use blocker::Blocker;

use crate::footprint::describe;
use crate::ledger::{FoundLedger, Ledger};
use crate::roles::{RoleLimits, needed_roles};
use crate::{ImportError, ImportPlan};
use queries::{Contents, Facts};
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
    let contents = queries::contents(session).await.map_err(checking)?;
    let ledgers = Ledger::find(session).await.map_err(checking)?;
    let mut blockers = Vec::new();
    blockers.extend(writable(&facts));
    let found_ledger = match_ledger(plan, &ledgers, &mut blockers);
    let resumes = found_ledger.as_ref().filter(|_| plan.options.resume);
    if resumes.is_none() && !plan.options.clean && !plan.options.allow_non_empty && contents.count > 0 {
        blockers.push(Blocker::NotEmpty { count: contents.count, examples: contents.examples.clone() });
    }
    let extensions = queries::available_extensions(session).await.map_err(checking)?;
    blockers.extend(missing_extensions(plan, &extensions));
    if !plan.options.tablespaces.is_empty() {
        let usable = queries::tablespaces(session).await.map_err(checking)?;
        blockers.extend(tablespaces(plan, &usable));
    }
    let roles = role_limits(plan, session, &facts).await.map_err(checking)?;
    let mut taken = queries::schemas(session).await.map_err(checking)?;
    taken.extend(
        plan.toc.entries.iter().filter(|entry| entry.kind == "SCHEMA").map(|entry| entry.name.clone()),
    );
    Ok(TargetReport {
        target: session.server().to_owned(),
        version: ServerVersion(facts.version),
        warnings: warnings(plan, &roles, &contents),
        resumes: resumes.map(|found| found.ledger.run.clone()),
        tuning: Tuning::choose(&plan.options, &facts),
        blockers,
        roles,
        found_ledger,
        free_ledger_schema: Ledger::free_schema(&taken),
        object_count: contents.count,
    })
}

fn writable(facts: &Facts) -> Option<Blocker> {
    if facts.in_recovery {
        return Some(Blocker::Standby);
    }
    (!facts.may_create).then(|| Blocker::MayNotCreate { role: facts.role.clone() })
}

/// Tablespaces that cannot be used, of those that are there by whether the role may create in them.
fn tablespaces(plan: &ImportPlan, usable: &BTreeMap<String, bool>) -> Vec<Blocker> {
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

fn missing_extensions(plan: &ImportPlan, available: &BTreeSet<String>) -> Vec<Blocker> {
    const SHOWN: usize = 5;
    let wanted =
        |entry: &&TocEntry| entry.kind == "EXTENSION" && plan.options.sections.contains(entry.section);
    let missing = plan.toc.entries.iter().filter(wanted).filter(|entry| !available.contains(&entry.name));
    missing
        .map(|extension| {
            let mut dependants = BTreeSet::from([extension.id]);
            let mut needed_by = Vec::new();
            for entry in &plan.toc.entries[extension.id as usize..] {
                if entry.depends_on.iter().any(|on| dependants.contains(on)) {
                    dependants.insert(entry.id);
                    needed_by.push(describe(entry));
                }
            }
            let needed_by_count = needed_by.len();
            needed_by.truncate(SHOWN);
            Blocker::MissingExtension { name: extension.name.clone(), needed_by, needed_by_count }
        })
        .collect()
}

async fn role_limits(
    plan: &ImportPlan,
    session: &Session,
    facts: &Facts,
) -> Result<RoleLimits, dbhaul_postgres::Error> {
    let entries = plan.toc.entries.iter().filter(|entry| plan.options.sections.contains(entry.section));
    let needed = needed_roles(entries, &plan.options);
    let found = queries::roles(session, &needed, facts.version).await?;
    let not_ours = found.iter().filter(|role| !role.may_become).map(|role| role.name.clone()).collect();
    let existing: BTreeSet<String> = found.into_iter().map(|role| role.name).collect();
    let missing = needed.difference(&existing).filter(|role| !plan.options.coming_roles.contains(*role));
    let missing = missing.cloned().collect();
    Ok(RoleLimits { missing, not_ours, is_superuser: facts.is_superuser })
}

fn warnings(plan: &ImportPlan, roles: &RoleLimits, contents: &Contents) -> Vec<String> {
    let mut warnings = plan.warnings.clone();
    if !roles.missing.is_empty() {
        let names: Vec<&str> = roles.missing.iter().map(String::as_str).collect();
        warnings.push(format!(
            "roles that do not exist on the target, so that owners and grants that name them are skipped: {}",
            names.join(", ")
        ));
    }
    let owners = plan.toc.entries.iter().filter(|entry| entry.set_owner.is_some());
    let given: BTreeSet<&str> = owners.filter_map(|entry| entry.owner.as_deref()).collect();
    let refused: Vec<&str> = given.into_iter().filter(|owner| roles.not_ours.contains(*owner)).collect();
    if plan.options.set_owners && !refused.is_empty() {
        warnings.push(format!(
            "roles that the importing role may not SET ROLE to, so that objects stay its own: {}",
            refused.join(", ")
        ));
    }
    if contents.count > 0 && plan.options.allow_non_empty {
        warnings.push(format!("the target holds {} objects already", contents.count));
    }
    warnings
}
