//! Password files (`~/.pgpass`).
//!
//! Source of the rules: PostgreSQL, src/interfaces/libpq/fe-connect.c,
//! `passwordFromFile`.

use std::path::Path;

/// The lines of a password file. Passwords never appear in its `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct PassFile {
    lines: Vec<[String; 5]>,
}

impl std::fmt::Debug for PassFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PassFile({} lines)", self.lines.len())
    }
}

impl PassFile {
    /// Reads a file. A missing file has no lines; one that is not a plain file,
    /// is readable for others or cannot be read is ignored, as libpq does, and
    /// the warning says why.
    pub(super) fn read(path: &Path) -> (Self, Option<String>) {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => return ignored(path, &error.to_string()),
        };
        if !metadata.is_file() {
            return ignored(path, "it is not a plain file");
        }
        if is_readable_for_others(&metadata) {
            return ignored(path, "group or others may read it; permissions must be u=rw (0600) or less");
        }
        match std::fs::read_to_string(path) {
            Ok(text) => (Self::parse(&text), None),
            Err(error) => ignored(path, &error.to_string()),
        }
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(split_line).collect();
        PassFile { lines }
    }

    /// The password of the first line that matches.
    pub(super) fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<&str> {
        let port = port.to_string();
        let wanted = [host, port.as_str(), database, user];
        let matches =
            |line: &&[String; 5]| line.iter().zip(wanted).all(|(field, text)| field == "*" || field == text);
        self.lines.iter().find(matches).map(|line| line[4].as_str())
    }
}

fn ignored(path: &Path, why: &str) -> (PassFile, Option<String>) {
    (PassFile::default(), Some(format!("password file {} is ignored: {why}", path.display())))
}

#[cfg(unix)]
fn is_readable_for_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_readable_for_others(_metadata: &std::fs::Metadata) -> bool {
    false
}

/// Splits at colons that no backslash protects. The password is the rest.
fn split_line(line: &str) -> Option<[String; 5]> {
    let mut fields: [String; 5] = Default::default();
    let mut index = 0;
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => fields[index].extend(chars.next()),
            ':' if index < 4 => index += 1,
            ':' => break,
            c => fields[index].push(c),
        }
    }
    (index == 4).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# comment\n\
        db:5432:shop:ann:one\n\
        db:*:*:bob:t\\:wo\\\\\n\
        localhost:5432:*:*:socket\n\
        broken\n\
        *:*:*:eve:last\n";

    #[track_caller]
    fn check(wanted: (&str, u16, &str, &str), expected: Option<&str>) {
        let file = PassFile::parse(TEXT);
        assert_eq!(file.find(wanted.0, wanted.1, wanted.2, wanted.3), expected, "{wanted:?}");
    }

    #[test]
    fn the_first_matching_line_wins() {
        check(("db", 5432, "shop", "ann"), Some("one"));
        check(("db", 5433, "shop", "ann"), None);
        check(("db", 1, "any", "bob"), Some(r"t:wo\"));
        check(("localhost", 5432, "x", "eve"), Some("socket"));
        check(("elsewhere", 5432, "x", "eve"), Some("last"));
    }

    #[test]
    fn debug_shows_no_password() {
        assert_eq!(format!("{:?}", PassFile::parse(TEXT)), "PassFile(4 lines)");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_ignored_with_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        std::fs::write(&path, TEXT).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (file, warning) = PassFile::read(&path);
        assert_eq!(file, PassFile::default());
        assert!(warning.unwrap().contains("0600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (file, warning) = PassFile::read(&path);
        assert_eq!((file.lines.len(), warning), (4, None));
    }
}
