//! `numeric` between its binary form, decimal digits, and integers with a scale.
//!
//! Source: PostgreSQL `src/backend/utils/adt/numeric.c`, `numeric_send` and `numeric_recv`: 16-bit counts of
//! digits to the base of 10,000, of the first digit's weight, sign and display scale, then the digits.

use arrow_buffer::i256;

const NEGATIVE: u16 = 0x4000;
/// Decimal digits of one digit of the binary form.
const GROUP: usize = 4;

/// A number in its binary form that is neither NaN nor infinite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numeric<'a> {
    is_negative: bool,
    /// Place of the first digit: its value is multiplied by 10,000 to this power.
    weight: i32,
    /// Decimal digits behind the point, as it prints.
    pub(crate) scale: u16,
    digits: &'a [u8],
}

impl<'a> Numeric<'a> {
    /// `None` for NaN, the infinities, and what is no number.
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (header, digits) = value.split_at_checked(8)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let is_whole = digits.len() == usize::from(word(0)) * 2;
        if !is_whole || !matches!(word(4), 0 | NEGATIVE) {
            return None;
        }
        let weight = i32::from(i16::from_be_bytes([header[2], header[3]]));
        Some(Numeric { is_negative: word(4) == NEGATIVE, weight, scale: word(6), digits })
    }

    fn digits(&self) -> impl Iterator<Item = u16> + '_ {
        self.digits.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// The number multiplied by 10 to the power of `scale`; `None` if that is no integer of `T`.
    pub(crate) fn unscaled<T: Unscaled>(&self, scale: i32) -> Option<T> {
        let mut sum = T::ZERO;
        // how many powers of ten what has been summed up lacks
        let mut lacking = 0;
        for (place, digit) in (0..).zip(self.digits()) {
            let exponent = 4 * (self.weight - place) + scale;
            if exponent >= 0 {
                sum = sum.append(10_000, digit)?;
            } else {
                let divisor = 10_u16.checked_pow(exponent.unsigned_abs()).filter(|_| exponent > -4);
                match divisor {
                    Some(divisor) if digit % divisor == 0 => {
                        sum = sum.append(10_000 / i64::from(divisor), digit / divisor)?;
                    }
                    _ if digit == 0 => {}
                    _ => return None,
                }
            }
            lacking = exponent.max(0);
        }
        while lacking > 0 && sum != T::ZERO {
            let step = lacking.min(18);
            sum = sum.append(10_i64.pow(step.unsigned_abs()), 0)?;
            lacking -= step;
        }
        Some(if self.is_negative { sum.negated() } else { sum })
    }

    /// Digits behind the point up to the last that is not 0.
    pub(crate) fn least_scale(&self) -> i32 {
        let Some((place, digit)) = (0..).zip(self.digits()).filter(|(_, digit)| *digit != 0).last() else {
            return 0;
        };
        let zeros = (0..4).take_while(|power| digit % 10_u16.pow(power + 1) == 0).count();
        (4 * (place - self.weight) - i32::try_from(zeros).unwrap_or(0)).max(0)
    }
}

/// An integer that digits are appended to.
pub(crate) trait Unscaled: Copy + PartialEq {
    const ZERO: Self;
    /// `self * factor + digit`.
    fn append(self, factor: i64, digit: u16) -> Option<Self>;
    fn negated(self) -> Self;
}

impl Unscaled for i128 {
    const ZERO: Self = 0;

    fn append(self, factor: i64, digit: u16) -> Option<Self> {
        self.checked_mul(factor.into())?.checked_add(digit.into())
    }

    fn negated(self) -> Self {
        -self
    }
}

impl Unscaled for i256 {
    const ZERO: Self = i256::ZERO;

    fn append(self, factor: i64, digit: u16) -> Option<Self> {
        self.checked_mul(i256::from_i128(factor.into()))?.checked_add(i256::from_i128(digit.into()))
    }

    fn negated(self) -> Self {
        self.wrapping_neg()
    }
}

/// Appends the binary form of a number given by its decimal digits.
///
/// `None` if it is beyond what a numeric can be.
pub(crate) fn push_decimal(
    is_negative: bool,
    integer: &[u8],
    fraction: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let scale = u16::try_from(fraction.len()).ok()?;
    let leading = integer.iter().take_while(|digit| **digit == b'0').count();
    let integer = &integer[leading..];
    let header = out.len();
    out.extend_from_slice(&[0; 8]);
    let group = |digits: &[u8]| digits.iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let (first, rest) = integer.split_at(integer.len() % GROUP);
    let mut weight = i32::try_from(integer.len().div_ceil(GROUP)).ok()? - 1;
    let firsts = (!first.is_empty()).then(|| group(first));
    let groups =
        firsts.into_iter().chain(rest.chunks(GROUP).map(group)).chain(fraction.chunks(GROUP).map(|digits| {
            let missing = GROUP - digits.len();
            (0..missing).fold(group(digits), |sum, _| sum * 10)
        }));
    for digit in groups {
        if digit == 0 && out.len() == header + 8 {
            weight -= 1;
        } else {
            out.extend_from_slice(&digit.to_be_bytes());
        }
    }
    while out.len() > header + 8 && out.ends_with(&[0, 0]) {
        out.truncate(out.len() - 2);
    }
    let count = u16::try_from((out.len() - header - 8) / 2).ok()?;
    let (weight, sign) = match count {
        0 => (0, 0),
        _ => (i16::try_from(weight).ok()?, if is_negative { NEGATIVE } else { 0 }),
    };
    for (at, word) in [count, weight.cast_unsigned(), sign, scale].into_iter().enumerate() {
        out[header + 2 * at..header + 2 * at + 2].copy_from_slice(&word.to_be_bytes());
    }
    Some(())
}

/// Appends the binary form of a number as text: digits with a point, `NaN`, `Infinity`.
pub(crate) fn parse(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let special: Option<u16> = match text {
        b"NaN" => Some(0xc000),
        b"Infinity" => Some(0xd000),
        b"-Infinity" => Some(0xf000),
        _ => None,
    };
    if let Some(sign) = special {
        // display scale as numeric_in leaves it, which nothing reads
        let [high, low] = sign.to_be_bytes();
        out.extend_from_slice(&[0, 0, 0, 0, high, low, 0, 0]);
        return Some(());
    }
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (integer, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &digits[..0]),
    };
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if integer.len() + fraction.len() == 0 || !is_number(integer) || !is_number(fraction) {
        return None;
    }
    push_decimal(is_negative, integer, fraction, out)
}

/// Appends the binary form of an integer with a scale, given by the text of the integer. With `is_least`, its
/// display scale is the least that it can be shown with.
pub(crate) fn push_unscaled(integer: &[u8], scale: i8, is_least: bool, out: &mut Vec<u8>) -> Option<()> {
    let (is_negative, digits) = match integer {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let Ok(scale) = usize::try_from(scale) else {
        let mut digits = digits.to_vec();
        digits.resize(digits.len() + usize::from(scale.unsigned_abs()), b'0');
        return push_decimal(is_negative, &digits, &[], out);
    };
    let mut padded = [b'0'; 2 * 80];
    let padded = match digits.len() <= scale {
        true => {
            let padded = padded.get_mut(..scale)?;
            padded[scale - digits.len()..].copy_from_slice(digits);
            &*padded
        }
        false => digits,
    };
    let (integer, mut fraction) = padded.split_at(padded.len() - scale);
    if is_least {
        let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
        fraction = &fraction[..fraction.len() - zeros];
    }
    push_decimal(is_negative, integer, fraction, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        parse(text.as_bytes(), &mut out).unwrap();
        out
    }

    #[test]
    fn numbers_become_integers_with_a_scale() {
        let unscaled = |text: &str, scale| Numeric::read(&binary(text)).unwrap().unscaled::<i128>(scale);
        assert_eq!(unscaled("1.5", 2), Some(150));
        assert_eq!(unscaled("-1.55", 2), Some(-155));
        assert_eq!(unscaled("1.555", 2), None);
        assert_eq!(unscaled("0.00", 2), Some(0));
        assert_eq!(unscaled("120000", 0), Some(120_000));
        assert_eq!(unscaled("12345678", -2), None);
        assert_eq!(unscaled("12345600", -2), Some(123_456));
        let longest = "9".repeat(38);
        assert_eq!(unscaled(&longest, 0), longest.parse().ok());
        assert_eq!(unscaled(&format!("0.{longest}"), 38), longest.parse().ok());
        assert_eq!(unscaled(&"9".repeat(40), 0), None);
        let longest = "9".repeat(76);
        let digits = binary(&format!("{}.{}", &longest[..3], &longest[3..]));
        let wide = Numeric::read(&digits).unwrap().unscaled::<i256>(73);
        assert_eq!(wide.unwrap().to_string(), longest);
    }

    #[test]
    fn the_least_scale_ends_at_the_last_digit_that_counts() {
        for (text, scale) in
            [("0", 0), ("0.00", 0), ("100", 0), ("1.50", 1), ("1.0001", 4), ("0.00010", 4), ("10000", 0)]
        {
            assert_eq!(Numeric::read(&binary(text)).unwrap().least_scale(), scale, "{text}");
        }
    }

    #[test]
    fn integers_with_a_scale_become_numbers() {
        let number = |integer: &str, scale, is_least| {
            let mut out = Vec::new();
            push_unscaled(integer.as_bytes(), scale, is_least, &mut out).unwrap();
            out
        };
        assert_eq!(number("150", 2, false), binary("1.50"));
        assert_eq!(number("150", 2, true), binary("1.5"));
        assert_eq!(number("-5", 3, false), binary("-0.005"));
        assert_eq!(number("0", 3, true), binary("0"));
        assert_eq!(number("12", -3, false), binary("12000"));
    }
}
