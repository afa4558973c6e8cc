//! `store probe`: what a store can do, and what that means for backups in it.

use std::fmt::{self, Display, Formatter};

use dbhaul_store::{Ability, Answer, StoreProbe, StoreUrl};
use serde::Serialize;

use crate::{Context, PipelineError, Status, format_bytes};

/// What a store can do.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeReport {
    /// The store.
    pub store: String,
    /// Whether it has all that dbhaul needs.
    pub usable: bool,
    /// What was tried.
    pub abilities: Vec<ProbedAbility>,
    /// Seconds by which its clock is ahead of this machine's.
    pub clock_ahead_seconds: Option<f64>,
    /// How long a short request takes.
    pub latency_seconds: Option<f64>,
    /// Bytes per second of one upload.
    pub put_bytes_per_second: Option<u64>,
    /// Bytes per second of one download.
    pub get_bytes_per_second: Option<u64>,
    /// What can still be written, where the store knows.
    pub free_bytes: Option<u64>,
    /// Objects of the probe that could not be deleted.
    pub left: Vec<String>,
}

/// One ability of a store.
#[derive(Debug, Clone, Serialize)]
pub struct ProbedAbility {
    /// Its name.
    pub ability: &'static str,
    /// `yes`, `no` or `unknown`.
    pub answer: &'static str,
    /// Whether dbhaul cannot do without it.
    pub needed: bool,
    /// What happened, where more is to be said.
    pub reason: Option<String>,
    /// What that means for dbhaul.
    pub meaning: &'static str,
    #[serde(skip)]
    title: &'static str,
}

/// Tries what a store can do; leaves nothing in it.
///
/// # Errors
/// If there is no such store, or the user stops it.
pub async fn probe_store(store: &StoreUrl, context: Context) -> Result<ProbeReport, PipelineError> {
    let probe = dbhaul_store::probe(store, &context.cancel, &context.progress).await;
    Ok(ProbeReport::new(probe.map_err(dbhaul_repository::RepositoryError::from)?))
}

impl ProbeReport {
    fn new(probe: StoreProbe) -> Self {
        let usable = probe.is_usable();
        let ability = |found: dbhaul_store::Finding| ProbedAbility {
            ability: found.ability.name(),
            answer: word(found.answer),
            needed: found.ability.is_needed(),
            meaning: meaning(found.ability, found.answer),
            title: title(found.ability),
            reason: found.reason,
        };
        ProbeReport {
            store: probe.store,
            usable,
            abilities: probe.findings.into_iter().map(ability).collect(),
            clock_ahead_seconds: probe.clock_ahead_seconds,
            latency_seconds: probe.latency.map(|latency| latency.as_secs_f64()),
            put_bytes_per_second: probe.put_bytes_per_second,
            get_bytes_per_second: probe.get_bytes_per_second,
            free_bytes: probe.free_bytes,
            left: probe.left,
        }
    }

    /// Done, or failed where something is missing that is needed.
    pub fn status(&self) -> Status {
        if self.usable { Status::Done } else { Status::Failed }
    }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Unknown => "unknown",
    }
}

fn title(ability: Ability) -> &'static str {
    match ability {
        Ability::Write => "write and read",
        Ability::Range => "read a part",
        Ability::Places => "every place",
        Ability::Replace => "replace",
        Ability::Delete => "delete",
        Ability::List => "LIST after PUT",
        Ability::ConditionalPut => "conditional PUT",
        Ability::ConditionalReplace => "conditional replace",
        Ability::Checksum => "checksums",
        Ability::BulkDelete => "bulk delete",
        Ability::Clock => "clocks agree",
        Ability::Versioning => "versioning",
        Ability::ObjectLock => "object lock",
    }
}

/// What it means for dbhaul that a store has an ability, or not.
fn meaning(ability: Ability, answer: Answer) -> &'static str {
    let has = answer == Answer::Yes;
    match ability {
        Ability::Write if has => "objects below sessions/ come back as they were written",
        Ability::Write => "dbhaul cannot keep backups there",
        Ability::Range if has => "a restore reads only the rows that it needs",
        Ability::Range => "dbhaul cannot read backups there",
        Ability::Places if has => "so do those below packs/, backups/ and reports/, where dumps write",
        Ability::Places if answer == Answer::Unknown => {
            "it is not known whether dumps may write everywhere below packs/, backups/ and reports/"
        }
        Ability::Places => "dumps cannot write below packs/, backups/ and reports/",
        Ability::Replace if has => "dumps and prunes can show that they are still at work",
        Ability::Replace => "dbhaul cannot keep dumps and prunes apart there",
        Ability::Delete if has => "dumps can take their signs away; below sessions/ is all that was tried",
        Ability::Delete => "this account can make backups only where it may delete below sessions/",
        Ability::List if has => "a dump sees all of its packs before it commits",
        Ability::List => "a dump would miss packs that it has just written, and not commit",
        Ability::ConditionalPut if has => "a backup is committed by a write that cannot replace another",
        Ability::ConditionalPut => {
            "dbhaul commits by lease and list instead; each backup has a key of its own, which is looked up first"
        }
        Ability::ConditionalReplace if has => "a backup that is forgotten during a repack stays forgotten",
        Ability::ConditionalReplace => {
            "a backup that is forgotten in the moment before a repack replaces its manifest is there again, whole"
        }
        Ability::Checksum if has => "uploads that were damaged on their way are refused",
        Ability::Checksum => {
            "uploads are compared by size, and manifests by reading them back; run `backup check`"
        }
        Ability::BulkDelete if has => "a prune removes up to 500 packs by one request",
        Ability::BulkDelete => "a prune removes packs one by one",
        Ability::Clock if has => "nothing depends on it but signed requests",
        Ability::Clock => {
            "leases go by the store's clock alone; S3 refuses requests when clocks differ by 15 minutes"
        }
        Ability::Versioning if has => {
            "removed packs stay as older versions, and are paid for, until a lifecycle rule expires them"
        }
        Ability::Versioning if answer == Answer::Unknown => {
            "where it is on, removed packs stay as older versions until a lifecycle rule expires them"
        }
        Ability::Versioning => {
            "what is removed is gone; versioning protects against mistakes and theft of keys"
        }
        Ability::ObjectLock if has => {
            "a prune frees space only when locks have ended and older versions expire"
        }
        Ability::ObjectLock if answer == Answer::Unknown => {
            "where it is on, a prune frees space only when locks have ended and older versions expire"
        }
        Ability::ObjectLock => "whoever may delete objects can delete backups",
    }
}

impl Display for ProbeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = if self.usable { "can be used" } else { "cannot be used" };
        write!(f, "{} {verdict}", self.store)?;
        for ability in &self.abilities {
            write!(f, "\n  {:<19} {:<8} {}", ability.title, ability.answer, ability.meaning)?;
            if let Some(reason) = &ability.reason {
                write!(f, "\n  {:<19} {:<8} ({reason})", "", "")?;
            }
        }
        if let Some(latency) = self.latency_seconds {
            write!(f, "\n  {:<19} {:.1} ms", "latency", latency * 1000.0)?;
        }
        let rate = |bytes: Option<u64>| bytes.map(|bytes| format!("{}/s", format_bytes(bytes)));
        if let Some(rate) = rate(self.put_bytes_per_second) {
            write!(f, "\n  {:<19} {rate}, one request at a time", "upload")?;
        }
        if let Some(rate) = rate(self.get_bytes_per_second) {
            write!(f, "\n  {:<19} {rate}, one request at a time", "download")?;
        }
        if let Some(bytes) = self.free_bytes {
            write!(f, "\n  {:<19} {}", "free", format_bytes(bytes))?;
        }
        if !self.left.is_empty() {
            let (left, them) = (self.left.join(", "), if self.left.len() == 1 { "it" } else { "them" });
            write!(f, "\nthe probe could not delete {left}; delete {them} by hand")?;
        }
        Ok(())
    }
}
