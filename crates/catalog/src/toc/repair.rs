//! Taking dependency loops apart, as src/bin/pg_dump/pg_dump_sort.c does.
//!
//! - A type and its functions: the type is declared first, as a *shell*.
//! - A view that something it reads needs in turn: a *dummy* view of the same
//!   columns stands in until the end, when `CREATE OR REPLACE VIEW` puts the query in.
//! - A domain whose check or default calls a function of the domain: that is added later.
//! - Functions in standard SQL that call each other: one gets what it does later.
//! - A sequence of a column whose table names it: it gets its owner once the table is there.
//! - A table whose generated column names, by a constant such as `'s.t'::regclass`, what can only be made after the
//!   table: no order serves, and `pg_dump` has none either. The table does not wait for it, so that the target refuses
//!   this table alone.
//! - Whatever needs something that can only be made after the rows (a view that
//!   groups by a primary key) is made in two steps or moves behind the rows.
//!
//! Defaults and checks of tables that could take part in a loop are drafts of
//! their own from the start.

use crate::kinds::{Body, Domain, FunctionSource};
use crate::render::{Draft, Part, Render, Target};
use crate::toc::plan::{Plan, needed_by};
use crate::toc::{DropStatement, Section};
use crate::{Class, Dependency, EntryKind, Object, TocError, order, quote_identifier};

impl Plan<'_> {
    /// Repairs until no loop is left.
    pub(super) fn repair(&mut self) -> Result<(), TocError> {
        loop {
            self.postpone()?;
            let loops = order::loops(&self.needs);
            if loops.is_empty() {
                return Ok(());
            }
            for members in loops {
                if !self.take_apart(&members) {
                    let members = members.iter().map(|&place| self.object(place).identity()).collect();
                    return Err(TocError::Loop { members });
                }
            }
        }
    }

    /// Applies one repair to a loop; false where none helps.
    fn take_apart(&mut self, members: &[usize]) -> bool {
        if self.declare_types(members) {
            return true;
        }
        let splittable = members.iter().copied().find(|&place| self.can_split(place));
        if let Some(place) = splittable {
            self.split(place);
            return true;
        }
        let function = members.iter().copied().find(|&place| self.can_wait_for_body(place));
        if let Some(place) = function {
            self.split_body_off(place, members);
            return true;
        }
        self.own_later(members) || self.name_in_vain(members)
    }

    /// Lets a sequence wait for its table only to be owned by it.
    fn own_later(&mut self, members: &[usize]) -> bool {
        for &place in members {
            let Body::Sequence(sequence) = &self.object(place).body else { continue };
            let Some(owner) = sequence.owned_by.as_ref().filter(|owner| owner.identity.is_none()) else {
                continue;
            };
            let Some(table) = self.relation(&owner.table).filter(|table| self.needs[place].contains(table))
            else {
                continue;
            };
            self.needs[place].retain(|need| *need != table);
            self.later_needs.entry(place).or_default().push(table);
            return true;
        }
        false
    }

    /// Lets a table not wait for what only the expression of a generated column names.
    fn name_in_vain(&mut self, members: &[usize]) -> bool {
        for &place in members {
            let needed = self.needs[place].iter().copied().filter(|need| members.binary_search(need).is_ok());
            if let Some(need) = needed.into_iter().find(|&need| self.is_only_named(place, need)) {
                self.name_only(place, need);
                return true;
            }
        }
        false
    }

    fn name_only(&mut self, table: usize, need: usize) {
        self.needs[table].retain(|other| *other != need);
        self.in_vain.push((table, need));
    }

    /// Whether a table needs something for nothing else than the expression of a column, which its statement has.
    fn is_only_named(&self, table: usize, need: usize) -> bool {
        if !matches!(self.object(table).body, Body::Table(_)) {
            return false;
        }
        let maker = |id| self.index.place(id).and_then(|place| self.makers[place]);
        let is_between =
            |edge: &&Dependency| maker(edge.dependent) == Some(table) && maker(edge.referenced) == Some(need);
        let mut between = self.catalog.dependencies.iter().filter(is_between).peekable();
        let is_expression = |edge: &Dependency| edge.dependent.class == Class::PG_ATTRDEF;
        between.peek().is_some() && between.all(is_expression)
    }

    /// Whether a function can be made without what it does: a text that is no SQL stands in, so that nothing
    /// can run it meanwhile.
    fn can_wait_for_body(&self, place: usize) -> bool {
        let Body::Function(function) = &self.object(place).body else { return false };
        matches!(function.source, FunctionSource::SqlBody { .. }) && !self.split.contains(&place)
    }

    fn split_body_off(&mut self, place: usize, members: &[usize]) {
        let object = self.object(place);
        let Body::Function(function) = &object.body else { return };
        let is_in_signature = |need: usize| {
            let types = function.argument_types.iter().chain(&function.result);
            let name = bare(&self.object(need).sql_name());
            types.into_iter().any(|sql| bare(sql).contains(&name))
                || bare(&function.arguments).contains(&name)
        };
        let is_kept = |need: &usize| members.binary_search(need).is_err() || is_in_signature(*need);
        let kept = self.needs[place].iter().copied().filter(is_kept).collect();
        let all = std::mem::replace(&mut self.needs[place], kept);
        self.later_needs.entry(place).or_default().extend(all);
        let target = Target { version: self.catalog.server_version };
        self.drafts[place] = function.render_in_two_steps(object, &target);
        self.split.insert(place);
    }

    /// Lets functions of a loop make do with the declaration of its types.
    fn declare_types(&mut self, members: &[usize]) -> bool {
        let is_type = |place: usize, plan: &Self| {
            matches!(plan.object(place).body, Body::BaseType(_) | Body::RangeType(_))
        };
        let types: Vec<usize> = members.iter().copied().filter(|&place| is_type(place, self)).collect();
        let is_function = |&place: &usize| matches!(self.object(place).body, Body::Function(_));
        let functions: Vec<usize> = members.iter().copied().filter(is_function).collect();
        let mut changed = false;
        for function in functions {
            let declared: Vec<usize> =
                self.needs[function].iter().copied().filter(|need| types.contains(need)).collect();
            if declared.is_empty() {
                continue;
            }
            self.needs[function].retain(|need| !declared.contains(need));
            // It and its functions need each other, so that they can only go together.
            for &place in &declared {
                for drop in self.drafts[place].iter_mut().filter_map(|draft| draft.drop.as_mut()) {
                    if !drop.object.ends_with(" CASCADE") {
                        drop.object.push_str(" CASCADE");
                    }
                }
            }
            self.shells.extend(&declared);
            self.shell_needs.entry(function).or_default().extend(declared);
            changed = true;
        }
        changed
    }

    fn can_split(&self, place: usize) -> bool {
        !self.split.contains(&place)
            && match &self.object(place).body {
                Body::View(_) => true,
                Body::Domain(domain) => {
                    domain.default.is_some() || domain.constraints.iter().any(|check| check.validated)
                }
                _ => false,
            }
    }

    /// Makes an object in two steps, the first of which needs only types.
    fn split(&mut self, place: usize) {
        let object = self.object(place);
        let kept: Vec<usize> =
            self.needs[place].iter().copied().filter(|&need| self.first_step_needs(object, need)).collect();
        let all = std::mem::replace(&mut self.needs[place], kept);
        self.later_needs.entry(place).or_default().extend(all);
        match &object.body {
            Body::View(view) => self.drafts[place] = view.render_in_two_steps(object),
            Body::Domain(domain) => {
                let target = Target { version: self.catalog.server_version };
                self.drafts[place] = domain_in_two_steps(domain, object, &target);
            }
            _ => {}
        }
        self.split.insert(place);
    }

    fn first_step_needs(&self, object: &Object, need: usize) -> bool {
        let needed = self.object(need);
        match (needed.id.class, &object.body) {
            (Class::PG_NAMESPACE | Class::PG_COLLATION | Class::PG_EXTENSION, _) => true,
            // A column may be of a table's row type; its query may use more types, but only later.
            (Class::PG_TYPE | Class::PG_CLASS, Body::View(view)) => {
                let name = needed.sql_name();
                view.columns.iter().any(|column| is_of_type(&column.type_name, &name))
            }
            (Class::PG_TYPE | Class::PG_CLASS, Body::Domain(domain)) => {
                is_of_type(&domain.base_type, &needed.sql_name())
            }
            _ => false,
        }
    }

    /// Moves what needs something made after the rows behind the rows too.
    fn postpone(&mut self) -> Result<(), TocError> {
        let turned = needed_by(&self.needs);
        let mut late: Vec<usize> =
            (0..self.drafts.len()).filter(|&place| self.section(place) == Section::PostData).collect();
        while let Some(needed) = late.pop() {
            for &place in turned.get(&needed).map(Vec::as_slice).unwrap_or_default() {
                // The need may be gone since, or the object moved already.
                if self.section(place) != Section::PreData || !self.needs[place].contains(&needed) {
                    continue;
                }
                if self.can_split(place) {
                    self.split(place);
                } else if self.can_move(place) {
                    self.drafts[place].iter_mut().for_each(|draft| draft.section = Section::PostData);
                    late.push(place);
                } else if self.is_only_named(place, needed) {
                    self.name_only(place, needed);
                } else {
                    let (object, needed) = (self.object(place).identity(), self.object(needed).identity());
                    return Err(TocError::TooLate { object: Box::new(object), needed: Box::new(needed) });
                }
            }
        }
        Ok(())
    }

    /// Whether an object may be made after the rows: not where rows need it.
    fn can_move(&self, place: usize) -> bool {
        let object = self.object(place);
        !matches!(object.body, Body::Table(_) | Body::Extension(_) | Body::Schema(_))
            && object.id.class != Class::PG_TYPE
    }
}

/// Whether a printed type is the one of a name, an array of it, or it with a modifier.
fn is_of_type(printed: &str, name: &str) -> bool {
    let (printed, name) = (bare(printed), bare(name));
    printed.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '(']))
}

/// Names without quotes: servers quote fewer words than we do.
fn bare(sql: &str) -> String {
    sql.replace('"', "")
}

/// The domain without its default and checks, and each of those by a statement of its own.
fn domain_in_two_steps(domain: &Domain, object: &Object, target: &Target) -> Vec<Draft> {
    let mut first = domain.clone();
    first.constraints.clear();
    first.default = None;
    let mut later = domain.clone();
    later.constraints.iter_mut().for_each(|constraint| constraint.validated = false);
    let mut drafts: Vec<Draft> = first.render(object, target);
    drafts.extend(domain.default_draft(&object.sql_name()));
    let rest = later.render(object, target);
    drafts.extend(rest.into_iter().filter(|draft| draft.part == Part::After));
    drafts
}

/// The declaration of a type.
pub(super) fn shell_draft(object: &Object) -> Draft {
    let name = object.sql_name();
    Draft {
        drop: Some(DropStatement { command: "DROP TYPE".to_owned(), object: name.clone() }),
        ..Draft::new(Section::PreData, EntryKind::ShellType, format!("CREATE TYPE {name}"))
    }
}

/// `name ON table`, as `COMMENT ON RULE` and `COMMENT ON CONSTRAINT` want it.
pub(super) fn part_of_relation(part: &str, relation: &Object) -> String {
    format!("{} ON {}", quote_identifier(part), relation.sql_name())
}
