//! `verify`: are two databases equal? Any two of live databases and backups.

mod agree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use dbhaul_archive::{Manifest, TableKind};
use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, DataEntry, QualifiedName, RoleMap, Selection, Target, compare, quote_identifier,
};
use dbhaul_exporter::{SegmentRange, TablePlan, large_objects_sql};
use dbhaul_importer::{ImportOutcome, LeftoverLedger, Part, leftover_ledgers};
use dbhaul_introspect::SequenceValue;
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::Phase;
use dbhaul_rows::{DigestSpec, RowDigest};
use dbhaul_verifier::{
    DigestTask, Found, LARGE_OBJECTS, Report, SideDescription, TableResult, digest_tables,
};
use jiff::Timestamp;
use serde::Serialize;

use self::agree::{agree_on_specs, compare_sequences, judge_all};
use crate::repository::Repository;
use crate::roles::{known, live_roles, recorded_roles, refuse};
use crate::source::{LiveDatabase, build_toc, sequences_of};
use crate::target::search_path_of;
use crate::verify_roots::{Roots, doubt_torn};
use crate::verify_scope::Scope;
use crate::{Context, MigrateRequest, NamedReason, PipelineError, Status, VerifyRequest, VerifySide};

/// The outcome of a verification.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct VerifyReport {
    /// What was found.
    pub report: Report,
}

impl VerifyReport {
    /// Done if the sides were proven equal, different otherwise.
    pub fn status(&self) -> Status {
        if self.report.is_equal() { Status::Done } else { Status::Different }
    }
}

impl Display for VerifyReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

/// Compares two sides: schemas, rows of every table, sequences. A backup is read
/// whole: every pack is compared with its hash.
///
/// # Errors
/// If a side cannot be opened, or the verification was stopped. A table that
/// cannot be read is in the report as not verified.
pub async fn verify(request: VerifyRequest, context: Context) -> Result<VerifyReport, PipelineError> {
    // boxed, because callers hold it
    Box::pin(compare_requested(&request, &context)).await
}

async fn compare_requested(
    request: &VerifyRequest,
    context: &Context,
) -> Result<VerifyReport, PipelineError> {
    context.progress.phase_started(Phase::Introspect, None, None);
    let mut left = Box::pin(Side::open(&request.left, &request.selection, "left", context)).await?;
    let copy = request.selection.for_copy();
    let mut right = match Box::pin(Side::open(&request.right, &copy, "right", context)).await {
        Ok(right) => right,
        Err(error) => {
            left.release().await;
            return Err(error);
        }
    };
    context.progress.phase_finished(Phase::Introspect);
    let scope = Scope {
        selection: &request.selection,
        owners: request.owners,
        privileges: request.privileges,
        database: request.database,
    };
    let ledgers = right.forget_ledgers(&left);
    let report = match left.rename_roles(&request.role_map, &right, context).await {
        Ok(renamed) => {
            let report = Box::pin(compare_sides(&left, &right, request.jobs, &scope, context)).await;
            report.map(|mut report| {
                report.not_compared.extend(renamed);
                report.information.extend(ledgers);
                report
            })
        }
        Err(error) => Err(error),
    };
    left.release().await;
    right.release().await;
    Ok(VerifyReport { report: report? })
}

async fn compare_sides(
    left: &Side,
    right: &Side,
    jobs: usize,
    scope: &Scope<'_>,
    context: &Context,
) -> Result<Report, PipelineError> {
    context.progress.phase_started(Phase::Verify, None, None);
    let specs = agree_on_specs(left, right);
    let path = search_path_of(&left.catalog);
    let roots = roots(left, right);
    let left_found = roots.sum_up(left.digests(&specs, (jobs, &path), context).await?, &specs);
    let right_found = roots.sum_up(right.digests(&specs, (jobs, &path), context).await?, &specs);
    let mut tables = judge_all(&left_found, &right_found);
    doubt_torn(&mut tables, &left.catalog, &right.catalog);
    let mut report = report(left, right, tables, scope);
    report.not_compared.extend(roots.not_compared());
    report.not_compared.extend(right.completed_roots.iter().map(|root| {
        format!(
            "rows of {root} that are left out: on the right all of its rows count, since they cannot be told apart"
        )
    }));
    context.progress.phase_finished(Phase::Verify);
    Ok(report)
}

/// Compares a fresh copy with the digests taken on the way.
pub(crate) async fn verify_copy(
    source: &LiveDatabase,
    target: &ConnectSettings,
    request: &MigrateRequest,
    outcome: &ImportOutcome,
    context: &Context,
) -> Result<(Report, Vec<NamedReason>), PipelineError> {
    let copy = request.selection.for_copy();
    let target = Box::pin(LiveDatabase::open(target, &copy, "target", context)).await?;
    let hidden = target.unreadable(&copy)?;
    let mut right = Side::live(target, &copy)?;
    let mut left = Side::copied(source, &request.selection, outcome)?;
    let skipped = left.forget_skipped(outcome);
    let roots = roots(&left, &right);
    let mut seen = BTreeSet::new();
    let hidden = hidden.into_iter().flat_map(|hidden| with_siblings(hidden, &roots));
    let hidden: Vec<NamedReason> = hidden.filter(|hidden| seen.insert(hidden.object.clone())).collect();
    for NamedReason { object, .. } in &hidden {
        left.rows.remove(object);
        right.rows.remove(object);
    }
    // The limit is set when everything else is done, and would stop the sessions that compare.
    left.catalog.database.connection_limit = right.catalog.database.connection_limit;
    let scope = Scope {
        selection: &request.selection,
        owners: request.options.set_owners,
        privileges: request.options.privileges,
        database: request.options.create,
    };
    let report = Box::pin(compare_sides(&left, &right, request.options.jobs, &scope, context)).await;
    right.release().await;
    let mut report = report?;
    report.not_compared.extend(skipped.map(|name| format!("rows or position of {name}, which was skipped")));
    let unread = |NamedReason { object, reason }| NamedReason {
        object: format!("comparison of the rows of {object}"),
        reason,
    };
    Ok((report, hidden.into_iter().map(unread).collect()))
}

/// What cannot be compared takes the partitions that are compared together with it along.
fn with_siblings(hidden: NamedReason, roots: &Roots) -> Vec<NamedReason> {
    let reason = format!("rows of it may be in {}, of which: {}", hidden.object, hidden.reason);
    let siblings = roots.siblings(&hidden.object).into_iter();
    let siblings = siblings.map(|object| NamedReason { object, reason: reason.clone() });
    std::iter::once(hidden.clone()).chain(siblings).collect()
}

fn roots(left: &Side, right: &Side) -> Roots {
    let rows = left.rows.iter().chain(&right.rows);
    Roots::new(rows.map(|(table, rows)| (table, rows.root.as_ref())))
}

/// One side, opened.
struct Side {
    description: SideDescription,
    catalog: Catalog,
    sequences: Vec<SequenceValue>,
    rows: BTreeMap<String, Rows>,
    /// The database to scan; `None` where digests are known already.
    live: Option<LiveDatabase>,
    /// Roles that a backup names.
    recorded_roles: BTreeSet<String>,
    /// Roots whose partitions count although their rows were left out: rows of others may be in them.
    completed_roots: BTreeSet<String>,
}

/// What a side knows of the rows of one table.
struct Rows {
    spec: DigestSpec,
    /// The table, where they are those of one.
    table: Option<QualifiedName>,
    /// The partitioned table at which they are compared, where that is not their own.
    root: Option<String>,
    /// What stands behind `FROM` in a scan.
    from: String,
    estimated_bytes: u64,
    /// Whether their text may be another under another search path.
    depends_on_path: bool,
    known: Option<RowDigest>,
    /// Why nothing can be known of them.
    missing: Option<&'static str>,
}

impl Rows {
    /// A table that the backup has without its rows.
    fn not_in_backup() -> Self {
        Rows {
            spec: DigestSpec::default(),
            table: None,
            root: None,
            from: String::new(),
            estimated_bytes: 0,
            depends_on_path: false,
            known: None,
            missing: Some("the backup was made without its rows"),
        }
    }
}

impl Side {
    async fn open(
        side: &VerifySide,
        selection: &Selection,
        role: &str,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        match side {
            VerifySide::Live(settings) => {
                let live = LiveDatabase::open(settings, selection, role, context).await?;
                live.check_covered()?;
                live.check_readable(selection)?;
                Self::live(live, selection)
            }
            VerifySide::Backup { store, backup, database } => {
                let repository = Repository::open(store, context).await?;
                let key = repository.find(backup, database.as_deref()).await?;
                let manifest = repository.manifest(&key).await?;
                repository.check_packs(&manifest).await?;
                repository.check_contents(&manifest, context).await?;
                let whole: Catalog = repository.document("catalog", &manifest.catalog).await?;
                let mut side = Self::backup(&repository, &manifest, selection.apply(&whole)?, selection)?;
                side.recorded_roles = match recorded_roles(&repository, &manifest).await? {
                    Some(roles) => known(&roles, &whole),
                    None => whole.role_names.into_iter().collect(),
                };
                Ok(side)
            }
        }
    }

    fn live(live: LiveDatabase, selection: &Selection) -> Result<Self, PipelineError> {
        let mut rows = rows_of(&live, selection)?;
        let completed_roots = complete_roots(&live, selection, &mut rows)?;
        Ok(Side {
            completed_roots,
            description: describe_live(&live),
            catalog: live.catalog.clone(),
            sequences: live.sequences.clone(),
            rows,
            live: Some(live),
            recorded_roles: BTreeSet::new(),
        })
    }

    fn backup(
        repository: &Repository,
        manifest: &Manifest,
        catalog: Catalog,
        selection: &Selection,
    ) -> Result<Self, PipelineError> {
        let selected = selected_tables(&catalog, selection, &crate::restore::sequences(manifest))?;
        let tables = manifest.tables.iter().map(|table| {
            let name = match table.kind {
                TableKind::Table => QualifiedName::new(&table.schema, &table.name).sql(),
                TableKind::LargeObjects => LARGE_OBJECTS.to_owned(),
            };
            let rows = Rows {
                spec: table.digest_spec.clone(),
                table: None,
                root: selected.get(&name).cloned().flatten(),
                from: String::new(),
                estimated_bytes: table.plain_bytes,
                depends_on_path: false,
                known: Some(table.digest),
                missing: None,
            };
            (name, rows)
        });
        let mut rows: BTreeMap<String, Rows> =
            tables.filter(|(name, _)| selected.contains_key(name)).collect();
        for name in selected.into_keys() {
            rows.entry(name).or_insert_with(Rows::not_in_backup);
        }
        let names: BTreeSet<QualifiedName> = sequences_of(&catalog).into_iter().collect();
        let mut sequences = crate::restore::sequences(manifest);
        sequences.retain(|value| names.contains(&value.sequence));
        Ok(Side {
            description: SideDescription {
                name: format!("backup {} in {}", manifest.id, repository.describe()),
                server_version: manifest.source.server_version_num.to_string(),
                as_of: manifest.snapshot_time.to_string(),
                lsn: manifest.source.lsn.clone(),
            },
            sequences,
            rows,
            catalog,
            live: None,
            recorded_roles: BTreeSet::new(),
            completed_roots: BTreeSet::new(),
        })
    }

    /// The source of a copy, with the digests of the rows as they passed.
    fn copied(
        source: &LiveDatabase,
        selection: &Selection,
        outcome: &ImportOutcome,
    ) -> Result<Self, PipelineError> {
        let mut rows = rows_of(source, selection)?;
        let digests = outcome.tables.iter().map(|table| (table.table.sql(), table.digest));
        let digests = digests.chain(outcome.large_objects.map(|digest| (LARGE_OBJECTS.to_owned(), digest)));
        for (name, digest) in digests {
            if let Some(rows) = rows.get_mut(&name) {
                rows.known = Some(digest);
            }
        }
        Ok(Side {
            description: describe_live(source),
            catalog: source.catalog.clone(),
            sequences: source.sequences.clone(),
            rows,
            live: None,
            recorded_roles: BTreeSet::new(),
            completed_roots: BTreeSet::new(),
        })
    }

    /// Gives the roles of this side the names that they have on the other; returns
    /// what for that reason cannot be compared.
    async fn rename_roles(
        &mut self,
        map: &RoleMap,
        other: &Side,
        context: &Context,
    ) -> Result<Vec<String>, PipelineError> {
        if map.is_empty() {
            return Ok(Vec::new());
        }
        let names = match &self.live {
            Some(live) => known(&live_roles(live, false, context).await?, &self.catalog),
            None => self.recorded_roles.clone(),
        };
        refuse(map.unknown_sources(&names))?;
        let own = other.live.as_ref().map(|live| live.settings.user());
        let losses = map.apply(&mut self.catalog, own);
        Ok(losses.iter().map(ToString::to_string).collect())
    }

    /// Takes out what unfinished runs have left for themselves, unless the other side has a schema of
    /// that name too; returns what is to be said of it.
    fn forget_ledgers(&mut self, other: &Side) -> Vec<String> {
        let has_schema = |side: &Side, name: &str| {
            let mut objects = side.catalog.objects.iter();
            objects.any(|object| matches!(object.body, Body::Schema(_)) && object.name == name)
        };
        let mut ledgers = leftover_ledgers(&self.catalog);
        ledgers.retain(|ledger| !has_schema(other, &ledger.schema));
        for LeftoverLedger { schema, .. } in &ledgers {
            self.catalog.objects.retain(|object| {
                let is_itself = matches!(object.body, Body::Schema(_)) && object.name == *schema;
                !is_itself && object.schema.as_deref() != Some(schema)
            });
            self.rows.retain(|_, rows| rows.table.as_ref().is_none_or(|table| table.schema != *schema));
        }
        let told = |LeftoverLedger { run, schema }: LeftoverLedger| {
            let schema = quote_identifier(&schema);
            format!(
                "schema {schema} on the right is the ledger of run {run}, left behind; `dbhaul cleanup` removes it"
            )
        };
        ledgers.into_iter().map(told).collect()
    }

    /// Takes out the rows and positions that a copy has skipped, each named in its report; returns them.
    fn forget_skipped(&mut self, outcome: &ImportOutcome) -> impl Iterator<Item = String> + use<> {
        let mut forgotten = Vec::new();
        for skipped in outcome.skipped.iter().filter(|skipped| skipped.part == Part::Whole) {
            let description = &skipped.description;
            if let Some(table) = description.strip_prefix("TABLE DATA ")
                && self.rows.remove(table).is_some()
            {
                forgotten.push(table.to_owned());
            }
            if let Some(sequence) = description.strip_prefix("SEQUENCE SET ") {
                self.sequences.retain(|value| value.sequence.sql() != sequence);
                forgotten.push(sequence.to_owned());
            }
        }
        forgotten.into_iter()
    }

    /// What this side says of each of its tables, hashed as agreed.
    async fn digests(
        &self,
        specs: &BTreeMap<String, Result<DigestSpec, String>>,
        (jobs, path): (usize, &str),
        context: &Context,
    ) -> Result<BTreeMap<String, Found>, PipelineError> {
        let mut found = BTreeMap::new();
        let mut tasks = Vec::new();
        for (name, rows) in &self.rows {
            if let Some(reason) = rows.missing {
                found.insert(name.clone(), Found::Unreadable(reason.to_owned()));
                continue;
            }
            match (specs.get(name), rows.known) {
                (Some(Err(reason)), _) => drop(found.insert(name.clone(), Found::Unreadable(reason.clone()))),
                (Some(Ok(spec)), Some(digest)) if *spec == rows.spec => {
                    found.insert(name.clone(), Found::Digest(digest));
                }
                (Some(Ok(spec)), None) => tasks.push(DigestTask {
                    name: name.clone(),
                    table: rows.table.clone(),
                    rows: rows.from.clone(),
                    spec: spec.clone(),
                    depends_on_path: rows.depends_on_path,
                    estimated_bytes: rows.estimated_bytes,
                }),
                _ => {
                    let reason = "its digest was taken in another way than the other side's".to_owned();
                    found.insert(name.clone(), Found::Unreadable(reason));
                }
            }
        }
        let Some(live) = &self.live else {
            let unread = "its rows were not copied, so there is no digest of them";
            found.extend(tasks.into_iter().map(|task| (task.name, Found::Unreadable(unread.to_owned()))));
            return Ok(found);
        };
        let (settings, holder) = (&live.settings, &live.holder);
        let scan = digest_tables(settings, holder, tasks, (jobs, path), &context.progress, &context.cancel);
        found.extend(scan.await?);
        Ok(found)
    }

    async fn release(self) {
        if let Some(live) = self.live {
            live.release().await;
        }
    }
}

fn describe_live(live: &LiveDatabase) -> SideDescription {
    let info = live.holder.info();
    SideDescription {
        name: live.settings.describe(),
        server_version: info.version.to_string(),
        as_of: info.taken_at.clone(),
        lsn: info.lsn.clone(),
    }
}

/// Everything with rows in a live database, ready to be scanned.
fn rows_of(live: &LiveDatabase, selection: &Selection) -> Result<BTreeMap<String, Rows>, PipelineError> {
    let target = Target { version: live.catalog.server_version };
    let toc = build_toc(&live.catalog, selection, target, &live.sequences)?;
    let rows = |plan: TablePlan| {
        let estimated_bytes = plan.estimated_bytes();
        let depends_on_path = match &plan.source {
            dbhaul_exporter::RowSource::Table(table) => table.text_depends_on_path(),
            dbhaul_exporter::RowSource::LargeObjects => false,
        };
        let (name, table, root, from) = match &plan.source {
            dbhaul_exporter::RowSource::Table(table) => {
                let name = table.table.sql();
                let condition = table.condition.as_deref().unwrap_or_default();
                let from = format!("ONLY {name} {condition}");
                (name, Some(table.table.clone()), table.root.as_ref().map(QualifiedName::sql), from)
            }
            dbhaul_exporter::RowSource::LargeObjects => {
                let query = large_objects_sql(&SegmentRange::Whole);
                (LARGE_OBJECTS.to_owned(), None, None, format!("({query}) AS large_objects"))
            }
        };
        let rows = Rows {
            spec: plan.digest_spec,
            table,
            root,
            from,
            estimated_bytes,
            depends_on_path,
            known: None,
            missing: None,
        };
        (name, rows)
    };
    Ok(live.export_plan(&toc).tables.into_iter().map(rows).collect())
}

/// Adds to the rows of a copy those of partitions whose own were left out, where rows of other partitions may
/// have gone there; returns the roots of these.
fn complete_roots(
    live: &LiveDatabase,
    selection: &Selection,
    rows: &mut BTreeMap<String, Rows>,
) -> Result<BTreeSet<String>, PipelineError> {
    let is_whole =
        selection.exclude_table_data.is_empty() && selection.exclude_table_data_and_children.is_empty();
    let roots: BTreeSet<String> = rows.values().filter_map(|rows| rows.root.clone()).collect();
    if !selection.is_for_copy || is_whole || roots.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (exclude_table_data, exclude_table_data_and_children) = (Vec::new(), Vec::new());
    let all = Selection { exclude_table_data, exclude_table_data_and_children, ..selection.clone() };
    let mut completed = BTreeSet::new();
    for (name, more) in rows_of(live, &all)? {
        let Some(root) = more.root.clone().filter(|root| roots.contains(root)) else { continue };
        if rows.insert(name, more).is_none() {
            completed.insert(root);
        }
    }
    Ok(completed)
}

/// The names of what holds rows in a selection of a catalog, each with its root, if rows go through that.
fn selected_tables(
    catalog: &Catalog,
    selection: &Selection,
    sequences: &[SequenceValue],
) -> Result<BTreeMap<String, Option<String>>, PipelineError> {
    let toc = build_toc(catalog, selection, Target { version: catalog.server_version }, sequences)?;
    let name = |entry: &dbhaul_catalog::TocEntry| match entry.data.as_ref()? {
        DataEntry::Table(table) => Some((table.table.sql(), table.root.as_ref().map(QualifiedName::sql))),
        DataEntry::LargeObjects => Some((LARGE_OBJECTS.to_owned(), None)),
    };
    Ok(toc.entries.iter().filter_map(name).collect())
}

/// The report of two sides whose rows are judged.
fn report(left: &Side, right: &Side, tables: Vec<TableResult>, scope: &Scope<'_>) -> Report {
    let (sequences, compared_sequence_count) = compare_sequences(&left.sequences, &right.sequences);
    let mut report = Report {
        left: left.description.clone(),
        right: right.description.clone(),
        compared_at: Timestamp::now().to_string(),
        dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: compare(&left.catalog, &right.catalog),
        compared_object_count: left.catalog.objects.len() as u64,
        tables,
        compared_sequence_count,
        sequences,
        not_compared: Vec::new(),
        information: Vec::new(),
    };
    scope.apply(&mut report, &left.catalog, &right.catalog);
    report
}
