//! Large JSON texts, stored as pieces in metadata packs.

use std::io;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ArchiveError, ChunkPlace};

/// Size of the pieces of a document; the last one is shorter.
pub const DOCUMENT_PIECE_BYTES: usize = 1 << 20;

/// Where a document or a segment list is stored: the chunks whose plain bytes, one after the other, are its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Bytes of the text.
    pub plain_bytes: u64,
    /// Its pieces, in order.
    pub pieces: Vec<ChunkPlace>,
}

impl Document {
    /// The document made of these pieces.
    #[must_use]
    pub fn new(pieces: Vec<ChunkPlace>) -> Self {
        Self { plain_bytes: pieces.iter().map(|piece| piece.plain_bytes).sum(), pieces }
    }
}

/// Writes a value as JSON in pieces of [`DOCUMENT_PIECE_BYTES`], to be sealed as metadata chunks.
///
/// # Errors
/// [`ArchiveError::Encode`] naming `document`.
pub fn json_pieces<T: Serialize + ?Sized>(document: &str, value: &T) -> Result<Vec<Bytes>, ArchiveError> {
    let mut writer = PieceWriter::default();
    serde_json::to_writer(&mut writer, value).map_err(|error| ArchiveError::encode(document, error))?;
    if !writer.open.is_empty() {
        writer.pieces.push(Bytes::from(writer.open));
    }
    Ok(writer.pieces)
}

#[derive(Default)]
struct PieceWriter {
    pieces: Vec<Bytes>,
    open: Vec<u8>,
}

impl io::Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (now, _) = bytes.split_at(bytes.len().min(DOCUMENT_PIECE_BYTES - self.open.len()));
        self.open.extend_from_slice(now);
        if self.open.len() == DOCUMENT_PIECE_BYTES {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.open)));
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts the pieces of a document together again.
#[derive(Debug)]
pub struct DocumentAssembler {
    name: String,
    expected_bytes: u64,
    text: Vec<u8>,
}

impl DocumentAssembler {
    /// For `document`, called `name` in errors.
    #[must_use]
    pub fn new(name: &str, document: &Document) -> Self {
        Self { name: name.to_owned(), expected_bytes: document.plain_bytes, text: Vec::new() }
    }

    /// Takes the plain bytes of the next piece.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedDocument`] when there are more than the document has.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), ArchiveError> {
        self.text.extend_from_slice(piece);
        if self.text.len() as u64 > self.expected_bytes {
            return Err(self.damaged(format!("it is longer than {} bytes", self.expected_bytes)));
        }
        Ok(())
    }

    /// The value.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedDocument`] if pieces are missing or the text is not that of a `T`.
    pub fn finish<T: DeserializeOwned>(self) -> Result<T, ArchiveError> {
        let found_bytes = self.text.len() as u64;
        if found_bytes != self.expected_bytes {
            return Err(self.damaged(format!("{found_bytes} of {} bytes were read", self.expected_bytes)));
        }
        serde_json::from_slice(&self.text).map_err(|error| self.damaged(error.to_string()))
    }

    fn damaged(&self, reason: String) -> ArchiveError {
        ArchiveError::DamagedDocument { document: self.name.clone(), reason }
    }
}
