//! The types of PostgreSQL that columns know, as far as their values go.

use std::sync::Arc;

/// What a value of a column is, domains resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PgType {
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `oid`.
    Oid,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`, with precision and scale where the column has them.
    Numeric(Option<(u16, i16)>),
    /// `text`, `varchar`, `bpchar`, `name`: bytes that are their text.
    Text,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `bytea`.
    Bytea,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
    /// `interval`.
    Interval,
    /// `uuid`.
    Uuid,
    /// An enum, with its labels.
    Enum(Arc<[String]>),
    /// An array of a type that is none itself, and the OID of that type on the server.
    Array(Box<PgType>, u32),
    /// Any other, as the server's output function prints it.
    Other,
}

/// What a server's catalog says of a column's type, domains resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFacts<'a> {
    /// `format_type` without modifiers, for types of `pg_catalog` and enums; of an array, its element's.
    pub name: &'a str,
    /// `pg_type.typtype` of that type.
    pub kind: char,
    /// `pg_attribute.atttypmod`, or the domain's; -1 for none.
    pub modifier: i32,
    /// Labels, of an enum.
    pub labels: &'a [String],
    /// Whether it is an array of that type, and then the OID of what `pg_type.typelem` says.
    pub element_oid: Option<u32>,
}

impl PgType {
    /// The type for what a catalog says.
    #[must_use]
    pub fn of(facts: &TypeFacts<'_>) -> Self {
        let scalar = Self::scalar(facts);
        match (scalar, facts.element_oid) {
            (scalar, None) => scalar,
            // an interval is a struct, which few read inside a list
            (PgType::Other | PgType::Interval, Some(_)) => PgType::Other,
            (scalar, Some(oid)) => PgType::Array(Box::new(scalar), oid),
        }
    }

    fn scalar(facts: &TypeFacts<'_>) -> Self {
        match (facts.kind, facts.name) {
            ('e', _) => PgType::Enum(facts.labels.into()),
            ('b', name) => Self::base(name, facts.modifier),
            _ => PgType::Other,
        }
    }

    fn base(name: &str, modifier: i32) -> Self {
        match name {
            "boolean" => PgType::Bool,
            "smallint" => PgType::Int2,
            "integer" => PgType::Int4,
            "bigint" => PgType::Int8,
            "oid" => PgType::Oid,
            "real" => PgType::Float4,
            "double precision" => PgType::Float8,
            "numeric" => PgType::Numeric(numeric_modifier(modifier)),
            "text" | "character varying" | "character" | "bpchar" | "name" => PgType::Text,
            "json" => PgType::Json,
            "jsonb" => PgType::Jsonb,
            "bytea" => PgType::Bytea,
            "date" => PgType::Date,
            "time without time zone" => PgType::Time,
            "timestamp without time zone" => PgType::Timestamp,
            "timestamp with time zone" => PgType::TimestampTz,
            "interval" => PgType::Interval,
            "uuid" => PgType::Uuid,
            _ => PgType::Other,
        }
    }

    /// Whether its values are known in their binary form, so that a COPY of such columns may be binary.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        *self != PgType::Other
    }

    /// Whether a column of its own says what the type's column cannot.
    #[must_use]
    pub fn has_companion(&self) -> bool {
        matches!(
            self,
            PgType::Numeric(_)
                | PgType::Date
                | PgType::Time
                | PgType::Timestamp
                | PgType::TimestampTz
                | PgType::Interval
                | PgType::Array(..)
        )
    }

    /// How a number stands in a column.
    pub(crate) fn decimal(precision_and_scale: Option<(u16, i16)>) -> Decimal {
        const UNCONSTRAINED: Decimal = Decimal { precision: 38, scale: 18, is_declared: false };
        let Some((precision, scale)) = precision_and_scale else { return UNCONSTRAINED };
        let (digits, scale) = match scale {
            // numeric(3,-2) rounds to hundreds, and Parquet knows no negative scale
            ..0 => (precision + scale.unsigned_abs(), 0),
            // numeric(2,5) is below 0.001, and Parquet's scale is within its precision
            _ => (precision.max(scale.unsigned_abs()), scale),
        };
        match (u8::try_from(digits), i8::try_from(scale)) {
            (Ok(precision @ ..=76), Ok(scale)) => Decimal { precision, scale, is_declared: true },
            _ => UNCONSTRAINED,
        }
    }
}

/// How numbers stand in a column of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) precision: u8,
    pub(crate) scale: i8,
    /// Whether every number has that scale because the column says so. Otherwise a number has the least that
    /// it can be shown with.
    pub(crate) is_declared: bool,
}

/// PostgreSQL src/backend/utils/adt/numeric.c, `numeric_typmod_precision` and `numeric_typmod_scale`: since 15, the
/// scale is a signed number of 11 bits, which it was not before, and had no more than 1,000 then.
fn numeric_modifier(modifier: i32) -> Option<(u16, i16)> {
    let bits = u32::try_from(modifier.checked_sub(4)?).ok()?;
    let precision = u16::try_from(bits >> 16).ok()?;
    let scale = i16::try_from(bits & 0x7ff).ok()?;
    Some((precision, (scale ^ 1024) - 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbers_modifier_is_precision_and_scale() {
        assert_eq!(numeric_modifier(-1), None);
        assert_eq!(numeric_modifier(((10 << 16) | 2) + 4), Some((10, 2)));
        assert_eq!(numeric_modifier(((3 << 16) | (0x800 - 2)) + 4), Some((3, -2)));
    }

    #[test]
    fn every_declared_number_of_up_to_76_digits_is_a_decimal() {
        let decimal = |precision, scale| PgType::decimal(Some((precision, scale)));
        assert_eq!(decimal(10, 2), Decimal { precision: 10, scale: 2, is_declared: true });
        assert_eq!(decimal(2, 5), Decimal { precision: 5, scale: 5, is_declared: true });
        assert_eq!(decimal(3, -2), Decimal { precision: 5, scale: 0, is_declared: true });
        assert_eq!(decimal(76, 76).precision, 76);
        assert!(!decimal(77, 2).is_declared);
    }
}
