//! The rehearsal: what the target refuses is found out by trying it in transactions that are rolled back.
//!
//! What a role may do depends on its attributes, its memberships, the server's version, the provider's
//! changes, what is installed there and what the database holds already. So nothing of that is modelled:
//! every entry is run, with all it depends on, and the server's answer is taken. Whatever the server refuses
//! the run would fail at, unless the reason is known to be one that says nothing about the run. No rows,
//! sequence values or large objects are loaded; an event trigger is taken back at once, so that it never
//! fires. What is on a relation that the target holds already is not tried, for it would lock what others use, unless that
//! will be dropped and can be put aside; where a plan makes no relations, it is tried for a second and taken back at once.
//! Nor is tried what might run something that others have left there.

mod calls;
mod flight;

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{EntryKind, Section, TocEntry, rehearsed};
use dbhaul_postgres::{Error, FailedStatement, Session, search_path_sql};

use self::flight::FLIGHT_ENTRIES;
use super::acts::acts;
use super::aside::Aside;
use super::predict::{Predicted, wanted};
use super::refusal::{Circumstances, Problem, Verdict, judge};
use super::theirs::Theirs;
use super::untried::{ALIKE_KINDS, Manner, Untried};
use super::{afar, is_about_privileges, members, polymorphic, refresh};
use crate::plan::piece::{Piece, messages};
use crate::plan::roles::RoleLimits;
use crate::run::NOT_FOUND;
use crate::run::prepared::Prepared;
use crate::{Cause, ExtensionMembers, ImportPlan};

/// Locks on objects of others are not waited for longer: what cannot be tried now is left to the run.
const LOCK_TIMEOUT: &str = "2s";

/// A materialized view that takes longer without rows is left to the run.
const REFRESH_TIMEOUT: &str = "2s";

/// What begins something that is taken back at once: what is built on rows that are there and takes longer is left to
/// the run.
const MOMENT: [&str; 2] = ["SAVEPOINT moment", "SET LOCAL statement_timeout TO '1s'"];

/// What takes it back, with its locks and the timeout.
const MOMENT_OVER: [&str; 2] = ["ROLLBACK TO SAVEPOINT moment", "RELEASE SAVEPOINT moment"];

/// `query_canceled`, by a timeout.
const QUERY_CANCELED: &str = "57014";

/// How many of those are waited for.
const MOST_SLOW: usize = 4;

/// How many are filled at most: each may take as long as it may.
const MOST_REFRESHED: usize = 64;

/// Tries what may be refused, and adds what is to `predicted`.
///
/// # Errors
/// If the session is lost or cancelled.
pub(super) async fn rehearse(
    plan: &ImportPlan,
    roles: &RoleLimits,
    mut circumstances: Circumstances,
    session: &Session,
    predicted: &mut Predicted,
) -> Result<(), Error> {
    let (aside, theirs) = look_around(plan, circumstances, session).await?;
    circumstances.is_aside = aside.is_any();
    let untried = Untried::new(circumstances.holds_others);
    let mut rehearsal = Rehearsal {
        plan,
        roles,
        circumstances,
        session,
        predicted,
        untried,
        flight_entries: FLIGHT_ENTRIES,
        refusals: 0,
        slow: 0,
        others_own: theirs.is_any(),
        aside,
        act: BTreeSet::new(),
    };
    let acts = acts(plan, circumstances.lock_slots);
    rehearsal.leave_out(&theirs.not_to_try(plan), &acts);
    for (number, act) in acts.iter().enumerate() {
        session.begin().await?;
        let result = rehearsal.act(act, acts.len() == 1).await;
        // a session that was lost has nothing to roll back
        let rolled_back = session.rollback().await;
        result?;
        rolled_back?;
        tracing::debug!(act = number + 1, of = acts.len(), entries = act.len(), "rehearsed");
    }
    // tables are to be there then, and their extensions with them
    if plans(plan, Section::Data) && !plans(plan, Section::PreData) {
        rehearsal.members_with_data().await?;
    }
    predicted.spread(plan);
    Ok(())
}

/// What is put aside for the trial, and what others own then.
async fn look_around(
    plan: &ImportPlan,
    circumstances: Circumstances,
    session: &Session,
) -> Result<(Aside, Theirs), Error> {
    let makes_room = circumstances.holds_others && is_cleaned(plan) && plan.options.sections.pre_data;
    if !makes_room {
        return Ok((Aside::default(), Theirs::read(session).await?));
    }
    session.begin().await?;
    let looked = async {
        session.batch(&format!("SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")).await?;
        let aside = Aside::try_out(plan, session).await?;
        let mut theirs = Theirs::read(session).await?;
        theirs.forget(aside.names());
        Ok((aside, theirs))
    };
    let looked: Result<(Aside, Theirs), Error> = looked.await;
    let rolled_back = session.rollback().await;
    let looked = looked?;
    rolled_back?;
    Ok(looked)
}

/// Whether a run drops what is there before it begins.
fn is_cleaned(plan: &ImportPlan) -> bool {
    plan.options.clean && !plan.options.resume
}

fn plans(plan: &ImportPlan, section: Section) -> bool {
    wanted(plan).any(|entry| entry.section == section)
}

struct Rehearsal<'a> {
    plan: &'a ImportPlan,
    roles: &'a RoleLimits,
    circumstances: Circumstances,
    session: &'a Session,
    predicted: &'a mut Predicted,
    untried: Untried,
    /// How many entries go together; none where refusals are dense, as where all of them are there already.
    flight_entries: usize,
    /// Attempts that were refused so far.
    refusals: usize,
    /// Attempts that took too long so far.
    slow: usize,
    /// Whether others own what a query might run.
    others_own: bool,
    /// What is put aside.
    aside: Aside,
    /// The entries of the act that is under way.
    act: BTreeSet<u32>,
}

impl Rehearsal<'_> {
    /// Notes what is not tried, each with whether it is there already.
    fn leave_out(&mut self, not_to_try: &BTreeMap<u32, bool>, acts: &[Vec<u32>]) {
        for &id in acts.iter().flatten() {
            match not_to_try.get(&id) {
                Some(true) if self.circumstances.may_stand => self.stands(id),
                Some(_) => {
                    self.predicted.leave_untried(id);
                    self.untried.unknown(id);
                }
                None => {}
            }
        }
    }

    fn stands(&mut self, id: u32) {
        if !self.circumstances.is_replaced {
            self.predicted.stand(id);
        } else if is_cleaned(self.plan) && self.plan.drops.contains(&id) {
            let is_alike = |entry: &TocEntry| ALIKE_KINDS.contains(&entry.kind);
            if !self.plan.entry(id).is_ok_and(is_alike) {
                self.predicted.leave_standing(id);
            }
        }
        self.untried.stands(id);
    }

    async fn act(&mut self, ids: &[u32], is_whole: bool) -> Result<(), Error> {
        let limit = format!("SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'");
        let statements =
            std::iter::once(limit.as_str()).chain(self.aside.statements()).chain(["SAVEPOINT attempt"]);
        self.session.batch(&statements.collect::<Vec<_>>().join("; ")).await?;
        self.act = ids.iter().copied().collect();
        let mut rest = ids;
        while let Some((&first, others)) = rest.split_first() {
            let flight = self.flight(rest);
            rest = match flight.is_empty() {
                true => {
                    self.alone(first).await?;
                    others
                }
                false => &rest[self.fly(flight).await?..],
            };
        }
        self.members(ids).await?;
        self.calls(ids).await?;
        if is_whole {
            refresh::predict(self.plan, self.session, self.predicted).await?;
            self.refresh().await?;
        }
        Ok(())
    }

    /// Looks at the members of the extensions that this act has made, and of the one that is always there.
    async fn members(&mut self, ids: &[u32]) -> Result<(), Error> {
        let made = ids.iter().filter_map(|id| self.plan.entry(*id).ok());
        let made: BTreeSet<&str> = made
            .filter(|entry| entry.kind == EntryKind::Extension)
            .map(|entry| entry.name.as_str())
            .collect();
        let expected = self.plan.options.extension_members.iter();
        let makes_objects = plans(self.plan, Section::PreData);
        let is_there = |it: &&ExtensionMembers| match it.version {
            Some(_) => made.contains(it.extension.as_str()),
            None => makes_objects,
        };
        let expected: Vec<_> = expected.filter(is_there).collect();
        self.lack(&expected).await
    }

    /// As [`members`](Self::members) where rows alone are brought: of the extensions that are there.
    async fn members_with_data(&mut self) -> Result<(), Error> {
        let mut expected = self.plan.options.extension_members.clone();
        expected.iter_mut().for_each(|it| it.members.retain(|member| member.holds_state));
        self.lack(&expected.iter().collect::<Vec<_>>()).await
    }

    async fn lack(&mut self, expected: &[&ExtensionMembers]) -> Result<(), Error> {
        let major = self.session.version().major();
        for (extension, told) in members::lacking(expected, major, self.session).await? {
            self.predicted.lack_members(extension, told);
        }
        Ok(())
    }

    /// Fills the materialized views from tables without rows. What cannot be done so may be done with rows, and is
    /// tried again then; it is told in advance all the same. What takes long is left to the run.
    async fn refresh(&mut self) -> Result<(), Error> {
        let is_alone = self.aside.is_any() && !self.aside.is_partial;
        if self.circumstances.holds_others && !is_alone {
            return Ok(());
        }
        let filled = wanted(self.plan).filter(|entry| entry.kind == EntryKind::MaterializedViewData);
        if self.others_own {
            filled.for_each(|entry| self.predicted.leave_untried(entry.id));
            return Ok(());
        }
        let asking_others = afar::asking_others(self.plan);
        let (asking_others, filled): (Vec<_>, Vec<_>) =
            filled.partition(|entry| asking_others.contains(&entry.id));
        asking_others.iter().for_each(|entry| self.predicted.leave_to_the_run(entry.id));
        let filled: Vec<&TocEntry> = filled
            .into_iter()
            .filter(|entry| {
                self.predicted.refused(entry.id).is_none()
                    && self.predicted.refused_dependency(self.plan, entry).is_none()
                    && self.untried.manner(self.plan, entry) == Manner::Kept
            })
            .take(MOST_REFRESHED)
            .collect();
        let statements = |entry: &TocEntry| {
            let timeout = format!("SET LOCAL statement_timeout TO '{REFRESH_TIMEOUT}'");
            std::iter::once(timeout).chain(self.prepare(entry).messages()).collect::<Vec<String>>()
        };
        let each: Vec<(&TocEntry, Vec<String>)> =
            filled.into_iter().map(|entry| (entry, statements(entry))).collect();
        let all = each.iter().flat_map(|(_, statements)| statements.clone()).collect();
        if each.is_empty() || self.attempt(all).await?.is_none() {
            return Ok(());
        }
        let mut slow = 0;
        for (entry, statements) in each {
            let mut problem = self.attempt(statements.clone()).await?;
            if let Some(path) = problem.as_ref().and_then(|problem| self.path_to_retry(entry, problem)) {
                problem = self.attempt(with_path(&path, statements)).await?;
            }
            let Some(problem) = problem else { continue };
            match judge(self.plan, self.circumstances, false, entry, &problem) {
                Verdict::Refused(cause) | Verdict::Doubtful(cause) => self.predicted.doubt(entry.id, cause),
                Verdict::Stands | Verdict::Unknown => slow += 1,
            }
            if slow == MOST_SLOW {
                break;
            }
        }
        Ok(())
    }

    async fn one(&mut self, id: u32) -> Result<(), Error> {
        let Ok(entry) = self.plan.entry(id) else { return Ok(()) };
        if self.predicted.refused(id).is_some() {
            return Ok(());
        }
        match self.untried.manner(self.plan, entry) {
            Manner::NotTried => {
                self.not_tried(id);
                Ok(())
            }
            Manner::TakenBack => {
                self.untried.unknown(id);
                match self.slow < MOST_SLOW {
                    true => self.taken_back(entry).await,
                    false => {
                        self.predicted.leave_slow(id);
                        Ok(())
                    }
                }
            }
            // it would fire on whatever is tried after it
            Manner::Kept if entry.kind == EntryKind::EventTrigger => self.taken_back(entry).await,
            Manner::Kept => self.by_kind(entry).await,
        }
    }

    /// Where relations are there with their rows, what is built on them is not kept for what needs it.
    fn not_tried(&mut self, id: u32) {
        if !self.plan.options.sections.pre_data {
            self.predicted.leave_slow(id);
        }
    }

    async fn by_kind(&mut self, entry: &TocEntry) -> Result<(), Error> {
        if let Some(cause) = self.predicted.refused_dependency(self.plan, entry) {
            return self.dependant(entry, cause).await;
        }
        match entry.kind.is_privilege() {
            true => self.grants(entry).await,
            false => self.object(entry).await,
        }
    }

    /// The server says whether it really needs what is refused: catalogs note some dependencies that are
    /// none, such as that of a function on a transform of its arguments' type.
    async fn dependant(&mut self, entry: &TocEntry, cause: Cause) -> Result<(), Error> {
        let statements: Vec<String> = messages(self.prepare(entry).statements).collect();
        if statements.is_empty() || entry.kind == EntryKind::EventTrigger {
            self.predicted.refuse(entry.id, cause);
            return Ok(());
        }
        if let Some(problem) = self.attempt(statements).await? {
            let own = Some(&problem).filter(|problem| problem.is_about_privilege());
            let own = own.and_then(|problem| self.refusal(entry, problem));
            self.predicted.refuse(entry.id, own.unwrap_or(cause));
            return Ok(());
        }
        self.predicted.set_possible(entry.id);
        match self.prepare(entry).set_owner {
            Some(owner) => self.owner(entry, owner).await,
            None => Ok(()),
        }
    }

    async fn object(&mut self, entry: &TocEntry) -> Result<(), Error> {
        let prepared = self.prepare(entry);
        let statements: Vec<String> = messages(prepared.statements).collect();
        let mut problem = self.attempt(statements.clone()).await?;
        if let Some(path) = problem.as_ref().and_then(|problem| self.path_to_retry(entry, problem)) {
            problem = self.attempt(with_path(&path, statements)).await?;
        }
        if let Some(problem) = problem {
            if problem.sqlstate() == Some(QUERY_CANCELED) {
                self.slow += 1;
                self.predicted.leave_slow(entry.id);
            }
            return self.refused(entry, &problem).await;
        }
        match prepared.set_owner {
            Some(owner) => self.owner(entry, owner).await,
            None => Ok(()),
        }
    }

    /// Notes why an entry was not made.
    async fn refused(&mut self, entry: &TocEntry, problem: &Problem) -> Result<(), Error> {
        match judge(self.plan, self.circumstances, self.untried.leans(entry.id), entry, problem) {
            Verdict::Refused(mut cause) => {
                if let Some(statement) = polymorphic::other_statement(entry, problem)
                    && self.would_do(&statement).await?
                {
                    cause = Cause::TakenOtherwise { refusal: Box::new(cause), statement };
                }
                self.predicted.refuse(entry.id, cause);
            }
            Verdict::Doubtful(cause) => match self.fails_always(problem).await? {
                Some(cause) => self.predicted.refuse(entry.id, cause),
                None => {
                    self.predicted.doubt(entry.id, cause);
                    self.untried.unknown(entry.id);
                }
            },
            Verdict::Stands => self.stands(entry.id),
            Verdict::Unknown => self.untried.unknown(entry.id),
        }
        Ok(())
    }

    /// The source's search path, under which a run would do again what was not found.
    fn path_to_retry(&self, entry: &TocEntry, problem: &Problem) -> Option<String> {
        let may_differ = entry.kind.may_call_functions() && NOT_FOUND.contains(&problem.sqlstate()?);
        self.plan.options.source_search_path.clone().filter(|_| may_differ)
    }

    async fn owner(&mut self, entry: &TocEntry, statement: String) -> Result<(), Error> {
        if let Some(problem) = self.attempt(vec![statement]).await?
            && let Some(cause) = self.refusal(entry, &problem)
        {
            self.predicted.refuse_owner(entry.id, cause);
        }
        Ok(())
    }

    /// Each statement on its own: one grant that is refused must not take the others with it.
    async fn grants(&mut self, entry: &TocEntry) -> Result<(), Error> {
        for piece in self.prepare(entry).statements {
            let text = piece.text();
            let grantor = piece.grantor().map(str::to_owned);
            if let Some(problem) = self.attempt(piece.into_messages().collect()).await?
                && let Some(cause) = self.refusal(entry, &problem)
            {
                let cause = match grantor {
                    Some(role) => problem.of_grantor(role),
                    None => cause,
                };
                self.predicted.refuse_statement(entry.id, text, cause);
            }
        }
        Ok(())
    }

    /// Tries an entry and undoes it at once, whatever the answer. It may be built on many rows, and locks its table.
    async fn taken_back(&mut self, entry: &TocEntry) -> Result<(), Error> {
        let before = MOMENT.into_iter().chain(["SAVEPOINT attempt"]).collect::<Vec<_>>();
        self.session.batch(&before.join("; ")).await?;
        self.by_kind(entry).await?;
        self.session.batch(&MOMENT_OVER.join("; ")).await
    }

    /// Whether the target takes a statement, which is undone at once.
    async fn would_do(&mut self, statement: &str) -> Result<bool, Error> {
        self.session.batch("SAVEPOINT moment; SAVEPOINT attempt").await?;
        let problem = self.attempt(vec![statement.to_owned()]).await?;
        self.session.batch(&MOMENT_OVER.join("; ")).await?;
        Ok(problem.is_none())
    }

    fn prepare(&self, entry: &TocEntry) -> Prepared {
        let mut prepared = Prepared::new(entry, self.roles, &self.plan.options, self.predicted);
        for statement in &mut prepared.statements {
            if let Some(other) = rehearsed(entry, &statement.text()) {
                *statement = Piece::plain(other);
            }
        }
        prepared
    }

    fn refusal(&self, entry: &TocEntry, problem: &Problem) -> Option<Cause> {
        match judge(self.plan, self.circumstances, self.untried.leans(entry.id), entry, problem) {
            Verdict::Refused(cause) => Some(cause),
            Verdict::Doubtful(_) | Verdict::Stands | Verdict::Unknown => None,
        }
    }

    /// Runs statements behind the savepoint `attempt`; what went wrong, if it did, after which nothing of
    /// them is left but what a grant that was ignored in part has granted. The next savepoint travels with them.
    async fn attempt(&mut self, mut statements: Vec<String>) -> Result<Option<Problem>, Error> {
        statements.extend(NEXT.map(str::to_owned));
        self.session.take_warnings();
        let result = self.session.run_each(&statements).await;
        let warning = self.session.take_warnings().into_iter().find(is_about_privileges);
        let problem = match (result, warning) {
            (Ok(()), None) => return Ok(None),
            (Ok(()), Some(_)) => Problem::Ignored,
            (Err(FailedStatement { error, .. }), _) => {
                if error.is_cancelled() || error.is_connection_lost() {
                    return Err(error);
                }
                self.session.batch("ROLLBACK TO SAVEPOINT attempt").await?;
                Problem::Refused(Box::new(error))
            }
        };
        self.refusals += 1;
        Ok(Some(problem))
    }
}

/// What keeps what was tried and begins the next attempt.
const NEXT: [&str; 2] = ["RELEASE SAVEPOINT attempt", "SAVEPOINT attempt"];

/// Statements under a search path, and none again behind them.
fn with_path(path: &str, statements: Vec<String>) -> Vec<String> {
    std::iter::once(search_path_sql(path)).chain(statements).chain([search_path_sql("")]).collect()
}
