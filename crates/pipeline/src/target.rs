//! What a restore and a migration do to a target alike.

use std::sync::Arc;

use dbhaul_catalog::{Catalog, Target, database_create};
use dbhaul_importer::{ImportError, ImportOptions, ImportOutcome, ImportPlan, SegmentSource};
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use ulid::Ulid;

use crate::{Context, PipelineError, WriteOptions};

/// The importer's options for what a user asked. `fingerprint` says what is
/// imported, so that a run resumes nothing else.
pub(crate) fn import_options(
    options: &WriteOptions,
    fingerprint: String,
    search_path: Option<String>,
) -> ImportOptions {
    let mut import = ImportOptions::new(Ulid::generate().to_string(), fingerprint);
    import.jobs = options.jobs.max(1);
    import.set_owners = options.set_owners;
    import.privileges = options.privileges;
    import.clean = options.clean;
    import.if_exists = options.if_exists;
    import.resume = options.resume;
    import.allow_non_empty = options.allow_non_empty;
    import.analyze = options.analyze;
    import.source_search_path = search_path;
    import
}

/// Carries out an import plan.
pub(crate) async fn run_import(
    plan: ImportPlan,
    target: &ConnectSettings,
    source: Arc<dyn SegmentSource>,
    context: &Context,
) -> Result<ImportOutcome, PipelineError> {
    for warning in plan.warnings() {
        context.progress.warning(warning.clone());
    }
    let import = dbhaul_importer::import(plan, target, source, &context.progress, &context.cancel);
    import.await.map_err(|source| import_error(target, source))
}

pub(crate) fn import_error(target: &ConnectSettings, source: ImportError) -> PipelineError {
    if source.is_cancelled() {
        return PipelineError::Cancelled;
    }
    PipelineError::Import { target: target.describe(), source }
}

/// With `--create`, creates the database named as the source's, connected to
/// the one given, unless a run that is resumed has made it already; returns the
/// settings of the database to write.
pub(crate) async fn create_database(
    target: &ConnectSettings,
    options: &WriteOptions,
    catalog: &Catalog,
    context: &Context,
) -> Result<ConnectSettings, PipelineError> {
    if !options.create {
        return Ok(target.clone());
    }
    let creating = |source| {
        let name = &catalog.database.name;
        PipelineError::server(format!("cannot create database {name:?} on {}", target.describe()), source)
    };
    let created = target.with_database(&catalog.database.name);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(creating)?;
    let name = dbhaul_catalog::quote_literal(&catalog.database.name);
    let exists = session
        .query_strings(&format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {name}"))
        .await
        .map_err(creating)?;
    if !exists.is_empty() {
        session.close().await.map_err(creating)?;
        if options.resume {
            return Ok(created);
        }
        return Err(PipelineError::Request {
            problem: format!("database {name} exists already on {}", target.describe()),
            help: "leave out --create and connect to that database, or drop it first".to_owned(),
        });
    }
    for statement in database_create(&catalog.database, &Target { version: session.version() }) {
        session.execute(&statement).await.map_err(creating)?;
    }
    session.close().await.map_err(creating)?;
    Ok(created)
}
