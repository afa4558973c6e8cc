//! How a person names a store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

/// Where a store is, as given on the command line.
///
/// | form | store |
/// |---|---|
/// | `path/to/dir`, `/path/to/dir`, `file:///path/to/dir` | a directory |
/// | `s3://bucket/prefix?endpoint=..&region=..&path_style=true` | a bucket; see [`S3Url`] for the query |
/// | `memory://` | memory; only with the feature `testing` |
///
/// Secrets have no place in a URL, which ends in shell histories and logs, and are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket, or a prefix of one, of an S3-compatible server.
    S3(S3Url),
    /// A store that ends with the process.
    #[cfg(feature = "testing")]
    Memory,
}

/// An `s3://bucket/prefix` URL. What its query leaves out comes from the environment
/// (`AWS_ENDPOINT_URL`, `AWS_REGION`, ...) or the profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Url {
    /// The bucket.
    pub bucket: String,
    /// What every object's name starts with: empty, or without leading and with trailing slash.
    pub prefix: String,
    /// `endpoint=`: URL of a server other than AWS, with scheme.
    pub endpoint: Option<String>,
    /// `region=`.
    pub region: Option<String>,
    /// `path_style=true|false`: bucket in the path rather than the host name. By default true for
    /// any endpoint but AWS.
    pub path_style: Option<bool>,
    /// `profile=`: of `~/.aws/config` and `~/.aws/credentials`.
    pub profile: Option<String>,
    /// `sse=AES256|aws:kms`: server-side encryption.
    pub sse: Option<Sse>,
    /// `storage_class=`, such as `STANDARD_IA`.
    pub storage_class: Option<String>,
}

/// Server-side encryption to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// `sse=AES256`: keys of the server (SSE-S3).
    Aes256,
    /// `sse=aws:kms`: a key of KMS, the account's default one unless `sse_kms_key_id=` names it.
    Kms {
        /// Identifier or ARN of the key.
        key_id: Option<String>,
    },
}

/// Why a text does not name a store. Nothing of the text is repeated: any part of it may be a key that was
/// put in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// The text is empty.
    #[error("the store is named by an empty text; give a directory or s3://bucket/prefix")]
    Empty,
    /// A path that begins with `~`: only a shell knows whose home directory that is.
    #[error(
        "the path {path:?} begins with ~, which the shell has not expanded; write the home directory in full, or \
         ./{path} for a directory of that name"
    )]
    Tilde {
        /// The path.
        path: String,
    },
    /// A scheme that is not known.
    #[error(
        "the store is a URL of a kind that is not known; give a directory, file:// or s3://bucket/prefix"
    )]
    UnknownScheme,
    /// Not a URL.
    #[error("the store's URL is not well formed: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// A key or password inside the URL.
    #[error(
        "the store's URL holds credentials, which would show in shell histories and logs; set \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or name a profile instead"
    )]
    Secret,
    /// A query key that is not known, or known twice.
    #[error("option {position} of the store's URL is unknown or given twice; known are {S3_OPTIONS}")]
    UnknownOption {
        /// The how manieth, from 1.
        position: usize,
    },
    /// A value that its option does not take.
    #[error("the option {name} of the store's URL does not take this value; it takes {expected}")]
    BadValue {
        /// The option.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
}

const S3_OPTIONS: &str = "endpoint, region, path_style, profile, sse, sse_kms_key_id, storage_class";

/// Query keys under which people put secrets.
const SECRET_OPTIONS: [&str; 9] = [
    "access_key",
    "access_key_id",
    "aws_access_key_id",
    "secret",
    "secret_key",
    "secret_access_key",
    "aws_secret_access_key",
    "session_token",
    "aws_session_token",
];

/// Whether a text begins as a URL does whose slashes were mistyped: as a path it may show a password.
fn begins_with_scheme(text: &str) -> bool {
    let scheme = text.split_once(":/").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

impl StoreUrl {
    /// Reads a store's name as a person wrote it.
    ///
    /// # Errors
    /// What is wrong with it; secrets are never repeated.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.as_bytes() {
                [] => Err(StoreUrlError::Empty),
                [b'~', ..] => Err(StoreUrlError::Tilde { path: text.to_owned() }),
                _ if begins_with_scheme(text) => Err(StoreUrlError::UnknownScheme),
                _ => Ok(Self::Directory(text.into())),
            };
        };
        match scheme {
            "s3" => S3Url::parse(text).map(Self::S3),
            "file" => parse_file(rest),
            #[cfg(feature = "testing")]
            "memory" if rest.is_empty() => Ok(Self::Memory),
            _ => Err(StoreUrlError::UnknownScheme),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::S3(s3) => s3.fmt(f),
            #[cfg(feature = "testing")]
            Self::Memory => f.write_str("memory://"),
        }
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix.replace('@', "%40"))?;
        let path_style = self.path_style.map(|yes| yes.to_string());
        let (sse, key_id) = match &self.sse {
            None => (None, None),
            Some(Sse::Aes256) => (Some("AES256"), None),
            Some(Sse::Kms { key_id }) => (Some("aws:kms"), key_id.as_deref()),
        };
        let options = [
            ("endpoint", self.endpoint.as_deref()),
            ("region", self.region.as_deref()),
            ("path_style", path_style.as_deref()),
            ("profile", self.profile.as_deref()),
            ("sse", sse),
            ("sse_kms_key_id", key_id),
            ("storage_class", self.storage_class.as_deref()),
        ];
        let given = options.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        for (position, (name, value)) in given.enumerate() {
            write!(f, "{}{name}={value}", if position == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl S3Url {
    fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let url = Url::parse(text).map_err(|error| malformed(error.to_string()))?;
        // A secret key with a slash in it has its @ in the path.
        let before_query = text.split(['?', '#']).next().unwrap_or(text);
        if before_query.contains('@') {
            return Err(StoreUrlError::Secret);
        }
        if url.port().is_some() || url.fragment().is_some() {
            return Err(malformed("it has a port or a #fragment; use ?endpoint= for another server".into()));
        }
        let bucket = url.host_str().unwrap_or_default().to_owned();
        if bucket.is_empty() {
            return Err(malformed("it names no bucket".into()));
        }
        let mut parsed = S3Url { bucket, prefix: parse_prefix(url.path())?, ..S3Url::default() };
        parsed.read_query(&url)?;
        Ok(parsed)
    }

    fn read_query(&mut self, url: &Url) -> Result<(), StoreUrlError> {
        let mut seen = Vec::new();
        let mut sse_name = None;
        let mut key_id = None;
        for (index, (name, value)) in url.query_pairs().enumerate() {
            let position = index + 1;
            if SECRET_OPTIONS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(StoreUrlError::Secret);
            }
            if seen.contains(&name) {
                return Err(StoreUrlError::UnknownOption { position });
            }
            let text = Some(value.into_owned());
            match name.as_ref() {
                "endpoint" => self.endpoint = text.map(parse_endpoint).transpose()?,
                "region" => self.region = text,
                "path_style" => self.path_style = text.map(parse_bool).transpose()?,
                "profile" => self.profile = text,
                "sse" => sse_name = text,
                "sse_kms_key_id" => key_id = text,
                "storage_class" => self.storage_class = text,
                _ => return Err(StoreUrlError::UnknownOption { position }),
            }
            seen.push(name);
        }
        self.sse = parse_sse(sse_name, key_id)?;
        Ok(())
    }
}

fn malformed(reason: String) -> StoreUrlError {
    StoreUrlError::Malformed { reason }
}

fn parse_file(rest: &str) -> Result<StoreUrl, StoreUrlError> {
    if !rest.starts_with('/') {
        return Err(malformed("file:// takes an absolute path, as in file:///srv/backups".into()));
    }
    if rest.contains(['?', '#']) {
        return Err(malformed("file:// takes no options; write ? and # of a path as %3F and %23".into()));
    }
    let path = percent_decode_str(rest).decode_utf8().map_err(|error| malformed(error.to_string()))?;
    Ok(StoreUrl::Directory(PathBuf::from(path.into_owned())))
}

/// Brings a URL's path into the form of [`S3Url::prefix`].
fn parse_prefix(path: &str) -> Result<String, StoreUrlError> {
    let decoded = percent_decode_str(path).decode_utf8().map_err(|error| malformed(error.to_string()))?;
    let trimmed = decoded.trim_matches('/');
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    crate::check_key(trimmed).map_err(|why| malformed(format!("its prefix: {why}")))?;
    Ok(format!("{trimmed}/"))
}

fn parse_endpoint(value: String) -> Result<String, StoreUrlError> {
    let bad = || StoreUrlError::BadValue {
        name: "endpoint",
        expected: "a URL such as https://s3.example.com or http://127.0.0.1:9000",
    };
    if value.contains('@') {
        return Err(StoreUrlError::Secret);
    }
    let Ok(url) = Url::parse(&value) else { return Err(bad()) };
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(bad());
    }
    Ok(value.trim_end_matches('/').to_owned())
}

fn parse_bool(value: String) -> Result<bool, StoreUrlError> {
    match value.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(StoreUrlError::BadValue { name: "path_style", expected: "true or false" }),
    }
}

fn parse_sse(name: Option<String>, key_id: Option<String>) -> Result<Option<Sse>, StoreUrlError> {
    let expected = "AES256 or aws:kms";
    match (name.as_deref(), key_id) {
        (None, None) => Ok(None),
        (Some("AES256"), None) => Ok(Some(Sse::Aes256)),
        (Some("aws:kms"), key_id) => Ok(Some(Sse::Kms { key_id })),
        (_, Some(_)) => {
            Err(StoreUrlError::BadValue { name: "sse_kms_key_id", expected: "a key, beside sse=aws:kms" })
        }
        (Some(_), None) => Err(StoreUrlError::BadValue { name: "sse", expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::{S3Url, Sse, StoreUrl, StoreUrlError};

    fn s3(text: &str) -> S3Url {
        match StoreUrl::parse(text) {
            Ok(StoreUrl::S3(s3)) => s3,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn paths_and_file_urls_are_directories() {
        for (text, path) in [
            ("backups", "backups"),
            ("./a b", "./a b"),
            ("./~", "./~"),
            ("a~", "a~"),
            ("/srv/x", "/srv/x"),
            ("file:///srv/x", "/srv/x"),
            ("file:///srv/a%20b", "/srv/a b"),
        ] {
            assert_eq!(StoreUrl::parse(text), Ok(StoreUrl::Directory(path.into())), "{text}");
        }
    }

    #[test]
    fn s3_urls_carry_bucket_prefix_and_options() {
        let url =
            s3("s3://b/nightly/prod?endpoint=http://127.0.0.1:9000/&region=eu-1&path_style=true&profile=p");
        assert_eq!((url.bucket.as_str(), url.prefix.as_str()), ("b", "nightly/prod/"));
        assert_eq!(url.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(
            (url.region.as_deref(), url.path_style, url.profile.as_deref()),
            (Some("eu-1"), Some(true), Some("p"))
        );
        assert_eq!(s3("s3://b").prefix, "");
        assert_eq!(
            s3("s3://b/?sse=aws:kms&sse_kms_key_id=k").sse,
            Some(Sse::Kms { key_id: Some("k".into()) })
        );
    }

    #[test]
    fn display_reads_back_as_itself() {
        for text in [
            "s3://b/",
            "s3://b/p/?region=r",
            "s3://b/a%40b/",
            "s3://b/p/?endpoint=http://h:1&sse=AES256&storage_class=STANDARD_IA",
        ] {
            assert_eq!(s3(text).to_string(), text);
        }
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for text in [
            "s3://AKIA:hunter2@b/p",
            "s3://b/p?secret_access_key=hunter2",
            "s3://b/p?AWS_SECRET_ACCESS_KEY=hunter2",
            "s3://b/p?endpoint=http://me:hunter2@h",
            "s3://AKIA/hunter2@b/p",
        ] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert_eq!(error, StoreUrlError::Secret, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn no_error_repeats_anything() {
        for text in [
            "hunter2://b",
            "s3://AKIA:hunter2/x@b/p",
            "s3://b:hunter2/p",
            "s3://b/p?hunter2",
            "s3://b/p?secretkey=hunter2",
            "s3://b/p?region=a&region=hunter2",
            "s3://b/p?path_style=hunter2",
            "s3://b/p?endpoint=hunter2",
            "s3://b/p?endpoint=http://h/?key=hunter2",
            "s3://b/p?endpoint=http://h/%23hunter2",
            "s3://b/p?sse=hunter2",
            "s3://b/p?sse_kms_key_id=hunter2",
            "s3://b/p#hunter2",
            "file://hunter2",
            "file:///a?hunter2",
        ] {
            let error = match StoreUrl::parse(text) {
                Err(error) => error,
                Ok(url) => panic!("{text}: {url:?}"),
            };
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "",
            "~",
            "~/backups",
            "~me/backups",
            "gs://b",
            "s3://",
            "s3:///p",
            "s3://b/../c?x=1",
            "s3://b?pathstyle=true",
            "s3://b?region=a&region=b",
            "s3://b?path_style=yes",
            "s3://b?endpoint=host:9000",
            "s3://b?sse=rot13",
            "s3://b?sse_kms_key_id=k",
            "s3://b:9000/p",
            "file://relative",
            "file:///a?b=c",
        ] {
            assert!(StoreUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
