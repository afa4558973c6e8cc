//! `backup list` and `backup show`.

use std::fmt::{self, Display, Formatter};

use dbhaul_archive::{Manifest, Totals};
use dbhaul_rows::RowDigest;
use dbhaul_store::StoreUrl;
use jiff::Timestamp;
use serde::Serialize;

use crate::repository::Repository;
use crate::{BackupRef, Context, PipelineError, format_age, format_bytes};

/// One line of `backup list`.
#[derive(Debug, Clone, Serialize)]
pub struct BackupSummary {
    /// Identity.
    pub id: String,
    /// The database's name.
    pub database: String,
    /// When the snapshot was taken.
    pub snapshot_time: Timestamp,
    /// Seconds since then.
    pub age_seconds: i64,
    /// What it adds up to; `None` if its manifest cannot be read.
    pub totals: Option<Totals>,
    /// Why the manifest cannot be read.
    pub damage: Option<String>,
}

/// All backups of a store, oldest first.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct BackupList {
    /// The backups.
    pub backups: Vec<BackupSummary>,
}

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
    /// Every table with its rows.
    pub tables: Vec<TableDetails>,
}

/// One table of a backup.
#[derive(Debug, Clone, Serialize)]
pub struct TableDetails {
    /// `schema.name`.
    pub name: String,
    /// Count and digest of its rows.
    pub digest: RowDigest,
    /// Segments.
    pub segment_count: u64,
    /// Bytes of rows.
    pub plain_bytes: u64,
    /// Bytes stored.
    pub stored_bytes: u64,
}

/// Lists the backups of a store. One whose manifest is damaged is listed with the damage.
///
/// # Errors
/// If the store cannot be read.
pub async fn list_backups(store: &StoreUrl, context: Context) -> Result<BackupList, PipelineError> {
    let repository = Repository::open(store, &context).await?;
    let now = Timestamp::now();
    let mut backups = Vec::new();
    for key in repository.backup_keys().await? {
        let (totals, damage) = match repository.manifest(&key).await {
            Ok(manifest) => (Some(manifest.totals), None),
            Err(error @ (PipelineError::Archive { .. } | PipelineError::Damaged { .. })) => {
                (None, Some(crate::one_line(&error)))
            }
            Err(error) => return Err(error),
        };
        backups.push(BackupSummary {
            id: key.id.to_string(),
            database: key.database,
            snapshot_time: key.time,
            age_seconds: now.duration_since(key.time).as_secs(),
            totals,
            damage,
        });
    }
    backups.sort_by(|a, b| (a.snapshot_time, &a.id).cmp(&(b.snapshot_time, &b.id)));
    Ok(BackupList { backups })
}

/// Shows one backup: its manifest, and that all its packs are there.
///
/// # Errors
/// If there is no such backup, or it is not whole.
pub async fn show_backup(
    store: &StoreUrl,
    backup: &BackupRef,
    database: Option<&str>,
    context: Context,
) -> Result<BackupDetails, PipelineError> {
    let repository = Repository::open(store, &context).await?;
    let manifest = repository.manifest(&repository.find(backup, database).await?).await?;
    repository.check_packs(&manifest).await?;
    Ok(details(&manifest))
}

fn details(manifest: &Manifest) -> BackupDetails {
    let table = |table: &dbhaul_archive::TableEntry| TableDetails {
        name: table.qualified_name(),
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
            totals: Some(manifest.totals),
            damage: None,
        },
        server_version: manifest.source.server_version.clone(),
        encoding: manifest.source.encoding.clone(),
        lsn: manifest.source.lsn.clone(),
        dbhaul_version: manifest.dbhaul_version.clone(),
        tables: manifest.tables.iter().map(table).collect(),
    }
}

impl Display for BackupList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.backups.is_empty() {
            return f.write_str("no backups");
        }
        write!(
            f,
            "{:26}  {:20}  {:>8}  {:>12}  {:>10}  DATABASE",
            "BACKUP", "TIME", "AGE", "ROWS", "STORED"
        )?;
        for backup in &self.backups {
            let age = format_age(backup.age_seconds);
            let time = backup.snapshot_time;
            write!(f, "\n{:26}  {time:20.0}  {age:>8}  ", backup.id)?;
            match (&backup.totals, &backup.damage) {
                (Some(totals), _) => {
                    let stored = format_bytes(totals.pack_bytes);
                    write!(f, "{:>12}  {stored:>10}  {}", totals.digest.row_count, backup.database)?;
                }
                (None, damage) => {
                    let damage = damage.as_deref().unwrap_or_default();
                    write!(f, "DAMAGED: {damage}  {}", backup.database)?;
                }
            }
        }
        Ok(())
    }
}

impl Display for BackupDetails {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        writeln!(f, "backup    {}", summary.id)?;
        writeln!(f, "database  {} ({})", summary.database, self.encoding)?;
        let age = format_age(summary.age_seconds);
        writeln!(f, "taken     {}, {age} ago", summary.snapshot_time)?;
        writeln!(f, "server    {}", self.server_version)?;
        if let Some(lsn) = &self.lsn {
            writeln!(f, "LSN       {lsn}")?;
        }
        writeln!(f, "writer    dbhaul {}", self.dbhaul_version)?;
        if let Some(totals) = &summary.totals {
            let (plain, packs) = (format_bytes(totals.plain_bytes), format_bytes(totals.pack_bytes));
            writeln!(f, "size      {} rows, {plain}, stored in {packs}", totals.digest.row_count)?;
        }
        write!(f, "tables    {}", self.tables.len())?;
        for table in &self.tables {
            let (plain, stored) = (format_bytes(table.plain_bytes), format_bytes(table.stored_bytes));
            write!(f, "\n  {:>12} rows  {plain:>10}  {stored:>10}  {}", table.digest.row_count, table.name)?;
        }
        Ok(())
    }
}
