//! What a restore and a migration do to a target alike.

pub(crate) mod adapted;
pub(crate) mod extensions;
pub(crate) mod hypertables;
pub(crate) mod locales;
mod read_only;
pub(crate) mod roles;
pub(crate) mod settings;

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use dbhaul_catalog::kinds::{Body, EventTriggerState};
use dbhaul_catalog::{
    Catalog, DatabaseStatement, Difference, Object, TIMESCALEDB, end_of_restore, in_one_line,
    quote_identifier, shown_value, without_values,
};
use dbhaul_importer::{ImportError, ImportOptions, ImportOutcome, ImportPlan, SegmentSource, check_target};
use dbhaul_postgres::{ConnectSettings, Probe, Session, SessionRole};
use ulid::Ulid;

use crate::report::explained::Told;
use crate::sides::check_side;
use crate::target::locales::locale_blocker;
use crate::target::read_only::check_writable;
use crate::target::roles::RoleWork;
use crate::target::settings::{early, is_refusal, refused_properties};
use crate::{Context, NamedReason, PipelineError, RoleReport, Status, WriteOptions};

/// The importer's options for what a user asked. `fingerprint` says what is
/// imported, so that a run resumes nothing else.
pub(crate) fn import_options(
    options: &WriteOptions,
    fingerprint: String,
    search_path: Option<String>,
) -> ImportOptions {
    let mut import = ImportOptions::new(new_run(), fingerprint);
    import.jobs = options.jobs.max(1);
    import.set_owners = options.set_owners;
    import.privileges = options.privileges;
    import.clean = options.clean;
    import.if_exists = options.if_exists;
    import.resume = options.resume;
    import.allow_non_empty = options.allow_non_empty;
    import.allow_read_only = options.allow_read_only;
    import.disable_triggers = options.disable_triggers;
    import.statistics = options.statistics;
    import.source_search_path = search_path;
    import.maintenance_work_mem_bytes = options.maintenance_work_mem_bytes;
    import.index_workers = options.index_workers;
    import
}

/// What of a catalog the importer has to know beside its table of contents: what a selection left out that
/// something needs, tablespaces, and settings of the database that get lost.
pub(crate) fn take_from_catalog(import: &mut ImportOptions, catalog: &Catalog, options: &WriteOptions) {
    import.unselected = catalog.unselected.clone();
    import.extension_members = extensions::members(catalog);
    import.tablespaces = catalog.tablespaces().into_iter().map(str::to_owned).collect();
    import.notes.extend(lost_settings(catalog, options));
    import.notes.extend(login_triggers(catalog));
    import.notes.extend(keys_switched_off(catalog).map(|keys| {
        format!(
            "the source does not enforce foreign keys whose triggers are disabled there (ALTER TABLE ... DISABLE TRIGGER \
             ALL): {keys}; the target will: a key that rows violate fails, and triggers of keys are not disabled again"
        )
    }));
}

/// Foreign keys of a catalog that do not keep rows from violating them, named.
pub(crate) fn keys_switched_off(catalog: &Catalog) -> Option<String> {
    const SHOWN: usize = 10;
    let name = |object: &Object| match &object.body {
        Body::Constraint(key) if key.switched_off => {
            Some(in_one_line(&format!("{} on {}", quote_identifier(&object.name), key.table)))
        }
        _ => None,
    };
    let keys: Vec<String> = catalog.objects.iter().filter_map(name).collect();
    let names = keys.iter().take(SHOWN).cloned();
    let more = keys.len().saturating_sub(SHOWN);
    let names: Vec<String> = names.chain((more > 0).then(|| format!("and {more} more"))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Event triggers that fire for our own sessions too, before these can keep them from it.
fn login_triggers(catalog: &Catalog) -> Option<String> {
    let fires = |object: &&Object| match &object.body {
        Body::EventTrigger(trigger) => {
            trigger.event == "login" && trigger.enabled != EventTriggerState::Disabled
        }
        _ => false,
    };
    let names = catalog.objects.iter().filter(fires);
    let names: Vec<String> = names.map(|object| in_one_line(&quote_identifier(&object.name))).collect();
    let (subject, it) = match names.len() {
        0 => return None,
        1 => (format!("event trigger {} fires", names[0]), "it"),
        _ => (format!("event triggers {} fire", names.join(", ")), "they"),
    };
    Some(format!(
        "{subject} whenever somebody logs in, dbhaul's own sessions included: what {it} may write is written to the \
         source while that is read, and to the target before rows are compared, so that these may differ; ALTER EVENT \
         TRIGGER ... DISABLE on the source for the time of the move"
    ))
}

/// Settings of the database, which only `--create` carries.
fn lost_settings(catalog: &Catalog, options: &WriteOptions) -> Option<String> {
    let shown = |(role, setting): &(Option<String>, String)| {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let value = shown_value(name, value);
        let of =
            role.as_ref().map(|role| format!(" for role {}", quote_identifier(role))).unwrap_or_default();
        in_one_line(&format!("{name} = {value}{of}"))
    };
    let settings: Vec<String> = catalog.database.settings.iter().map(shown).collect();
    (!options.create && !settings.is_empty()).then(|| {
        format!(
            "settings of the source's database are not carried without --create: {}; ALTER DATABASE ... SET them on \
             the target where they are wanted",
            settings.join(", ")
        )
    })
}

/// An identifier for a run.
pub(crate) fn new_run() -> String {
    Ulid::generate().to_string()
}

/// Lets the target say what it will refuse, so that the plan tells it before anything starts. Where the
/// database or roles are still to be created, only what is known of roles is told; then the run begins with
/// trying the rest.
pub(crate) async fn predict(
    plan: &mut ImportPlan,
    target: &ConnectSettings,
    (options, catalog): (&WriteOptions, &Catalog),
    roles: Option<&RoleReport>,
    context: &Context,
) -> Result<(), PipelineError> {
    let there = existing(target, options, catalog, context).await?;
    if let (Some(there), None) = (&there, roles) {
        let checked = dbhaul_importer::check_target(plan, there, &context.cancel).await;
        plan.predict(&checked.map_err(|source| import_error(there, source))?);
        return Ok(());
    }
    let coming: BTreeSet<String> = roles.iter().flat_map(|roles| roles.created.iter().cloned()).collect();
    let look_at = there.as_ref().unwrap_or(target);
    let told = plan.predict_before(look_at, (coming.clone(), there.is_some()), &context.cancel).await;
    told.map_err(|source| import_error(look_at, source))?;
    if there.is_none() {
        let blockers = creation_blockers(target, options, catalog, context).await?;
        blockers.into_iter().for_each(|blocker| plan.block(blocker));
        for NamedReason { object, reason } in
            refused_properties(target, options, catalog, &coming, context).await?
        {
            plan.will_skip(&object, &reason);
        }
    }
    Ok(())
}

/// The database that is written, if it is there already: with `--create` only where a run is resumed that
/// has created it.
async fn existing(
    target: &ConnectSettings,
    options: &WriteOptions,
    catalog: &Catalog,
    context: &Context,
) -> Result<Option<ConnectSettings>, PipelineError> {
    if !options.create {
        return Ok(Some(target.clone()));
    }
    if !options.resume {
        return Ok(None);
    }
    let asking = |source| PipelineError::server("cannot ask the target", source);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(asking)?;
    let exists = database_exists(&session, catalog).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    Ok(exists.then(|| target.with_database(&catalog.database.name)))
}

/// Says before a run what it will not carry as it is.
pub(crate) fn tell_losses(losses: &[NamedReason], context: &Context) {
    for NamedReason { object, reason } in losses {
        let object = in_one_line(object);
        context.progress.warning(format!("will be changed: {object}: {}", in_one_line(reason)));
    }
}

/// Says in a plan what a run will not carry as it is.
pub(crate) fn write_losses(f: &mut Formatter<'_>, losses: &[NamedReason]) -> fmt::Result {
    losses.iter().try_for_each(|NamedReason { object, reason }| {
        writeln!(f, "  will change {}: {}", in_one_line(object), in_one_line(reason))
    })
}

/// The last line of a plan whose run would be refused.
pub(crate) fn write_blocked(f: &mut Formatter<'_>, blockers: &[String]) -> fmt::Result {
    if blockers.is_empty() { Ok(()) } else { write!(f, "\nnot ready: see the blockers above") }
}

/// How showing a plan ends: as its run would, where that would be refused.
pub(crate) fn planned_status(blockers: &[String]) -> Status {
    if blockers.is_empty() { Status::Done } else { Status::Failed }
}

/// Carries out an import plan.
pub(crate) async fn run_import(
    plan: ImportPlan,
    target: &ConnectSettings,
    source: Arc<dyn SegmentSource>,
    context: &Context,
) -> Result<ImportOutcome, PipelineError> {
    let end = end_of_restore(plan.toc()).map(|(_, sql)| sql);
    let import = dbhaul_importer::import(plan, target, source, &context.progress, &context.cancel);
    let outcome = Box::pin(import).await;
    let has_begun = match &outcome {
        Ok(outcome) => outcome.ledger_schema.is_some(),
        Err(error) => !error.has_changed_nothing(),
    };
    if let Some(sql) = end.filter(|_| has_begun) {
        context.progress.warning(format!(
            "{TIMESCALEDB} on the target stays in restoring mode, in which its hypertables are plain tables, until \
             --resume has completed the run; to use the target as it is, {sql} there"
        ));
    }
    outcome.map_err(|source| import_error(target, source))
}

pub(crate) fn import_error(target: &ConnectSettings, source: ImportError) -> PipelineError {
    if source.is_cancelled() {
        return PipelineError::Cancelled;
    }
    PipelineError::Import { target: target.describe(), source }
}

/// Creates the roles that are asked for, before anything else, once it is known
/// that the target can take the rest: what blocks an import changes nothing.
pub(crate) async fn create_roles(
    roles: &RoleWork,
    plan: &ImportPlan,
    target: &ConnectSettings,
    (options, catalog): (&WriteOptions, &Catalog),
    context: &Context,
) -> Result<Option<RoleReport>, PipelineError> {
    if roles.is_asked_for() && options.create && !options.resume {
        let asking = |source| PipelineError::server("cannot ask the target", source);
        let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(asking)?;
        let exists = database_exists(&session, catalog).await.map_err(asking)?;
        session.close().await.map_err(asking)?;
        if exists {
            return Err(exists_already(target, catalog));
        }
    } else if roles.is_asked_for()
        && let Some(there) = existing(target, options, catalog, context).await?
    {
        let report = check_target(plan, &there, &context.cancel).await;
        let report = report.map_err(|source| import_error(&there, source))?;
        if !report.blockers.is_empty() {
            let source = ImportError::Blocked { target: report.target, blockers: report.blockers };
            return Err(import_error(&there, source));
        }
    }
    roles.create(target, context).await
}

/// The database that is written.
pub(crate) struct Created {
    /// How it is reached.
    pub(crate) target: ConnectSettings,
    /// What of its own properties could not be set.
    pub(crate) unset: Vec<NamedReason>,
    /// The same as differences.
    pub(crate) told: Told,
}

/// With `--create`, creates the database named as the source's, connected to
/// the one given; returns the settings of the database to write and what of the
/// database's own properties could not be set.
///
/// A run that is resumed may have been stopped between `CREATE DATABASE` and the
/// rest, so it does the rest again, which changes nothing where it was done.
pub(crate) async fn create_database(
    target: &ConnectSettings,
    options: &WriteOptions,
    catalog: &Catalog,
    context: &Context,
) -> Result<Created, PipelineError> {
    let name = &catalog.database.name;
    let mut created = Created { target: target.clone(), unset: Vec::new(), told: Told::default() };
    if !options.create {
        return Ok(created);
    }
    let creating = |source| {
        PipelineError::server(format!("cannot create database {name:?} on {}", target.describe()), source)
    };
    created.target = target.with_database(name);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(creating)?;
    let exists = database_exists(&session, catalog).await.map_err(creating)?;
    if exists && !options.resume {
        session.close().await.map_err(creating)?;
        return Err(exists_already(target, catalog));
    }
    check_tablespaces(&session, catalog, exists).await?;
    check_writable(&session, target, options).await?;
    let (create, statements) = early(options, catalog, session.version());
    if let (Some(create), false) = (create, exists) {
        session.execute(&create.sql).await.map_err(creating)?;
    }
    for DatabaseStatement { sql, properties } in statements {
        match session.execute(&sql).await {
            Ok(_) => {}
            Err(error) if is_refusal(&error) => {
                created.unset.push(NamedReason {
                    object: format!("DATABASE {}", quote_identifier(name)),
                    reason: format!("{}: {error}", without_values(&sql)),
                });
                let change = |path| Difference::changed(catalog.database.identity(), path);
                created.told.objects.insert(catalog.database.identity());
                created.told.changes.extend(properties.into_iter().map(change));
            }
            Err(error) => return Err(creating(error)),
        }
    }
    session.close().await.map_err(creating)?;
    // a pooler may serve each database in a mode of its own
    Box::pin(check_side(("target", &created.target), context)).await?;
    Ok(created)
}

/// Why `--create` would fail before anything is created, each with a way out.
pub(crate) async fn creation_blockers(
    target: &ConnectSettings,
    options: &WriteOptions,
    catalog: &Catalog,
    context: &Context,
) -> Result<Vec<String>, PipelineError> {
    if !options.create {
        return Ok(Vec::new());
    }
    let asking = |source| PipelineError::server("cannot ask the target", source);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(asking)?;
    let mut blockers = Vec::new();
    let exists = database_exists(&session, catalog).await.map_err(asking)?;
    if exists && !options.resume {
        blockers.push(exists_already(target, catalog));
    }
    let role = Probe::new(&session).capabilities().await.map_err(asking)?;
    if !exists && !role.can_create_database {
        blockers.push(may_not_create(target));
    }
    match check_tablespaces(&session, catalog, exists).await {
        Err(missing @ PipelineError::Request { .. }) => blockers.push(missing),
        checked => checked?,
    }
    match check_writable(&session, target, options).await {
        Err(read_only @ PipelineError::Request { .. }) => blockers.push(read_only),
        checked => checked?,
    }
    if !exists {
        blockers.extend(locale_blocker(&session, &catalog.database).await.map_err(asking)?);
    }
    session.close().await.map_err(asking)?;
    let words = |blocker: PipelineError| match blocker.help() {
        Some(help) => format!("{blocker}; {help}"),
        None => blocker.to_string(),
    };
    Ok(blockers.into_iter().map(words).collect())
}

fn may_not_create(target: &ConnectSettings) -> PipelineError {
    PipelineError::Request {
        problem: format!("the role may not create databases on {}", target.describe()),
        help: "give the role CREATEDB (ALTER ROLE ... CREATEDB), or have the database created, connect to it and leave out --create"
            .to_owned(),
    }
}

async fn database_exists(session: &Session, catalog: &Catalog) -> Result<bool, dbhaul_postgres::Error> {
    let name = dbhaul_catalog::quote_literal(&catalog.database.name);
    let sql = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {name}");
    Ok(!session.query_strings(&sql).await?.is_empty())
}

fn exists_already(target: &ConnectSettings, catalog: &Catalog) -> PipelineError {
    let name = quote_identifier(&catalog.database.name);
    PipelineError::Request {
        problem: format!("database {name} exists already on {}", target.describe()),
        help: "leave out --create and connect to that database, or drop it first".to_owned(),
    }
}

/// Fails, before anything is created, if the target lacks a tablespace of the catalog's, or where the database
/// is not there yet (`exists`), if the role may not use one.
async fn check_tablespaces(session: &Session, catalog: &Catalog, exists: bool) -> Result<(), PipelineError> {
    let asking = |source| PipelineError::server("cannot ask the target", source);
    let found = dbhaul_importer::tablespaces(session).await.map_err(asking)?;
    let named = catalog.database.tablespace.as_deref().into_iter().chain(catalog.tablespaces());
    let named: BTreeSet<&str> = named.collect();
    let quoted = |names: Vec<&str>| names.into_iter().map(quote_identifier).collect::<Vec<_>>().join(", ");
    let missing: Vec<&str> = named.iter().copied().filter(|name| !found.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(PipelineError::Request {
            problem: format!("the target lacks tablespaces that the source uses: {}", quoted(missing)),
            help: "create them there, give others with --tablespace-map OLD=NEW, or use --no-tablespaces"
                .to_owned(),
        });
    }
    let closed: Vec<&str> = named.into_iter().filter(|name| found.get(*name) == Some(&false)).collect();
    if exists || closed.is_empty() {
        return Ok(());
    }
    Err(PipelineError::Request {
        problem: format!("the role may not use tablespaces of the target: {}", quoted(closed)),
        help: "GRANT CREATE ON TABLESPACE it, give others with --tablespace-map OLD=NEW, or use --no-tablespaces"
            .to_owned(),
    })
}

/// The search path that statements of a database may rely on: its own, else the
/// server's default.
pub(crate) fn search_path_of(catalog: &Catalog) -> String {
    let own = catalog.database.settings.iter().find_map(|(role, setting)| match role {
        None => setting.strip_prefix("search_path="),
        Some(_) => None,
    });
    own.unwrap_or("\"$user\", public").to_owned()
}
