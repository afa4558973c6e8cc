//! `restore`: a backup becomes a database.

pub(crate) mod backup_segments;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use dbhaul_archive::{Manifest, TableEntry, TableKind};
use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, DataEntry, Object, ObjectId, QualifiedName, ServerVersion, Toc, in_one_line};
use dbhaul_importer::{EntrySegments, ImportOutcome, ImportPlan, ImportingRole, SegmentSource};
use dbhaul_introspect::SequenceValue;
use dbhaul_progress::{Phase, counted};
use dbhaul_rows::RowDigest;
use dbhaul_verifier::{LARGE_OBJECTS, Report};
use serde::Serialize;

use crate::command::migrate::copy_scope::CopyScope;
use crate::command::restore::backup_segments::{BackupSegments, tables_by_entry};
use crate::command::verify::copy::verify_patiently;
use crate::command::verify::{Original, verify_restored};
use crate::report::explained::{Excuses, Told};
use crate::report::left_out::{left_out, told_of};
use crate::report::rows_left_out::{keys_without_rows, left_out_as_asked, write_left_out};
use crate::sides::check_side;
use crate::source::{build_toc_of, check_families};
use crate::statistics::{BackupStatistics, settle, unavailable};
use crate::target::adapted::Adapted;
use crate::target::extensions;
use crate::target::roles::RoleWork;
use crate::target::settings::finish_database;
use crate::target::{
    Created, create_database, create_roles, import_error, import_options, planned_status, predict,
    run_import, search_path_of, take_from_catalog, tell_losses, write_blocked, write_losses,
};
use crate::{Context, ImportSummary, NamedReason, PipelineError, RestoreRequest, RoleReport, Status};
use dbhaul_repository::{CheckedBackup, Repository};

/// A restore that is ready to run: backup read and checked, nothing written.
pub struct Restore {
    request: RestoreRequest,
    context: Context,
    source: Arc<dyn SegmentSource>,
    original: Original,
    import: ImportPlan,
    importer: ImportingRole,
    target_version: ServerVersion,
    /// The digests of the rows of each entry, as the manifest has them.
    expected: Vec<Expected>,
    roles: RoleWork,
    plan: RestorePlan,
}

/// What the rows of an entry are to come to.
struct Expected {
    entry: u32,
    name: String,
    digest: RowDigest,
}

/// What a restore will do.
#[derive(Debug, Clone, Serialize)]
pub struct RestorePlan {
    /// The store.
    pub store: String,
    /// The backup's identity.
    pub backup: String,
    /// When its snapshot was taken.
    pub snapshot_time: String,
    /// The target, without secrets.
    pub target: String,
    /// Rows in the backup.
    pub row_count: u64,
    /// What will be done about roles, where that is asked for.
    pub roles: Option<RoleReport>,
    /// Why the run would be refused, each with a way out; empty if nothing is known to stand in the way.
    pub blockers: Vec<String>,
    /// What the target cannot have as it is, beside what it refuses.
    pub losses: Vec<NamedReason>,
    /// The same by object.
    #[serde(skip)]
    told: Told,
    /// Positions of sequences and filling of materialized views that are left out because a pattern for rows
    /// names them.
    pub left_out_as_asked: Vec<NamedReason>,
    /// Stages, steps and choices of the import, as text.
    pub import: String,
    /// The same with the critical path and the order of all steps; what `{:#}` prints.
    pub schedule: String,
}

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// The backup's identity.
    pub backup: String,
    /// The target, without secrets.
    pub target: String,
    /// What was written.
    #[serde(flatten)]
    pub summary: ImportSummary,
    /// The comparison made afterwards, if it was asked for: of definitions, rows and sequences as they are on the
    /// target.
    pub verification: Option<Report>,
    /// Why there is none of a copy that is not whole, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// What was written, where nothing was compared afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<CopyScope>,
    /// Seconds it took, with the verification.
    pub elapsed_seconds: f64,
    /// What a comparison may find to differ since it was skipped.
    #[serde(skip)]
    pub(crate) excuses: Excuses,
}

impl RestoreReport {
    /// Failed, different, skipped or done.
    pub fn status(&self) -> Status {
        self.excuses.judge(self.summary.status(), self.verification.as_ref())
    }
}

impl RestorePlan {
    /// Done; failed, as the run would, if something is known to stand in its way.
    pub fn status(&self) -> Status {
        planned_status(&self.blockers)
    }
}

impl Restore {
    /// Finds the backup, checks that all its parts but the rows are there and fit together, and plans for the
    /// target's version.
    ///
    /// # Errors
    /// If the backup is not whole, or the target cannot be asked.
    pub async fn prepare(request: RestoreRequest, context: Context) -> Result<Self, PipelineError> {
        context.progress.phase_started(Phase::Introspect, None, None);
        let repository =
            Repository::open(&request.store, &context.keys, &context.progress, &context.cancel).await?;
        let key = repository.find(&request.backup, request.database.as_deref()).await?;
        let CheckedBackup { manifest, catalog: whole, repository } =
            Box::pin(repository.checked_backup(&key, &context.cancel)).await?;
        if request.selection.data {
            repository.require_rows()?;
        }
        let mut catalog = request.selection.apply(&whole)?;
        let (options, target) = (&request.options, &request.target);
        Box::pin(check_side(("target", target), &context)).await?;
        let roles =
            RoleWork::of_backup(&repository, &manifest, &mut catalog, options, target, &context).await?;
        let adapted = Adapted::new(&catalog, &request.target, request.options.allow_downgrade, &context);
        let adapted = Box::pin(adapted).await?;
        let mut toc_options = request.selection.toc_options(&adapted.catalog)?;
        toc_options.with_foreign_data.extend(foreign_tables(&manifest, &adapted.catalog));
        check_families(&catalog, &request.selection)?;
        let toc = build_toc_of(&adapted.catalog, &toc_options, adapted.target, &sequences(&manifest))?;
        let tables = tables_of(&manifest, &toc)?;
        let expected = tables.iter().map(|(entry, table)| Expected {
            entry: *entry,
            name: name_of(table),
            digest: table.digest,
        });
        let mut expected: Vec<Expected> = expected.collect();
        expected.sort_by_key(|expected| expected.entry);
        let statistics = BackupStatistics::new(&repository, &manifest, &catalog, &toc_options.without_data);
        let mut options =
            import_options(&request.options, manifest.id.to_string(), Some(search_path_of(&whole)));
        options.notes.extend(adapted.notes);
        take_from_catalog(&mut options, &catalog, &request.options);
        options.keys_without_rows = keys_without_rows(&catalog, &request.selection)?;
        let asked = (&request.selection, &request.options);
        options.notes.extend(extensions::look(&catalog, asked, &request.target, &context).await?);
        let missing = statistics.is_none().then_some("the backup holds none");
        let unavailable = unavailable(&catalog, &request.selection).or(missing);
        settle(&mut options, adapted.target.version, unavailable);
        options.is_downgrade = adapted.is_downgrade;
        let segments = BackupSegments::new(repository.clone(), tables, statistics).in_pieces();
        let entries = with_empty_entries(&toc, segments.entry_segments());
        let importing = |source| import_error(&request.target, source);
        let mut import = dbhaul_importer::plan(toc, &entries, options).map_err(importing)?;
        let importer = import.tune(&request.target, &context.cancel).await.map_err(importing)?;
        let planned_roles = roles.predict(&request.target, &context).await?;
        let (options, coming) = ((&request.options, &catalog), planned_roles.as_ref());
        Box::pin(predict(&mut import, &request.target, options, coming, &context)).await?;
        context.progress.phase_finished(Phase::Introspect);
        let plan = RestorePlan {
            roles: planned_roles,
            store: repository.describe(),
            backup: manifest.id.to_string(),
            snapshot_time: manifest.snapshot_time.to_string(),
            target: request.target.describe(),
            row_count: crate::command::backups::row_count(&manifest),
            blockers: import.blockers().to_vec(),
            losses: adapted.losses,
            told: adapted.told,
            left_out_as_asked: left_out_as_asked(&catalog, &request.selection)?,
            import: import.to_string(),
            schedule: format!("{import:#}"),
        };
        let source = Arc::new(segments);
        let original = Original::new(&repository, &manifest, catalog, &request.selection)?;
        let target_version = adapted.target.version;
        Ok(Restore {
            request,
            context,
            source,
            original,
            import,
            importer,
            target_version,
            expected,
            roles,
            plan,
        })
    }

    /// What will be done.
    pub fn plan(&self) -> &RestorePlan {
        &self.plan
    }

    /// Writes the target.
    ///
    /// # Errors
    /// If the target cannot take the backup, or a server or the store stayed
    /// away. Objects that failed alone are in the report.
    pub async fn execute(self) -> Result<RestoreReport, PipelineError> {
        let started = std::time::Instant::now();
        // whoever can write to the store decides what that is
        self.context.progress.notice(format!(
            "restore runs the SQL of backup {} in {} on {} with the rights of {}",
            self.plan.backup, self.plan.store, self.plan.target, self.importer
        ));
        let (request, context, mut original) = (&self.request, &self.context, self.original);
        let (options, wanted, catalog) = (&request.options, &request.target, original.catalog());
        let toc = Arc::clone(self.import.toc());
        let roles = create_roles(&self.roles, &self.import, wanted, (options, catalog), context).await?;
        let Created { target, mut unset, told } = create_database(wanted, options, catalog, context).await?;
        tell_losses(&self.plan.losses, context);
        let outcome = run_import(self.import, &target, self.source, context).await?;
        let wrong = wrong_rows(self.expected, &outcome);
        let (mut verification, mut unverified) = (None, why_not_compared(request, &wrong));
        if request.verify && unverified.is_none() {
            let compare = async || {
                let compared = verify_restored(&mut original, &target, request, &outcome, context);
                Box::pin(compared).await
            };
            // what failed spoils the proof of nothing else
            match Box::pin(verify_patiently(&target, context, compare)).await {
                Ok(report) => verification = Some(report),
                Err(error) if outcome.failed.is_empty() || context.cancel.is_cancelled() => {
                    return Err(error);
                }
                Err(error) => unverified = Some(crate::one_line(&error)),
            }
        }
        let catalog = original.catalog();
        let done = (catalog, outcome.failed.is_empty());
        unset.extend(finish_database(wanted, options, done, context).await?);
        let scope = verification.is_none().then(|| {
            let into = (&target, self.target_version);
            CopyScope::new(original.description().clone(), into, (&request.selection, options), &outcome)
        });
        unset.extend(left_out(catalog));
        unset.extend(self.plan.losses);
        let told = told.and(told_of(catalog)).and(self.plan.told);
        let excuses = Excuses::new(catalog, &toc.entries, &outcome, told);
        Ok(RestoreReport {
            backup: self.plan.backup,
            target: target.describe(),
            summary: ImportSummary::new(&outcome, unset)
                .with_roles(roles)
                .with_left_out(self.plan.left_out_as_asked)
                .with_failed(wrong),
            verification,
            unverified,
            scope,
            elapsed_seconds: started.elapsed().as_secs_f64(),
            excuses,
        })
    }
}

/// Why nothing is compared at the end, if it was asked for: where one section of definitions is left out, nobody knows
/// which of its definitions are there.
fn why_not_compared(request: &RestoreRequest, wrong: &[NamedReason]) -> Option<String> {
    let selection = &request.selection;
    let sections =
        [("pre-data", selection.pre_data), ("data", selection.data), ("post-data", selection.post_data)];
    let names = |is_restored: bool| {
        let of_kind = sections.into_iter().filter(|(_, is_taken)| *is_taken == is_restored);
        of_kind.map(|(name, _)| name).collect::<Vec<_>>().join(" and ")
    };
    let has_all_definitions = selection.pre_data && selection.post_data;
    let is_rows_alone = selection.data && !selection.pre_data && !selection.post_data;
    let reason = match (has_all_definitions || is_rows_alone, wrong) {
        (true, []) => return None,
        (true, _) => "the rows that were loaded are not those of the backup".to_owned(),
        (false, _) => format!(
            "only {} was restored, and what the target has of {} is not known; rows are those of the backup where \
             they were loaded",
            names(true),
            names(false)
        ),
    };
    request.verify.then_some(reason)
}

/// The rows that were loaded, table by table, are those of the manifest: what is neither is a failure.
fn wrong_rows(expected: Vec<Expected>, outcome: &ImportOutcome) -> Vec<NamedReason> {
    let loaded: HashMap<u32, RowDigest> =
        outcome.tables.iter().map(|table| (table.entry, table.digest)).collect();
    let told: HashSet<u32> = outcome
        .failed
        .iter()
        .map(|failed| &failed.subject)
        .chain(outcome.skipped.iter().map(|skipped| &skipped.subject))
        .filter_map(|subject| Some(subject.entry()?.id))
        .collect();
    let wrong = |Expected { entry, name, digest }| {
        let found = match name == LARGE_OBJECTS {
            true => outcome.large_objects,
            false => loaded.get(&entry).copied(),
        };
        let reason = match found {
            Some(found) if found == digest => return None,
            None if told.contains(&entry) => return None,
            Some(found) => format!("rows with the digest {found} were loaded, where the backup has {digest}"),
            None => "not all of its rows were loaded".to_owned(),
        };
        Some(NamedReason { object: format!("TABLE DATA {name}"), reason })
    };
    expected.into_iter().filter_map(wrong).collect()
}

/// What errors call the rows of an entry of the manifest.
fn name_of(table: &TableEntry) -> String {
    match table.kind {
        TableKind::Table => QualifiedName::new(&table.schema, &table.name).sql(),
        TableKind::LargeObjects => LARGE_OBJECTS.to_owned(),
    }
}

/// The sequences' positions as the backup has them.
pub(crate) fn sequences(manifest: &Manifest) -> Vec<SequenceValue> {
    let value = |value: &dbhaul_archive::SequenceValue| SequenceValue {
        sequence: QualifiedName::new(&value.schema, &value.name),
        last_value: value.last_value,
        is_called: value.is_called,
    };
    manifest.sequences.iter().map(value).collect()
}

/// Foreign tables whose rows the backup holds: they are restored with all else.
pub(crate) fn foreign_tables(manifest: &Manifest, catalog: &Catalog) -> BTreeSet<ObjectId> {
    let stored: HashSet<(&str, &str)> =
        manifest.tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).collect();
    let is_foreign = |object: &&Object| match &object.body {
        Body::Table(table) => table.foreign.is_some(),
        _ => false,
    };
    let tables = catalog.objects.iter().filter(is_foreign);
    let is_stored = |object: &&Object| {
        stored.contains(&(object.schema.as_deref().unwrap_or_default(), object.name.as_str()))
    };
    tables.filter(is_stored).map(|object| object.id).collect()
}

/// The backup's tables by the TOC entries they fill. An entry that is to hold
/// rows and has none in the backup is damage: its rows would be lost in silence.
pub(crate) fn tables_of(
    manifest: &Manifest,
    toc: &Toc,
) -> Result<HashMap<u32, dbhaul_archive::TableEntry>, PipelineError> {
    let mut by_name: HashMap<QualifiedName, u32> = HashMap::new();
    let mut large_objects = None;
    for entry in &toc.entries {
        match &entry.data {
            Some(DataEntry::Table(table)) => drop(by_name.insert(table.table.clone(), entry.id)),
            Some(DataEntry::LargeObjects) => large_objects = Some(entry.id),
            None => {}
        }
    }
    let tables = tables_by_entry(manifest, |table| match table.kind {
        TableKind::Table => by_name.get(&QualifiedName::new(&table.schema, &table.name)).copied(),
        TableKind::LargeObjects => large_objects,
    });
    let missing = toc.entries.iter().find(|entry| entry.data.is_some() && !tables.contains_key(&entry.id));
    match missing {
        None => Ok(tables),
        Some(entry) => Err(PipelineError::Request {
            problem: match &entry.schema {
                Some(schema) => {
                    let name = QualifiedName::new(schema, &entry.name).sql();
                    format!("the backup holds no rows for {} {}", entry.kind, in_one_line(&name))
                }
                None => format!("the backup holds no {}", entry.name),
            },
            help: "the backup was made without them; exclude them with --exclude-table-data, or restore the \
                   definitions alone with --schema-only"
                .to_owned(),
        }),
    }
}

/// In TOC order, with a list for each entry that holds rows.
fn with_empty_entries(toc: &Toc, segments: Vec<EntrySegments>) -> Vec<EntrySegments> {
    let mut by_entry: HashMap<u32, EntrySegments> =
        segments.into_iter().map(|segments| (segments.entry, segments)).collect();
    let entries = toc.entries.iter().filter(|entry| entry.data.is_some());
    entries
        .map(|entry| {
            let none = EntrySegments { entry: entry.id, segment_bytes: Vec::new() };
            by_entry.remove(&entry.id).unwrap_or(none)
        })
        .collect()
}

impl Display for RestorePlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "restore backup {} of {} in {}", self.backup, self.snapshot_time, self.store)?;
        writeln!(f, "  into {}", self.target)?;
        let import = if f.alternate() { &self.schedule } else { &self.import };
        write_losses(f, &self.losses)?;
        write_left_out(f, &self.left_out_as_asked)?;
        write!(f, "  {}", counted(self.row_count, "row"))?;
        self.roles.iter().try_for_each(|roles| roles.write_plan(f))?;
        write!(f, "\n{import}")?;
        write_blocked(f, &self.blockers)
    }
}

impl Display for RestoreReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = match self.status() {
            Status::Failed | Status::Different => "restore INCOMPLETE",
            _ => "restored",
        };
        writeln!(f, "{word}: backup {} into {}, in {:.1} s", self.backup, self.target, self.elapsed_seconds)?;
        Display::fmt(&self.summary, f)?;
        if let Some(schema) = &self.summary.ledger_schema {
            write!(f, "\n  the ledger stays in schema {schema}: --resume goes on from here")?;
        }
        let compared = (self.verification.as_ref(), self.unverified.as_deref(), self.scope.as_ref());
        self.excuses.write_end(f, &self.summary, compared)
    }
}
