//! Which backups to keep, and why.
//!
//! The rules are restic's: so many of the last, one for each of so many hours, days, weeks, months and years, whatever
//! is younger than a span, and whatever has a tag. They are counted from the newest good backup, not from today, so that
//! a job that fails for a month forgets nothing. Nothing here does any I/O.

mod policy;

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Serialize, Serializer};
use ulid::Ulid;

pub use policy::{KeepCount, KeepPolicy, PolicyError};

/// A backup of one database, as far as the policy looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its identity.
    pub id: Ulid,
    /// When its snapshot was taken, by the clock of the server.
    pub snapshot_time: Timestamp,
    /// Whether it holds all that it was meant to.
    pub is_complete: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether somebody has pinned it.
    pub is_pinned: bool,
    /// Whether it counts: its manifest can be read and, where the policy asks for that, it was checked.
    pub counts: bool,
}

/// A period of time of which one backup is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From one hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// Why a backup is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is one of the last.
    Last,
    /// It is the newest of its period.
    NewestOf(Period),
    /// It is the oldest there is, where fewer periods are covered than the policy keeps.
    OldestFor(Period),
    /// It is younger, counted from the newest, than a span.
    Within(String),
    /// It has this tag.
    Tag(String),
    /// Somebody has pinned it.
    Pinned,
    /// It is the newest that holds all it was meant to.
    NewestComplete,
    /// So many must remain whatever the policy says.
    Minimum,
    /// It does not count: it is kept until it is named.
    DoesNotCount,
}

/// A backup with the reasons to keep it; without any it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The backup.
    pub candidate: Candidate,
    /// Why it is kept.
    pub reasons: Vec<Reason>,
}

impl Reason {
    /// Whether a rule of the policy is the reason, and not what keeps some backup whatever the rules.
    #[must_use]
    pub fn is_of_a_rule(&self) -> bool {
        match self {
            Reason::Last
            | Reason::NewestOf(_)
            | Reason::OldestFor(_)
            | Reason::Within(_)
            | Reason::Tag(_) => true,
            Reason::Pinned | Reason::NewestComplete | Reason::Minimum | Reason::DoesNotCount => false,
        }
    }
}

impl KeepPolicy {
    /// Decides about the backups of one database, whose order does not matter; returns them newest first: by their
    /// identities, which the machines that made them gave them, for the clock of a server may have been wrong.
    #[must_use]
    pub fn decide(&self, mut candidates: Vec<Candidate>) -> Vec<Decision> {
        candidates.sort_by_key(|candidate| candidate.id);
        candidates.reverse();
        let mut decisions: Vec<Decision> =
            candidates.into_iter().map(|candidate| Decision { candidate, reasons: Vec::new() }).collect();
        self.keep_newest_of_periods(&mut decisions);
        self.keep_within(&mut decisions);
        for Decision { candidate, reasons } in &mut decisions {
            let tagged = candidate.tags.iter().filter(|tag| self.tags.contains(tag));
            reasons.extend(tagged.map(|tag| Reason::Tag(tag.clone())));
            if candidate.is_pinned {
                reasons.push(Reason::Pinned);
            }
            if !candidate.counts {
                reasons.push(Reason::DoesNotCount);
            }
        }
        let complete = decisions.iter_mut().find(|decision| {
            let Candidate { counts, is_complete, .. } = decision.candidate;
            counts && is_complete
        });
        if let Some(Decision { reasons, .. }) = complete.filter(|decision| decision.reasons.is_empty()) {
            reasons.push(Reason::NewestComplete);
        }
        let counting = decisions.iter_mut().filter(|decision| decision.candidate.counts);
        for decision in counting.take(self.at_least as usize).filter(|decision| decision.reasons.is_empty()) {
            decision.reasons.push(Reason::Minimum);
        }
        decisions
    }

    fn keep_newest_of_periods(&self, decisions: &mut [Decision]) {
        let mut counting: Vec<&mut Decision> =
            decisions.iter_mut().filter(|decision| decision.candidate.counts).collect();
        for decision in counting.iter_mut().take(self.last.most()) {
            decision.reasons.push(Reason::Last);
        }
        let periods = [
            (self.hourly, Period::Hour),
            (self.daily, Period::Day),
            (self.weekly, Period::Week),
            (self.monthly, Period::Month),
            (self.yearly, Period::Year),
        ];
        for (count, period) in periods {
            let mut left = count.most();
            let mut seen = HashSet::new();
            let oldest = counting.len().saturating_sub(1);
            for (place, decision) in counting.iter_mut().enumerate() {
                if left == 0 {
                    break;
                }
                let is_newest =
                    seen.insert(period.of(&decision.candidate.time().to_zoned(self.zone.clone())));
                if is_newest {
                    decision.reasons.push(Reason::NewestOf(period));
                    left -= 1;
                } else if place == oldest {
                    decision.reasons.push(Reason::OldestFor(period));
                }
            }
        }
    }

    fn keep_within(&self, decisions: &mut [Decision]) {
        let Some(within) = &self.within else { return };
        let newest = decisions.iter().find(|decision| decision.candidate.counts);
        let Some(newest) = newest.map(|decision| decision.candidate.time().to_zoned(self.zone.clone()))
        else {
            return;
        };
        // a span that reaches beyond what a time can be keeps everything
        let since = newest.checked_sub(*within).map_or(Timestamp::MIN, |since| since.timestamp());
        for Decision { candidate, reasons } in decisions {
            if candidate.counts && candidate.time() >= since {
                reasons.push(Reason::Within(format!("{within:#}")));
            }
        }
    }
}

/// How far the clocks of a server and of the machine that backs it up may be apart, with the time that a dump takes.
const CLOCKS: SignedDuration = SignedDuration::from_hours(48);

impl Candidate {
    /// When it was made: by the clock of the server, unless that disagrees with the one of the machine that made it.
    fn time(&self) -> Timestamp {
        let made = i64::try_from(self.id.timestamp_ms()).ok();
        let made = made.and_then(|made| Timestamp::from_millisecond(made).ok()).unwrap_or(self.snapshot_time);
        match made.duration_since(self.snapshot_time).abs() > CLOCKS {
            true => made,
            false => self.snapshot_time,
        }
    }
}

impl Period {
    /// What the times of the same period have in common.
    fn of(self, time: &Zoned) -> (i16, i16) {
        match self {
            // the hour that a clock set back shows twice are two
            Period::Hour => {
                let hours = time.timestamp().as_second().div_euclid(3600);
                ((hours >> 15) as i16, (hours & 0x7fff) as i16)
            }
            Period::Day => (time.year(), time.day_of_year()),
            Period::Week => {
                let week = time.date().iso_week_date();
                (week.year(), i16::from(week.week()))
            }
            Period::Month => (time.year(), i16::from(time.month())),
            Period::Year => (time.year(), 0),
        }
    }

    fn adjective(self) -> &'static str {
        match self {
            Period::Hour => "hourly",
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
            Period::Year => "yearly",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Last => write!(f, "last"),
            Reason::NewestOf(period) => write!(f, "{}", period.adjective()),
            Reason::OldestFor(period) => write!(f, "oldest {}", period.adjective()),
            Reason::Within(span) => write!(f, "within {span}"),
            Reason::Tag(tag) => write!(f, "tag {tag}"),
            Reason::Pinned => write!(f, "pinned"),
            Reason::NewestComplete => write!(f, "newest complete"),
            Reason::Minimum => write!(f, "minimum to keep"),
            Reason::DoesNotCount => write!(f, "not counted"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
