//! Reports for tests.

use std::collections::BTreeMap;

use dbhaul_catalog::{CatalogDiff, Difference, EntryKind, Identity};
use dbhaul_rows::RowDigest;
use serde_json::{Value, json};

use super::{
    BehindColumn, Document, ObjectDefinitions, PhaseTime, Report, RowsOfRight, RunRecord, SequenceResult,
    SideDescription, TableResult, TaskTime,
};
use crate::{
    Accepted, AcceptedFinding, AnswerRow, CheckResult, CheckVerdict, DifferentAnswers, DifferingColumn,
    DifferingRow, DifferingRows, Mode, NamedValue, RowDifference, SettledRows, ShowValues, ShownValue,
    UnusedLine, Verdict,
};

/// A name made to break out of whatever it is printed in.
pub(super) const HOSTILE: &str =
    "\"<script>alert(1)</script>'\"\"&amp;|`*_[x](javascript:y)\n# h\r\u{202e}\u{1b}[1m\u{0}]]>\\\"";

fn side(name: &str) -> SideDescription {
    SideDescription {
        name: name.into(),
        server_version: "18.4".into(),
        as_of: "2026-11-30 01:02:03+00".into(),
        lsn: Some("0/15D6F38".into()),
    }
}

/// A report of these tables with nothing else to say.
pub(crate) fn of_tables(tables: Vec<(&str, Verdict)>) -> Report {
    let tables = tables.into_iter().map(|(name, verdict)| TableResult::new(name, verdict));
    Report {
        left: side("old:5432/shop as app"),
        right: side("new:5432/shop as app"),
        compared_at: "2026-11-30T01:02:05Z".into(),
        dbhaul_version: "0.1.0".into(),
        mode: Mode::usual(),
        selection: None,
        options: vec!["definitions, owners".into()],
        schema: CatalogDiff::default(),
        compared_object_count: 41,
        compared_kinds: BTreeMap::from([(EntryKind::Table, 30), (EntryKind::View, 11)]),
        definitions: Vec::new(),
        tables: tables.collect(),
        rows_of_right: RowsOfRight::Read,
        compared_sequence_count: 1,
        sequences: Vec::new(),
        checks: Vec::new(),
        accepted: Vec::new(),
        unused_accept_lines: Vec::new(),
        not_compared: Vec::new(),
        information: Vec::new(),
    }
}

/// A report with one of everything, under names that try to be more.
pub(super) fn hostile() -> Report {
    let digest = |row_count, sum| RowDigest { row_count, sum };
    let identity =
        |kind| Identity { kind, schema: Some("public".into()), name: HOSTILE.into(), discriminator: None };
    let mut report = of_tables(vec![
        (HOSTILE, Verdict::Different { left: digest(3, 1), right: digest(2, 1) }),
        ("public.equal", Verdict::Equal { digest: digest(5, -7) }),
        ("public.missing", Verdict::Missing),
        ("public.extra", Verdict::Extra),
        ("public.unread", Verdict::NotVerified { reason: HOSTILE.into() }),
    ]);
    let text = || ShownValue::Text { text: HOSTILE.into(), bytes: 99 };
    report.tables[0].rows = Some(Box::new(DifferingRows {
        key: vec![HOSTILE.into()],
        values: ShowValues::Show,
        different_count: 3,
        is_complete: true,
        notes: vec![HOSTILE.into()],
        rows: vec![DifferingRow {
            kind: RowDifference::Different,
            left_count: 1,
            right_count: 1,
            left_at: Some("(0,7)".into()),
            right_at: None,
            key: vec![NamedValue { name: HOSTILE.into(), value: text() }],
            columns: vec![DifferingColumn {
                name: HOSTILE.into(),
                left: Some(text()),
                right: Some(ShownValue::Masked { mask: "9f02c1d4".into(), bytes: 4 }),
            }],
        }],
        ..DifferingRows::default()
    }));
    report.tables.push(settled());
    report.left.name = HOSTILE.into();
    report.selection = Some(HOSTILE.into());
    report.schema.differences = vec![
        Difference::Missing { identity: identity(EntryKind::Table) },
        Difference::Different {
            identity: identity(EntryKind::View),
            path: "body.definition".into(),
            part: None,
            left: json!(HOSTILE),
            right: Value::Null,
        },
        Difference::NotVerified {
            identity: identity(EntryKind::Function),
            path: "body.definition".into(),
            part: None,
            reason: HOSTILE.into(),
            left: "a".into(),
            right: "b".into(),
        },
    ];
    report.definitions = vec![ObjectDefinitions {
        identity: identity(EntryKind::View),
        left: Some(format!("CREATE VIEW x AS\nSELECT 1;\n{HOSTILE}\n")),
        right: Some("CREATE VIEW x AS\nSELECT 2;\n".into()),
    }];
    report.sequences = vec![SequenceResult {
        name: HOSTILE.into(),
        left: Some("7 (next)".into()),
        right: None,
        not_verified: None,
        behind: Some(BehindColumn { column: HOSTILE.into(), furthest: 900 }),
    }];
    report.checks = checks();
    report.accepted = accepted(identity(EntryKind::Index));
    report.unused_accept_lines =
        vec![UnusedLine { line: 7, subject: format!("TABLE {HOSTILE}"), reason: HOSTILE.into() }];
    report.not_compared = vec![HOSTILE.into()];
    report.information = vec![HOSTILE.into()];
    report
}

/// A check of each verdict.
fn checks() -> Vec<CheckResult> {
    let row = |number| AnswerRow {
        number,
        values: vec![ShownValue::Text { text: HOSTILE.into(), bytes: 99 }, ShownValue::Null],
    };
    let answers = DifferentAnswers {
        columns: vec![HOSTILE.into(), "n".into()],
        values: ShowValues::Show,
        left_row_count: 5,
        right_row_count: 5,
        left_rows: vec![row(1)],
        right_rows: vec![row(2)],
        left_differing_count: 4,
        right_differing_count: 4,
    };
    let check = |name: &str, verdict| CheckResult { name: name.into(), sql: HOSTILE.into(), verdict };
    vec![
        check("same", CheckVerdict::Equal { row_count: 1 }),
        check("other", CheckVerdict::Different(Box::new(answers))),
        check("unknown", CheckVerdict::NotVerified { reason: HOSTILE.into() }),
    ]
}

/// One of each that can be accepted.
fn accepted(identity: Identity) -> Vec<Accepted> {
    let found = [
        AcceptedFinding::Definition { definition: Difference::Extra { identity } },
        AcceptedFinding::Rows { table: TableResult::new(HOSTILE, Verdict::OtherCount { left: 1, right: 2 }) },
        AcceptedFinding::Position {
            sequence: SequenceResult {
                name: HOSTILE.into(),
                left: None,
                right: Some("1 (next)".into()),
                not_verified: None,
                behind: None,
            },
        },
        AcceptedFinding::Check { check: checks().swap_remove(1) },
    ];
    let accepted = |(line, found)| Accepted { line, subject: HOSTILE.into(), reason: HOSTILE.into(), found };
    (1..).zip(found).map(accepted).collect()
}

/// A table whose rows agreed at a later look.
pub(super) fn settled() -> TableResult {
    let digest = |sum| RowDigest { row_count: 9, sum };
    let verdict = Verdict::Settled { left: digest(1), right: digest(2) };
    let settled = SettledRows {
        count: 2,
        look_count: 1,
        left_as_of: "2026-11-30T01:02:04Z".into(),
        right_as_of: "2026-11-30T01:02:05Z".into(),
        left_lsn: Some("0/15D6F38".into()),
        ..SettledRows::default()
    };
    let rows = DifferingRows {
        key: vec!["id".into()],
        is_complete: true,
        settled: Some(settled),
        ..Default::default()
    };
    TableResult { rows: Some(Box::new(rows)), ..TableResult::new("public.settled", verdict) }
}

/// A run that says when it did what.
pub(super) fn run() -> RunRecord {
    let phase = |phase: &str, start_ms, end_ms| PhaseTime { phase: phase.into(), start_ms, end_ms };
    RunRecord {
        command_line: format!("dbhaul verify --source {HOSTILE}"),
        started_at: "2026-11-30T01:02:03Z".into(),
        finished_at: "2026-11-30T01:02:05Z".into(),
        elapsed_ms: 2000,
        phases: vec![phase("introspect", 0, 400), phase("verify", 400, 2000)],
        longest_tasks: vec![TaskTime {
            kind: "DIGEST".into(),
            name: HOSTILE.into(),
            estimated_bytes: Some(3 << 20),
            start_ms: 410,
            end_ms: 1800,
        }],
    }
}

fn read(fields: Value) -> Document {
    Document::read(fields.to_string().as_bytes()).unwrap()
}

/// The JSON of `verify` with this report.
pub(super) fn json(report: &Report) -> Value {
    let mut fields = serde_json::to_value(report).unwrap();
    let status = if report.is_equal() { "done" } else { "different" };
    let more = json!({"format": 1, "report": "verify", "status": status, "run": run()});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

/// A report of `verify`, read back.
pub(super) fn document(report: &Report) -> Document {
    read(json(report))
}

/// The JSON of a migration.
pub(super) fn copy_json(skipped: &[&str], failed: &[&str], status: &str, report: Option<&Report>) -> Value {
    let named = |list: &[&str]| -> Vec<Value> {
        list.iter().map(|object| json!({"object": object, "reason": "because"})).collect()
    };
    json!({
        "format": 1, "report": "migrate", "status": status, "run": run(), "source": "old", "target": HOSTILE,
        "created": true, "table_count": 1, "digest": "2:7", "skipped": named(skipped), "failed": named(failed),
        "left_out_as_asked": [], "resumed_step_count": 0, "retried_attempt_count": 0, "ledger_schema": null,
        "verification": report, "turned_to_binary": [], "elapsed_seconds": 2.5,
    })
}

/// A report of `migrate`, read back.
pub(super) fn copy(skipped: &[&str], failed: &[&str], status: &str, report: Option<&Report>) -> Document {
    read(copy_json(skipped, failed, status, report))
}
