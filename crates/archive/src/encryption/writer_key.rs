//! What a machine that writes backups holds: it deduplicates and prunes, and cannot read rows.

use age::secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Fingerprint, Generation, KeyError, Secret};

/// The metadata keys of a store, and the public halves of its data keys. The last generation is the one to write with.
#[derive(Debug, Clone)]
pub struct WriterKey {
    pub(super) store: Ulid,
    pub(super) fingerprint: Fingerprint,
    pub(super) generations: Vec<Generation>,
}

/// As it stands in a file.
#[derive(Serialize, Deserialize)]
struct Text {
    dbhaul: String,
    version: u32,
    store: Ulid,
    fingerprint: String,
    generations: Vec<TextGeneration>,
}

#[derive(Serialize, Deserialize)]
struct TextGeneration {
    id: Ulid,
    data: String,
    metadata: String,
}

const KIND: &str = "writer-key";
const VERSION: u32 = 1;

impl WriterKey {
    /// The store it belongs to.
    #[must_use]
    pub fn store(&self) -> Ulid {
        self.store
    }

    /// The fingerprint of the store's first generation.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`KeyError::WriterKey`].
    pub fn to_text(&self) -> Result<Secret, KeyError> {
        let generation = |generation: &Generation| TextGeneration {
            id: generation.id,
            data: generation.data.to_string(),
            metadata: generation.metadata.to_string().expose_secret().to_owned(),
        };
        let text = Text {
            dbhaul: KIND.to_owned(),
            version: VERSION,
            store: self.store,
            fingerprint: self.fingerprint.to_string(),
            generations: self.generations.iter().map(generation).collect(),
        };
        let json = serde_json::to_string_pretty(&text);
        json.map(|json| Secret::new(json + "\n")).map_err(|error| invalid(&error.to_string()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`KeyError::WriterKey`]; nothing of the text is in it.
    pub fn parse(text: &Secret) -> Result<Self, KeyError> {
        // serde's own words could hold some of the text
        let parsed: Text = serde_json::from_str(text.expose())
            .map_err(|error| invalid(&format!("it is not as expected at line {}", error.line())))?;
        if parsed.dbhaul != KIND || parsed.version != VERSION {
            return Err(invalid("it is of another kind or version"));
        }
        let generations = parsed.generations.into_iter().map(|generation| {
            let data = generation.data.parse().map_err(|_| invalid("a data key in it is none"))?;
            let metadata =
                generation.metadata.parse().map_err(|_| invalid("a metadata key in it is none"))?;
            let (id, store) = (generation.id, parsed.store);
            Ok(Generation { id, store, data, data_secret: None, metadata, previous: None })
        });
        let generations: Vec<Generation> = generations.collect::<Result<_, KeyError>>()?;
        let fingerprint = parsed.fingerprint.parse()?;
        match generations.first() {
            Some(first) if first.fingerprint() == fingerprint => {
                Ok(Self { store: parsed.store, fingerprint, generations })
            }
            _ => Err(invalid("its fingerprint is not that of its first generation")),
        }
    }
}

fn invalid(reason: &str) -> KeyError {
    KeyError::WriterKey { reason: reason.to_owned() }
}
