//! Names of the objects of a store.
//!
//! Keys are relative to the store's prefix, in ASCII without characters that any store or file
//! system treats specially.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use ulid::Ulid;

use crate::{ArchiveError, PackId, ReportName};

/// Key of the store's configuration, written once.
pub const REPO_CONFIG: &str = "repo.json";
/// Prefix of packs.
pub const PACKS: &str = "packs/";
/// Prefix of manifests.
pub const BACKUPS: &str = "backups/";
/// Prefix of the signs of dumps at work.
pub const SESSIONS: &str = "sessions/";
/// Prefix of wrapped keys.
pub const KEYS: &str = "keys/";
/// Prefix of the signs of a removal of packs.
pub const TRASH: &str = "trash/";
/// Prefix of the marks of packs that are to be removed.
pub const MARKS: &str = "trash/marked-";
/// Prefix of the pins of backups that are kept whatever a policy says.
pub const PINS: &str = "pins/";
/// Prefix of the acceptances of backups with far fewer rows than older ones.
pub const ACCEPTED: &str = "accepted/";
/// Prefix of the reports of checks.
pub const REPORTS: &str = "reports/";

/// Prefix of the parts of backups in Parquet.
pub const PARQUET: &str = "parquet/";

/// Prefix of the marks of backups whose parts are to be removed. It is listed together with that of parts.
pub const PART_MARKS: &str = "parquet-marks/";
/// What both begin with.
pub const PARTS_AND_MARKS: &str = "parquet";

/// How the time stands in a backup's key: UTC, to the second.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// `packs/<first two digits>/<hash>`.
#[must_use]
pub fn pack(id: PackId) -> String {
    let hash = id.to_string();
    format!("{PACKS}{}/{hash}", &hash[..2])
}

/// The pack that a key names.
///
/// # Errors
/// [`ArchiveError::InvalidKey`].
pub fn parse_pack(key: &str) -> Result<PackId, ArchiveError> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let id: PackId = name.parse().map_err(|_| invalid(key, "not named by a hash"))?;
    if pack(id) == key { Ok(id) } else { Err(invalid(key, "not at the place of its hash")) }
}

/// `sessions/<ulid>`: a dump at work.
#[must_use]
pub fn session(id: Ulid) -> String {
    format!("{SESSIONS}{id}")
}

/// `trash/<ulid>`: a removal of packs at work.
#[must_use]
pub fn trash(id: Ulid) -> String {
    format!("{TRASH}{id}")
}

/// `trash/marked-<ulid>`: packs that no backup named when this was written.
#[must_use]
pub fn mark(id: Ulid) -> String {
    format!("{MARKS}{id}")
}

/// `accepted/<ulid of backup>`: that the backup holds far fewer rows than older ones was accepted.
#[must_use]
pub fn accepted(backup: Ulid) -> String {
    format!("{ACCEPTED}{backup}")
}

/// `pins/<ulid of backup>`: that backup is kept.
#[must_use]
pub fn pin(backup: Ulid) -> String {
    format!("{PINS}{backup}")
}

/// `keys/<generation>.<holder>`: the keys of a generation, encrypted to one who holds a key or a passphrase.
#[must_use]
pub fn wrapped_key(generation: Ulid, holder: &str) -> String {
    format!("{KEYS}{generation}.{holder}")
}

/// The generation and the holder of a wrapped key.
///
/// # Errors
/// [`ArchiveError::InvalidKey`].
pub fn parse_wrapped_key(key: &str) -> Result<(Ulid, String), ArchiveError> {
    let parts = key.strip_prefix(KEYS).and_then(|name| name.split_once('.'));
    let (id, holder) = parts.ok_or_else(|| invalid(key, "not keys/<generation>.<holder>"))?;
    let id = Ulid::from_string(id).map_err(|_| invalid(key, "not a ULID"))?;
    let is_plain = holder.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match is_plain && !holder.is_empty() && wrapped_key(id, holder) == key {
        true => Ok((id, holder.to_owned())),
        false => Err(invalid(key, "not in its only spelling")),
    }
}

/// `reports/<backup>/<name>`: a report. `name` is encoded like a database's name, its dots kept.
#[must_use]
pub fn report(backup: Ulid, name: &str) -> String {
    format!("{REPORTS}{backup}/{}", encode_name(name).replace("%2E", "."))
}

/// `reports/<backup>/`: where the reports of one backup are.
#[must_use]
pub fn reports_of(backup: Ulid) -> String {
    format!("{REPORTS}{backup}/")
}

/// The backup and the name of the report of a check; `None` for whatever else lies there.
#[must_use]
pub fn parse_check_report(key: &str) -> Option<(Ulid, ReportName)> {
    let (backup, name) = key.strip_prefix(REPORTS)?.split_once('/')?;
    let (backup, name) = (Ulid::from_string(backup).ok()?, name.parse::<ReportName>().ok()?);
    (report(backup, &name.to_string()) == key).then_some((backup, name))
}

/// `backups/<database>/`: where the manifests of one database are.
#[must_use]
pub fn backups_of(database: &str) -> String {
    format!("{BACKUPS}{}/", encode_name(database))
}

/// A database's name as part of a key: every byte but ASCII letters, digits, `_` and `-` as `%XX`.
#[must_use]
pub fn encode_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The name that [`encode_name`] encoded; `None` if it is not of that form.
#[must_use]
pub fn decode_name(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let mut byte = [0];
        hex::decode_to_slice(tail.get(..2)?, &mut byte).ok()?;
        bytes.push(byte[0]);
        rest = &tail[2..];
    }
    let name = String::from_utf8(bytes).ok()?;
    (encode_name(&name) == encoded).then_some(name)
}

/// What the key of a manifest says: `backups/<database>/<time>-<ulid>`. Sorts by time within a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupKey {
    /// The source database's name.
    pub database: String,
    /// When the snapshot was taken, to the second.
    pub time: Timestamp,
    /// The backup's identity.
    pub id: Ulid,
}

impl BackupKey {
    /// A key; the time is cut to the second.
    #[must_use]
    pub fn new(database: impl Into<String>, time: Timestamp, id: Ulid) -> Self {
        let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
        Self { database: database.into(), time, id }
    }
}

impl fmt::Display for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}-{}", backups_of(&self.database), self.time.strftime(TIME_FORMAT), self.id)
    }
}

impl FromStr for BackupKey {
    type Err = ArchiveError;

    fn from_str(key: &str) -> Result<Self, ArchiveError> {
        let parts: Vec<&str> = key.split('/').collect();
        let ["backups", database, name] = parts[..] else {
            return Err(invalid(key, "not backups/<database>/<time>-<ulid>"));
        };
        let database =
            decode_name(database).ok_or_else(|| invalid(key, "the database's name is not encoded"))?;
        let (time, id) = name.split_once('-').ok_or_else(|| invalid(key, "not <time>-<ulid>"))?;
        let time = jiff::civil::DateTime::strptime(TIME_FORMAT, time)
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| invalid(key, "the time is not like 20260131T235959Z"))?
            .timestamp();
        let id = Ulid::from_string(id).map_err(|_| invalid(key, "not a ULID"))?;
        let parsed = Self { database, time, id };
        if parsed.to_string() == key { Ok(parsed) } else { Err(invalid(key, "not in its only spelling")) }
    }
}

/// `parquet/<database>/<time>-<ulid>/`: where the parts of one backup are.
#[must_use]
pub fn parts_of(backup: &BackupKey) -> String {
    let folder = backup.to_string();
    format!("{PARQUET}{}/", folder.strip_prefix(BACKUPS).unwrap_or(&folder))
}

/// `parquet/<database>/<time>-<ulid>/<schema>/<table>/part-<segment>.parquet`: a part of a table.
#[must_use]
pub fn part(backup: &BackupKey, (schema, table): (&str, &str), (segment, piece): (u32, u32)) -> String {
    let folder = parts_of(backup);
    format!("{folder}{}/{}/{}", encode_name(schema), encode_name(table), part_name(segment, piece))
}

/// The name of a part's file.
#[must_use]
pub(crate) fn part_name(segment: u32, piece: u32) -> String {
    match piece {
        0 => format!("part-{segment:06}.parquet"),
        piece => format!("part-{segment:06}-{piece:04}.parquet"),
    }
}

/// `parquet-marks/<ulid of backup>`: there was no such backup when this was written, and parts of one.
#[must_use]
pub fn part_mark(backup: Ulid) -> String {
    format!("{PART_MARKS}{backup}")
}

/// The backup in whose folder a file of Parquet lies.
///
/// # Errors
/// [`ArchiveError::InvalidKey`].
pub fn parse_parts_of(key: &str) -> Result<BackupKey, ArchiveError> {
    let mut folders = key.strip_prefix(PARQUET).into_iter().flat_map(|rest| rest.split('/'));
    match (folders.next(), folders.next(), folders.next()) {
        (Some(database), Some(backup), Some(_)) => format!("{BACKUPS}{database}/{backup}").parse(),
        _ => Err(invalid(key, "not parquet/<database>/<time>-<ulid>/<schema>/<table>/<file>")),
    }
}

fn invalid(key: &str, reason: &str) -> ArchiveError {
    ArchiveError::InvalidKey { key: key.to_owned(), reason: reason.to_owned() }
}
