//! Whether statements name what they use with its schema, as PostgreSQL's own parser reads them.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use pg_query::protobuf::{AExprKind, ObjectType, SubLinkType};
use serde_json::Value;

use crate::Statement;
use crate::path::{Path, Reach};

/// Messages of a session that are sent before the answer to its first has come: they are run also where
/// that one has failed, under whatever path there is.
const MESSAGES_AT_ONCE: usize = 3;

/// How the kinds of statements begin that look nothing up.
const LOOK_NOTHING_UP: [&str; 3] = ["Discard", "Transaction", "Variable"];

/// How the kinds of statements begin that define something. Definitions are the user's: the server wrote
/// them, for an empty path, and they may be made under one of the user's that has the server's own first.
const DEFINE: [&str; 12] = [
    "Alter",
    "Comment",
    "CompositeType",
    "Create",
    "Define",
    "Drop",
    "Grant",
    "Index",
    "Rename",
    "Rule",
    "SecLabel",
    "View",
];

/// What stands in front of a query of the user's own, which may rely on the path that the user gives, where the server's
/// own comes first.
const CHECK_MARK: &str = "(/* check */ ";

/// What is in the text of every statement that may change a path, or run another one, in small letters.
const MAY_MATTER: [&str; 5] = ["search_path", "set_config", "reset", "discard", "prepare"];

/// How statements begin that begin and end transactions, or with a comment before whatever they are.
const TRANSACTIONS: [&str; 10] =
    ["begin", "start", "commit", "rollback", "abort", "end", "savepoint", "release", "--", "/*"];

/// The longest text that is worth keeping parsed: sessions begin alike.
const LONGEST_KEPT_BYTES: usize = 8 << 10;

/// How many texts are kept parsed.
const MAX_KEPT: usize = 1_000;

/// Reads texts, and remembers what it has read.
#[derive(Default)]
pub(crate) struct Parser {
    kept: HashMap<String, Rc<Parsed>>,
}

struct Parsed {
    /// The statements as `pg_query` has them, in JSON.
    tree: Value,
    /// The names of common table expressions.
    common: Vec<String>,
}

impl Parser {
    fn parse(&mut self, sql: &str) -> Result<Rc<Parsed>, String> {
        if let Some(parsed) = self.kept.get(sql) {
            return Ok(Rc::clone(parsed));
        }
        let parsed = pg_query::parse(sql, 0).map_err(|error| error.to_string())?;
        let tree = serde_json::to_value(&parsed.protobuf).expect("a tree has a form in JSON");
        let parsed = Rc::new(Parsed { tree, common: parsed.cte_names });
        if sql.len() <= LONGEST_KEPT_BYTES && self.kept.len() < MAX_KEPT {
            self.kept.insert(sql.to_owned(), Rc::clone(&parsed));
        }
        Ok(parsed)
    }
}

/// What a session has said.
#[derive(Default)]
pub(crate) struct Session {
    messages: usize,
    path: Path,
    /// The path before the last message.
    path_before: Path,
    /// What `EXECUTE` runs, by its name.
    prepared: BTreeMap<String, Value>,
}

/// Fails if a statement of a session whose path may not be empty names an operator, a function, a type, a
/// collation or a relation without its schema. Returns how many statements under a path that somebody set
/// do not.
#[track_caller]
pub fn assert_qualified(statements: &[Statement]) -> usize {
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    let mut parser = Parser::default();
    let mut checked = 0;
    for Statement { connection, sql } in statements {
        let session = sessions.entry(*connection).or_default();
        checked += session.take(&mut parser, sql).unwrap_or_else(|problem| panic!("{problem}\nin {sql}"));
    }
    checked
}

impl Session {
    /// Checks and follows one message; returns how many of its statements stand under a path that was set.
    pub(crate) fn take(&mut self, parser: &mut Parser, sql: &str) -> Result<usize, String> {
        self.messages += 1;
        self.path_before = self.path.clone();
        let is_beside_the_first = (2..=MESSAGES_AT_ONCE).contains(&self.messages);
        if self.path.is_empty() && !is_beside_the_first && !may_matter(sql) {
            self.path.end_message();
            return Ok(0);
        }
        let parsed = match parser.parse(sql) {
            Ok(parsed) => parsed,
            // what is written for a server of another version, where nothing can be found
            Err(_) if self.path.is_empty() && !is_beside_the_first => return Ok(0),
            Err(_) if self.path.reach() == Reach::Sources && defines(sql) => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut checked = 0;
        for (kind, fields, statement) in statements(&parsed.tree) {
            let reach = if is_beside_the_first { Reach::Anything } else { self.path.reach() };
            let is_check = reach <= Reach::Sources && sql.contains(CHECK_MARK);
            if reach > Reach::Empty && !is_check && !is_exempt(reach, kind, fields) {
                self.judge(&parsed, kind, fields, statement)?;
                checked += usize::from(!self.path.is_empty());
            }
            if kind == "PrepareStmt" {
                let name = fields["name"].as_str().unwrap_or_default().to_owned();
                self.prepared.insert(name, fields["query"].clone());
            }
            self.path.follow(kind, fields);
            if kind == "DiscardStmt" {
                // a pooler gives the session to the next client, which begins anew
                self.messages = 0;
            }
        }
        self.path.end_message();
        Ok(checked)
    }

    /// Checks a message that the server has refused before it ran anything of it.
    pub(crate) fn take_refused(&mut self, parser: &mut Parser, sql: &str) -> Result<usize, String> {
        let path = self.path.clone();
        let checked = self.take(parser, sql)?;
        self.path = path;
        Ok(checked)
    }

    /// The last message has failed: outside a transaction, nothing of it has come to pass.
    pub(crate) fn fail(&mut self) {
        if !self.path_before.is_in_transaction() && !self.path_before.is_empty() {
            self.path = self.path_before.clone();
        }
    }

    fn judge(&self, parsed: &Parsed, kind: &str, fields: &Value, statement: &Value) -> Result<(), String> {
        let mut search = Search { common: &parsed.common, found: Vec::new() };
        search.tree(statement);
        if let Some(prepared) = self.prepared.get(fields["name"].as_str().unwrap_or_default())
            && kind == "ExecuteStmt"
        {
            search.tree(prepared);
        }
        match search.found.as_slice() {
            [] => Ok(()),
            found => Err(format!("without a schema: {}", found.join(", "))),
        }
    }
}

/// Whether a text that cannot be read begins as definitions do: a newer server may have written it.
fn defines(sql: &str) -> bool {
    ["CREATE ", "ALTER ", "COMMENT ", "GRANT "].iter().any(|word| sql.starts_with(word))
}

/// The statements of a tree: kind, fields, all of it.
fn statements(tree: &Value) -> impl Iterator<Item = (&str, &Value, &Value)> {
    items(&tree["stmts"]).iter().filter_map(|item| {
        let statement = &item["stmt"]["node"];
        let (kind, fields) = statement.as_object()?.iter().next()?;
        Some((kind.as_str(), fields, statement))
    })
}

/// Whether a message may do something to a path that is empty.
fn may_matter(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let begins_one = |text: &str| TRANSACTIONS.iter().any(|word| text.trim_start().starts_with(word));
    MAY_MATTER.iter().any(|word| sql.contains(word)) || sql.split(';').any(begins_one)
}

/// Whether a statement may name things as it likes.
fn is_exempt(reach: Reach, kind: &str, fields: &Value) -> bool {
    let is_one = |starts: &[&str]| starts.iter().any(|start| kind.starts_with(start));
    match kind {
        _ if is_one(&LOOK_NOTHING_UP) => true,
        _ if reach > Reach::Sources => false,
        "CreateTableAsStmt" => fields["objtype"] == ObjectType::ObjectMatview as i32,
        _ => is_one(&DEFINE),
    }
}

/// Collects what is named without its schema.
struct Search<'a> {
    /// The names of common table expressions.
    common: &'a [String],
    found: Vec<String>,
}

impl Search<'_> {
    fn tree(&mut self, tree: &Value) {
        match tree {
            Value::Array(items) => items.iter().for_each(|item| self.tree(item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.node(key, value);
                    self.tree(value);
                }
            }
            _ => {}
        }
    }

    fn node(&mut self, key: &str, value: &Value) {
        match key {
            "AExpr" if !is_null_test(value) => self.bare("operator", &value["name"]),
            "FuncCall" | "funccall" => self.bare("function", &value["funcname"]),
            "TypeName" | "type_name" => self.bare("type", &value["names"]),
            "CollateClause" | "coll_clause" => self.bare("collation", &value["collname"]),
            "RangeTableSample" => self.bare("sampling method", &value["method"]),
            "SortBy" => self.bare("operator", &value["use_op"]),
            "SubLink" => {
                self.bare("operator", &value["oper_name"]);
                let compares = [SubLinkType::AnySublink, SubLinkType::AllSublink];
                let compares = compares.iter().any(|kind| value["sub_link_type"] == *kind as i32);
                if compares && items(&value["oper_name"]).is_empty() {
                    self.found.push("IN a query".to_owned());
                }
            }
            "CaseExpr" if !value["arg"].is_null() => self.found.push("a simple CASE".to_owned()),
            "JoinExpr" if value["is_natural"] == true => self.found.push("NATURAL".to_owned()),
            "JoinExpr" if !items(&value["using_clause"]).is_empty() => self.found.push("USING".to_owned()),
            "DoStmt" => self.found.push("a block of a language".to_owned()),
            "RangeVar" | "relation" | "rel" if value["schemaname"] == "" => {
                let name = value["relname"].as_str().unwrap_or_default();
                if !self.common.iter().any(|common| common == name) {
                    self.found.push(format!("relation {name}"));
                }
            }
            _ => {}
        }
    }

    fn bare(&mut self, what: &str, name: &Value) {
        if let [name] = names(name).as_slice() {
            self.found.push(format!("{what} {name}"));
        }
    }
}

/// `IS DISTINCT FROM NULL`, which the server takes for `IS NOT NULL` without looking for an operator.
fn is_null_test(value: &Value) -> bool {
    let kinds = [AExprKind::AexprDistinct, AExprKind::AexprNotDistinct];
    let is_distinct = kinds.iter().any(|kind| value["kind"] == *kind as i32);
    is_distinct && value["rexpr"]["node"]["AConst"]["isnull"] == true
}

/// The parts of a name.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    items(list).iter().filter_map(|part| part["node"]["String"]["sval"].as_str()).collect()
}

/// The items of a list; none of what is none.
pub(crate) fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::{Parser, Session, assert_qualified};
    use crate::Statement;

    fn sent(messages: &[&str]) -> Vec<Statement> {
        messages.iter().map(|sql| Statement { connection: 0, sql: (*sql).to_owned() }).collect()
    }

    /// Takes messages of one session; how many statements stood under a path.
    fn take(messages: &[&str]) -> Result<usize, String> {
        let (mut session, mut parser) = (Session::default(), Parser::default());
        messages.iter().try_fold(0, |checked, sql| Ok(checked + session.take(&mut parser, sql)?))
    }

    /// As a session of ours begins.
    const OPENING: [&str; 4] = ["SET search_path = ''", "SET a.b = 1", "SET a.b = 1", "BEGIN"];

    const SET_PATH: &str = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, evil', true)";

    #[test]
    fn names_with_schemas_are_in_order() {
        let fine = [
            "SELECT 1 OPERATOR(pg_catalog.+) 1, current_user, x::pg_catalog.text, x::int, pg_catalog.now()",
            "SELECT a IS DISTINCT FROM NULL, CASE WHEN a THEN 1 END, COALESCE(a, b), a AT TIME ZONE 'UTC'",
            "COPY (SELECT a FROM ONLY s.t WHERE a OPERATOR(pg_catalog.=) ANY (b)) TO STDOUT",
            "COPY s.t (a, b) FROM STDIN",
            "WITH q AS (SELECT 1) SELECT * FROM q ORDER BY 1",
            "SELECT 1 FROM s.t TABLESAMPLE pg_catalog.system (1)",
            "INSERT INTO s.t (a) VALUES ('1'::s.mood)",
        ];
        for sql in fine {
            assert_eq!(take(&[&OPENING[..], &[SET_PATH, sql]].concat()), Ok(1), "{sql}");
        }
        for sql in
            ["CREATE TABLE s.t (a text CHECK (a = 'b'))", "CREATE MATERIALIZED VIEW s.m AS SELECT 1 + 1"]
        {
            assert_eq!(take(&[&OPENING[..], &[SET_PATH, sql]].concat()), Ok(0), "{sql}");
        }
        assert_eq!(assert_qualified(&sent(&[&OPENING[..], &[SET_PATH, fine[0], fine[1]]].concat())), 2);
    }

    /// Each finds something by the path.
    const WRONG: [&str; 34] = [
        "SELECT 1 + 1",
        "SELECT - a",
        "SELECT now()",
        "SELECT 1 FROM generate_series(1, 2)",
        "SELECT x::text",
        "SELECT CAST(x AS \"char\")",
        "SELECT 't'::regclass",
        "SELECT text 'a'",
        "SELECT x::text[]",
        "SELECT a IN (1, 2)",
        "SELECT a NOT IN (1, 2)",
        "SELECT a = ANY (b)",
        "SELECT a <> ALL (b)",
        "SELECT a LIKE 'b'",
        "SELECT a NOT ILIKE 'b'",
        "SELECT a SIMILAR TO 'b'",
        "SELECT a BETWEEN 1 AND 2",
        "SELECT NULLIF(a, b)",
        "SELECT a IS DISTINCT FROM b",
        "SELECT CASE a WHEN 1 THEN 2 END",
        "SELECT a IN (SELECT b FROM s.t)",
        "SELECT a > ALL (SELECT b FROM s.t)",
        "SELECT (1, 2) < (a, b)",
        "SELECT (1, 2) = (SELECT a, b FROM s.t)",
        "SELECT a COLLATE \"C\"",
        "SELECT 1 FROM s.t JOIN s.u USING (a)",
        "SELECT 1 FROM s.t NATURAL JOIN s.u",
        "SELECT 1 FROM t",
        "SELECT 1 FROM s.t TABLESAMPLE system (1)",
        "SELECT a FROM s.t ORDER BY a USING <",
        "COPY (SELECT 1 FROM s.t WHERE ctid > '(1,0)') TO STDOUT",
        "COPY t FROM STDIN",
        "UPDATE s.t SET a = 1 WHERE b = 2",
        "DO 'BEGIN END'",
    ];

    #[test]
    fn names_without_schemas_are_found_wherever_a_path_finds_them() {
        let more = ["PREPARE p AS SELECT 1 < 2", "EXECUTE p(1 + 1)", "DECLARE c CURSOR FOR SELECT 1 + 1"];
        let plans = ["EXPLAIN SELECT 1 + 1", "CREATE TABLE s.t AS SELECT 1 + 1", "LOCK TABLE t", "CALL p()"];
        for sql in WRONG.iter().chain(&more).chain(&plans) {
            let refused =
                |messages: &[&str]| take(messages).is_err_and(|problem| problem.contains("schema: "));
            assert!(refused(&[&OPENING[..], &[SET_PATH, sql]].concat()), "{sql}");
            assert!(refused(&[sql]), "{sql} in a session's first message");
            assert!(refused(&[OPENING[0], sql]), "{sql} beside a session's first message");
            assert_eq!(take(&[&OPENING[..], &[sql]].concat()), Ok(0), "{sql} under an empty path");
        }
        assert!(
            take(&[&OPENING[..], &[SET_PATH, "SELECT 1 FROM ("]].concat()).is_err(),
            "not to be understood"
        );
        let of_a_later_version = "CREATE THING s.t";
        assert_eq!(take(&[&OPENING[..], &[SET_PATH, of_a_later_version]].concat()), Ok(0));
        assert!(take(&[of_a_later_version]).is_err(), "under whatever path");
        let later = ["PREPARE p AS SELECT 1 + 1", SET_PATH, "EXECUTE p"];
        assert!(take(&[&OPENING[..], &later].concat()).is_err(), "prepared before, run under the path");
        let refused = std::panic::catch_unwind(|| assert_qualified(&sent(&["SELECT 1 + 1"])));
        assert!(refused.is_err(), "a finding fails the test");
    }

    #[test]
    fn a_path_is_followed_through_transactions() {
        let ends = |messages: &[&str]| take(&[&OPENING[..], messages, &["SELECT 1 + 1"]].concat()).is_ok();
        let pins = "SELECT pg_catalog.set_config(s.name, p.value, false) FROM (VALUES ('search_path', ''), \
                    ('a', 'b')) AS p(name, value) JOIN pg_catalog.pg_settings AS s \
                    ON s.name OPERATOR(pg_catalog.=) p.name";
        let evil = pins.replace("''", "'evil'");
        let emptied: [&[&str]; 9] = [
            &[SET_PATH, "COMMIT"],
            &[SET_PATH, "ROLLBACK"],
            &[SET_PATH, "SELECT pg_catalog.set_config('search_path', '', true)"],
            &[SET_PATH, "SET LOCAL search_path = ''"],
            &["SAVEPOINT a", SET_PATH, "ROLLBACK TO a"],
            &["SET search_path = evil", "ROLLBACK"],
            &["SET search_path = evil", "SET search_path = ''"],
            &["COMMIT", SET_PATH],
            &[&evil, pins],
        ];
        for messages in emptied {
            assert!(ends(messages), "{messages:?}");
        }
        let set: [&[&str]; 14] = [
            &[SET_PATH],
            &["SET search_path = evil"],
            &["SET LOCAL search_path TO ''", "SET LOCAL search_path TO pg_catalog, ''"],
            &["SET search_path = evil", "COMMIT"],
            &["RESET search_path"],
            &["SET search_path TO DEFAULT"],
            &["COMMIT", "RESET ALL"],
            &["COMMIT", "DISCARD ALL"],
            &["SAVEPOINT a", SET_PATH, "RELEASE a"],
            &[SET_PATH, "SAVEPOINT a", "SET LOCAL search_path = ''", "ROLLBACK TO SAVEPOINT a"],
            &["SET search_path = evil", "SET LOCAL search_path = ''", "COMMIT"],
            &["SELECT 1 FROM (SELECT pg_catalog.set_config('search_path', $1, true)) AS set"],
            &["SELECT pg_catalog.set_config(a, 'b', true) FROM s.t"],
            &[&evil],
        ];
        for messages in set {
            assert!(!ends(messages), "{messages:?}");
        }
    }
}
