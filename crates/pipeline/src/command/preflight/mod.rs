//! `preflight`: what would stand in the way, found out before anything is changed.

mod places;
mod soundness;

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{ServerVersion, in_lines, in_one_line, quote_identifier};
use dbhaul_importer::{Blocker, EntrySegments, ImportPlan, check_target};
use dbhaul_postgres::{self as postgres, ConnectSettings, Probe, Session, SessionRole};
use dbhaul_progress::{Phase, counted};
use serde::Serialize;

use self::places::{can_use, look_at_store, reach_target};
use crate::hold::{HeldRun, held_runs};
use crate::report::left_out::left_out;
use crate::report::rows_left_out::keys_without_rows;
use crate::sides::{check_migration, check_side};
use crate::source::{LiveDatabase, build_toc, check_families};
use crate::statistics::{settle, unavailable};
use crate::target::adapted::Adapted;
use crate::target::extensions;
use crate::target::roles::RoleWork;
use crate::target::settings::refused_properties;
use crate::target::{creation_blockers, import_error, import_options, take_from_catalog};
use crate::{Context, NamedReason, PipelineError, PreflightRequest, Status, format_bytes, one_line};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The run cannot take place.
    Blocker,
    /// The run can take place; read this first.
    Warning,
    /// A fact worth knowing.
    Info,
}

/// Something that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it concerns: `source`, `target`, `store`.
    pub about: String,
    /// What it is, and the way out.
    pub message: String,
}

/// Everything that was found out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PreflightReport {
    /// Findings, blockers first.
    pub findings: Vec<Finding>,
    /// What could not be tried, and why; the run does so when it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_tried: Option<String>,
    /// What the selected rows are expected to take on the source, where it could be asked.
    #[serde(skip)]
    row_bytes: Option<u64>,
}

impl PreflightReport {
    /// Blocked if there is a blocker.
    pub fn status(&self) -> Status {
        let blocked = self.findings.iter().any(|finding| finding.level == Level::Blocker);
        if blocked { Status::Blocked } else { Status::Done }
    }

    fn add(&mut self, level: Level, about: &str, message: impl Into<String>) {
        self.findings.push(Finding { level, about: about.to_owned(), message: message.into() });
    }
}

/// Looks at the source, and at the target and the store where there are any.
///
/// # Errors
/// If the request cannot be used, or a server went away while it was looked at. What is wrong with
/// a side otherwise, and that it cannot be reached, is in the report.
pub async fn preflight(
    request: PreflightRequest,
    context: Context,
) -> Result<PreflightReport, PipelineError> {
    context.progress.phase_started(Phase::Preflight, None, None);
    let mut report = PreflightReport::default();
    Box::pin(look_at_sides(request.clone(), &mut report, &context)).await?;
    if let Some(store) = &request.store {
        Box::pin(look_at_store(store, &mut report, &context)).await?;
    }
    report.findings.sort_by_key(|finding| finding.level);
    context.progress.phase_finished(Phase::Preflight);
    Ok(report)
}

/// Looks at the sides as far as they can be used at all.
async fn look_at_sides(
    mut request: PreflightRequest,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let checked = match &request.target {
        Some(target) => check_migration((&request.source, target), &request.options, context).await,
        None => check_side(("source", &request.source), context).await,
    };
    let mut has_source = true;
    match checked {
        Ok(()) => {}
        Err(error @ PipelineError::SameDatabase { .. }) => {
            report.add(Level::Blocker, "target", one_line(&error));
            request.target = None;
        }
        Err(PipelineError::Server { .. }) => {
            has_source = can_use(("source", &request.source), report, context).await?;
            if let Some(target) = &request.target
                && !can_use(("target", target), report, context).await?
            {
                request.target = None;
            }
        }
        Err(error) => return Err(error),
    }
    let looked = match &request.target {
        _ if has_source => Box::pin(look_at_opened(&request, report, context)).await,
        Some(target) => reach_target(target, report, context).await,
        None => Ok(()),
    };
    match looked {
        Err(error @ PipelineError::Toc { .. }) => {
            report.add(Level::Blocker, "source", one_line(&error));
            Ok(())
        }
        looked => looked,
    }
}

async fn look_at_opened(
    request: &PreflightRequest,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    match LiveDatabase::open(&request.source, &request.selection, "source", context).await {
        Ok(source) => {
            report.row_bytes = Some(source.row_bytes(&request.selection)?);
            look_at_databases(request, source, report, context).await
        }
        Err(PipelineError::Server { source, .. }) => {
            report.add(Level::Blocker, "source", one_line(&source));
            Ok(())
        }
        // the role may not read some of them, or they hold what nobody knows
        Err(error @ PipelineError::Introspect { .. })
            if !error.is_transient() && !context.cancel.is_cancelled() =>
        {
            report.add(Level::Blocker, "source", one_line(&error));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn look_at_databases(
    request: &PreflightRequest,
    mut source: LiveDatabase,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let mut looked = look_at_source(request, &source, report, context).await;
    if looked.is_ok() && request.target.is_some() {
        looked = match look_at_roles(request, &mut source, report, context).await {
            Ok(coming) => look_at_target(request, &source, coming, report, context).await,
            Err(error) => Err(error),
        };
    }
    source.release().await;
    looked
}

async fn look_at_source(
    request: &PreflightRequest,
    source: &LiveDatabase,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let asking = |error| PipelineError::server("cannot ask the source", error);
    let session =
        Session::connect(&request.source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let probe = Probe::new(&session);
    let size = format_bytes(probe.database_size_bytes().await.map_err(asking)?);
    let version = session.version();
    let objects = counted(source.catalog.objects.len(), "object");
    report.add(Level::Info, "source", format!("PostgreSQL {version}, {size} on disk, {objects}"));
    for object in &source.catalog.uncovered {
        let object = &object.description;
        let message = format!("dbhaul does not know how to carry {object}; drop it, move it or exclude it");
        report.add(Level::Blocker, "source", message);
    }
    for NamedReason { object, reason } in left_out(&source.catalog) {
        report.add(Level::Warning, "source", format!("{object}: {reason}"));
    }
    for NamedReason { object, reason } in refused_extensions(request, source)? {
        report.add(Level::Blocker, "source", format!("{object} cannot be copied: {reason}"));
    }
    for NamedReason { object, reason } in extensions::noted(&source.catalog) {
        report.add(Level::Warning, "source", format!("{object}: {reason}"));
    }
    for NamedReason { object, reason } in source.unreadable(&request.selection)? {
        report.add(Level::Blocker, "source", format!("{object}: {reason}"));
    }
    let encoding = &source.catalog.database.encoding;
    if encoding == "SQL_ASCII" {
        let message = "its encoding is SQL_ASCII: text may be in any encoding, and is carried byte by byte; \
                       the target must be SQL_ASCII too";
        report.add(Level::Warning, "source", message);
    }
    if session.is_in_recovery() {
        let message = "it is a standby: a long read may be cancelled by a recovery conflict; \
                       set hot_standby_feedback = on, or raise max_standby_streaming_delay";
        report.add(Level::Warning, "source", message);
    }
    untested(version, "source", report);
    for message in soundness::stale(&soundness::of_source(&session).await.map_err(asking)?) {
        report.add(Level::Warning, "source", message);
    }
    let table_count = source.catalog.objects.iter().filter(|o| matches!(o.body, Body::Table(_))).count();
    look_at_locks(&probe, table_count, report).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    for HeldRun { run, pid, since } in held_runs(&request.source, context).await? {
        let message = format!(
            "a snapshot is held for run {run} since {since}, by server process {pid}: meanwhile VACUUM removes \
             nothing that it sees, and nobody alters its tables; if that run is not to be resumed, `dbhaul \
             cleanup --source ... --target ... --yes` lets it go"
        );
        report.add(Level::Warning, "source", message);
    }
    Ok(())
}

fn refused_extensions(
    request: &PreflightRequest,
    source: &LiveDatabase,
) -> Result<Vec<NamedReason>, PipelineError> {
    let mut refused = extensions::refused(&source.catalog, &request.selection)?;
    if request.target.is_some() {
        refused.extend(extensions::refused_ways(&source.catalog, &request.options));
    }
    Ok(refused)
}

/// Tables are locked for as long as the snapshot is held, as far as the server has room for that.
async fn look_at_locks(
    probe: &Probe<'_>,
    table_count: usize,
    report: &mut PreflightReport,
) -> Result<(), postgres::Error> {
    let capacity = probe.lock_capacity().await?;
    if i64::try_from(table_count).unwrap_or(i64::MAX) > capacity.lock_slots / 2 {
        let message = format!(
            "{table_count} tables are read, and the server has room for about {} locks, half of which a run \
             takes: the smallest tables are locked only while they are read, and a run during which one of \
             them is truncated, rewritten or dropped fails",
            capacity.lock_slots
        );
        report.add(Level::Warning, "source", message);
    }
    Ok(())
}

fn untested(version: ServerVersion, about: &str, report: &mut PreflightReport) {
    let newest = ServerVersion::NEWEST_TESTED.major();
    if version.major() > newest {
        let message =
            format!("PostgreSQL {version} is newer than {newest}, the newest that dbhaul is tested with");
        report.add(Level::Warning, about, message);
    }
    if version.major() < ServerVersion::OLDEST.major() {
        let message = format!("PostgreSQL {version} is older than {}", ServerVersion::OLDEST.major());
        report.add(Level::Blocker, about, message);
    }
    for fault in soundness::faults(version) {
        report.add(Level::Warning, about, fault);
    }
}

/// Tries what is asked for about roles; returns those that would be created.
async fn look_at_roles(
    request: &PreflightRequest,
    source: &mut LiveDatabase,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<BTreeSet<String>, PipelineError> {
    let Some(target) = &request.target else { return Ok(BTreeSet::new()) };
    let found = match RoleWork::of_live(source, &request.options, target, context).await {
        Ok(roles) => roles.predict(target, context).await,
        Err(error) => Err(error),
    };
    let roles = match found {
        Ok(roles) => roles.unwrap_or_default(),
        Err(PipelineError::Cancelled) => return Err(PipelineError::Cancelled),
        Err(error) => {
            report.add(Level::Blocker, "target", one_line(&error));
            return Ok(BTreeSet::new());
        }
    };
    if !roles.created.is_empty() {
        report.add(Level::Info, "target", format!("roles to create: {}", roles.created.join(", ")));
    }
    if !roles.passwords_to_set.is_empty() {
        let names = roles.passwords_to_set.join(", ");
        report.add(Level::Warning, "target", format!("roles that need a password afterwards: {names}"));
    }
    for note in &roles.notes {
        report.add(Level::Info, "target", note.clone());
    }
    for NamedReason { object, reason } in &roles.skipped {
        report.add(Level::Warning, "target", format!("{object}: {reason}"));
    }
    Ok(roles.created.into_iter().collect())
}

async fn look_at_target(
    request: &PreflightRequest,
    source: &LiveDatabase,
    coming: BTreeSet<String>,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let Some(target) = &request.target else { return Ok(()) };
    let session = match Session::connect(target, SessionRole::Loader, &context.cancel).await {
        Ok(session) => session,
        Err(postgres::Error::Cancelled) => return Err(PipelineError::Cancelled),
        Err(error) => {
            report.add(Level::Blocker, "target", one_line(&error));
            return Ok(());
        }
    };
    let version = session.version();
    report.add(Level::Info, "target", format!("PostgreSQL {version}"));
    untested(version, "target", report);
    if session.is_in_recovery() {
        // nothing else can be tried there
        report.add(Level::Blocker, "target", Blocker::Standby.to_string());
        return session.close().await.map_err(|error| PipelineError::server("cannot ask the target", error));
    }
    let source_version = source.catalog.server_version;
    if version.major() < source_version.major() {
        let allowed = request.options.allow_downgrade;
        let way_out = if allowed {
            ""
        } else {
            "; with --allow-downgrade, what it does not know is skipped or created without it"
        };
        let message = format!("PostgreSQL {version} is older than the source's {source_version}{way_out}");
        report.add(if allowed { Level::Warning } else { Level::Blocker }, "target", message);
    }
    let (from, to) = (&source.catalog.database.encoding, session.server_encoding());
    // a database that is created gets the source's
    if from != to && !request.options.create {
        // Into UTF8 everything converts but bytes of no known encoding.
        let level = if to == "UTF8" && from != "SQL_ASCII" { Level::Warning } else { Level::Blocker };
        report.add(level, "target", format!("its encoding is {to}, the source's is {from}"));
    }
    let asking = |error| PipelineError::server("cannot ask the target", error);
    for message in extensions::other_versions(&source.catalog, &session).await.map_err(asking)? {
        report.add(Level::Warning, "target", message);
    }
    if !request.options.create {
        let differs = soundness::other_locale(&source.catalog.database, &session).await.map_err(asking)?;
        differs.into_iter().for_each(|message| report.add(Level::Warning, "target", message));
    }
    look_at_collations(source, &session, report).await?;
    session.close().await.map_err(asking)?;
    Box::pin(check_import(request, source, coming, report, context)).await
}

/// Text may sort otherwise on the target.
async fn look_at_collations(
    source: &LiveDatabase,
    target: &Session,
    report: &mut PreflightReport,
) -> Result<(), PipelineError> {
    let asking = |error| PipelineError::server("cannot ask for versions of collations", error);
    let cancel = target.cancel_token();
    let session = Session::connect(&source.settings, SessionRole::Reader, cancel).await.map_err(asking)?;
    let collations = soundness::of_source(&session).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    for message in soundness::changed(&collations, target).await.map_err(asking)? {
        report.add(Level::Warning, "target", message);
    }
    Ok(())
}

/// Asks the importer what it would say.
async fn check_import(
    request: &PreflightRequest,
    source: &LiveDatabase,
    coming: BTreeSet<String>,
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let Some(target) = &request.target else { return Ok(()) };
    if !source.unreadable(&request.selection)?.is_empty() {
        return Ok(()); // without the positions of all sequences there is no plan to ask about
    }
    if let Err(error) = check_families(&source.catalog, &request.selection) {
        report.add(Level::Blocker, "source", one_line(&error));
    }
    // what a downgrade would lose is told though it is not allowed yet
    let adapted = Adapted::new(&source.catalog, target, true, context).await?;
    let toc = build_toc(&adapted.catalog, &request.selection, adapted.target, &source.sequences)?;
    for NamedReason { object, reason } in &adapted.losses {
        report.add(Level::Warning, "target", format!("will be changed: {object}: {reason}"));
    }
    for note in &adapted.notes {
        report.add(Level::Info, "target", note.clone());
    }
    let segments: Vec<EntrySegments> = toc
        .entries
        .iter()
        .filter(|entry| entry.data.is_some())
        .map(|entry| EntrySegments { entry: entry.id, segment_bytes: vec![entry.weight_bytes] })
        .collect();
    let search_path = source.search_path.clone();
    let mut options = import_options(&request.options, "preflight".to_owned(), search_path);
    options.coming_roles = coming;
    take_from_catalog(&mut options, &source.catalog, &request.options);
    options.keys_without_rows = keys_without_rows(&source.catalog, &request.selection)?;
    settle(&mut options, adapted.target.version, unavailable(&source.catalog, &request.selection));
    options.is_downgrade = adapted.is_downgrade;
    let coming = options.coming_roles.clone();
    let mut plan = dbhaul_importer::plan(toc, &segments, options).map_err(|e| import_error(target, e))?;
    if request.options.create {
        return predict_created(request, (&mut plan, source), (target, coming), report, context).await;
    }
    let found = check_target(&plan, target, &context.cancel).await.map_err(|e| import_error(target, e))?;
    for blocker in &found.blockers {
        report.add(Level::Blocker, "target", blocker.to_string());
    }
    for warning in &found.warnings {
        report.add(Level::Warning, "target", warning.clone());
    }
    for (object, reason) in dbhaul_importer::tell(&found.predicted) {
        report.add(Level::Warning, "target", format!("will be skipped: {object}: {reason}"));
    }
    if !found.lost_rows.is_empty() {
        let message = format!("their rows will be missing: {}", found.lost_rows.join(", "));
        report.add(Level::Warning, "target", message);
    }
    Ok(())
}

/// Of a database that is still to be created only this can be told.
async fn predict_created(
    request: &PreflightRequest,
    (plan, source): (&mut ImportPlan, &LiveDatabase),
    (target, coming): (&ConnectSettings, BTreeSet<String>),
    report: &mut PreflightReport,
    context: &Context,
) -> Result<(), PipelineError> {
    let skipped = plan.predict_before(target, (coming.clone(), false), &context.cancel).await;
    let skipped = skipped.map_err(|source| import_error(target, source))?;
    let created = creation_blockers(target, &request.options, &source.catalog, context).await?;
    for blocker in plan.blockers().iter().chain(&created) {
        report.add(Level::Blocker, "target", blocker.clone());
    }
    for warning in plan.warnings() {
        report.add(Level::Warning, "target", warning.clone());
    }
    for (object, reason) in dbhaul_importer::tell(&skipped) {
        report.add(Level::Warning, "target", format!("will be skipped: {object}: {reason}"));
    }
    let catalog = &source.catalog;
    for NamedReason { object, reason } in
        refused_properties(target, &request.options, catalog, &coming, context).await?
    {
        report.add(Level::Warning, "target", format!("will be skipped: {object}: {reason}"));
    }
    report.not_tried = Some(format!(
        "database {} does not exist yet, so that no object, owner or privilege was tried in it; the run tries them \
         when it has created the database, before it loads rows",
        quote_identifier(&source.catalog.database.name)
    ));
    Ok(())
}

impl Display for PreflightReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Finding { level, about, message } in &self.findings {
            let word = match level {
                Level::Blocker => "BLOCKER",
                Level::Warning => "warning",
                Level::Info => "info",
            };
            let message = in_lines(message).replace('\n', "\n                 ");
            writeln!(f, "{word:8} {about:7} {message}")?;
        }
        match (self.status(), &self.not_tried) {
            (Status::Blocked, _) => f.write_str("not ready: see the blockers above"),
            (_, Some(not_tried)) => write!(f, "ready, as far as could be tried: {}", in_one_line(not_tried)),
            (_, None) => f.write_str("ready"),
        }
    }
}
