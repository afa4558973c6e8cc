//! `store key`.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use dbhaul_archive::{Holder, PASSPHRASE};
use dbhaul_progress::counted;
use dbhaul_repository::{KeyStore, RepositoryError, Rotation, StoreKeys};
use dbhaul_store::StoreUrl;
use serde::Serialize;

use super::write_key;
use crate::{Context, PipelineError};

/// The keys of a store.
#[derive(Debug, Clone, Serialize)]
pub struct KeyList {
    /// The store.
    pub store: String,
    /// Its identity.
    pub id: String,
    /// Its fingerprint, if a key was given; otherwise nothing was verified.
    pub fingerprint: Option<String>,
    /// Oldest first.
    pub generations: Vec<ListedGeneration>,
}

/// A generation of keys.
#[derive(Debug, Clone, Serialize)]
pub struct ListedGeneration {
    /// Its identity.
    pub id: String,
    /// Its fingerprint, if a key opened it.
    pub fingerprint: Option<String>,
    /// Whom it is wrapped for, as the names of the objects say.
    pub holders: BTreeSet<String>,
    /// Whether another one follows the same generation, as after two rotations at the same time; seen with a key only.
    pub is_forked: bool,
}

/// What is to become of a store's keys.
#[derive(Debug)]
pub enum KeyChange {
    /// Let somebody else open the store, or another passphrase in the place of the one that opens it.
    Add(Holder),
    /// Remove what is wrapped for one.
    Remove {
        /// Whose they are.
        holder: String,
        /// Whether nobody need show that others can open the store.
        unverified: bool,
    },
    /// Make new keys for what is written from now on, for these, who must be those of now.
    Rotate {
        /// Who can read its backups.
        holders: Vec<Holder>,
        /// Where the new writer key goes.
        writer_key_out: PathBuf,
    },
    /// Remove a generation that no backup uses, where another one follows the same generation.
    RemoveGeneration {
        /// Its identity.
        generation: String,
    },
    /// Write the writer key once more.
    Writer {
        /// Where it goes.
        writer_key_out: PathBuf,
    },
}

/// What became of a store's keys.
#[derive(Debug, Clone, Serialize)]
pub struct KeyReport {
    /// The store.
    pub store: String,
    /// What was done, in words.
    pub done: String,
    /// The file that writers need from now on.
    pub writer_key: Option<PathBuf>,
}

/// Lists the keys of a store. With a key it also verifies that they follow from one first generation.
///
/// # Errors
/// If there is no encrypted store, or its keys are not as they must be.
pub async fn list_keys(store: &StoreUrl, context: Context) -> Result<KeyList, PipelineError> {
    let keys = KeyStore::open(store, &context.keys, false, &context.progress, &context.cancel).await?;
    let opened = keys.opened();
    let listed = keys.holders().iter().map(|(id, holders)| ListedGeneration {
        id: id.to_string(),
        fingerprint: opened
            .iter()
            .find(|generation| generation.id() == *id)
            .map(|generation| generation.fingerprint().to_string()),
        holders: holders.clone(),
        is_forked: keys.forks().contains(id),
    });
    Ok(KeyList {
        store: keys.describe(),
        id: keys.id().to_string(),
        fingerprint: keys.fingerprint().map(|fingerprint| fingerprint.to_string()),
        generations: listed.collect(),
    })
}

/// Changes the keys of a store.
///
/// # Errors
/// If the keys at hand do not open all of its generations, where that is needed; nothing was changed then.
pub async fn change_keys(
    store: &StoreUrl,
    change: KeyChange,
    context: Context,
) -> Result<KeyReport, PipelineError> {
    let writes = !matches!(change, KeyChange::Writer { .. });
    let mut own = StoreKeys::clone(&context.keys);
    if let KeyChange::Add(Holder::Passphrase(next)) = &change
        && own.reader.open(PASSPHRASE)
    {
        own.reader.set_next_passphrase(next.clone());
    }
    let keys = KeyStore::open(store, &own, writes, &context.progress, &context.cancel).await?;
    let store = keys.describe();
    let (done, writer_key) = match change {
        KeyChange::Add(holder) => (add_holder(&keys, holder).await?, None),
        KeyChange::Remove { holder, unverified } => {
            let count = keys.remove(&holder, unverified).await?;
            let removed = counted(count, "wrapped key");
            let warning =
                "the holder may have kept a copy: rotate the keys, so that new backups have new ones";
            (format!("removed {removed} of {holder}; {warning}"), None)
        }
        KeyChange::Rotate { holders, writer_key_out } => {
            let rotation = keys.rotate(holders).await?;
            let generation = rotation.generation();
            store_rotation(rotation, &writer_key_out).await?;
            let next =
                "dumps need the new writer key from now on, and the next backup of each database is full";
            (format!("key generation {generation} begins; {next}"), Some(writer_key_out))
        }
        KeyChange::RemoveGeneration { generation } => {
            let count = keys.remove_generation(&generation, &context.cancel).await?;
            let removed = counted(count, "wrapped key");
            let next = "dumps go on with the writer key of what is left, which `dbhaul store key writer` writes again";
            (format!("removed {removed} of key generation {generation}; {next}"), None)
        }
        KeyChange::Writer { writer_key_out } => {
            write_key(&writer_key_out, &keys.writer_key()?)?;
            ("wrote the writer key".to_owned(), Some(writer_key_out))
        }
    };
    Ok(KeyReport { store, done, writer_key })
}

/// Lets somebody else open the store; returns what was done, in words.
async fn add_holder(keys: &KeyStore, holder: Holder) -> Result<String, PipelineError> {
    let name = holder.name();
    match holder {
        Holder::Passphrase(next) if keys.is_opened_by_passphrase() => {
            let wrapped = counted(keys.replace_passphrase(next).await?, "key generation");
            let warning = "print the recovery kit anew; whoever knows the old passphrase and has a copy of the old \
                           keys can still open these: rotate the keys, so that new backups have new ones";
            Ok(format!("another passphrase opens {wrapped} now; {warning}"))
        }
        holder => Ok(match keys.add(holder).await? {
            0 => format!("{name} opens every key generation already"),
            count => format!("{name} opens {} more now", counted(count, "key generation")),
        }),
    }
}

/// Stores a new generation. The writer key is written first: without it nothing could be backed up.
async fn store_rotation(rotation: Rotation, writer_key_out: &Path) -> Result<(), PipelineError> {
    write_key(writer_key_out, rotation.writer_key())?;
    let stored = rotation.commit().await;
    if let Err(RepositoryError::RotationAtWork { .. } | RepositoryError::RotationLeft { .. }) = &stored {
        // nothing is to be written with it
        let _ = std::fs::remove_file(writer_key_out);
    }
    stored.map_err(PipelineError::from)
}

impl Display for KeyList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "store {} in {}", self.id, self.store)?;
        match &self.fingerprint {
            Some(fingerprint) => write!(f, "\nfingerprint {fingerprint}")?,
            None => write!(f, "\nnot verified: no key was given")?,
        }
        for generation in &self.generations {
            let holders: Vec<&str> = generation.holders.iter().map(String::as_str).collect();
            write!(f, "\n  {}  {}", generation.id, holders.join(", "))?;
            if self.fingerprint.is_some() && generation.fingerprint.is_none() {
                write!(f, "  (the key that was given does not open it)")?;
            }
            if generation.is_forked {
                write!(f, "  (one of two that follow the same generation)")?;
            }
        }
        Ok(())
    }
}

impl Display for KeyReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.store, self.done)?;
        match &self.writer_key {
            Some(file) => write!(f, "\n  writer key  {}", file.display()),
            None => Ok(()),
        }
    }
}
