//! The text of binary values, as the server's output functions print them under pinned settings:
//! `DateStyle ISO`, `TimeZone UTC`, `bytea_output hex`.
//!
//! Only types whose binary form is the same from PostgreSQL 13 to 18, and whose text follows from it
//! without doubt. Floating point is left out: the server's shortest text is not everybody's.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::hash::{StreamingHash, hash_bytes_extended};

/// A type that may travel in binary COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryType {
    /// `t` or `f`; `boolsend`.
    Bool,
    /// Two to eight bytes, signed: smallint, integer, bigint.
    Integer,
    /// Four bytes, unsigned: oid.
    Oid,
    /// Bytes that are their text: text, varchar, bpchar, name, json, enums.
    Text,
    /// A version byte and text; `jsonb_send`.
    Jsonb,
    /// Any bytes; text in hex.
    Bytea,
    /// 16 bytes.
    Uuid,
    /// Days since 2000-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 2000-01-01.
    Timestamp,
    /// The same in UTC.
    TimestampTz,
    /// Digits to the base of 10,000; `numeric_send`.
    Numeric,
}

/// The longest bytea whose text PostgreSQL can make (`MaxAllocSize`, 1 GiB less one byte).
pub(crate) const LONGEST_HEX_BYTEA_BYTES: usize = 536_870_000;

/// What the digest of a longer one is taken of: this, and its SHA-256 in hex.
pub(crate) const LONG_BYTEA_MARK: &str = "sha256:";

/// The hash of a value that comes in parts.
#[derive(Debug)]
pub(crate) enum LongHash {
    /// Of its text.
    Text(StreamingHash),
    /// Of its bytes, and the seed.
    Sha256(Box<Sha256>, u64),
}

impl LongHash {
    /// The value's share in the hash of its row.
    pub(crate) fn finish(&mut self) -> u64 {
        match self {
            Self::Text(hash) => hash.finish(),
            Self::Sha256(hasher, seed) => {
                let mut text = LONG_BYTEA_MARK.as_bytes().to_vec();
                push_hex(&mut text, &hasher.finalize_reset());
                hash_bytes_extended(&text, *seed)
            }
        }
    }
}

impl BinaryType {
    /// The type for a base type (domains resolved), by its name as `format_type` prints it without
    /// its modifiers; `type_kind` is `pg_type.typtype`. `None` if it has to travel as text.
    #[must_use]
    pub fn for_base_type(type_name: &str, type_kind: char) -> Option<Self> {
        Some(match type_name {
            _ if type_kind == 'e' => Self::Text,
            _ if type_kind != 'b' => return None,
            "boolean" => Self::Bool,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "oid" => Self::Oid,
            "text" | "character varying" | "character" | "bpchar" | "name" | "json" => Self::Text,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "time without time zone" => Self::Time,
            "timestamp without time zone" => Self::Timestamp,
            "timestamp with time zone" => Self::TimestampTz,
            "numeric" => Self::Numeric,
            _ => return None,
        })
    }

    /// Appends the text of a value to `text`; `None`, with anything appended, if it is not a value.
    #[must_use]
    pub fn push_text(self, value: &[u8], text: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Text => text.extend_from_slice(value),
            Self::Jsonb => text.extend_from_slice(value.strip_prefix(&[1])?),
            _ => self.text(value, text).map(drop)?,
        }
        Some(())
    }

    /// The text of a value, in `scratch` unless it is the value itself; `None` if it is not a value.
    pub(crate) fn text<'a>(self, value: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        match self {
            Self::Text => return Some(value),
            Self::Jsonb => return value.strip_prefix(&[1]),
            Self::Bool => scratch.push(if *value.first()? == 0 { b'f' } else { b't' }),
            Self::Integer => push_integer(scratch, integer(value)?),
            Self::Oid => push_integer(scratch, i64::from(u32::from_be_bytes(value.try_into().ok()?))),
            Self::Bytea => {
                scratch.extend_from_slice(b"\\x");
                push_hex(scratch, value);
            }
            Self::Uuid => push_uuid(scratch, value.try_into().ok()?),
            Self::Date => push_date_value(scratch, i32::from_be_bytes(value.try_into().ok()?)),
            Self::Time => push_time(scratch, i64::from_be_bytes(value.try_into().ok()?)),
            Self::Timestamp => push_timestamp(scratch, i64::from_be_bytes(value.try_into().ok()?), ""),
            Self::TimestampTz => push_timestamp(scratch, i64::from_be_bytes(value.try_into().ok()?), "+00"),
            Self::Numeric => push_numeric(scratch, value)?,
        }
        Some(scratch)
    }

    /// Starts to hash a value of `value_bytes` that comes in parts; `None` if no value is that long.
    pub(crate) fn hash_long(self, value_bytes: usize, seed: u64) -> Option<LongHash> {
        Some(match self {
            Self::Text => LongHash::Text(StreamingHash::new(value_bytes, seed)),
            Self::Jsonb => LongHash::Text(StreamingHash::new(value_bytes - 1, seed).skipping(1)),
            Self::Bytea if value_bytes > LONGEST_HEX_BYTEA_BYTES => LongHash::Sha256(Box::default(), seed),
            Self::Bytea => {
                let mut hash = StreamingHash::new(2 + 2 * value_bytes, seed);
                hash.update(b"\\x");
                LongHash::Text(hash)
            }
            _ => return None,
        })
    }

    /// Goes on with it.
    pub(crate) fn hash_more(self, part: &[u8], hash: &mut LongHash) {
        match hash {
            LongHash::Sha256(hasher, _) => hasher.update(part),
            LongHash::Text(hash) if self == Self::Bytea => {
                let mut hex = Vec::with_capacity(8192);
                for part in part.chunks(4096) {
                    hex.clear();
                    push_hex(&mut hex, part);
                    hash.update(&hex);
                }
            }
            LongHash::Text(hash) => hash.update(part),
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    text.extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
}

fn push_uuid(text: &mut Vec<u8>, bytes: [u8; 16]) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        push_hex(text, &[*byte]);
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    Some(match *value {
        [a, b] => i64::from(i16::from_be_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => return None,
    })
}

fn push_integer(text: &mut Vec<u8>, value: i64) {
    if value < 0 {
        text.push(b'-');
    }
    push_padded(text, value.unsigned_abs(), 1);
}

/// Decimal digits, with leading zeros up to `width` (at most 20).
fn push_padded(text: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while value > 0 {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

/// PostgreSQL src/backend/utils/adt/date.c, `date_out`.
fn push_date_value(text: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => text.extend_from_slice(b"infinity"),
        i32::MIN => text.extend_from_slice(b"-infinity"),
        days => {
            let is_bc = push_date(text, i64::from(days));
            push_era(text, is_bc);
        }
    }
}

fn push_era(text: &mut Vec<u8>, is_bc: bool) {
    if is_bc {
        text.extend_from_slice(b" BC");
    }
}

/// Year, month and day; whether the year is before Christ. PostgreSQL
/// src/backend/utils/adt/datetime.c, `EncodeDateOnly`; the calendar is the proleptic Gregorian one.
fn push_date(text: &mut Vec<u8>, days_since_2000: i64) -> bool {
    // Days since 0000-03-01, in eras of 400 years: "chrono-compatible low-level date algorithms".
    let days = days_since_2000 + 730_425;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let is_bc = year <= 0;
    push_padded(text, if is_bc { (1 - year).unsigned_abs() } else { year.unsigned_abs() }, 4);
    text.push(b'-');
    push_padded(text, month.unsigned_abs(), 2);
    text.push(b'-');
    push_padded(text, day.unsigned_abs(), 2);
    is_bc
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Hours, minutes, seconds, and the fraction without trailing zeros (`AppendTimestampSeconds`).
fn push_time(text: &mut Vec<u8>, microseconds: i64) {
    let (seconds, fraction) = (microseconds / SECOND, microseconds % SECOND);
    for (value, separator) in [(seconds / 3600, b':'), (seconds / 60 % 60, b':')] {
        push_padded(text, value.unsigned_abs(), 2);
        text.push(separator);
    }
    push_padded(text, (seconds % 60).unsigned_abs(), 2);
    if fraction != 0 {
        text.push(b'.');
        push_padded(text, fraction.unsigned_abs(), 6);
        while text.last() == Some(&b'0') {
            text.pop();
        }
    }
}

/// PostgreSQL src/backend/utils/adt/timestamp.c, `timestamp_out` and `timestamptz_out`.
fn push_timestamp(text: &mut Vec<u8>, microseconds: i64, zone: &str) {
    match microseconds {
        i64::MAX => text.extend_from_slice(b"infinity"),
        i64::MIN => text.extend_from_slice(b"-infinity"),
        _ => {
            let is_bc = push_date(text, microseconds.div_euclid(DAY));
            text.push(b' ');
            push_time(text, microseconds.rem_euclid(DAY));
            text.extend_from_slice(zone.as_bytes());
            push_era(text, is_bc);
        }
    }
}

/// PostgreSQL src/backend/utils/adt/numeric.c, `numeric_send` and `get_str_from_var`.
fn push_numeric(text: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (header, digits) = value.split_at_checked(8)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (digit_count, weight, sign, scale) = (word(0), word(2) as i16, word(4), usize::from(word(6)));
    let special = match sign {
        0xc000 => Some("NaN"),
        0xd000 => Some("Infinity"),
        0xf000 => Some("-Infinity"),
        0x0000 | 0x4000 => None,
        _ => return None,
    };
    if let Some(word) = special {
        text.extend_from_slice(word.as_bytes());
        return Some(());
    }
    if sign == 0x4000 {
        text.push(b'-');
    }
    if digits.len() != usize::from(digit_count) * 2 {
        return None;
    }
    let digit = |place: i32| {
        let at = usize::try_from(place).ok().map(|place| place * 2);
        at.and_then(|at| digits.get(at..at + 2))
            .map_or(0, |pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
    };
    let weight = i32::from(weight);
    push_padded(text, if weight < 0 { 0 } else { digit(0) }, 1);
    (1..=weight).for_each(|place| push_padded(text, digit(place), 4));
    if scale > 0 {
        text.push(b'.');
        let end = text.len() + scale;
        let mut place = weight + 1;
        while text.len() < end {
            push_padded(text, digit(place), 4);
            place += 1;
        }
        text.truncate(end);
    }
    Some(())
}
