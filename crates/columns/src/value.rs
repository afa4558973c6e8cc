//! Values between their binary form, in which they are handled here, and their text.

use dbhaul_rows::BinaryType;

use crate::float::{Float, push_digits};
use crate::moment::{self, Interval};
use crate::{PgType, array, numeric};

impl PgType {
    /// The type by which `rows` prints a value.
    fn printed(&self) -> Option<BinaryType> {
        Some(match self {
            PgType::Bool => BinaryType::Bool,
            PgType::Int2 | PgType::Int4 | PgType::Int8 => BinaryType::Integer,
            PgType::Oid => BinaryType::Oid,
            PgType::Numeric(_) => BinaryType::Numeric,
            PgType::Text | PgType::Json | PgType::Enum(_) | PgType::Other => BinaryType::Text,
            PgType::Jsonb => BinaryType::Jsonb,
            PgType::Bytea => BinaryType::Bytea,
            PgType::Date => BinaryType::Date,
            PgType::Time => BinaryType::Time,
            PgType::Timestamp => BinaryType::Timestamp,
            PgType::TimestampTz => BinaryType::TimestampTz,
            PgType::Uuid => BinaryType::Uuid,
            PgType::Float4 | PgType::Float8 | PgType::Interval | PgType::Array(..) => return None,
        })
    }

    /// Appends the text of a value; `None` if it is none of this type.
    pub(crate) fn push_text(&self, value: &[u8], text: &mut Vec<u8>) -> Option<()> {
        match self {
            PgType::Float4 => push_float(f32::from_be_bytes(value.try_into().ok()?), text),
            PgType::Float8 => push_float(f64::from_be_bytes(value.try_into().ok()?), text),
            PgType::Interval => {
                Interval::read(value)?.push_text(text);
                Some(())
            }
            PgType::Array(element, _) => array::push_text(element, value, text),
            _ => self.printed()?.push_text(value, text),
        }
    }

    /// Appends the binary form of a value as a server prints it; `None` if it is none of this type.
    pub(crate) fn parse(&self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            PgType::Text | PgType::Json | PgType::Enum(_) | PgType::Other => out.extend_from_slice(text),
            PgType::Jsonb => {
                out.push(1);
                out.extend_from_slice(text);
            }
            PgType::Bool => out.push(match text {
                b"t" => 1,
                b"f" => 0,
                _ => return None,
            }),
            PgType::Int2 => out.extend_from_slice(&parsed::<i16>(text)?.to_be_bytes()),
            PgType::Int4 => out.extend_from_slice(&parsed::<i32>(text)?.to_be_bytes()),
            PgType::Int8 => out.extend_from_slice(&parsed::<i64>(text)?.to_be_bytes()),
            PgType::Oid => out.extend_from_slice(&parsed::<u32>(text)?.to_be_bytes()),
            PgType::Float4 => out.extend_from_slice(&parsed::<f32>(text)?.to_be_bytes()),
            PgType::Float8 => out.extend_from_slice(&parsed::<f64>(text)?.to_be_bytes()),
            PgType::Numeric(_) => return numeric::parse(text, out),
            PgType::Bytea => return push_unhexed(text.strip_prefix(b"\\x")?, out),
            PgType::Date => out.extend_from_slice(&moment::parse_date(text)?.to_be_bytes()),
            PgType::Time => out.extend_from_slice(&moment::parse_time(text)?.to_be_bytes()),
            PgType::Timestamp | PgType::TimestampTz => {
                out.extend_from_slice(&moment::parse_timestamp(text)?.to_be_bytes());
            }
            PgType::Interval => Interval::parse(text)?.push_binary(out),
            PgType::Uuid => return push_uuid(text, out),
            PgType::Array(element, oid) => return array::parse(element, *oid, text, out),
        }
        Some(())
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The shortest text that reads as the same number; Rust's digits are PostgreSQL's, its exponents are not.
fn push_float<F: Float + Into<f64>>(value: F, text: &mut Vec<u8>) -> Option<()> {
    let wide: f64 = value.into();
    if wide.is_nan() {
        text.extend_from_slice(b"NaN");
        return Some(());
    }
    if wide.is_sign_negative() {
        text.push(b'-');
    }
    if wide.is_infinite() {
        text.extend_from_slice(b"Infinity");
    } else if wide == 0.0 {
        text.push(b'0');
    } else {
        push_digits(value, text)?;
    }
    Some(())
}

/// The bytes of hex digits.
fn push_unhexed(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    for pair in pairs {
        out.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(())
}

fn push_uuid(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut digits = [0; 32];
    let mut given = text.iter().filter(|byte| **byte != b'-');
    for digit in &mut digits {
        *digit = *given.next()?;
    }
    given.next().is_none().then_some(())?;
    push_unhexed(&digits, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_so_that_they_read_the_same() {
        let text = |value: f64| {
            let mut text = Vec::new();
            PgType::Float8.push_text(&value.to_be_bytes(), &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        for (value, expected) in [
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (100.0, "100"),
        ] {
            assert_eq!(text(value), expected);
        }
    }
}
