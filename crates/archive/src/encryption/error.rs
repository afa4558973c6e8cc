//! What can be wrong with keys.

use ulid::Ulid;

use super::Fingerprint;

/// An error in a key; none shows anything of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A text that should be a recipient is none.
    #[error(
        "{place} is not a recipient of age: one starts with age1, is 62 characters long and ends in a checksum"
    )]
    Recipient {
        /// Where the text stands, e.g. `line 3`.
        place: String,
    },
    /// A text that should be identities of age is none.
    #[error("{place} is not an identity of age: one starts with AGE-SECRET-KEY-1")]
    Identity {
        /// Where the text stands.
        place: String,
    },
    /// A file of identities has none.
    #[error("it holds no identity of age: one is a line that starts with AGE-SECRET-KEY-1")]
    NoIdentity,
    /// A fingerprint is not written as one is.
    #[error("{text:?} is not the fingerprint of a store: one has 32 hexadecimal digits")]
    Fingerprint {
        /// What was given.
        text: String,
    },
    /// A writer key file is not what was written.
    #[error("it is not a writer key file of dbhaul: {reason}")]
    WriterKey {
        /// What is wrong.
        reason: String,
    },
    /// A wrapped key cannot be opened with the keys at hand.
    #[error("{key} cannot be opened with the key or passphrase that was given: {reason}")]
    Unwrap {
        /// The object.
        key: String,
        /// Why.
        reason: String,
    },
    /// A wrapped key was opened and is not what one is.
    #[error("{key} does not hold a key generation: {reason}")]
    Generation {
        /// The object.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A key generation was made for another store.
    #[error("key generation {generation} belongs to the store {found}, not to {store}")]
    OtherStore {
        /// The generation.
        generation: Ulid,
        /// The store it was made for.
        found: Ulid,
        /// The store that is read.
        store: Ulid,
    },
    /// The store holds key generations that do not follow from one first generation.
    #[error("the key generations of the store do not follow from one first generation: {}", reasons.join("; "))]
    Unchained {
        /// What is wrong, naming each generation.
        reasons: Vec<String>,
    },
    /// Two key generations follow the same one.
    #[error(
        "the key generations {} follow the same one, as after two rotations at the same time",
        joined(generations)
    )]
    Forked {
        /// Those that do.
        generations: Vec<Ulid>,
    },
    /// The first key generation is another than the one that is expected.
    #[error(
        "the store has the fingerprint {found}, where {expected} is expected: its keys were replaced, or it is another store"
    )]
    WrongFingerprint {
        /// What was asked for.
        expected: Fingerprint,
        /// What the store's keys have.
        found: Fingerprint,
    },
    /// Only who can read rows can do this.
    #[error("the data key of generation {generation} is needed, which a writer key does not hold")]
    NoDataKey {
        /// The generation.
        generation: Ulid,
    },
    /// A key could not be encrypted.
    #[error("{object} cannot be encrypted: {reason}")]
    Encrypt {
        /// What.
        object: String,
        /// Why.
        reason: String,
    },
}

fn joined(generations: &[Ulid]) -> String {
    generations.iter().map(Ulid::to_string).collect::<Vec<_>>().join(" and ")
}
