//! The key generations of a store, in order.

use std::collections::{BTreeMap, BTreeSet};

use ulid::Ulid;

use super::{Fingerprint, Generation, KeyError, WriterKey};
use crate::ChunkCodec;

/// The keys of a store that are at hand. They follow from one first generation, or come from a writer key file.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// In order: each follows one before it.
    generations: Vec<Generation>,
    fingerprint: Option<Fingerprint>,
    /// Those that follow the same one as another does.
    forks: BTreeSet<Ulid>,
}

impl Keyring {
    /// The keyring of a store that is not encrypted.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// The generations that a reader's keys opened: anybody who may write to the store may have put some there, so
    /// all must follow from one first generation, each sealed by one before it. `expected` is that one's
    /// fingerprint, where the reader knows it. Two may follow the same one, as after two rotations at the same time:
    /// both were sealed by whoever can read the store, so their backups are read; nothing new is written with them.
    ///
    /// # Errors
    /// [`KeyError::OtherStore`], [`KeyError::Unchained`], [`KeyError::WrongFingerprint`].
    pub fn chained(
        store: Ulid,
        generations: Vec<Generation>,
        expected: Option<Fingerprint>,
    ) -> Result<Self, KeyError> {
        let mut reasons = Vec::new();
        let (chain, forks) = follow(distinct(store, generations, &mut reasons)?, &mut reasons)?;
        if !reasons.is_empty() {
            return Err(KeyError::Unchained { reasons });
        }
        let fingerprint = chain.first().map(Generation::fingerprint);
        match (expected, fingerprint) {
            (Some(expected), Some(found)) if expected != found => {
                Err(KeyError::WrongFingerprint { expected, found })
            }
            _ => Ok(Self { generations: chain, fingerprint, forks }),
        }
    }

    /// The generations in a writer key file, which its holder trusts.
    #[must_use]
    pub fn of_writer(writer: &WriterKey) -> Self {
        let (generations, fingerprint) = (writer.generations.clone(), Some(writer.fingerprint));
        Self { generations, fingerprint, forks: BTreeSet::new() }
    }

    /// The fingerprint of the first generation; `None` without keys.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// The generations, in order.
    #[must_use]
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The generations that follow the same one as another does; none in a store as it should be.
    #[must_use]
    pub fn forks(&self) -> &BTreeSet<Ulid> {
        &self.forks
    }

    /// Whether another generation at hand follows this one.
    #[must_use]
    pub fn is_followed(&self, id: Ulid) -> bool {
        self.generations.iter().any(|generation| generation.previous.is_some_and(|(of, _)| of == id))
    }

    /// Fails if two generations follow the same one: it is not known which of them is to be written with.
    ///
    /// # Errors
    /// [`KeyError::Forked`].
    pub fn require_no_fork(&self) -> Result<(), KeyError> {
        match self.forks.is_empty() {
            true => Ok(()),
            false => Err(KeyError::Forked { generations: self.forks.iter().copied().collect() }),
        }
    }

    /// The newest generation: what is written is encrypted to it.
    #[must_use]
    pub fn current(&self) -> Option<&Generation> {
        self.generations.last()
    }

    /// The codec of a generation; of what is not encrypted for `None`. `None` if its keys are not at hand.
    #[must_use]
    pub fn codec(&self, generation: Option<Ulid>) -> Option<ChunkCodec> {
        match generation {
            None => self.generations.is_empty().then(ChunkCodec::plain),
            Some(id) => self.generations.iter().find(|found| found.id == id).map(ChunkCodec::of),
        }
    }

    /// What writers and pruners hold of these keys.
    ///
    /// # Errors
    /// [`KeyError::WriterKey`] if there are none; [`KeyError::Forked`].
    pub fn writer_key(&self) -> Result<WriterKey, KeyError> {
        let none = || KeyError::WriterKey { reason: "the store has no keys".to_owned() };
        let store = self.generations.first().ok_or_else(none)?.store;
        self.require_no_fork()?;
        let generations = self.generations.iter().map(|generation| Generation {
            data_secret: None,
            previous: None,
            ..generation.clone()
        });
        let fingerprint = self.fingerprint.ok_or_else(none)?;
        Ok(WriterKey { store, fingerprint, generations: generations.collect() })
    }
}

/// The generations, each once: they are wrapped for several holders. What is wrong with them goes to `reasons`.
fn distinct(
    store: Ulid,
    generations: Vec<Generation>,
    reasons: &mut Vec<String>,
) -> Result<Vec<Generation>, KeyError> {
    let mut by_id: BTreeMap<Ulid, Generation> = BTreeMap::new();
    for generation in generations {
        let (id, found) = (generation.id, generation.store);
        if found != store {
            return Err(KeyError::OtherStore { generation: id, found, store });
        }
        let fingerprint = generation.fingerprint();
        let other = by_id.insert(id, generation);
        if other.is_some_and(|other| other.fingerprint() != fingerprint) {
            reasons.push(format!("{id} is wrapped with different keys for different recipients"));
        }
    }
    Ok(by_id.into_values().collect())
}

/// The generations in order, from the first on, and which of them follow the same one as another does. What follows none
/// goes to `reasons`.
fn follow(
    generations: Vec<Generation>,
    reasons: &mut Vec<String>,
) -> Result<(Vec<Generation>, BTreeSet<Ulid>), KeyError> {
    let (mut chain, mut rest): (Vec<Generation>, Vec<Generation>) =
        generations.into_iter().partition(|generation| generation.previous.is_none());
    if chain.len() > 1 {
        reasons.extend(chain.iter().map(|first| format!("{} is a first one", first.id)));
    }
    let mut forks = BTreeSet::new();
    let mut position = 0;
    while let Some(previous) = chain.get(position) {
        let mut next = Vec::new();
        let mut others = Vec::new();
        for generation in rest {
            if previous.precedes(&generation)? { next.push(generation) } else { others.push(generation) }
        }
        rest = others;
        if next.len() > 1 {
            forks.extend(next.iter().map(|generation| generation.id));
        }
        chain.extend(next);
        position += 1;
    }
    let lost = |generation: &Generation| {
        let (previous, _) = generation.previous?;
        let id = generation.id;
        Some(format!("{id} says that it follows {previous}, which is not so or cannot be seen"))
    };
    reasons.extend(rest.iter().filter_map(lost));
    Ok((chain, forks))
}
