//! The rehearsal: what the target refuses is found out by trying it in transactions that are rolled back.
//!
//! What a role may do depends on its attributes, its memberships, the server's version, the provider's
//! changes and what the database holds already. So nothing of that is modelled: every entry that might be
//! refused is run, with all it depends on, and the server's answer is taken. No rows, sequence values or
//! large objects are loaded; an event trigger is taken back at once, so that it never fires. What is on a
//! relation that the target holds already is not tried, for it would lock what others use.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{TocEntry, quote_literal};
use dbhaul_postgres::{Error, Session};

use super::foretell::{Foretold, wanted};
use super::untold::{Manner, Untold};
use crate::ImportPlan;
use crate::prepared::Prepared;
use crate::roles::RoleLimits;
use crate::run::{NOT_FOUND, RUNS_FUNCTIONS, join, may_rely_on_path};

/// Entries that are tried in one message as long as none is refused.
const GROUP_ENTRIES: usize = 32;

/// A plan with more entries is not rehearsed whole, only what is refused more often than not.
const WHOLE_ENTRIES: usize = 5_000;

/// Locks on objects of others are not waited for longer: what cannot be tried now is left to the run.
const LOCK_TIMEOUT: &str = "2s";

/// What decides what has to be tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Whether the importing role is a superuser, to whom nothing is forbidden.
    pub(super) is_superuser: bool,
    /// Whether the target is older than the source, so that statements may fail for any reason.
    pub(super) is_downgrade: bool,
    /// Whether the target holds objects that the run has not made.
    pub(super) holds_others: bool,
    /// `max_locks_per_transaction * (max_connections + max_prepared_transactions)`.
    pub(super) lock_slots: u64,
}

/// Tries what may be refused, and adds what is to `foretold`.
///
/// # Errors
/// If the session is lost or cancelled.
pub(super) async fn rehearse(
    plan: &ImportPlan,
    roles: &RoleLimits,
    circumstances: Circumstances,
    session: &Session,
    foretold: &mut Foretold,
) -> Result<(), Error> {
    let untold = Untold::new(circumstances.holds_others);
    let mut rehearsal = Rehearsal { plan, roles, circumstances, session, foretold, untold };
    for act in acts(plan, circumstances) {
        session.begin().await?;
        let result = rehearsal.act(&act).await;
        // a session that was lost has nothing to roll back
        let rolled_back = session.rollback().await;
        result?;
        rolled_back?;
    }
    foretold.spread(plan);
    Ok(())
}

/// The entries to try, in the order of the run, cut so that the locks of each act find room.
fn acts(plan: &ImportPlan, circumstances: Circumstances) -> Vec<Vec<u32>> {
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let entries: Vec<&TocEntry> = wanted(plan).filter(|entry| is_tryable(plan, entry)).collect();
    for (place, entry) in entries.iter().enumerate() {
        places.insert(entry.id, place);
    }
    let is_whole =
        (!circumstances.is_superuser || circumstances.is_downgrade) && entries.len() <= WHOLE_ENTRIES;
    let most = usize::try_from(circumstances.lock_slots / 6).unwrap_or(usize::MAX).clamp(100, 2_500);
    let mut acts = Vec::new();
    let mut act: BTreeSet<usize> = BTreeSet::new();
    for (place, entry) in entries.iter().enumerate() {
        if !is_whole && !is_suspect(entry, circumstances) {
            continue;
        }
        let mut open = vec![place];
        while let Some(next) = open.pop() {
            if act.insert(next) {
                open.extend(entries[next].depends_on.iter().filter_map(|on| places.get(on)));
            }
        }
        if act.len() >= most {
            acts.push(std::mem::take(&mut act));
        }
    }
    acts.push(act);
    acts.retain(|act| !act.is_empty());
    acts.into_iter().map(|act| act.into_iter().map(|place| entries[place].id).collect()).collect()
}

/// Whether trying it changes nothing that a rollback does not take back, and costs no more than some rows
/// of the catalogs. What is about an event trigger cannot be tried, since that is not kept.
fn is_tryable(plan: &ImportPlan, entry: &TocEntry) -> bool {
    let on = |id: &u32| plan.entry(*id).is_ok_and(|on| on.kind == "EVENT TRIGGER");
    if entry.depends_on.iter().any(on) {
        return false;
    }
    let is_large_object = entry.kind == "BLOB" || entry.name.starts_with("LARGE OBJECT ");
    let fills =
        entry.data.is_some() || matches!(entry.kind.as_str(), "SEQUENCE SET" | "MATERIALIZED VIEW DATA");
    !fills && !is_large_object
}

/// Whether an entry is of a kind that is often refused: to a superuser for what the installation lacks, to
/// others for what they may not do.
fn is_suspect(entry: &TocEntry, circumstances: Circumstances) -> bool {
    let says = |words: &str| entry.create.iter().any(|statement| statement.contains(words));
    match entry.kind.as_str() {
        "EXTENSION"
        | "PROCEDURAL LANGUAGE"
        | "FOREIGN DATA WRAPPER"
        | "ACCESS METHOD"
        | "COLLATION"
        | "SECURITY LABEL"
        | "TEXT SEARCH PARSER"
        | "TEXT SEARCH TEMPLATE"
        | "TEXT SEARCH DICTIONARY" => true,
        "FUNCTION" if says("LANGUAGE c\n") || says("LANGUAGE c ") => true,
        _ if circumstances.is_superuser => false,
        "EVENT TRIGGER" | "CAST" | "CONVERSION" | "OPERATOR CLASS" | "OPERATOR FAMILY" | "TRANSFORM"
        | "TYPE" | "SHELL TYPE" | "SERVER" | "USER MAPPING" | "DEFAULT ACL" | "SCHEMA" | "AGGREGATE" => true,
        "FUNCTION" | "PROCEDURE" => says("LEAKPROOF") || says("\n    SET ") || says("LANGUAGE internal"),
        "COMMENT" | "ACL" => entry.schema.is_none(),
        kind if kind.starts_with("PUBLICATION") || kind.starts_with("SUBSCRIPTION") => true,
        _ => says("TABLESPACE"),
    }
}

struct Rehearsal<'a> {
    plan: &'a ImportPlan,
    roles: &'a RoleLimits,
    circumstances: Circumstances,
    session: &'a Session,
    foretold: &'a mut Foretold,
    untold: Untold,
}

impl Rehearsal<'_> {
    async fn act(&mut self, ids: &[u32]) -> Result<(), Error> {
        let sql = format!("SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'; SAVEPOINT attempt");
        self.session.batch(&sql).await?;
        for group in ids.chunks(GROUP_ENTRIES) {
            if !self.group(group).await? {
                for &id in group {
                    self.one(id).await?;
                }
            }
        }
        Ok(())
    }

    /// Tries entries together; false, with nothing done, if they have to be tried one by one.
    async fn group(&mut self, ids: &[u32]) -> Result<bool, Error> {
        let mut statements = Vec::new();
        for &id in ids {
            let Ok(entry) = self.plan.entry(id) else { continue };
            if entry.kind == "EVENT TRIGGER" || self.foretold.refused_dependency(self.plan, entry).is_some() {
                return Ok(false);
            }
            let manner = self.untold.manner(self.plan, entry);
            if manner == Manner::TakenBack {
                return Ok(false);
            }
            if self.foretold.refused(id).is_none() && manner == Manner::Kept {
                let prepared = self.prepare(entry);
                statements.extend(prepared.statements);
                statements.extend(prepared.set_owner);
            }
        }
        Ok(self.attempt(&join(&statements)).await?.is_none())
    }

    async fn one(&mut self, id: u32) -> Result<(), Error> {
        let Ok(entry) = self.plan.entry(id) else { return Ok(()) };
        if self.foretold.refused(id).is_some() {
            return Ok(());
        }
        match self.untold.manner(self.plan, entry) {
            Manner::NotTried => Ok(()),
            Manner::TakenBack => {
                self.untold.unknown(id);
                self.taken_back(entry).await
            }
            // it would fire on whatever is tried after it
            Manner::Kept if entry.kind == "EVENT TRIGGER" => self.taken_back(entry).await,
            Manner::Kept => self.by_kind(entry).await,
        }
    }

    async fn by_kind(&mut self, entry: &TocEntry) -> Result<(), Error> {
        if let Some(reason) = self.foretold.refused_dependency(self.plan, entry) {
            return self.dependant(entry, reason).await;
        }
        match entry.kind.as_str() {
            "ACL" | "DEFAULT ACL" => self.grants(entry).await,
            _ => self.object(entry).await,
        }
    }

    /// The server says whether it really needs what is refused: catalogs note some dependencies that are
    /// none, such as that of a function on a transform of its arguments' type.
    async fn dependant(&mut self, entry: &TocEntry, reason: String) -> Result<(), Error> {
        let statements = self.prepare(entry).statements;
        if statements.is_empty() || entry.kind == "EVENT TRIGGER" {
            self.foretold.refuse(entry.id, reason);
            return Ok(());
        }
        if let Some(problem) = self.attempt(&join(&statements)).await? {
            let own = Some(&problem).filter(|problem| problem.is_about_privilege());
            let own = own.and_then(|problem| self.refusal(entry, problem));
            self.foretold.refuse(entry.id, own.unwrap_or(reason));
            return Ok(());
        }
        self.foretold.set_possible(entry.id);
        match self.prepare(entry).set_owner {
            Some(owner) => self.owner(entry, &owner).await,
            None => Ok(()),
        }
    }

    async fn object(&mut self, entry: &TocEntry) -> Result<(), Error> {
        let prepared = self.prepare(entry);
        let mut problem = self.attempt(&join(&prepared.statements)).await?;
        if let Some(path) = problem.as_ref().and_then(|problem| self.path_to_retry(entry, problem)) {
            problem = self.attempt(&with_path(&path, &prepared.statements)).await?;
        }
        if let Some(problem) = problem {
            match self.refusal(entry, &problem) {
                Some(reason) => self.foretold.refuse(entry.id, reason),
                None if problem.is_there_already() => self.untold.stands(entry.id),
                None => self.untold.unknown(entry.id),
            }
            return Ok(());
        }
        match &prepared.set_owner {
            Some(owner) => self.owner(entry, owner).await,
            None => Ok(()),
        }
    }

    /// The source's search path, under which a run would do again what was not found.
    fn path_to_retry(&self, entry: &TocEntry, problem: &Problem) -> Option<String> {
        let may_differ = may_rely_on_path(&entry.kind) && NOT_FOUND.contains(&problem.sqlstate()?);
        self.plan.options.source_search_path.clone().filter(|_| may_differ)
    }

    async fn owner(&mut self, entry: &TocEntry, statement: &str) -> Result<(), Error> {
        if let Some(problem) = self.attempt(statement).await?
            && let Some(reason) = self.refusal(entry, &problem)
        {
            self.foretold.refuse_owner(entry.id, reason);
        }
        Ok(())
    }

    /// Each statement on its own: one grant that is refused must not take the others with it.
    async fn grants(&mut self, entry: &TocEntry) -> Result<(), Error> {
        for statement in self.prepare(entry).statements {
            if let Some(problem) = self.attempt(&statement).await?
                && let Some(reason) = self.refusal(entry, &problem)
            {
                self.foretold.refuse_statement(entry.id, statement, reason);
            }
        }
        Ok(())
    }

    /// Tries an entry and undoes it at once, whatever the answer.
    async fn taken_back(&mut self, entry: &TocEntry) -> Result<(), Error> {
        self.session.batch("SAVEPOINT moment; SAVEPOINT attempt").await?;
        self.by_kind(entry).await?;
        self.session.batch("ROLLBACK TO SAVEPOINT moment; RELEASE SAVEPOINT moment").await
    }

    fn prepare(&self, entry: &TocEntry) -> Prepared {
        Prepared::new(entry, self.roles, &self.plan.options, self.foretold)
    }

    /// Runs statements behind the savepoint `attempt`; what went wrong, if it did, after which nothing of
    /// them is left. The savepoint is set by a message of its own: where a statement cannot be parsed,
    /// nothing of its message is run.
    async fn attempt(&self, sql: &str) -> Result<Option<Problem>, Error> {
        self.session.take_warnings();
        let result = self.session.batch(sql).await;
        let warning = self.session.take_warnings().into_iter().find(is_about_privileges);
        let problem = match (result, warning) {
            (Ok(()), None) => {
                self.session.batch("RELEASE SAVEPOINT attempt; SAVEPOINT attempt").await?;
                return Ok(None);
            }
            (Ok(()), Some(_)) => Problem::Ignored,
            (Err(error), _) if error.is_cancelled() || error.is_connection_lost() => return Err(error),
            (Err(error), _) => Problem::Refused(Box::new(error)),
        };
        self.session.batch("ROLLBACK TO SAVEPOINT attempt").await?;
        Ok(Some(problem))
    }

    /// What a person is told of a refusal; `None` where the failure says nothing about the run: the object
    /// is there already, a lock was not to be had, a name is found by the source's search path only.
    fn refusal(&self, entry: &TocEntry, problem: &Problem) -> Option<String> {
        let error = match problem {
            Problem::Ignored => return Some(MAY_NOT_GRANT.to_owned()),
            Problem::Refused(error) => error.server_error()?,
        };
        let state = error.sqlstate.as_str();
        let kind = entry.kind.as_str();
        let is_coming = |role: &String| error.message.contains(&format!("role \"{role}\""));
        if self.plan.options.coming_roles.iter().any(is_coming) {
            return None;
        }
        if state == "42501" && kind == "ACL" {
            return Some(MAY_NOT_GRANT.to_owned());
        }
        let is_refusal = match state {
            "42501" => true,
            _ if self.untold.leans(entry.id) => false,
            _ if EXISTS_ALREADY.contains(&state) || is_of_the_moment(state) => false,
            _ if RUNS_FUNCTIONS.contains(&kind) && NOT_FOUND.contains(&state) => false,
            _ if self.circumstances.is_downgrade => true,
            _ if RUNS_FUNCTIONS.contains(&kind) => false,
            // what a table with rows fails for is a failure, unless it is a matter of privilege
            _ if kind == "TABLE" => false,
            // only superusers may keep the state of an aggregate in a type that has no shape
            "42P13" => kind == "AGGREGATE" && !self.circumstances.is_superuser,
            "42883" => entry.create.iter().any(|statement| statement.contains("LANGUAGE c")),
            "58P01" | "0A000" | "22023" | "42704" => true,
            _ => false,
        };
        is_refusal.then(|| {
            let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}{hint}", error.message)
        })
    }
}

enum Problem {
    /// The server went on as if nothing were wrong: a grant that granted nothing.
    Ignored,
    Refused(Box<Error>),
}

impl Problem {
    fn sqlstate(&self) -> Option<&str> {
        match self {
            Problem::Ignored => None,
            Problem::Refused(error) => error.sqlstate(),
        }
    }

    fn is_there_already(&self) -> bool {
        self.sqlstate().is_some_and(|state| EXISTS_ALREADY.contains(&state))
    }

    /// Whether the role lacks a privilege, rather than the object something it needs.
    fn is_about_privilege(&self) -> bool {
        self.sqlstate() == Some("42501")
    }
}

/// Statements under a search path, and none again behind them.
fn with_path(path: &str, statements: &[String]) -> String {
    let set =
        |path: &str| format!("SELECT pg_catalog.set_config('search_path', {}, true)", quote_literal(path));
    let before = std::iter::once(set(path));
    join(&before.chain(statements.iter().cloned()).chain([set("")]).collect::<Vec<_>>())
}

/// Why a grant is skipped, the same words for all, so that they are told together.
const MAY_NOT_GRANT: &str = "the importing role may not grant or revoke there";

/// Duplicate table, object, function, schema, column, and what does not fit to one that is there.
const EXISTS_ALREADY: [&str; 6] = ["42P07", "42710", "42723", "42P06", "42701", "42P16"];

/// No lock, no memory, no room, shutting down.
fn is_of_the_moment(state: &str) -> bool {
    ["55P03", "40P01"].contains(&state) || state.starts_with("53") || state.starts_with("57")
}

/// `privilege_not_granted` and `privilege_not_revoked`.
pub(crate) fn is_about_privileges(warning: &dbhaul_postgres::ServerError) -> bool {
    matches!(warning.sqlstate.as_str(), "01007" | "01006")
}
