//! Planner statistics on their way: out of a snapshot, into a backup, out of it again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{ChunkPlace, Manifest};
use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, ObjectId, QualifiedName, RelationStatistics, Selection, ServerVersion};
use dbhaul_importer::{ImportOptions, StatisticsError, StatisticsMode, StatisticsStream, StatisticsWave};
use dbhaul_introspect::{StatisticsPlan, read_statistics};
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, SnapshotHolder};
use futures::stream::{StreamExt, TryStreamExt, try_unfold};
use tokio_util::sync::CancellationToken;

use crate::{Context, PipelineError};
use dbhaul_repository::{MetadataSealer, PackWriter, PlacedChunk, Repository};

/// Plain bytes of a piece of a backup's statistics, at least: whole lines.
const PIECE_BYTES: usize = 1 << 20;

/// Relations that a batch out of a backup has at most; each costs a transaction a few locks.
const BATCH_RELATIONS: usize = 128;

/// Bytes of the lines that a batch out of a backup has, about at most.
const BATCH_BYTES: usize = 1 << 20;

/// Whether the source's statistics can be had, and if not, why.
pub(crate) fn unavailable(catalog: &Catalog, selection: &Selection) -> Option<&'static str> {
    if !selection.data {
        return Some("no rows are copied");
    }
    // Values appear in them, which here may be in any encoding, and travel as JSON.
    (catalog.database.encoding == "SQL_ASCII").then_some("the source's encoding is SQL_ASCII")
}

/// Lets an import analyze where copied statistics were asked for and cannot be had or set, and says so.
pub(crate) fn settle(options: &mut ImportOptions, target: ServerVersion, unavailable: Option<&str>) {
    if options.statistics != StatisticsMode::Copy {
        return;
    }
    let reason = match unavailable {
        Some(reason) => reason.to_owned(),
        None if RelationStatistics::can_be_set_on(target) => return,
        None => format!("PostgreSQL {target} cannot be given any, 18 is the first that can"),
    };
    options.statistics = StatisticsMode::Analyze;
    options.notes.push(format!(
        "planner statistics cannot be copied, because {reason}; tables will be analyzed instead"
    ));
}

/// Statistics of a live database under a snapshot.
#[derive(Clone)]
pub(crate) struct LiveStatistics {
    settings: ConnectSettings,
    holder: Arc<SnapshotHolder>,
    plan: Arc<StatisticsPlan>,
    cancel: CancellationToken,
}

impl LiveStatistics {
    pub(crate) fn new(
        settings: &ConnectSettings,
        holder: &Arc<SnapshotHolder>,
        plan: StatisticsPlan,
        context: &Context,
    ) -> Self {
        LiveStatistics {
            settings: settings.clone(),
            holder: Arc::clone(holder),
            plan: Arc::new(plan),
            cancel: context.cancel.clone(),
        }
    }

    /// The version of the server.
    pub(crate) fn server_version(&self) -> ServerVersion {
        self.holder.info().version
    }

    /// The batches of one wave, read one after another over a session of their own.
    pub(crate) fn stream(&self, wave: StatisticsWave) -> StatisticsStream {
        let state = (self.clone(), 0_usize, None::<Session>);
        let stream = try_unfold(state, move |(live, place, session)| async move {
            let batches = match wave {
                StatisticsWave::Tables => &live.plan.tables,
                StatisticsWave::Refreshed => &live.plan.refreshed,
            };
            let Some(batch) = batches.get(place) else {
                if let Some(session) = session {
                    let _ = session.close().await;
                }
                return Ok(None);
            };
            let session = match session {
                Some(session) => session,
                None => live.connect().await.map_err(statistics_error)?,
            };
            let read = read_statistics(&session, batch).await;
            let relations = read.map_err(|source| {
                let server = live.settings.describe();
                statistics_error(PipelineError::Introspect { server, source })
            })?;
            Ok(Some((relations, (live, place + 1, Some(session)))))
        });
        stream.boxed()
    }

    async fn connect(&self) -> Result<Session, PipelineError> {
        let reading = |source| PipelineError::server("cannot read planner statistics", source);
        let session =
            Session::connect(&self.settings, SessionRole::Reader, &self.cancel).await.map_err(reading)?;
        self.holder.import_into(&session).await.map_err(reading)?;
        Ok(session)
    }

    /// Stores all statistics, one relation's on each line, materialized views' behind those of tables.
    pub(crate) async fn store(
        &self,
        writer: &PackWriter,
        sealer: &MetadataSealer,
    ) -> Result<Vec<PlacedChunk>, PipelineError> {
        let mut placed = Vec::new();
        let mut open = Vec::new();
        for wave in [StatisticsWave::Tables, StatisticsWave::Refreshed] {
            let mut batches = self.stream(wave);
            while let Some(batch) = batches.try_next().await.map_err(|error| worker(&error))? {
                for relation in &batch {
                    serde_json::to_writer(&mut open, relation).map_err(|error| worker(&error))?;
                    open.push(b'\n');
                    if open.len() >= PIECE_BYTES {
                        let piece = Bytes::from(std::mem::take(&mut open));
                        placed.extend(writer.add_plain(sealer, vec![piece]).await?);
                    }
                }
            }
        }
        if !open.is_empty() {
            placed.extend(writer.add_plain(sealer, vec![Bytes::from(open)]).await?);
        }
        Ok(placed)
    }
}

fn worker(error: &(dyn std::error::Error + 'static)) -> PipelineError {
    PipelineError::Worker { what: "dump of planner statistics".to_owned(), reason: crate::one_line(error) }
}

fn statistics_error(error: PipelineError) -> StatisticsError {
    StatisticsError { transient: error.is_transient(), source: Box::new(error) }
}

/// Statistics in a backup.
#[derive(Clone)]
pub(crate) struct BackupStatistics {
    repository: Repository,
    pieces: Arc<Vec<ChunkPlace>>,
    /// The relations of the catalog, as far as selected.
    wanted: Arc<HashSet<QualifiedName>>,
    version: ServerVersion,
}

impl BackupStatistics {
    /// Those of a backup; `catalog` is what was selected of it, `without_data` tables whose rows stay
    /// behind. `None` if it holds none.
    pub(crate) fn new(
        repository: &Repository,
        manifest: &Manifest,
        catalog: &Catalog,
        without_data: &BTreeSet<ObjectId>,
    ) -> Option<Self> {
        let document = manifest.statistics.as_ref()?;
        Some(BackupStatistics {
            repository: repository.clone(),
            pieces: Arc::new(document.pieces.clone()),
            wanted: Arc::new(relations_of(catalog, without_data)),
            version: manifest.source.server_version_num,
        })
    }

    /// The version of the server that they are from.
    pub(crate) fn server_version(&self) -> ServerVersion {
        self.version
    }

    /// The batches of one wave, piece by piece.
    pub(crate) fn stream(&self, wave: StatisticsWave) -> StatisticsStream {
        let stream = try_unfold((self.clone(), 0_usize), move |(backup, place)| async move {
            let Some(piece) = backup.pieces.get(place) else { return Ok(None) };
            let batches = backup.batches(piece, wave).await.map_err(statistics_error)?;
            let batches = futures::stream::iter(batches.into_iter().map(Ok));
            Ok(Some((batches, (backup, place + 1))))
        });
        stream.try_flatten().boxed()
    }

    async fn batches(
        &self,
        piece: &ChunkPlace,
        wave: StatisticsWave,
    ) -> Result<Vec<Vec<RelationStatistics>>, PipelineError> {
        let mut opener = self.repository.codec().opener().map_err(|source| self.repository.error(source))?;
        let text = self.repository.piece(&mut opener, piece).await?;
        let mut batches = Vec::new();
        let (mut open, mut open_bytes) = (Vec::new(), 0);
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let relation: RelationStatistics = serde_json::from_slice(line).map_err(damaged)?;
            let is_of_wave = relation.is_refreshed == (wave == StatisticsWave::Refreshed);
            if !is_of_wave || !self.wanted.contains(&relation.relation) {
                continue;
            }
            open.push(relation);
            open_bytes += line.len();
            if open.len() == BATCH_RELATIONS || open_bytes >= BATCH_BYTES {
                batches.push(std::mem::take(&mut open));
                open_bytes = 0;
            }
        }
        if !open.is_empty() {
            batches.push(open);
        }
        Ok(batches)
    }
}

fn damaged(error: serde_json::Error) -> PipelineError {
    PipelineError::damaged("the backup's planner statistics", error.to_string())
}

/// The relations of a catalog that can have statistics, but for tables whose rows stay behind.
fn relations_of(catalog: &Catalog, without_data: &BTreeSet<ObjectId>) -> HashSet<QualifiedName> {
    let named = |object: &dbhaul_catalog::Object| {
        QualifiedName::new(object.schema.clone().unwrap_or_default(), object.name.as_str())
    };
    let is_table = |body: &Body| matches!(body, Body::Table(_) | Body::MaterializedView(_));
    let tables = catalog.objects.iter().filter(|object| is_table(&object.body));
    let with_rows = tables.filter(|object| !without_data.contains(&object.id));
    let mut relations: HashSet<QualifiedName> = with_rows.map(named).collect();
    let indexes = catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Index(index) if relations.contains(&index.table) => {
            Some(QualifiedName::new(&index.table.schema, &object.name))
        }
        _ => None,
    });
    let indexes: Vec<QualifiedName> = indexes.collect();
    relations.extend(indexes);
    relations
}
