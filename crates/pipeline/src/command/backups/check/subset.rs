//! Which packs of rows a check reads that does not read all.

use std::str::FromStr;

use dbhaul_archive::PackGroup;
use jiff::Timestamp;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// A part of the packs of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckSubset {
    /// A group of several.
    Group(PackGroup),
    /// A group of so many, another one each day (in UTC), and all of them in turn.
    OfDay {
        /// How many groups there are.
        of: u32,
    },
}

/// What is no subset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no part of the packs; write for example 3/20, or 5% for another part each day")]
pub struct SubsetError {
    /// What was given.
    text: String,
}

impl CheckSubset {
    /// The group of packs of a day.
    #[must_use]
    pub fn on(self, time: Timestamp) -> PackGroup {
        match self {
            CheckSubset::Group(group) => group,
            CheckSubset::OfDay { of } => {
                let day = time.as_second().div_euclid(SECONDS_PER_DAY);
                let place = u32::try_from(day.rem_euclid(i64::from(of))).unwrap_or_default();
                PackGroup { group: place + 1, of }
            }
        }
    }
}

impl FromStr for CheckSubset {
    type Err = SubsetError;

    fn from_str(text: &str) -> Result<Self, SubsetError> {
        let fault = || SubsetError { text: text.to_owned() };
        if let Some((group, of)) = text.split_once('/') {
            let (group, of) = (number(group).ok_or_else(fault)?, number(of).ok_or_else(fault)?);
            return PackGroup::new(group, of).map(CheckSubset::Group).ok_or_else(fault);
        }
        let percent = text.strip_suffix('%').ok_or_else(fault)?;
        let hundredths =
            hundredths(percent).filter(|share| (1..=10_000).contains(share)).ok_or_else(fault)?;
        // at least so much of the packs each day
        let of = 10_000 / hundredths;
        // a check each week would see but some of the groups
        let of = if of % 7 == 0 { of - 1 } else { of };
        Ok(CheckSubset::OfDay { of })
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A decimal number with at most two decimals, times 100.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let scale = match decimals.len() {
        1 => 10,
        2 => 1,
        _ => return None,
    };
    number(whole)?.checked_mul(100)?.checked_add(number(decimals)? * scale)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::{Timestamp, ToSpan};

    use super::CheckSubset;

    fn of(text: &str) -> u32 {
        match text.parse().unwrap() {
            CheckSubset::Group(group) => group.of,
            CheckSubset::OfDay { of } => of,
        }
    }

    #[test]
    fn a_share_is_at_least_what_was_asked_for() {
        for (text, expected) in [
            ("100%", 1),
            ("50%", 2),
            ("5%", 20),
            ("14.2%", 6),
            ("4%", 25),
            ("2.5%", 40),
            ("0.01%", 10_000),
            ("2/3", 3),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        for text in [
            "", "5", "0%", "101%", "-1%", "5 %", "0/3", "4/3", "1/0", "1/", "+1/3", "1/20000", "5.125%", "x%",
        ] {
            assert!(text.parse::<CheckSubset>().is_err(), "{text}");
        }
    }

    #[test]
    fn checks_of_a_month_of_nights_and_of_many_weeks_see_all_groups() {
        let start: Timestamp = "2026-01-31T02:00:00Z".parse().unwrap();
        for text in ["5%", "4%", "10%", "14.3%", "7%"] {
            let subset: CheckSubset = text.parse().unwrap();
            let groups = |days: i64, step: i64| -> BTreeSet<u32> {
                (0..days).map(|day| subset.on(start + (day * step * 24).hours()).group).collect()
            };
            let of = of(text);
            assert_eq!(groups(28, 1).len(), of as usize, "{text}");
            assert_eq!(groups(i64::from(of), 7).len(), of as usize, "{text}, once a week");
        }
    }
}
