//! A session's search path, as far as its statements tell.

use pg_query::protobuf::TransactionStmtKind as Kind;
use pg_query::protobuf::VariableSetKind;
use serde_json::Value;

use crate::qualified::{items, names};

/// What there may be in a path, from the safest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Nothing but what is the server's own.
    Empty,
    /// What a database's owner chose, behind the server's own: set for the texts of users that rely on it.
    Sources,
    /// What somebody has set, in whatever order. So it is at the beginning.
    Anything,
}

/// The path of a session.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    session: Reach,
    /// Of the transaction, where that has its own.
    local: Option<Reach>,
    /// What the session's was before the transaction that it is in.
    before: Option<Reach>,
    savepoints: Vec<(String, Reach, Option<Reach>)>,
}

impl Default for Path {
    fn default() -> Self {
        Path { session: Reach::Anything, local: None, before: None, savepoints: Vec::new() }
    }
}

impl Path {
    pub(crate) fn reach(&self) -> Reach {
        self.local.unwrap_or(self.session)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reach() == Reach::Empty
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        self.before.is_some()
    }

    /// What a statement does to it.
    pub(crate) fn follow(&mut self, kind: &str, fields: &Value) {
        match kind {
            "VariableSetStmt" if fields["kind"] == VariableSetKind::VarResetAll as i32 => {
                self.set(Reach::Anything, false);
            }
            "VariableSetStmt" if fields["name"].as_str().is_some_and(is_path) => {
                let values: Vec<_> = items(&fields["args"]).iter().map(text).collect();
                let reach = if values == [Some("")] { Reach::Empty } else { Reach::Anything };
                self.set(reach, fields["is_local"] == true);
            }
            "DiscardStmt" => self.set(Reach::Anything, false),
            "TransactionStmt" => self.transaction(fields),
            _ => self.calls(fields, &Vec::from_iter(rows(fields))),
        }
    }

    /// What is set until the end of a transaction, without one ends with its message.
    pub(crate) fn end_message(&mut self) {
        if self.before.is_none() {
            self.local = None;
        }
    }

    fn set(&mut self, reach: Reach, is_local: bool) {
        if is_local {
            self.local = Some(reach);
        } else {
            (self.session, self.local) = (reach, None);
        }
    }

    fn transaction(&mut self, fields: &Value) {
        let is = |kinds: &[Kind]| kinds.iter().any(|kind| fields["kind"] == *kind as i32);
        let name = fields["savepoint_name"].as_str().unwrap_or_default();
        if is(&[Kind::TransStmtBegin, Kind::TransStmtStart]) {
            self.before.get_or_insert(self.session);
        } else if is(&[Kind::TransStmtCommit, Kind::TransStmtRollback, Kind::TransStmtPrepare]) {
            let before = self.before.take().unwrap_or(self.session);
            let is_kept = !is(&[Kind::TransStmtRollback]);
            // where the transaction has failed, its end is no commit
            self.session = if is_kept { before.max(self.session) } else { before };
            self.local = None;
            self.savepoints.clear();
            if fields["chain"] == true {
                self.before = Some(self.session);
            }
        } else if is(&[Kind::TransStmtSavepoint]) {
            self.savepoints.push((name.to_owned(), self.session, self.local));
        } else if let Some(at) = self.savepoints.iter().rposition(|(savepoint, ..)| savepoint == name) {
            if is(&[Kind::TransStmtRollbackTo]) {
                (self.session, self.local) = (self.savepoints[at].1, self.savepoints[at].2);
                self.savepoints.truncate(at + 1);
            } else {
                self.savepoints.truncate(at);
            }
        }
    }

    /// Looks for calls of `set_config`, however deep.
    fn calls(&mut self, tree: &Value, rows: &[(&str, Option<&str>)]) {
        match tree {
            Value::Array(items) => items.iter().for_each(|item| self.calls(item, rows)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    if key == "FuncCall" && names(&value["funcname"]).last() == Some(&"set_config") {
                        self.call(items(&value["args"]), rows);
                    }
                    self.calls(value, rows);
                }
            }
            _ => {}
        }
    }

    fn call(&mut self, arguments: &[Value], rows: &[(&str, Option<&str>)]) {
        let [name, value, is_local] = arguments else { return self.set(Reach::Anything, false) };
        let is_local = is_local["node"]["AConst"]["val"]["Boolval"]["boolval"] == true;
        match text(name) {
            Some(name) if is_path(name) => self.set(reach_of(text(value)), is_local),
            Some(_) => {}
            // names and values are in rows, or who knows where
            None if rows.is_empty() => self.set(Reach::Anything, is_local),
            None => {
                for (_, value) in rows.iter().filter(|(name, _)| is_path(name)) {
                    self.set(reach_of(*value), is_local);
                }
            }
        }
    }
}

/// Of the value of `set_config`, where it is known.
fn reach_of(value: Option<&str>) -> Reach {
    match value {
        Some("") => Reach::Empty,
        Some(path) if path.starts_with("pg_catalog, ") => Reach::Sources,
        _ => Reach::Anything,
    }
}

fn is_path(name: &str) -> bool {
    name.eq_ignore_ascii_case("search_path")
}

/// The text of a constant.
fn text(node: &Value) -> Option<&str> {
    node["node"]["AConst"]["val"]["Sval"]["sval"].as_str()
}

/// The constants of `VALUES` in `FROM`, by two.
fn rows(statement: &Value) -> impl Iterator<Item = (&str, Option<&str>)> {
    items(&statement["from_clause"]).iter().flat_map(|item| {
        let item = if item["node"]["JoinExpr"].is_null() { item } else { &item["node"]["JoinExpr"]["larg"] };
        let query = &item["node"]["RangeSubselect"]["subquery"]["node"]["SelectStmt"];
        items(&query["values_lists"]).iter().filter_map(|row| match items(&row["node"]["List"]["items"]) {
            [name, value] => Some((text(name)?, text(value))),
            _ => None,
        })
    })
}
