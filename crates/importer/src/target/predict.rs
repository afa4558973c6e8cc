//! What an import will leave out on this target, known before it starts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dbhaul_catalog::{EntryKind, ObjectId, TocEntry, in_one_line};

use super::Blocker;
use crate::plan::roles::RoleLimits;
use crate::plan::touched_tables::{TouchedTables, describe};
use crate::plan::{Analyze, Work};
use crate::run::prepared::Prepared;
use crate::subject::LeftOut;
use crate::{Cause, ImportPlan, Part, Skipped};

/// What was found out that the target will refuse. Entries are named by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Predicted {
    whole: BTreeMap<u32, Cause>,
    owners: BTreeMap<u32, Cause>,
    statements: BTreeMap<u32, BTreeMap<String, Cause>>,
    /// Entries that can be made although something they depend on cannot: they only had to wait for it.
    possible: BTreeSet<u32>,
    /// What failed, but may not once there are rows.
    doubts: BTreeMap<u32, Cause>,
    /// What the target holds already and keeps.
    standing: BTreeSet<u32>,
    /// What was not tried, because to try it might run what others own on the target.
    untried: BTreeSet<u32>,
    /// What was not tried, because the target holds it until the run drops it.
    kept_until_dropped: BTreeSet<u32>,
    /// By extension, what is said of members that it does not make again.
    lacking_members: BTreeMap<String, String>,
    /// What was not tried to its end, because it takes long on the rows that are there.
    slow: BTreeSet<u32>,
    /// What was not tried, because to try it may ask foreign servers.
    from_afar: BTreeSet<u32>,
    /// Rows that cannot be loaded whatever they are, each with what keeps them out and why.
    blocked_rows: BTreeMap<u32, (String, Cause)>,
}

impl Predicted {
    /// Why an entry will not be made at all.
    pub(crate) fn refused(&self, entry: u32) -> Option<&Cause> {
        self.whole.get(&entry)
    }

    /// Why the owner of what an entry makes will not be set.
    pub(crate) fn refused_owner(&self, entry: u32) -> Option<&Cause> {
        self.owners.get(&entry)
    }

    /// Why one of an entry's statements will not be run.
    pub(crate) fn refused_statement(&self, entry: u32, statement: &str) -> Option<&Cause> {
        self.statements.get(&entry)?.get(statement)
    }

    pub(crate) fn refuse(&mut self, entry: u32, cause: Cause) {
        self.whole.entry(entry).or_insert(cause);
    }

    pub(crate) fn refuse_owner(&mut self, entry: u32, cause: Cause) {
        self.owners.entry(entry).or_insert(cause);
    }

    pub(crate) fn refuse_statement(&mut self, entry: u32, statement: String, cause: Cause) {
        self.statements.entry(entry).or_default().entry(statement).or_insert(cause);
    }

    /// Notes why an entry may fail, which without rows is not known.
    pub(crate) fn doubt(&mut self, entry: u32, cause: Cause) {
        self.doubts.entry(entry).or_insert(cause);
    }

    /// What may fail, each with the reason, as a person is told.
    pub(crate) fn doubts(&self, plan: &ImportPlan) -> Vec<String> {
        let doubts = self.doubts.iter().filter(|(entry, _)| !self.whole.contains_key(entry));
        let of_rows = doubts.map(|(entry, cause)| {
            let object = in_one_line(&plan.describe(*entry));
            format!("may fail, depending on the rows: {object}: {}", in_one_line(&cause.to_string()))
        });
        let members = self.lacking_members.values().cloned();
        of_rows.chain(members).chain(read_from_afar(plan)).chain(self.untried_texts(plan)).collect()
    }

    /// Notes what is not tried for what others own on the target.
    pub(crate) fn leave_untried(&mut self, entry: u32) {
        self.untried.insert(entry);
    }

    /// Notes what is not tried because the target holds it until the run drops it.
    pub(crate) fn leave_standing(&mut self, entry: u32) {
        self.kept_until_dropped.insert(entry);
    }

    /// Notes what is not tried because it takes long.
    pub(crate) fn leave_slow(&mut self, entry: u32) {
        self.slow.insert(entry);
    }

    /// Notes what is not tried because it may ask foreign servers.
    pub(crate) fn leave_to_the_run(&mut self, entry: u32) {
        self.from_afar.insert(entry);
    }

    /// Notes what is to be said of members of an extension.
    pub(crate) fn lack_members(&mut self, extension: String, told: String) {
        self.lacking_members.insert(extension, told);
    }

    /// Notes what keeps out all rows that an entry loads, and why.
    pub(crate) fn block_rows(&mut self, entry: u32, by: String, cause: Cause) {
        self.blocked_rows.entry(entry).or_insert((by, cause));
    }

    /// Rows that cannot be loaded.
    pub(crate) fn keeps_rows_out(&self, plan: &ImportPlan) -> Option<Blocker> {
        const SHOWN: usize = 8;
        let problem = |(entry, (by, cause)): (&u32, &(String, Cause))| {
            format!("{}, for {by}: {}", in_one_line(&plan.describe(*entry)), in_one_line(&cause.to_string()))
        };
        let problems = self.blocked_rows.iter().filter(|(entry, _)| !self.whole.contains_key(entry));
        let problems: Vec<String> = problems.map(problem).collect();
        let more = problems.len().saturating_sub(SHOWN);
        let shown: Vec<String> = problems.into_iter().take(SHOWN).collect();
        (!shown.is_empty()).then_some(Blocker::KeepsRowsOut { problems: shown, more })
    }

    /// What was not tried, as a person is told.
    fn untried_texts(&self, plan: &ImportPlan) -> Vec<String> {
        const SHOWN: usize = 5;
        let text = |entries: &BTreeSet<u32>, why: &str| {
            let mut names: Vec<String> =
                entries.iter().take(SHOWN).map(|entry| in_one_line(&plan.describe(*entry))).collect();
            let more = entries.len().saturating_sub(SHOWN);
            names.extend((more > 0).then(|| format!("and {more} more")));
            (!names.is_empty()).then(|| format!("not tried beforehand, because {why}: {}", names.join(", ")))
        };
        let theirs = "that might run functions that other roles own on the target";
        let dropped = "the target holds them until --clean drops them";
        let texts = [
            text(&self.untried, theirs),
            text(&self.kept_until_dropped, dropped),
            text(&self.slow, "that takes long on the rows that are there, or needs what is built on them"),
            text(&self.from_afar, "that may ask foreign servers for rows"),
        ];
        texts.into_iter().flatten().collect()
    }

    /// Notes that what an entry makes is there already, and stays.
    pub(crate) fn stand(&mut self, entry: u32) {
        self.standing.insert(entry);
    }

    /// What is to be made and is there already.
    pub(crate) fn in_the_way(&self, plan: &ImportPlan) -> Option<Blocker> {
        const SHOWN: usize = 8;
        let names = self.standing.iter().take(SHOWN).map(|entry| in_one_line(&plan.describe(*entry)));
        let more = self.standing.len().saturating_sub(SHOWN);
        (!self.standing.is_empty()).then(|| Blocker::InTheWay { names: names.collect(), more })
    }

    /// Whether an entry was seen to be made without what it depends on.
    pub(crate) fn is_possible(&self, entry: u32) -> bool {
        self.possible.contains(&entry)
    }

    pub(crate) fn set_possible(&mut self, entry: u32) {
        self.possible.insert(entry);
    }

    /// Why an entry will not be made that depends on one that will not be made.
    pub(crate) fn refused_dependency(&self, plan: &ImportPlan, entry: &TocEntry) -> Option<Cause> {
        if self.is_possible(entry.id) {
            return None;
        }
        let (on, because) = entry.depends_on.iter().find_map(|on| Some((*on, self.refused(*on)?)))?;
        Some(because.clone().of_dependant(in_one_line(&plan.describe(on))))
    }

    /// Refuses everything that depends on what is refused, directly or not.
    pub(crate) fn spread(&mut self, plan: &ImportPlan) {
        for entry in &plan.toc.entries {
            if let Some(cause) = self.refused_dependency(plan, entry) {
                self.refuse(entry.id, cause);
            }
        }
    }

    /// What a run of the plan will skip, in its order: exactly this unless the target changes its mind.
    pub(crate) fn skipped(&self, plan: &ImportPlan, roles: &RoleLimits) -> Vec<Skipped> {
        let mut skipped = Vec::new();
        let mut seen: HashSet<u32> = HashSet::new();
        for entry in wanted(plan).filter(|entry| seen.insert(entry.id)) {
            let left_out = match self.refused(entry.id) {
                Some(cause) => vec![LeftOut::whole(Part::of(entry.kind), cause.clone())],
                None => Prepared::new(entry, roles, &plan.options, self).left_out,
            };
            skipped.extend(left_out.into_iter().map(|left_out| Skipped::new(entry, left_out)));
        }
        skipped
    }

    /// Tables with rows and large objects among what is refused.
    pub(crate) fn lost_rows(&self, plan: &ImportPlan) -> Vec<String> {
        let lost = |entry: &&TocEntry| entry.data.is_some() && self.whole.contains_key(&entry.id);
        wanted(plan).filter(lost).map(describe).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The tables under which lies a foreign table: `ANALYZE` of these asks its server, which the target may not reach.
fn read_from_afar(plan: &ImportPlan) -> Vec<String> {
    let mut foreign =
        plan.toc.entries.iter().filter(|entry| entry.kind == EntryKind::ForeignTable).peekable();
    if foreign.peek().is_none() {
        return Vec::new();
    }
    let foreign: BTreeMap<ObjectId, &TocEntry> =
        foreign.map(|entry| (TouchedTables::key(entry), entry)).collect();
    let touched_tables = TouchedTables::new(&plan.toc);
    let read_by = |analyze: &Analyze| {
        if !analyze.upkeep.analyzes() {
            return None;
        }
        let table = TouchedTables::key(plan.entry(analyze.entry).ok()?);
        let read = touched_tables.with_descendants(std::iter::once(table));
        let below = read.iter().find_map(|table| foreign.get(table))?;
        Some(format!(
            "may fail, which depends on servers that the target reaches: ANALYZE {}: it reads {}",
            in_one_line(&analyze.table.to_string()),
            in_one_line(&describe(below))
        ))
    };
    let works = plan.stages.iter().flat_map(|stage| &stage.steps).map(|step| &step.work);
    works
        .filter_map(|work| match work {
            Work::Analyze(analyze) => read_by(analyze),
            Work::Entry(_) | Work::Build(_) | Work::Validate(_) | Work::Segment(_) | Work::Position(_) => {
                None
            }
        })
        .collect()
}

/// The entries of a plan in the order in which they are worked on, one with several segments several times.
pub(crate) fn wanted(plan: &ImportPlan) -> impl Iterator<Item = &TocEntry> {
    let works = plan.stages.iter().flat_map(|stage| &stage.steps).map(|step| &step.work);
    let entries = works.filter(|work| !matches!(work, Work::Analyze(_))).map(Work::entry);
    entries.filter_map(|id| plan.entry(id).ok())
}
