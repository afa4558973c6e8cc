//! `backup convert`: a backup becomes another one of the same state, whose rows are stored in the other form.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use dbhaul_archive::{BackupKey, Manifest, PackId, TableEntry, TableKind, Totals};
use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, DataColumn, QualifiedName, TableData};
use dbhaul_exporter::{ExportPlan, RowForm, RowSource, Segment, SegmentRange, TablePlan};
use dbhaul_progress::{Phase, counted};
use dbhaul_repository::{BackupRef, BackupRows, CheckedBackup, ParentRef, Repository, Sign};
use dbhaul_store::StoreUrl;
use jiff::Timestamp;
use serde::Serialize;
use ulid::Ulid;

use crate::command::dump::lists::ListStore;
use crate::command::dump::parts::PartStore;
use crate::command::dump::refuse_encrypted;
use crate::command::dump::rows::{RowOptions, store_rows};
use crate::command::dump::segments::{Segments, StoredSegments};
use crate::command::dump::tables::table_entries;
use crate::command::dump::written::Written;
use crate::{Context, PipelineError, RowStore, Status, format_bytes};

/// Asks for a backup in the other form.
#[derive(Debug, Clone)]
pub struct ConvertRequest {
    /// The store of both.
    pub store: StoreUrl,
    /// Which backup.
    pub backup: BackupRef,
    /// Only backups of this database count for [`BackupRef::Latest`].
    pub database: Option<String>,
    /// The form of the new one.
    pub row_store: RowStore,
    /// Segments that are converted at the same time.
    pub jobs: usize,
    /// zstd level.
    pub compression_level: i32,
}

/// What was converted.
#[derive(Debug, Clone, Serialize)]
pub struct ConvertReport {
    /// The new backup.
    pub backup: String,
    /// The one that it was made of, which is as it was.
    pub converted: String,
    /// The store.
    pub store: String,
    /// The key of the manifest.
    pub key: String,
    /// What it adds up to.
    pub totals: Totals,
    /// Files of Parquet that it lies in.
    pub part_count: u64,
    /// Seconds it took.
    pub elapsed_seconds: f64,
}

impl ConvertReport {
    /// A conversion that is not whole is an error.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Makes a backup of the rows of another one, in the other form.
///
/// # Errors
/// Whatever stopped it. There is no new backup then, and the old one is as it was.
pub async fn convert_backup(
    request: ConvertRequest,
    context: Context,
) -> Result<ConvertReport, PipelineError> {
    let repository =
        Repository::open_to_write(&request.store, &context.keys, &context.progress, &context.cancel).await?;
    refuse_encrypted(&repository, RowStore::Parquet)?;
    // while it lies there nobody removes packs
    let lease = repository.lease(&context.cancel).await?;
    let report = Box::pin(convert(&repository, &request, &lease, &context)).await;
    lease.release().await;
    report
}

async fn convert(
    repository: &Repository,
    request: &ConvertRequest,
    lease: &Sign,
    context: &Context,
) -> Result<ConvertReport, PipelineError> {
    let started = std::time::Instant::now();
    let key = repository.find(&request.backup, request.database.as_deref()).await?;
    let checked = Box::pin(repository.checked_backup(&key, &context.cancel)).await?;
    refuse_same(&checked.manifest, request.row_store)?;
    let converted = checked.manifest.id;
    let manifest = Box::pin(store(checked, repository, request, context)).await?;
    context.progress.phase_started(Phase::Commit, None, None);
    let key = repository.commit(&manifest, lease, &context.cancel).await?;
    context.progress.phase_finished(Phase::Commit);
    Ok(ConvertReport {
        backup: manifest.id.to_string(),
        converted: converted.to_string(),
        store: repository.describe(),
        key: key.to_string(),
        totals: super::reported_totals(&manifest),
        part_count: manifest.parts().count() as u64,
        elapsed_seconds: started.elapsed().as_secs_f64(),
    })
}

/// Stores the rows in the other form; returns the manifest that names them.
async fn store(
    original: CheckedBackup,
    repository: &Repository,
    request: &ConvertRequest,
    context: &Context,
) -> Result<Manifest, PipelineError> {
    let CheckedBackup { manifest: original, catalog, repository: reading } = original;
    let plan = plan_of(&original, &catalog)?;
    let id = later_of_same_age(original.id);
    let parts = (request.row_store == RowStore::Parquet).then(|| {
        let backup = BackupKey::new(&original.source.database, original.snapshot_time, id);
        Arc::new(PartStore::new(repository, backup, &catalog, &plan, request.compression_level))
    });
    drop(catalog);
    // large objects are in packs in either form
    let parent = ParentRef::Id(original.id.to_string());
    let parent = repository.parent(&parent, &original.source.database, &context.cancel).await?.map(Arc::new);
    let lists = Arc::new(ListStore::new(repository, parent.clone(), &plan, &context.cancel)?);
    let options = RowOptions {
        jobs: request.jobs,
        compression_level: request.compression_level,
        compression_helpers: 0,
    };
    let segments = Segments::Stored(Box::new(StoredSegments {
        plan: plan.clone(),
        rows: BackupRows::new(reading, tables_by_entry(&original)),
        cut: repository.config().cut.clone(),
    }));
    let places = (&lists, parts.clone());
    let rows = store_rows(segments, repository, (&options, parent), places, None, context).await?;
    let (mut stored, reused) = lists.finish_lists().await?;
    let lists = Arc::try_unwrap(lists).map_err(|_| dbhaul_repository::unnamed_pack())?;
    let meta = Box::pin(lists.finish()).await?;
    let tables = table_entries(&plan, &mut stored, parts.as_deref())?;
    compare_rows(&original, &tables)?;
    Ok(manifest(original, id, tables, Written { rows, meta, reused }, repository))
}

/// An identity of the same time, behind the given one: the new backup is the latest where the original was, and only
/// there.
fn later_of_same_age(original: Ulid) -> Ulid {
    const MOST: u128 = (1 << 80) - 1;
    let room = MOST - original.random();
    let random = match room {
        0 => Ulid::generate().random(),
        _ => original.random() + 1 + Ulid::generate().random() % room,
    };
    Ulid::from_parts(original.timestamp_ms(), random)
}

fn tables_by_entry(manifest: &Manifest) -> HashMap<u32, TableEntry> {
    manifest.tables.iter().filter_map(|table| Some((table.toc_id?, table.clone()))).collect()
}

/// Each table has the rows that it had.
fn compare_rows(original: &Manifest, tables: &[TableEntry]) -> Result<(), PipelineError> {
    let differs = |(table, stored): &(&TableEntry, &TableEntry)| {
        table.toc_id != stored.toc_id || table.digest != stored.digest
    };
    let mut pairs = original.tables.iter().zip(tables);
    let unequal = pairs.find(differs).map(|(table, _)| table.qualified_name());
    let missing = || original.tables.get(tables.len()).map(TableEntry::qualified_name);
    match unequal.or_else(missing) {
        None => Ok(()),
        Some(name) => {
            let reason = "the rows that were read are not those that the backup names";
            Err(PipelineError::damaged(format!("table {name}"), reason.to_owned()))
        }
    }
}

/// The manifest of the new backup: that of the original, but for where the rows are.
fn manifest(
    original: Manifest,
    id: Ulid,
    tables: Vec<TableEntry>,
    written: Written,
    repository: &Repository,
) -> Manifest {
    let (transfer, uploaded_bytes) = (written.transfer(repository), written.uploaded_bytes(&tables));
    let kept = document_packs(&original);
    let packs = written.packs(original.packs.iter().copied().filter(|pack| kept.contains(&pack.id)));
    let mut manifest = Manifest {
        required_features: Manifest::features(None),
        id,
        parent: None,
        finished_time: Timestamp::now(),
        dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
        tables,
        packs,
        totals: Totals { uploaded_bytes, ..Totals::default() },
        transfer: Some(transfer),
        ..original
    };
    manifest.totals = manifest.computed_totals();
    manifest.with_features_of_tables()
}

/// A backup of this form already.
fn refuse_same(manifest: &Manifest, wanted: RowStore) -> Result<(), PipelineError> {
    let has_parts = manifest.parts().next().is_some();
    if has_parts != (wanted == RowStore::Parquet) {
        return Ok(());
    }
    let form = if has_parts { "has its rows as Parquet" } else { "has its rows in packs" };
    Err(PipelineError::Request {
        problem: format!("backup {} {form} already", manifest.id),
        help: "give another backup, or the other --format".to_owned(),
    })
}

/// The tables of a backup, with the segments that it has.
fn plan_of(manifest: &Manifest, catalog: &Catalog) -> Result<ExportPlan, PipelineError> {
    let mut known: HashMap<(&str, &str), Vec<DataColumn>> = HashMap::new();
    for object in &catalog.objects {
        if let Body::Table(table) = &object.body {
            let schema = object.schema.as_deref().unwrap_or_default();
            known.insert((schema, &object.name), table.data_columns());
        }
    }
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for table in &manifest.tables {
        let entry = table.toc_id.ok_or_else(|| {
            let what = format!("table {}", table.qualified_name());
            PipelineError::damaged(what, "it fills no entry of the table of contents")
        })?;
        let columns = known.remove(&(table.schema.as_str(), table.name.as_str())).unwrap_or_default();
        tables.push(TablePlan {
            entry,
            source: source_of(table, columns),
            digest_spec: table.digest_spec.clone(),
            segments: segments_of(table),
            form: RowForm::Text,
            is_unplanned: false,
        });
    }
    Ok(ExportPlan { tables })
}

/// The columns in the order of the rows. Of a table of an extension, whose columns are not in the catalog, they are text.
fn source_of(table: &TableEntry, mut known: Vec<DataColumn>) -> RowSource {
    if table.kind == TableKind::LargeObjects {
        return RowSource::LargeObjects;
    }
    let text = |name: &str| DataColumn {
        name: name.into(),
        type_name: "text".into(),
        base_type_name: "text".into(),
        base_type_kind: 'b',
    };
    let mut column = |name: &str| match known.iter().position(|column| column.name == *name) {
        Some(place) => known.swap_remove(place),
        None => text(name),
    };
    let names = table.digest_spec.columns.iter().map(|column| column.name.as_str());
    RowSource::Table(TableData {
        table: QualifiedName::new(table.schema.as_str(), table.name.as_str()),
        root: None,
        columns: names.map(&mut column).collect(),
        condition: None,
        has_tids: false,
        created_by_toc: true,
        nests_regclass: false,
    })
}

/// As many segments as the table has, of which it is not known any more what they were.
fn segments_of(table: &TableEntry) -> Vec<Segment> {
    let count = table.segments.max(1);
    let segment = |_| Segment { range: SegmentRange::Whole, estimated_bytes: table.plain_bytes / count };
    (0..count).map(segment).collect()
}

/// The packs that catalog, table of contents, roles and statistics lie in.
fn document_packs(manifest: &Manifest) -> BTreeSet<PackId> {
    let documents = [&manifest.catalog, &manifest.toc].into_iter();
    let documents = documents.chain(&manifest.roles).chain(&manifest.statistics);
    documents.flat_map(|document| &document.pieces).map(|piece| piece.pack).collect()
}

impl Display for ConvertReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "backup {} converted to backup {}", self.converted, self.backup)?;
        writeln!(f, "  in {} as {}", self.store, self.key)?;
        write!(
            f,
            "  {} of rows stored in {}, in {:.1} s",
            format_bytes(self.totals.plain_bytes),
            format_bytes(self.totals.pack_bytes),
            self.elapsed_seconds
        )?;
        if self.part_count > 0 {
            write!(f, "\n  rows in {} of Parquet", counted(self.part_count, "file"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::later_of_same_age;

    #[test]
    fn a_converted_backup_comes_behind_its_original_and_before_all_later_ones() {
        for random in [0, 1, 1 << 79, (1 << 80) - 2] {
            let (original, next) = (Ulid::from_parts(7, random), Ulid::from_parts(8, 0));
            let id = later_of_same_age(original);
            assert!(original < id && id < next, "{original} {id}");
        }
        assert_eq!(later_of_same_age(Ulid::from_parts(7, (1 << 80) - 1)).timestamp_ms(), 7);
    }
}
