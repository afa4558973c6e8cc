//! Reports of comparisons, in every form in which the real binary writes them.

use std::path::Path;
use std::process::Command;

use boon::{Compiler, Schemas};
use dbhaul_tests::{Dbhaul, Server};
use quick_junit::{Report as JUnit, TestCaseStatus};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A name that would be more than a name in any of the forms.
const EVIL: &str = "<script>alert('x')</script>|`*&amp;\u{202e}\n## h";

const SECRET: &str = "S3CR3Tz";

const SAME: &str = "CREATE TABLE big AS SELECT g AS id, g::text AS v FROM generate_series(1, 2000) g;
    CREATE TABLE small AS SELECT 1 AS id; CREATE SEQUENCE counter;";

/// A database, and one that differs from it in rows, definitions and a position, under names such as [`EVIL`].
fn two(server: &Server) {
    let evil = format!("\"{}\"", EVIL.replace('"', "\"\""));
    server.create_db("old");
    server.create_db("new");
    server.psql("old", &format!("{SAME} CREATE TABLE {evil} AS SELECT 1 AS a; CREATE VIEW v AS SELECT 1 AS a; CREATE TABLE gone ()"));
    server.psql(
        "new",
        &format!(
            "{SAME} CREATE TABLE {evil} AS SELECT 2 AS a; CREATE VIEW v AS SELECT 2 AS a; CREATE TABLE added ();
             SELECT setval('counter', 7)"
        ),
    );
}

/// Why a report is not as the published schema says.
fn problem(report: &Value) -> Option<String> {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
    let schema = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("urn:test", schema).unwrap();
    let compiled = compiler.compile("urn:test", &mut schemas).unwrap();
    schemas.validate(report, compiled).err().map(|error| format!("{error:#}"))
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn json_of(file: &Path) -> Value {
    let report = serde_json::from_str(&read(file)).unwrap();
    assert_eq!(problem(&report), None);
    report
}

/// As the documents tell people to compute it.
fn sha256sum(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn a_comparison_is_written_in_every_form_at_once() {
    let server = Server::start(18);
    two(&server);
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    let names = ["r.json", "r.html", "r.md", "r.xml", "r.txt"];
    let source = format!("{}?password={SECRET}", server.uri("old"));
    let mut verify = Dbhaul::new(["verify", "--source", &source, "--target", &server.uri("new")]);
    for name in names {
        verify = verify.arg("--report").arg(file(name));
    }
    verify.run().assert_code(4);
    let [json, html, markdown, junit, text] = names.map(|name| read(&file(name)));

    let report = json_of(&file("r.json"));
    assert_eq!(
        (&report["format"], &report["report"], &report["status"]),
        (&json!(1), &json!("verify"), &json!("different"))
    );
    let command = report["run"]["command_line"].as_str().unwrap();
    assert!(command.starts_with("dbhaul verify --source ") && command.contains("password=***"), "{command}");
    let phases = report["run"]["phases"].as_array().unwrap();
    assert!(phases.iter().any(|phase| phase["phase"] == "verify"), "{phases:?}");
    assert!(
        report["run"]["longest_tasks"].as_array().unwrap().iter().any(|task| task["name"] == "public.big")
    );
    assert_eq!(report["compared_kinds"]["SEQUENCE"], 1);
    let definitions = report["definitions"].as_array().unwrap();
    let view = definitions.iter().find(|one| one["identity"]["kind"] == "VIEW").unwrap();
    assert!(view["left"].as_str().unwrap().contains("SELECT 1 AS a"), "{view}");
    assert!(view["right"].as_str().unwrap().contains("SELECT 2 AS a"), "{view}");

    let hash = sha256sum(&file("r.json"));
    for form in [&html, &markdown, &junit] {
        assert!(form.contains(&hash), "{hash} {form}");
    }
    for form in [&json, &html, &markdown, &junit, &text] {
        assert!(!form.contains(SECRET) && !form.contains('\u{202e}') && !form.contains("\n## h"), "{form}");
    }
    assert!(html.contains("<h1>Different</h1>") && html.matches("<script").count() == 1, "{html}");
    assert!(
        html.contains("<del>- SELECT 1 AS a;\n</del><ins>+ SELECT 2 AS a;\n</ins>")
            || html.contains("SELECT 2 AS a;"),
        "{html}"
    );
    assert!(
        !markdown.contains("<script") && markdown.contains("**missing**: only on the left"),
        "{markdown}"
    );
    check_junit(&junit);
}

/// One table differs, one is missing, one is extra; two are equal. The sequence differs, and so do kinds of objects.
fn check_junit(xml: &str) {
    let junit = JUnit::deserialize_from_str(xml).unwrap();
    let suite = |name: &str| junit.test_suites.iter().find(|suite| suite.name.as_str() == name).unwrap();
    let failed = |name: &str| -> Vec<&str> {
        let failed = |status: &TestCaseStatus| !matches!(status, TestCaseStatus::Success { .. });
        let cases = suite(name).test_cases.iter().filter(|case| failed(&case.status));
        cases.map(|case| case.name.as_str()).collect()
    };
    let names: Vec<&str> = suite("rows").test_cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let failed_rows = failed("rows");
    assert!(failed_rows.contains(&"public.gone") && failed_rows.contains(&"public.added"), "{failed_rows:?}");
    assert!(failed_rows.len() == 3 && !failed_rows.contains(&"public.big"), "{failed_rows:?}");
    assert_eq!(failed("sequences"), ["public.counter"]);
    let failed_kinds = failed("definitions");
    assert!(failed_kinds.contains(&"TABLE") && failed_kinds.contains(&"VIEW"), "{failed_kinds:?}");
    assert!(!failed_kinds.contains(&"SEQUENCE"), "{failed_kinds:?}");
}

#[test]
fn a_report_is_converted_into_what_would_have_been_written() {
    let server = Server::start(17);
    two(&server);
    server.create_db("copy");
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    let run = |words: &[&str], target: &str, stem: &str| {
        let mut run =
            Dbhaul::new(words).args(["--source", &server.uri("old"), "--target", &server.uri(target)]);
        for form in ["json", "html", "md", "junit"] {
            run = run.arg("--report").arg(file(&format!("{stem}.{form}")));
        }
        run.run()
    };
    run(&["migrate"], "copy", "m").assert_code(0);
    run(&["verify"], "new", "v").assert_code(4);
    assert_eq!(json_of(&file("m.json"))["verification"]["rows_of_right"], "read");
    assert!(read(&file("m.html")).contains("<h1>Equal</h1>"));
    for stem in ["m", "v"] {
        let json = file(&format!("{stem}.json"));
        let convert = |form: &str| {
            let out = file(&format!("converted-{stem}.{form}"));
            Dbhaul::new(["report", "convert"]).arg(&json).arg(&out).run().assert_code(0);
            assert_eq!(read(&out), read(&file(&format!("{stem}.{form}"))), "{stem}.{form}");
        };
        ["html", "md", "junit"].iter().for_each(|form| convert(form));
    }
    refuse(&file("v.json"), directory.path());
}

/// What is no report is refused by name and with the reason, and nothing is written.
fn refuse(good: &Path, directory: &Path) {
    let mut report: Value = serde_json::from_str(&read(good)).unwrap();
    report["format"] = json!(7);
    let out = directory.join("never.html");
    for (name, text, problem) in [
        ("newer.json", report.to_string(), "has report format 7, and this dbhaul reads up to format 1"),
        (
            "foreign.json",
            "{\"a\": 1}".to_owned(),
            "is JSON, but not a report of `verify`, `migrate` or `restore`",
        ),
        ("cut.json", read(good)[..500].to_owned(), "is not JSON"),
        (
            "damaged.json",
            json!({"format": 1, "report": "verify", "status": "done"}).to_string(),
            "is damaged",
        ),
    ] {
        let input = directory.join(name);
        std::fs::write(&input, text).unwrap();
        let run = Dbhaul::new(["report", "convert"]).arg(&input).arg(&out).run();
        run.assert_code(1).assert_stderr_has(&[name, problem]);
    }
    let absent = Dbhaul::new(["report", "convert"]).arg(directory.join("absent.json")).arg(&out).run();
    absent.assert_code(1).assert_stderr_has(&["cannot read", "absent.json"]);
    // a name of no form stops the command before it does anything
    let wrong = Dbhaul::new(["report", "convert"]).arg(good).arg(&out).arg(directory.join("x.pdf")).run();
    wrong.assert_code(2).assert_stderr_has(&["x.pdf: a name ends in .json, .html, .md, .xml"]);
    assert!(!out.exists());
}
