//! Who is at work in a store: dumps that write, and a cleanup that removes. Each leaves a sign before it looks for
//! the other's, so that of two that begin at the same time at least one sees the other.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dbhaul_archive::keys;
use dbhaul_progress::one_line;
use dbhaul_store::{ObjectMeta, StoreExt};
use tokio::task::JoinSet;
use ulid::Ulid;

use crate::{Repository, RepositoryError};

/// How often a sign is renewed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// A sign that was not renewed for so long is left over from a process that is gone.
pub(crate) const SIGN_LIFE: Duration = Duration::from_secs(60 * 60);

/// A sign in the store, renewed until it is taken away. Dropped, it is not renewed any more.
#[derive(Debug)]
pub struct Sign {
    repository: Repository,
    key: String,
    renewals: JoinSet<()>,
}

impl Repository {
    /// The sign of a dump, unless a cleanup is at work.
    ///
    /// # Errors
    /// If one is, or the store fails.
    pub async fn lease(&self) -> Result<Sign, RepositoryError> {
        let lease = self.sign(keys::session(Ulid::generate()), "a dump is at work").await?;
        if let Some(other) = self.living(keys::TRASH, &lease).await?.first() {
            let sign = other.key.clone();
            lease.take_away().await;
            return Err(RepositoryError::CleanupAtWork { store: self.describe(), sign });
        }
        Ok(lease)
    }

    /// The sign of a cleanup, unless a dump is at work.
    ///
    /// # Errors
    /// If one is, or the store fails.
    pub async fn tombstone(&self) -> Result<Sign, RepositoryError> {
        let tombstone = self.sign(keys::trash(Ulid::generate()), "packs are being removed").await?;
        if let Some(other) = self.living(keys::SESSIONS, &tombstone).await?.first() {
            let sign = other.key.clone();
            tombstone.take_away().await;
            return Err(RepositoryError::DumpAtWork { store: self.describe(), sign });
        }
        Ok(tombstone)
    }

    async fn sign(&self, key: String, text: &'static str) -> Result<Sign, RepositoryError> {
        self.store().create(&key, Bytes::from_static(text.as_bytes())).await?;
        let (store, progress, renewed) = (self.store().clone(), self.progress.clone(), key.clone());
        let mut renewals = JoinSet::new();
        renewals.spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = store.overwrite(&renewed, Bytes::from_static(text.as_bytes())).await {
                    progress.warning(format!("{}; trying again in 5 min", one_line(&error)));
                }
            }
        });
        Ok(Sign { repository: self.clone(), key, renewals })
    }

    /// The signs of this kind that were renewed not long before ours was made, by the store's clock.
    pub async fn living(&self, prefix: &str, ours: &Sign) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let now = ours.now().await?;
        let mut signs = self.store().list(prefix).await?;
        signs.retain(|sign| is_living(sign, now));
        Ok(signs)
    }
}

/// Whether it was renewed within an hour. One whose time is not known counts as living.
pub fn is_living(sign: &ObjectMeta, now: SystemTime) -> bool {
    sign.modified.is_none_or(|modified| {
        now.duration_since(modified).is_ok_and(|age| age < SIGN_LIFE) || modified > now
    })
}

impl Sign {
    /// The time of the store's clock when the sign was made or last renewed; else ours.
    pub async fn now(&self) -> Result<SystemTime, RepositoryError> {
        let meta = self.repository.store().head(&self.key).await?;
        Ok(meta.modified.unwrap_or_else(SystemTime::now))
    }

    /// Renews the sign now.
    pub async fn renew(&self) -> Result<(), RepositoryError> {
        let store = self.repository.store();
        let text = store.get_at_most(&self.key, 1024).await?;
        Ok(store.overwrite(&self.key, text).await?)
    }

    /// Takes the sign away. If that fails it counts no more after an hour.
    pub async fn take_away(mut self) {
        self.renewals.shutdown().await;
        if let Err(error) = self.repository.store().delete(&self.key).await {
            let message = one_line(&error);
            self.repository.progress.warning(format!("{message}; `dbhaul cleanup --store` removes it"));
        }
    }
}
