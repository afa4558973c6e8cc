//! Floating point numbers as PostgreSQL prints them under `extra_float_digits 3`.
//!
//! Source: PostgreSQL `src/common/d2s.c` and `f2s.c`: the shortest digits that read back as the number, of those the ones
//! nearest to it, with an exponent outside of a range. Digits that lie as near to the next number as to this one do not
//! count there (`STRICTLY_SHORTEST` is 0), which they do for Rust.

/// Powers of five that fit beside 17 digits into 128 bits.
const MAX_POWER: u32 = 27;

/// A floating point type.
pub(crate) trait Float: Copy + PartialEq {
    /// Numbers of 10 to this power or more have an exponent.
    const EXPONENT_FROM: i32;
    /// Digits that are always enough.
    const MAX_DIGITS: usize;

    /// `1.5e-7`, with the shortest digits.
    fn shortest(self) -> String;
    /// The same, with so many digits.
    fn rounded(self, digits: usize) -> String;
    fn parse(text: &str) -> Option<Self>;
    /// Mantissa and power of two of the absolute number, and whether the number below it is only half as far as the one above.
    fn parts(self) -> (u64, i32, bool);
}

macro_rules! float {
    ($type:ident, $mantissa_bits:literal, $exponent_bits:literal, $exponent_from:literal, $max_digits:literal) => {
        impl Float for $type {
            const EXPONENT_FROM: i32 = $exponent_from;
            const MAX_DIGITS: usize = $max_digits;

            fn shortest(self) -> String {
                format!("{:e}", self.abs())
            }

            fn rounded(self, digits: usize) -> String {
                format!("{:.*e}", digits - 1, self.abs())
            }

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn parts(self) -> (u64, i32, bool) {
                let bits = u64::from(self.abs().to_bits());
                let (fraction, exponent) = (bits & ((1 << $mantissa_bits) - 1), bits >> $mantissa_bits);
                let least = 2 - (1 << ($exponent_bits - 1)) - $mantissa_bits;
                match exponent {
                    0 => (fraction, least, false),
                    exponent => {
                        let power = least + exponent as i32 - 1;
                        (fraction | (1 << $mantissa_bits), power, fraction == 0 && exponent > 1)
                    }
                }
            }
        }
    };
}
float!(f32, 23, 8, 6, 9);
float!(f64, 52, 11, 15, 17);

/// Appends a finite number other than zero, without its sign.
pub(crate) fn push_digits<F: Float>(value: F, text: &mut Vec<u8>) -> Option<()> {
    let (digits, exponent) = digits(value)?;
    if !(-4..F::EXPONENT_FROM).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        let shown = format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs());
        text.extend_from_slice(shown.as_bytes());
        return Some(());
    }
    let before = usize::try_from(exponent + 1).unwrap_or_default();
    if before == 0 {
        text.extend_from_slice(b"0.");
        text.resize(text.len() + usize::try_from(-exponent - 1).ok()?, b'0');
        text.extend_from_slice(digits.as_bytes());
        return Some(());
    }
    let (front, behind) = digits.split_at(before.min(digits.len()));
    text.extend_from_slice(front.as_bytes());
    text.resize(text.len() + before - front.len(), b'0');
    if !behind.is_empty() {
        text.push(b'.');
        text.extend_from_slice(behind.as_bytes());
    }
    Some(())
}

/// The digits, and the power of ten of the first.
fn digits<F: Float>(value: F) -> Option<(String, i32)> {
    let shortest = to_even(value, split(&value.shortest())?)?;
    if !lies_between(value, &shortest)? {
        return Some(shortest);
    }
    let read = |text: &str| F::parse(text);
    let same = read(&value.shortest());
    for count in shortest.0.len() + 1..=F::MAX_DIGITS {
        let text = value.rounded(count);
        let longer = split(&text)?;
        if read(&text) == same && !lies_between(value, &longer)? {
            return Some(longer);
        }
    }
    Some(shortest)
}

/// Of two texts that are equally near, the one whose last digit is even.
fn to_even<F: Float>(value: F, (digits, exponent): (String, i32)) -> Option<(String, i32)> {
    let number: u64 = digits.parse().ok()?;
    let power = exponent - i32::try_from(digits.len()).ok()? + 1;
    let (mantissa, two, _) = value.parts();
    let zeros = mantissa.trailing_zeros();
    let exact = (mantissa >> zeros, two + i32::try_from(zeros).ok()?);
    let is_tie = number % 2 == 1 && is_equal(number * 10 - 5, power - 1, exact);
    let even = ((number.saturating_sub(1)).to_string(), exponent);
    let reads_back = || F::parse(&format!("{}e{power}", even.0)) == F::parse(&value.shortest());
    let is_even = is_tie && reads_back() && !lies_between(value, &even)?;
    Some(if is_even { even } else { (digits, exponent) })
}

fn split(text: &str) -> Option<(String, i32)> {
    let (digits, exponent) = text.split_once('e')?;
    let digits = digits.replace('.', "");
    let digits = digits.trim_end_matches('0');
    Some((if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }, exponent.parse().ok()?))
}

/// Whether the digits are exactly in the middle between the number and one of its neighbours.
fn lies_between<F: Float>(value: F, (digits, exponent): &(String, i32)) -> Option<bool> {
    let number: u64 = digits.parse().ok()?;
    let power = exponent - i32::try_from(digits.len()).ok()? + 1;
    let (mantissa, two, is_half) = value.parts();
    let below = match is_half {
        true => (4 * mantissa - 1, two - 2),
        false => ((2 * mantissa).wrapping_sub(1), two - 1),
    };
    Some(is_equal(number, power, (2 * mantissa + 1, two - 1)) || is_equal(number, power, below))
}

/// Whether `number * 10^power` is `odd * 2^two`.
fn is_equal(number: u64, power: i32, (odd, two): (u64, i32)) -> bool {
    let fives = match power.unsigned_abs() {
        count @ 0..=MAX_POWER => 5_u128.pow(count),
        // the odd number has no room for them
        _ => return false,
    };
    let number = u128::from(number);
    let without_tens = match power >= 0 {
        true => number * fives,
        false if number % fives == 0 => number / fives,
        false => return false,
    };
    let zeros = without_tens.trailing_zeros();
    number > 0 && without_tens >> zeros == u128::from(odd) && power + zeros as i32 == two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<F: Float>(value: F, expected: &str) {
        let mut text = Vec::new();
        push_digits(value, &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn numbers_print_as_the_server_prints_them() {
        check(0.1_f64, "0.1");
        check(100.0_f64, "100");
        check(123.456_f64, "123.456");
        check(0.0001_f64, "0.0001");
        check(0.00001_f64, "1e-05");
        check(123_456_789_012_345.0_f64, "123456789012345");
        check(1e15_f64, "1e+15");
        check(1.5e300_f64, "1.5e+300");
        check(5e-324_f64, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        check(0.1_f32, "0.1");
        check(999_999.0_f32, "999999");
        check(1e6_f32, "1e+06");
        check(f32::MIN_POSITIVE, "1.1754944e-38");
        check(1e-45_f32, "1e-45");
    }

    /// What stands in the middle between two numbers is not taken for either.
    #[test]
    fn the_middle_between_two_numbers_is_neither() {
        check(1e23_f64, "9.999999999999999e+22");
        check(165_355_564_042.703_13_f64, "165355564042.70312");
        check(9_007_199_254_740_992.0_f64, "9.007199254740992e+15");
    }
}
