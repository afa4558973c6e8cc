//! Parse trees in one form: what a print may say in two ways is brought to one of them.
//!
//! Prints are read under an empty search path, so that a name without a schema is one of `pg_catalog`. Every
//! rule here changes a tree into one of which the parser makes the same.

use serde_json::{Map, Value, json};

/// The tree in its normal form. A view's query is printed with or without qualifiers of its only relation.
pub(super) fn normalised(tree: Value, is_view: bool) -> Value {
    let mut tree = tidy(tree);
    if is_view && let Some(select) = tree.pointer_mut("/stmt/SelectStmt") {
        unqualify(select);
    }
    tree
}

/// Whether a name in its normal form is one of `pg_catalog`.
pub(super) fn is_of_the_server(name: &Value) -> bool {
    name.pointer("/0/String/sval").and_then(Value::as_str) == Some("pg_catalog")
}

/// Without places in the text and without wrappers, every node in its normal form.
fn tidy(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(tidy).collect()),
        Value::Object(fields) => {
            let mut tidied: Map<String, Value> = fields
                .into_iter()
                .filter(|(key, _)| !is_place(key))
                .map(|(key, below)| (key, tidy(below)))
                .collect();
            if tidied.len() == 1
                && let Some(node) = tidied.remove("node")
            {
                return node;
            }
            normalise(&mut tidied);
            cast_pushed_down(tidied)
        }
        other => other,
    }
}

/// Fields that say where in the text something stands, or in which of its forms a call is written.
fn is_place(key: &str) -> bool {
    key.ends_with("location")
        || matches!(
            key,
            "stmt_len" | "list_start" | "list_end" | "rexpr_list_start" | "rexpr_list_end" | "funcformat"
        )
}

fn normalise(fields: &mut Map<String, Value>) {
    if fields.contains_key("array_bounds")
        && let Some(names) = fields.get_mut("names")
    {
        in_pg_catalog(names);
    }
    for (kind, node) in fields.iter_mut() {
        match kind.as_str() {
            "FuncCall" => call(node),
            "AExpr" => {
                if let Some(name) = node.get_mut("name") {
                    in_pg_catalog(name);
                }
            }
            "FunctionParameter" => {
                // IN is what a parameter is that says nothing
                if let Some(mode) = node.get_mut("mode").filter(|mode| **mode == json!(1)) {
                    *mode = json!(6);
                }
            }
            "ResTarget" => without_implied_name(node),
            "SelectStmt" => {
                if node.get("op").is_some_and(|op| *op != json!(1))
                    && let Some(branch) = node.get_mut("rarg")
                {
                    without_names(branch);
                }
            }
            "SubLink" => {
                if let Some(select) = node.pointer_mut("/subselect/SelectStmt") {
                    without_names(select);
                }
            }
            _ => {}
        }
    }
}

fn in_pg_catalog(name: &mut Value) {
    if let Value::Array(parts) = name
        && parts.len() == 1
    {
        parts.insert(0, json!({ "String": { "sval": "pg_catalog" } }));
    }
}

fn call(node: &mut Value) {
    let Some(name) = node.get_mut("funcname") else { return };
    in_pg_catalog(name);
    let is_extract =
        is_of_the_server(name) && name.pointer("/1/String/sval").and_then(Value::as_str) == Some("extract");
    // fields of dates are known by their letters, whatever the case
    if is_extract && let Some(field) = node.pointer_mut("/args/0/AConst/val/Sval/sval") {
        *field = json!(field.as_str().map(str::to_ascii_lowercase));
    }
}

/// The cast of an array's constructor is one of each element.
fn cast_pushed_down(mut fields: Map<String, Value>) -> Value {
    let is_of_array = |cast: &Value| {
        let has_elements = cast
            .pointer("/arg/AArrayExpr/elements")
            .and_then(Value::as_array)
            .is_some_and(|elements| !elements.is_empty());
        let bounds = cast.pointer("/type_name/array_bounds").and_then(Value::as_array);
        has_elements && bounds.is_some_and(|bounds| !bounds.is_empty())
    };
    let Some(cast) = fields.get_mut("TypeCast").filter(|cast| is_of_array(cast)) else {
        return Value::Object(fields);
    };
    let (mut array, mut type_name) = (cast["arg"].take(), cast["type_name"].take());
    type_name["array_bounds"] = json!([]);
    cast_elements(&mut array, &type_name);
    array
}

fn cast_elements(array: &mut Value, type_name: &Value) {
    let Some(elements) = array.pointer_mut("/AArrayExpr/elements").and_then(Value::as_array_mut) else {
        return;
    };
    for element in elements {
        if element.get("AArrayExpr").is_some() {
            cast_elements(element, type_name);
        } else {
            let arg = element.take();
            *element = json!({ "TypeCast": { "arg": arg, "type_name": type_name } });
        }
    }
}

/// A target's name, if it is not the one that it has without.
fn without_implied_name(target: &mut Value) {
    let implied = target.get("val").and_then(implied_name);
    if implied.is_some() && target.get("name").and_then(Value::as_str) == implied.as_deref() {
        target["name"] = json!("");
    }
}

/// The name of a column that is given none, where that is simple (`FigureColname` in parse_target.c).
fn implied_name(value: &Value) -> Option<String> {
    let last = |list: Option<&Value>| {
        let last = list?.as_array()?.last()?;
        last.pointer("/String/sval").and_then(Value::as_str).map(str::to_owned)
    };
    if let Some(column) = value.get("ColumnRef") {
        return last(column.get("fields"));
    }
    if let Some(call) = value.get("FuncCall") {
        return last(call.get("funcname"));
    }
    let cast = value.get("TypeCast")?;
    let of_argument =
        cast.get("arg").filter(|arg| arg.get("ColumnRef").is_some() || arg.get("FuncCall").is_some());
    match of_argument {
        Some(argument) => implied_name(argument),
        // the names of constants are those of their types
        None if cast.pointer("/arg/AConst").is_some() => last(cast.pointer("/type_name/names")),
        None => None,
    }
}

/// Takes the names from the columns of a query that are found by their places alone. One that the query sorts
/// or groups by stays.
fn without_names(select: &mut Value) {
    for branch in ["larg", "rarg"] {
        if let Some(branch) = select.get_mut(branch).filter(|branch| branch.is_object()) {
            without_names(branch);
        }
    }
    let clauses =
        ["sort_clause", "group_clause", "distinct_clause"].map(|clause| select.get(clause).cloned());
    let is_used = |name: &str| clauses.iter().flatten().any(|clause| names(clause, name));
    let Some(targets) = select.get_mut("target_list").and_then(Value::as_array_mut) else { return };
    for target in targets.iter_mut().filter_map(|target| target.get_mut("ResTarget")) {
        if target.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty() && !is_used(name)) {
            target["name"] = json!("");
        }
    }
}

/// Whether a column is named without qualifier.
fn names(value: &Value, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| names(item, name)),
        Value::Object(fields) => fields.iter().any(|(kind, below)| {
            let is_column = kind == "ColumnRef" && below["fields"] == json!([{ "String": { "sval": name } }]);
            is_column || names(below, name)
        }),
        _ => false,
    }
}

/// Takes the qualifier from the columns of a query's only relation, but not where it tells a column from
/// another that the query makes.
fn unqualify(select: &mut Value) {
    let Some(relation) = only_relation(select) else { return };
    let made: Vec<(String, Value)> = targets(select);
    let ambiguous = |column: &str| {
        made.iter().any(|(name, value)| {
            let is_itself = *value == column_of(&relation, column) || *value == column_alone(column);
            name == column && !is_itself
        })
    };
    for clause in ["target_list", "where_clause", "group_clause", "having_clause", "window_clause"] {
        if let Some(clause) = select.get_mut(clause) {
            strip(clause, &relation, &|_| true);
        }
    }
    for clause in ["sort_clause", "distinct_clause"] {
        for item in select.get_mut(clause).and_then(Value::as_array_mut).into_iter().flatten() {
            // only a name alone may be one of the query's own columns; names in an expression never are
            let is_name = item.get("ColumnRef").is_some() || item.pointer("/SortBy/node/ColumnRef").is_some();
            strip(item, &relation, &|column| !(is_name && ambiguous(column)));
        }
    }
    // what was a name of its own may now be the one that it has without
    if let Some(targets) = select.get_mut("target_list").and_then(Value::as_array_mut) {
        targets.iter_mut().filter_map(|target| target.get_mut("ResTarget")).for_each(without_implied_name);
    }
}

/// The name under which a query's columns are qualified, if it has one relation alone.
fn only_relation(select: &Value) -> Option<String> {
    let [relation] = select.get("from_clause")?.as_array()?.as_slice() else { return None };
    let relation = relation.pointer("/RangeTableSample/relation").unwrap_or(relation);
    let (kind, relation) = relation.as_object()?.iter().next()?;
    let own_name = match kind.as_str() {
        "RangeVar" => relation.get("relname").and_then(Value::as_str),
        // as get_from_clause_item in ruleutils.c leaves them without alias
        "RangeTableFunc" => Some("xmltable"),
        "JsonTable" => Some("json_table"),
        "RangeSubselect" | "RangeFunction" => None,
        // a join has two
        _ => return None,
    };
    let alias = relation.pointer("/alias/aliasname").and_then(Value::as_str);
    alias.or(own_name).map(str::to_owned)
}

/// The columns that a query makes, each with its name.
fn targets(select: &Value) -> Vec<(String, Value)> {
    let targets = select.get("target_list").and_then(Value::as_array).into_iter().flatten();
    let named = targets.filter_map(|target| target.get("ResTarget")).map(|target| {
        let value = target.get("val").cloned().unwrap_or_default();
        let given = target.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        (given.map(str::to_owned).or_else(|| implied_name(&value)).unwrap_or_default(), value)
    });
    named.collect()
}

fn column_of(relation: &str, column: &str) -> Value {
    json!({ "ColumnRef": { "fields": [{ "String": { "sval": relation } }, { "String": { "sval": column } }] } })
}

fn column_alone(column: &str) -> Value {
    json!({ "ColumnRef": { "fields": [{ "String": { "sval": column } }] } })
}

/// Takes the qualifier away, but not within queries in the query: these print it always.
fn strip(value: &mut Value, relation: &str, may: &impl Fn(&str) -> bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, relation, may)),
        Value::Object(fields) => {
            for (kind, below) in fields.iter_mut() {
                match kind.as_str() {
                    "ColumnRef" => strip_column(below, relation, may),
                    "subselect" | "SelectStmt" => {}
                    _ => strip(below, relation, may),
                }
            }
        }
        _ => {}
    }
}

fn strip_column(column: &mut Value, relation: &str, may: &impl Fn(&str) -> bool) {
    let Some(fields) = column.get_mut("fields").and_then(Value::as_array_mut) else { return };
    let text = |part: &Value| part.pointer("/String/sval").and_then(Value::as_str).map(str::to_owned);
    if let [qualifier, name] = fields.as_slice()
        && text(qualifier).as_deref() == Some(relation)
        && text(name).is_some_and(|name| may(&name))
    {
        fields.remove(0);
    }
}
