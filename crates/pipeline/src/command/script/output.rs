//! A script on its way to its place.

use std::time::Duration;

use dbhaul_catalog::failing_statement;

use crate::PipelineError;
use crate::output_file::{FileCompression, OutputFile};
use crate::output_place::OutputPlace;

/// How long a reader that has stopped reading is waited for when a run has failed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a script that is not complete says when it is run.
const INCOMPLETE: &str =
    "this dump is INCOMPLETE: the run that wrote it failed; do not use the restored database";

/// A script under construction.
pub(super) struct Sink {
    file: OutputFile,
    /// Columns of the `COPY` that is open.
    open_rows: Option<usize>,
}

impl Sink {
    pub(super) async fn open(
        output: OutputPlace,
        compression: Option<FileCompression>,
    ) -> Result<Self, PipelineError> {
        Ok(Sink { file: OutputFile::open(output, compression).await?, open_rows: None })
    }

    pub(super) async fn text(&mut self, text: &str) -> Result<(), PipelineError> {
        self.bytes(text.as_bytes()).await
    }

    pub(super) async fn bytes(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        self.file.write(bytes).await
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
        if self.file.is_stream() {
            let mut end = b"\n".to_vec();
            if let Some(columns) = self.open_rows {
                end.extend_from_slice(
                    format!("{INCOMPLETE}{}\n\\.\n\n", "\t".repeat(columns.max(1))).as_bytes(),
                );
            }
            end.extend_from_slice(failing_statement(INCOMPLETE).as_bytes());
            let farewell = async {
                self.file.write(&end).await?;
                self.file.commit().await
            };
            // Whoever reads it may have gone; the exit code says the same.
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
    }

    /// Brings everything to its place; returns the place and the bytes of the file.
    pub(super) async fn commit(self) -> Result<(String, u64), PipelineError> {
        self.file.commit().await
    }
}
