//! Encryption, all of it by age: keys, who holds them, and files that are encrypted to them.
//!
//! A store that is encrypted has *key generations*, one from each rotation to the next. A [`Generation`] is two keys of
//! age: the *data key*, which packs of rows are encrypted to, and the *metadata key*, for all else. Who restores
//! holds a private key or a passphrase ([`ReaderKeys`]) that opens `keys/<generation>.<holder>`, where both are wrapped;
//! who writes holds a [`WriterKey`]: the metadata keys and the public halves of the data keys. A [`Keyring`] is what is
//! at hand of a store's generations, and the [`ChunkCodec`](crate::ChunkCodec) of a generation does the work.

mod age_file;
mod error;
mod generation;
mod keyring;
mod recipient;
mod secret;
mod writer_key;

pub(crate) use age_file::{MAX_HEADER_BYTES, Parts, decrypt, derive, encrypt, stored_range, stored_tail};
pub use error::KeyError;
pub use generation::{Fingerprint, Generation};
pub use keyring::Keyring;
pub use recipient::{Holder, MAX_WRAPPED_BYTES, PASSPHRASE, ReaderKeys, Recipient, generate_identity};
pub use secret::Secret;
pub use writer_key::WriterKey;
