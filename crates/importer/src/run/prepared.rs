//! What will be sent for an entry on this target, and what of it will not.

use dbhaul_catalog::{TocEntry, without_values};

use crate::ImportOptions;
use crate::plan::piece::{Piece, messages};
use crate::plan::roles::RoleLimits;
use crate::target::Foretold;

/// Which part of an entry is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it.
    Whole,
    /// `ALTER ... OWNER TO`: the object stays the importing role's.
    Owner,
    /// Some of its statements, such as one of several grants; without their values, which may be passwords.
    Statements(Vec<String>),
}

/// A part of an entry that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) part: Part,
    pub(crate) reason: String,
}

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
        foretold: &Foretold,
    ) -> Self {
        let runnable = roles.runnable(entry);
        let mut prepared = Prepared::default();
        for (statement, reason) in runnable.left_out {
            prepared.leave_out(&statement, reason);
        }
        for statement in runnable.statements {
            let text = statement.text();
            match foretold.refused_statement(entry.id, &text) {
                Some(reason) => prepared.leave_out(&text, reason.to_owned()),
                None => prepared.statements.push(statement),
            }
        }
        prepared.set_owner = entry.set_owner.clone().filter(|_| options.set_owners);
        let problem = entry.owner.as_deref().and_then(|owner| roles.owner_problem(owner));
        let problem = problem.or_else(|| foretold.refused_owner(entry.id).map(str::to_owned));
        if let (Some(reason), true) = (problem, prepared.set_owner.is_some()) {
            prepared.set_owner = None;
            prepared.left_out.push(LeftOut { part: Part::Owner, reason });
        }
        prepared
    }

    /// The messages that it is sent in, the owner's last.
    pub(crate) fn messages(&self) -> Vec<String> {
        messages(self.statements.iter().cloned()).chain(self.set_owner.clone()).collect()
    }

    /// What is left out as one text, for the ledger; nothing if nothing is.
    pub(crate) fn left_out_text(&self) -> Option<String> {
        let texts: Vec<String> = self.left_out.iter().map(LeftOut::text).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// Statements that are left out for the same reason are told together.
    fn leave_out(&mut self, statement: &str, reason: String) {
        let statement = without_values(statement);
        for left_out in &mut self.left_out {
            if let (Part::Statements(statements), true) = (&mut left_out.part, left_out.reason == reason) {
                statements.push(statement);
                return;
            }
        }
        self.left_out.push(LeftOut { part: Part::Statements(vec![statement]), reason });
    }
}

impl LeftOut {
    fn text(&self) -> String {
        match &self.part {
            Part::Whole => self.reason.clone(),
            Part::Owner => format!("owner not set: {}", self.reason),
            Part::Statements(statements) => format!("{}: {}", statements.join("; "), self.reason),
        }
    }
}
