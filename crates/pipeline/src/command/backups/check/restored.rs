//! Level 3: a backup is restored into a database that is made for it, compared, and dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use dbhaul_archive::{CheckFinding, TableKind};
use dbhaul_catalog::{
    DataEntry, Database, Difference, QualifiedName, Selection, Tablespaces, Target, database_statements,
    quote_identifier,
};
use dbhaul_importer::StatisticsMode;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use dbhaul_repository::{BackupCheck, BackupRef};
use dbhaul_verifier::{Report, Verdict};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::CheckRequest;
use crate::command::restore::{Restore, foreign_tables, sequences};
use crate::command::verify::verify;
use crate::source::build_toc_of;
use crate::target::locales::locale_blocker;
use crate::{
    Context, NamedReason, PipelineError, RestoreReport, RestoreRequest, Status, VerifyRequest, VerifySide,
    WriteOptions, one_line,
};

/// Attempts to drop the scratch database, and the pause between them.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// What is found wrong, and what cannot be looked at.
#[derive(Default)]
struct Found {
    damage: Vec<CheckFinding>,
    unread: Vec<CheckFinding>,
}

/// Restores a backup, whose rows have just been read, into a database of its own on the target's server, compares it with
/// the backup and drops it, however the rest ended.
///
/// # Errors
/// If the server cannot be reached or cannot take the backup, or the user stops it.
pub(super) async fn restore_and_compare(
    check: &mut BackupCheck,
    (request, target): (&CheckRequest, &ConnectSettings),
    context: &Context,
) -> Result<(), PipelineError> {
    let name = create(check, target, context).await?;
    let scratch = target.with_database(&name);
    let compared = Box::pin(compare(check, (request, &scratch), context)).await;
    let dropped = drop_database(target, &name).await;
    if let Err(error) = &dropped {
        context.progress.warning(format!(
            "database {name} on {} was not dropped: {}; DROP DATABASE {} there",
            target.describe(),
            one_line(error),
            quote_identifier(&name)
        ));
    }
    let mut found = compared?;
    if let Err(error) = dropped {
        found.unread.push(named(format!("scratch database {name}"), format!("was not dropped: {error}")));
    }
    let left_out = "owners, privileges, subscriptions, tablespaces, and properties of the database itself: a scratch \
                    database has none of them";
    check.add(found.damage, found.unread, vec![left_out.to_owned()]);
    Ok(())
}

/// Makes a database that has the encoding and the locale of the backup's; returns its name, which nobody else has.
async fn create(
    check: &BackupCheck,
    target: &ConnectSettings,
    context: &Context,
) -> Result<String, PipelineError> {
    let Some(catalog) = &check.catalog else { return Err(without_catalog()) };
    let name = format!("dbhaul_check_{}", Ulid::generate().to_string().to_ascii_lowercase());
    let database = Database { name: name.clone(), tablespace: None, ..catalog.database.clone() };
    let creating = |source| {
        PipelineError::server(format!("cannot create the scratch database on {}", target.describe()), source)
    };
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(creating)?;
    if let Some(blocker) = locale_blocker(&session, &database).await.map_err(creating)? {
        return Err(blocker);
    }
    let place = Target { version: session.version() };
    let Some(create) = database_statements(&database, &place).into_iter().next() else {
        return Err(without_catalog());
    };
    context
        .progress
        .notice(format!("creating database {name} on {}; it is dropped at the end", target.describe()));
    // fails if there is one of that name: no database is touched that this has not made
    match session.execute(&create.sql).await {
        Ok(_) => session.close().await.map_err(creating)?,
        // whether it was made is not known where the answer was lost
        Err(error) if error.sqlstate().is_none() => {
            drop_database(target, &name).await.map_err(creating)?;
            return Err(creating(error));
        }
        Err(error) => return Err(creating(error)),
    }
    Ok(name)
}

/// Drops the scratch database, also if the user has stopped the command.
async fn drop_database(target: &ConnectSettings, name: &str) -> Result<(), dbhaul_postgres::Error> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_identifier(name));
    let mut attempt = 1;
    loop {
        let unstopped = CancellationToken::new();
        let dropped = async {
            let session = Session::connect(target, SessionRole::Loader, &unstopped).await?;
            session.execute(&sql).await?;
            session.close().await
        };
        match dropped.await {
            Err(_) if attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            dropped => return dropped,
        }
    }
}

/// Restores the backup and compares: definitions and sequences by the restore, rows by a scan of what is there then.
async fn compare(
    check: &BackupCheck,
    (request, scratch): (&CheckRequest, &ConnectSettings),
    context: &Context,
) -> Result<Found, PipelineError> {
    let selection = selection(check)?;
    let (backup, database) = (BackupRef::Id(check.key.id.to_string()), Some(check.key.database.clone()));
    let restore = RestoreRequest {
        store: request.store.clone(),
        backup: backup.clone(),
        database: database.clone(),
        target: scratch.clone(),
        selection: selection.clone(),
        options: WriteOptions {
            jobs: request.jobs,
            set_owners: false,
            privileges: false,
            // what nobody will query needs none
            statistics: StatisticsMode::None,
            ..WriteOptions::default()
        },
        verify: true,
    };
    let restore = Box::pin(Restore::prepare(restore, context.clone())).await?;
    let restored = Box::pin(restore.execute()).await?;
    let mut found = Found::default();
    found.add_restore(&restored);
    if !selection.data {
        return Ok(found);
    }
    let rows = VerifyRequest {
        // every row was read before this began
        left: VerifySide::Backup { store: request.store.clone(), backup, database, rows_were_read: true },
        right: VerifySide::Live(scratch.clone()),
        selection: Selection { pre_data: false, post_data: false, ..selection },
        jobs: request.jobs,
        owners: false,
        privileges: false,
        database: false,
        role_map: dbhaul_catalog::RoleMap::default(),
        scratch: crate::Scratch::Never,
    };
    let compared = Box::pin(verify(rows, context.clone())).await?;
    found.add_report(&compared.report, restored.status() == Status::Skipped);
    Ok(found)
}

/// Everything that the backup holds. Tables that it holds without their rows are restored so.
fn selection(check: &BackupCheck) -> Result<Selection, PipelineError> {
    let (Some(catalog), Some(manifest)) = (&check.catalog, &check.manifest) else {
        return Err(without_catalog());
    };
    let mut selection = Selection {
        owners: false,
        privileges: false,
        // a database that subscribes to something cannot be dropped
        subscriptions: false,
        tablespaces: Tablespaces { none: true, ..Tablespaces::default() },
        ..Selection::default()
    };
    let mut options = selection.toc_options(catalog)?;
    options.with_foreign_data.extend(foreign_tables(manifest, catalog));
    let target = Target { version: catalog.server_version };
    let toc = build_toc_of(catalog, &options, target, &sequences(manifest))?;
    let has_large_objects = manifest.tables.iter().any(|table| table.kind == TableKind::LargeObjects);
    let stored: BTreeSet<QualifiedName> = manifest
        .tables
        .iter()
        .filter(|table| table.kind == TableKind::Table)
        .map(|table| QualifiedName::new(&table.schema, &table.name))
        .collect();
    for entry in &toc.entries {
        match &entry.data {
            Some(DataEntry::Table(table)) if !stored.contains(&table.table) => {
                selection.exclude_table_data.push(table.table.sql());
            }
            Some(DataEntry::LargeObjects) if !has_large_objects => selection.large_objects = Some(false),
            _ => {}
        }
    }
    if manifest.tables.is_empty() && !selection.exclude_table_data.is_empty() {
        selection.exclude_table_data.clear();
        selection.data = false;
    }
    Ok(selection)
}

fn without_catalog() -> PipelineError {
    PipelineError::damaged("the catalog", "it is not known what to restore")
}

fn named(object: String, problem: String) -> CheckFinding {
    CheckFinding { object, problem, affects: Vec::new(), affected_count: 0 }
}

impl Found {
    fn add_restore(&mut self, restored: &RestoreReport) {
        let of = |list: &[NamedReason], what: &str| -> Vec<CheckFinding> {
            // what follows may quote values of rows, and a report lies open to whoever may write backups
            let first_line = |reason: &str| reason.lines().next().unwrap_or_default().to_owned();
            let finding = |each: &NamedReason| {
                named(each.object.clone(), format!("{what}: {}", first_line(&each.reason)))
            };
            list.iter().map(finding).collect()
        };
        // what the server did, or may not be done there, says nothing of the backup
        let (of_server, own): (Vec<NamedReason>, Vec<NamedReason>) = restored
            .summary
            .failed
            .iter()
            .cloned()
            .partition(|failed| restored.summary.failed_for_the_server.contains(&failed.object));
        self.damage.extend(of(&own, "cannot be restored"));
        self.unread.extend(of(&of_server, "could not be restored on this server"));
        self.unread.extend(of(&restored.summary.skipped, "was skipped by the restore"));
        if let Some(reason) = &restored.unverified {
            self.unread
                .push(named("the restored database".to_owned(), format!("was not compared: {reason}")));
        }
        if let (Some(report), Status::Different | Status::Failed) =
            (&restored.verification, restored.status())
        {
            self.add_report(report, !of_server.is_empty());
        }
    }

    /// `is_partial`: what a restore has left out, and said so, is not there, and nor is what depends on it.
    fn add_report(&mut self, report: &Report, is_partial: bool) {
        for difference in &report.schema.differences {
            let object = difference.identity().to_string();
            let (list, problem) = match difference {
                Difference::Missing { .. } if is_partial => (&mut self.unread, "was not restored".to_owned()),
                Difference::Missing { .. } => (&mut self.damage, "is missing after a restore".to_owned()),
                Difference::Extra { .. } => (&mut self.damage, "is not in the backup".to_owned()),
                Difference::Different { path, .. } => {
                    (&mut self.damage, format!("is another after a restore: {path}"))
                }
                Difference::NotVerified { path, reason, .. } => {
                    (&mut self.unread, format!("could not be compared: {path}: {reason}"))
                }
            };
            list.push(named(object, problem));
        }
        for table in &report.tables {
            let (list, problem) = match &table.verdict {
                Verdict::Equal { .. } => continue,
                Verdict::Different { left, right } => {
                    let problem =
                        format!("its rows have the digest {right} after a restore, and {left} in the backup");
                    (&mut self.damage, problem)
                }
                Verdict::Missing if is_partial => (&mut self.unread, "was not restored".to_owned()),
                Verdict::Missing => (&mut self.damage, "is missing after a restore".to_owned()),
                Verdict::Extra => (&mut self.damage, "is not in the backup".to_owned()),
                Verdict::NotVerified { reason } => {
                    (&mut self.unread, format!("could not be compared: {reason}"))
                }
            };
            list.push(named(format!("table {}", table.name), problem));
        }
        for sequence in &report.sequences {
            let object = format!("sequence {}", sequence.name);
            match &sequence.not_verified {
                Some(reason) => self.unread.push(named(object, format!("could not be compared: {reason}"))),
                None => self.damage.push(named(object, "stands elsewhere after a restore".to_owned())),
            }
        }
    }
}
