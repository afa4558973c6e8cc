//! Which keys are allowed.

use crate::{ErrorKind, Operation, StoreError};

/// Longest key in bytes, prefix of the store not included. S3 takes 1,024 in all.
pub const MAX_KEY_BYTES: usize = 900;

/// Longest path component in bytes: what common file systems take.
pub const MAX_COMPONENT_BYTES: usize = 255;

/// Files that a directory store is still writing start so; no key component may.
pub(crate) const TEMPORARY_PREFIX: &str = ".dbhaul-tmp-";

/// Checks that a key is a relative path of non-empty components, none of them `.` or `..`, without
/// control characters or backslashes, within [`MAX_KEY_BYTES`] and [`MAX_COMPONENT_BYTES`].
///
/// # Errors
/// What is wrong with it, in a few words.
pub fn check_key(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("a key must not be empty");
    }
    if key.len() > MAX_KEY_BYTES {
        return Err("a key must not be longer than 900 bytes");
    }
    key.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), &'static str> {
    match component {
        "" => Err("a key must not have empty components, nor start or end with a slash"),
        "." | ".." => Err("a key must not have the components . or .."),
        _ if component.len() > MAX_COMPONENT_BYTES => {
            Err("a key's component must not be longer than 255 bytes")
        }
        _ if component.starts_with(TEMPORARY_PREFIX) => Err("a key must not look like a temporary file"),
        _ => check_characters(component),
    }
}

fn check_characters(text: &str) -> Result<(), &'static str> {
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err("a key must not contain control characters or backslashes");
    }
    Ok(())
}

/// Checks the prefix of a listing: the beginning of some valid key, or empty.
///
/// # Errors
/// What is wrong with it, in a few words.
pub fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    if prefix.is_empty() {
        return Ok(());
    }
    let whole_path = prefix.strip_suffix('/').unwrap_or(prefix);
    // The last component may be cut anywhere, so `..` could begin `..a`; refuse it all the same.
    check_key(whole_path)
}

/// [`check_key`] as a store error.
pub(crate) fn valid_key(key: &str, operation: Operation, store: &str) -> Result<(), StoreError> {
    check_key(key).map_err(|why| invalid(why, key, operation, store))
}

/// [`check_prefix`] as a store error.
pub(crate) fn valid_prefix(prefix: &str, store: &str) -> Result<(), StoreError> {
    check_prefix(prefix).map_err(|why| invalid(why, prefix, Operation::List, store))
}

/// Checks that a range is not reversed and returns its length.
pub(crate) fn valid_range(range: &std::ops::Range<u64>, key: &str, store: &str) -> Result<u64, StoreError> {
    range
        .end
        .checked_sub(range.start)
        .ok_or_else(|| invalid("the range ends before it starts", key, Operation::GetRange, store))
}

fn invalid(why: &str, key: &str, operation: Operation, store: &str) -> StoreError {
    StoreError::new(ErrorKind::Invalid, operation, store).with_key(key).with_detail(why)
}

#[cfg(test)]
mod tests {
    use super::{check_key, check_prefix};

    #[test]
    fn ordinary_keys_pass() {
        for key in
            ["a", "packs/ab/abcdef", "backups/my db/2026-01-01T00:00:00Z-x", "ünï/cødé/数", "a..b", ".hidden"]
        {
            assert_eq!(check_key(key), Ok(()), "{key:?}");
        }
    }

    #[test]
    fn keys_that_leave_the_store_or_collide_are_refused() {
        let long = "x".repeat(256);
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a\\b",
            "a\nb",
            "a\0b",
            ".dbhaul-tmp-1",
            &long,
        ] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_key(&"ab/".repeat(400)).is_err());
    }

    #[test]
    fn prefixes_may_be_cut_anywhere_but_not_leave_the_store() {
        for prefix in ["", "a", "a/", "packs/a", "backups/my d"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix:?}");
        }
        for prefix in ["/", "/a", "../", "a//", "a/../"] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
