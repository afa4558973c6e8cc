//! The report of a check: what was looked at of a backup, how closely, and what was found.
//!
//! Whoever may write to a store may write a report, in an encrypted one whoever holds the metadata key, as with manifests.
//! So a report is believed as far as a manifest is, and measured like everything else before memory is taken for it.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::manifest_seal::{generation_of, seal_line};
use crate::{ArchiveError, ChunkCodec, Keyring, PackId, keys};

/// The version of the format of reports that this writes and reads.
const REPORT_VERSION: u32 = 1;

/// A report has no more bytes, stored and before encryption.
pub const MAX_REPORT_BYTES: u64 = 1 << 20;

/// Findings that a report names, at most; it counts all of them.
const MAX_FINDINGS: usize = 500;

/// What a report says in its first line that it is.
const KIND: &str = "check";

/// How closely a check looks at a backup. Each level does what those below it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum CheckLevel {
    /// Everything that manifest, catalog and lists name is there, with its size, and fits together.
    References,
    /// The stored bytes of packs have the hashes that name them.
    Hashes,
    /// Chunks were decrypted and decompressed; identities, row counts and digests are those that were written.
    Rows,
    /// The backup was restored into a database, with indexes and constraints, and compared with it.
    Restored,
}

/// A part of all packs: those of one group of several. Which group a pack is in follows from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackGroup {
    /// The group, from 1.
    pub group: u32,
    /// How many there are.
    pub of: u32,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// All that was looked at is as it was written.
    Good,
    /// Something is not.
    Damaged,
    /// No damage was found, and not all that was to be looked at could be.
    Incomplete,
}

/// Packs and what they add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckedPacks {
    /// How many.
    pub count: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

/// One object that is not as it was written, or could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFinding {
    /// The object: the key of a pack or a manifest, or a part of the backup.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// What lies in it: tables, the catalog; the first of them.
    #[serde(default)]
    pub affects: Vec<String>,
    /// How many there are of these.
    #[serde(default)]
    pub affected_count: u64,
}

/// The report of a check of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Version of this format.
    pub format_version: u32,
    /// ULID of the store.
    pub repo: Ulid,
    /// ULID of the backup.
    pub backup: Ulid,
    /// How closely it was looked at.
    pub level: CheckLevel,
    /// The packs of rows that were read, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<PackGroup>,
    /// What came of it.
    pub result: CheckResult,
    /// When the check began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Who checked.
    pub dbhaul_version: String,
    /// Packs all of whose bytes were read.
    pub read_packs: CheckedPacks,
    /// Packs of the backup.
    pub packs: CheckedPacks,
    /// Rows that were read, from level 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    /// What is not as it was written; the first of it.
    #[serde(default)]
    pub damage: Vec<CheckFinding>,
    /// How much there is of it.
    #[serde(default)]
    pub damage_count: u64,
    /// What could not be looked at; the first of it.
    #[serde(default)]
    pub unread: Vec<CheckFinding>,
    /// How much there is of it.
    #[serde(default)]
    pub unread_count: u64,
    /// What a check of this level does not look at here, in words.
    #[serde(default)]
    pub not_compared: Vec<String>,
}

/// What the name of a report says of it: `check-<level>-<result>`, with `-part` before the result where it is of a
/// subset. A new report takes the place of the one of its name, so that a backup has no more than there are names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReportName {
    level: CheckLevel,
    is_part: bool,
    result: CheckResult,
}

impl CheckReport {
    /// The version of the format that this dbhaul writes.
    pub const VERSION: u32 = REPORT_VERSION;

    /// Where it lies in the store.
    #[must_use]
    pub fn key(&self) -> String {
        keys::report(self.backup, &self.name().to_string())
    }

    fn name(&self) -> ReportName {
        ReportName { level: self.level, is_part: self.subset.is_some(), result: self.result }
    }

    /// The object to store under [`Self::key`]: as many findings as there is room for. CPU-bound where it is encrypted.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`].
    pub fn seal(&self, codec: &ChunkCodec) -> Result<Bytes, ArchiveError> {
        let fault = |error: serde_json::Error| ArchiveError::encode("the report", error);
        let mut report = self.clone();
        report.damage.truncate(MAX_FINDINGS);
        report.unread.truncate(MAX_FINDINGS);
        let mut body = serde_json::to_vec(&report).map_err(fault)?;
        // with room for the first line and what encryption adds
        while body.len() as u64 > MAX_REPORT_BYTES / 2
            && !(report.damage.is_empty() && report.unread.is_empty())
        {
            report.damage.truncate(report.damage.len() / 2);
            report.unread.truncate(report.unread.len() / 2);
            body = serde_json::to_vec(&report).map_err(fault)?;
        }
        body.push(b'\n');
        let body = codec.encrypt_body(body)?;
        let object = [&seal_line(codec, KIND, &self.key(), &body)[..], &body[..]].concat();
        match object.len() as u64 > MAX_REPORT_BYTES {
            true => Err(ArchiveError::encode("the report", "it is too long")),
            false => Ok(Bytes::from(object)),
        }
    }

    /// Reads and verifies the object stored under `key` in the store `repo`. CPU-bound where it is encrypted.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedReport`] if it is not the report of this key, or was not sealed with the store's keys;
    /// [`ArchiveError::NoKey`] if it was with keys that are not at hand; [`ArchiveError::UnsupportedVersion`].
    pub fn open(key: &str, object: &[u8], repo: Ulid, keyring: &Keyring) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::DamagedReport { key: key.to_owned(), reason };
        let end = object.iter().position(|byte| *byte == b'\n');
        let (seal, body) = object.split_at(end.map_or(object.len(), |end| end + 1));
        let generation = generation_of(seal);
        let codec = keyring.codec(generation).ok_or_else(|| match generation {
            Some(generation) if !keyring.generations().is_empty() => {
                ArchiveError::NoKey { object: format!("the report {key}"), key: "metadata", generation }
            }
            _ => damaged("it is not sealed as reports of this store are".to_owned()),
        })?;
        if seal != seal_line(&codec, KIND, key, body) {
            return Err(damaged(format!("its seal does not fit its {} bytes and its name", object.len())));
        }
        let opened = codec.decrypt_body(body, MAX_REPORT_BYTES).map_err(damaged)?;
        let report: Self = serde_json::from_slice(&opened).map_err(|error| damaged(error.to_string()))?;
        if report.format_version > REPORT_VERSION {
            let (object, found) = (key.to_owned(), report.format_version);
            return Err(ArchiveError::UnsupportedVersion { object, found, supported: REPORT_VERSION });
        }
        match report.contradiction(key, repo) {
            None => Ok(report),
            Some(reason) => Err(damaged(reason)),
        }
    }

    fn contradiction(&self, key: &str, repo: Ulid) -> Option<String> {
        let has_damage = self.damage_count > 0;
        let reason = match self.result {
            _ if self.repo != repo => format!("it belongs to the store {}", self.repo),
            _ if self.key() != key => format!("it is the report {}", self.key()),
            _ if self.subset.is_some_and(|subset| !subset.is_valid()) => "there is no such subset".to_owned(),
            _ if has_damage != (self.result == CheckResult::Damaged) => {
                "its result does not fit what was found".to_owned()
            }
            CheckResult::Good if self.unread_count > 0 => "its result does not fit what was read".to_owned(),
            _ if (self.damage.len() as u64) > self.damage_count
                || (self.unread.len() as u64) > self.unread_count =>
            {
                "it counts less than it names".to_owned()
            }
            _ => return None,
        };
        Some(reason)
    }

    /// What was looked at, in words: `level 1`, `level 1, group 3 of 20 of the packs of rows`.
    #[must_use]
    pub fn scope(&self) -> String {
        match self.subset {
            None => format!("level {}", self.level),
            Some(subset) => format!("level {}, {subset} of the packs of rows", self.level),
        }
    }
}

impl CheckLevel {
    /// All levels.
    pub const ALL: [CheckLevel; 4] = [Self::References, Self::Hashes, Self::Rows, Self::Restored];
}

impl From<CheckLevel> for u8 {
    fn from(level: CheckLevel) -> u8 {
        level as u8
    }
}

impl TryFrom<u8> for CheckLevel {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        let level = Self::ALL.get(usize::from(number)).copied();
        level.ok_or_else(|| format!("there is no level {number}: levels are 0 to 3"))
    }
}

impl fmt::Display for CheckLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u8::from(*self))
    }
}

impl PackGroup {
    /// Most groups: with more, a check of one would be none.
    pub const MAX: u32 = 10_000;

    /// The group, if there is one.
    #[must_use]
    pub fn new(group: u32, of: u32) -> Option<Self> {
        Some(Self { group, of }).filter(Self::is_valid)
    }

    fn is_valid(&self) -> bool {
        (1..=Self::MAX).contains(&self.of) && (1..=self.of).contains(&self.group)
    }

    /// Whether a pack is in it: by the first four bytes of its name, which is a hash, as a big-endian number.
    #[must_use]
    pub fn contains(&self, pack: PackId) -> bool {
        let [first, second, third, fourth, ..] = pack.0;
        u32::from_be_bytes([first, second, third, fourth]) % self.of == self.group - 1
    }
}

impl fmt::Display for PackGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} of {}", self.group, self.of)
    }
}

impl CheckResult {
    fn word(self) -> &'static str {
        match self {
            CheckResult::Good => "good",
            CheckResult::Damaged => "damaged",
            CheckResult::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = if self.is_part { "-part" } else { "" };
        write!(f, "check-{}{part}-{}", self.level, self.result.word())
    }
}

impl FromStr for ReportName {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        let mut names = CheckLevel::ALL.into_iter().flat_map(|level| {
            let results = [CheckResult::Good, CheckResult::Damaged, CheckResult::Incomplete];
            let of = move |is_part| results.map(|result| ReportName { level, is_part, result });
            [false, true].into_iter().flat_map(of)
        });
        let found = names.find(|name| name.to_string() == text);
        let reason = || "not the name of a report".to_owned();
        found.ok_or_else(|| ArchiveError::InvalidKey { key: text.to_owned(), reason: reason() })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::{
        CheckFinding, CheckLevel, CheckReport, CheckResult, CheckedPacks, MAX_REPORT_BYTES, PackGroup,
        ReportName,
    };
    use crate::{ArchiveError, ChunkCodec, Generation, Keyring, PackId};

    fn report(damage: Vec<CheckFinding>) -> CheckReport {
        CheckReport {
            format_version: CheckReport::VERSION,
            repo: Ulid(1),
            backup: Ulid(2),
            level: CheckLevel::Hashes,
            subset: PackGroup::new(3, 20),
            result: if damage.is_empty() { CheckResult::Good } else { CheckResult::Damaged },
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
            dbhaul_version: "0.1.0".to_owned(),
            read_packs: CheckedPacks { count: 1, bytes: 10 },
            packs: CheckedPacks { count: 4, bytes: 40 },
            row_count: None,
            damage_count: damage.len() as u64,
            damage,
            unread: Vec::new(),
            unread_count: 0,
            not_compared: Vec::new(),
        }
    }

    fn is_refused(result: Result<CheckReport, ArchiveError>) {
        assert!(matches!(result, Err(ArchiveError::DamagedReport { .. })), "{result:?}");
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_no_other_is() {
        let generation = Generation::generate(Ulid(9), Ulid(1), None).unwrap();
        let keyring = Keyring::chained(Ulid(1), vec![generation.clone()], None).unwrap();
        for (codec, keyring) in
            [(ChunkCodec::plain(), Keyring::plain()), (ChunkCodec::of(&generation), keyring.clone())]
        {
            let report = report(Vec::new());
            let (key, bytes) = (report.key(), report.seal(&codec).unwrap());
            assert!(key.ends_with("/check-1-part-good"), "{key}");
            assert_eq!(CheckReport::open(&key, &bytes, Ulid(1), &keyring).unwrap(), report);
            is_refused(CheckReport::open(&key, &bytes, Ulid(7), &keyring));
            is_refused(CheckReport::open(&key.replace("good", "damaged"), &bytes, Ulid(1), &keyring));
            for place in 0..bytes.len() {
                let mut other = bytes.to_vec();
                other[place] ^= 1;
                let opened = CheckReport::open(&key, &other, Ulid(1), &keyring);
                assert!(opened.is_err(), "byte {place}");
            }
            for length in 0..bytes.len() {
                assert!(CheckReport::open(&key, &bytes[..length], Ulid(1), &keyring).is_err());
            }
        }
        // a plain one in an encrypted store, and the reverse
        let report = report(Vec::new());
        let plain = report.seal(&ChunkCodec::plain()).unwrap();
        is_refused(CheckReport::open(&report.key(), &plain, Ulid(1), &keyring));
        let sealed = report.seal(&ChunkCodec::of(&generation)).unwrap();
        is_refused(CheckReport::open(&report.key(), &sealed, Ulid(1), &Keyring::plain()));
    }

    #[test]
    fn contradictions_are_refused() {
        let open = |report: &CheckReport| {
            let bytes = report.seal(&ChunkCodec::plain()).unwrap();
            CheckReport::open(&report.key(), &bytes, Ulid(1), &Keyring::plain())
        };
        open(&report(Vec::new())).unwrap();
        is_refused(open(&CheckReport { damage_count: 1, ..report(Vec::new()) }));
        is_refused(open(&CheckReport { unread_count: 1, ..report(Vec::new()) }));
        is_refused(open(&CheckReport { result: CheckResult::Damaged, ..report(Vec::new()) }));
        is_refused(open(&CheckReport { subset: Some(PackGroup { group: 0, of: 1 }), ..report(Vec::new()) }));
        is_refused(open(&CheckReport { subset: Some(PackGroup { group: 1, of: 0 }), ..report(Vec::new()) }));
        let newer = open(&CheckReport { format_version: 2, ..report(Vec::new()) });
        assert!(matches!(newer, Err(ArchiveError::UnsupportedVersion { .. })), "{newer:?}");
    }

    #[test]
    fn a_report_has_an_end() {
        let finding = |number: usize| CheckFinding {
            object: format!("packs/{number}"),
            problem: "\u{1}".repeat(10_000),
            affects: vec!["t".repeat(10_000)],
            affected_count: 1,
        };
        let long = report((0..2000).map(finding).collect());
        let bytes = long.seal(&ChunkCodec::plain()).unwrap();
        assert!(bytes.len() as u64 <= MAX_REPORT_BYTES);
        let read = CheckReport::open(&long.key(), &bytes, Ulid(1), &Keyring::plain()).unwrap();
        assert_eq!(read.damage_count, 2000);
        assert!(!read.damage.is_empty() && read.damage.len() < 2000);
    }

    #[test]
    fn every_pack_is_in_one_group() {
        for number in 0..200_u32 {
            let pack = PackId::of(&number.to_be_bytes());
            for of in [1, 2, 7, 20] {
                let groups = (1..=of).filter_map(|group| PackGroup::new(group, of));
                assert_eq!(groups.filter(|group| group.contains(pack)).count(), 1);
            }
        }
        assert!(PackGroup::new(0, 3).is_none() && PackGroup::new(4, 3).is_none());
    }

    #[test]
    fn names_are_read_back() {
        for name in ["check-0-good", "check-3-incomplete", "check-1-part-damaged"] {
            assert_eq!(name.parse::<ReportName>().unwrap().to_string(), name);
        }
        for name in ["", "check-4-good", "check-1-part", "check-1-Good", "../check-1-good"] {
            assert!(name.parse::<ReportName>().is_err(), "{name}");
        }
    }
}
