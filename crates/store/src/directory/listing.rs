//! Listing a directory tree in key order, a page at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::{is_absent, object_meta, refuse_links};
use crate::key::TEMPORARY_PREFIX;
use crate::{ListPage, ObjectMeta};

/// Objects per page.
const PAGE_OBJECT_COUNT: usize = 1000;

/// What a file system keeps for itself at its top, where nobody but root may look.
const LOST_AND_FOUND: &str = "lost+found";

/// The page of objects whose keys start with `prefix` and are greater than `after`.
///
/// Memory is bounded by the page and the entries of the directories on one path.
pub(super) fn page(root: &Path, prefix: &str, after: Option<&str>) -> io::Result<ListPage> {
    let mut walk = Walk { root, prefix, after, objects: Vec::new() };
    // Only the directory that the prefix names can hold a match.
    let directory = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
    refuse_links(root, Path::new(directory))?;
    walk.directory(directory)?;
    let mut objects = walk.objects;
    let is_last = objects.len() <= PAGE_OBJECT_COUNT;
    objects.truncate(PAGE_OBJECT_COUNT);
    let next = objects.last().filter(|_| !is_last).map(|last| last.key.clone());
    Ok(ListPage { objects, next })
}

struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    after: Option<&'a str>,
    /// Up to one more than a page, to know whether there is a next one.
    objects: Vec<ObjectMeta>,
}

impl Walk<'_> {
    /// Visits one directory, given as `""` or a path that ends with a slash.
    fn directory(&mut self, directory: &str) -> io::Result<()> {
        for (key, kind) in self.entries(directory)? {
            if self.objects.len() > PAGE_OBJECT_COUNT {
                return Ok(());
            }
            match kind {
                Kind::Directory => self.directory(&key)?,
                Kind::File => self.file(key)?,
            }
        }
        Ok(())
    }

    /// Entries that may hold keys of this page, in key order: a directory sorts as its name and a
    /// slash, as the keys below it do.
    fn entries(&self, directory: &str) -> io::Result<BTreeMap<String, Kind>> {
        let mut found = BTreeMap::new();
        let entries = match fs::read_dir(self.root.join(directory)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 cannot be a key.
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let is_of_file_system = directory.is_empty() && name == LOST_AND_FOUND;
            if name.starts_with(TEMPORARY_PREFIX) || is_of_file_system {
                continue;
            }
            let Some(kind) = kind_of(&entry)? else { continue };
            let slash = if kind == Kind::Directory { "/" } else { "" };
            let key = format!("{directory}{name}{slash}");
            if self.may_hold(&key) {
                found.insert(key, kind);
            }
        }
        Ok(found)
    }

    fn may_hold(&self, key: &str) -> bool {
        let matches = key.starts_with(self.prefix) || (key.ends_with('/') && self.prefix.starts_with(key));
        let comes_later = |after: &str| key > after || (key.ends_with('/') && after.starts_with(key));
        matches && self.after.is_none_or(comes_later)
    }

    fn file(&mut self, key: String) -> io::Result<()> {
        match fs::symlink_metadata(self.root.join(&key)) {
            Ok(meta) => self.objects.push(object_meta(key, &meta)),
            // Deleted since the directory was read.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// What an entry is; `None` for one that is neither. A link, wherever it leads, is what is told as an object.
fn kind_of(entry: &fs::DirEntry) -> io::Result<Option<Kind>> {
    let file_type = entry.file_type()?;
    Ok(match () {
        () if file_type.is_dir() => Some(Kind::Directory),
        () if file_type.is_file() || file_type.is_symlink() => Some(Kind::File),
        () => None,
    })
}
