//! What others have left on the target, and what a rehearsal for that reason does not try.
//!
//! To try a definition may run functions: those that it names, and whatever these call, by names that are looked up
//! as they run. On the target such a name may lead to what somebody has put there for us to run: a function that the
//! one to be made calls, or one of the same name whose arguments fit better, or one that an extension of another
//! version lacks; an index, with a function in its predicate, of a table that a foreign key refers to. An extension
//! vouches for nothing either: its owner may add functions to it. So where roles that are neither superusers nor
//! the importing role itself own anything of that kind, nothing is tried that would call it.

use std::collections::{BTreeMap, HashSet};

use dbhaul_catalog::{EntryKind, TocEntry, Token, TokenKind, tokens};
use dbhaul_postgres::{Error, Session};
use serde::Deserialize;

use crate::ImportPlan;

/// Kinds that run functions besides those that call the ones they name: a foreign key is checked by a query, and options of foreign
/// data by a validator.
const CALLING_KINDS: [EntryKind; 4] =
    [EntryKind::ForeignKey, EntryKind::ForeignDataWrapper, EntryKind::Server, EntryKind::UserMapping];

/// Kinds that are code, which may call anything.
const CODE_KINDS: [EntryKind; 3] = [EntryKind::Function, EntryKind::Procedure, EntryKind::Aggregate];

/// A name with its schema.
pub(super) type Name = (String, String);

/// What the target holds, if others own any of it.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// Functions, types, operators and relations of others.
    names: HashSet<Name>,
    /// Relations and types, whoever owns them.
    standing: HashSet<Name>,
}

#[derive(Deserialize)]
struct Row {
    schema: String,
    name: String,
    is_code: bool,
    is_of_others: bool,
}

/// A role that acts for a session's may be taken back by what it runs: then it is not trusted.
const QUERY: &str = "
    WITH o AS MATERIALIZED (
      SELECT o.space, o.name, o.is_code,
             NOT COALESCE(r.rolsuper, false)
               AND NOT COALESCE(r.rolname = current_user AND current_user = session_user, false) AS is_of_others
      FROM (SELECT pronamespace AS space, proname AS name, proowner AS owner, true AS is_code FROM pg_catalog.pg_proc
            UNION ALL SELECT oprnamespace, oprname, oprowner, true FROM pg_catalog.pg_operator
            UNION ALL SELECT typnamespace, typname, typowner, false FROM pg_catalog.pg_type
            UNION ALL SELECT relnamespace, relname, relowner, false FROM pg_catalog.pg_class) o
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = o.owner
      WHERE o.space NOT IN (SELECT t.oid FROM pg_catalog.pg_namespace t WHERE t.nspname ~ '^pg_(toast|temp)'))
    SELECT n.nspname AS schema, o.name, o.is_code, o.is_of_others
    FROM o JOIN pg_catalog.pg_namespace n ON n.oid = o.space
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND EXISTS (SELECT FROM o WHERE is_of_others)";

impl Theirs {
    /// Looks at what the target holds.
    pub(super) async fn read(session: &Session) -> Result<Self, Error> {
        let mut theirs = Theirs::default();
        let rows: Vec<Row> = session.query_json(QUERY).await?;
        for Row { schema, name, is_code, is_of_others } in rows {
            if is_of_others {
                theirs.names.insert((schema.clone(), name.clone()));
            }
            if !is_code {
                theirs.standing.insert((schema, name));
            }
        }
        Ok(theirs)
    }

    /// Leaves out what is in these schemas, which nothing finds under a name that it has now.
    pub(super) fn forget<'a>(&mut self, schemas: impl Iterator<Item = &'a str>) {
        let schemas: HashSet<&str> = schemas.collect();
        self.names.retain(|(schema, _)| !schemas.contains(schema.as_str()));
        self.standing.retain(|(schema, _)| !schemas.contains(schema.as_str()));
    }

    /// Whether others own anything on the target that something may run.
    pub(super) fn is_any(&self) -> bool {
        !self.names.is_empty()
    }

    /// The entries that might run something of others, by id, each with whether what it makes is there already.
    pub(super) fn not_to_try(&self, plan: &ImportPlan) -> BTreeMap<u32, bool> {
        if self.names.is_empty() {
            return BTreeMap::new();
        }
        let calling = calling(&plan.toc.entries);
        let may_run = |entry: &&TocEntry| self.may_run(entry, calling.contains(&entry.id));
        plan.toc.entries.iter().filter(may_run).map(|entry| (entry.id, self.holds(entry))).collect()
    }

    fn may_run(&self, entry: &TocEntry, calls: bool) -> bool {
        let kind = entry.kind;
        let is_run = kind.may_call_functions() || CALLING_KINDS.contains(&kind);
        if is_run && calls {
            return true;
        }
        // whatever else it does, it reads its literals, and to read one may run the checks of domains in its type
        let is_made_of_types = matches!(kind, EntryKind::Aggregate | EntryKind::Type);
        let reads = |named: &Named| is_run || is_made_of_types || named.is_type_of_literal;
        entry.create.iter().any(|sql| match names(sql) {
            Some(names) => names.iter().any(|named| reads(named) && self.names.contains(&named.name)),
            None => true,
        })
    }

    /// Whether what an entry makes is there, under its name.
    fn holds(&self, entry: &TocEntry) -> bool {
        let kind = entry.kind;
        let has_such_a_name = kind.is_relation() || matches!(kind, EntryKind::Index | EntryKind::Domain);
        let name = (entry.schema.as_deref().unwrap_or_default().to_owned(), entry.name.clone());
        has_such_a_name && self.standing.contains(&name)
    }
}

/// Entries that need code, directly or below what is no table: what is on a table calls nothing of it, and what reads a
/// view calls what the view does.
fn calling(entries: &[TocEntry]) -> HashSet<u32> {
    let kinds: BTreeMap<u32, EntryKind> = entries.iter().map(|entry| (entry.id, entry.kind)).collect();
    let mut calling = HashSet::new();
    // in the order in which they can be made
    for entry in entries {
        let calls = |on: &u32| {
            kinds.get(on).is_some_and(|kind| {
                let is_a_table = kind.is_relation() && *kind != EntryKind::View;
                CODE_KINDS.contains(kind) || calling.contains(on) && !is_a_table
            })
        };
        if entry.depends_on.iter().any(calls) {
            calling.insert(entry.id);
        }
    }
    calling
}

/// A name with a schema in a statement.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    name: Name,
    /// Whether it stands where the type of a literal does.
    is_type_of_literal: bool,
}

/// The names with schemas in a statement, operators among them; `None` if one cannot be read.
fn names(sql: &str) -> Option<Vec<Named>> {
    let tokens = tokens(sql).ok()?;
    let is_symbol = |at: usize, symbol: &str| {
        tokens.get(at).is_some_and(|token| token.kind == TokenKind::Symbol && token.text == symbol)
    };
    let is_name = |token: &Token<'_>| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
    let mut names = Vec::new();
    for (at, schema) in tokens.iter().enumerate().filter(|(_, token)| is_name(token)) {
        if !is_symbol(at + 1, ".") {
            continue;
        }
        let name = match tokens.get(at + 2)? {
            name if is_name(name) => unquoted(name)?,
            _ => {
                let rest = tokens[at + 2..].iter();
                let symbols = rest.take_while(|token| token.kind == TokenKind::Symbol && token.text != ")");
                symbols.map(|token| token.text).collect()
            }
        };
        let is_type_of_literal = at >= 2 && is_symbol(at - 1, ":") && is_symbol(at - 2, ":");
        names.push(Named { name: (unquoted(schema)?, name), is_type_of_literal });
    }
    Some(names)
}

/// The words in a text that may be names, with schemas or without; `None` if it cannot be read.
pub(super) fn words_in(text: &str) -> Option<HashSet<String>> {
    let tokens = tokens(text).ok()?;
    let is_name = |token: &&Token<'_>| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
    tokens.iter().filter(is_name).map(unquoted).collect()
}

/// A name as catalogs have it.
fn unquoted(token: &Token<'_>) -> Option<String> {
    match token.kind {
        TokenKind::Word => Some(token.text.to_ascii_lowercase()),
        _ => Some(token.text.strip_prefix('"')?.strip_suffix('"')?.replace("\"\"", "\"")),
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::EntryKind;

    use super::{Theirs, calling, names, words_in};
    use crate::testing::Entries;
    use crate::{ImportOptions, plan};

    #[test]
    fn names_in_statements() {
        let found = |sql: &str| -> Vec<(String, bool)> {
            let names = names(sql).unwrap_or_default();
            names.into_iter().map(|n| (format!("{}.{}", n.name.0, n.name.1), n.is_type_of_literal)).collect()
        };
        let text = |name: &str, is_type: bool| (name.to_owned(), is_type);
        assert_eq!(
            found(
                "CREATE INDEX i ON public.t (a) WHERE \"S\"\"x\".f(1) OPERATOR(s.<->) '{1}'::s . \"D\"[] > 0.5"
            ),
            [text("public.t", false), text("S\"x.f", false), text("s.<->", false), text("s.D", true)]
        );
        assert_eq!(names("SELECT U&\"s\".f(1)"), None);
        assert_eq!(found("SELECT 's.f(1)', 1.5 -- s.f"), []);
        let words = words_in("SELECT Inner_Step($1), \"A b\", 'text'").unwrap();
        assert!(["inner_step", "A b"].iter().all(|name| words.contains(*name)) && !words.contains("text"));
    }

    /// What a function that comes would call is not known; what names nothing of others and calls nothing is tried.
    #[test]
    fn what_may_run_theirs_is_not_tried() {
        let mut entries = Entries::default();
        let function = entries.function("g", "sql", "SELECT public.f(1)");
        let operator = entries.pre_data(EntryKind::Operator, "===", &[function]);
        let table = entries.table("t");
        let by_code = entries.post_data(EntryKind::Index, "by_code", &[table, operator]);
        let plain = entries.post_data(EntryKind::Index, "plain", &[table]);
        let toc = entries.into_toc();
        let called = calling(&toc.entries);
        assert!([operator, by_code].iter().all(|id| called.contains(id)));
        assert!([table, plain].iter().all(|id| !called.contains(id)));

        let plan = plan(toc, &[], ImportOptions::new("run", "backup")).unwrap();
        assert!(Theirs::default().not_to_try(&plan).is_empty());
        let name = |name: &str| ("public".to_owned(), name.to_owned());
        let theirs = Theirs { names: [name("f")].into(), standing: [name("by_code")].into() };
        assert_eq!(theirs.not_to_try(&plan).into_iter().collect::<Vec<_>>(), [(by_code, true)]);
    }
}
