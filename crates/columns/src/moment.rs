//! Dates, times and intervals: their text, and what a column of them can say.
//!
//! Source: PostgreSQL `src/backend/utils/adt/datetime.c`, `EncodeDateOnly`, `EncodeDateTime`, `EncodeInterval`, as they
//! print under `DateStyle ISO`, `TimeZone UTC` and `IntervalStyle postgres`.

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const DAY: i64 = 86_400_000_000;
/// The same in microseconds.
pub(crate) const EPOCH: i64 = EPOCH_DAYS as i64 * DAY;

const FIRST_DAY: i32 = -730_119;
const LAST_DAY: i32 = 2_921_939;

/// Whether a date lies in the years 1 to 9999, which every reader of files knows.
pub(crate) fn is_plain_date(days: i32) -> bool {
    (FIRST_DAY..=LAST_DAY).contains(&days)
}

/// The same of a timestamp.
pub(crate) fn is_plain_timestamp(microseconds: i64) -> bool {
    (i64::from(FIRST_DAY) * DAY..(i64::from(LAST_DAY) + 1) * DAY).contains(&microseconds)
}

/// Whether a time is before midnight: 24:00 is a time to PostgreSQL, and to nobody else.
pub(crate) fn is_plain_time(microseconds: i64) -> bool {
    (0..DAY).contains(&microseconds)
}

/// The days of a date as text.
pub(crate) fn parse_date(text: &[u8]) -> Option<i32> {
    match text {
        b"infinity" => Some(i32::MAX),
        b"-infinity" => Some(i32::MIN),
        text => {
            let (text, is_bc) = era(text);
            i32::try_from(date(text, is_bc)?).ok()
        }
    }
}

/// The microseconds of a timestamp as text, whose zone, if any, is UTC.
pub(crate) fn parse_timestamp(text: &[u8]) -> Option<i64> {
    match text {
        b"infinity" => return Some(i64::MAX),
        b"-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, is_bc) = era(text);
    let text = text.strip_suffix(b"+00").unwrap_or(text);
    let at = text.iter().position(|byte| *byte == b' ')?;
    let days = date(&text[..at], is_bc)?;
    days.checked_mul(DAY)?.checked_add(parse_time(&text[at + 1..])?)
}

fn era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

/// Days since 2000-01-01 of year, month and day.
fn date(text: &[u8], is_bc: bool) -> Option<i64> {
    let mut parts = text.splitn(3, |byte| *byte == b'-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && (1..10_000_000).contains(&year);
    if !is_date {
        return None;
    }
    let year = if is_bc { 1 - year } else { year };
    // Days of the proleptic Gregorian calendar: "chrono-compatible low-level date algorithms".
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 730_425)
}

/// The microseconds of a time as text.
pub(crate) fn parse_time(text: &[u8]) -> Option<i64> {
    let mut parts = text.splitn(3, |byte| *byte == b':');
    let (hours, minutes, seconds) = (number(parts.next()?)?, number(parts.next()?)?, parts.next()?);
    let (seconds, fraction) = match seconds.iter().position(|byte| *byte == b'.') {
        Some(at) => (number(&seconds[..at])?, fraction(&seconds[at + 1..])?),
        None => (number(seconds)?, 0),
    };
    let seconds = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?;
    // the longest negative interval is one microsecond longer than the longest positive
    seconds.checked_mul(1_000_000)?.checked_add(fraction)
}

fn fraction(digits: &[u8]) -> Option<i64> {
    let value = number(digits).filter(|_| digits.len() <= 6)?;
    Some(value * 10_i64.pow(6 - u32::try_from(digits.len()).ok()?))
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Months, days and microseconds, apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) microseconds: i64,
}

impl Interval {
    const INFINITY: Interval = Interval { months: i32::MAX, days: i32::MAX, microseconds: i64::MAX };
    const MINUS_INFINITY: Interval = Interval { months: i32::MIN, days: i32::MIN, microseconds: i64::MIN };

    /// Whether it is one of the infinities that there are since PostgreSQL 17.
    pub(crate) fn is_infinite(self) -> bool {
        self == Self::INFINITY || self == Self::MINUS_INFINITY
    }

    /// From its binary form: microseconds, days, months.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (microseconds, rest) = value.split_first_chunk::<8>()?;
        let (days, months) = rest.split_first_chunk::<4>()?;
        Some(Interval {
            months: i32::from_be_bytes(months.try_into().ok()?),
            days: i32::from_be_bytes(*days),
            microseconds: i64::from_be_bytes(*microseconds),
        })
    }

    pub(crate) fn push_binary(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.microseconds.to_be_bytes());
        out.extend_from_slice(&self.days.to_be_bytes());
        out.extend_from_slice(&self.months.to_be_bytes());
    }

    /// The text that a server prints.
    pub(crate) fn push_text(self, out: &mut Vec<u8>) {
        if self.is_infinite() {
            out.extend_from_slice(if self.months > 0 { b"infinity" } else { b"-infinity" });
            return;
        }
        let (start, mut is_before) = (out.len(), false);
        for (count, unit) in [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")] {
            if count != 0 {
                let space = if out.len() > start { " " } else { "" };
                let sign = if is_before && count > 0 { "+" } else { "" };
                let plural = if count == 1 { "" } else { "s" };
                out.extend_from_slice(format!("{space}{sign}{count} {unit}{plural}").as_bytes());
                is_before = count < 0;
            }
        }
        if out.len() > start && self.microseconds == 0 {
            return;
        }
        let space = if out.len() > start { " " } else { "" };
        let sign = match (self.microseconds < 0, is_before) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let all = self.microseconds.unsigned_abs();
        let (seconds, fraction) = (all / 1_000_000, all % 1_000_000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        out.extend_from_slice(format!("{space}{sign}{hours:02}:{minutes:02}:{seconds:02}").as_bytes());
        if fraction > 0 {
            out.extend_from_slice(format!(".{fraction:06}").trim_end_matches('0').as_bytes());
        }
    }

    /// From what a server prints.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"infinity" => return Some(Self::INFINITY),
            b"-infinity" => return Some(Self::MINUS_INFINITY),
            _ => {}
        }
        let mut interval = Interval { months: 0, days: 0, microseconds: 0 };
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        while let Some(word) = words.next() {
            if word.contains(':') {
                interval.microseconds = signed_time(word)?;
                continue;
            }
            let count: i32 = word.strip_prefix('+').unwrap_or(word).parse().ok()?;
            match words.next()? {
                "year" | "years" => interval.months = interval.months.checked_add(count.checked_mul(12)?)?,
                "mon" | "mons" => interval.months = interval.months.checked_add(count)?,
                "day" | "days" => interval.days = count,
                _ => return None,
            }
        }
        Some(interval)
    }
}

fn signed_time(word: &str) -> Option<i64> {
    match word.strip_prefix('-') {
        // what lies between them is beyond the positive
        Some("2562047788:00:54.775808") => Some(i64::MIN),
        Some(word) => Some(-parse_time(word.as_bytes())?),
        None => parse_time(word.strip_prefix('+').unwrap_or(word).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_print_as_the_server_prints_them() {
        for text in [
            "00:00:00",
            "1 year",
            "-10 mons -3 days +04:05:06.7",
            "-1 years -2 mons +3 days -04:05:06.000001",
            "1 mon",
            "-1 days",
            "1 day -00:00:00.5",
            "178000000 years",
            "2 years 1 mon 10 days 100:00:00",
            "-2562047788:00:54.775808",
            "infinity",
        ] {
            let mut shown = Vec::new();
            Interval::parse(text.as_bytes()).unwrap().push_text(&mut shown);
            assert_eq!(String::from_utf8(shown).unwrap(), text);
        }
    }

    #[test]
    fn days_count_from_2000() {
        for (text, days) in [
            ("2000-01-01", 0),
            ("1999-12-31", -1),
            ("1970-01-01", -EPOCH_DAYS),
            ("0001-01-01", FIRST_DAY),
            ("9999-12-31", LAST_DAY),
            ("0001-12-31 BC", FIRST_DAY - 1),
            ("4714-11-24 BC", -2_451_545),
        ] {
            assert_eq!(parse_date(text.as_bytes()), Some(days), "{text}");
        }
        assert_eq!(parse_date(b"2000-13-01"), None);
    }

    #[test]
    fn intervals_read_as_servers_print_them() {
        let interval = |months, days, microseconds| Some(Interval { months, days, microseconds });
        assert_eq!(Interval::parse(b"1 year 2 mons -3 days +04:05:06.7"), interval(14, -3, 14_706_700_000));
        assert_eq!(Interval::parse(b"-1 years -2 mons"), interval(-14, 0, 0));
        assert_eq!(Interval::parse(b"00:00:00"), interval(0, 0, 0));
        assert_eq!(Interval::parse(b"-2562047788:00:54.775808"), interval(0, 0, i64::MIN));
        assert_eq!(Interval::parse(b"3 fortnights"), None);
    }
}
