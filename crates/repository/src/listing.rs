//! Which backups and packs lie in a store, and which backup is meant.

use std::time::{Duration, SystemTime};

use dbhaul_archive::{BackupKey, PackId, keys};
use dbhaul_progress::Progress;
use dbhaul_store::{ErrorKind, ObjectMeta, Operation, StoreError, StoreExt};
use futures::stream::TryStreamExt;

use crate::{Repository, RepositoryError};

/// Which backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupRef {
    /// The newest of the store (of one database, if the store holds several).
    Latest,
    /// The backup whose ULID is, or starts with, this.
    Id(String),
}

impl Repository {
    /// The keys of all committed backups, oldest first within a database. Whatever else lies among them, such as
    /// what file managers leave behind, is told and passed over.
    pub async fn backup_keys(&self) -> Result<Vec<BackupKey>, RepositoryError> {
        Ok(self.listed_backups().await?.into_iter().map(|listed| listed.key).collect())
    }

    /// As [`Self::backup_keys`], and does not tell again what else lies among them.
    pub(crate) async fn listed_quietly(&self) -> Result<Vec<BackupKey>, RepositoryError> {
        let (backups, _) = self.list_at_most(MAX_BACKUPS).await?;
        Ok(backups.into_iter().map(|listed| listed.key).collect())
    }

    /// As [`Self::backup_keys`], each with whether its identity is to be believed.
    ///
    /// # Errors
    /// If the store cannot be listed, or lists backups without end.
    pub async fn listed_backups(&self) -> Result<Vec<ListedBackup>, RepositoryError> {
        let (backups, strays) = self.list_at_most(MAX_BACKUPS).await?;
        strays.tell(&self.progress, "the manifest of a backup", "manifests of backups");
        Ok(backups)
    }

    /// As [`Self::backup_keys`], and the key of the first object among them that may be a backup under another name or, as
    /// a symbolic link in a directory, lead to some.
    ///
    /// # Errors
    /// If the store cannot be listed, or lists backups without end.
    pub async fn backup_keys_to_check(&self) -> Result<(Vec<BackupKey>, Option<String>), RepositoryError> {
        let (backups, strays) = self.list_at_most(MAX_BACKUPS).await?;
        strays.tell(&self.progress, "the manifest of a backup", "manifests of backups");
        Ok((backups.into_iter().map(|listed| listed.key).collect(), strays.suspect))
    }

    /// As [`Self::backup_keys`], for a command that removes what no backup names.
    ///
    /// # Errors
    /// [`RepositoryError::Stray`] if something lies among the backups that may be one under another name.
    pub(crate) async fn backup_keys_to_remove(&self) -> Result<Vec<BackupKey>, RepositoryError> {
        let (backups, strays) = self.list_at_most(MAX_BACKUPS).await?;
        if let Some(object) = strays.suspect {
            return Err(RepositoryError::Stray { store: self.describe(), object });
        }
        strays.tell(&self.progress, "the manifest of a backup", "manifests of backups");
        Ok(backups.into_iter().map(|listed| listed.key).collect())
    }

    async fn list_at_most(&self, max: usize) -> Result<(Vec<ListedBackup>, Strays), RepositoryError> {
        let now = self.clock.now();
        let (mut backups, mut strays) = (Vec::new(), Strays::default());
        let mut objects = self.store().list_stream(keys::BACKUPS);
        while let Some(object) = objects.try_next().await? {
            match object.key.parse() {
                Ok(_) if backups.len() == max => {
                    let error = StoreError::new(ErrorKind::Damaged, Operation::List, self.describe());
                    let detail = format!("the store lists more than {max} backups");
                    return Err(error.with_key(keys::BACKUPS).with_detail(detail).into());
                }
                Ok(key) => backups.push(ListedBackup::new(key, object.modified, now)),
                Err(_) => strays.add(object.key),
            }
        }
        Ok((backups, strays))
    }

    /// Shows `take` every pack of the store. Whatever else lies among them, such as a link to somewhere else, is not ours
    /// to remove: it is told and passed over.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub(crate) async fn each_pack(
        &self,
        mut take: impl FnMut(PackId, ObjectMeta) + Send,
    ) -> Result<(), RepositoryError> {
        let mut strays = Strays::default();
        let mut objects = self.store().list_stream(keys::PACKS);
        while let Some(object) = objects.try_next().await? {
            match keys::parse_pack(&object.key) {
                Ok(id) => take(id, object),
                Err(_) => strays.add(object.key),
            }
        }
        strays.tell(&self.progress, "a pack", "packs");
        Ok(())
    }

    /// The key of the backup that is meant.
    pub async fn find(
        &self,
        backup: &BackupRef,
        database: Option<&str>,
    ) -> Result<BackupKey, RepositoryError> {
        let mut found = self.listed_backups().await?;
        found.retain(|listed| database.is_none_or(|name| listed.key.database == name));
        if found.is_empty() {
            let database = database.map(str::to_owned);
            return Err(RepositoryError::NoBackup { store: self.describe(), database });
        }
        match backup {
            BackupRef::Latest => self.latest(found),
            BackupRef::Id(prefix) => self.by_id(found, prefix),
        }
    }

    fn latest(&self, found: Vec<ListedBackup>) -> Result<BackupKey, RepositoryError> {
        let mut databases: Vec<&str> = found.iter().map(|listed| listed.key.database.as_str()).collect();
        databases.dedup();
        if databases.len() > 1 {
            let databases = databases.into_iter().map(str::to_owned).collect();
            return Err(RepositoryError::SeveralDatabases { store: self.describe(), databases });
        }
        // the clock of a server may have been wrong for a night
        let latest = found.iter().filter(|listed| !listed.is_ahead).max_by_key(|listed| listed.key.id);
        for listed in found.iter().filter(|listed| listed.is_ahead) {
            self.progress.warning(format!("backup {} {AHEAD}; name it to use it", listed.key.id));
        }
        let latest = match latest {
            None if !found.is_empty() => return Err(RepositoryError::AllAhead { store: self.describe() }),
            latest => latest.map(|listed| listed.key.clone()),
        };
        if let Some(problem) = latest.as_ref().and_then(|latest| disagreement(latest, &found)) {
            self.progress.warning(problem);
        }
        latest.ok_or_else(|| RepositoryError::NoBackup { store: self.describe(), database: None })
    }

    fn by_id(&self, found: Vec<ListedBackup>, prefix: &str) -> Result<BackupKey, RepositoryError> {
        let wanted = prefix.to_ascii_uppercase();
        let found = found.into_iter().map(|listed| listed.key);
        let mut matching: Vec<_> = found.filter(|key| key.id.to_string().starts_with(&wanted)).collect();
        match matching.pop() {
            Some(key) if matching.is_empty() => Ok(key),
            more => Err(RepositoryError::BackupId {
                store: self.describe(),
                id: prefix.to_owned(),
                matching_count: matching.len() + usize::from(more.is_some()),
            }),
        }
    }
}

/// What to say where the latest backup, by the clock of the machine that made it, is not the one of the latest snapshot, by the
/// clock of its server.
fn disagreement(latest: &BackupKey, found: &[ListedBackup]) -> Option<String> {
    let trusted = found.iter().filter(|listed| !listed.is_ahead);
    let other = &trusted.max_by_key(|listed| listed.key.time)?.key;
    (other.time > latest.time).then(|| {
        format!(
            "the latest backup is {}, the one that was made last; by the clock of the server, {} is of a later time ({} \
             against {}): name the backup that you mean",
            latest.id, other.id, other.time, latest.time
        )
    })
}

/// The most backups of a store: one each minute makes so many in two years.
const MAX_BACKUPS: usize = 1_000_000;

/// Strays that are told by name.
const TOLD_STRAYS: usize = 5;

/// A committed backup, as a listing of the store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBackup {
    /// Its key.
    pub key: BackupKey,
    /// Whether its identity lies in the future, by our clock and by the store's. It says nothing about the order of
    /// backups then: for years none would be newer.
    pub is_ahead: bool,
}

/// How far the identity of a backup may lie ahead: clocks differ, and time zones are mistaken for UTC.
const MOST_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// What is the matter with such a backup.
pub const AHEAD: &str =
    "is dated in the future: the clock of the machine that made it was wrong, or it is forged";

impl ListedBackup {
    fn new(key: BackupKey, modified: Option<SystemTime>, now: SystemTime) -> Self {
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(key.id.timestamp_ms()));
        let is_after = |time: SystemTime| match (made, time.checked_add(MOST_AHEAD)) {
            (Some(made), Some(latest)) => made > latest,
            (made, _) => made.is_none(),
        };
        // with our clock set back the store's is right, and a file that was touched says nothing about ours
        let is_ahead = is_after(now) && modified.is_none_or(is_after);
        ListedBackup { key, is_ahead }
    }
}

/// Objects where backups or packs lie that are none.
#[derive(Debug, Default)]
struct Strays {
    first: Vec<String>,
    count: usize,
    /// The first that is not what file managers leave behind.
    suspect: Option<String>,
}

/// Whether systems and file managers leave such files in directories.
fn is_litter(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.starts_with('.') || ["Thumbs.db", "desktop.ini"].contains(&name)
}

impl Strays {
    fn add(&mut self, key: String) {
        self.count += 1;
        if self.suspect.is_none() && !is_litter(&key) {
            self.suspect = Some(key.clone());
        }
        if self.first.len() < TOLD_STRAYS {
            self.first.push(key);
        }
    }

    fn tell(&self, progress: &Progress, one: &str, many: &str) {
        for key in &self.first {
            progress.warning(format!("{key:?} in the store is not {one}; passed over"));
        }
        match self.count - self.first.len() {
            0 => {}
            1 => progress.warning(format!("1 more object in the store is not {one}")),
            more => progress.warning(format!("{more} more objects in the store are not {many}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use dbhaul_archive::{BackupKey, Keyring, RepoConfig};
    use dbhaul_progress::Progress;
    use dbhaul_store::{MemoryStore, Store, StoreExt};
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::{ListedBackup, disagreement};
    use crate::{Repository, RepositoryError};

    #[test]
    fn a_backup_is_ahead_only_by_all_clocks() {
        let at = |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600);
        let key = |hours: u64| BackupKey {
            database: "shop".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            id: Ulid::from_parts(hours * 3_600_000, 1),
        };
        let is_ahead = |made, modified: Option<u64>, now| {
            ListedBackup::new(key(made), modified.map(at), at(now)).is_ahead
        };
        assert!(is_ahead(1000, Some(100), 100) && is_ahead(1000, None, 100));
        assert!(!is_ahead(1000, Some(1000), 100), "our clock was set back");
        assert!(!is_ahead(1000, Some(100), 1000), "the file was touched");
        assert!(!is_ahead(110, Some(100), 100), "clocks differ");
        assert!(
            ListedBackup::new(BackupKey { id: Ulid::from_parts(u64::MAX >> 16, 1), ..key(1) }, None, at(1))
                .is_ahead
        );
    }

    #[test]
    fn it_is_told_where_the_clock_of_the_server_disagrees() {
        let listed = |made: u64, time: i64| ListedBackup {
            key: BackupKey {
                database: "shop".to_owned(),
                time: Timestamp::from_second(time).unwrap(),
                id: Ulid::from_parts(made, 1),
            },
            is_ahead: false,
        };
        let latest = listed(2000, 10);
        let told = |other: &ListedBackup| disagreement(&latest.key, &[other.clone(), latest.clone()]);
        assert_eq!(told(&listed(1000, 9)), None);
        assert_eq!(told(&listed(1000, 10)), None, "at the same time");
        let other = listed(1000, 11);
        let problem = told(&other).unwrap();
        assert!(problem.contains(&other.key.id.to_string()), "{problem}");
        assert_eq!(
            told(&ListedBackup { is_ahead: true, ..other }),
            None,
            "what is not believed says nothing"
        );
    }

    #[tokio::test]
    async fn no_memory_is_taken_for_backups_without_end() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        for id in 0..3 {
            let key = format!("backups/shop/20260131T020304Z-{}", Ulid::from_parts(1_769_824_984_567, id));
            store.create(&key, "".into()).await.unwrap();
        }
        let config = RepoConfig::new(Ulid(3), Timestamp::UNIX_EPOCH);
        let repository = Repository::new(store, config, Keyring::plain(), &Progress::silent());
        assert_eq!(repository.list_at_most(3).await.unwrap().0.len(), 3);
        let refused = repository.list_at_most(2).await.unwrap_err();
        assert!(
            matches!(&refused, RepositoryError::Store(error) if error.to_string().contains("more than 2 backups")),
            "{refused:?}"
        );
    }
}
