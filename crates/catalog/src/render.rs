//! From objects to statements: what each kind implements.

use crate::toc::{Adoption, DropStatement, Section};
use crate::{EntryKind, Object, ObjectId, ServerVersion};

/// What the statements are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The version of the server that will run them; never older than the
    /// source unless a downgrade was asked for.
    pub version: ServerVersion,
}

/// A TOC entry before it has a place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// When.
    pub section: Section,
    /// What, in the words of `pg_restore -l`.
    pub kind: EntryKind,
    /// Statements, each a single one without final semicolon.
    pub create: Vec<String>,
    /// The kind and name for `ALTER ... OWNER TO`, `COMMENT ON` and
    /// `SECURITY LABEL ON`: `TABLE public.film`, `FUNCTION public.f(integer)`.
    /// `None` where the object can have none of these.
    pub address: Option<String>,
    /// Whether `ALTER {address} OWNER TO` applies.
    pub has_owner: bool,
    /// What `--clean` runs.
    pub drop: Option<DropStatement>,
    /// Objects needed beyond those of the catalog's dependencies.
    pub requires: Vec<ObjectId>,
    /// Tells the several drafts of one object apart: a view's dummy and its
    /// final form, a sequence and its `OWNED BY`. The main one has `Part::Main`.
    pub part: Part,
    /// Another way to do the first statement.
    pub adoption: Option<Box<Adoption>>,
}

/// Which part of an object a draft creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The object itself: what others depend on.
    Main,
    /// A piece that follows the main part and that nothing else waits for.
    After,
}

impl Draft {
    /// A main draft with one statement and no owner, comment address or drop.
    pub fn new(section: Section, kind: EntryKind, create: impl Into<String>) -> Self {
        Draft {
            section,
            kind,
            create: vec![create.into()],
            address: None,
            has_owner: false,
            drop: None,
            requires: Vec::new(),
            part: Part::Main,
            adoption: None,
        }
    }

    /// Takes out what an entry is made of; what stays tells how it hangs together with others.
    pub(crate) fn take_statements(&mut self) -> Draft {
        Draft {
            create: std::mem::take(&mut self.create),
            drop: self.drop.take(),
            adoption: self.adoption.take(),
            address: self.address.clone(),
            requires: Vec::new(),
            ..*self
        }
    }

    /// The usual object: its kind and name ("TABLE public.film") serve for owner, comment and drop alike.
    pub fn owned(section: Section, kind: EntryKind, name: &str, create: impl Into<String>) -> Self {
        Draft::addressed(section, kind, kind.as_str(), name, create)
    }

    /// As [`Self::owned`], of a kind that statements call by a `word` of its own.
    pub fn addressed(
        section: Section,
        kind: EntryKind,
        word: &str,
        name: &str,
        create: impl Into<String>,
    ) -> Self {
        Draft {
            address: Some(format!("{word} {name}")),
            has_owner: true,
            drop: Some(DropStatement { command: format!("DROP {word}"), object: name.to_owned() }),
            ..Draft::new(section, kind, create)
        }
    }
}

/// What every kind implements: its DDL and how it is told apart.
pub(crate) trait Render {
    /// The drafts that create the object, its main part first. Empty only for
    /// objects that another's statement creates (an inlined constraint).
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft>;

    /// The TOC kind where it differs from the kind's usual one (`PROCEDURE`).
    fn kind(&self) -> Option<EntryKind> {
        None
    }

    /// What tells the object from others of its kind, schema and name: argument
    /// types, the table of a trigger.
    fn discriminator(&self) -> Option<String> {
        None
    }
    /// How `COMMENT ON` names the object when [`render`](Render::render) gives no
    /// main draft because another object's statement creates it: `CONSTRAINT
    /// film_check ON public.film`, `INDEX public.film_pkey`.
    fn inline_address(&self, _object: &Object) -> Option<String> {
        None
    }
}
