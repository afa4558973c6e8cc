//! A script on its way to its place.

use std::time::Duration;

use dbhaul_catalog::failing_statement;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::PipelineError;
use crate::output_place::{ByteStream, OutputPlace, Pending};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// How long a reader that has stopped reading is waited for when a run has failed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a script that is not complete says when it is run.
const INCOMPLETE: &str =
    "this dump is INCOMPLETE: the run that wrote it failed; do not use the restored database";

/// A script under construction.
pub(super) struct Sink {
    out: BufWriter<ByteStream>,
    place: String,
    pending: Option<Pending>,
    written_bytes: u64,
    /// Columns of the `COPY` that is open.
    open_rows: Option<usize>,
}

impl Sink {
    pub(super) async fn open(output: OutputPlace) -> Result<Self, PipelineError> {
        let place = output.name();
        let opened = output.open().await;
        let (stream, pending) =
            opened.map_err(|source| PipelineError::Output { place: place.clone(), source })?;
        Ok(Sink::new(stream, place, pending))
    }

    fn new(stream: ByteStream, place: String, pending: Option<Pending>) -> Self {
        let out = BufWriter::with_capacity(BUFFER_BYTES, stream);
        Sink { out, place, pending, written_bytes: 0, open_rows: None }
    }

    pub(super) async fn text(&mut self, text: &str) -> Result<(), PipelineError> {
        self.bytes(text.as_bytes()).await
    }

    pub(super) async fn bytes(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        self.written_bytes += bytes.len() as u64;
        let written = self.out.write_all(bytes).await;
        written.map_err(|source| PipelineError::Output { place: self.place.clone(), source })
    }

    /// Begins a `COPY` of this many columns.
    pub(super) async fn begin_rows(&mut self, header: &str, columns: usize) -> Result<(), PipelineError> {
        self.open_rows = Some(columns);
        self.text(header).await
    }

    pub(super) async fn end_rows(&mut self) -> Result<(), PipelineError> {
        self.text("\\.\n\n\n").await?;
        self.open_rows = None;
        Ok(())
    }

    /// Ends a script that failed: a row with too many columns fails an open `COPY`,
    /// so that none of its rows stay, and a statement fails after it. A file is gone.
    pub(super) async fn abandon(mut self) {
        if self.pending.is_none() {
            let mut end = b"\n".to_vec();
            if let Some(columns) = self.open_rows {
                end.extend_from_slice(
                    format!("{INCOMPLETE}{}\n\\.\n\n", "\t".repeat(columns.max(1))).as_bytes(),
                );
            }
            end.extend_from_slice(failing_statement(INCOMPLETE).as_bytes());
            let farewell = async {
                self.out.write_all(&end).await?;
                self.out.flush().await
            };
            // Whoever reads it may have gone; the exit code says the same.
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
    }

    /// Brings everything to its place; returns the place and the bytes.
    pub(super) async fn commit(mut self) -> Result<(String, u64), PipelineError> {
        let place = self.place.clone();
        let failed = |source| PipelineError::Output { place: place.clone(), source };
        self.out.flush().await.map_err(failed)?;
        if let Some(pending) = &self.pending {
            pending.commit().await.map_err(failed)?;
        }
        Ok((place, self.written_bytes))
    }
}
