//! What a store can do, found out by doing it.
//!
//! What a server says of itself, or what another version of it does, tells nothing: the header of a conditional write
//! is refused by some, and ignored by others. So a probe writes small objects beside those of a store, looks what
//! became of them, and removes them, whether it came to its end or not.

mod conditional;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use dbhaul_progress::Progress;
use dbhaul_retry::RetryPolicy;
use md5::{Digest as _, Md5};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::s3::answer_status;
use crate::{
    CancelStore, DirectoryStore, ErrorKind, Operation, PutMode, RetryStore, S3Store, Store, StoreError,
    StoreExt as _, StoreUrl,
};

/// Where most objects of a probe lie: where signs of dumps do, which whoever writes backups may write and delete. Their
/// names are none of signs.
const PLACE: &str = "sessions/";

/// Where else whoever writes backups writes. Whether that may be done there does not follow from what may be done
/// elsewhere: policies go by prefix, and directories have owners of their own.
const OTHER_PLACES: [&str; 3] = ["packs/", "backups/", "reports/"];

/// Objects that are removed by one request.
const BULK: usize = 3;

/// Requests whose median is the latency.
const ROUNDS: usize = 5;

/// Size of the object whose way there and back tells the throughput.
const LARGE_BYTES: usize = 8 << 20;

/// The status of an answer to a request that is wrong, as one is whose bytes do not have the checksum.
const BAD_REQUEST: u16 = 400;

/// How long a listing may lag behind until it counts as never coming.
const LIST_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// A clock that differs by more is worth a word.
const MAX_SKEW_SECONDS: f64 = 60.0;

/// Something that a store can do, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ability {
    /// An object is written, and read back as it was.
    Write,
    /// A part of an object is read.
    Range,
    /// An object is written and read back in each place that a dump writes to.
    Places,
    /// An object is replaced.
    Replace,
    /// An object is deleted.
    Delete,
    /// A listing shows at once what was written and what was deleted.
    List,
    /// A write that must not replace an object is refused, also one of several at the same time.
    ConditionalPut,
    /// A write that must replace an object as it was read is refused where that has changed or is gone.
    ConditionalReplace,
    /// Bytes that were damaged on their way are refused.
    Checksum,
    /// Several objects are deleted by one request.
    BulkDelete,
    /// Its clock agrees with that of this machine.
    Clock,
    /// Replaced and deleted objects are kept as older versions.
    Versioning,
    /// Objects can be kept from being deleted.
    ObjectLock,
}

impl Ability {
    /// Its name, of which there is one.
    pub fn name(self) -> &'static str {
        match self {
            Ability::Write => "write",
            Ability::Range => "range",
            Ability::Places => "places",
            Ability::Replace => "replace",
            Ability::Delete => "delete",
            Ability::List => "list",
            Ability::ConditionalPut => "conditional_put",
            Ability::ConditionalReplace => "conditional_replace",
            Ability::Checksum => "checksum",
            Ability::BulkDelete => "bulk_delete",
            Ability::Clock => "clock",
            Ability::Versioning => "versioning",
            Ability::ObjectLock => "object_lock",
        }
    }

    /// Whether nothing can be kept in a store without it.
    pub fn is_needed(self) -> bool {
        use Ability::{Delete, List, Places, Range, Replace, Write};
        matches!(self, Write | Range | Places | Replace | Delete | List)
    }
}

/// Whether a store can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// That could not be found out.
    Unknown,
}

/// What was found about one ability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The ability.
    pub ability: Ability,
    /// Whether the store has it.
    pub answer: Answer,
    /// What happened, where more is to be said.
    pub reason: Option<String>,
    /// Whether something was left untried since what it writes could not be removed again; nothing has failed then.
    pub is_untried: bool,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreProbe {
    /// The store's [`describe`](Store::describe).
    pub store: String,
    /// One of each ability that was tried, in the order of the enum. Where nothing can be written, nothing else was
    /// tried.
    pub findings: Vec<Finding>,
    /// Seconds by which its clock is ahead of this machine's; S3 tells whole ones.
    pub clock_ahead_seconds: Option<f64>,
    /// How long a short request takes.
    pub latency: Option<Duration>,
    /// Bytes per second of one upload.
    pub put_bytes_per_second: Option<u64>,
    /// Bytes per second of one download.
    pub get_bytes_per_second: Option<u64>,
    /// What can still be written, where the store knows.
    pub free_bytes: Option<u64>,
    /// Objects of the probe that could not be deleted.
    pub left: Vec<String>,
}

impl StoreProbe {
    /// Whether it has all that is needed.
    pub fn is_usable(&self) -> bool {
        let has = |finding: &Finding| match finding.answer {
            Answer::Yes => true,
            Answer::No => !finding.ability.is_needed(),
            Answer::Unknown => finding.is_untried || !finding.ability.is_needed(),
        };
        !self.findings.is_empty() && self.findings.iter().all(has) && self.left.is_empty()
    }

    fn found(&mut self, ability: Ability, outcome: Outcome) {
        let is_untried = matches!(outcome, Outcome::Untried(_));
        let (answer, reason) = match outcome {
            Outcome::Yes => (Answer::Yes, None),
            Outcome::YesBut(reason) => (Answer::Yes, Some(reason)),
            Outcome::No(reason) => (Answer::No, Some(reason)),
            Outcome::Unknown(reason) | Outcome::Untried(reason) => (Answer::Unknown, Some(reason)),
        };
        self.findings.push(Finding { ability, answer, reason, is_untried });
    }
}

/// What became of a trial.
#[derive(Debug)]
pub(crate) enum Outcome {
    Yes,
    YesBut(String),
    No(String),
    Unknown(String),
    /// Nothing that was tried has failed, and something was not tried.
    Untried(String),
}

impl Outcome {
    /// A trial whose failure says that the store cannot do it, unless it may be another in a moment.
    fn of(result: Result<bool, StoreError>, otherwise: &str) -> Self {
        match result {
            Ok(true) => Outcome::Yes,
            Ok(false) => Outcome::No(otherwise.to_owned()),
            Err(error) => Outcome::failed(&error),
        }
    }

    /// A refusal is an answer; no answer, or that of a server that failed, is none.
    fn failed(error: &StoreError) -> Self {
        match error.is_transient() || matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Other) {
            true => Outcome::Unknown(told(error)),
            false => Outcome::No(told(error)),
        }
    }
}

/// An error and its cause on one line.
pub(crate) fn told(error: &StoreError) -> String {
    dbhaul_progress::one_line(error)
}

/// Probes the store at a URL. A directory must exist.
///
/// # Errors
/// If there is no such store, or the user stops it; what the store cannot do is no error.
pub async fn probe(
    url: &StoreUrl,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<StoreProbe, StoreError> {
    let kind = match url {
        StoreUrl::Directory(path) => {
            let store = DirectoryStore::new(path);
            store.check_root(false).await?;
            Kind::Directory(store)
        }
        StoreUrl::S3(url) => Kind::S3(Arc::new(S3Store::connect(url).await?)),
        #[cfg(feature = "testing")]
        StoreUrl::Memory => Kind::Other(Arc::new(crate::MemoryStore::new())),
    };
    probe_kind(kind, cancel, progress).await
}

/// Probes a bucket through a client that is there already.
///
/// # Errors
/// As [`probe`].
pub async fn probe_s3(
    store: Arc<S3Store>,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<StoreProbe, StoreError> {
    probe_kind(Kind::S3(store), cancel, progress).await
}

async fn probe_kind(
    kind: Kind,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<StoreProbe, StoreError> {
    let retried = |policy, cancel: &CancellationToken| {
        Arc::new(RetryStore::new(kind.store(), policy, cancel.clone(), progress.clone()))
    };
    // a name that leads nowhere should show soon
    let first = CancelStore::new(retried(RetryPolicy::brief(), cancel), cancel.clone());
    first.list_page("", None).await.map_err(StoreError::during_open)?;
    let trial = Trial {
        store: retried(RetryPolicy::default(), cancel),
        prefix: format!("{PLACE}probe-{}-", Ulid::generate()),
        kind,
    };
    let had_place = trial.kind.has_place();
    let mut probe = StoreProbe {
        store: trial.store.describe(),
        findings: Vec::new(),
        clock_ahead_seconds: None,
        latency: None,
        put_bytes_per_second: None,
        get_bytes_per_second: None,
        free_bytes: None,
        left: Vec::new(),
    };
    let ended = cancel.run_until_cancelled(Box::pin(trial.run(&mut probe))).await;
    probe.left = trial.clean(had_place).await;
    match ended {
        Some(()) => Ok(probe),
        None => Err(StoreError::new(ErrorKind::Interrupted, Operation::Open, probe.store)),
    }
}

/// The store below, for what the trait has no words for.
enum Kind {
    Directory(DirectoryStore),
    S3(Arc<S3Store>),
    #[cfg(feature = "testing")]
    Other(Arc<dyn Store>),
}

impl Kind {
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Kind::Directory(store) => Arc::new(store.clone()),
            Kind::S3(store) => Arc::clone(store) as _,
            #[cfg(feature = "testing")]
            Kind::Other(store) => Arc::clone(store),
        }
    }

    /// A write that must not replace, as the server alone decides it.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Kind::S3(store) => store.put_if_absent(key, bytes).await,
            _ => self.store().put(key, bytes, PutMode::Create).await,
        }
    }

    /// Whether the directory is there that the probe's objects are put in.
    fn has_place(&self) -> bool {
        match self {
            Kind::Directory(store) => store.root().join(PLACE).exists(),
            _ => true,
        }
    }
}

/// A probe at work.
struct Trial {
    kind: Kind,
    /// With retries.
    store: Arc<dyn Store>,
    /// Of all its keys.
    prefix: String,
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Trial {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn run(&self, probe: &mut StoreProbe) {
        let written = self.write(probe).await;
        let is_written = matches!(written, Outcome::Yes);
        probe.found(Ability::Write, written);
        if !is_written {
            return;
        }
        probe.found(Ability::Range, self.range().await);
        probe.found(Ability::Places, self.places().await);
        probe.found(Ability::Replace, self.replace().await);
        probe.found(Ability::Delete, self.delete().await);
        probe.found(Ability::List, self.list().await);
        probe.found(Ability::ConditionalPut, self.conditional_put().await);
        probe.found(Ability::ConditionalReplace, self.conditional_replace().await);
        probe.found(Ability::Checksum, self.checksum().await);
        probe.found(Ability::BulkDelete, self.bulk_delete().await);
        probe.found(Ability::Clock, clock(probe.clock_ahead_seconds));
        let (versioning, lock) = match &self.kind {
            Kind::S3(store) => (store.versioning().await, store.object_lock().await),
            _ => (
                Outcome::No("a directory has no versions".into()),
                Outcome::No("a directory has none".into()),
            ),
        };
        probe.found(Ability::Versioning, versioning);
        probe.found(Ability::ObjectLock, lock);
        probe.free_bytes = self.store.free_bytes().await.ok().flatten();
        self.measure(probe).await;
    }

    async fn write(&self, probe: &mut StoreProbe) -> Outcome {
        let (key, bytes) = (self.key("object"), Bytes::from_static(b"0123456789"));
        let before = SystemTime::now();
        let result = async {
            self.store.overwrite(&key, bytes.clone()).await?;
            let after = SystemTime::now();
            let meta = self.store.head(&key).await?;
            if let Some(modified) = meta.modified {
                probe.clock_ahead_seconds = Some(ahead(modified, before, after));
            }
            Ok(meta.size_bytes == bytes.len() as u64 && self.store.get(&key).await? == bytes)
        };
        Outcome::of(result.await, "the store returns other bytes than were written")
    }

    async fn range(&self) -> Outcome {
        let part = self.store.get_range(&self.key("object"), 3..7).await;
        Outcome::of(part.map(|part| part == "3456"), "the store returns other bytes than the part asked for")
    }

    /// Tries each place that a dump writes to. Where this account may not delete, nothing is written: it would be left.
    async fn places(&self) -> Outcome {
        if let Kind::Directory(store) = &self.kind {
            let keys: Vec<String> = OTHER_PLACES.map(|place| self.key_in(place)).into();
            return Outcome::of(store.try_write(&keys).await.map(|()| true), "");
        }
        let mut untried = Vec::new();
        for place in OTHER_PLACES {
            let key = self.key_in(place);
            match self.store.delete(&key).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    untried.push(place);
                    continue;
                }
                Err(error) => return Outcome::failed(&error),
            }
            let bytes = Bytes::from_static(b"0123456789");
            let result = async {
                self.store.overwrite(&key, bytes.clone()).await?;
                let is_kept = self.store.get(&key).await? == bytes;
                self.store.delete(&key).await?;
                Ok(is_kept)
            };
            match Outcome::of(
                result.await,
                &format!("the store returns other bytes below {place} than were written"),
            ) {
                Outcome::Yes => {}
                other => return other,
            }
        }
        match untried.is_empty() {
            true => Outcome::Yes,
            false => Outcome::Untried(format!(
                "this account may not delete below {}, so nothing was written there to try it",
                untried.join(", ")
            )),
        }
    }

    /// A key that is none of a pack, a backup or a report; those whose names begin with a dot are passed over there.
    fn key_in(&self, place: &str) -> String {
        let name = self.prefix.strip_prefix(PLACE).unwrap_or(&self.prefix);
        format!("{place}.{name}object")
    }

    async fn replace(&self) -> Outcome {
        let key = self.key("object");
        let result = async {
            self.store.overwrite(&key, Bytes::from_static(b"other")).await?;
            Ok(self.store.get(&key).await? == "other")
        };
        Outcome::of(result.await, "the store returns the bytes that were replaced")
    }

    async fn delete(&self) -> Outcome {
        let key = self.key("object");
        let result = async {
            self.store.delete(&key).await?;
            Ok(self.store.head_optional(&key).await?.is_none())
        };
        Outcome::of(result.await, "the store still has the object that was deleted")
    }

    async fn list(&self) -> Outcome {
        let key = self.key("listed");
        for is_there in [true, false] {
            let changed = match is_there {
                true => self.store.overwrite(&key, Bytes::from_static(b"listed")).await,
                false => self.store.delete(&key).await,
            };
            if let Err(error) = changed {
                return Outcome::failed(&error);
            }
            match self.wait_for_listing(&key, is_there).await {
                Ok(None) => {}
                Ok(Some(reason)) => return Outcome::No(reason),
                Err(error) => return Outcome::failed(&error),
            }
        }
        Outcome::Yes
    }

    /// Why a listing does not show at once that an object is there, or not.
    async fn wait_for_listing(&self, key: &str, is_there: bool) -> Result<Option<String>, StoreError> {
        let begun = Instant::now();
        let what = if is_there { "written" } else { "deleted" };
        let mut looks = 0_u32;
        loop {
            let listed = self.store.list(key).await?;
            if listed.iter().any(|object| object.key == key) == is_there {
                let seconds = begun.elapsed().as_secs_f64();
                return Ok((looks > 0).then(|| {
                    format!("a listing shows an object that was {what} only after {seconds:.1} s")
                }));
            }
            if begun.elapsed() >= LIST_PATIENCE {
                let seconds = LIST_PATIENCE.as_secs();
                return Ok(Some(format!(
                    "a listing does not show within {seconds} s that an object was {what}"
                )));
            }
            looks += 1;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn checksum(&self) -> Outcome {
        let Kind::S3(store) = &self.kind else {
            return Outcome::No("a directory takes no checksums".to_owned());
        };
        let (bytes, wrong) = (Bytes::from_static(b"checked"), Md5::digest(b"other"));
        let right = Md5::digest(&bytes);
        let put = async |name: &str, md5: &[u8]| {
            let key = self.key(name);
            patiently(async || store.put_with_md5(&key, bytes.clone(), md5).await).await
        };
        match put("checked", &right).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Unsupported => return Outcome::No(told(&error)),
            Err(error) => return Outcome::Unknown(told(&error)),
        }
        match put("damaged", &wrong).await {
            Ok(()) => Outcome::No("the store accepts bytes that do not have the checksum".to_owned()),
            Err(error) if answer_status(&error) == Some(BAD_REQUEST) => Outcome::Yes,
            // it failed for another reason, such as that the server is busy
            Err(error) => Outcome::Unknown(told(&error)),
        }
    }

    async fn bulk_delete(&self) -> Outcome {
        let Kind::S3(store) = &self.kind else {
            return Outcome::No("files are removed one by one".to_owned());
        };
        let keys: Vec<String> = (0..BULK).map(|number| self.key(&format!("bulk-{number}"))).collect();
        for key in &keys {
            if let Err(error) = self.store.overwrite(key, Bytes::from_static(b"bulk")).await {
                return Outcome::Unknown(told(&error));
            }
        }
        match patiently(async || store.delete_by_one_request(&keys).await).await {
            Ok(()) => {}
            Err(error) if error.is_transient() => return Outcome::Unknown(told(&error)),
            Err(error) => return Outcome::No(told(&error)),
        }
        for key in &keys {
            match self.store.head_optional(key).await {
                Ok(None) => {}
                Ok(Some(_)) => return Outcome::No("objects are still there afterwards".to_owned()),
                Err(error) => return Outcome::Unknown(told(&error)),
            }
        }
        Outcome::Yes
    }

    /// How fast it is. What fails here has been tried before.
    async fn measure(&self, probe: &mut StoreProbe) {
        let key = self.key("large");
        // not periodic, so that nothing on the way makes less of it
        let bytes: Bytes = (0..LARGE_BYTES as u32 / 4)
            .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let begun = Instant::now();
        if self.store.overwrite(&key, bytes).await.is_err() {
            return;
        }
        probe.put_bytes_per_second = Some(per_second(begun));
        let begun = Instant::now();
        if self.store.get_at_most(&key, LARGE_BYTES as u64).await.is_ok() {
            probe.get_bytes_per_second = Some(per_second(begun));
        }
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            if self.store.head(&key).await.is_ok() {
                times.push(begun.elapsed());
            }
        }
        times.sort_unstable();
        probe.latency = times.get(times.len() / 2).copied();
    }

    /// Deletes all that the probe has written; returns what is left.
    async fn clean(&self, had_place: bool) -> Vec<String> {
        let names = ["object", "listed", "conditional", "race", "replaced", "checked", "damaged", "large"];
        let bulk = (0..BULK).map(|number| format!("bulk-{number}"));
        let keys = names.map(str::to_owned).into_iter().chain(bulk).map(|name| self.key(&name));
        let elsewhere = OTHER_PLACES.map(|place| self.key_in(place));
        let is_directory = matches!(self.kind, Kind::Directory(_));
        let elsewhere = elsewhere.into_iter().filter(|_| !is_directory);
        let mut left = Vec::new();
        for key in keys.chain(elsewhere) {
            if self.store.delete(&key).await.is_err()
                && !matches!(self.store.head_optional(&key).await, Ok(None))
            {
                left.push(key);
            }
        }
        if let (Kind::Directory(store), false) = (&self.kind, had_place) {
            // another may have begun to use it
            let _ = std::fs::remove_dir(store.root().join(PLACE));
        }
        left
    }
}

/// Seconds by which a time is ahead of the time between two of this machine's.
fn ahead(time: SystemTime, before: SystemTime, after: SystemTime) -> f64 {
    let seconds = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(error) => -error.duration().as_secs_f64(),
    };
    seconds(time) - f64::midpoint(seconds(before), seconds(after))
}

fn clock(ahead_seconds: Option<f64>) -> Outcome {
    match ahead_seconds {
        None => Outcome::Unknown("the store does not tell when an object was written".to_owned()),
        Some(ahead) if ahead.abs() <= MAX_SKEW_SECONDS => Outcome::Yes,
        Some(ahead) => {
            let side = if ahead > 0.0 { "ahead of" } else { "behind" };
            Outcome::No(format!("its clock is {:.0} s {side} that of this machine", ahead.abs()))
        }
    }
}

fn per_second(begun: Instant) -> u64 {
    // at least a microsecond, and far below 2^53
    (LARGE_BYTES as f64 / begun.elapsed().as_secs_f64().max(1e-6)) as u64
}

/// Tries again what fails for a moment.
async fn patiently(trial: impl AsyncFn() -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut attempts = RetryPolicy::brief().attempts();
    loop {
        let error = match trial().await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let Some(pause) = attempts.failed(error.is_transient()) else { return Err(error) };
        tokio::time::sleep(pause.length()).await;
    }
}
