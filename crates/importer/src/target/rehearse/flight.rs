//! Entries that are tried together, in one round trip.

use std::collections::BTreeSet;

use dbhaul_catalog::EntryKind;
use dbhaul_postgres::{Error, FailedStatement};

use super::{MOMENT, MOMENT_OVER, MOST_SLOW, NEXT, Rehearsal};
use crate::target::is_about_privileges;
use crate::target::untried::Manner;

/// Entries that are under way together as long as none is refused.
pub(super) const FLIGHT_ENTRIES: usize = 128;

/// A refusal leaves this part of them: what is behind it in its flight was sent for nothing.
const REFUSED_FLIGHT_PART: usize = 4;

/// Entries that are tried together.
#[derive(Debug, Default)]
pub(super) struct Flight {
    ids: Vec<u32>,
    messages: Vec<String>,
    /// For each entry how many messages there are at its end.
    ends: Vec<usize>,
    /// Whether they are about privileges.
    grants: Option<bool>,
    /// Those that are taken back at once.
    taken_back: BTreeSet<u32>,
}

impl Flight {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Rehearsal<'_> {
    /// What can be tried together from the front: messages, and for each entry how many of them there are
    /// at its end.
    pub(super) fn flight(&mut self, ids: &[u32]) -> Flight {
        let mut flight = Flight::default();
        for &id in ids.iter().take(self.flight_entries) {
            let Ok(entry) = self.plan.entry(id) else { break };
            // what a grant that was ignored in part has granted is not taken back, which harms no other grant
            let grants = entry.kind.is_privilege();
            let is_alone = entry.kind == EntryKind::EventTrigger
                || self.predicted.refused_dependency(self.plan, entry).is_some();
            if is_alone || *flight.grants.get_or_insert(grants) != grants {
                break;
            }
            // what was taken back is not there for what needs it
            if entry.depends_on.iter().any(|on| flight.taken_back.contains(on)) {
                break;
            }
            let manner = self.untried.manner(self.plan, entry);
            if manner == Manner::TakenBack && self.slow >= MOST_SLOW {
                break;
            }
            match manner {
                Manner::Kept if self.predicted.refused(id).is_none() => {
                    flight.messages.extend(self.prepare(entry).messages());
                }
                Manner::TakenBack if self.predicted.refused(id).is_none() => {
                    flight.messages.extend(MOMENT.map(str::to_owned));
                    flight.messages.extend(self.prepare(entry).messages());
                    flight.messages.extend(MOMENT_OVER.map(str::to_owned));
                    flight.taken_back.insert(id);
                }
                Manner::NotTried => self.not_tried(id),
                _ => {}
            }
            flight.ends.push(flight.messages.len());
            flight.ids.push(id);
        }
        flight
    }

    /// Tries entries together, then the first that is refused alone; returns how many that were.
    ///
    /// One savepoint serves them all, since a server looks through all relations that it knows at the end of each
    /// subtransaction (`AtEOSubXact_RelationCache` in its relcache.c): one for each entry takes the square of
    /// their number.
    pub(super) async fn fly(&mut self, flight: Flight) -> Result<usize, Error> {
        self.session.take_warnings();
        let messages = flight.messages.iter().map(String::as_str).chain(NEXT);
        let result = self.session.run_each(&messages.collect::<Vec<_>>()).await;
        let is_ignored = self.session.take_warnings().iter().any(is_about_privileges);
        match result {
            Ok(()) if is_ignored => {
                for id in &flight.ids {
                    self.one(*id).await?;
                }
                Ok(flight.ids.len())
            }
            Ok(()) => {
                self.lengthen_flights();
                flight.taken_back.iter().for_each(|id| self.untried.unknown(*id));
                Ok(flight.ids.len())
            }
            Err(FailedStatement { error, .. }) if error.is_cancelled() || error.is_connection_lost() => {
                Err(error)
            }
            Err(FailedStatement { place, .. }) => {
                self.session.batch("ROLLBACK TO SAVEPOINT attempt").await?;
                self.shorten_flights();
                let at_fault = flight.ends.partition_point(|end| *end <= place);
                let known = if is_ignored { 0 } else { self.again(&flight, at_fault).await? };
                let tried = flight.ids.iter().take(known).filter(|id| flight.taken_back.contains(id));
                tried.for_each(|id| self.untried.unknown(*id));
                for id in flight.ids.iter().take(at_fault + 1).skip(known) {
                    self.one(*id).await?;
                }
                Ok((at_fault + 1).min(flight.ids.len()))
            }
        }
    }

    /// Does the first entries of a flight once more, which were taken back with one behind them that was
    /// refused; returns how many are there then.
    async fn again(&mut self, flight: &Flight, count: usize) -> Result<usize, Error> {
        let end = count.checked_sub(1).and_then(|last| flight.ends.get(last)).copied().unwrap_or_default();
        let messages = flight.messages.iter().take(end).cloned().collect();
        let is_there = self.attempt(messages).await?.is_none();
        Ok(if is_there { count } else { 0 })
    }

    /// As [`Self::one`]; an entry that is not refused makes the next flight longer.
    pub(super) async fn alone(&mut self, id: u32) -> Result<(), Error> {
        let before = self.refusals;
        self.one(id).await?;
        if self.refusals == before {
            self.lengthen_flights();
        }
        Ok(())
    }

    fn lengthen_flights(&mut self) {
        self.flight_entries = (self.flight_entries * 2).clamp(1, FLIGHT_ENTRIES);
    }

    fn shorten_flights(&mut self) {
        self.flight_entries /= REFUSED_FLIGHT_PART;
    }
}
