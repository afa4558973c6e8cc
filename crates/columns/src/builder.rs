//! Columns under construction: values in their binary form become Arrow arrays.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Int32Builder, PrimitiveBuilder, StringBuilder,
};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{ArrayRef, DictionaryArray, ListArray, StringArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer, i256};

use crate::array::Array;
use crate::frames::{Cells, Span};
use crate::moment::{self, Interval};
use crate::numeric::{Numeric, Unscaled};
use crate::pg_type::Decimal;
use crate::schema::{data_type, element_field, interval_fields};
use crate::{ColumnsError, PgType};

/// What became of a value.
enum Taken {
    /// The column says all of it.
    Whole,
    /// The column says its value, and the companion how it prints.
    Shown,
    /// The column has NULL for it, and the companion says it.
    Beyond,
    /// It is no value of the type.
    Wrong(&'static str),
}

const NOT_OF_TYPE: Taken = Taken::Wrong("the bytes are no value of the column's type");
const NOT_UTF8: Taken = Taken::Wrong("the text is not UTF-8, which a column of text has to be");

/// One column of a batch, and its companion.
pub(crate) struct ColumnBuilder {
    pg_type: PgType,
    values: Values,
    companion: Option<StringBuilder>,
    scratch: Vec<u8>,
}

impl ColumnBuilder {
    pub(crate) fn new(pg_type: &PgType) -> Self {
        let companion = pg_type.has_companion().then(StringBuilder::new);
        ColumnBuilder {
            pg_type: pg_type.clone(),
            values: Values::new(pg_type),
            companion,
            scratch: Vec::new(),
        }
    }

    /// Appends all values of a column; an error is the place among them and what is wrong.
    pub(crate) fn append(&mut self, cells: Cells<'_>) -> Result<(), (usize, &'static str)> {
        self.values.append(cells, |place, value, taken| {
            if let Taken::Wrong(problem) = taken {
                return Err((place, problem));
            }
            let Some(companion) = &mut self.companion else { return Ok(()) };
            match (value, taken) {
                (Some(value), Taken::Shown | Taken::Beyond) => {
                    self.scratch.clear();
                    let shown = self.pg_type.push_text(value, &mut self.scratch);
                    let shown = shown.and_then(|()| std::str::from_utf8(&self.scratch).ok());
                    companion
                        .append_value(shown.ok_or((place, "the bytes are no value of the column's type"))?);
                }
                _ => companion.append_null(),
            }
            Ok(())
        })
    }

    /// The arrays, one or two, of what was appended.
    pub(crate) fn finish(&mut self, arrays: &mut Vec<ArrayRef>) -> Result<(), ColumnsError> {
        arrays.push(self.values.finish()?);
        if let Some(companion) = &mut self.companion {
            arrays.push(Arc::new(companion.finish()));
        }
        Ok(())
    }
}

/// The values of a column, or the elements of its lists.
enum Values {
    Bool(BooleanBuilder),
    Int2(PrimitiveBuilder<Int16Type>),
    Int4(PrimitiveBuilder<Int32Type>),
    Int8(PrimitiveBuilder<Int64Type>),
    Oid(PrimitiveBuilder<UInt32Type>),
    Float4(PrimitiveBuilder<Float32Type>),
    Float8(PrimitiveBuilder<Float64Type>),
    Decimal128(PrimitiveBuilder<Decimal128Type>, Decimal),
    Decimal256(PrimitiveBuilder<Decimal256Type>, Decimal),
    Text(StringBuilder),
    Jsonb(StringBuilder),
    Bytea(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Interval(Intervals),
    Uuid(FixedSizeBinaryBuilder),
    Enum(Labels),
    List(Box<Lists>),
}

impl Values {
    fn new(pg_type: &PgType) -> Self {
        match pg_type {
            PgType::Bool => Values::Bool(BooleanBuilder::new()),
            PgType::Int2 => Values::Int2(PrimitiveBuilder::new()),
            PgType::Int4 => Values::Int4(PrimitiveBuilder::new()),
            PgType::Int8 => Values::Int8(PrimitiveBuilder::new()),
            PgType::Oid => Values::Oid(PrimitiveBuilder::new()),
            PgType::Float4 => Values::Float4(PrimitiveBuilder::new()),
            PgType::Float8 => Values::Float8(PrimitiveBuilder::new()),
            PgType::Numeric(modifier) => match PgType::decimal(*modifier) {
                decimal if decimal.precision <= 38 => {
                    Values::Decimal128(PrimitiveBuilder::new().with_data_type(data_type(pg_type)), decimal)
                }
                decimal => {
                    Values::Decimal256(PrimitiveBuilder::new().with_data_type(data_type(pg_type)), decimal)
                }
            },
            PgType::Text | PgType::Json | PgType::Other => Values::Text(StringBuilder::new()),
            PgType::Jsonb => Values::Jsonb(StringBuilder::new()),
            PgType::Bytea => Values::Bytea(BinaryBuilder::new()),
            PgType::Date => Values::Date(PrimitiveBuilder::new()),
            PgType::Time => Values::Time(PrimitiveBuilder::new()),
            PgType::Timestamp | PgType::TimestampTz => {
                Values::Timestamp(PrimitiveBuilder::new().with_data_type(data_type(pg_type)))
            }
            PgType::Interval => Values::Interval(Intervals::default()),
            PgType::Uuid => Values::Uuid(FixedSizeBinaryBuilder::new(16)),
            PgType::Enum(labels) => Values::Enum(Labels::new(labels)),
            PgType::Array(element, _) => Values::List(Box::new(Lists::new(element))),
        }
    }

    /// Appends values, and says of each, by its place, what became of it.
    fn append<E>(
        &mut self,
        cells: Cells<'_>,
        say: impl FnMut(usize, Option<&[u8]>, Taken) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Values::Bool(to) => each(cells, say, |value| match value {
                None => {
                    to.append_null();
                    Taken::Whole
                }
                Some([byte]) => {
                    to.append_value(*byte != 0);
                    Taken::Whole
                }
                Some(_) => NOT_OF_TYPE,
            }),
            Values::Int2(to) => fixed(cells, say, to, |bytes| Some(i16::from_be_bytes(bytes))),
            Values::Int4(to) => fixed(cells, say, to, |bytes| Some(i32::from_be_bytes(bytes))),
            Values::Int8(to) => fixed(cells, say, to, |bytes| Some(i64::from_be_bytes(bytes))),
            Values::Oid(to) => fixed(cells, say, to, |bytes| Some(u32::from_be_bytes(bytes))),
            Values::Float4(to) => fixed(cells, say, to, |bytes| Some(f32::from_be_bytes(bytes))),
            Values::Float8(to) => fixed(cells, say, to, |bytes| Some(f64::from_be_bytes(bytes))),
            Values::Date(to) => fixed(cells, say, to, |bytes| {
                let days = i32::from_be_bytes(bytes);
                moment::is_plain_date(days).then(|| days + moment::EPOCH_DAYS)
            }),
            Values::Time(to) => fixed(cells, say, to, |bytes| {
                Some(i64::from_be_bytes(bytes)).filter(|time| moment::is_plain_time(*time))
            }),
            Values::Timestamp(to) => fixed(cells, say, to, |bytes| {
                let time = i64::from_be_bytes(bytes);
                moment::is_plain_timestamp(time).then(|| time + moment::EPOCH)
            }),
            Values::Decimal128(to, decimal) => each(cells, say, |value| number(value, *decimal, to)),
            Values::Decimal256(to, decimal) => each(cells, say, |value| number(value, *decimal, to)),
            Values::Text(to) => each(cells, say, |value| text(value, to)),
            Values::Jsonb(to) => each(cells, say, |value| match value {
                Some([1, json @ ..]) => text(Some(json), to),
                Some(_) => NOT_OF_TYPE,
                None => text(None, to),
            }),
            Values::Bytea(to) => each(cells, say, |value| {
                to.append_option(value);
                Taken::Whole
            }),
            Values::Uuid(to) => each(cells, say, |value| match value {
                None => {
                    to.append_null();
                    Taken::Whole
                }
                Some(bytes) => to.append_value(bytes).map_or(NOT_OF_TYPE, |()| Taken::Whole),
            }),
            Values::Interval(to) => each(cells, say, |value| to.take(value)),
            Values::Enum(to) => each(cells, say, |value| to.take(value)),
            Values::List(to) => each(cells, say, |value| to.take(value)),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ColumnsError> {
        Ok(match self {
            Values::Bool(values) => Arc::new(values.finish()),
            Values::Int2(values) => Arc::new(values.finish()),
            Values::Int4(values) => Arc::new(values.finish()),
            Values::Int8(values) => Arc::new(values.finish()),
            Values::Oid(values) => Arc::new(values.finish()),
            Values::Float4(values) => Arc::new(values.finish()),
            Values::Float8(values) => Arc::new(values.finish()),
            Values::Decimal128(values, _) => Arc::new(values.finish()),
            Values::Decimal256(values, _) => Arc::new(values.finish()),
            Values::Text(values) | Values::Jsonb(values) => Arc::new(values.finish()),
            Values::Bytea(values) => Arc::new(values.finish()),
            Values::Date(values) => Arc::new(values.finish()),
            Values::Time(values) => Arc::new(values.finish()),
            Values::Timestamp(values) => Arc::new(values.finish()),
            Values::Interval(values) => values.finish()?,
            Values::Uuid(values) => Arc::new(values.finish()),
            Values::Enum(values) => values.finish()?,
            Values::List(values) => values.finish()?,
        })
    }
}

fn each<E>(
    cells: Cells<'_>,
    mut say: impl FnMut(usize, Option<&[u8]>, Taken) -> Result<(), E>,
    mut take: impl FnMut(Option<&[u8]>) -> Taken,
) -> Result<(), E> {
    for (place, value) in cells.iter().enumerate() {
        let taken = take(value);
        say(place, value, taken)?;
    }
    Ok(())
}

/// Values of one length; `convert` gives none for what the column cannot say.
fn fixed<T: ArrowPrimitiveType, E, const N: usize>(
    cells: Cells<'_>,
    say: impl FnMut(usize, Option<&[u8]>, Taken) -> Result<(), E>,
    to: &mut PrimitiveBuilder<T>,
    convert: impl Fn([u8; N]) -> Option<T::Native>,
) -> Result<(), E> {
    each(cells, say, |value| {
        let Some(value) = value else {
            to.append_null();
            return Taken::Whole;
        };
        let Ok(bytes) = value.try_into() else { return NOT_OF_TYPE };
        let native = convert(bytes);
        to.append_option(native);
        if native.is_some() { Taken::Whole } else { Taken::Beyond }
    })
}

fn text(value: Option<&[u8]>, to: &mut StringBuilder) -> Taken {
    match value.map(std::str::from_utf8).transpose() {
        Ok(text) => {
            to.append_option(text);
            Taken::Whole
        }
        Err(_) => NOT_UTF8,
    }
}

/// A number of so many digits.
trait Digits: Unscaled {
    fn fits(self, precision: u8) -> bool;
}

impl Digits for i128 {
    fn fits(self, precision: u8) -> bool {
        10_u128.checked_pow(precision.into()).is_some_and(|bound| self.unsigned_abs() < bound)
    }
}

impl Digits for i256 {
    fn fits(self, precision: u8) -> bool {
        let bound = i256::from_i128(10).checked_pow(precision.into());
        bound.is_some_and(|bound| self < bound && self > bound.wrapping_neg())
    }
}

fn number<T>(value: Option<&[u8]>, decimal: Decimal, to: &mut PrimitiveBuilder<T>) -> Taken
where
    T: ArrowPrimitiveType,
    T::Native: Digits,
{
    let Some(value) = value else {
        to.append_null();
        return Taken::Whole;
    };
    let scale = i32::from(decimal.scale);
    let Some(number) = Numeric::read(value) else {
        to.append_null();
        return Taken::Beyond;
    };
    let unscaled = number.unscaled::<T::Native>(scale).filter(|unscaled| unscaled.fits(decimal.precision));
    to.append_option(unscaled);
    let shown_scale = if decimal.is_declared { scale } else { number.least_scale() };
    match unscaled {
        None => Taken::Beyond,
        Some(_) if i32::from(number.scale) == shown_scale => Taken::Whole,
        Some(_) => Taken::Shown,
    }
}

#[derive(Default)]
struct Intervals {
    months: Vec<i32>,
    days: Vec<i32>,
    microseconds: Vec<i64>,
    nulls: Nulls,
}

/// Which values are there.
struct Nulls(NullBufferBuilder);

impl Default for Nulls {
    fn default() -> Self {
        Nulls(NullBufferBuilder::new(0))
    }
}

impl Intervals {
    fn take(&mut self, value: Option<&[u8]>) -> Taken {
        const NONE: Interval = Interval { months: 0, days: 0, microseconds: 0 };
        let interval = match value.map(Interval::read) {
            Some(None) => return NOT_OF_TYPE,
            Some(interval) => interval,
            None => None,
        };
        let plain = interval.filter(|interval| !interval.is_infinite());
        let Interval { months, days, microseconds } = plain.unwrap_or(NONE);
        self.months.push(months);
        self.days.push(days);
        self.microseconds.push(microseconds);
        self.nulls.0.append(plain.is_some());
        if interval.is_some() && plain.is_none() { Taken::Beyond } else { Taken::Whole }
    }

    fn finish(&mut self) -> Result<ArrayRef, ColumnsError> {
        let Intervals { months, days, microseconds, mut nulls } = std::mem::take(self);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(arrow_array::Int32Array::from(months)),
            Arc::new(arrow_array::Int32Array::from(days)),
            Arc::new(arrow_array::Int64Array::from(microseconds)),
        ];
        Ok(Arc::new(StructArray::try_new(interval_fields(), arrays, nulls.0.finish())?))
    }
}

/// Labels of an enum, all of which stand in the dictionary of every batch.
struct Labels {
    dictionary: Arc<StringArray>,
    keys: HashMap<Box<[u8]>, i32>,
    values: Int32Builder,
}

impl Labels {
    fn new(labels: &[String]) -> Self {
        let key = |(key, label): (i32, &String)| (label.as_bytes().into(), key);
        Labels {
            dictionary: Arc::new(StringArray::from_iter_values(labels)),
            keys: (0..).zip(labels).map(key).collect(),
            values: Int32Builder::new(),
        }
    }

    fn take(&mut self, value: Option<&[u8]>) -> Taken {
        let key = value.map(|value| self.keys.get(value).copied());
        if key == Some(None) {
            return Taken::Wrong("the label is none of those that the enum had");
        }
        self.values.append_option(key.flatten());
        Taken::Whole
    }

    fn finish(&mut self) -> Result<ArrayRef, ColumnsError> {
        let dictionary: ArrayRef = Arc::<StringArray>::clone(&self.dictionary);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(self.values.finish(), dictionary)?))
    }
}

/// One-dimensional arrays.
struct Lists {
    element: PgType,
    elements: Values,
    count: i32,
    offsets: Vec<i32>,
    nulls: Nulls,
}

impl Lists {
    fn new(element: &PgType) -> Self {
        let values = match element {
            PgType::Enum(_) => Values::new(&PgType::Text),
            element => Values::new(element),
        };
        Lists {
            element: element.clone(),
            elements: values,
            count: 0,
            offsets: vec![0],
            nulls: Nulls::default(),
        }
    }

    fn take(&mut self, value: Option<&[u8]>) -> Taken {
        let Some(value) = value else { return self.end_list(false, Taken::Whole) };
        let Some(array) = Array::read(value) else { return NOT_OF_TYPE };
        if !array.is_list() {
            return self.end_list(false, Taken::Beyond);
        }
        for element in array.elements() {
            let Some(element) = element else { return NOT_OF_TYPE };
            match element.map(|element| plain(&self.element, element)) {
                None | Some(Taken::Whole) => {}
                Some(Taken::Wrong(problem)) => return Taken::Wrong(problem),
                Some(Taken::Shown | Taken::Beyond) => return self.end_list(false, Taken::Beyond),
            }
        }
        for element in array.elements().flatten() {
            let span = Span::of(element);
            let cells = Cells::new(element.unwrap_or_default(), std::slice::from_ref(&span), 1);
            let appended = self.elements.append(cells, |_, _, taken| match taken {
                Taken::Wrong(problem) => Err(problem),
                _ => Ok(()),
            });
            if let Err(problem) = appended {
                return Taken::Wrong(problem);
            }
            self.count += 1;
        }
        self.end_list(true, Taken::Whole)
    }

    fn end_list(&mut self, is_value: bool, taken: Taken) -> Taken {
        self.offsets.push(self.count);
        self.nulls.0.append(is_value);
        taken
    }

    fn finish(&mut self) -> Result<ArrayRef, ColumnsError> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        self.count = 0;
        let nulls = std::mem::take(&mut self.nulls).0.finish();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let field = Arc::new(element_field(&self.element));
        Ok(Arc::new(ListArray::try_new(field, offsets, self.elements.finish()?, nulls)?))
    }
}

/// What becomes of an element, without appending it.
fn plain(element: &PgType, value: &[u8]) -> Taken {
    let is_plain = match element {
        PgType::Numeric(modifier) => {
            let decimal = PgType::decimal(*modifier);
            let scale = i32::from(decimal.scale);
            let Some(number) = Numeric::read(value) else { return Taken::Beyond };
            let fits = match decimal.precision {
                ..=38 => {
                    number.unscaled::<i128>(scale).is_some_and(|unscaled| unscaled.fits(decimal.precision))
                }
                precision => number.unscaled::<i256>(scale).is_some_and(|unscaled| unscaled.fits(precision)),
            };
            let shown_scale = if decimal.is_declared { scale } else { number.least_scale() };
            Some(fits && i32::from(number.scale) == shown_scale)
        }
        PgType::Date => value.try_into().ok().map(|bytes| moment::is_plain_date(i32::from_be_bytes(bytes))),
        PgType::Time => value.try_into().ok().map(|bytes| moment::is_plain_time(i64::from_be_bytes(bytes))),
        PgType::Timestamp | PgType::TimestampTz => {
            value.try_into().ok().map(|bytes| moment::is_plain_timestamp(i64::from_be_bytes(bytes)))
        }
        _ => Some(true),
    };
    match is_plain {
        Some(true) => Taken::Whole,
        Some(false) => Taken::Beyond,
        None => NOT_OF_TYPE,
    }
}
