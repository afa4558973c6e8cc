//! The file that rows are written into, compressed or not.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use lz4_flex::frame::FrameEncoder;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use super::Compression;
use crate::PipelineError;
use crate::output_place::{ByteStream, OutputPlace, Pending};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// A file under construction; dropped, it is gone.
pub(super) struct OutputFile {
    out: ByteStream,
    /// Compresses what goes to `out`: the C library that `async-compression` has for LZ4 holds functions of the same names as
    /// the parser of `pg_query`, so that both cannot be linked.
    lz4: Option<FrameEncoder<Vec<u8>>>,
    place: String,
    pending: Option<Pending>,
    written_bytes: Arc<AtomicU64>,
}

impl OutputFile {
    pub(super) async fn open(
        output: OutputPlace,
        compression: Option<Compression>,
    ) -> Result<Self, PipelineError> {
        let place = output.name();
        let opened = output.open().await;
        let (stream, pending) =
            opened.map_err(|source| PipelineError::Output { place: place.clone(), source })?;
        let written_bytes = Arc::new(AtomicU64::new(0));
        let counting = Counting { stream, written_bytes: Arc::clone(&written_bytes) };
        let out = BufWriter::with_capacity(BUFFER_BYTES, counting);
        let out: ByteStream = match compression {
            None | Some(Compression::Lz4) => Box::new(out),
            Some(Compression::Gzip) => Box::new(GzipEncoder::new(out)),
            Some(Compression::Zstd) => Box::new(ZstdEncoder::new(out)),
            Some(Compression::Xz) => Box::new(XzEncoder::new(out)),
            Some(Compression::Bzip2) => Box::new(BzEncoder::new(out)),
        };
        let lz4 = (compression == Some(Compression::Lz4)).then(|| FrameEncoder::new(Vec::new()));
        Ok(OutputFile { out, lz4, place, pending, written_bytes })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
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
    pub(super) async fn commit(mut self) -> Result<(String, u64), PipelineError> {
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
