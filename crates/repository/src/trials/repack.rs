//! A repack of a sparse pack, each of its requests struck once in every way: the backups are whole, by their old manifests
//! or their new ones, and a later repack and prunes bring the store to the same end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbhaul_archive::keys;
use dbhaul_progress::Progress;
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ErrorKind, MemoryStore, Operation, RetryStore, Store, StoreExt};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::small::{Wanted, dump, packs_of, read};
use super::stage::{Fate, Request, Stage};
use crate::clock::Clock;
use crate::{ParentRef, PruneOptions, Repacked, Repository, RepositoryError, StoreKeys};

const DAY: Duration = Duration::from_secs(25 * 60 * 60);

const PRUNE: PruneOptions =
    PruneOptions { grace: Duration::from_secs(24 * 60 * 60), dry_run: false, allow_no_backup: false };

/// Requests of the repack so far, and which of them are struck.
#[derive(Debug, Default)]
struct Script {
    is_on: bool,
    seen: usize,
    strike: Option<(usize, usize, Fate)>,
    /// Which of the requests wrote manifests.
    manifest_writes: Vec<usize>,
    /// Before this one takes effect somebody deletes its object.
    forgets_before: Option<usize>,
    objects: Option<MemoryStore>,
}

impl Script {
    /// What happens to a request, and the object that is deleted before it.
    fn next(&mut self, request: &Request) -> (Fate, Option<MemoryStore>) {
        if !self.is_on {
            return (Fate::Serve, None);
        }
        let number = self.seen;
        self.seen += 1;
        if request.operation == Operation::Put && request.key.starts_with(keys::BACKUPS) {
            self.manifest_writes.push(number);
        }
        let fate = match self.strike {
            Some((first, count, fate)) if (first..first + count).contains(&number) => fate,
            _ => Fate::Serve,
        };
        (fate, self.objects.clone().filter(|_| self.forgets_before == Some(number)))
    }
}

struct Trial {
    stage: Stage,
    script: Arc<Mutex<Script>>,
    kept: Vec<Wanted>,
}

/// What came of a repack; `None` if it was killed.
type Ended = Option<Result<Repacked, RepositoryError>>;

impl Trial {
    /// A store with two backups that need two and one of the twelve chunks of a pack, and other packs of their own.
    async fn new() -> Self {
        let script = Arc::<Mutex<Script>>::default();
        let director = Arc::clone(&script);
        let stage = Stage::new(Arc::new(move |request| {
            let (fate, forgetting) = director.lock().unwrap().next(&request);
            async move {
                if let Some(objects) = forgetting {
                    objects.delete(&request.key).await.unwrap();
                }
                fate
            }
            .boxed()
        }));
        let mut trial = Trial { stage, script, kept: Vec::new() };
        let first: Vec<u32> = (1..=12).collect();
        let days = [(first, ParentRef::None), (vec![1, 2, 13], ParentRef::Newest)];
        for (number, (chunks, parent)) in (0..).zip(days) {
            trial.dump(number, chunks, parent).await;
        }
        // by the first backup as well, for against the second its pack would be sparse already
        let first = trial.kept[0].id.to_string();
        trial.dump(2, vec![2, 14, 15], ParentRef::Id(first)).await;
        let forgotten = trial.kept.remove(0);
        let repository = trial.open().await;
        repository.forget(&[forgotten.key()], &CancellationToken::new()).await.unwrap();
        tokio::time::advance(DAY).await;
        trial
    }

    async fn dump(&mut self, number: u64, chunks: Vec<u32>, parent: ParentRef) {
        tokio::time::advance(DAY).await;
        let wanted = Wanted {
            id: Ulid::from_parts(1_769_824_984_000 + number, 7),
            database: "shop".to_owned(),
            time: self.stage.now(),
            parent,
            chunks,
            chunks_per_pack: 12,
        };
        dump(&self.open().await, &wanted, &CancellationToken::new()).await.unwrap();
        self.kept.push(wanted);
    }

    async fn open(&self) -> Repository {
        let (cancel, progress) = (CancellationToken::new(), Progress::silent());
        let client = Arc::new(self.stage.client(0));
        let store: Arc<dyn Store> =
            Arc::new(RetryStore::new(client, RetryPolicy::default(), cancel, progress.clone()));
        let mut repository = Repository::at_or_create(store, &StoreKeys::default(), &progress).await.unwrap();
        let stage = self.stage.clone();
        repository.clock = Clock::new(move || stage.now());
        repository
    }

    /// A repack under this strike: from which request on, how many, and how.
    async fn repack(&self, strike: Option<(usize, usize, Fate)>) -> Ended {
        let (repository, cancel) = (self.open().await, CancellationToken::new());
        {
            let mut script = self.script.lock().unwrap();
            let (forgets_before, objects) = (script.forgets_before, Some(self.stage.objects().clone()));
            *script = Script { is_on: true, strike, forgets_before, objects, ..Script::default() };
        }
        let ended = tokio::select! {
            biased;
            repacked = repository.repack(false, &cancel) => Some(repacked),
            () = self.stage.killed() => None,
        };
        self.script.lock().unwrap().is_on = false;
        ended
    }

    /// Both backups can be read, and prunes do not change that; after another repack nothing is sparse.
    async fn check(&self, context: &str) {
        let (repository, cancel) = (self.open().await, CancellationToken::new());
        self.check_backups(&repository, context).await;
        for is_repacked in [false, true] {
            if is_repacked {
                let repacked = repository.repack(false, &cancel).await;
                repacked.unwrap_or_else(|error| panic!("{context}: cannot repack: {error:?}"));
            }
            for _ in 0..4 {
                tokio::time::advance(DAY).await;
                let pruned = repository.prune(&PRUNE, &cancel).await;
                pruned.unwrap_or_else(|error| panic!("{context}: cannot prune: {error:?}"));
            }
            self.check_backups(&repository, context).await;
        }
        assert_eq!(repository.repack(true, &cancel).await.unwrap(), Repacked::default(), "{context}");
        // of each backup its rows and its metadata, of the repack the chunks of both
        assert_eq!(packs_of(self.stage.objects()).await.len(), 5, "{context}");
        let left = self.stage.objects().list(keys::TRASH).await.unwrap();
        assert!(left.is_empty(), "{context}: {left:?}");
    }

    async fn check_backups(&self, repository: &Repository, context: &str) {
        assert_eq!(repository.backup_keys().await.unwrap().len(), self.kept.len(), "{context}");
        for wanted in &self.kept {
            let read = read(repository, &wanted.key(), &CancellationToken::new()).await;
            let read = read.unwrap_or_else(|error| panic!("{context}: {}: {error:?}", wanted.id));
            assert_eq!(read, wanted.digest(), "{context}: {} has other rows", wanted.id);
        }
    }
}

/// Strikes each request so, and checks what is left.
async fn strike_each(fate: Fate, count: usize, must_succeed: bool) {
    let trial = Trial::new().await;
    assert!(matches!(trial.repack(None).await, Some(Ok(_))));
    let requests = trial.script.lock().unwrap().seen;
    for first in 0..requests {
        let context = format!("{fate:?} {count} times from request {first} of {requests} on");
        let trial = Trial::new().await;
        let ended = trial.repack(Some((first, count, fate))).await;
        assert!(!must_succeed || matches!(ended, Some(Ok(_))), "{context}: {ended:?}");
        trial.check(&context).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sparse_pack_is_emptied_and_removed() {
    let trial = Trial::new().await;
    let before = packs_of(trial.stage.objects()).await;
    let foretold = trial.open().await.repack(true, &CancellationToken::new()).await.unwrap();
    assert_eq!((foretold.sparse.count, foretold.backup_count, foretold.written.count), (1, 2, 0));
    assert_eq!(packs_of(trial.stage.objects()).await, before, "a dry run changes nothing");
    let done = trial.repack(None).await.expect("nobody kills it").unwrap();
    assert_eq!((done.sparse, done.freed_bytes), (foretold.sparse, foretold.freed_bytes));
    assert_eq!((done.backup_count, done.written.count), (2, 3));
    assert!(packs_of(trial.stage.objects()).await.is_superset(&before), "old packs are left to prunes");
    trial.check("nothing was struck").await;
}

#[tokio::test(start_paused = true)]
async fn a_repack_that_is_killed_leaves_old_manifests_or_new_ones() {
    strike_each(Fate::KillBefore, 1, false).await;
    strike_each(Fate::KillAfter, 1, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_repack_waits_out_what_passes() {
    strike_each(Fate::Fail(ErrorKind::Unreachable), 1, true).await;
    strike_each(Fate::Fail(ErrorKind::Throttled), 5, true).await;
    strike_each(Fate::LoseAnswer, 1, true).await;
    strike_each(Fate::Double, 1, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_repack_that_a_store_fails_breaks_nothing() {
    strike_each(Fate::Fail(ErrorKind::PermissionDenied), usize::MAX / 2, false).await;
    strike_each(Fate::Fail(ErrorKind::Unreachable), usize::MAX / 2, false).await;
    strike_each(Fate::Truncate, 1, false).await;
    strike_each(Fate::ActLate(Duration::from_secs(60)), 1, false).await;
    strike_each(Fate::ActLate(Duration::from_secs(60)), usize::MAX / 2, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_forgotten_during_a_repack_does_not_come_back() {
    let trial = Trial::new().await;
    let (repository, cancel) = (trial.open().await, CancellationToken::new());
    let survey_sees_both = repository.repack(true, &cancel).await.unwrap();
    assert_eq!(survey_sees_both.backup_count, 2);
    let forgotten = trial.kept[1].key();
    let other = trial.open().await;
    let repacking = repository.repack(false, &cancel);
    let (repacked, removed) =
        tokio::join!(repacking, other.forget(std::slice::from_ref(&forgotten), &cancel));
    removed.unwrap();
    repacked.unwrap();
    assert_eq!(repository.backup_keys().await.unwrap(), [trial.kept[0].key()]);
}

/// Forgets the second backup when its manifest is about to be replaced, which was there a moment before.
async fn forgotten_before_the_write(has_conditional_write: bool) -> (Trial, Ended) {
    let trial = Trial::new().await;
    if !has_conditional_write {
        trial.stage.replace_whatever_is_there();
    }
    assert!(matches!(trial.repack(None).await, Some(Ok(_))));
    let writes = trial.script.lock().unwrap().manifest_writes.clone();
    let trial = Trial::new().await;
    if !has_conditional_write {
        trial.stage.replace_whatever_is_there();
    }
    trial.script.lock().unwrap().forgets_before = writes.last().copied();
    let ended = trial.repack(None).await;
    (trial, ended)
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_forgotten_before_its_manifest_is_replaced_does_not_come_back() {
    let (trial, ended) = forgotten_before_the_write(true).await;
    assert!(matches!(ended, Some(Ok(repacked)) if repacked.backup_count == 1), "{ended:?}");
    assert_eq!(trial.open().await.backup_keys().await.unwrap().len(), 1);
    // without a conditional write it does, and is whole
    let (trial, ended) = forgotten_before_the_write(false).await;
    assert!(matches!(ended, Some(Ok(repacked)) if repacked.backup_count == 2), "{ended:?}");
    trial.check("it came back").await;
}
