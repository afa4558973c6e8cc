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
use dbhaul_verifier::{AcceptList, Checks, Mode, Report, Verdict};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::CheckRequest;
use crate::command::restore::{Restore, foreign_tables, sequences};
use crate::command::verify::verify;
use crate::report::explained::Excuses;
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

/// Restores the backup, which compares what is there then with it; rows are compared in any case.
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
    // a restore that was compared has read its rows
    if !selection.data || restored.verification.is_some() {
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
        mode: vec![Mode::Digest],
        shown: crate::ShownRows::default(),
        checks: Checks::default(),
        accept: AcceptList::default(),
        repair_sql: None,
        max_seconds: None,
        computed: crate::Computed::default(),
    };
    let compared = Box::pin(verify(rows, context.clone())).await?;
    found.add_report(&compared.report, &Undone::of(&restored));
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

/// What a restore has skipped, and said so, or what failed there for the server's sake: a comparison that finds it
/// missing or half done says nothing of the backup.
struct Undone<'a> {
    /// Whether there is any of it: what depends on it is not there either.
    has_any: bool,
    /// Tables and sequences that are not filled, or not whole.
    unfilled: &'a BTreeSet<String>,
    excuses: &'a Excuses,
}

impl<'a> Undone<'a> {
    fn of(restored: &'a RestoreReport) -> Self {
        let RestoreReport { summary, excuses, .. } = restored;
        let has_any = !summary.skipped.is_empty() || !summary.failed_for_the_server.is_empty();
        Undone { has_any, unfilled: &summary.unfilled, excuses }
    }

    fn explains(&self, difference: &Difference) -> bool {
        self.has_any && (matches!(difference, Difference::Missing { .. }) || self.excuses.explain(difference))
    }
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
            self.add_report(report, &Undone::of(restored));
        }
    }

    fn add_report(&mut self, report: &Report, undone: &Undone<'_>) {
        let not_done = || "was not restored, or not whole".to_owned();
        for difference in &report.schema.differences {
            let object = difference.identity().to_string();
            let (list, problem) = match difference {
                _ if undone.explains(difference) => (&mut self.unread, not_done()),
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
                Verdict::Different { .. } | Verdict::OtherCount { .. } | Verdict::Missing
                    if undone.unfilled.contains(&table.name) =>
                {
                    (&mut self.unread, not_done())
                }
                Verdict::Different { left, right } => {
                    let problem =
                        format!("its rows have the digest {right} after a restore, and {left} in the backup");
                    (&mut self.damage, problem)
                }
                Verdict::OtherCount { left, right } => {
                    (&mut self.damage, format!("has {right} rows after a restore, and {left} in the backup"))
                }
                Verdict::Settled { .. } => (&mut self.unread, "changed while it was compared".to_owned()),
                Verdict::SameCount { .. } => {
                    (&mut self.unread, "has rows that were counted and not compared".to_owned())
                }
                Verdict::Missing if undone.has_any => (&mut self.unread, not_done()),
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
                None if undone.unfilled.contains(&sequence.name) => {
                    self.unread.push(named(object, not_done()))
                }
                None => self.damage.push(named(object, "stands elsewhere after a restore".to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dbhaul_catalog::CatalogDiff;
    use dbhaul_rows::RowDigest;
    use dbhaul_verifier::{Mode, Report, RowsOfRight, SequenceResult, SideDescription, TableResult, Verdict};

    use super::{Found, Undone};
    use crate::report::explained::Excuses;

    /// A comparison in which this table differs, that one is missing, and a sequence stands elsewhere.
    fn report() -> Report {
        let side = SideDescription {
            name: String::new(),
            server_version: String::new(),
            as_of: String::new(),
            lsn: None,
        };
        let (left, right) = (RowDigest { row_count: 2, sum: 7 }, RowDigest::default());
        let table = |name: &str, verdict| TableResult::new(name, verdict);
        let sequence = SequenceResult {
            name: "public.numbers".to_owned(),
            left: Some("7,true".to_owned()),
            right: Some("1,false".to_owned()),
            not_verified: None,
            behind: None,
        };
        Report {
            left: side.clone(),
            right: side,
            compared_at: String::new(),
            dbhaul_version: String::new(),
            mode: Mode::usual(),
            selection: None,
            options: Vec::new(),
            schema: CatalogDiff { differences: Vec::new() },
            compared_object_count: 0,
            compared_kinds: Default::default(),
            definitions: Vec::new(),
            tables: vec![
                table("public.half", Verdict::Different { left, right }),
                table("public.gone", Verdict::Missing),
            ],
            rows_of_right: RowsOfRight::default(),
            compared_sequence_count: 1,
            sequences: vec![sequence],
            checks: Vec::new(),
            accepted: Vec::new(),
            unused_accept_lines: Vec::new(),
            not_compared: Vec::new(),
            information: Vec::new(),
        }
    }

    #[test]
    fn what_the_server_did_not_take_is_no_damage_and_all_else_is() {
        let check = |has_any: bool, unfilled: &[&str], damaged: &[&str], unread: &[&str]| {
            let unfilled: BTreeSet<String> = unfilled.iter().copied().map(str::to_owned).collect();
            let mut found = Found::default();
            let excuses = Excuses::default();
            found.add_report(&report(), &Undone { has_any, unfilled: &unfilled, excuses: &excuses });
            let names = |list: &[super::CheckFinding]| {
                list.iter().map(|finding| finding.object.clone()).collect::<Vec<_>>()
            };
            assert_eq!((names(&found.damage), names(&found.unread)), (names_of(damaged), names_of(unread)));
        };
        let [half, gone, numbers] = ["table public.half", "table public.gone", "sequence public.numbers"];
        check(false, &[], &[half, gone, numbers], &[]);
        check(true, &["public.half"], &[numbers], &[half, gone]);
        check(true, &["public.other"], &[half, numbers], &[gone]);
        check(true, &["public.half", "public.gone", "public.numbers"], &[], &[half, gone, numbers]);
    }

    fn names_of(names: &[&str]) -> Vec<String> {
        names.iter().copied().map(str::to_owned).collect()
    }
}
