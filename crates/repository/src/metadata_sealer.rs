//! Metadata is compressed and encrypted on threads that are not the runtime's.

use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_archive::{ArchiveError, ChunkCodec, ChunkSealer};

use crate::RepositoryError;
use crate::access::blocking;

/// Seals the pieces of catalogs, lists and statistics, one caller's after the other's.
#[derive(Debug, Clone)]
pub struct MetadataSealer {
    /// For errors.
    store: Arc<str>,
    sealer: Arc<Mutex<ChunkSealer>>,
}

impl MetadataSealer {
    /// For a store of this name, as its codec seals at a level of zstd.
    ///
    /// # Errors
    /// [`RepositoryError::Archive`] where zstd has no such level.
    pub fn new(store: &str, codec: &ChunkCodec, level: i32) -> Result<Self, RepositoryError> {
        let sealer = codec.sealer(level).map_err(|source| archive_error(store, source))?;
        Ok(MetadataSealer { store: store.into(), sealer: Arc::new(Mutex::new(sealer)) })
    }

    /// What this makes of the sealer, made where it holds up nobody.
    ///
    /// # Errors
    /// Its own, or [`RepositoryError::Worker`] if it panics.
    pub async fn seal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut ChunkSealer) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let MetadataSealer { store, sealer } = self.clone();
        let sealing = move || {
            // each chunk is sealed from the beginning, so that one that was left half sealed does not matter
            let mut sealer = sealer.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut sealer).map_err(|source| archive_error(&store, source))
        };
        blocking("sealing of metadata", sealing).await
    }
}

fn archive_error(store: &str, source: ArchiveError) -> RepositoryError {
    RepositoryError::Archive { store: store.to_owned(), source }
}
