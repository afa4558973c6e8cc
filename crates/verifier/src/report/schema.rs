//! The published schema of reports, `docs/report.schema.json`, against what is written.

use boon::{Compiler, Schemas};
use dbhaul_rows::RowDigest;
use serde_json::{Value, json};

use super::sample;
use crate::Verdict;

const SCHEMA: &str = include_str!("../../../../docs/report.schema.json");

/// The schema, in which nothing is allowed that it does not describe.
fn strict() -> Value {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    // parts of others, which must allow what the others add
    let parts = ["comparison", "copy", "migration", "restore"];
    for name in parts {
        schema["$defs"][name].as_object_mut().unwrap().remove("type");
    }
    close(&mut schema);
    for name in parts {
        schema["$defs"][name]["type"] = json!("object");
    }
    schema["$defs"]["copy"]["properties"]["verification"]["unevaluatedProperties"] = json!(false);
    schema
}

fn close(schema: &mut Value) {
    if schema["type"] == "object" && schema.get("properties").is_some() {
        schema["unevaluatedProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn problem(schema: Value, report: &Value) -> Option<String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("urn:test", schema).unwrap();
    let compiled = compiler.compile("urn:test", &mut schemas).unwrap();
    schemas.validate(report, compiled).err().map(|error| format!("{error:#}"))
}

#[test]
fn every_report_is_as_the_schema_says_and_no_field_is_undescribed() {
    let digest = RowDigest { row_count: 2, sum: -7 };
    let equal = sample::of_tables(vec![("public.t", Verdict::Equal { digest })]);
    for report in [
        sample::json(&equal),
        sample::json(&sample::hostile()),
        sample::copy_json(&["a"], &["b"], "failed", None),
        sample::copy_json(&[], &[], "done", Some(&equal)),
    ] {
        assert_eq!(problem(strict(), &report), None);
    }
}

#[test]
fn what_is_no_report_is_refused_and_later_fields_are_not() {
    let good = sample::json(&sample::hostile());
    let published = || serde_json::from_str(SCHEMA).unwrap();
    for (field, value) in [
        ("format", json!(2)),
        ("report", json!("dump")),
        ("status", json!("fine")),
        ("tables", json!([{"name": "t", "verdict": "equal"}])),
        ("tables", json!([{"name": "t", "verdict": "perhaps"}])),
        ("sequences", Value::Null),
    ] {
        let mut broken = good.clone();
        broken[field] = value;
        assert!(problem(published(), &broken).is_some(), "{field}");
    }
    let mut later = good;
    later["new"] = json!(1);
    later["tables"][0]["new"] = json!(1);
    assert_eq!(problem(published(), &later), None);
    assert!(problem(strict(), &later).is_some());
}
