//! By which columns rows of two sides are matched.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::{Body, ConstraintType, Table};
use dbhaul_catalog::{Catalog, QualifiedName};
use dbhaul_rows::DigestSpec;
use pg_query::NodeEnum;

use crate::LARGE_OBJECTS;

/// The columns by which rows are matched, and what is to be known of that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatchingKey {
    /// The columns in the order of the key; none if whole rows are compared.
    pub columns: Vec<String>,
    /// What an auditor has to know of it.
    pub note: Option<String>,
    /// The type of its first column on both sides, where rows can be asked for by values of it.
    pub plain: Option<PlainType>,
}

/// A type whose values an index finds and whose texts need no quotes. They are numbers that name nobody, so that they may
/// be sent to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainType {
    /// Integers of any length.
    Integer,
    /// UUIDs.
    Uuid,
}

impl PlainType {
    fn of(base_type: &str) -> Option<Self> {
        match base_type {
            "smallint" | "integer" | "bigint" => Some(PlainType::Integer),
            "uuid" => Some(PlainType::Uuid),
            _ => None,
        }
    }

    /// The type of the values that a column of it is compared with, as SQL.
    pub(super) fn sql(self) -> &'static str {
        match self {
            PlainType::Integer => "pg_catalog.int8",
            PlainType::Uuid => "pg_catalog.uuid",
        }
    }
}

impl MatchingKey {
    /// The key of a table that both sides have: the primary key, or a unique index of columns that are never NULL.
    /// If the sides have different keys, one that only one side enforces is used and the note says so.
    pub fn of(table: &str, left: &Catalog, right: &Catalog) -> Self {
        if table == LARGE_OBJECTS {
            let columns = vec!["loid".to_owned(), "page".to_owned()];
            return MatchingKey { columns, ..MatchingKey::default() };
        }
        let key = Self::by_indexes(table, left, right);
        let plain = |catalog| PlainType::of(&base_type(table, key.columns.first()?, catalog)?);
        MatchingKey { plain: plain(left).filter(|one| plain(right) == Some(*one)), ..key }
    }

    fn by_indexes(table: &str, left: &Catalog, right: &Catalog) -> Self {
        let (left, right) = (keys_of(table, left), keys_of(table, right));
        let set = |key: &[String]| key.iter().cloned().collect::<BTreeSet<_>>();
        let common = left.iter().find(|key| right.iter().any(|other| set(other) == set(key)));
        if let Some(common) = common {
            return MatchingKey { columns: common.clone(), ..MatchingKey::default() };
        }
        let describe = |keys: &[Vec<String>]| match keys.first() {
            Some(key) => format!("the key ({})", key.join(", ")),
            None => "no key".to_owned(),
        };
        let sides = format!("the left has {} and the right {}", describe(&left), describe(&right));
        match left.first().or(right.first()) {
            Some(key) => {
                let note = format!("{sides}: rows were matched by ({})", key.join(", "));
                MatchingKey { columns: key.clone(), note: Some(note), plain: None }
            }
            None => {
                let note = "neither side has a primary key or another unique index of columns that are NOT NULL: \
                            whole rows were compared, with their numbers";
                MatchingKey { note: Some(note.to_owned()), ..MatchingKey::default() }
            }
        }
    }

    /// The places of the columns in a spec; `None` if it lacks one.
    pub fn places(&self, spec: &DigestSpec) -> Option<Vec<usize>> {
        let place = |name: &String| spec.columns.iter().position(|column| column.name == *name);
        self.columns.iter().map(place).collect()
    }
}

/// The type of a column of a table, that of the domain's where it is one.
fn base_type(table: &str, column: &str, catalog: &Catalog) -> Option<String> {
    let own = catalog.objects.iter().find_map(|object| match &object.body {
        Body::Table(body) if object.sql_name() == table => Some(body),
        _ => None,
    })?;
    let column = own.columns.iter().find(|one| one.name == *column)?;
    Some(column.base_type_name.to_string())
}

/// The keys of a table, the primary key first, then by name.
fn keys_of(table: &str, catalog: &Catalog) -> Vec<Vec<String>> {
    let is_it = |name: &QualifiedName| name.sql() == table;
    let own = catalog.objects.iter().find_map(|object| match &object.body {
        Body::Table(body) if object.sql_name() == table => Some(body),
        _ => None,
    });
    let Some(own) = own else { return Vec::new() };
    let mut keys = Vec::new();
    for object in &catalog.objects {
        let Body::Index(index) = &object.body else { continue };
        if !is_it(&index.table) || !index.valid || index.predicate.is_some() {
            continue;
        }
        let constraint = catalog.objects.iter().find_map(|other| match &other.body {
            Body::Constraint(constraint)
                if is_it(&constraint.table) && index.constraint.as_ref() == Some(&other.name) =>
            {
                Some(constraint)
            }
            _ => None,
        });
        if constraint.is_some_and(|constraint| constraint.deferrable) {
            continue;
        }
        let is_primary = constraint.is_some_and(|one| one.constraint_type == ConstraintType::PrimaryKey);
        if let Some(columns) = unique_columns(&index.definition)
            && columns.iter().all(|column| is_always_there(own, column))
        {
            keys.push((!is_primary, object.name.clone(), columns));
        }
    }
    keys.sort();
    keys.into_iter().map(|(_, _, columns)| columns).collect()
}

/// Whether a column travels and is never NULL.
fn is_always_there(table: &Table, name: &str) -> bool {
    table.columns.iter().any(|column| {
        column.name == *name
            && !column.is_generated()
            && column.not_null.as_ref().is_some_and(|not_null| !not_null.not_valid)
    })
}

/// The columns of a unique index, as `pg_get_indexdef` prints it, if it is one of columns alone and of all rows.
fn unique_columns(definition: &str) -> Option<Vec<String>> {
    let parsed = pg_query::parse(definition, 0).ok()?.protobuf;
    let [statement] = parsed.stmts.as_slice() else { return None };
    let NodeEnum::IndexStmt(index) = statement.stmt.as_ref()?.node.as_ref()? else { return None };
    if !index.unique || index.where_clause.is_some() || index.access_method != "btree" {
        return None;
    }
    let name = |node: &pg_query::protobuf::Node| match node.node.as_ref()? {
        NodeEnum::IndexElem(element) if element.expr.is_none() && !element.name.is_empty() => {
            Some(element.name.clone())
        }
        _ => None,
    };
    index.index_params.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::unique_columns;

    #[test]
    fn only_a_unique_index_of_columns_is_a_key() {
        let columns = |sql: &str| unique_columns(&format!("CREATE {sql}"));
        let key = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(columns("UNIQUE INDEX i ON s.t USING btree (a)"), key(&["a"]));
        assert_eq!(
            columns(r#"UNIQUE INDEX i ON ONLY s.t USING btree ("B b" DESC, a COLLATE "C") INCLUDE (c)"#),
            key(&["B b", "a"])
        );
        assert_eq!(columns("UNIQUE INDEX i ON s.t USING btree (a) NULLS NOT DISTINCT"), key(&["a"]));
        assert_eq!(columns("INDEX i ON s.t USING btree (a)"), None);
        assert_eq!(columns("UNIQUE INDEX i ON s.t USING btree (lower(a))"), None);
        assert_eq!(columns("UNIQUE INDEX i ON s.t USING btree (a) WHERE (b > 1)"), None);
        assert_eq!(columns("UNIQUE INDEX i ON s.t USING gist (a)"), None);
    }
}
