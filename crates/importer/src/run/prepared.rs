//! What will be sent for an entry on this target, and what of it will not.

use dbhaul_catalog::{TocEntry, without_values};

use crate::plan::piece::{Piece, messages};
use crate::plan::roles::RoleLimits;
use crate::subject::{LeftOut, recorded};
use crate::target::Predicted;
use crate::{Cause, ImportOptions, Part};

/// The statements of an entry as a run will send them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) statements: Vec<Piece>,
    pub(crate) set_owner: Option<String>,
    /// What cannot be done on this target, and why; one for each reason.
    pub(crate) left_out: Vec<LeftOut>,
}

impl Prepared {
    /// What will be sent for an entry.
    pub(crate) fn new(
        entry: &TocEntry,
        roles: &RoleLimits,
        options: &ImportOptions,
        predicted: &Predicted,
    ) -> Self {
        let runnable = roles.runnable(entry);
        let mut prepared = Prepared::default();
        let part = Part::of(entry.kind);
        for (statement, cause) in runnable.left_out {
            prepared.leave_out(part, &statement, cause);
        }
        for statement in runnable.statements {
            let text = statement.text();
            match predicted.refused_statement(entry.id, &text) {
                Some(cause) => prepared.leave_out(part, &text, cause.clone()),
                None => prepared.statements.push(statement),
            }
        }
        prepared.set_owner = entry.set_owner.clone().filter(|_| options.set_owners);
        let problem = entry.owner.as_deref().and_then(|owner| roles.owner_problem(owner));
        let problem = problem.or_else(|| predicted.refused_owner(entry.id).cloned());
        if let (Some(cause), true) = (problem, prepared.set_owner.is_some()) {
            prepared.set_owner = None;
            prepared.left_out.push(LeftOut::whole(Part::Owner, cause));
        }
        prepared
    }

    /// The messages that it is sent in, the owner's last.
    pub(crate) fn messages(&self) -> Vec<String> {
        messages(self.statements.iter().cloned()).chain(self.set_owner.clone()).collect()
    }

    /// What is left out, as the ledger records it; nothing if nothing is.
    pub(crate) fn recorded(&self) -> Option<String> {
        recorded(&self.left_out)
    }

    /// Statements that are left out for the same reason are told together.
    fn leave_out(&mut self, part: Part, statement: &str, cause: Cause) {
        let statement = without_values(statement);
        match self.left_out.iter_mut().find(|left_out| left_out.part == part && left_out.cause == cause) {
            Some(left_out) => left_out.statements.push(statement),
            None => self.left_out.push(LeftOut { part, statements: vec![statement], cause }),
        }
    }
}
