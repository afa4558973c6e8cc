//! Large JSON texts, stored as pieces in metadata packs.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ArchiveError, ChunkCodec, ChunkOpener, ChunkPlace, ChunkSealer, SealedChunk};

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
    let mut pieces = Vec::new();
    write_pieces(document, value, |piece| {
        pieces.push(Bytes::from(piece));
        Ok(())
    })?;
    Ok(pieces)
}

/// As [`json_pieces`], with each piece sealed as soon as it is full: the text of a large
/// document is never held whole.
///
/// # Errors
/// [`ArchiveError::Encode`] naming `document`, [`ArchiveError::Seal`].
pub fn sealed_json<T: Serialize + ?Sized>(
    document: &str,
    value: &T,
    sealer: &mut ChunkSealer,
) -> Result<Vec<SealedChunk>, ArchiveError> {
    let mut sealed = Vec::new();
    write_pieces(document, value, |piece| {
        sealed.push(sealer.seal(&piece)?);
        Ok(())
    })?;
    Ok(sealed)
}

fn write_pieces<T: Serialize + ?Sized>(
    document: &str,
    value: &T,
    emit: impl FnMut(Vec<u8>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut writer = PieceWriter { emit, open: Vec::new(), failure: None };
    let written = serde_json::to_writer(&mut writer, value);
    if let Some(failure) = writer.failure {
        return Err(failure);
    }
    written.map_err(|error| ArchiveError::encode(document, error))?;
    if writer.open.is_empty() { Ok(()) } else { (writer.emit)(writer.open) }
}

struct PieceWriter<F> {
    emit: F,
    open: Vec<u8>,
    failure: Option<ArchiveError>,
}

impl<F: FnMut(Vec<u8>) -> Result<(), ArchiveError>> io::Write for PieceWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (now, _) = bytes.split_at(bytes.len().min(DOCUMENT_PIECE_BYTES - self.open.len()));
        self.open.extend_from_slice(now);
        if self.open.len() == DOCUMENT_PIECE_BYTES
            && let Err(failure) = (self.emit)(std::mem::take(&mut self.open))
        {
            self.failure = Some(failure);
            return Err(io::Error::other("a piece could not be sealed"));
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a document out of its stored pieces, opening one at a time: its text is never held whole.
///
/// # Errors
/// As [`ChunkOpener::open`]; [`ArchiveError::DamagedDocument`] if pieces are missing or the text is
/// not that of a `T`.
pub fn read_document<T: DeserializeOwned>(
    codec: &ChunkCodec,
    name: &str,
    document: &Document,
    stored: Vec<Bytes>,
) -> Result<T, ArchiveError> {
    let mut reader = DocumentReader {
        opener: codec.opener()?,
        pieces: document.pieces.iter().copied().zip(stored).collect(),
        open: Bytes::new(),
        read_bytes: 0,
        failure: None,
    };
    let value = serde_json::from_reader(io::BufReader::new(&mut reader));
    if let Some(failure) = reader.failure {
        return Err(failure);
    }
    let damaged = |reason: String| ArchiveError::DamagedDocument { document: name.to_owned(), reason };
    let value = value.map_err(|error| damaged(error.to_string()))?;
    match reader.read_bytes == document.plain_bytes {
        true => Ok(value),
        false => Err(damaged(format!("{} of {} bytes were read", reader.read_bytes, document.plain_bytes))),
    }
}

/// The text of a document.
struct DocumentReader {
    opener: ChunkOpener,
    pieces: VecDeque<(ChunkPlace, Bytes)>,
    /// What is left of the piece that was opened last.
    open: Bytes,
    read_bytes: u64,
    failure: Option<ArchiveError>,
}

impl io::Read for DocumentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.open.is_empty() {
            let Some((place, stored)) = self.pieces.pop_front() else { return Ok(0) };
            match self.opener.open(&place, &stored) {
                Ok(plain) => self.open = plain,
                Err(failure) => {
                    self.failure = Some(failure);
                    return Err(io::Error::other("a piece is damaged"));
                }
            }
        }
        let now = self.open.split_to(self.open.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(&now);
        self.read_bytes += now.len() as u64;
        Ok(now.len())
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
