//! Where a command writes what it makes: a file that has its name once it is complete, or a stream.

use std::fmt;
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::io::AsyncWrite;
use ulid::Ulid;

/// Bytes that go somewhere.
pub type ByteStream = Box<dyn AsyncWrite + Send + Unpin>;

/// Where a command writes.
pub enum OutputPlace {
    /// A file. It is written under another name beside it and renamed at the end;
    /// what is no regular file (a pipe, a device) is written directly.
    File(PathBuf),
    /// A stream, and what it is called in messages.
    Stream(ByteStream, &'static str),
}

impl fmt::Debug for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputPlace::File(file) => f.debug_tuple("File").field(file).finish(),
            OutputPlace::Stream(_, name) => f.debug_tuple("Stream").field(name).finish(),
        }
    }
}

impl OutputPlace {
    /// What it is called in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            OutputPlace::File(file) => file.display().to_string(),
            OutputPlace::Stream(_, name) => (*name).to_owned(),
        }
    }

    /// The stream to write to, and the file that it will be, if it will be one.
    pub(crate) async fn open(self) -> std::io::Result<(ByteStream, Option<Pending>)> {
        match self {
            OutputPlace::Stream(stream, _) => Ok((stream, None)),
            OutputPlace::File(file) => open_file(&file).await,
        }
    }
}

/// A file that does not have its name yet; dropped, it is gone.
pub(crate) struct Pending {
    temporary: PathBuf,
    file: PathBuf,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After the rename there is nothing under this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl Pending {
    /// Gives the file its name, when all of it is written.
    pub(crate) async fn commit(&self) -> std::io::Result<()> {
        fs::File::open(&self.temporary).await?.sync_all().await?;
        fs::rename(&self.temporary, &self.file).await?;
        sync_directory(&self.file).await
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
