//! Who is at work in a store: dumps that write, and a cleanup that removes. Each leaves a sign before it looks for
//! the other's, so that of two that begin at the same time at least one sees the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dbhaul_archive::keys;
use dbhaul_progress::one_line;
use dbhaul_store::{ObjectMeta, StoreExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::clock::Clock;
use crate::{Repository, RepositoryError};

/// How often a sign is renewed.
const RENEWAL: Duration = Duration::from_secs(4 * 60);

/// The sign of a dump that was not renewed for so long is left over from a process that is gone.
pub(crate) const SIGN_LIFE: Duration = Duration::from_secs(60 * 60);

/// The same of a removal of packs. Dumps wait for it, and a nightly one should not fail for a removal that was killed.
const REMOVAL_LIFE: Duration = Duration::from_secs(15 * 60);

/// How long a dump waits for a removal of packs: longer than the sign of one that is gone counts.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Within this a sign is renewed by whoever is at work.
const OBSERVATION: Duration = Duration::from_secs(RENEWAL.as_secs() + 60);

/// How long a request that was given up may still take effect: twice the time that an answer is waited for.
const SETTLING: Duration = Duration::from_secs(2 * 60);

/// How often a sign is written again because the answer to a write, or to the look after it, was lost.
const MOST_REWRITES: u32 = 5;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);

/// A sign in the store, renewed until it is taken away. Dropped, it is not renewed any more.
#[derive(Debug)]
pub struct Sign {
    repository: Repository,
    key: String,
    text: &'static str,
    life: Life,
    renewals: JoinSet<()>,
    /// A request was given up under it, and may take effect all the same.
    is_doubtful: AtomicBool,
}

/// When a sign was renewed last. A machine that slept may wake up when others take the sign for one of a process that
/// is gone: then it must not be renewed as if nothing had happened. Both clocks tell: ours, and the store's, which goes
/// on while a machine is paused together with its clock.
#[derive(Debug, Clone)]
struct Life {
    renewed: Arc<Mutex<Option<SystemTime>>>,
    /// Held from the look before a renewal to that after it: one in between would see the date of the other's write, and
    /// not that it came too late.
    renewing: Arc<tokio::sync::Mutex<()>>,
    max: Duration,
    clock: Clock,
}

impl Repository {
    /// The sign of a dump. While packs are being removed it waits, for at most twenty minutes.
    ///
    /// # Errors
    /// If the removal does not end, the user stops the dump, or the store fails.
    pub async fn lease(&self, cancel: &CancellationToken) -> Result<Sign, RepositoryError> {
        let lease = self.sign(keys::session(Ulid::generate()), "a dump is at work").await?;
        let waited = self.wait_for_removal(&lease, cancel).await;
        match waited {
            Ok(()) => Ok(lease),
            Err(error) => {
                lease.take_away().await;
                Err(error)
            }
        }
    }

    /// Waits while packs are being removed, as [`Self::lease`] does, and leaves no sign: for a dump that has not taken its
    /// snapshot yet, which a wait would keep open on the source. The lease looks once more.
    ///
    /// # Errors
    /// If the removal does not end, the user stops the dump, or the store fails.
    pub async fn wait_for_removals(&self, cancel: &CancellationToken) -> Result<(), RepositoryError> {
        let objects = self.store().list(keys::TRASH).await?;
        if !objects.iter().any(|object| is_sign(&object.key, keys::TRASH)) {
            return Ok(());
        }
        // whether one counts is told by the store's clock, and so by a sign of ours
        self.lease(cancel).await?.take_away().await;
        Ok(())
    }

    async fn wait_for_removal(
        &self,
        lease: &Sign,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let begun = tokio::time::Instant::now();
        let mut is_told = false;
        while let Some(removal) = self.living(keys::TRASH, lease, cancel).await?.into_iter().next() {
            if begun.elapsed() >= PATIENCE {
                return Err(RepositoryError::CleanupAtWork { store: self.describe(), sign: removal.key });
            }
            if !is_told {
                is_told = true;
                self.progress.warning(format!(
                    "packs are being removed from {} ({}); waiting until that ends, for {} min at most; what a removal \
                     leaves behind that was killed counts no more after {} min",
                    self.describe(),
                    removal.key,
                    PATIENCE.as_secs() / 60,
                    REMOVAL_LIFE.as_secs() / 60
                ));
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(RepositoryError::Cancelled),
                () = tokio::time::sleep(LOOK) => lease.renew().await?,
            }
        }
        Ok(())
    }

    /// The sign of a cleanup, unless a dump or another removal is at work.
    ///
    /// # Errors
    /// If one is, or the store fails.
    pub(crate) async fn tombstone(&self, cancel: &CancellationToken) -> Result<Sign, RepositoryError> {
        let tombstone = self.removal(cancel).await?;
        let refused = match self.living(keys::SESSIONS, &tombstone, cancel).await {
            Ok(signs) => match signs.into_iter().next() {
                None => return Ok(tombstone),
                Some(sign) => RepositoryError::DumpAtWork { store: self.describe(), sign: sign.key },
            },
            Err(error) => error,
        };
        tombstone.take_away().await;
        Err(refused)
    }

    /// The sign of a removal, unless another one is at work. Dumps may be.
    ///
    /// # Errors
    /// If one is, or the store fails.
    pub(crate) async fn removal(&self, cancel: &CancellationToken) -> Result<Sign, RepositoryError> {
        let ours = self.sign(keys::trash(Ulid::generate()), "packs are being removed").await?;
        let refused = match self.living(keys::TRASH, &ours, cancel).await {
            Ok(others) => match others.into_iter().find(|other| other.key != ours.key) {
                None => return Ok(ours),
                Some(other) => RepositoryError::RemovalAtWork { store: self.describe(), sign: other.key },
            },
            Err(error) => error,
        };
        ours.take_away().await;
        Err(refused)
    }

    async fn sign(&self, key: String, text: &'static str) -> Result<Sign, RepositoryError> {
        // nobody else has its name, and a request that comes twice is not refused so
        self.store().overwrite(&key, Bytes::from_static(text.as_bytes())).await?;
        let renewed = Arc::new(Mutex::new(Some(self.clock.now())));
        let life = Life { renewed, renewing: Arc::default(), max: life_of(&key), clock: self.clock.clone() };
        let (renewing, progress) = (self.clone(), self.progress.clone());
        let (renewed, living) = (key.clone(), life.clone());
        let mut renewals = JoinSet::new();
        renewals.spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                match renewing.renew_sign(&renewed, text, &living).await {
                    Ok(()) => {}
                    Err(error) if error.counts_as_gone() => return,
                    Err(error) => progress.warning(format!("{}; trying again in 4 min", one_line(&error))),
                }
            }
        });
        Ok(Sign { repository: self.clone(), key, text, life, renewals, is_doubtful: AtomicBool::new(false) })
    }

    /// Writes a sign again, unless others may have taken it for left over, or have removed it.
    async fn renew_sign(&self, key: &str, text: &'static str, life: &Life) -> Result<(), RepositoryError> {
        let lapsed = || RepositoryError::SignLapsed {
            store: self.describe(),
            sign: key.to_owned(),
            minutes: life.max.as_secs() / 60,
        };
        let _alone = life.renewing.lock().await;
        if life.has_lapsed() {
            return Err(lapsed());
        }
        let Some(before) = self.store().head_optional(key).await? else {
            return Err(self.sign_was_removed(key, life));
        };
        let after = self.rewrite_sign(key, text, life).await?;
        if let (Some(before), Some(after)) = (before.modified, after.modified)
            && after.duration_since(before).is_ok_and(|past| past >= life.max)
        {
            life.lapse();
        }
        if life.has_lapsed() {
            return Err(lapsed());
        }
        life.renewed();
        Ok(())
    }

    /// Writes a sign again, and looks when the store's clock says that it was written.
    ///
    /// Neither is repeated alone: a machine may sleep until the next attempt, its clock with it, and a write from before
    /// that, whose answer was lost, would be taken for one of now.
    async fn rewrite_sign(
        &self,
        key: &str,
        text: &'static str,
        life: &Life,
    ) -> Result<ObjectMeta, RepositoryError> {
        let once = self.single_attempt();
        let mut failures = 0;
        loop {
            let written = async {
                once.overwrite(key, Bytes::from_static(text.as_bytes())).await?;
                once.head(key).await
            };
            match written.await {
                Ok(written) => return Ok(written),
                Err(error) if error.is_transient() && failures < MOST_REWRITES => failures += 1,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(LOOK).await;
            // not over the head of whoever has removed it meanwhile
            if self.store().head_optional(key).await?.is_none() {
                return Err(self.sign_was_removed(key, life));
            }
        }
    }

    fn sign_was_removed(&self, key: &str, life: &Life) -> RepositoryError {
        life.lapse();
        RepositoryError::SignRemoved { store: self.describe(), sign: key.to_owned() }
    }

    /// The signs of this kind that were renewed not long before ours was made, by the store's clock. One that is dated
    /// ahead is of somebody at work after the clock was set back, or left over from before: whoever is at work renews it,
    /// which is waited for.
    ///
    /// # Errors
    /// If the store fails, or the user stops the command while it waits.
    pub(crate) async fn living(
        &self,
        prefix: &str,
        ours: &Sign,
        cancel: &CancellationToken,
    ) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let now = ours.now().await?;
        let signs = self.signs(prefix, now).await?;
        let ahead: Vec<&ObjectMeta> = signs.iter().filter(|sign| is_ahead(sign, now)).collect();
        let Some(first) = ahead.first() else { return Ok(signs) };
        self.progress.notice(format!(
            "{} in {} is dated in the future; waiting {} min whether it is renewed",
            first.key,
            self.describe(),
            OBSERVATION.as_secs() / 60
        ));
        if cancel.run_until_cancelled(tokio::time::sleep(OBSERVATION)).await.is_none() {
            return Err(RepositoryError::Cancelled);
        }
        let is_unchanged = |sign: &ObjectMeta| {
            ahead.iter().any(|before| (&before.key, before.modified) == (&sign.key, sign.modified))
        };
        let mut signs = self.signs(prefix, ours.now().await?).await?;
        signs.retain(|sign| !is_unchanged(sign));
        Ok(signs)
    }

    pub(crate) async fn signs(
        &self,
        prefix: &str,
        now: SystemTime,
    ) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let mut signs = self.store().list(prefix).await?;
        signs.retain(|sign| is_sign(&sign.key, prefix) && is_living(sign, now));
        Ok(signs)
    }
}

/// Whether a key is that of a sign: marks of packs lie beside those of a removal.
pub(crate) fn is_sign(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix).is_some_and(|id| Ulid::from_string(id).is_ok())
}

/// How long a sign counts without being renewed.
fn life_of(key: &str) -> Duration {
    if key.starts_with(keys::TRASH) { REMOVAL_LIFE } else { SIGN_LIFE }
}

impl Life {
    /// Whether others may take the sign for left over; from then on it has.
    fn has_lapsed(&self) -> bool {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        // a clock that was set back says nothing
        let now = self.clock.now();
        let is_fresh = renewed.is_some_and(|at| now.duration_since(at).unwrap_or_default() < self.max);
        if !is_fresh {
            *renewed = None;
        }
        !is_fresh
    }

    /// From now on others may take the sign for left over.
    fn lapse(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn renewed(&self) {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if renewed.is_some() {
            *renewed = Some(self.clock.now());
        }
    }
}

/// How far a sign may lie ahead of the clock.
const MOST_AHEAD: Duration = Duration::from_secs(60 * 60);

/// Whether an object was written longer ago than that. One whose time is not known was not.
pub(crate) fn is_older(object: &ObjectMeta, age: Duration, now: SystemTime) -> bool {
    let written = object.modified.and_then(|modified| now.duration_since(modified).ok());
    written.is_some_and(|past| past >= age)
}

/// Whether it was renewed not long ago, as far as its date tells. One whose time is not known counts as living.
pub(crate) fn is_living(sign: &ObjectMeta, now: SystemTime) -> bool {
    let age = sign.modified.and_then(|modified| now.duration_since(modified).ok());
    age.is_none_or(|age| age < life_of(&sign.key))
}

/// Whether its date tells nothing: clocks differ a little, and what lies further ahead would never lapse.
pub(crate) fn is_ahead(sign: &ObjectMeta, now: SystemTime) -> bool {
    let ahead = sign.modified.and_then(|modified| modified.duration_since(now).ok());
    ahead.is_some_and(|ahead| ahead >= MOST_AHEAD)
}

impl Sign {
    /// The time of the store's clock when the sign was made or last renewed; else ours.
    pub async fn now(&self) -> Result<SystemTime, RepositoryError> {
        let meta = self.repository.store().head(&self.key).await?;
        Ok(meta.modified.unwrap_or_else(|| self.repository.clock.now()))
    }

    /// Renews the sign now.
    ///
    /// # Errors
    /// [`RepositoryError::SignLapsed`] if others may have taken it for left over, as after a sleep of the machine;
    /// [`RepositoryError::SignRemoved`] if they have; if the store fails.
    pub async fn renew(&self) -> Result<(), RepositoryError> {
        self.repository.renew_sign(&self.key, self.text, &self.life).await
    }

    /// Ends the renewals beside the work, so that a test directs each request.
    #[cfg(test)]
    pub(crate) async fn renew_only_when_told(&mut self) {
        self.renewals.shutdown().await;
    }

    /// Notes that a request was given up that may take effect all the same.
    pub(crate) fn doubt(&self) {
        self.is_doubtful.store(true, Ordering::Relaxed);
    }

    /// Takes the sign away, after requests that were given up have ended on their way. Stopped meanwhile, it leaves the
    /// sign there, which counts no more after its life.
    pub async fn end(self, cancel: &CancellationToken) {
        if self.is_doubtful.load(Ordering::Relaxed) {
            self.repository.progress.notice(format!(
                "waiting {} min until requests that {} did not answer have ended",
                SETTLING.as_secs() / 60,
                self.repository.describe()
            ));
            if cancel.run_until_cancelled(tokio::time::sleep(SETTLING)).await.is_none() {
                return;
            }
        }
        self.take_away().await;
    }

    /// Takes the sign of a dump away. Where the commit may still take effect the sign stays, and counts no more after
    /// its life: until then no packs are removed.
    pub async fn release(mut self) {
        if !self.is_doubtful.load(Ordering::Relaxed) {
            return self.take_away().await;
        }
        self.renewals.shutdown().await;
        self.repository.progress.notice(format!(
            "{} stays in {}, so that no packs are removed within {} min",
            self.key,
            self.repository.describe(),
            self.life.max.as_secs() / 60
        ));
    }

    /// Takes the sign away. If that fails it counts no more after its life.
    pub async fn take_away(mut self) {
        self.renewals.shutdown().await;
        if let Err(error) = self.repository.store().delete(&self.key).await {
            let message = one_line(&error);
            self.repository.progress.warning(format!("{message}; `dbhaul cleanup --store` removes it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use dbhaul_archive::{Keyring, RepoConfig, keys};
    use dbhaul_progress::Progress;
    use dbhaul_store::DirectoryStore;
    use jiff::Timestamp;
    use tokio_util::sync::CancellationToken;
    use ulid::Ulid;

    use crate::{Repository, RepositoryError};

    /// The clock was set back: a sign from before is left over, unless somebody renews it.
    #[tokio::test(start_paused = true)]
    async fn a_sign_that_is_dated_ahead_counts_if_it_is_renewed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::new(directory.path()));
        let config = RepoConfig::new(Ulid(3), Timestamp::UNIX_EPOCH);
        let repository = Repository::new(store, config, Keyring::plain(), &Progress::silent());
        let cancel = CancellationToken::new();
        let sign = directory.path().join(keys::session(Ulid(7)));
        std::fs::create_dir_all(sign.parent().unwrap()).unwrap();
        let write = |ahead_hours: u64| {
            std::fs::write(&sign, "a dump is at work").unwrap();
            let ahead = SystemTime::now() + Duration::from_secs(ahead_hours * 3600);
            std::fs::File::options().write(true).open(&sign).unwrap().set_modified(ahead).unwrap();
        };
        write(48);
        let begun = tokio::time::Instant::now();
        repository.tombstone(&cancel).await.unwrap().take_away().await;
        assert!(begun.elapsed() >= Duration::from_secs(5 * 60), "{:?}", begun.elapsed());
        let renewing = async {
            tokio::time::sleep(Duration::from_secs(4 * 60)).await;
            write(0);
        };
        let (refused, ()) = tokio::join!(repository.tombstone(&cancel), renewing);
        assert!(matches!(refused, Err(RepositoryError::DumpAtWork { .. })), "{refused:?}");
        assert!(std::fs::read_dir(directory.path().join("trash")).unwrap().next().is_none());
    }
}
