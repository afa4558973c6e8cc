//! Where a script goes: a file that has its name once it is complete, or a stream.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dbhaul_catalog::failing_statement;
use tokio::fs;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use ulid::Ulid;

use crate::PipelineError;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// How long a reader that has stopped reading is waited for when a run has failed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a script that is not complete says when it is run.
const INCOMPLETE: &str =
    "this dump is INCOMPLETE: the run that wrote it failed; do not use the restored database";

/// Bytes that go somewhere.
pub type ByteStream = Box<dyn AsyncWrite + Send + Unpin>;

/// Where a script goes.
pub enum ScriptOutput {
    /// A file. It is written under another name beside it and renamed at the end;
    /// what is no regular file (a pipe, a device) is written directly.
    File(PathBuf),
    /// A stream, and what it is called in messages.
    Stream(ByteStream, &'static str),
}

impl fmt::Debug for ScriptOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptOutput::File(file) => f.debug_tuple("File").field(file).finish(),
            ScriptOutput::Stream(_, name) => f.debug_tuple("Stream").field(name).finish(),
        }
    }
}

/// A script under construction.
pub(super) struct Sink {
    out: BufWriter<ByteStream>,
    place: String,
    pending: Option<Pending>,
    written_bytes: u64,
    /// Columns of the `COPY` that is open.
    open_rows: Option<usize>,
}

/// A file that does not have its name yet; dropped, it is gone.
struct Pending {
    temporary: PathBuf,
    file: PathBuf,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After the rename there is nothing under this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl Sink {
    pub(super) async fn open(output: ScriptOutput) -> Result<Self, PipelineError> {
        match output {
            ScriptOutput::Stream(stream, name) => Ok(Sink::new(stream, name.to_owned(), None)),
            ScriptOutput::File(file) => {
                let place = file.display().to_string();
                let failed = |source| PipelineError::Output { place: place.clone(), source };
                let (stream, pending) = open_file(&file).await.map_err(failed)?;
                Ok(Sink::new(stream, place, pending))
            }
        }
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
            fs::File::open(&pending.temporary).await.map_err(failed)?.sync_all().await.map_err(failed)?;
            fs::rename(&pending.temporary, &pending.file).await.map_err(failed)?;
            sync_directory(&pending.file).await.map_err(failed)?;
        }
        Ok((place, self.written_bytes))
    }
}

async fn open_file(file: &Path) -> std::io::Result<(ByteStream, Option<Pending>)> {
    // A link keeps pointing where it does.
    let file = fs::canonicalize(file).await.unwrap_or_else(|_| file.to_owned());
    let is_special = fs::metadata(&file).await.is_ok_and(|metadata| !metadata.is_file());
    if is_special {
        let stream = fs::OpenOptions::new().write(true).open(&file).await?;
        return Ok((Box::new(stream), None));
    }
    let mut temporary = file.clone().into_os_string();
    temporary.push(format!(".{}.part", Ulid::generate()));
    let temporary = PathBuf::from(temporary);
    // It holds rows: the umask may let others read new files, and these they may not.
    let stream = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).await?;
    // And a umask takes away, even from the owner.
    stream.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).await?;
    Ok((Box::new(stream), Some(Pending { temporary, file })))
}

/// Makes a rename last.
async fn sync_directory(file: &Path) -> std::io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(directory.unwrap_or(Path::new("."))).await?.sync_all().await
}
