//! Arrow arrays as sources of values in their binary form.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, DecimalType,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, OffsetSizeTrait};
use arrow_schema::extension::{EXTENSION_TYPE_NAME_KEY, ExtensionType, Json, Uuid};
use arrow_schema::{DataType, Field, TimeUnit};

use crate::array::{finish_header, push_counted, push_header};
use crate::moment::{EPOCH, EPOCH_DAYS, Interval};
use crate::schema::KIND_KEY;
use crate::{PgType, numeric};

/// Appends the value of a row that is not NULL; `None` where PostgreSQL has no such value.
pub(crate) type Source<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Option<()> + 'a>;

/// The type that values of a field are given in; `None` if no value can be made of them.
pub(crate) fn natural_type(field: &Field) -> Option<PgType> {
    let kind = field.metadata().get(KIND_KEY).map(String::as_str);
    of_data_type(field, kind)
}

fn of_data_type(field: &Field, kind: Option<&str>) -> Option<PgType> {
    let extension = field.metadata().get(EXTENSION_TYPE_NAME_KEY).map(String::as_str);
    Some(match field.data_type() {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => PgType::Int2,
        DataType::UInt16 | DataType::Int32 => PgType::Int4,
        DataType::UInt32 if kind == Some("oid") => PgType::Oid,
        DataType::UInt32 | DataType::Int64 => PgType::Int8,
        DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => PgType::Numeric(None),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => match (extension, kind) {
            (Some(Json::NAME), Some("jsonb")) => PgType::Jsonb,
            (Some(Json::NAME), _) => PgType::Json,
            _ => PgType::Text,
        },
        DataType::FixedSizeBinary(16) if extension == Some(Uuid::NAME) => PgType::Uuid,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            PgType::Bytea
        }
        DataType::Date32 => PgType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time,
        DataType::Timestamp(_, None) => PgType::Timestamp,
        DataType::Timestamp(_, Some(_)) => PgType::TimestampTz,
        DataType::Struct(_) if kind == Some("interval") => PgType::Interval,
        DataType::Dictionary(key, value) if key.is_dictionary_key_type() && **value == DataType::Utf8 => {
            PgType::Enum([].into())
        }
        DataType::List(element) | DataType::LargeList(element) => match of_data_type(element, kind)? {
            PgType::Array(..) | PgType::Interval => return None,
            element => PgType::Array(Box::new(element), 0),
        },
        _ => return None,
    })
}

/// What the Arrow type does not say of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Decimals have the least scale that they can be shown with.
    pub(crate) is_least: bool,
    /// Text is that of `jsonb`, whose binary form begins with a version.
    pub(crate) is_jsonb: bool,
    /// Goes into the header of arrays.
    pub(crate) element_oid: u32,
}

/// The values of an array; `None` for types that [`natural_type`] gives none for.
pub(crate) fn source(array: &dyn Array, hints: Hints) -> Option<Source<'_>> {
    let Hints { is_least, is_jsonb, element_oid } = hints;
    Some(match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(move |row, out| push(out, &[u8::from(array.value(row))]))
        }
        DataType::Int8 => fixed::<Int8Type, 2>(array, |value| Some(i16::from(value).to_be_bytes())),
        DataType::UInt8 => fixed::<UInt8Type, 2>(array, |value| Some(i16::from(value).to_be_bytes())),
        DataType::Int16 => fixed::<Int16Type, 2>(array, |value| Some(value.to_be_bytes())),
        DataType::UInt16 => fixed::<UInt16Type, 4>(array, |value| Some(i32::from(value).to_be_bytes())),
        DataType::Int32 => fixed::<Int32Type, 4>(array, |value| Some(value.to_be_bytes())),
        DataType::UInt32 if element_oid == OID => {
            fixed::<UInt32Type, 4>(array, |value| Some(value.to_be_bytes()))
        }
        DataType::UInt32 => fixed::<UInt32Type, 8>(array, |value| Some(i64::from(value).to_be_bytes())),
        DataType::Int64 => fixed::<Int64Type, 8>(array, |value| Some(value.to_be_bytes())),
        DataType::Float32 => fixed::<Float32Type, 4>(array, |value| Some(value.to_be_bytes())),
        DataType::Float64 => fixed::<Float64Type, 8>(array, |value| Some(value.to_be_bytes())),
        DataType::Date32 => {
            fixed::<Date32Type, 4>(array, |days| Some(days.checked_sub(EPOCH_DAYS)?.to_be_bytes()))
        }
        DataType::UInt64 => {
            let array = array.as_primitive::<UInt64Type>();
            Box::new(move |row, out| numeric::parse(array.value(row).to_string().as_bytes(), out))
        }
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, is_least),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, is_least),
        DataType::Time32(_) | DataType::Time64(_) => time(array)?,
        DataType::Timestamp(unit, _) => timestamp(array, *unit),
        DataType::Struct(_) => interval(array)?,
        DataType::Dictionary(key, _) => match **key {
            DataType::Int8 => labels::<Int8Type>(array)?,
            DataType::Int16 => labels::<Int16Type>(array)?,
            DataType::Int32 => labels::<Int32Type>(array)?,
            DataType::Int64 => labels::<Int64Type>(array)?,
            DataType::UInt8 => labels::<UInt8Type>(array)?,
            DataType::UInt16 => labels::<UInt16Type>(array)?,
            DataType::UInt32 => labels::<UInt32Type>(array)?,
            _ => return None,
        },
        DataType::List(_) => list::<i32>(array, hints)?,
        DataType::LargeList(_) => list::<i64>(array, hints)?,
        _ if is_jsonb => {
            let text = bytes(array)?;
            Box::new(move |row, out| {
                out.push(1);
                text(row, out)
            })
        }
        _ => bytes(array)?,
    })
}

/// OID of `oid`, whose values alone are unsigned.
pub(crate) const OID: u32 = 26;

fn push(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(bytes);
    Some(())
}

/// Text and binary.
fn bytes(array: &dyn Array) -> Option<Source<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(move |row, out| push(out, array.value(row).as_bytes()))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Box::new(move |row, out| push(out, array.value(row).as_bytes()))
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            Box::new(move |row, out| push(out, array.value(row).as_bytes()))
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |row, out| push(out, array.value(row)))
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            Box::new(move |row, out| push(out, array.value(row)))
        }
        DataType::BinaryView => {
            let array = array.as_binary_view();
            Box::new(move |row, out| push(out, array.value(row)))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(move |row, out| push(out, array.value(row)))
        }
        _ => return None,
    })
}

fn fixed<'a, T: ArrowPrimitiveType, const N: usize>(
    array: &'a dyn Array,
    convert: fn(T::Native) -> Option<[u8; N]>,
) -> Source<'a> {
    let array = array.as_primitive::<T>();
    Box::new(move |row, out| push(out, &convert(array.value(row))?))
}

fn decimal<T: DecimalType>(array: &dyn Array, is_least: bool) -> Source<'_>
where
    T::Native: std::fmt::Display,
{
    let array = array.as_primitive::<T>();
    let scale = array.scale();
    Box::new(move |row, out| {
        let mut digits = Digits::default();
        std::fmt::Write::write_fmt(&mut digits, format_args!("{}", array.value(row))).ok()?;
        numeric::push_unscaled(&digits.bytes[..digits.length], scale, is_least, out)
    })
}

/// Digits of the longest decimal, with its sign, without allocation.
struct Digits {
    bytes: [u8; 80],
    length: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Digits { bytes: [0; 80], length: 0 }
    }
}

impl std::fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

fn time(array: &dyn Array) -> Option<Source<'_>> {
    Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            fixed::<Time32SecondType, 8>(array, |time| Some((i64::from(time) * 1_000_000).to_be_bytes()))
        }
        DataType::Time32(_) => {
            fixed::<Time32MillisecondType, 8>(array, |time| Some((i64::from(time) * 1000).to_be_bytes()))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            fixed::<Time64NanosecondType, 8>(array, |time| Some(whole_microseconds(time)?.to_be_bytes()))
        }
        _ => fixed::<Time64MicrosecondType, 8>(array, |time| Some(time.to_be_bytes())),
    })
}

/// A time that is finer than a microsecond would be another time.
fn whole_microseconds(nanoseconds: i64) -> Option<i64> {
    (nanoseconds % 1000 == 0).then_some(nanoseconds / 1000)
}

fn timestamp(array: &dyn Array, unit: TimeUnit) -> Source<'_> {
    fn since_2000(microseconds: Option<i64>) -> Option<[u8; 8]> {
        Some(microseconds?.checked_sub(EPOCH)?.to_be_bytes())
    }
    match unit {
        TimeUnit::Second => {
            fixed::<TimestampSecondType, 8>(array, |time| since_2000(time.checked_mul(1_000_000)))
        }
        TimeUnit::Millisecond => {
            fixed::<TimestampMillisecondType, 8>(array, |time| since_2000(time.checked_mul(1000)))
        }
        TimeUnit::Microsecond => fixed::<TimestampMicrosecondType, 8>(array, |time| since_2000(Some(time))),
        TimeUnit::Nanosecond => {
            fixed::<TimestampNanosecondType, 8>(array, |time| since_2000(whole_microseconds(time)))
        }
    }
}

fn interval(array: &dyn Array) -> Option<Source<'_>> {
    let parts = array.as_struct();
    let months = parts.column_by_name("months")?.as_primitive_opt::<Int32Type>()?;
    let days = parts.column_by_name("days")?.as_primitive_opt::<Int32Type>()?;
    let microseconds = parts.column_by_name("microseconds")?.as_primitive_opt::<Int64Type>()?;
    Some(Box::new(move |row, out| {
        let (months, days, microseconds) = (months.value(row), days.value(row), microseconds.value(row));
        Interval { months, days, microseconds }.push_binary(out);
        Some(())
    }))
}

fn labels<K: ArrowDictionaryKeyType>(array: &dyn Array) -> Option<Source<'_>> {
    let array = array.as_dictionary_opt::<K>()?;
    let values = array.values().as_string_opt::<i32>()?;
    Some(Box::new(move |row, out| push(out, values.value(array.key(row)?).as_bytes())))
}

fn list<O: OffsetSizeTrait>(array: &dyn Array, hints: Hints) -> Option<Source<'_>> {
    let array = array.as_list::<O>();
    let (offsets, elements) = (array.value_offsets(), array.values());
    let push_element = source(elements, hints)?;
    Some(Box::new(move |row, out| {
        let (first, end) = (offsets[row].as_usize(), offsets[row + 1].as_usize());
        let length = i32::try_from(end - first).ok()?;
        let start = out.len();
        let dimension = [(length, 1)];
        push_header(if length == 0 { &[] } else { &dimension }, hints.element_oid, out);
        let mut has_null = false;
        for place in first..end {
            let is_null = elements.is_null(place);
            has_null |= is_null;
            push_counted(
                out,
                |out| if is_null { Some(false) } else { push_element(place, out).map(|()| true) },
            )?;
        }
        finish_header(start, has_null, out);
        Some(())
    }))
}
