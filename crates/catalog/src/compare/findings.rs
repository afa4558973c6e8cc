//! What a comparison found, before and after a parser has been asked.

use super::repeated::without_repeated;
use super::{CatalogDiff, Difference, Unsettled};

/// What differs between two catalogs as far as their contents tell. Printed definitions whose texts differ
/// wait for a [`Decision`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    findings: Vec<Finding>,
}

/// One place where two catalogs differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    Settled(Difference),
    Unsettled(Box<Unsettled>),
}

/// Whether two printed definitions are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// PostgreSQL's parser makes the same of both.
    Same,
    /// It does not.
    Different,
    /// Nobody could tell, for this reason.
    NotVerified(String),
}

impl Comparison {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Comparison { findings }
    }

    /// The definitions that wait for a decision, in order of identity.
    pub fn unsettled(&self) -> Vec<&Unsettled> {
        let unsettled = self.findings.iter().filter_map(|finding| match finding {
            Finding::Unsettled(unsettled) => Some(&**unsettled),
            Finding::Settled(_) => None,
        });
        unsettled.collect()
    }

    /// All differences, given a decision for each of [`unsettled`](Self::unsettled), in the same order. What
    /// has none is not verified.
    pub fn settle(self, decisions: impl IntoIterator<Item = Decision>) -> CatalogDiff {
        let mut decisions = decisions.into_iter();
        let mut decide = || decisions.next().unwrap_or_else(|| Decision::NotVerified(UNDECIDED.to_owned()));
        let settled = self.findings.into_iter().filter_map(|finding| match finding {
            Finding::Settled(difference) => Some(difference),
            Finding::Unsettled(unsettled) => unsettled.settled(decide()),
        });
        CatalogDiff { differences: without_repeated(settled.collect()) }
    }

    /// All differences, where texts that differ are differences.
    pub fn by_text(self) -> CatalogDiff {
        let count = self.unsettled().len();
        self.settle(std::iter::repeat_n(Decision::Different, count))
    }
}

const UNDECIDED: &str = "nobody decided whether the two texts mean the same";

impl Unsettled {
    fn settled(self, decision: Decision) -> Option<Difference> {
        let Unsettled { identity, path, part, left, right, .. } = self;
        match decision {
            Decision::Same => None,
            Decision::Different => {
                Some(Difference::Different { identity, path, part, left: left.into(), right: right.into() })
            }
            Decision::NotVerified(reason) => {
                Some(Difference::NotVerified { identity, path, part, reason, left, right })
            }
        }
    }
}
