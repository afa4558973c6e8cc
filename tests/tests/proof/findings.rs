//! A report of `verify` as a set of lines, one for each thing that it says is not equal.

use std::collections::BTreeSet;

use dbhaul_tests::Dbhaul;
use serde_json::Value;

/// What a report says is not equal.
pub(crate) type Findings = BTreeSet<String>;

/// Runs `verify` between two databases, and makes sure that its exit code says what its report does.
#[track_caller]
pub(crate) fn verify(left: &str, right: &str, options: &[&str]) -> Value {
    let run = Dbhaul::new(["verify", "--json", "--source", left, "--target", right]).args(options).run();
    assert!(matches!(run.code, Some(0 | 4)), "{run}");
    let report = run.json();
    assert_eq!(run.code == Some(0), findings(&report).is_empty(), "{run}");
    report
}

/// Everything that a report says is not equal: definitions, tables with their rows, sequences.
pub(crate) fn findings(report: &Value) -> Findings {
    let list = |name: &str| report[name].as_array().unwrap().clone();
    let definitions = report["schema"]["differences"].as_array().unwrap().iter().map(definition);
    let tables = list("tables").into_iter().flat_map(|one| table(&one));
    let sequences = list("sequences").into_iter().map(|one| sequence(&one));
    definitions.chain(tables).chain(sequences).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `KIND schema.name (more): what`.
fn definition(difference: &Value) -> String {
    let identity = &difference["identity"];
    let schema = identity["schema"].as_str().map(|schema| format!("{schema}.")).unwrap_or_default();
    let more = identity["discriminator"].as_str().map(|more| format!(" {more}")).unwrap_or_default();
    let what = match difference["path"].as_str() {
        Some(path) if difference["difference"] == "not-verified" => {
            format!("{path} not verified, {}", text(&difference["reason"]))
        }
        Some(path) => path.to_owned(),
        None => text(&difference["difference"]),
    };
    format!("{} {schema}{}{more}: {what}", text(&identity["kind"]), text(&identity["name"]))
}

/// The verdict of a table that is not equal, and a line for each row that is shown.
fn table(table: &Value) -> Vec<String> {
    let (name, verdict) = (text(&table["name"]), text(&table["verdict"]));
    if matches!(verdict.as_str(), "equal" | "settled") {
        return Vec::new();
    }
    let rows = table["rows"]["rows"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<String> = rows.iter().map(|one| format!("{name}: {}", row(one))).collect();
    if lines.is_empty() {
        lines.push(format!("rows of {name}: {verdict}"));
    }
    lines
}

/// `kind left:right key | column: left -> right`.
fn row(row: &Value) -> String {
    let list = |name: &str| row[name].as_array().unwrap().clone();
    let key: String = list("key")
        .iter()
        .map(|part| format!(" {}={}", text(&part["name"]), shown(&part["value"])))
        .collect();
    let side = |value: Option<&Value>| value.map_or_else(|| "-".to_owned(), shown);
    let column = |column: &Value| {
        let (left, right) = (side(column.get("left")), side(column.get("right")));
        format!(" | {}: {left} -> {right}", text(&column["name"]))
    };
    let columns: String = list("columns").iter().map(column).collect();
    format!("{} {}:{}{key}{columns}", text(&row["kind"]), row["left_count"], row["right_count"])
}

fn shown(value: &Value) -> String {
    match value["form"].as_str() {
        Some("null") => "NULL".to_owned(),
        Some("text") => text(&value["text"]),
        _ => value.to_string(),
    }
}

fn sequence(sequence: &Value) -> String {
    let position = |side: &str| sequence[side].as_str().unwrap_or("nothing").to_owned();
    match sequence["not_verified"].as_str() {
        Some(reason) => format!("position of {}: not verified: {reason}", text(&sequence["name"])),
        None => {
            format!("position of {}: {} -> {}", text(&sequence["name"]), position("left"), position("right"))
        }
    }
}

/// Asserts that a report says exactly this.
#[track_caller]
pub(crate) fn assert_finds(what: &str, report: &Value, expected: &Findings) {
    let found = findings(report);
    let only =
        |one: &Findings, other: &Findings| one.difference(other).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(
        found == *expected,
        "{what}\nexpected and not found:\n  {}\nfound and not expected:\n  {}",
        only(expected, &found),
        only(&found, expected)
    );
}
