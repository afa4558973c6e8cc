//! A store in a directory of a local or mounted file system.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::key::{TEMPORARY_PREFIX, valid_key, valid_prefix, valid_range};
use crate::memory::{past_the_end, too_long};
use crate::store::{TRIAL, longest};
use crate::{ErrorKind, ListPage, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError};

mod listing;

/// Keeps each object as a file whose path below the root is its key.
///
/// Only the owner may read what is written: files have the mode 0600 and directories 0700, whatever the umask
/// allows; an existing directory keeps its own.
///
/// Symbolic links below the root, which may be one itself, are not followed: nothing outside of it is listed, read,
/// written or deleted. A listing shows a link as an object of its own name, so that whoever removes what nobody needs
/// sees that something lies there that it does not know; to read it, or below it, is an error.
///
/// An object is written under a temporary name beside its place, synced, given its name by an
/// atomic rename (or, for [`PutMode::Create`], one that refuses to replace), and its directory is
/// synced. What a crash leaves under temporary names is not listed. Blocking calls run on tokio's
/// blocking threads.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    root: Arc<Path>,
    description: Arc<str>,
}

impl DirectoryStore {
    /// A store below `root`, which is created by the first `put` if need be.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let description = root.display().to_string().into();
        DirectoryStore { root: root.into(), description }
    }

    /// The directory that holds the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Checks that the root is a directory, or, when `may_create`, that nothing else is in its place.
    pub(crate) async fn check_root(&self, may_create: bool) -> Result<(), StoreError> {
        self.blocking(Operation::Open, None, move |root| match fs::metadata(root) {
            Ok(meta) if meta.is_dir() => fs::read_dir(root).map(drop),
            Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }

    /// Runs blocking work on the root and gives its error the name of this store and of `key`.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: Operation,
        key: Option<&str>,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let root = Arc::clone(&self.root);
        let result = tokio::task::spawn_blocking(move || work(&root)).await;
        let failed = |error: io::Error| self.error(operation, key, error);
        result.map_err(|join| failed(io::Error::other(join)))?.map_err(failed)
    }

    fn error(&self, operation: Operation, key: Option<&str>, error: io::Error) -> StoreError {
        let (kind, detail) = classify(operation, &error);
        let mut named = StoreError::new(kind, operation, Arc::clone(&self.description));
        if let Some(key) = key {
            named = named.with_key(key);
        }
        if let Some(detail) = detail {
            named = named.with_detail(detail);
        }
        named.with_source(error)
    }
}

#[async_trait]
impl Store for DirectoryStore {
    fn describe(&self) -> String {
        self.description.to_string()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        valid_key(key, Operation::Put, &self.description)?;
        let relative = PathBuf::from(key);
        self.blocking(Operation::Put, Some(key), move |root| write_object(root, &relative, &bytes, mode))
            .await
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        valid_key(key, Operation::Put, &self.description)?;
        let (relative, limit_bytes, old) = (PathBuf::from(key), longest(old, &new), old.clone());
        let replacing = move |root: &Path| replace_object(root, &relative, (&old, &new));
        let replaced = self.blocking(Operation::Put, Some(key), replacing).await?;
        replaced.ok_or_else(|| too_long(&self.description, key, limit_bytes))
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        valid_key(key, Operation::Get, &self.description)?;
        let relative = PathBuf::from(key);
        let reading = move |root: &Path| read_object(&inside(root, &relative)?, limit_bytes);
        let read = self.blocking(Operation::Get, Some(key), reading).await?;
        read.ok_or_else(|| too_long(&self.description, key, limit_bytes))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        valid_key(key, Operation::GetRange, &self.description)?;
        valid_range(&range, key, &self.description)?;
        let relative = PathBuf::from(key);
        let wanted = range.clone();
        let read = self
            .blocking(Operation::GetRange, Some(key), move |root| {
                read_range(&inside(root, &relative)?, &wanted)
            })
            .await?;
        read.map_err(|size_bytes| past_the_end(&self.description, key, &range, size_bytes))
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        valid_key(key, Operation::Head, &self.description)?;
        let relative = PathBuf::from(key);
        let meta = self
            .blocking(Operation::Head, Some(key), move |root| object_metadata(&inside(root, &relative)?))
            .await?;
        Ok(object_meta(key.to_owned(), &meta))
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        valid_prefix(prefix, &self.description)?;
        let (start, after) = (prefix.to_owned(), token.map(str::to_owned));
        self.blocking(Operation::List, Some(prefix), move |root| {
            listing::page(root, &start, after.as_deref())
        })
        .await
    }

    async fn try_write(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            valid_key(key, Operation::Put, &self.description)?;
            let relative = PathBuf::from(key);
            let trying = move |root: &Path| try_write_near(&beside(root, &relative)?);
            self.blocking(Operation::Put, Some(key), trying).await?;
        }
        Ok(())
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.blocking(Operation::Open, None, |root| free_bytes(&existing(root))).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        valid_key(key, Operation::Delete, &self.description)?;
        let relative = PathBuf::from(key);
        self.blocking(Operation::Delete, Some(key), move |root| delete_object(root, &relative)).await
    }
}

fn object_meta(key: String, meta: &fs::Metadata) -> ObjectMeta {
    ObjectMeta { key, size_bytes: meta.len(), modified: meta.modified().ok(), md5: None }
}

/// What lies where an object should, and is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoObject(String);

fn no_object(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, NoObject(what.into()))
}

/// The path of an object, unless it leads out of the store or is a link itself.
fn inside(root: &Path, relative: &Path) -> io::Result<PathBuf> {
    let path = beside(root, relative)?;
    match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_symlink() => Err(no_object(match path.try_exists() {
            Ok(false) => "it is a symbolic link that leads nowhere",
            _ => "it is a symbolic link, which is not followed, and no regular file",
        })),
        _ => Ok(path),
    }
}

/// The path of an object, unless it leads out of the store; what lies in its place may be a link.
fn beside(root: &Path, relative: &Path) -> io::Result<PathBuf> {
    let directories = relative.parent().unwrap_or(Path::new(""));
    refuse_links(root, directories)?;
    Ok(root.join(relative))
}

/// Fails if one of these directories below the root is a symbolic link.
fn refuse_links(root: &Path, directories: &Path) -> io::Result<()> {
    let mut path = root.to_path_buf();
    for directory in directories {
        path.push(directory);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => {
                let name = path.strip_prefix(root).unwrap_or(&path).display();
                return Err(no_object(format!(
                    "{name} in the store is a symbolic link, and links are not followed: put what it leads to in its \
                     place"
                )));
            }
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Metadata of a regular file. A directory is no object. Whatever else there is, a link included, is an error: to
/// take it for an absent object would be to write over it.
fn object_metadata(path: &Path) -> io::Result<fs::Metadata> {
    let meta = fs::symlink_metadata(path)?;
    check_regular(&meta).map(|()| meta)
}

fn check_regular(meta: &fs::Metadata) -> io::Result<()> {
    match () {
        () if meta.is_file() => Ok(()),
        () if meta.is_dir() => Err(io::ErrorKind::NotFound.into()),
        () => Err(no_object("it is a pipe, a socket or a device, and no regular file")),
    }
}

/// Opens a regular file. Looking first, and not waiting when opening, keeps a pipe that nobody writes to from
/// holding us up for ever.
fn open_object(path: &Path) -> io::Result<(File, u64)> {
    object_metadata(path)?;
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    }
    let file = options.open(path)?;
    let meta = file.metadata()?;
    check_regular(&meta)?;
    Ok((file, meta.len()))
}

/// The bytes of the object; `None` if it has more than it may.
fn read_object(path: &Path, limit_bytes: u64) -> io::Result<Option<Bytes>> {
    let (file, size_bytes) = open_object(path)?;
    if size_bytes > limit_bytes {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).map_err(io::Error::other)?);
    // one more than there should be tells of a file that grows
    file.take(size_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size_bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes.into()))
}

/// The bytes of the range, or the object's size when it ends before the range does.
fn read_range(path: &Path, range: &Range<u64>) -> io::Result<Result<Bytes, u64>> {
    let (mut file, size_bytes) = open_object(path)?;
    if range.end > size_bytes {
        return Ok(Err(size_bytes));
    }
    let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(Ok(bytes.into()))
}

/// Bytes given to the kernel at once. For longer writes it looks for larger pieces of memory to keep them in,
/// and to find those took four times as long as to copy the bytes (Linux 6, ext4).
const WRITE_BYTES: usize = 16 << 10;

fn write_object(root: &Path, relative: &Path, bytes: &[u8], mode: PutMode) -> io::Result<()> {
    let target = beside(root, relative)?;
    let parent = target.parent().unwrap_or(root);
    create_directories(parent)?;
    if mode == PutMode::Create && target.try_exists()? {
        // Not needed for correctness: the rename below refuses too, after the bytes were written.
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // Dropping the temporary file, as every early return below does, removes it.
    let temporary = written_file(parent, bytes)?;
    match mode {
        PutMode::Overwrite => temporary.persist(&target),
        PutMode::Create => temporary.persist_noclobber(&target),
    }
    .map_err(|failed| failed.error)?;
    sync_directory(parent)
}

/// A temporary file with these bytes, which are on the disk.
fn written_file(directory: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut temporary = temporary_file(directory)?;
    for piece in bytes.chunks(WRITE_BYTES) {
        temporary.write_all(piece)?;
    }
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Puts new bytes in the place of the old ones, if those are there; `None` if there are more than of either.
fn replace_object(
    root: &Path,
    relative: &Path,
    (old, new): (&Bytes, &Bytes),
) -> io::Result<Option<Replaced>> {
    let target = inside(root, relative)?;
    let found = match read_object(&target, longest(old, new)) {
        Ok(None) => return Ok(None),
        Ok(found) => found,
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(error),
    };
    if found.as_ref() != Some(old) {
        return Ok(Some(Replaced::Found(found)));
    }
    let parent = target.parent().unwrap_or(root);
    let temporary = written_file(parent, new)?;
    match exchange(temporary.path(), &target) {
        Ok(true) => drop(temporary),
        Ok(false) => _ = temporary.persist(&target).map_err(|failed| failed.error)?,
        // somebody has deleted it since it was read
        Err(error) if is_absent(&error) => return Ok(Some(Replaced::Found(None))),
        Err(error) => return Err(error),
    }
    sync_directory(parent)?;
    Ok(Some(Replaced::Done))
}

/// Lets two files change their names in one step, which fails if one of them is not there; `false` where the system cannot.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

fn temporary_file(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    #[cfg(unix)]
    {
        // Rows and definitions are for the owner alone, and not for whoever the umask lets read.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o600));
    }
    let temporary = builder.tempfile_in(directory)?;
    give_back(temporary.path(), 0o600)?;
    Ok(temporary)
}

/// Gives the owner what a umask took of it, which is nothing with those that people have.
#[cfg(unix)]
fn give_back(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_whole = fs::metadata(path)?.permissions().mode() & mode == mode;
    if is_whole { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(mode)) }
}

#[cfg(not(unix))]
fn give_back(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Writes a file where an object would lie, or in the nearest directory there is, and removes it.
fn try_write_near(object: &Path) -> io::Result<()> {
    let mut temporary = temporary_file(&existing(object.parent().unwrap_or(object)))?;
    temporary.write_all(TRIAL)?;
    temporary.as_file().sync_all()?;
    temporary.close()
}

/// The path, or the nearest of its ancestors that exists.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| fs::symlink_metadata(path).is_ok());
    found.unwrap_or(Path::new(".")).to_path_buf()
}

/// What the file system has left for this account.
#[cfg(unix)]
fn free_bytes(directory: &Path) -> io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(directory)?;
    Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Creates a directory and its missing ancestors; each is synced into its parent, or a crash could
/// lose the way to an object that was reported as written.
fn create_directories(directory: &Path) -> io::Result<()> {
    match create_private(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = directory.parent() else { return Err(error) };
            create_directories(parent)?;
            match create_private(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Err(error) => return Err(error),
    }
    directory.parent().map_or(Ok(()), sync_directory)
}

/// Creates a directory for its owner alone.
fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    give_back(directory, 0o700)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    match File::open(directory)?.sync_all() {
        // Some network file systems cannot sync a directory; they order its changes themselves.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Removes the file. Its directory stays, for another writer may be about to use it.
fn delete_object(root: &Path, relative: &Path) -> io::Result<()> {
    let target = beside(root, relative)?;
    match fs::remove_file(&target) {
        Ok(()) => target.parent().map_or(Ok(()), sync_directory),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the path does not exist, or leads through a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The class of an I/O error, and words where the general phrase would mislead.
fn classify(operation: Operation, error: &io::Error) -> (ErrorKind, Option<String>) {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound if operation == Operation::Open => {
            let detail = "there is no such directory; check the path, or write a backup there first";
            (ErrorKind::MissingStore, Some(detail.into()))
        }
        Io::NotADirectory if operation == Operation::Open => (
            ErrorKind::Invalid,
            Some("the path is not a directory; name one that is or does not exist yet".into()),
        ),
        Io::NotFound => (ErrorKind::NotFound, None),
        Io::NotADirectory if operation != Operation::Put => (ErrorKind::NotFound, None),
        Io::NotADirectory | Io::IsADirectory | Io::DirectoryNotEmpty => {
            (ErrorKind::Unsupported, Some("a file and a directory of the store want the same name".into()))
        }
        Io::AlreadyExists => (ErrorKind::AlreadyExists, None),
        Io::PermissionDenied => (ErrorKind::PermissionDenied, None),
        Io::ReadOnlyFilesystem => (
            ErrorKind::PermissionDenied,
            Some("the file system is mounted read-only; remount it or use another".into()),
        ),
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => (ErrorKind::OutOfSpace, None),
        Io::UnexpectedEof => {
            (ErrorKind::Damaged, Some("the length of the file changed while it was read".into()))
        }
        Io::InvalidData => {
            let no_object = error.get_ref().and_then(|cause| cause.downcast_ref::<NoObject>());
            (ErrorKind::Damaged, no_object.map(ToString::to_string))
        }
        Io::TimedOut | Io::StaleNetworkFileHandle => (ErrorKind::Unreachable, None),
        _ => (ErrorKind::Other, None),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::classify;
    use crate::{ErrorKind, Operation};

    #[test]
    fn a_full_disk_is_told_by_its_error_number() {
        // ENOSPC, EDQUOT, EFBIG of Linux.
        for number in [28, 122, 27] {
            let (kind, _) = classify(Operation::Put, &io::Error::from_raw_os_error(number));
            assert_eq!(kind, ErrorKind::OutOfSpace, "errno {number}");
        }
    }

    #[test]
    fn a_missing_root_is_not_a_missing_object() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(classify(Operation::Open, &error).0, ErrorKind::MissingStore);
        assert_eq!(classify(Operation::Get, &error).0, ErrorKind::NotFound);
    }
}
