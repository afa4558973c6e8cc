//! Service files (`pg_service.conf`).
//!
//! Source of the rules: PostgreSQL, src/interfaces/libpq/fe-connect.c,
//! `parseServiceInfo` and `parseServiceFile`.

use std::path::{Path, PathBuf};

use super::error::SettingsError;

/// Finds a service in the first file that defines it. A file that does not
/// exist defines nothing.
pub(super) fn find(service: &str, files: &[PathBuf]) -> Result<Vec<(String, String)>, SettingsError> {
    for file in files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let problem = error.to_string();
                return Err(SettingsError::File { keyword: "servicefile", file: file.clone(), problem });
            }
        };
        if let Some(pairs) = find_in_text(service, &text, file)? {
            return Ok(pairs);
        }
    }
    let files = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(SettingsError::UnknownService { service: service.to_owned(), files })
}

/// Finds a service in the text of a file; `None` if it is not defined there.
fn find_in_text(
    service: &str,
    text: &str,
    file: &Path,
) -> Result<Option<Vec<(String, String)>>, SettingsError> {
    let mut pairs: Option<Vec<(String, String)>> = None;
    for (index, line) in text.lines().enumerate() {
        let refuse =
            |problem| Err(SettingsError::ServiceFile { file: file.to_owned(), line: index + 1, problem });
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(group) = line.strip_prefix('[') {
            if pairs.is_some() {
                return Ok(pairs);
            }
            if group.strip_suffix(']') == Some(service) {
                pairs = Some(Vec::new());
            }
            continue;
        }
        let Some(pairs) = &mut pairs else { continue };
        let Some((keyword, value)) = line.split_once('=') else {
            return refuse("there is no = in it");
        };
        if matches!(keyword, "service" | "servicefile") {
            return refuse("a service cannot name another service");
        }
        pairs.push((keyword.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# comment\n[one]\nhost=a\nport=1\n\n[two]\nhost=b\npassword=x=y\n";

    #[track_caller]
    fn check(service: &str, expected: Option<&[(&str, &str)]>) {
        let found = find_in_text(service, TEXT, Path::new("f")).unwrap();
        let found: Option<Vec<(&str, &str)>> =
            found.as_ref().map(|pairs| pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect());
        assert_eq!(found.as_deref(), expected, "{service}");
    }

    #[test]
    fn services_are_found_by_their_group() {
        check("one", Some(&[("host", "a"), ("port", "1")]));
        check("two", Some(&[("host", "b"), ("password", "x=y")]));
        check("three", None);
    }

    #[test]
    fn broken_lines_are_named_by_number() {
        let error = find_in_text("s", "[s]\nsecret\n", Path::new("f")).unwrap_err();
        assert_eq!(error.to_string(), "service file f, line 2: there is no = in it");
        let error = find_in_text("s", "[s]\nservice=t\n", Path::new("f")).unwrap_err();
        assert!(error.to_string().contains("another service"), "{error}");
    }
}
