//! Writers, pruners and repacks at once, in an order by chance: requests fail, answers are lost, machines sleep, clocks are
//! wrong, processes are killed. Whatever happens, a backup that is in the store has all of its packs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dbhaul_archive::{BackupKey, Manifest, PackId, keys};
use dbhaul_progress::Progress;
use dbhaul_retry::RetryPolicy;
use dbhaul_rows::RowDigest;
use dbhaul_store::{ErrorKind, Operation, RetryStore, Store, StoreExt};
use fastrand::Rng;
use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::small::{Wanted, dump, packs_of, read};
use super::stage::{Fate, Request, Stage};
use crate::clock::Clock;
use crate::{ParentRef, PruneOptions, Repository, RepositoryError, StoreKeys};

/// Clients at work at a time.
const CLIENTS: usize = 4;

/// Chunks that backups are made of: few, so that packs of one are those of another.
const CHUNKS: u32 = 12;

/// Backups that are not forgotten yet, at most.
const BACKUPS: usize = 12;

/// Steps of each seed.
const STEPS: u64 = 2_500;

/// Events that are told when something is wrong.
const HISTORY: usize = 400;

const MINUTE: Duration = Duration::from_secs(60);

/// How long a client waits for an answer.
const ANSWER: Duration = MINUTE;

const PRUNE: PruneOptions =
    PruneOptions { grace: Duration::from_secs(2 * 60 * 60), dry_run: false, allow_no_backup: true };

/// A request that waits to be served.
struct Waiting {
    request: Request,
    since: SystemTime,
    answer: oneshot::Sender<Fate>,
}

/// What a client was asked to do.
#[derive(Debug, Clone)]
enum Task {
    Dump(Wanted),
    Prune,
    Repack,
    /// Backups to forget, and those of them that nobody was at work on when this began.
    Forget {
        keys: Vec<BackupKey>,
        settled: Vec<String>,
    },
}

/// One process on a machine of its own.
struct Worker {
    number: usize,
    task: Task,
    work: JoinHandle<Result<u64, RepositoryError>>,
    /// Seconds by which its clock is ahead of the store's.
    clock: Arc<AtomicI64>,
    /// It sleeps for so many steps: its requests are not served.
    asleep: u32,
    /// Its requests go wrong for so many more.
    burst: u32,
}

/// How often what has happened, so that a run that tests nothing is noticed.
#[derive(Debug, Default)]
struct Tally {
    steps: u64,
    dumps: u64,
    failed_dumps: u64,
    prunes: u64,
    removed_packs: u64,
    repacked_backups: u64,
    lapsed: u64,
    killed: u64,
}

struct Model {
    /// How to run it again.
    again: String,
    rng: Rng,
    /// Packs hold so many chunks that one of which a few are needed is sparse.
    has_large_packs: bool,
    /// The first of the chunks that backups are made of just now.
    first_chunk: u32,
    stage: Stage,
    queue: Arc<Mutex<Vec<Waiting>>>,
    workers: Vec<Worker>,
    next_number: usize,
    /// What backups are of, whether they were made or not.
    wanted: BTreeMap<String, RowDigest>,
    made: BTreeSet<String>,
    forgotten: BTreeSet<String>,
    /// Those that somebody was asked to forget.
    may_be_forgotten: BTreeSet<String>,
    /// Manifests that a client has given up, and that may come later.
    late: BTreeSet<String>,
    /// Of each backup its manifest as it was read last, and the packs that it names.
    packs: BTreeMap<String, (Bytes, Vec<PackId>)>,
    checked_changes: u64,
    tally: Tally,
    /// The last that happened, told when something is wrong.
    history: VecDeque<String>,
}

impl Model {
    async fn new(seed: u64) -> Self {
        let queue: Arc<Mutex<Vec<Waiting>>> = Arc::default();
        let stage = Arc::new(Mutex::new(None::<Stage>));
        let (waiting, of) = (Arc::clone(&queue), Arc::clone(&stage));
        let director = move |request: Request| {
            let (answer, fate) = oneshot::channel();
            let since = of.lock().unwrap().as_ref().map_or(SystemTime::UNIX_EPOCH, Stage::now);
            waiting.lock().unwrap().push(Waiting { request, since, answer });
            async move {
                match fate.await {
                    Ok(fate) => fate,
                    Err(_) => std::future::pending().await,
                }
            }
            .boxed()
        };
        let made = Stage::new(Arc::new(director));
        *stage.lock().unwrap() = Some(made.clone());
        // as an earlier process has made it
        let store: Arc<dyn Store> = Arc::new(made.objects().clone());
        Repository::at_or_create(store, &StoreKeys::default(), &Progress::silent()).await.unwrap();
        let mut rng = Rng::with_seed(seed);
        Model {
            again: String::new(),
            has_large_packs: rng.bool(),
            first_chunk: 0,
            rng,
            stage: made,
            queue,
            workers: Vec::new(),
            next_number: 0,
            wanted: BTreeMap::new(),
            made: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            may_be_forgotten: BTreeSet::new(),
            late: BTreeSet::new(),
            packs: BTreeMap::new(),
            checked_changes: 0,
            tally: Tally::default(),
            history: VecDeque::new(),
        }
    }

    fn happened(&mut self, what: impl std::fmt::Display) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let time = self.stage.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.history.push_back(format!("{} {} s: {what}", self.tally.steps, time.as_secs() - 1_769_824_984));
    }

    fn history(&mut self) -> String {
        let told = self.history.make_contiguous().join("\n");
        // last, where a long log is not cut
        format!("{told}\n{}", self.again)
    }

    async fn run(&mut self, steps: u64) {
        while self.tally.steps < steps {
            self.step(true).await;
            self.tally.steps += 1;
        }
        while !self.workers.is_empty() {
            self.step(false).await;
        }
        self.end().await;
    }

    /// Serves one request, after whatever else may happen.
    async fn step(&mut self, goes_on: bool) {
        if goes_on && self.workers.len() < CLIENTS && self.rng.u32(..10) == 0
            || self.workers.is_empty() && goes_on
        {
            self.start().await;
        }
        if self.rng.u32(..30) == 0 {
            self.pass_time().await;
        }
        if goes_on {
            self.upset();
        }
        // only when nobody else has anything to do does the clock go on
        tokio::time::sleep(Duration::from_millis(1)).await;
        match self.choose() {
            Some(waiting) => self.serve(waiting).await,
            // they wait for a time to come
            None => tokio::time::sleep(Duration::from_secs(2)).await,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.check_packs().await;
        self.gather().await;
        for worker in &mut self.workers {
            worker.asleep = worker.asleep.saturating_sub(1);
        }
    }

    async fn start(&mut self) {
        let found = self.stage.objects().list(keys::BACKUPS).await.unwrap();
        let task = match self.rng.u32(..10) {
            _ if found.len() > BACKUPS => {
                self.forgetting(&found.iter().map(|o| o.key.clone()).collect::<Vec<_>>())
            }
            0..5 => self.dumping(),
            5..7 => Task::Prune,
            7 => Task::Repack,
            _ => self.forgetting(&found.iter().map(|o| o.key.clone()).collect::<Vec<_>>()),
        };
        let number = self.next_number;
        self.next_number += 1;
        let skew = self.rng.i64(-7_200..7_200);
        let clock = Arc::new(AtomicI64::new(skew));
        self.happened(format_args!("client {number} begins: {task:?}"));
        let work = spawn_local(work(self.stage.clone(), number, Arc::clone(&clock), task.clone()));
        self.workers.push(Worker { number, task, work, clock, asleep: 0, burst: 0 });
    }

    fn dumping(&mut self) -> Task {
        let is_whole = self.has_large_packs && self.rng.u32(..3) == 0;
        if is_whole {
            self.first_chunk = self.rng.u32(..5) * CHUNKS;
        }
        let count = match (is_whole, self.has_large_packs) {
            (true, _) => CHUNKS as usize,
            (false, true) => self.rng.usize(1..4),
            (false, false) => self.rng.usize(1..6),
        };
        let mut chunks: Vec<u32> = (self.first_chunk..self.first_chunk + CHUNKS).collect();
        self.rng.shuffle(&mut chunks);
        chunks.truncate(count);
        chunks.sort_unstable();
        let number = self.next_number as u64;
        let parent = if self.rng.u32(..4) == 0 { ParentRef::None } else { ParentRef::Newest };
        let wanted = Wanted {
            id: Ulid::from_parts(1_769_824_984_000 + number, number.into()),
            database: if self.rng.bool() { "shop" } else { "bar" }.to_owned(),
            time: self.stage.now(),
            parent,
            chunks,
            chunks_per_pack: if self.has_large_packs { CHUNKS as usize } else { self.rng.usize(1..3) },
        };
        self.wanted.insert(wanted.key().to_string(), wanted.digest());
        Task::Dump(wanted)
    }

    fn forgetting(&mut self, found: &[String]) -> Task {
        let count = self.rng.usize(..=found.len().min(3));
        let mut found = found.to_vec();
        self.rng.shuffle(&mut found);
        self.may_be_forgotten.extend(found[..count].iter().cloned());
        let keys = found[..count].iter().map(|key| key.parse().unwrap()).collect();
        // whose read-back failed may write a manifest again that is forgotten meanwhile: it comes after that then
        let is_at_work = |key: &String| {
            let dumps = |task: &Task| matches!(task, Task::Dump(wanted) if wanted.key().to_string() == *key);
            self.workers.iter().any(|worker| dumps(&worker.task))
        };
        let settled = found[..count].iter().filter(|key| !is_at_work(key)).cloned().collect();
        Task::Forget { keys, settled }
    }

    /// Lets time pass, at once for everybody.
    async fn pass_time(&mut self) {
        let minutes = *self.rng.choice(&[1, 1, 3, 3, 10, 20, 70, 70, 300]).unwrap();
        let is_long = minutes >= 20;
        // mostly when nobody is at work, or else nothing would ever be done
        if is_long && !self.workers.is_empty() && self.rng.u32(..3) > 0 {
            return;
        }
        let time = MINUTE * minutes;
        self.happened(format_args!("{minutes} minutes pass"));
        tokio::time::advance(time).await;
        for worker in &self.workers {
            if worker.asleep > 0 && self.rng.bool() {
                // a machine that is paused together with its clock
                worker.clock.fetch_sub(time.as_secs() as i64, Ordering::Relaxed);
            }
        }
    }

    /// Puts a machine to sleep, changes its clock, or lets its network fail for a while.
    fn upset(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.workers.len());
        let worker = &mut self.workers[at];
        let number = worker.number;
        match self.rng.u32(..300) {
            0 | 1 => {
                worker.asleep = self.rng.u32(5..150);
                self.happened(format_args!("client {number} sleeps"));
            }
            2 => worker.burst = self.rng.u32(1..12),
            3 => worker.clock.store(self.rng.i64(-90_000..90_000), Ordering::Relaxed),
            _ => {}
        }
    }

    /// A request of somebody who is awake.
    fn choose(&mut self) -> Option<Waiting> {
        let mut queue = self.queue.lock().unwrap();
        queue.retain(|waiting| !waiting.answer.is_closed());
        // threads bring them in an order of their own
        queue.sort_by_key(|waiting| order(&waiting.request));
        let is_awake = |waiting: &Waiting| {
            self.workers.iter().any(|w| w.number == waiting.request.client && w.asleep == 0)
        };
        let awake: Vec<usize> = (0..queue.len()).filter(|at| is_awake(&queue[*at])).collect();
        let at = *self.rng.choice(&awake)?;
        Some(queue.remove(at))
    }

    async fn serve(&mut self, waiting: Waiting) {
        let Waiting { request, since, answer } = waiting;
        let is_late = self.stage.now().duration_since(since).is_ok_and(|time| time > ANSWER);
        let Some(at) = self.workers.iter().position(|worker| worker.number == request.client) else { return };
        let has_burst = self.workers[at].burst > 0;
        self.workers[at].burst = self.workers[at].burst.saturating_sub(1);
        let late = ANSWER.mul_f64(self.rng.f64());
        let fate = match self.rng.u32(..100) {
            // nobody waits for it any more
            _ if is_late => Fate::Fail(ErrorKind::Unreachable),
            0..50 if has_burst => Fate::Fail(ErrorKind::Throttled),
            50..75 if has_burst => Fate::LoseAnswer,
            _ if has_burst => Fate::ActLate(late),
            0 => Fate::Fail(ErrorKind::Unreachable),
            1 => Fate::LoseAnswer,
            2 => Fate::Double,
            3 if self.rng.u32(..4) == 0 => Fate::Fail(ErrorKind::PermissionDenied),
            4 if self.rng.u32(..5) == 0 => Fate::KillBefore,
            5 if self.rng.u32(..5) == 0 => Fate::KillAfter,
            _ => Fate::Serve,
        };
        if matches!(fate, Fate::ActLate(_)) && request.operation == Operation::Put {
            self.late.insert(request.key.clone());
        }
        self.happened(format_args!(
            "client {}: {} {}: {fate:?}",
            request.client,
            request.operation.verb(),
            request.key
        ));
        let _ = answer.send(fate);
        if matches!(fate, Fate::KillBefore | Fate::KillAfter) {
            // until it has taken effect
            tokio::time::sleep(Duration::from_millis(1)).await;
            let killed = self.workers.swap_remove(at);
            killed.work.abort();
            let _ = killed.work.await;
            self.tally.killed += 1;
        }
    }

    /// All packs of each backup are there, whoever is at work.
    async fn check_packs(&mut self) {
        let changes = self.stage.change_count();
        if self.checked_changes == changes {
            return;
        }
        self.checked_changes = changes;
        let objects = self.stage.objects().clone();
        for backup in objects.list(keys::BACKUPS).await.unwrap() {
            let bytes = objects.get(&backup.key).await.unwrap();
            if self.packs.get(&backup.key).is_none_or(|(known, _)| *known != bytes) {
                let manifest = Manifest::from_bytes(&backup.key, &bytes).unwrap();
                let packs = manifest.packs.iter().map(|pack| pack.id).collect();
                self.packs.insert(backup.key.clone(), (bytes, packs));
            }
            for pack in self.packs[&backup.key].1.clone() {
                if objects.head(&keys::pack(pack)).await.is_err() {
                    panic!("{}\npack {pack} of backup {} is gone", self.history(), backup.key);
                }
            }
        }
    }

    /// Takes note of what has ended.
    async fn gather(&mut self) {
        let mut at = 0;
        while at < self.workers.len() {
            if !self.workers[at].work.is_finished() {
                at += 1;
                continue;
            }
            let worker = self.workers.swap_remove(at);
            let ended = worker.work.await.unwrap();
            self.happened(format_args!("client {} ends: {ended:?}", worker.number));
            if ended.as_ref().is_err_and(RepositoryError::counts_as_gone) {
                self.tally.lapsed += 1;
            }
            match (worker.task, ended) {
                (Task::Dump(wanted), Ok(_)) => {
                    self.tally.dumps += 1;
                    self.made.insert(wanted.key().to_string());
                }
                (Task::Dump(_), Err(_)) => self.tally.failed_dumps += 1,
                (Task::Prune, Ok(removed)) => {
                    self.tally.prunes += 1;
                    self.tally.removed_packs += removed;
                }
                (Task::Repack, Ok(moved)) => self.tally.repacked_backups += moved,
                (Task::Forget { settled, .. }, Ok(_)) => self.forgotten.extend(settled),
                (Task::Forget { .. } | Task::Prune | Task::Repack, Err(_)) => {}
            }
        }
    }

    /// When all have ended: what is there can be read, what was made is there, and prunes remove the rest.
    async fn end(&mut self) {
        let told = self.history();
        // requests that were given up take effect by now, and not at the end of a night that passes at once
        tokio::time::sleep(ANSWER * 2).await;
        let director: Arc<Mutex<Vec<Waiting>>> = Arc::clone(&self.queue);
        let serving = tokio::spawn(async move {
            loop {
                let waiting: Vec<Waiting> = director.lock().unwrap().drain(..).collect();
                for waiting in waiting {
                    let _ = waiting.answer.send(Fate::Serve);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let cancel = CancellationToken::new();
        let repository = open(&self.stage, self.next_number, Arc::default()).await.unwrap();
        let found = repository.backup_keys().await.unwrap();
        let names: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
        for made in self.made.difference(&self.may_be_forgotten) {
            assert!(names.contains(made), "{told}\nbackup {made} was made, and is gone");
        }
        for forgotten in self.forgotten.difference(&self.late) {
            assert!(!names.contains(forgotten), "{told}\nbackup {forgotten} was forgotten, and is there");
        }
        for is_repacked in [false, true] {
            if is_repacked {
                repository.repack(false, &cancel).await.unwrap_or_else(|e| panic!("{told}\n{e:?}"));
            }
            for key in &found {
                let read = read(&repository, key, &cancel).await;
                let digest = read.unwrap_or_else(|e| panic!("{told}\n{key}: {e:?}"));
                assert_eq!(digest, self.wanted[&key.to_string()], "{told}\nbackup {key} has other rows");
            }
        }
        self.check_packs().await;
        let mut left = None;
        for _ in 0..4 {
            tokio::time::advance(MINUTE * 300).await;
            let pruned = repository.prune(&PRUNE, &cancel).await.unwrap();
            left =
                Some((pruned.marked.count, pruned.waiting.count, pruned.young.count, pruned.removed.count));
        }
        assert_eq!(left, Some((0, 0, 0, 0)), "{told}\nprunes do not come to an end");
        let used: BTreeSet<PackId> = names.iter().flat_map(|name| self.packs[name].1.clone()).collect();
        assert_eq!(packs_of(self.stage.objects()).await, used);
        serving.abort();
    }
}

/// Who, what and where, as far as it is the same each time a seed is run.
fn order(request: &Request) -> (usize, Operation, String) {
    let key = request.key.split(['/', '-']).filter(|part| Ulid::from_string(part).is_err());
    (request.client, request.operation, key.collect::<Vec<_>>().join("/"))
}

async fn open(stage: &Stage, number: usize, skew: Arc<AtomicI64>) -> Result<Repository, RepositoryError> {
    let (cancel, progress) = (CancellationToken::new(), Progress::silent());
    let client = Arc::new(stage.client(number));
    let store = Arc::new(RetryStore::new(client, RetryPolicy::default(), cancel, progress.clone()));
    let mut repository = Repository::at_or_create(store, &StoreKeys::default(), &progress).await?;
    let stage = stage.clone();
    repository.clock = Clock::new(move || {
        let skew = skew.load(Ordering::Relaxed);
        let distance = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { stage.now() - distance } else { stage.now() + distance }
    });
    Ok(repository)
}

async fn work(
    stage: Stage,
    number: usize,
    clock: Arc<AtomicI64>,
    task: Task,
) -> Result<u64, RepositoryError> {
    let (repository, cancel) = (open(&stage, number, clock).await?, CancellationToken::new());
    match task {
        Task::Dump(wanted) => dump(&repository, &wanted, &cancel).await.map(|_| 0),
        Task::Prune => repository.prune(&PRUNE, &cancel).await.map(|pruned| pruned.removed.count),
        Task::Repack => repository.repack(false, &cancel).await.map(|repacked| repacked.backup_count),
        Task::Forget { keys, .. } => repository.forget(&keys, &cancel).await.map(|()| 0),
    }
}

fn again(seed: u64, steps: u64) -> String {
    format!("DBHAUL_SEED={seed} DBHAUL_SEED_STEPS={steps}")
}

async fn run(seed: u64, steps: u64) -> Tally {
    // pauses before another attempt go by chance too
    fastrand::seed(seed);
    let running = async {
        let mut model = Model::new(seed).await;
        model.again = again(seed, steps);
        model.run(steps).await;
        std::mem::take(&mut model.tally)
    };
    LocalSet::new().run_until(running).await
}

/// 10,000 steps in all. `DBHAUL_SEED` runs one seed again, `DBHAUL_SEED_STEPS` says how far.
#[tokio::test(start_paused = true)]
async fn writers_and_pruners_at_once_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let steps = number("DBHAUL_SEED_STEPS").unwrap_or(STEPS);
    let seeds = match number("DBHAUL_SEED") {
        Some(seed) => vec![seed],
        None => (0..4).map(|_| fastrand::u64(..)).collect(),
    };
    let mut all = Tally::default();
    for seed in seeds {
        // shown with a test that fails
        let _ = writeln!(std::io::stderr(), "{}", again(seed, steps));
        let tally = run(seed, steps).await;
        all.dumps += tally.dumps;
        all.prunes += tally.prunes;
        all.removed_packs += tally.removed_packs;
        all.repacked_backups += tally.repacked_backups;
    }
    let _ = writeln!(std::io::stderr(), "{all:?}");
    assert!(all.dumps > 0 && all.prunes > 0, "nothing was tried: {all:?}");
}
