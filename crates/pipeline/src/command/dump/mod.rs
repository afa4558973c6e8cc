//! `dump`: a database becomes a backup in a store.

pub(crate) mod column_types;
pub(crate) mod lists;
pub(crate) mod parts;
pub(crate) mod rows;
pub(crate) mod sealing;
pub(crate) mod segments;
pub(crate) mod store_trial;
pub(crate) mod tables;
pub(crate) mod written;

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use dbhaul_archive::{
    BackupKey, Document, Manifest, SequenceValue, SourceInfo, TableEntry, Totals, Transfer,
};
use dbhaul_catalog::{Catalog, Password, RoleScope, Roles, Section, Target, Toc};
use dbhaul_exporter::{ExportPlan, Exporter, TablePlan};
use dbhaul_progress::{Phase, counted};
use jiff::Timestamp;
use serde::Serialize;
use ulid::Ulid;

use crate::command::dump::lists::ListStore;
use crate::command::dump::parts::PartStore;
use crate::command::dump::rows::{RowOptions, store_rows};
use crate::command::dump::segments::Segments;
use crate::command::dump::store_trial::{TriedStore, row_bytes};
use crate::command::dump::tables::table_entries;
use crate::command::dump::written::Written;
use crate::report::import::write_named;
use crate::report::left_out::{excluded, left_out};
use crate::report::rows_left_out::{left_out_as_asked, write_left_out};
use crate::sides::check_side;
use crate::source::throttle::Throttle;
use crate::source::{LiveDatabase, build_toc, check_families, tables_in_vain};
use crate::statistics::unavailable;
use crate::target::extensions;
use crate::target::roles::live_roles;
use crate::{Context, DumpRequest, NamedReason, PipelineError, RowStore, Status};
use dbhaul_repository::{PlacedChunk, Repository, Sign, WrittenPacks, document, unnamed_pack};

/// A dump that is ready to run: snapshot taken, catalog read, nothing written.
pub struct Dump {
    request: DumpRequest,
    context: Context,
    source: LiveDatabase,
    toc: Toc,
    export: Arc<ExportPlan>,
    roles: Option<Roles>,
    plan: DumpPlan,
}

/// What a dump will do.
#[derive(Debug, Clone, Serialize)]
pub struct DumpPlan {
    /// The source, without secrets.
    pub source: String,
    /// The store.
    pub store: String,
    /// The snapshot's time, by the source's clock.
    pub snapshot_time: String,
    /// TOC entries that hold definitions.
    pub definition_count: usize,
    /// Every table with its segments and expected bytes.
    pub tables: Vec<PlannedTable>,
    /// Reading sessions.
    pub jobs: usize,
    /// zstd level.
    pub compression_level: i32,
    /// Threads that compress beside the reading sessions.
    pub compression_helpers: usize,
    /// Roles that are recorded beside the database.
    pub role_count: usize,
    /// Of these, roles whose password's hash is recorded.
    pub password_count: usize,
    /// Objects that cannot be carried.
    pub left_out: Vec<NamedReason>,
    /// Positions of sequences and filling of materialized views that are left out because a pattern for rows
    /// names them.
    pub left_out_as_asked: Vec<NamedReason>,
}

/// One table of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedTable {
    /// Qualified name.
    pub name: String,
    /// Segments.
    pub segment_count: usize,
    /// Expected bytes, by the size on disk.
    pub estimated_bytes: u64,
    /// How its rows travel and where their digest comes from, where there is a choice.
    pub travels: Option<String>,
}

impl PlannedTable {
    pub(crate) fn of(plan: &ExportPlan) -> Vec<Self> {
        let planned = |table: &TablePlan| PlannedTable {
            name: table.name(),
            segment_count: table.segments.len(),
            estimated_bytes: table.estimated_bytes(),
            travels: None,
        };
        plan.tables.iter().map(planned).collect()
    }
}

/// What a dump did.
#[derive(Debug, Clone, Serialize)]
pub struct DumpReport {
    /// The backup's identity.
    pub backup: String,
    /// The store.
    pub store: String,
    /// The key of its manifest.
    pub key: String,
    /// The backup that it was deduplicated against.
    pub parent: Option<String>,
    /// What it adds up to; large objects are no table there, but their pieces are in the digest and the sizes.
    pub totals: Totals,
    /// What writing it took.
    pub transfer: Transfer,
    /// Packs that it lies in.
    pub pack_count: u64,
    /// Files of Parquet that it lies in.
    pub part_count: u64,
    /// Tables with their rows, without large objects.
    pub table_count: u64,
    /// Whether it holds large objects.
    pub has_large_objects: bool,
    /// Rows of these.
    pub row_count: u64,
    /// Roles recorded beside the database.
    pub role_count: usize,
    /// Of these, roles whose password's hash is recorded.
    pub password_count: usize,
    /// Objects that are not in the backup, each with the reason.
    pub skipped: Vec<NamedReason>,
    /// Positions of sequences and filling of materialized views that are left out because a pattern for rows
    /// names them.
    pub left_out_as_asked: Vec<NamedReason>,
    /// Seconds from the snapshot to the commit.
    pub elapsed_seconds: f64,
}

impl DumpReport {
    /// Done, or skipped if something could not be carried; a dump that fails is an error.
    pub fn status(&self) -> Status {
        if self.skipped.is_empty() { Status::Done } else { Status::Skipped }
    }
}

impl Dump {
    /// Opens the source, takes the snapshot, reads the catalog and plans.
    ///
    /// # Errors
    /// If the source cannot be read whole, or holds objects that dbhaul does not know.
    pub async fn prepare(request: DumpRequest, context: Context) -> Result<Self, PipelineError> {
        let store = Box::pin(Self::try_sides(&request, &context)).await?;
        Box::pin(Self::plan_into(store, request, context)).await
    }

    /// As [`Self::prepare`], for a dump that is executed at once: while packs are being removed from the store it waits
    /// before it takes the snapshot, so that none is held open on the source meanwhile.
    ///
    /// # Errors
    /// As [`Self::prepare`]; if the removal does not end.
    pub async fn prepare_to_execute(request: DumpRequest, context: Context) -> Result<Self, PipelineError> {
        let store = Box::pin(Self::try_sides(&request, &context)).await?;
        Box::pin(store.wait_for_removals(&context)).await?;
        Box::pin(Self::plan_into(store, request, context)).await
    }

    /// Opens the store, once the source can be reached.
    async fn try_sides(request: &DumpRequest, context: &Context) -> Result<TriedStore, PipelineError> {
        context.progress.phase_started(Phase::Introspect, None, None);
        Box::pin(check_side(("source", &request.source), context)).await?;
        Box::pin(TriedStore::open(&request.store, context)).await
    }

    async fn plan_into(
        store: TriedStore,
        request: DumpRequest,
        context: Context,
    ) -> Result<Self, PipelineError> {
        let source = LiveDatabase::open(&request.source, &request.selection, "source", &context);
        let source = Box::pin(source).await?;
        context.progress.phase_finished(Phase::Introspect);
        source.check_covered()?;
        extensions::check(&source.catalog, &request.selection)?;
        source.check_readable(&request.selection)?;
        let target = Target { version: source.catalog.server_version };
        check_families(&source.catalog, &request.selection)?;
        let toc = build_toc(&source.catalog, &request.selection, target, &source.sequences)?;
        let export = Arc::new(source.export_plan(&toc));
        let tight = store.narrowness(row_bytes(&export)).await?;
        let in_vain = tables_in_vain(&source.catalog, target)?;
        for warning in store.left_behind.iter().chain(&tight).chain(&in_vain) {
            context.progress.warning(warning.as_str());
        }
        let roles = recorded(&source, &request, &context).await?;
        let mut left_out = left_out(&source.catalog);
        left_out.extend(unread_passwords(roles.as_ref(), &request));
        let plan = DumpPlan {
            role_count: roles.as_ref().map_or(0, |roles| roles.roles.len()),
            password_count: password_count(roles.as_ref()),
            source: request.source.describe(),
            store: request.store.to_string(),
            snapshot_time: source.holder.info().taken_at.clone(),
            definition_count: toc.entries.iter().filter(|entry| entry.section != Section::Data).count(),
            tables: PlannedTable::of(&export),
            jobs: request.jobs,
            compression_level: request.compression_level,
            compression_helpers: request.compression_helpers,
            left_out,
            left_out_as_asked: left_out_as_asked(&source.catalog, &request.selection)?,
        };
        Ok(Dump { request, context, source, toc, export, roles, plan })
    }

    /// What will be done.
    pub fn plan(&self) -> &DumpPlan {
        &self.plan
    }

    /// Reads all rows, stores them, and commits the backup with its last write.
    ///
    /// # Errors
    /// Whatever stopped it. There is no backup then, only unreferenced packs.
    pub async fn execute(mut self) -> Result<DumpReport, PipelineError> {
        let report = Box::pin(self.store()).await;
        self.source.release().await;
        report
    }

    async fn store(&mut self) -> Result<DumpReport, PipelineError> {
        let repository = Repository::open_or_create(
            &self.request.store,
            &self.context.keys,
            &self.context.progress,
            &self.context.cancel,
        )
        .await?;
        // while it lies there nobody removes packs, whether they are ours or only like ours
        let lease = repository.lease(&self.context.cancel).await?;
        let report = Box::pin(self.store_in(&repository, &lease)).await;
        lease.release().await;
        report
    }

    async fn store_in(&mut self, repository: &Repository, lease: &Sign) -> Result<DumpReport, PipelineError> {
        let started = std::time::Instant::now();
        refuse_encrypted(repository, self.request.row_store)?;
        let id = Ulid::generate();
        let (wanted, info) = (&self.request.parent, self.source.holder.info());
        let parent = repository.parent(wanted, &info.database, &self.context.cancel).await?.map(Arc::new);
        if let Some(parent) = &parent {
            self.context.progress.notice(format!("deduplicated against backup {}", parent.id()));
        }
        let exporter = Exporter::new(
            Arc::clone(&self.export),
            self.request.source.clone(),
            Arc::clone(&self.source.holder),
            self.request.jobs,
            repository.config().cut.clone(),
            self.context.cancel.clone(),
        );
        let exporter = Arc::new(exporter);
        let throttle = Throttle::start(self.request.throttle, &self.request.source, &self.context).await?;
        let lists = Arc::new(ListStore::new(repository, parent.clone(), &self.export, &self.context.cancel)?);
        let parts = self.part_store(repository, id)?;
        let documents = self.write_documents(&lists).await?;
        let how = (&self.row_options(), parent.clone());
        let (places, segments) = ((&lists, parts.clone()), Segments::Live(Arc::clone(&exporter)));
        let rows = store_rows(segments, repository, how, places, Some(throttle), &self.context).await;
        exporter.close().await;
        drop(exporter);
        let rows = rows?;
        self.context.progress.phase_started(Phase::Commit, None, None);
        let parent = parent.map(|parent| parent.id());
        let manifest =
            Box::pin(self.write_metadata(repository, (lists, documents), (rows, parts), (id, parent)));
        let manifest = manifest.await?;
        let key = repository.commit(&manifest, lease, &self.context.cancel).await?;
        self.context.progress.phase_finished(Phase::Commit);
        let totals = crate::command::backups::reported_totals(&manifest);
        Ok(DumpReport {
            backup: manifest.id.to_string(),
            store: repository.describe(),
            key: key.to_string(),
            parent: manifest.parent.map(|parent| parent.to_string()),
            totals,
            transfer: manifest.transfer.unwrap_or_default(),
            pack_count: manifest.packs.len() as u64,
            part_count: manifest.parts().count() as u64,
            table_count: totals.tables,
            has_large_objects: manifest.tables.len() as u64 > totals.tables,
            row_count: crate::command::backups::row_count(&manifest),
            role_count: self.plan.role_count,
            password_count: self.plan.password_count,
            skipped: self.plan.left_out.clone(),
            left_out_as_asked: self.plan.left_out_as_asked.clone(),
            elapsed_seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Stores what is left of the segment lists, and makes the manifest of it all.
    async fn write_metadata(
        &self,
        repository: &Repository,
        (lists, documents): (Arc<ListStore>, PlacedDocuments),
        (rows, parts): (WrittenPacks, Option<Arc<PartStore>>),
        (id, parent): (Ulid, Option<Ulid>),
    ) -> Result<Manifest, PipelineError> {
        let (mut stored, reused) = lists.finish_lists().await?;
        let lists = Arc::try_unwrap(lists).map_err(|_| unnamed_pack())?;
        let meta = Box::pin(lists.finish()).await?;
        let named = |pieces: &[_]| document(pieces).ok_or_else(unnamed_pack);
        let tables = table_entries(&self.export, &mut stored, parts.as_deref())?;
        let documents = Documents {
            catalog: named(&documents.catalog)?,
            toc: named(&documents.toc)?,
            roles: documents.roles.as_deref().map(named).transpose()?,
            statistics: documents.statistics.as_deref().map(named).transpose()?,
        };
        let manifest = self.manifest(repository, documents, tables, Written { rows, meta, reused })?;
        Ok(Manifest { id, parent, ..manifest })
    }

    fn row_options(&self) -> RowOptions {
        let DumpRequest { jobs, compression_level, compression_helpers, .. } = self.request;
        RowOptions { jobs, compression_level, compression_helpers }
    }

    /// What takes rows that become files of Parquet, if they do.
    fn part_store(&self, repository: &Repository, id: Ulid) -> Result<Option<Arc<PartStore>>, PipelineError> {
        if self.request.row_store == RowStore::Packs {
            return Ok(None);
        }
        let info = self.source.holder.info();
        let backup = BackupKey::new(&info.database, snapshot_time(&info.taken_at)?, id);
        let level = self.request.compression_level;
        let parts = PartStore::new(repository, backup, &self.source.catalog, &self.export, level);
        Ok(Some(Arc::new(parts)))
    }

    /// Stores the catalog, the table of contents and the roles, and forgets the first two: of a
    /// large database they take more memory than anything else.
    async fn write_documents(&mut self, lists: &ListStore) -> Result<PlacedDocuments, PipelineError> {
        let (_, toc) = lists.add_document("table of contents", std::mem::take(&mut self.toc)).await?;
        let (catalog, catalog_pieces) = lists.add_document("catalog", self.take_catalog()).await?;
        self.source.catalog = catalog;
        let mut roles = None;
        if let Some(found) = self.roles.clone() {
            roles = Some(lists.add_document("roles", found).await?.1);
        }
        let statistics = self.store_statistics(lists).await?;
        drop(self.take_catalog());
        Ok(PlacedDocuments { catalog: catalog_pieces, toc, roles, statistics })
    }

    /// The catalog, of which only the database stays.
    fn take_catalog(&mut self) -> Catalog {
        let objects = std::mem::take(&mut self.source.catalog.objects);
        let dependencies = std::mem::take(&mut self.source.catalog.dependencies);
        Catalog { objects, dependencies, ..self.source.catalog.clone() }
    }

    /// Stores planner statistics, if they are wanted and can be had.
    async fn store_statistics(&self, lists: &ListStore) -> Result<Option<Vec<PlacedChunk>>, PipelineError> {
        if !self.request.statistics {
            return Ok(None);
        }
        if let Some(reason) = unavailable(&self.source.catalog, &self.request.selection) {
            self.context.progress.notice(format!("planner statistics are not recorded: {reason}"));
            return Ok(None);
        }
        let statistics = self.source.statistics(&self.request.selection, &self.context)?;
        lists.add_statistics(&statistics).await.map(Some)
    }

    fn manifest(
        &self,
        repository: &Repository,
        documents: Documents,
        tables: Vec<TableEntry>,
        written: Written,
    ) -> Result<Manifest, PipelineError> {
        let info = self.source.holder.info();
        let (transfer, uploaded_bytes) = (written.transfer(repository), written.uploaded_bytes(&tables));
        let packs = written.packs([]);
        let mut manifest = Manifest {
            format_version: repository.config().format_version,
            required_features: Manifest::features(repository.codec().generation()),
            id: Ulid::generate(),
            repo: repository.config().id,
            generation: repository.codec().generation(),
            snapshot_time: snapshot_time(&info.taken_at)?,
            finished_time: Timestamp::now(),
            dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
            parent: None,
            source: self.source_info(),
            tags: self.request.tags.clone(),
            selection: self.request.selection.describe(),
            excluded: excluded(&self.plan.left_out),
            catalog: documents.catalog,
            toc: documents.toc,
            roles: documents.roles,
            statistics: documents.statistics,
            tables,
            sequences: self.sequences(),
            packs,
            totals: Totals { uploaded_bytes, ..Totals::default() },
            transfer: Some(transfer),
        };
        manifest.totals = manifest.computed_totals();
        Ok(manifest.with_features_of_tables())
    }

    fn source_info(&self) -> SourceInfo {
        let info = self.source.holder.info();
        SourceInfo {
            database: info.database.clone(),
            server_version_num: info.version,
            server_version: self.source.version_text.clone(),
            system_identifier: info.system_identifier.clone().unwrap_or_default(),
            encoding: self.source.catalog.database.encoding.clone(),
            lsn: info.lsn.clone(),
            snapshot: info.id.clone(),
            in_recovery: info.is_standby,
            settings: dbhaul_postgres::text_settings(),
        }
    }

    fn sequences(&self) -> Vec<SequenceValue> {
        let value = |value: &dbhaul_introspect::SequenceValue| SequenceValue {
            schema: value.sequence.schema.to_string(),
            name: value.sequence.name.to_string(),
            last_value: value.last_value,
            is_called: value.is_called,
        };
        self.source.sequences.iter().map(value).collect()
    }
}

/// The pieces of the documents, whose packs may not have names yet.
struct PlacedDocuments {
    catalog: Vec<PlacedChunk>,
    toc: Vec<PlacedChunk>,
    roles: Option<Vec<PlacedChunk>>,
    statistics: Option<Vec<PlacedChunk>>,
}

struct Documents {
    catalog: Document,
    toc: Document,
    roles: Option<Document>,
    statistics: Option<Document>,
}

/// The roles that the backup will hold.
async fn recorded(
    source: &LiveDatabase,
    request: &DumpRequest,
    context: &Context,
) -> Result<Option<Roles>, PipelineError> {
    let wanted = request.roles;
    if wanted.scope == RoleScope::None {
        return Ok(None);
    }
    let all = live_roles(source, wanted.passwords, context).await?;
    let roles = if wanted.scope == RoleScope::All { all } else { all.used_by(&source.catalog) };
    Ok(Some(if wanted.passwords { roles } else { roles.without_passwords() }))
}

fn password_count(roles: Option<&Roles>) -> usize {
    let roles = roles.into_iter().flat_map(|roles| &roles.roles);
    roles.filter(|role| matches!(role.password, Password::Hash(_))).count()
}

/// Hashes that were asked for and may not be read.
fn unread_passwords(roles: Option<&Roles>, request: &DumpRequest) -> Vec<NamedReason> {
    let roles = roles.into_iter().flat_map(|roles| &roles.roles).filter(|_| request.roles.passwords);
    let unread = roles.filter(|role| role.login && role.password == Password::Unknown);
    unread
        .map(|role| NamedReason {
            object: format!("PASSWORD of role {}", role.name),
            reason: "its hash may not be read (pg_authid is hidden), so it is not in the backup".to_owned(),
        })
        .collect()
}

/// The time of a snapshot, as the server told it.
fn snapshot_time(text: &str) -> Result<Timestamp, PipelineError> {
    text.parse().map_err(|error| PipelineError::damaged("the snapshot's time", format!("{text:?}: {error}")))
}

/// Files that others read as they are cannot be encrypted.
pub(crate) fn refuse_encrypted(repository: &Repository, row_store: RowStore) -> Result<(), PipelineError> {
    if row_store == RowStore::Packs || repository.codec().generation().is_none() {
        return Ok(());
    }
    Err(PipelineError::Request {
        problem: format!(
            "{} is encrypted, and files of Parquet that other programs read where they lie cannot be",
            repository.describe()
        ),
        help: "use a store of its own for Parquet, which is not encrypted, or leave out --format parquet"
            .to_owned(),
    })
}

impl Display for DumpPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "dump {}", self.source)?;
        writeln!(f, "  into {}", self.store)?;
        write!(
            f,
            "  as of {}, {}, zstd level {}",
            self.snapshot_time,
            counted(self.jobs, "session"),
            self.compression_level
        )?;
        match self.compression_helpers {
            0 => writeln!(f)?,
            count => writeln!(f, ", {} more that compress", counted(count, "thread"))?,
        }
        let definitions = counted(self.definition_count, "definition");
        writeln!(f, "  {definitions}, rows of {}:", counted(self.tables.len(), "table"))?;
        write_tables(f, &self.tables)?;
        write_left_out(f, &self.left_out_as_asked)?;
        let (roles, passwords) = (counted(self.role_count, "role"), counted(self.password_count, "password"));
        writeln!(f, "  {roles}, hashes of {passwords}")?;
        write_named(f, "cannot be carried", &self.left_out)
    }
}

/// The tables of a plan, largest first.
pub(crate) fn write_tables(f: &mut Formatter<'_>, tables: &[PlannedTable]) -> fmt::Result {
    let mut tables: Vec<_> = tables.iter().collect();
    tables.sort_by_key(|table| (std::cmp::Reverse(table.estimated_bytes), &table.name));
    for table in tables {
        let size = crate::format_bytes(table.estimated_bytes);
        let name = dbhaul_catalog::in_one_line(&table.name);
        let segments = if table.segment_count == 1 { "segment " } else { "segments" };
        writeln!(f, "    {size:>10}  {:>4} {segments}  {name}", table.segment_count)?;
        if let Some(travels) = table.travels.as_ref().filter(|_| f.alternate()) {
            writeln!(f, "                              {travels}")?;
        }
    }
    Ok(())
}

/// How much of a backup is new, and how much its parent had.
pub(crate) fn transfer_words(
    parent: Option<&str>,
    uploaded_bytes: u64,
    transfer: &Transfer,
    pack_count: u64,
) -> String {
    let Transfer { uploaded_packs, reused_bytes, requests } = *transfer;
    let are = if uploaded_packs == 1 || pack_count == 1 { "is" } else { "are" };
    let new = crate::format_bytes(uploaded_bytes);
    let new = format!("{uploaded_packs} of {} {are} new ({new})", counted(pack_count, "pack"));
    let requests = counted(requests, "request");
    match parent {
        None => format!("{new}, {requests}"),
        Some(parent) => {
            let reused = crate::format_bytes(reused_bytes);
            format!("{new}, {reused} of rows reused from backup {parent}, {requests}")
        }
    }
}

impl Display for DumpReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(f, "backup {} committed", self.backup)?;
        writeln!(f, "  in {} as {}", self.store, self.key)?;
        write!(
            f,
            "  {}, {}{}, {} of rows stored in {}, in {:.1} s",
            counted(self.table_count, "table"),
            counted(self.row_count, "row"),
            if self.has_large_objects { " and large objects" } else { "" },
            crate::format_bytes(totals.plain_bytes),
            crate::format_bytes(totals.pack_bytes),
            self.elapsed_seconds
        )?;
        let parent = self.parent.as_deref();
        write!(f, "\n  {}", transfer_words(parent, totals.uploaded_bytes, &self.transfer, self.pack_count))?;
        if self.part_count > 0 {
            write!(f, "\n  rows in {} of Parquet", counted(self.part_count, "file"))?;
        }
        if self.password_count > 0 {
            let (roles, passwords) =
                (counted(self.role_count, "role"), counted(self.password_count, "password"));
            write!(f, "\n  {roles}, with the hashes of {passwords}: guard the store like the server")?;
        }
        write_named(f, "left out, as asked", &self.left_out_as_asked)?;
        write_named(f, "skipped", &self.skipped)
    }
}
