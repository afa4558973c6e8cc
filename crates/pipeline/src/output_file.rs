//! A file that is written, compressed or not.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_compression::Level;
use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use lz4_flex::frame::FrameEncoder;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use crate::output_place::{ByteStream, OutputPlace, Pending};
use crate::{Compression, PipelineError};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// How a whole file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCompression {
    /// By what.
    pub method: Compression,
    /// How hard, or as the method does where nothing is said.
    pub level: Option<i32>,
}

impl From<Compression> for FileCompression {
    fn from(method: Compression) -> Self {
        FileCompression { method, level: None }
    }
}

impl FileCompression {
    /// Refuses a level that the method does not have.
    ///
    /// # Errors
    /// Why, in words.
    pub fn check(self) -> Result<(), String> {
        let Some(level) = self.level else { return Ok(()) };
        let (name, levels) = match self.method {
            Compression::Lz4 => return Err("lz4 is written without levels here".to_owned()),
            Compression::Gzip => ("gzip", 1..=9),
            Compression::Bzip2 => ("bzip2", 1..=9),
            Compression::Xz => ("xz", 0..=9),
            Compression::Zstd => ("zstd", 1..=19),
        };
        if levels.contains(&level) {
            return Ok(());
        }
        Err(format!("{name} has levels from {} to {}, not {level}", levels.start(), levels.end()))
    }

    fn level(self) -> Level {
        self.level.map_or(Level::Default, Level::Precise)
    }
}

/// A file under construction; dropped, it is gone.
pub(crate) struct OutputFile {
    out: ByteStream,
    /// Compresses what goes to `out`: the C library that `async-compression` has for LZ4 holds functions of the same names as
    /// the parser of `pg_query`, so that both cannot be linked.
    lz4: Option<FrameEncoder<Vec<u8>>>,
    place: String,
    pending: Option<Pending>,
    written_bytes: Arc<AtomicU64>,
}

impl OutputFile {
    pub(crate) async fn open(
        output: OutputPlace,
        compression: Option<FileCompression>,
    ) -> Result<Self, PipelineError> {
        let place = output.name();
        let opened = output.open().await;
        let (stream, pending) =
            opened.map_err(|source| PipelineError::Output { place: place.clone(), source })?;
        let written_bytes = Arc::new(AtomicU64::new(0));
        let counting = Counting { stream, written_bytes: Arc::clone(&written_bytes) };
        let out = BufWriter::with_capacity(BUFFER_BYTES, counting);
        let method = compression.map(|compression| compression.method);
        let level = compression.map_or(Level::Default, FileCompression::level);
        let out: ByteStream = match method {
            None | Some(Compression::Lz4) => Box::new(out),
            Some(Compression::Gzip) => Box::new(GzipEncoder::with_quality(out, level)),
            Some(Compression::Zstd) => Box::new(ZstdEncoder::with_quality(out, level)),
            Some(Compression::Xz) => Box::new(XzEncoder::with_quality(out, level)),
            Some(Compression::Bzip2) => Box::new(BzEncoder::with_quality(out, level)),
        };
        let lz4 = (method == Some(Compression::Lz4)).then(|| FrameEncoder::new(Vec::new()));
        Ok(OutputFile { out, lz4, place, pending, written_bytes })
    }

    /// Whether what was written stays where it is when the rest fails.
    pub(crate) fn is_stream(&self) -> bool {
        self.pending.is_none()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        let written = match &mut self.lz4 {
            None => self.out.write_all(bytes).await,
            Some(encoder) => match encoder.write_all(bytes) {
                Ok(()) => self.out.write_all(&std::mem::take(encoder.get_mut())).await,
                Err(error) => Err(error),
            },
        };
        written.map_err(|source| PipelineError::Output { place: self.place.clone(), source })
    }

    /// Ends the compression and brings everything to its place; returns the place and the bytes of the file.
    pub(crate) async fn commit(mut self) -> Result<(String, u64), PipelineError> {
        let place = self.place;
        let failed = |source| PipelineError::Output { place: place.clone(), source };
        if let Some(encoder) = self.lz4 {
            let rest = encoder.finish().map_err(std::io::Error::from).map_err(failed)?;
            self.out.write_all(&rest).await.map_err(failed)?;
        }
        self.out.shutdown().await.map_err(failed)?;
        if let Some(pending) = &self.pending {
            pending.commit().await.map_err(failed)?;
        }
        Ok((place, self.written_bytes.load(Ordering::Relaxed)))
    }
}

/// Counts what reaches the file.
struct Counting {
    stream: ByteStream,
    written_bytes: Arc<AtomicU64>,
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.written_bytes.fetch_add(count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
