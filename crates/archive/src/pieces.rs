//! A long chunk in pieces, so that its plain bytes are never there as a whole.

use std::io::{self, Read};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};

use crate::{ArchiveError, ChunkCodec, ChunkId, ChunkOpener, ChunkPlace};

/// Bytes of a piece; the last one may have fewer.
const PIECE_BYTES: usize = 1 << 20;

/// The plain bytes of one chunk in pieces that end anywhere. They were verified before the first is
/// handed out, which takes a decompression of its own.
pub struct ChunkPieces {
    place: ChunkPlace,
    frame: Frame,
    left_bytes: u64,
}

type Frame = zstd::stream::read::Decoder<'static, Reader<Bytes>>;

impl ChunkOpener {
    /// The plain bytes of the chunk at `place` in pieces of 1 MiB, given its stored bytes. `look` sees all of them
    /// before the first is handed out.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedChunk`] unless lengths and hash are those of the place.
    pub fn open_in_pieces(
        codec: &ChunkCodec,
        place: &ChunkPlace,
        stored: Bytes,
        mut look: impl FnMut(&[u8]),
    ) -> Result<ChunkPieces, ArchiveError> {
        let opened = Self::check_frame(place, &stored).and_then(|plain_bytes| {
            let mut hasher = codec.hasher();
            let mut frame = decoder(stored.clone()).map_err(|error| error.to_string())?;
            let mut left_bytes = plain_bytes;
            while left_bytes > 0 {
                let piece = read_piece(&mut frame, left_bytes).map_err(|error| error.to_string())?;
                left_bytes -= piece.len() as u64;
                hasher.update(&piece);
                look(&piece);
            }
            // reads the checksum; more rows than the frame promised would be an error of zstd's
            let behind = frame.read(&mut [0]).map_err(|error| error.to_string())?;
            if behind > 0 || !frame.finish().into_inner().is_empty() {
                return Err("bytes follow the zstd frame".to_owned());
            }
            let found = ChunkId(*hasher.finalize().as_bytes());
            if found != place.id {
                return Err(format!("its bytes have the hash {found}"));
            }
            let frame = decoder(stored).map_err(|error| error.to_string())?;
            Ok(ChunkPieces { place: *place, frame, left_bytes: plain_bytes })
        });
        opened.map_err(|reason| damaged(place, reason))
    }
}

impl ChunkPieces {
    /// The next piece; `None` behind the last.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedChunk`] if zstd has no memory.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        if self.left_bytes == 0 {
            return Ok(None);
        }
        let piece = read_piece(&mut self.frame, self.left_bytes);
        let piece = piece.map_err(|error| damaged(&self.place, error.to_string()))?;
        self.left_bytes -= piece.len() as u64;
        Ok(Some(Bytes::from(piece)))
    }

    /// Whether all pieces were handed out.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left_bytes == 0
    }
}

impl std::fmt::Debug for ChunkPieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkPieces").field("left_bytes", &self.left_bytes).finish_non_exhaustive()
    }
}

fn decoder(stored: Bytes) -> io::Result<Frame> {
    Ok(zstd::stream::read::Decoder::with_buffer(stored.reader())?.single_frame())
}

fn read_piece(frame: &mut Frame, left_bytes: u64) -> io::Result<Vec<u8>> {
    let piece_bytes = left_bytes.min(PIECE_BYTES as u64) as usize;
    let mut piece = vec![0; piece_bytes];
    frame.read_exact(&mut piece)?;
    Ok(piece)
}

fn damaged(place: &ChunkPlace, reason: String) -> ArchiveError {
    ArchiveError::DamagedChunk { pack: place.pack, chunk: place.id, offset: place.offset, reason }
}
