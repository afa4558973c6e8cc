//! What a person asks to keep.

use std::str::FromStr;

use jiff::Span;
use jiff::tz::TimeZone;

/// How many backups of a kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepCount {
    /// None for this rule.
    #[default]
    None,
    /// So many.
    AtMost(u32),
    /// Every one of them.
    Unlimited,
}

/// Rules for which backups to keep; what no rule keeps is forgotten.
#[derive(Debug, Clone)]
pub struct KeepPolicy {
    /// The newest.
    pub last: KeepCount,
    /// The newest of an hour.
    pub hourly: KeepCount,
    /// The newest of a day.
    pub daily: KeepCount,
    /// The newest of a week, which begins on Monday.
    pub weekly: KeepCount,
    /// The newest of a month.
    pub monthly: KeepCount,
    /// The newest of a year.
    pub yearly: KeepCount,
    /// All that are younger, counted from the newest.
    pub within: Option<Span>,
    /// All that have one of these tags.
    pub tags: Vec<String>,
    /// So many of each database remain whatever the rules say.
    pub at_least: u32,
    /// Only backups count that a check has found good. The others are kept.
    pub only_checked: bool,
    /// Where hours, days, weeks, months and years begin.
    pub zone: TimeZone,
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Neither a number nor `unlimited`.
    #[error("{text:?} is neither a number of backups nor \"unlimited\"")]
    Count {
        /// What was given.
        text: String,
    },
    /// Not a span of time.
    #[error("{text:?} is not a span of time; write for example 12h, 7d, 3mo or 1y2mo")]
    Span {
        /// What was given.
        text: String,
    },
    /// No rule keeps anything.
    #[error("no rule says what to keep, so that every backup would be forgotten")]
    Empty,
}

impl KeepCount {
    /// The most that are kept.
    pub(crate) fn most(self) -> usize {
        match self {
            KeepCount::None => 0,
            KeepCount::AtMost(count) => count as usize,
            KeepCount::Unlimited => usize::MAX,
        }
    }
}

impl FromStr for KeepCount {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text.trim() {
            "unlimited" => Ok(KeepCount::Unlimited),
            "0" => Ok(KeepCount::None),
            number => number
                .parse()
                .map(KeepCount::AtMost)
                .map_err(|_| PolicyError::Count { text: text.to_owned() }),
        }
    }
}

impl Default for KeepPolicy {
    /// Keeps nothing but the newest backup of each database.
    fn default() -> Self {
        let none = KeepCount::None;
        KeepPolicy {
            last: none,
            hourly: none,
            daily: none,
            weekly: none,
            monthly: none,
            yearly: none,
            within: None,
            tags: Vec::new(),
            at_least: 1,
            only_checked: false,
            zone: TimeZone::UTC,
        }
    }
}

impl KeepPolicy {
    /// The policy, if a rule of it keeps anything.
    ///
    /// # Errors
    /// [`PolicyError::Empty`].
    pub fn not_empty(self) -> Result<Self, PolicyError> {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        let is_empty = counts.iter().all(|count| count.most() == 0);
        match is_empty && self.within.is_none() && self.tags.is_empty() {
            true => Err(PolicyError::Empty),
            false => Ok(self),
        }
    }

    /// A span of time as `--keep-within` takes it: `12h`, `7d`, `3mo`, `1y2mo`; a lone `m` stands for months as restic
    /// has it.
    ///
    /// # Errors
    /// [`PolicyError::Span`].
    pub fn parse_span(text: &str) -> Result<Span, PolicyError> {
        let fault = || PolicyError::Span { text: text.to_owned() };
        let (mut span, mut rest) = (Span::new(), text.trim());
        if rest.is_empty() {
            return Err(fault());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
            let number: i64 = rest[..digits].parse().map_err(|_| fault())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let grown = match &rest[..letters] {
                "y" => span.try_years(number),
                "mo" | "m" => span.try_months(number),
                "w" => span.try_weeks(number),
                "d" => span.try_days(number),
                "h" => span.try_hours(number),
                _ => return Err(fault()),
            };
            span = grown.map_err(|_| fault())?;
            rest = &rest[letters..];
        }
        match span.is_zero() {
            true => Err(fault()),
            false => Ok(span),
        }
    }
}
