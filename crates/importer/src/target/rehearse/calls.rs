//! Functions that a run calls for each row and that cannot find what they name.
//!
//! A trial has no rows, so that what checks, indexes, generated columns and domains call is never called in it. A
//! function that finds what it names by a search path which a run does not have fails for any row. So each of these
//! functions is planned, which reads the text of those in SQL, and called with no values and with simple ones. Only an
//! error in the text of a function counts, for what else goes wrong depends on the values.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dbhaul_catalog::{
    EntryKind, QualifiedName, Section, SharedText, TocEntry, in_one_line, quote_identifier, quote_literal,
};
use dbhaul_postgres::{Error, ServerError};
use serde::Deserialize;

use super::{MOMENT, MOMENT_OVER, MOST_SLOW, QUERY_CANCELED, Rehearsal, with_path};
use crate::Cause;
use crate::run::NOT_FOUND;
use crate::target::predict::wanted;
use crate::target::refusal::Problem;
use crate::target::theirs::words_in;

/// So many functions are tried at most.
const MOST_CALLED: usize = 200;

/// What makes a text take one way or another. What a word such as `for` means does not matter: where one is, the text
/// is taken for one that branches.
const BRANCHES: [&str; 10] =
    ["if", "elsif", "case", "loop", "while", "for", "foreach", "exception", "exit", "continue"];

/// What calls a function for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Use {
    /// An index, which is built on the rows.
    Index,
    /// A constraint, which may come behind the rows.
    Check,
    /// A generated column.
    Rows,
}

/// A function, and what calls it.
#[derive(Debug, Deserialize)]
struct Call {
    what: Use,
    schema: String,
    /// The table whose rows it is called for.
    relation: String,
    /// The index, the constraint, or the column.
    name: String,
    /// The domain of a constraint.
    domain: Option<QualifiedName>,
    /// Whether the expression may do without calling it.
    is_conditional: bool,
    function: Function,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Function {
    /// Quoted.
    name: String,
    /// With the types of its arguments, as `regprocedure` prints it.
    signature: String,
    is_strict: bool,
    is_variadic: bool,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Argument {
    /// Quoted.
    of_type: String,
    /// Texts of values, for types of which some are known.
    values: Vec<String>,
}

/// A function in whose text an error is.
#[derive(Debug, Deserialize)]
struct Blamed {
    signature: String,
    schema: String,
    language: String,
    is_strict: bool,
    text: String,
}

/// Why a function fails.
#[derive(Debug, Clone)]
struct Failure {
    cause: Cause,
    /// Whether it fails whenever it is called.
    is_certain: bool,
    /// Whether it fails before it is called.
    is_in_plan: bool,
}

impl Function {
    fn call(&self, from: impl Fn(&Argument) -> String) -> String {
        let places = 1..=self.arguments.len();
        let is_last = |place: usize| place == self.arguments.len();
        let given = places.clone().map(|place| {
            let variadic = if self.is_variadic && is_last(place) { "VARIADIC " } else { "" };
            format!("{variadic}x.a{place}")
        });
        let values = places
            .zip(&self.arguments)
            .map(|(place, argument)| format!("{}::{} AS a{place}", from(argument), argument.of_type));
        let given = given.collect::<Vec<_>>().join(", ");
        // what is no constant is not computed by a plan
        let from = match self.arguments.is_empty() {
            true => String::new(),
            false => format!(" FROM (SELECT {} OFFSET 0) x", values.collect::<Vec<_>>().join(", ")),
        };
        format!("SELECT {}({given}){from}", self.name)
    }

    /// The plan of a call, and calls.
    fn attempts(&self) -> Vec<String> {
        let nothing = self.call(|_| "NULL".to_owned());
        let simple = |place: usize| {
            self.call(|argument| {
                let value = argument.values.get(place).or(argument.values.last());
                value.map_or_else(|| "NULL".to_owned(), |value| quote_literal(value))
            })
        };
        let is_called = !self.is_strict || self.arguments.is_empty();
        let mut attempts = vec![format!("EXPLAIN {nothing}")];
        attempts.extend(is_called.then_some(nothing));
        let has_values = self.arguments.iter().any(|argument| !argument.values.is_empty());
        attempts.extend([0, 1].map(simple).into_iter().filter(|_| has_values));
        attempts
    }
}

/// Whether an error is in what a text says, whatever the values are: class 42 but for privileges, and a missing schema.
pub(super) fn is_of_text(error: &ServerError) -> bool {
    let is_class = error.is_in_class("42") && error.sqlstate != "42501" || error.sqlstate == "3F000";
    is_class && error.internal_query.is_some()
}

/// Whether a text in PL/pgSQL does all it says, in its order.
fn is_straight(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut words = text.split(|letter| !is_letter(letter)).map(str::to_ascii_lowercase);
    !words.any(|word| BRANCHES.contains(&word.as_str()))
}

impl Blamed {
    /// Whether each call of it comes to what is wrong in it.
    fn always_fails(&self) -> bool {
        match self.language.as_str() {
            "sql" => true,
            "plpgsql" => is_straight(&self.text),
            _ => false,
        }
    }
}

impl Rehearsal<'_> {
    /// Why an entry always fails that failed so, if that is known: for a function in whose text the error is, and that
    /// has no other way to go.
    pub(super) async fn fails_always(&self, problem: &Problem) -> Result<Option<Cause>, Error> {
        let Problem::Refused(error) = problem else { return Ok(None) };
        let Some(error) = error.server_error() else { return Ok(None) };
        let blamed = self.blamed(error, None).await?;
        let is_certain = !blamed.is_empty() && blamed.iter().all(Blamed::always_fails);
        let is_certain = is_certain && !self.may_be_elsewhere(&blamed);
        Ok(is_certain.then(|| of_function(error, &blamed)))
    }

    /// The functions whose texts hold what the server could not make sense of: the one that was called, or those of
    /// which it is all of the text, or a part of it.
    async fn blamed(&self, error: &ServerError, called: Option<&str>) -> Result<Vec<Blamed>, Error> {
        let Some(whole) = error.internal_query.as_deref().filter(|_| is_of_text(error)) else {
            return Ok(Vec::new());
        };
        // before 14, an expression is made a query
        let query = whole.strip_prefix("SELECT ").unwrap_or(whole);
        let sql = format!(
            "SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS signature, \
               pg_catalog.quote_ident(n.nspname) AS schema, l.lanname AS language, p.proisstrict AS is_strict, \
               p.prosrc AS text \
             FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             WHERE l.lanname NOT IN ('internal', 'c') AND pg_catalog.strpos(p.prosrc, {}) > 0 ORDER BY 1",
            quote_literal(query)
        );
        let mut blamed: Vec<Blamed> = self.session.query_json(&sql).await?;
        let is_it: [&dyn Fn(&Blamed) -> bool; 3] =
            [&|it| called == Some(it.signature.as_str()), &|it| it.text == whole, &|it| {
                it.text.contains(whole)
            }];
        if let Some(is_it) = is_it.into_iter().find(|is_it| blamed.iter().any(is_it)) {
            blamed.retain(is_it);
        }
        Ok(blamed)
    }

    /// Whether what a text does not find may be something of the plan that this act has not made.
    fn may_be_elsewhere(&self, blamed: &[Blamed]) -> bool {
        // what is not found is mostly named without its schema
        let words: Option<Vec<HashSet<String>>> = blamed.iter().map(|it| words_in(&it.text)).collect();
        let is_named =
            |name: &str| words.as_ref().is_none_or(|all| all.iter().any(|words| words.contains(name)));
        let is_missing =
            |entry: &&TocEntry| !self.act.contains(&entry.id) || self.untried.is_unknown(entry.id);
        let mut missing = wanted(self.plan).filter(|entry| entry.section != Section::Data).filter(is_missing);
        missing.any(|entry| {
            // functions and the like have their arguments behind their names
            is_named(entry.name.split('(').next().unwrap_or_default())
        })
    }

    /// Tries the functions that rows of an act's tables would call.
    pub(super) async fn calls(&mut self, ids: &[u32]) -> Result<(), Error> {
        let entries: Vec<&TocEntry> = ids.iter().filter_map(|id| self.plan.entry(*id).ok()).collect();
        let has_code = |entry: &&TocEntry| matches!(entry.kind, EntryKind::Function | EntryKind::Extension);
        if self.others_own
            || !entries.iter().any(has_code)
            || !entries.iter().any(|it| it.kind == EntryKind::Table)
        {
            return Ok(());
        }
        let calls: Vec<Call> = self.session.query_json(QUERY).await?;
        if calls.is_empty() {
            return Ok(());
        }
        let functions: BTreeSet<&Function> =
            calls.iter().map(|call| &call.function).take(MOST_CALLED).collect();
        let mut failures: BTreeMap<&Function, Failure> = BTreeMap::new();
        self.session
            .batch(&MOMENT.into_iter().chain(["SAVEPOINT attempt"]).collect::<Vec<_>>().join("; "))
            .await?;
        let slow = self.slow;
        for function in functions {
            if self.slow >= slow + MOST_SLOW {
                break;
            }
            if let Some(failure) = self.failure(function).await? {
                failures.insert(function, failure);
            }
        }
        self.slow = slow;
        self.session.batch(&MOMENT_OVER.join("; ")).await?;
        let places = Places::new(self.plan);
        for call in &calls {
            if let Some(failure) = failures.get(&call.function) {
                self.note(&places, call, failure);
            }
        }
        Ok(())
    }

    async fn failure(&mut self, function: &Function) -> Result<Option<Failure>, Error> {
        let attempts = function.attempts();
        match self.attempt(attempts.clone()).await? {
            None => return Ok(None),
            Some(problem) if problem.sqlstate() == Some(QUERY_CANCELED) => {
                self.slow += 1;
                return Ok(None);
            }
            Some(_) => {}
        }
        for (place, attempt) in attempts.into_iter().enumerate() {
            let Some(error) = self.text_error(attempt).await? else { continue };
            let blamed = self.blamed(&error, Some(&function.signature)).await?;
            if blamed.is_empty() || self.may_be_elsewhere(&blamed) {
                continue;
            }
            let is_in_plan = place == 0;
            let is_called = |blamed: &Blamed| is_in_plan || !blamed.is_strict;
            return Ok(Some(Failure {
                cause: of_function(&error, &blamed),
                is_certain: blamed.iter().all(|it| it.always_fails() && is_called(it)),
                is_in_plan,
            }));
        }
        Ok(None)
    }

    /// What is wrong with a function's text, under the path of a run and where that does, under the source's.
    async fn text_error(&mut self, statement: String) -> Result<Option<ServerError>, Error> {
        let mut problem = self.attempt(vec![statement.clone()]).await?;
        let is_not_found = |problem: &Problem| problem.sqlstate().is_some_and(|it| NOT_FOUND.contains(&it));
        if let Some(path) = self.plan.options.source_search_path.clone()
            && problem.as_ref().is_some_and(is_not_found)
        {
            problem = self.attempt(with_path(&path, vec![statement])).await?;
        }
        Ok(match problem {
            Some(Problem::Refused(error)) => error.server_error().filter(|error| is_of_text(error)).cloned(),
            Some(Problem::Ignored) | None => None,
        })
    }

    fn note(&mut self, places: &Places, call: &Call, failure: &Failure) {
        let rows = places.rows.get(&(call.schema.as_str().into(), call.relation.clone())).copied();
        let has_rows = rows.is_some_and(|rows| {
            self.plan.segments.get(&rows).is_some_and(|segments| segments.iter().any(|bytes| *bytes > 0))
        });
        let Some(entry) = places.of(call).or(rows).filter(|_| has_rows) else { return };
        let is_certain = failure.is_certain && (failure.is_in_plan || !call.is_conditional);
        let cause = failure.cause.clone();
        match is_certain {
            true if Some(entry) == rows => self.predicted.block_rows(entry, call.described(), cause),
            true => self.predicted.refuse(entry, cause),
            false => self.predicted.doubt(entry, cause),
        }
    }
}

impl Call {
    /// What calls the function, as a person knows it.
    fn described(&self) -> String {
        let name = in_one_line(&quote_identifier(&self.name));
        match (&self.domain, self.what) {
            (Some(domain), _) => format!("constraint {name} of domain {}", in_one_line(&domain.to_string())),
            (None, Use::Check) => format!("check constraint {name}"),
            (None, Use::Index) => format!("index {name}"),
            (None, Use::Rows) => format!("generated column {name}"),
        }
    }
}

/// What is said of a function that cannot find what it names.
fn of_function(error: &ServerError, blamed: &[Blamed]) -> Cause {
    let refusal = Box::new(Cause::refusal(error));
    match blamed.first() {
        Some(first) => Cause::FunctionFindsNothing {
            refusal,
            function: first.signature.clone(),
            schema: first.schema.clone(),
        },
        None => *refusal,
    }
}

/// Entries of a plan by the names of what they make or fill.
struct Places {
    rows: BTreeMap<(SharedText, String), u32>,
    others: BTreeMap<(EntryKind, SharedText, String), u32>,
}

impl Places {
    fn new(plan: &crate::ImportPlan) -> Self {
        let mut places = Places { rows: BTreeMap::new(), others: BTreeMap::new() };
        for entry in wanted(plan) {
            let Some(schema) = entry.schema.clone() else { continue };
            match entry.kind {
                EntryKind::TableData => _ = places.rows.insert((schema, entry.name.clone()), entry.id),
                EntryKind::Index | EntryKind::CheckConstraint | EntryKind::Constraint => {
                    places.others.insert((entry.kind, schema, entry.name.clone()), entry.id);
                }
                _ => {}
            }
        }
        places
    }

    /// The entry that makes what calls a function, unless its table has it from the beginning.
    fn of(&self, call: &Call) -> Option<u32> {
        let (schema, whole): (SharedText, &str) = match &call.domain {
            Some(domain) => (domain.schema.clone(), &domain.name),
            None => (call.schema.as_str().into(), &call.relation),
        };
        let find = |kind, name: String| self.others.get(&(kind, schema.clone(), name)).copied();
        let in_whole = || format!("{whole} {}", call.name);
        match call.what {
            Use::Index => {
                find(EntryKind::Index, call.name.clone()).or_else(|| find(EntryKind::Constraint, in_whole()))
            }
            Use::Check => find(EntryKind::CheckConstraint, in_whole()),
            Use::Rows => None,
        }
    }
}

/// Functions with a text that are called for each row, with what calls them. Those of an operator are called too, and a
/// column has the constraints of all domains below its type.
const QUERY: &str = r"
    WITH RECURSIVE below(oid, domain) AS (
        SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
        UNION
        SELECT t.oid, b.domain FROM below b JOIN pg_catalog.pg_type t
          ON t.typbasetype = b.oid OR t.typelem = b.oid AND t.typcategory = 'A'),
    used AS (
        SELECT 'check' AS what, c.conrelid AS relid, c.conname AS name, NULL::pg_catalog.json AS domain,
               'pg_catalog.pg_constraint'::pg_catalog.regclass AS classid, c.oid AS objid,
               c.conbin::pg_catalog.text AS expression
        FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.conrelid <> 0 AND c.convalidated
        UNION ALL
        SELECT 'check', a.attrelid, c.conname,
               pg_catalog.json_build_object('schema', dn.nspname, 'name', dt.typname),
               'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid, c.conbin::pg_catalog.text
        FROM pg_catalog.pg_constraint c JOIN below b ON b.domain = c.contypid
          JOIN pg_catalog.pg_type dt ON dt.oid = b.domain
          JOIN pg_catalog.pg_namespace dn ON dn.oid = dt.typnamespace
          JOIN pg_catalog.pg_attribute a ON a.atttypid = b.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.contype = 'c' AND c.convalidated
        UNION ALL
        SELECT 'rows', a.attrelid, a.attname, NULL, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid,
               d.adbin::pg_catalog.text
        FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attgenerated = 's'
        UNION ALL
        SELECT 'index', i.indrelid, c.relname, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid,
               pg_catalog.concat(i.indexprs, i.indpred)
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
    SELECT u.what, n.nspname AS schema, r.relname AS relation, u.name, u.domain,
           u.expression ~ '\{(BOOLEXPR|CASEEXPR|COALESCEEXPR|COALESCE|CASE) ' AS is_conditional,
           pg_catalog.json_build_object(
             'name', pg_catalog.format('%I.%I', fn.nspname, f.proname),
             'signature', f.oid::pg_catalog.regprocedure::pg_catalog.text,
             'is_strict', f.proisstrict, 'is_variadic', f.provariadic <> 0,
             'arguments', COALESCE((
               SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                 'of_type', pg_catalog.format('%I.%I', tn.nspname, t.typname),
                 'values', COALESCE(CASE t.typcategory
                   WHEN 'N' THEN ARRAY['0', '1000'] WHEN 'S' THEN ARRAY['', 'a'] WHEN 'B' THEN ARRAY['false', 'true']
                   WHEN 'A' THEN ARRAY['{}'] WHEN 'T' THEN ARRAY['0', '1 day'] WHEN 'V' THEN ARRAY['0', '1']
                   WHEN 'D' THEN ARRAY['2000-01-01 00:00:00+00', '2020-02-02 02:02:02+00'] WHEN 'I' THEN ARRAY['0.0.0.0']
                   WHEN 'E' THEN (SELECT pg_catalog.array_agg(e.enumlabel::pg_catalog.text ORDER BY e.enumsortorder)
                                  FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
                   WHEN 'R' THEN ARRAY['empty']
                   ELSE CASE t.typname WHEN 'uuid' THEN ARRAY['00000000-0000-0000-0000-000000000000']
                     WHEN 'json' THEN ARRAY['{}'] WHEN 'jsonb' THEN ARRAY['{}'] WHEN 'bytea' THEN ARRAY[''] END
                   END, '{}'::pg_catalog.text[])) ORDER BY a.place)
               FROM pg_catalog.unnest(f.proargtypes) WITH ORDINALITY AS a(type, place)
                 JOIN pg_catalog.pg_type t ON t.oid = a.type
                 JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace), '[]'::pg_catalog.json)) AS function
    FROM used u
      JOIN pg_catalog.pg_class r ON r.oid = u.relid
      JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
      JOIN pg_catalog.pg_depend d ON d.classid = u.classid AND d.objid = u.objid
      LEFT JOIN pg_catalog.pg_operator o
        ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
      JOIN pg_catalog.pg_proc f
        ON f.oid = CASE d.refclassid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN d.refobjid ELSE o.oprcode END
      JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid = f.prolang
    WHERE r.relkind IN ('r', 'p') AND l.lanname NOT IN ('internal', 'c') AND fn.nspname NOT IN ('pg_catalog', 'information_schema')
      AND NOT EXISTS (SELECT FROM pg_catalog.unnest(f.proargtypes) AS a(type)
        JOIN pg_catalog.pg_type t ON t.oid = a.type WHERE t.typtype = 'p')
    ORDER BY 1, 2, 3, 4, f.oid";

#[cfg(test)]
mod tests {
    use super::{Argument, Function, is_straight};

    #[test]
    fn texts_that_branch() {
        assert!(is_straight("BEGIN RETURN EXISTS (SELECT FROM allowed WHERE i = $1 AND forever); END"));
        assert!(!is_straight("BEGIN IF $1 > 5 THEN RETURN g($1); END IF; RETURN true; END"));
        assert!(!is_straight("DECLARE r record; BEGIN FOR r IN SELECT 1 LOOP NULL; END LOOP; END"));
    }

    #[test]
    fn a_call_computes_nothing_in_its_plan() {
        let argument = |of_type: &str, values: &[&str]| Argument {
            of_type: of_type.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let mut function = Function {
            name: "app.f".to_owned(),
            signature: "app.f(integer, app.e[])".to_owned(),
            is_strict: false,
            is_variadic: true,
            arguments: vec![argument("integer", &["0", "1"]), argument("app.e[]", &["{}"])],
        };
        let call = |one: &str, two: &str| {
            format!(
                "SELECT app.f(x.a1, VARIADIC x.a2) FROM (SELECT {one}::integer AS a1, {two}::app.e[] AS a2 OFFSET 0) x"
            )
        };
        let nothing = call("NULL", "NULL");
        let (plan, simple) = (format!("EXPLAIN {nothing}"), [call("'0'", "'{}'"), call("'1'", "'{}'")]);
        let [zero, one] = simple;
        assert_eq!(function.attempts(), [plan.clone(), nothing, zero.clone(), one.clone()]);
        function.is_strict = true;
        assert_eq!(function.attempts(), [plan, zero, one]);
        function.arguments.clear();
        assert_eq!(function.attempts(), ["EXPLAIN SELECT app.f()", "SELECT app.f()"]);
    }
}
