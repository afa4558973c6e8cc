//! Every request of a few nights, struck once in every way: afterwards the store holds the old state or the new.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbhaul_archive::keys;
use dbhaul_progress::Progress;
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ErrorKind, RetryStore, StoreExt};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::small::{Wanted, dump, packs_of, read};
use super::stage::{Fate, Request, Stage};
use crate::clock::Clock;
use crate::{ParentRef, PruneOptions, Pruned, Repository, RepositoryError, StoreKeys};

/// From one night to the next.
const DAY: Duration = Duration::from_secs(25 * 60 * 60);

const PRUNE: PruneOptions =
    PruneOptions { grace: Duration::from_secs(24 * 60 * 60), dry_run: false, allow_no_backup: true };

/// What is done in a night.
#[derive(Debug, Clone)]
enum Step {
    Dump(&'static [u32], ParentRef),
    /// The dumps of these steps.
    Forget(&'static [usize]),
    Prune,
}

/// A backup that shares packs with its parent, one that finds all of its packs there, and the removal of what they
/// leave.
fn nights() -> Vec<Step> {
    vec![
        Step::Dump(&[1, 2, 3], ParentRef::Newest),
        Step::Dump(&[1, 2, 4], ParentRef::Newest),
        Step::Dump(&[1, 2, 3], ParentRef::None),
        Step::Forget(&[0, 1]),
        Step::Prune,
        Step::Dump(&[3, 5], ParentRef::Newest),
        Step::Prune,
    ]
}

/// How a step ended.
#[derive(Debug)]
enum Ended {
    Done,
    Failed(RepositoryError),
    Killed,
}

/// Which requests are struck.
#[derive(Debug, Clone, Copy)]
struct Strike {
    first: usize,
    fate: Fate,
    lasts: Lasts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    Requests(usize),
    /// Until the step has ended.
    Step,
}

/// Requests so far, and the strike.
#[derive(Debug, Default)]
struct Script {
    seen: Vec<Request>,
    strike: Option<Strike>,
    /// The step has ended that was struck.
    is_over: bool,
}

impl Script {
    fn next(&mut self, request: Request) -> Fate {
        let number = self.seen.len();
        self.seen.push(request);
        let Some(Strike { first, fate, lasts }) = self.strike else { return Fate::Serve };
        let is_struck = match lasts {
            Lasts::Requests(count) => (first..first + count).contains(&number),
            Lasts::Step => number >= first && !self.is_over,
        };
        if is_struck { fate } else { Fate::Serve }
    }
}

struct Trial {
    stage: Stage,
    script: Arc<Mutex<Script>>,
    wanted: Vec<Option<Wanted>>,
    ended: Vec<Ended>,
}

impl Trial {
    /// Some nights under this strike.
    async fn run(strike: Option<Strike>) -> Self {
        let script = Arc::new(Mutex::new(Script { strike, ..Script::default() }));
        let director = Arc::clone(&script);
        let stage = Stage::new(Arc::new(move |request| {
            let fate = director.lock().unwrap().next(request);
            async move { fate }.boxed()
        }));
        let mut trial = Trial { stage, script, wanted: Vec::new(), ended: Vec::new() };
        for (number, step) in nights().into_iter().enumerate() {
            tokio::time::advance(DAY).await;
            trial.step(number, step).await;
        }
        trial
    }

    async fn step(&mut self, number: usize, step: Step) {
        let stage = self.stage.clone();
        let wanted = match &step {
            Step::Dump(chunks, parent) => Some(Wanted {
                id: Ulid::from_parts(1_769_824_984_000 + number as u64, 7),
                database: "shop".to_owned(),
                time: stage.now(),
                parent: parent.clone(),
                chunks: chunks.to_vec(),
                chunks_per_pack: 2,
            }),
            Step::Forget(_) | Step::Prune => None,
        };
        self.wanted.push(wanted);
        let ended = tokio::select! {
            biased;
            result = self.work(number, &step) => match result {
                Ok(()) => Ended::Done,
                Err(error) => Ended::Failed(error),
            },
            () = stage.killed() => Ended::Killed,
        };
        self.ended.push(ended);
        let mut script = self.script.lock().unwrap();
        script.is_over |= script.strike.is_some_and(|strike| script.seen.len() > strike.first);
    }

    async fn work(&self, number: usize, step: &Step) -> Result<(), RepositoryError> {
        let (repository, cancel) = (self.open().await?, CancellationToken::new());
        match (step, &self.wanted[number]) {
            (Step::Dump(..), Some(wanted)) => dump(&repository, wanted, &cancel).await.map(|_| ()),
            (Step::Forget(steps), _) => {
                let forgotten = steps.iter().filter_map(|step| Some(self.wanted[*step].as_ref()?.key()));
                repository.forget(&forgotten.collect::<Vec<_>>(), &cancel).await
            }
            _ => repository.prune(&PRUNE, &cancel).await.map(|_| ()),
        }
    }

    /// The store as a new process opens it.
    async fn open(&self) -> Result<Repository, RepositoryError> {
        let (cancel, progress) = (CancellationToken::new(), Progress::silent());
        let client = Arc::new(self.stage.client(0));
        let store = Arc::new(RetryStore::new(client, RetryPolicy::default(), cancel, progress.clone()));
        let mut repository = Repository::at_or_create(store, &StoreKeys::default(), &progress).await?;
        let stage = self.stage.clone();
        repository.clock = Clock::new(move || stage.now());
        Ok(repository)
    }

    /// The store holds what the steps that were done have left, all of it whole, and prunes remove the rest.
    async fn check(&self, context: &str) {
        self.script.lock().unwrap().strike = None;
        let repository =
            self.open().await.unwrap_or_else(|error| panic!("{context}: cannot open: {error:?}"));
        self.check_backups(&repository, context).await;
        let mut last = Pruned::default();
        for _ in 0..4 {
            tokio::time::advance(DAY).await;
            let pruned = repository.prune(&PRUNE, &CancellationToken::new()).await;
            last = pruned.unwrap_or_else(|error| panic!("{context}: cannot prune: {error:?}"));
        }
        let left = (last.marked.count, last.waiting.count, last.young.count, last.removed.count);
        assert_eq!(left, (0, 0, 0, 0), "{context}: prunes do not come to an end");
        assert_eq!(last.used.count, packs_of(self.stage.objects()).await.len() as u64, "{context}");
        let marks = self.stage.objects().list(keys::MARKS).await.unwrap();
        assert!(marks.is_empty(), "{context}: {marks:?} are left");
        self.check_backups(&repository, context).await;
    }

    async fn check_backups(&self, repository: &Repository, context: &str) {
        let found = repository.backup_keys().await.unwrap();
        let mut forgotten: BTreeSet<usize> = BTreeSet::new();
        let mut may_be_forgotten: BTreeSet<usize> = BTreeSet::new();
        for (step, ended) in nights().iter().zip(&self.ended) {
            if let Step::Forget(steps) = step {
                may_be_forgotten.extend(*steps);
                if matches!(ended, Ended::Done) {
                    forgotten.extend(*steps);
                }
            }
        }
        for (number, wanted) in self.wanted.iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let is_there = found.contains(&wanted.key());
            let was_made = matches!(self.ended[number], Ended::Done);
            assert!(!(is_there && forgotten.contains(&number)), "{context}: dump {number} is still there");
            assert!(
                is_there || !was_made || may_be_forgotten.contains(&number),
                "{context}: dump {number} is gone"
            );
            if is_there {
                let read = read(repository, &wanted.key(), &CancellationToken::new()).await;
                let read = read.unwrap_or_else(|error| panic!("{context}: dump {number}: {error:?}"));
                assert_eq!(read, wanted.digest(), "{context}: dump {number} has other rows");
            }
        }
        let known = self.wanted.iter().flatten().filter(|wanted| found.contains(&wanted.key())).count();
        assert_eq!(known, found.len(), "{context}: there are other backups: {found:?}");
    }
}

/// The requests of all nights.
async fn requests() -> Vec<Request> {
    let trial = Trial::run(None).await;
    assert!(trial.ended.iter().all(|ended| matches!(ended, Ended::Done)), "{:?}", trial.ended);
    let seen = std::mem::take(&mut trial.script.lock().unwrap().seen);
    trial.check("nothing was struck").await;
    assert!(
        seen.iter().any(|request| request.operation == dbhaul_store::Operation::Delete
            && request.key.starts_with(keys::PACKS)),
        "packs are removed: {seen:?}"
    );
    seen
}

/// Strikes each request so, and checks what is left.
async fn strike_each(fate: Fate, lasts: Lasts, must_succeed: bool) {
    let requests = requests().await;
    for (first, request) in requests.iter().enumerate() {
        let context = format!(
            "{fate:?} for {lasts:?} at request {first} of {}, {:?} {:?}",
            requests.len(),
            request.operation,
            request.key
        );
        let trial = Trial::run(Some(Strike { first, fate, lasts })).await;
        if must_succeed {
            for (number, ended) in trial.ended.iter().enumerate() {
                match ended {
                    Ended::Done => {}
                    Ended::Failed(error) => panic!("{context}: step {number}: {error:?}"),
                    Ended::Killed => panic!("{context}: step {number} was killed"),
                }
            }
        }
        trial.check(&context).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_out() {
    for kind in [ErrorKind::Unreachable, ErrorKind::ServerFault] {
        strike_each(Fate::Fail(kind), Lasts::Requests(1), true).await;
    }
    strike_each(Fate::Fail(ErrorKind::Throttled), Lasts::Requests(5), true).await;
    strike_each(Fate::Delay(Duration::from_secs(10 * 60)), Lasts::Requests(1), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_repeated_request_are_found_out() {
    strike_each(Fate::LoseAnswer, Lasts::Requests(1), true).await;
    strike_each(Fate::LoseAnswer, Lasts::Requests(5), true).await;
    strike_each(Fate::Double, Lasts::Requests(1), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_leaves_the_old_state_or_the_new() {
    strike_each(Fate::KillBefore, Lasts::Requests(1), false).await;
    strike_each(Fate::KillAfter, Lasts::Requests(1), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_from_some_request_on_keeps_what_it_has() {
    strike_each(Fate::Fail(ErrorKind::PermissionDenied), Lasts::Step, false).await;
    strike_each(Fate::Fail(ErrorKind::OutOfSpace), Lasts::Requests(1), false).await;
    strike_each(Fate::Fail(ErrorKind::Unreachable), Lasts::Step, false).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_cut_short_is_never_taken_for_whole() {
    strike_each(Fate::Truncate, Lasts::Requests(1), false).await;
}
