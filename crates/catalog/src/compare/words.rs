//! A difference in words: which property it is, and what it is on either side.

use serde_json::Value;

use crate::quote_identifier;

/// A column's name as a part of a path: always in quotes, so that it is no property and no place in a list.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name at the start of a path, and what is below it.
fn unquoted(path: &str) -> Option<(String, Option<&str>)> {
    let mut rest = path.strip_prefix('"')?;
    let mut name = String::new();
    loop {
        let (until, behind) = rest.split_once('"')?;
        name.push_str(until);
        let Some(more) = behind.strip_prefix('"') else {
            return Some((name, behind.strip_prefix('.')));
        };
        name.push('"');
        rest = more;
    }
}

/// The property at a path such as `body.columns.2.default`: `default of column 3`, or with the name of that part of a
/// list, `default of column price`.
pub(super) fn property(path: &str, mut named: Option<&str>) -> String {
    if let Some(name) = path.strip_prefix("settings.") {
        return format!("setting {name}");
    }
    if let Some((name, None)) = path.strip_prefix("body.settings.").and_then(unquoted) {
        return format!("setting {}", quote_identifier(&name));
    }
    let column =
        ["body.columns.", "body.undeclared_columns."].iter().find_map(|list| path.strip_prefix(list));
    if let Some((name, below)) = column.and_then(unquoted) {
        let column = format!("column {}", quote_identifier(&name));
        return below.map_or(column.clone(), |below| format!("{} of {column}", property(below, None)));
    }
    // all that is said of a part, or one property of it
    let part = path.strip_suffix("\")").map(|part| (part, None));
    let part = part.or_else(|| path.rsplit_once("\").").map(|(part, below)| (part, Some(below))));
    if let Some(((kind, name), below)) = part.and_then(|(part, below)| Some((part.split_once("(\"")?, below)))
    {
        let name = match kind {
            "TableConstraint" => format!("constraint {name}"),
            "Rule" => format!("rule {name}"),
            _ => name.to_owned(),
        };
        return below.map_or(name.clone(), |below| format!("{} of {name}", property(below, None)));
    }
    let mut words: Vec<String> = Vec::new();
    for part in path.strip_prefix("body.").unwrap_or(path).split('.') {
        match (part.parse::<usize>(), words.last_mut()) {
            (Ok(place), Some(list)) => {
                let which = named.take().map_or_else(|| (place + 1).to_string(), quote_identifier);
                *list = format!("{} {which}", singular(list));
            }
            _ if part == "acl" => words.push("privileges".to_owned()),
            _ => words.push(part.replace('_', " ")),
        }
    }
    words.reverse();
    words.join(" of ")
}

/// What differs, where it takes more than a property and two values to say it.
pub(super) fn sentence(path: &str, part: Option<&str>, left: &Value, right: &Value) -> Option<String> {
    if path == "body.firing" {
        let (left, right) = (fires(left)?, fires(right)?);
        return Some(format!("{left} on the left and {right} on the right"));
    }
    if path == "body.not_null" {
        return Some(format!("NOT NULL is set on the {} only", lone_side(left, right)?));
    }
    let of_column = path.strip_prefix("body.columns.")?;
    let (column, below) = match unquoted(of_column) {
        Some((name, below)) => (quote_identifier(&name), below?),
        None => {
            let (place, below) = of_column.split_once('.')?;
            let place = place.parse::<usize>().ok()?;
            (part.map_or_else(|| (place + 1).to_string(), quote_identifier), below)
        }
    };
    let told = match below {
        "not_null" => format!("NOT NULL is set on the {} only", lone_side(left, right)?),
        "not_null.is_local" => {
            let own = lone_side(left, right)?;
            let other = if own == "left" { "right" } else { "left" };
            format!("NOT NULL is the table's own on the {own} and inherited on the {other}")
        }
        "not_null.name" => {
            let name = |of: &Value| of.as_str().map_or_else(|| "by default".to_owned(), quote_identifier);
            format!("NOT NULL is named {} on the left and {} on the right", name(left), name(right))
        }
        _ => return None,
    };
    Some(format!("column {column}: {told}"))
}

/// The side that has something, or on which it is so, where the other has not.
fn lone_side(left: &Value, right: &Value) -> Option<&'static str> {
    let is_so = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
    match (is_so(left), is_so(right)) {
        (true, false) => Some("left"),
        (false, true) => Some("right"),
        _ => None,
    }
}

/// When a trigger fires, in a word.
fn fires(of: &Value) -> Option<&'static str> {
    match of.as_str()? {
        "origin" => Some("enabled"),
        "disabled" => Some("disabled"),
        "replica" => Some("enabled for replicas"),
        "always" => Some("always enabled"),
        _ => None,
    }
}

/// Privileges that only one of the sides gives, where `path` leads to privileges.
pub(super) fn grants(path: &str, left: &Value, right: &Value) -> Option<String> {
    let is_grants = matches!(path, "acl" | "body.granted" | "body.revoked")
        || path.ends_with(".acl")
            && ["body.columns.", "body.undeclared_columns.", "columns."]
                .iter()
                .any(|list| path.starts_with(list));
    let (Value::Array(left), Value::Array(right), true) = (left, right, is_grants) else { return None };
    let listed = |side: &str, grants: &[Value]| {
        let grants = grants.iter().map(|grant| grant.as_str().map_or_else(|| value(grant), str::to_owned));
        let grants: Vec<String> = grants.collect();
        (!grants.is_empty()).then(|| format!("{side}: {}", grants.join(", ")))
    };
    let sides = [listed("missing on the target", left), listed("only on the target", right)];
    let sides: Vec<String> = sides.into_iter().flatten().collect();
    (!sides.is_empty()).then(|| sides.join("; "))
}

/// Which columns of a table only one side has, or how the sides' columns differ as a list; `None` for anything else.
pub(super) fn columns(path: &str, left: &Value, right: &Value) -> Option<String> {
    if let Some((name, None)) = path.strip_prefix("body.columns.").and_then(unquoted) {
        let (side, column) = match (left, right) {
            (Value::Null, column) => ("right", column),
            (column, Value::Null) => ("left", column),
            _ => return None,
        };
        // of a member of an extension only the privileges are compared: the column is there
        column.get("type_name")?;
        return Some(only_on(side, &[column_words(&name, column)]));
    }
    let (Value::Array(left), Value::Array(right), "body.columns") = (left, right, path) else { return None };
    let name = |column: &Value| column.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (here, there): (Vec<_>, Vec<_>) = (left.iter().map(name).collect(), right.iter().map(name).collect());
    let missing = |of: &[Value], others: &[String]| -> Vec<String> {
        let lone = of.iter().filter(|column| !others.contains(&name(column)));
        lone.map(|column| column_words(&name(column), column)).collect()
    };
    let lone = [("left", missing(left, &there)), ("right", missing(right, &here))];
    let mut parts: Vec<String> = lone
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(side, names)| only_on(side, names))
        .collect();
    let both = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| others.contains(name)).cloned().collect()
    };
    if both(&here, &there) != both(&there, &here) {
        parts.push("the columns are in another order".to_owned());
    }
    let other = |column: &Value| right.iter().find(|other| name(other) == name(column));
    let differ = left.iter().filter(|column| other(column).is_some_and(|other| other != *column));
    let differ: Vec<String> = differ.map(|column| quote_identifier(&name(column))).collect();
    match differ.len() {
        0 => {}
        1 => parts.push(format!("column {} differs", differ[0])),
        _ => parts.push(format!("columns {} differ", differ.join(", "))),
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A column's name and type.
fn column_words(name: &str, column: &Value) -> String {
    let of_type = column.get("type_name").and_then(Value::as_str).map(|name| format!(" {name}"));
    format!("{}{}", quote_identifier(name), of_type.unwrap_or_default())
}

fn only_on(side: &str, columns: &[String]) -> String {
    let (word, verb) = if columns.len() == 1 { ("column", "is") } else { ("columns", "are") };
    format!("{word} {} {verb} only on the {side}", columns.join(", "))
}

/// One of a list.
fn singular(list: &str) -> &str {
    match list {
        "indexes" => "index",
        "properties" => "property",
        _ => list.strip_suffix('s').unwrap_or(list),
    }
}

/// What a side has.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, of): (&String, &Value)| format!("{} {}", name.replace('_', " "), item(of));
            let told = fields.iter().filter(|(_, of)| !of.is_null()).map(field);
            told.collect::<Vec<_>>().join(", ")
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// A value within another.
fn item(of: &Value) -> String {
    if of.is_object() || of.is_array() { format!("({})", value(of)) } else { value(of) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{columns, property, sentence, value};

    #[test]
    fn properties() {
        for (path, words) in [
            ("owner", "owner"),
            ("acl.0.grantee", "grantee of privilege 1"),
            ("body.columns.2.default", "default of column 3"),
            ("body.columns.2.options.0", "option 1 of column 3"),
            ("body.columns.\"acl\"", "column acl"),
            (
                "body.columns.\"a.\"\"5\"\"\".acl.0.grantee",
                "grantee of privilege 1 of column \"a.\"\"5\"\"\"",
            ),
            ("body.replica_identity", "replica identity"),
            ("settings.app.token", "setting app.token"),
            ("settings.work_mem of role bob", "setting work_mem of role bob"),
            ("Address(\"TRIGGER t ON public.p\").comment", "comment of TRIGGER t ON public.p"),
            ("TableConstraint(\"a.b\").comment", "comment of constraint a.b"),
            ("Address(\"CONSTRAINT fk_to_part ON public.fk1\")", "CONSTRAINT fk_to_part ON public.fk1"),
        ] {
            assert_eq!(property(path, None), words);
        }
    }

    #[test]
    fn parts_by_name() {
        assert_eq!(property("body.columns.2.default", Some("Price")), "default of column \"Price\"");
        assert_eq!(property("body.attributes.0.comment", Some("a")), "comment of attribute a");
        assert_eq!(property("body.columns.2.options.0", Some("a")), "option 1 of column a");
    }

    #[test]
    fn sentences() {
        let local = json!({ "is_local": true, "name": null });
        for (path, left, right, told) in [
            ("body.columns.0.not_null", &local, &json!(null), "column a: NOT NULL is set on the left only"),
            (
                "body.columns.\"b c\".not_null.is_local",
                &json!(false),
                &json!(true),
                "column \"b c\": NOT NULL is the table's own on the right and inherited on the left",
            ),
            (
                "body.columns.0.not_null.name",
                &json!(null),
                &json!("k"),
                "column a: NOT NULL is named by default on the left and k on the right",
            ),
            ("body.not_null", &json!(false), &json!(true), "NOT NULL is set on the right only"),
            (
                "body.firing",
                &json!("disabled"),
                &json!("origin"),
                "disabled on the left and enabled on the right",
            ),
        ] {
            assert_eq!(sentence(path, Some("a"), left, right).unwrap(), told);
        }
        assert_eq!(sentence("body.columns.0.default", Some("a"), &local, &json!(null)), None);
    }

    #[test]
    fn columns_of_one_side() {
        let column =
            |name: &str, of_type: &str| json!({ "name": name, "type_name": of_type, "is_local": true });
        let (a, b) = (column("a", "integer"), column("B b", "text"));
        for (left, right, words) in [
            (json!([a]), json!([a, b]), "column \"B b\" text is only on the right"),
            (json!([b, a]), json!([]), "columns \"B b\" text, a integer are only on the left"),
            (
                json!([column("a", "bigint"), b]),
                json!([a]),
                "column \"B b\" text is only on the left; column a differs",
            ),
            (
                json!([a, b, column("c", "x")]),
                json!([b, a]),
                "column c x is only on the left; the columns are in another order",
            ),
        ] {
            assert_eq!(columns("body.columns", &left, &right).unwrap(), words);
        }
        let one = columns("body.columns.\"B b\"", &json!(null), &b);
        assert_eq!(one.unwrap(), "column \"B b\" text is only on the right");
        assert_eq!(columns("body.columns.0", &json!(null), &b), None);
    }

    #[test]
    fn values() {
        for (of, words) in [
            (json!(null), "nothing"),
            (json!([]), "nothing"),
            (json!("a b"), "\"a b\""),
            (json!(["GRANT a", "GRANT b"]), "\"GRANT a\", \"GRANT b\""),
            (json!([{"grantee": "bob", "privileges": "r"}, {}]), "(grantee \"bob\", privileges \"r\"), ()"),
            (json!({"expression": "7", "place": null, "is_x": [1, 2]}), "expression \"7\", is x (1, 2)"),
            (json!(true), "yes"),
            (json!(7), "7"),
        ] {
            assert_eq!(value(&of), words);
        }
    }
}
