//! `backup show`, and in files of their own what lists, checks and removes backups.

pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod forget;
pub(crate) mod list;
pub(crate) mod prune;

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use dbhaul_archive::{Manifest, TableEntry, TableKind, Totals, Transfer};
use dbhaul_catalog::{
    Catalog, ListedEntry, NEWEST_MAJOR, QualifiedName, Section, Target, Toc, in_one_line, listed_entry,
    render_entry, title,
};
use dbhaul_progress::counted;
use dbhaul_rows::RowDigest;
use dbhaul_store::StoreUrl;
use jiff::Timestamp;
use serde::Serialize;

use crate::command::dump::transfer_words;
use crate::command::restore::{foreign_tables, sequences, tables_of};
use crate::source::build_toc_of;
use crate::{BackupRef, Context, PipelineError, Selection, format_age, format_bytes};
use dbhaul_repository::{CheckedBackup, Repository};

use self::list::BackupSummary;

/// One backup in detail.
#[derive(Debug, Clone, Serialize)]
pub struct BackupDetails {
    /// Identity, database, time, totals.
    #[serde(flatten)]
    pub summary: BackupSummary,
    /// The server it came from.
    pub server_version: String,
    /// The database's encoding.
    pub encoding: String,
    /// The write-ahead log's position at the snapshot.
    pub lsn: Option<String>,
    /// Version of the dbhaul that wrote it.
    pub dbhaul_version: String,
    /// The backup that it was deduplicated against.
    pub parent: Option<String>,
    /// Packs that it lies in.
    pub pack_count: u64,
    /// What writing it took; `None` if the dbhaul that wrote it did not record it.
    pub transfer: Option<Transfer>,
    /// Every table with its rows.
    pub tables: Vec<TableDetails>,
}

/// One table of a backup, or all large objects.
#[derive(Debug, Clone, Serialize)]
pub struct TableDetails {
    /// Which of the two.
    pub kind: TableKind,
    /// `schema.name`, each part quoted where SQL needs it.
    pub name: String,
    /// Count and digest of its rows; of large objects of their pieces.
    pub digest: RowDigest,
    /// Segments.
    pub segment_count: u64,
    /// Bytes of rows.
    pub plain_bytes: u64,
    /// Bytes stored.
    pub stored_bytes: u64,
}

/// Shows one backup: its manifest, and that all its parts but the rows are there and fit together.
///
/// # Errors
/// If there is no such backup, or it is not whole.
pub async fn show_backup(
    store: &StoreUrl,
    backup: &BackupRef,
    database: Option<&str>,
    context: Context,
) -> Result<BackupDetails, PipelineError> {
    let repository = Repository::open(store, &context.keys, &context.progress, &context.cancel).await?;
    let key = repository.find(backup, database).await?;
    let CheckedBackup { manifest, .. } = repository.checked_backup(&key, &context.cancel).await?;
    Ok(details(&manifest))
}

/// A backup with the selected part of its catalog.
pub(crate) struct StoredBackup {
    pub(crate) repository: Repository,
    pub(crate) manifest: Manifest,
    pub(crate) catalog: Catalog,
}

impl StoredBackup {
    /// Finds a backup, checks that all its parts but the rows are there and fit together, and takes what is selected
    /// of its catalog.
    pub(crate) async fn open(
        store: &StoreUrl,
        backup: &BackupRef,
        database: Option<&str>,
        selection: &Selection,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let repository = Repository::open(store, &context.keys, &context.progress, &context.cancel).await?;
        let key = repository.find(backup, database).await?;
        let CheckedBackup { manifest, catalog, repository } =
            repository.checked_backup(&key, &context.cancel).await?;
        let catalog = selection.apply(&catalog)?;
        Ok(StoredBackup { repository, manifest, catalog })
    }

    /// The TOC of the selected part, for a target of any major from the source's to this one.
    pub(crate) fn toc(&self, selection: &Selection, newest: u32) -> Result<Toc, PipelineError> {
        let mut options = selection.toc_options(&self.catalog)?;
        options.with_foreign_data.extend(foreign_tables(&self.manifest, &self.catalog));
        options.up_to_major = Some(newest);
        let target = Target { version: self.catalog.server_version };
        build_toc_of(&self.catalog, &options, target, &sequences(&self.manifest))
    }

    /// The backup's tables by the entries that they fill.
    pub(crate) fn tables(&self, toc: &Toc) -> Result<HashMap<u32, TableEntry>, PipelineError> {
        tables_of(&self.manifest, toc)
    }
}

/// The entries of a backup, as `pg_restore -l` lists them.
#[derive(Debug, Clone, Serialize)]
pub struct BackupToc {
    /// Identity of the backup.
    pub backup: String,
    /// The database.
    pub database: String,
    /// When the snapshot was taken.
    pub snapshot_time: Timestamp,
    /// The server it came from.
    pub server_version: String,
    /// Version of the dbhaul that wrote it.
    pub dbhaul_version: String,
    /// In restorable order.
    pub entries: Vec<ListedEntry>,
}

/// The definitions in a backup, as statements with a comment for each object.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Definitions {
    /// The statements.
    pub sql: String,
}

/// Lists the entries of a backup that a selection takes.
///
/// # Errors
/// If there is no such backup, it is not whole, or a pattern matches nothing.
pub async fn show_toc(
    store: &StoreUrl,
    backup: &BackupRef,
    database: Option<&str>,
    selection: &Selection,
    context: Context,
) -> Result<BackupToc, PipelineError> {
    let stored = StoredBackup::open(store, backup, database, selection, &context).await?;
    let entries = stored.toc(selection, NEWEST_MAJOR)?.entries.iter().map(listed_entry).collect();
    let manifest = stored.manifest;
    Ok(BackupToc {
        backup: manifest.id.to_string(),
        database: manifest.source.database,
        snapshot_time: manifest.snapshot_time,
        server_version: manifest.source.server_version_num.to_string(),
        dbhaul_version: manifest.dbhaul_version,
        entries,
    })
}

/// The statements in a backup that a selection takes; rows are only named.
///
/// # Errors
/// As [`show_toc`].
pub async fn show_definitions(
    store: &StoreUrl,
    backup: &BackupRef,
    database: Option<&str>,
    selection: &Selection,
    context: Context,
) -> Result<Definitions, PipelineError> {
    let stored = StoredBackup::open(store, backup, database, selection, &context).await?;
    let mut sql = String::new();
    let mut section = None;
    for entry in &stored.toc(selection, NEWEST_MAJOR)?.entries {
        if section.replace(entry.section) != Some(entry.section) {
            let name = match entry.section {
                Section::PreData => "pre-data",
                Section::Data => "data",
                Section::PostData => "post-data",
            };
            sql.push_str(&format!("--\n-- Section: {name}\n--\n\n"));
        }
        sql.push_str(&if entry.data.is_some() { title(entry) } else { render_entry(entry) });
    }
    Ok(Definitions { sql })
}

/// What a backup adds up to, as people count: large objects are no table. A manifest counts its entries.
pub(crate) fn reported_totals(manifest: &Manifest) -> Totals {
    let tables = manifest.tables.iter().filter(|table| table.kind == TableKind::Table);
    Totals { tables: tables.count() as u64, ..manifest.totals }
}

/// Rows of a backup's tables. Large objects are none, though their pieces are stored as rows.
pub(crate) fn row_count(manifest: &Manifest) -> u64 {
    let tables = manifest.tables.iter().filter(|table| table.kind == TableKind::Table);
    tables.map(|table| table.digest.row_count).sum()
}

/// A name in a listing for `pg_restore`: with spaces for line breaks, as `pg_dump` prints it.
fn in_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

impl Display for BackupToc {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, ";\n; Backup {} of {}", self.backup, self.snapshot_time)?;
        writeln!(f, ";     dbname: {}", in_line(&self.database))?;
        writeln!(f, ";     TOC Entries: {}", self.entries.len())?;
        writeln!(f, ";     Dumped from database version: {}", in_line(&self.server_version))?;
        writeln!(f, ";     Dumped by dbhaul version: {}", in_line(&self.dbhaul_version))?;
        write!(f, ";\n;\n; Selected TOC Entries:\n;")?;
        self.entries.iter().try_for_each(|entry| write!(f, "\n{entry}"))
    }
}

impl Display for Definitions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql.trim_end())
    }
}

fn details(manifest: &Manifest) -> BackupDetails {
    let table = |table: &dbhaul_archive::TableEntry| TableDetails {
        kind: table.kind,
        name: QualifiedName::new(&table.schema, &table.name).sql(),
        digest: table.digest,
        segment_count: table.segments,
        plain_bytes: table.plain_bytes,
        stored_bytes: table.stored_bytes,
    };
    BackupDetails {
        summary: BackupSummary {
            id: manifest.id.to_string(),
            database: manifest.source.database.clone(),
            snapshot_time: manifest.snapshot_time,
            age_seconds: manifest.age(Timestamp::now()).as_secs(),
            totals: Some(reported_totals(manifest)),
            table_count: Some(reported_totals(manifest).tables),
            row_count: Some(row_count(manifest)),
            damage: None,
            needs_key: false,
            last_check: None,
        },
        server_version: manifest.source.server_version.clone(),
        encoding: manifest.source.encoding.clone(),
        lsn: manifest.source.lsn.clone(),
        dbhaul_version: manifest.dbhaul_version.clone(),
        parent: manifest.parent.map(|parent| parent.to_string()),
        pack_count: manifest.packs.len() as u64,
        transfer: manifest.transfer,
        tables: manifest.tables.iter().map(table).collect(),
    }
}

impl Display for BackupDetails {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        writeln!(f, "backup    {}", summary.id)?;
        writeln!(f, "database  {} ({})", in_one_line(&summary.database), in_one_line(&self.encoding))?;
        let age = format_age(summary.age_seconds);
        writeln!(f, "taken     {}, {age} ago", summary.snapshot_time)?;
        writeln!(f, "server    {}", in_one_line(&self.server_version))?;
        if let Some(lsn) = &self.lsn {
            writeln!(f, "LSN       {}", in_one_line(lsn))?;
        }
        writeln!(f, "writer    dbhaul {}", in_one_line(&self.dbhaul_version))?;
        if let Some(totals) = &summary.totals {
            let (plain, packs) = (format_bytes(totals.plain_bytes), format_bytes(totals.pack_bytes));
            let rows = counted(summary.row_count.unwrap_or_default(), "row");
            let is_beside = |table: &TableDetails| table.kind == TableKind::LargeObjects;
            let beside = if self.tables.iter().any(is_beside) { " and large objects" } else { "" };
            writeln!(f, "size      {rows}{beside}, {plain}, stored in {packs}")?;
            if let Some(transfer) = &self.transfer {
                let parent = self.parent.as_deref();
                let words = transfer_words(parent, totals.uploaded_bytes, transfer, self.pack_count);
                writeln!(f, "transfer  {words}")?;
            }
        }
        write!(f, "tables    {}", summary.table_count.unwrap_or_default())?;
        for table in &self.tables {
            let (plain, stored) = (format_bytes(table.plain_bytes), format_bytes(table.stored_bytes));
            let (rows, name) = (table.digest.row_count, in_one_line(&table.name));
            let (unit, name) = match table.kind {
                TableKind::Table if rows == 1 => ("row", name.as_str()),
                TableKind::Table => ("rows", name.as_str()),
                TableKind::LargeObjects if rows == 1 => ("piece", "large objects"),
                TableKind::LargeObjects => ("pieces", "large objects"),
            };
            write!(f, "\n  {rows:>12} {unit:<6}  {plain:>10}  {stored:>10}  {name}")?;
        }
        Ok(())
    }
}
