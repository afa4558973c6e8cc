//! The rows of a backup, to be read again where they differ from those of the other side.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dbhaul_archive::{Manifest, TableEntry};
use dbhaul_repository::{BackupRows, Repository, RowReader};
use dbhaul_rows::Chunk;
use dbhaul_verifier::StoredRows;
use futures::stream::{BoxStream, StreamExt, try_unfold};
use tokio_util::sync::CancellationToken;

/// The tables of a backup, by the names that a comparison gives them.
#[derive(Debug)]
pub(super) struct StoredTables {
    rows: Arc<BackupRows>,
    places: BTreeMap<String, (u32, u32)>,
    cancel: CancellationToken,
}

impl StoredTables {
    pub(super) fn new(
        repository: Repository,
        manifest: &Manifest,
        name_of: impl Fn(&TableEntry) -> String,
        cancel: CancellationToken,
    ) -> Self {
        let tables: HashMap<u32, TableEntry> = (0..).zip(manifest.tables.iter().cloned()).collect();
        let segments = |table: &TableEntry| u32::try_from(table.segments).unwrap_or(u32::MAX);
        let place = |(number, table): (&u32, &TableEntry)| (name_of(table), (*number, segments(table)));
        let places = tables.iter().map(place).collect();
        StoredTables { rows: Arc::new(BackupRows::new(repository, tables)), places, cancel }
    }
}

/// Where the reading of a segment stands.
enum Stage {
    Closed,
    Open(RowReader),
}

impl StoredRows for StoredTables {
    fn part_count(&self, table: &str) -> u32 {
        self.places.get(table).map_or(0, |(_, segments)| *segments)
    }

    fn part(&self, table: &str, part: u32) -> BoxStream<'static, Result<Chunk, String>> {
        let (rows, cancel) = (Arc::clone(&self.rows), self.cancel.clone());
        let entry = self.places.get(table).map(|(number, _)| *number);
        try_unfold(Stage::Closed, move |stage| {
            let (rows, cancel) = (Arc::clone(&rows), cancel.clone());
            async move {
                if cancel.is_cancelled() {
                    return Err("cancelled".to_owned());
                }
                let mut reader = match stage {
                    Stage::Open(reader) => reader,
                    Stage::Closed => {
                        let entry = entry.ok_or("the backup does not have its rows")?;
                        let opened = rows.segment(entry, part).await;
                        opened.map_err(|error| crate::one_line(&error))?
                    }
                };
                let chunk = reader.next().await.map_err(|error| crate::one_line(&error))?;
                Ok(chunk.map(|chunk| (chunk, Stage::Open(reader))))
            }
        })
        .boxed()
    }
}
