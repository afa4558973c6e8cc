//! One side of a comparison: what it says of its schema and of its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbhaul_archive::{Manifest, TableEntry, TableKind};
use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, DataEntry, QualifiedName, RoleMap, Selection, Target, quote_identifier};
use dbhaul_exporter::{SegmentRange, TablePlan, large_objects_sql};
use dbhaul_importer::{EntrySubject, ImportOutcome, LeftoverLedger, Part, leftover_ledgers};
use dbhaul_introspect::SequenceValue;
use dbhaul_rows::{DigestSpec, RowDigest};
use dbhaul_verifier::{
    DigestTask, Digested, Found, LARGE_OBJECTS, Measure, Mode, Reading, SideDescription, StoredRows,
    TimeLimit, TimedToken, digest_tables,
};

use super::stored::StoredTables;
use crate::source::{LiveDatabase, build_toc, sequences_of, toc_of};
use crate::target::keys_switched_off;
use crate::target::roles::{known, live_roles, recorded_roles, refuse};
use crate::{Context, NamedReason, PipelineError, VerifySide};
use dbhaul_repository::{CheckedBackup, Repository};

/// One side, opened.
pub(super) struct Side {
    pub(super) description: SideDescription,
    pub(super) catalog: Catalog,
    pub(super) sequences: Vec<SequenceValue>,
    pub(super) rows: BTreeMap<String, Rows>,
    /// The database to scan; `None` where digests are known already.
    pub(super) live: Option<LiveDatabase>,
    /// The rows of a backup.
    pub(super) stored: Option<Arc<dyn StoredRows>>,
    /// Roles that a backup names.
    pub(super) recorded_roles: BTreeSet<String>,
    /// Roots whose partitions count although their rows were left out: rows of others may be in them.
    pub(super) completed_roots: BTreeSet<String>,
    /// The selection that a backup was made with, as options; empty for everything.
    pub(super) made_with: Vec<String>,
}

/// What a side knows of the rows of one table.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) spec: DigestSpec,
    /// The table, where they are those of one.
    pub(super) table: Option<QualifiedName>,
    /// The partitioned table at which they are compared, where that is not their own.
    pub(super) root: Option<String>,
    /// What stands behind `FROM` in a scan.
    pub(super) from: String,
    pub(super) estimated_bytes: u64,
    /// Whether a query or a `COPY` reads them.
    pub(super) reading: Reading,
    /// Whether each has a `ctid`.
    pub(super) has_tids: bool,
    pub(super) known: Option<RowDigest>,
    /// Why nothing can be known of them.
    pub(super) missing: Option<&'static str>,
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
            reading: Reading::Query,
            has_tids: false,
            known: None,
            missing: Some("the backup was made without its rows"),
        }
    }
}

impl Side {
    pub(super) async fn open(
        side: &VerifySide,
        (selection, mode, limit): (&Selection, &[Mode], Option<TimeLimit>),
        role: &str,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        match side {
            VerifySide::Live(settings) => {
                let live = LiveDatabase::open(settings, selection, role, context).await?;
                live.check_covered()?;
                Self::live(live, selection)
            }
            VerifySide::Backup { store, backup, database, rows_were_read } => {
                let repository =
                    Repository::open(store, &context.keys, &context.progress, &context.cancel).await?;
                let key = repository.find(backup, database.as_deref()).await?;
                let CheckedBackup { manifest, catalog: whole, repository } =
                    Box::pin(repository.checked_backup(&key, &context.cancel)).await?;
                repository.require_rows()?;
                let mut side = Self::backup(&repository, &manifest, selection.apply(&whole)?, selection)?;
                let reads_rows = mode.iter().any(|mode| mode.reads_rows());
                match *rows_were_read || !reads_rows {
                    true => side.rely_on(&manifest),
                    false => Box::pin(side.read_rows(&repository, &manifest, limit, context)).await?,
                }
                side.recorded_roles = match recorded_roles(&repository, &manifest).await? {
                    Some(roles) => known(&roles, &whole),
                    None => whole.role_names.into_iter().collect(),
                };
                if mode.contains(&Mode::Deep) {
                    let cancel = context.cancel.clone();
                    side.stored = Some(Arc::new(StoredTables::new(repository, &manifest, name_of, cancel)));
                }
                side.made_with = manifest.selection;
                Ok(side)
            }
        }
    }

    pub(super) fn live(live: LiveDatabase, selection: &Selection) -> Result<Self, PipelineError> {
        let mut rows = rows_of(&live, selection)?;
        let completed_roots = complete_roots(&live, selection, &mut rows)?;
        Ok(Side {
            completed_roots,
            description: describe_live(&live),
            catalog: live.catalog.clone(),
            sequences: live.sequences.clone(),
            rows,
            live: Some(live),
            stored: None,
            recorded_roles: BTreeSet::new(),
            made_with: Vec::new(),
        })
    }

    /// What was selected of a backup, without knowing of its rows what they are.
    pub(super) fn backup(
        repository: &Repository,
        manifest: &Manifest,
        catalog: Catalog,
        selection: &Selection,
    ) -> Result<Self, PipelineError> {
        let selected = selected_tables(&catalog, selection, &crate::command::restore::sequences(manifest))?;
        let tables = manifest.tables.iter().map(|table| {
            let name = name_of(table);
            let rows = Rows {
                spec: table.digest_spec.clone(),
                table: None,
                root: selected.get(&name).cloned().flatten(),
                from: String::new(),
                estimated_bytes: table.plain_bytes,
                reading: Reading::Query,
                has_tids: false,
                known: None,
                missing: None,
            };
            (name, rows)
        });
        let mut rows: BTreeMap<String, Rows> =
            tables.filter(|(name, _)| selected.contains_key(name)).collect();
        for name in selected.into_keys() {
            rows.entry(name).or_insert_with(Rows::not_in_backup);
        }
        let description = describe_backup(manifest, repository);
        let sequences = crate::command::restore::sequences(manifest);
        Ok(Side { rows, ..Self::without_rows(description, catalog, sequences) })
    }

    /// A side of which only definitions and positions are compared, with what it has of them.
    pub(super) fn without_rows(
        description: SideDescription,
        catalog: Catalog,
        mut sequences: Vec<SequenceValue>,
    ) -> Self {
        let names: BTreeSet<QualifiedName> = sequences_of(&catalog).into_iter().collect();
        sequences.retain(|value| names.contains(&value.sequence));
        Side {
            description,
            catalog,
            sequences,
            rows: BTreeMap::new(),
            live: None,
            stored: None,
            recorded_roles: BTreeSet::new(),
            completed_roots: BTreeSet::new(),
            made_with: Vec::new(),
        }
    }

    /// Foreign keys that the side does not enforce, which no comparison of definitions shows.
    pub(super) fn keys_note(&self) -> Option<String> {
        let keys = keys_switched_off(&self.catalog)?;
        let side = &self.description.name;
        Some(format!("{side} does not enforce foreign keys whose triggers are disabled there: {keys}"))
    }

    /// What a person has to know who compares all of the other side with a backup of a selection.
    pub(super) fn selection_note(&self, selection: &Selection) -> Option<String> {
        let asked = selection.describe();
        let missing: Vec<&str> =
            self.made_with.iter().filter(|option| !asked.contains(option)).map(String::as_str).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{} was made with {}: give verify the same options, otherwise what they excluded counts as a difference",
                self.description.name,
                missing.join(" ")
            )
        })
    }

    /// Reads the rows that are compared out of the backup: what was written of them is known, and what is there now
    /// is to be known.
    async fn read_rows(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
        limit: Option<TimeLimit>,
        context: &Context,
    ) -> Result<(), PipelineError> {
        let named = |table: &&TableEntry| self.rows.contains_key(&name_of(table));
        let tables: Vec<&TableEntry> = manifest.tables.iter().filter(named).collect();
        let timed = TimedToken::new(&context.cancel, limit);
        let digests = match repository.read_rows(manifest, &tables, timed.token()).await {
            Err(_) if timed.is_over() => {
                self.rows.values_mut().for_each(|rows| _ = rows.missing.get_or_insert(TimeLimit::REASON));
                return Ok(());
            }
            digests => digests?,
        };
        for (table, digest) in tables.into_iter().zip(digests) {
            if let Some(rows) = self.rows.get_mut(&name_of(table)) {
                rows.known = Some(digest);
            }
        }
        Ok(())
    }

    /// Takes the digests of the manifest for those of the rows, which were compared with them before.
    pub(super) fn rely_on(&mut self, manifest: &Manifest) {
        for table in &manifest.tables {
            if let Some(rows) = self.rows.get_mut(&name_of(table)) {
                rows.known = Some(table.digest);
            }
        }
    }

    /// The source of a copy, with the digests of the rows as they passed.
    pub(super) fn copied(
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
            stored: None,
            recorded_roles: BTreeSet::new(),
            completed_roots: BTreeSet::new(),
            made_with: Vec::new(),
        })
    }

    /// Gives the roles of this side the names that they have on the other; returns
    /// what for that reason cannot be compared.
    pub(super) async fn rename_roles(
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
    pub(super) fn forget_ledgers(&mut self, other: &Side) -> Vec<String> {
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

    /// Takes out the positions of sequences that cannot be read on the other side.
    pub(super) fn hide_sequences(&mut self, hidden: &[NamedReason]) {
        let is_hidden = |name: &String| hidden.iter().any(|hidden| hidden.object == *name);
        self.sequences.retain(|value| !is_hidden(&value.sequence.sql()));
    }

    /// Takes out the rows and positions that a copy has skipped, each named in its report; returns them.
    pub(super) fn forget_skipped(&mut self, outcome: &ImportOutcome) -> impl Iterator<Item = String> + use<> {
        let mut forgotten = Vec::new();
        for skipped in &outcome.skipped {
            let Some(relation) = skipped.subject.entry().and_then(EntrySubject::filled) else { continue };
            if skipped.part == Part::Rows && self.rows.remove(&relation.sql()).is_some() {
                forgotten.push(relation.sql());
            }
            if skipped.part == Part::Position {
                forgotten.push(relation.sql());
            }
        }
        self.forget_positions(outcome);
        forgotten.into_iter()
    }

    /// Takes out rows of tables that the other side does not have: nobody compares them. Partitions stay whose rows are
    /// compared together.
    pub(super) fn forget_rows_of_others(&mut self, other: &Side) {
        self.rows.retain(|name, rows| rows.root.is_some() || other.rows.contains_key(name));
    }

    /// Takes out the positions that a copy has skipped.
    pub(super) fn forget_positions(&mut self, outcome: &ImportOutcome) {
        let positions = outcome.skipped.iter().filter(|skipped| skipped.part == Part::Position);
        let skipped: BTreeSet<QualifiedName> =
            positions.filter_map(|skipped| skipped.subject.entry().and_then(EntrySubject::filled)).collect();
        self.sequences.retain(|value| !skipped.contains(&value.sequence));
    }

    /// What this side says of each of its tables, hashed as agreed or only counted.
    pub(super) async fn digests(
        &self,
        specs: &BTreeMap<String, Result<DigestSpec, String>>,
        groups_by: &BTreeMap<String, Vec<usize>>,
        (measure, jobs, limit): (Measure, usize, Option<TimeLimit>),
        context: &Context,
    ) -> Result<Digested, PipelineError> {
        let mut found = BTreeMap::new();
        let mut tasks = Vec::new();
        for (name, rows) in &self.rows {
            if let Some(reason) = rows.missing {
                found.insert(name.clone(), Found::Unreadable(reason.to_owned()));
                continue;
            }
            let own = Ok(rows.spec.clone());
            let spec = match measure {
                Measure::Digest => specs.get(name),
                // rows are counted however they are hashed
                Measure::Count => Some(&own),
            };
            match (spec, rows.known) {
                (Some(Err(reason)), _) => drop(found.insert(name.clone(), Found::Unreadable(reason.clone()))),
                (_, Some(digest)) if measure == Measure::Count => {
                    found.insert(name.clone(), Found::Count(digest.row_count));
                }
                (Some(Ok(spec)), Some(digest)) if *spec == rows.spec => {
                    found.insert(name.clone(), Found::Digest(digest));
                }
                (Some(Ok(spec)), None) => tasks.push(DigestTask {
                    name: name.clone(),
                    measure,
                    table: rows.table.clone(),
                    rows: rows.from.clone(),
                    spec: spec.clone(),
                    reading: rows.reading,
                    estimated_bytes: rows.estimated_bytes,
                    groups_by: groups_by.get(name).cloned(),
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
            return Ok(Digested { found, groups: BTreeMap::new() });
        };
        let (settings, holder) = (&live.settings, &live.holder);
        let scan = digest_tables(settings, holder, tasks, (jobs, limit), &context.progress, &context.cancel);
        let mut digested = scan.await?;
        digested.found.extend(found);
        Ok(digested)
    }

    pub(super) async fn release(self) {
        if let Some(live) = self.live {
            live.release().await;
        }
    }
}

/// What a comparison calls a table of a backup.
fn name_of(table: &TableEntry) -> String {
    match table.kind {
        TableKind::Table => QualifiedName::new(&table.schema, &table.name).sql(),
        TableKind::LargeObjects => LARGE_OBJECTS.to_owned(),
    }
}

/// A backup as reports name it.
fn describe_backup(manifest: &Manifest, repository: &Repository) -> SideDescription {
    SideDescription {
        name: format!("backup {} in {}", manifest.id, repository.describe()),
        server_version: manifest.source.server_version_num.to_string(),
        as_of: manifest.snapshot_time.to_string(),
        lsn: manifest.source.lsn.clone(),
    }
}

/// A live database as reports name it.
pub(crate) fn describe_live(live: &LiveDatabase) -> SideDescription {
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
    // Where sequences stand does not matter here, and may be hidden of some.
    let toc = toc_of(&live.catalog, &selection.toc_options(&live.catalog)?, target)?;
    let rows = |plan: TablePlan| {
        let estimated_bytes = plan.estimated_bytes();
        let reading = match &plan.source {
            _ if plan.is_unplanned => Reading::Copy,
            dbhaul_exporter::RowSource::Table(table) if table.condition.is_none() => Reading::QueryOrCopy,
            _ => Reading::Query,
        };
        let (name, table, root, from, has_tids) = match &plan.source {
            dbhaul_exporter::RowSource::Table(table) => {
                let name = table.table.sql();
                let condition = table.condition.as_deref().unwrap_or_default();
                let from = format!("ONLY {name} {condition}");
                let root = table.root.as_ref().map(QualifiedName::sql);
                (name, Some(table.table.clone()), root, from, table.has_tids)
            }
            dbhaul_exporter::RowSource::LargeObjects => {
                let query = large_objects_sql(&SegmentRange::Whole);
                (LARGE_OBJECTS.to_owned(), None, None, format!("({query}) AS large_objects"), false)
            }
        };
        let rows = Rows {
            spec: plan.digest_spec,
            table,
            root,
            from,
            estimated_bytes,
            reading,
            has_tids,
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
