//! What the target's refusal of one statement says about the run.

use dbhaul_catalog::{EntryKind, TocEntry, Unselected, tokens};
use dbhaul_postgres::Error;

use super::predict::{Predicted, wanted};
use crate::plan::roles::needed_roles;
use crate::run::NOT_FOUND;
use crate::{Cause, ImportPlan};

/// What decides what a refusal means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Whether the target holds objects that the run has not made.
    pub(super) holds_others: bool,
    /// Whether what the run is going to make may be there already.
    pub(super) may_stand: bool,
    /// Whether that is what the run made before it was stopped, or is going to drop; else it stands in its way.
    pub(super) is_replaced: bool,
    /// Whether what will be dropped is put aside, so that nothing finds it by its name.
    pub(super) is_aside: bool,
    /// `max_locks_per_transaction * (max_connections + max_prepared_transactions)`.
    pub(super) lock_slots: u64,
}

/// What went wrong with a statement.
pub(super) enum Problem {
    /// The server went on as if nothing were wrong: a grant that granted nothing.
    Ignored,
    /// The server refused it.
    Refused(Box<Error>),
}

impl Problem {
    pub(super) fn sqlstate(&self) -> Option<&str> {
        match self {
            Problem::Ignored => None,
            Problem::Refused(error) => error.sqlstate(),
        }
    }

    /// Why a grant cannot be made in the name of a role.
    pub(super) fn of_grantor(&self, role: String) -> Cause {
        let refusal = match self {
            Problem::Ignored => None,
            Problem::Refused(error) => Some(Box::new(Cause::refused(error))),
        };
        Cause::GrantorMayNot { role, refusal }
    }

    /// Whether the role lacks a privilege, rather than the object something it needs.
    pub(super) fn is_about_privilege(&self) -> bool {
        self.sqlstate() == Some("42501")
    }
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The run would fail at it too.
    Refused(Cause),
    /// The run may fail at it, depending on the rows.
    Doubtful(Cause),
    /// The object is there already.
    Stands,
    /// It says nothing about the run.
    Unknown,
}

/// Duplicate table, object, function, schema, column, and what does not fit to one that is there.
const EXISTS_ALREADY: [&str; 6] = ["42P07", "42710", "42723", "42P06", "42701", "42P16"];

/// `invalid_schema_name`.
const NO_SCHEMA: &str = "3F000";

/// Whether a state says that an object of a kind is there already. `CREATE TEXT SEARCH` looks for no name that is
/// taken (`DefineTSConfiguration` and the like in tsearchcmds.c): the catalog's unique index does.
fn says_exists(kind: EntryKind, state: &str) -> bool {
    let is_text_search = matches!(
        kind,
        EntryKind::TextSearchConfiguration
            | EntryKind::TextSearchDictionary
            | EntryKind::TextSearchParser
            | EntryKind::TextSearchTemplate
    );
    EXISTS_ALREADY.contains(&state) || is_text_search && state == "23505"
}

/// Judges a refusal. Every one counts, but for those that are known to say nothing about the run: `leans` says
/// whether the entry rests on something that the run would replace.
pub(super) fn judge(
    plan: &ImportPlan,
    circumstances: Circumstances,
    leans: bool,
    entry: &TocEntry,
    problem: &Problem,
) -> Verdict {
    let error = match problem {
        Problem::Ignored => return Verdict::Refused(Cause::MayNotGrant),
        Problem::Refused(error) => match error.server_error() {
            Some(error) => error,
            None => return Verdict::Refused(Cause::refused(error)),
        },
    };
    let state = error.sqlstate.as_str();
    if is_of_the_moment(state) || waits_for_role(plan, entry, state) {
        return Verdict::Unknown;
    }
    if state == "42501" {
        return Verdict::Refused(match entry.kind {
            // the same for all, so that they are told together
            EntryKind::Acl => Cause::MayNotGrant,
            _ => Cause::refusal(error),
        });
    }
    // it may need what was put aside and will be there: what is not selected, or what an event trigger calls
    let is_put_aside = || error.where_.is_some() || unselected(plan, entry).is_some();
    if circumstances.is_aside && is_not_found(state) && is_put_aside() {
        return Verdict::Unknown;
    }
    // among objects that stay, what cannot be made twice is no sign that it is there
    let exists = says_exists(entry.kind, state) && (circumstances.is_replaced || state != "42P16");
    if leans || circumstances.may_stand && exists {
        return if exists { Verdict::Stands } else { Verdict::Unknown };
    }
    // a schema that is there is not what was not found
    let is_it = |needed: &&Unselected| needed.kind != EntryKind::Schema || state == NO_SCHEMA;
    if let Some(needed) = unselected(plan, entry).filter(|_| is_not_found(state)).filter(is_it) {
        return Verdict::Refused(Cause::NotSelected { needed: needed.name.clone() });
    }
    // a function of the user's gave up on tables without rows; what it does with rows is not known
    if entry.kind.may_call_functions() && error.where_.is_some() {
        return Verdict::Doubtful(Cause::refusal(error));
    }
    Verdict::Refused(Cause::refusal(error))
}

/// Whether a refusal may be for a role that the run is going to create: `undefined_object`, or
/// `invalid_parameter_value` where it was to be taken on.
fn waits_for_role(plan: &ImportPlan, entry: &TocEntry, state: &str) -> bool {
    let coming = &plan.options.coming_roles;
    matches!(state, "42704" | "22023")
        && !coming.is_empty()
        && !needed_roles(std::iter::once(entry), &plan.options).is_disjoint(coming)
}

/// What an entry needs that a selection left out.
fn unselected<'a>(plan: &'a ImportPlan, entry: &TocEntry) -> Option<&'a Unselected> {
    plan.options.unselected.get(&entry.object?)
}

/// Refuses functions in C that return a type which a selection left out: a server makes a shell of such a type, and says
/// so in a notice alone. What the target holds already may be that type.
pub(super) fn refuse_shells(plan: &ImportPlan, holds_others: bool, refusals: &mut Predicted) {
    if holds_others {
        return;
    }
    for entry in wanted(plan).filter(|entry| entry.kind == EntryKind::Function && makes_shells(entry)) {
        if let Some(needed) = unselected(plan, entry).filter(|needed| needed.kind != EntryKind::Schema) {
            refusals.refuse(entry.id, Cause::NotSelected { needed: needed.name.clone() });
        }
    }
}

/// Whether making a function may make a shell type: of those in C and of the server's own language
/// (`compute_return_type` in functioncmds.c).
fn makes_shells(entry: &TocEntry) -> bool {
    entry.create.iter().any(|sql| {
        tokens(sql).map_or(true, |tokens| {
            let of_language =
                tokens.iter().zip(tokens.iter().skip(1)).filter(|(word, _)| word.is("LANGUAGE"));
            of_language.into_iter().any(|(_, language)| language.is("c") || language.is("internal"))
        })
    })
}

fn is_not_found(state: &str) -> bool {
    NOT_FOUND.contains(&state) || matches!(state, "42703" | "42704" | "42883" | "42P17" | "42830")
}

/// No lock, no memory, no room, shutting down.
fn is_of_the_moment(state: &str) -> bool {
    ["55P03", "40P01", "40001"].contains(&state) || state.starts_with("53") || state.starts_with("57")
}
