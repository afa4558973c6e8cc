//! Who is at work in a store: dumps that write, and a cleanup that removes. Each leaves a sign before it looks for
//! the other's, so that of two that begin at the same time at least one sees the other.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dbhaul_archive::keys;
use dbhaul_store::{ObjectMeta, StoreExt};
use tokio::task::JoinSet;
use ulid::Ulid;

use super::Repository;
use crate::{Context, PipelineError};

/// How often a sign is renewed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// A sign that was not renewed for so long is left over from a process that is gone.
pub(crate) const SIGN_LIFE: Duration = Duration::from_secs(60 * 60);

/// A sign in the store, renewed until it is taken away. Dropped, it is not renewed any more.
#[derive(Debug)]
pub(crate) struct Sign {
    repository: Repository,
    key: String,
    renewals: JoinSet<()>,
}

impl Repository {
    /// The sign of a dump, unless a cleanup is at work.
    ///
    /// # Errors
    /// If one is, or the store fails.
    pub(crate) async fn lease(&self, context: &Context) -> Result<Sign, PipelineError> {
        let lease = self.sign(keys::session(Ulid::generate()), "a dump is at work", context).await?;
        if let Some(other) = self.living(keys::TRASH, &lease).await?.first() {
            let sign = other.key.clone();
            lease.take_away().await;
            return Err(PipelineError::Request {
                problem: format!("packs are being removed from {}: {sign} says so", self.describe()),
                help: "run the dump again when `dbhaul cleanup --store` has ended; what it leaves behind if it is \
                       killed counts no more after an hour"
                    .to_owned(),
            });
        }
        Ok(lease)
    }

    /// The sign of a cleanup, unless a dump is at work.
    ///
    /// # Errors
    /// If one is, or the store fails.
    pub(crate) async fn tombstone(&self, context: &Context) -> Result<Sign, PipelineError> {
        let tombstone = self.sign(keys::trash(Ulid::generate()), "packs are being removed", context).await?;
        if let Some(other) = self.living(keys::SESSIONS, &tombstone).await?.first() {
            let sign = other.key.clone();
            tombstone.take_away().await;
            return Err(PipelineError::Request {
                problem: format!("nothing was removed: a dump into {} is at work, as {sign} says", self.describe()),
                help: "run it again when the dump has ended; what a dump leaves behind that is killed counts no more \
                       after an hour"
                    .to_owned(),
            });
        }
        Ok(tombstone)
    }

    async fn sign(&self, key: String, text: &'static str, context: &Context) -> Result<Sign, PipelineError> {
        self.store().create(&key, Bytes::from_static(text.as_bytes())).await?;
        let (store, progress, renewed) = (self.store().clone(), context.progress.clone(), key.clone());
        let mut renewals = JoinSet::new();
        renewals.spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = store.overwrite(&renewed, Bytes::from_static(text.as_bytes())).await {
                    progress.warning(format!("{}; trying again in 5 min", crate::one_line(&error)));
                }
            }
        });
        Ok(Sign { repository: self.clone(), key, renewals })
    }

    /// The signs of this kind that were renewed not long before ours was made, by the store's clock.
    pub(crate) async fn living(&self, prefix: &str, ours: &Sign) -> Result<Vec<ObjectMeta>, PipelineError> {
        let now = ours.now().await?;
        let mut signs = self.store().list(prefix).await?;
        signs.retain(|sign| is_living(sign, now));
        Ok(signs)
    }
}

/// Whether it was renewed within an hour. One whose time is not known counts as living.
pub(crate) fn is_living(sign: &ObjectMeta, now: SystemTime) -> bool {
    sign.modified.is_none_or(|modified| {
        now.duration_since(modified).is_ok_and(|age| age < SIGN_LIFE) || modified > now
    })
}

impl Sign {
    /// The time of the store's clock when the sign was made or last renewed; else ours.
    pub(crate) async fn now(&self) -> Result<SystemTime, PipelineError> {
        let meta = self.repository.store().head(&self.key).await?;
        Ok(meta.modified.unwrap_or_else(SystemTime::now))
    }

    /// Renews the sign now.
    pub(crate) async fn renew(&self) -> Result<(), PipelineError> {
        let store = self.repository.store();
        let text = store.get_at_most(&self.key, 1024).await?;
        Ok(store.overwrite(&self.key, text).await?)
    }

    /// Takes the sign away. If that fails it counts no more after an hour.
    pub(crate) async fn take_away(mut self) {
        self.renewals.shutdown().await;
        if let Err(error) = self.repository.store().delete(&self.key).await {
            let message = crate::one_line(&error);
            self.repository.progress.warning(format!("{message}; `dbhaul cleanup --store` removes it"));
        }
    }
}
