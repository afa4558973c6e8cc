//! What an auditor adds to a verification: queries of the application, and differences that are accepted.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use std::path::{Path, PathBuf};

use boon::{Compiler, Schemas};
use dbhaul_tests::{Dbhaul, Finished, Server};
use dbhaul_verifier::{
    AcceptedFinding, CheckResult, CheckVerdict, DifferentAnswers, Report, ShownValue, Verdict,
};
use serde_json::Value;
use tempfile::TempDir;

/// Why a report is not as the published schema says.
fn problem(report: &Value) -> Option<String> {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
    let schema = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("urn:test", schema).unwrap();
    let compiled = compiler.compile("urn:test", &mut schemas).unwrap();
    schemas.validate(report, compiled).err().map(|error| format!("{error:#}"))
}

/// A directory with files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `verify` with reports in all forms, and returns the JSON, which is as the schema says.
    fn verify(&self, arguments: &[&str], code: i32) -> (Report, Finished) {
        let mut run = Dbhaul::new(["verify"]).args(arguments);
        for form in ["r.json", "r.html", "r.md", "r.xml", "r.txt"] {
            run = run.arg("--report").arg(self.path(form));
        }
        let run = run.run();
        run.assert_code(code);
        let report: Value = serde_json::from_str(&self.read("r.json")).unwrap();
        assert_eq!(problem(&report), None);
        (serde_json::from_value(report).unwrap(), run)
    }

    /// The reports for people and for a CI.
    fn forms(&self) -> [(&'static str, String); 4] {
        ["r.html", "r.md", "r.xml", "r.txt"].map(|form| (form, self.read(form)))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const SHOP: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id int PRIMARY KEY, status text, amount numeric, at timestamptz);
    INSERT INTO shop.orders SELECT i, 's' || i % 3, i * 1.50, '2026-01-01 12:00+00'::timestamptz + i * interval '1 hour'
        FROM generate_series(1, 30) i;
    CREATE VIEW shop.totals AS SELECT status, sum(amount) AS total FROM shop.orders GROUP BY status;
    CREATE SEQUENCE shop.counter;
    CREATE FUNCTION shop.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM shop.orders; RETURN 1; END $$;
    CREATE FUNCTION shop.lo() RETURNS oid LANGUAGE sql AS $$ SELECT lo_create(4711) $$;
    CREATE FUNCTION shop.abs(text) RETURNS text LANGUAGE sql AS $$ SELECT 'shop'::text $$";

const CHECKS: &str = r#"
timeout_seconds = 60

[[check]]
name = "totals"
sql = "SELECT status, total FROM shop.totals"

[[check]]
name = "last order"
sql = "SELECT max(at), count(*) FROM shop.orders -- in UTC"

[[check]]
name = "ordered"
ordered = true
sql = "SELECT id, status FROM shop.orders ORDER BY id LIMIT 5;"

[[check]]
name = "next number"
sql = "SELECT nextval('shop.counter')"

[[check]]
name = "deletes by a function"
sql = "SELECT shop.evil()"

[[check]]
name = "no schema"
sql = "SELECT count(*) FROM orders"

[[check]]
name = "too many"
sql = "SELECT generate_series(1, 10001)"

[[check]]
name = "too long"
sql = "SELECT repeat('x', 9 << 20)"

[[check]]
name = "too slow"
timeout_seconds = 1
sql = "SELECT pg_sleep(100)"

[[check]]
name = "bad value"
sql = "SELECT status::int FROM shop.orders"

[[check]]
name = "large object"
sql = "SELECT shop.lo()"
"#;

fn check<'a>(report: &'a Report, name: &str) -> &'a CheckResult {
    report.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

fn different<'a>(report: &'a Report, name: &str) -> &'a DifferentAnswers {
    match &check(report, name).verdict {
        CheckVerdict::Different(answers) => answers,
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn assert_unverified(report: &Report, name: &str, reason: &str) {
    let told = check(report, name).not_verified().unwrap_or_else(|| panic!("{name}: {report}"));
    assert!(told.contains(reason), "{name}: {told}");
}

/// Values of a row that is shown.
fn shown(values: &[ShownValue]) -> Vec<String> {
    let text = |value: &ShownValue| match value {
        ShownValue::Text { text, .. } => text.clone(),
        other => format!("{other:?}"),
    };
    values.iter().map(text).collect()
}

#[test]
fn checks_are_asked_of_both_sides_and_change_nothing() {
    let (left, right) = (Server::start(14), Server::start(18));
    for (server, db, zone) in [(&left, "old", "Asia/Tokyo"), (&right, "new", "America/St_Johns")] {
        server.create_db(db);
        server.psql(db, SHOP);
        server.psql("postgres", &format!("ALTER DATABASE {db} SET TimeZone = '{zone}'"));
    }
    let files = Files::new();
    let checks = files.write("checks.toml", CHECKS);
    let (old, new) = (left.uri("old"), right.uri("new"));
    let sides = ["--source", &old, "--target", &new, "--check", text(&checks)];
    let (report, run) = files.verify(&sides, 4);
    for (name, row_count) in [("totals", 3), ("last order", 1), ("ordered", 5)] {
        assert_eq!(check(&report, name).verdict, CheckVerdict::Equal { row_count }, "{name}");
    }
    for (name, reason) in [
        ("next number", "left: cannot execute nextval() in a read-only transaction"),
        ("deletes by a function", "right: cannot execute DELETE in a read-only transaction"),
        ("no schema", "relation \"orders\" does not exist"),
        ("too many", "more than 10000 rows"),
        ("too long", "more than 8 MiB"),
        ("too slow", "statement timeout"),
        ("bad value", "SQLSTATE 22P02; its message may hold values"),
    ] {
        assert_unverified(&report, name, reason);
    }
    // 14 lets a read-only transaction create a large object: it is rolled back
    for (server, db) in [(&left, "old"), (&right, "new")] {
        let left_there =
            "SELECT (SELECT count(*) FROM shop.orders), (SELECT count(*) FROM pg_largeobject_metadata)";
        assert_eq!(server.psql(db, left_there).trim(), "30|0", "{db}");
    }
    run.assert_says("checks: 3 equal, 0 different, 8 not verified");
    for (form, written) in files.forms() {
        assert!(written.contains("too slow") && written.contains("statement timeout"), "{form}: {written}");
    }

    right.psql(
        "new",
        "UPDATE shop.orders SET amount = 2.50 WHERE id = 1; UPDATE shop.orders SET id = 99 WHERE id = 3",
    );
    let checks =
        files.write("checks.toml", &CHECKS[..CHECKS.find("[[check]]\nname = \"next number\"").unwrap()]);
    let sides = ["--source", &old, "--target", &new, "--mode", "schema", "--check", text(&checks)];
    let (report, _) = files.verify(&[&sides[..], &["--values", "show", "--max-rows", "2"]].concat(), 4);
    let totals = different(&report, "totals");
    assert_eq!((totals.left_differing_count, totals.right_differing_count), (1, 1));
    assert_eq!(shown(&totals.left_rows[0].values), ["s1", "217.50"]);
    assert_eq!(shown(&totals.right_rows[0].values), ["s1", "218.50"]);
    assert_eq!(totals.columns, ["status", "total"]);
    let ordered = different(&report, "ordered");
    assert_eq!(
        (ordered.left_differing_count, ordered.left_rows.len(), ordered.left_rows[0].number),
        (3, 2, 3)
    );
    assert_eq!(check(&report, "last order").verdict, CheckVerdict::Equal { row_count: 1 });
    for (form, written) in files.forms() {
        assert!(written.contains("217.50") && written.contains("218.50"), "{form}: {written}");
    }
    // values are masked unless they are asked for
    let (report, run) = files.verify(&sides, 4);
    assert!(matches!(different(&report, "totals").left_rows[0].values[1], ShownValue::Masked { .. }));
    for (form, written) in
        files.forms().iter().map(|(form, text)| (*form, text)).chain([("output", &run.stdout)])
    {
        assert!(!written.contains("217.50") && !written.contains("218.50"), "{form}: {written}");
    }
}

#[test]
fn a_migration_asks_both_sides_when_it_has_copied() {
    let (left, right) = (Server::start(16), Server::start(18));
    left.create_db("old");
    left.psql("old", SHOP);
    let files = Files::new();
    let upper = &CHECKS[..CHECKS.find("[[check]]\nname = \"next number\"").unwrap()];
    let (checks, other) = (
        files.write("checks.toml", upper),
        files.write(
            "other.toml",
            &format!("{upper}[[check]]\nname = \"where\"\nsql = \"SELECT current_database()\"\n"),
        ),
    );
    let migrate = |db: &str, checks: &Path| {
        right.create_db(db);
        Dbhaul::new(["migrate", "--source", &left.uri("old"), "--target", &right.uri(db)])
            .arg("--check")
            .arg(checks)
    };
    let planned = migrate("planned", &checks).arg("--dry-run").run();
    planned.assert_code(0).assert_says("afterwards asked of both sides: totals, last order, ordered");
    migrate("refused", &checks).arg("--no-verify").run().assert_code(2);
    let run = migrate("new", &checks).arg("--report").arg(files.path("r.json")).run();
    run.assert_code(0).assert_says("checks: 3 equal, 0 different, 0 not verified");
    let report: Value = serde_json::from_str(&files.read("r.json")).unwrap();
    assert_eq!(problem(&report), None);
    assert_eq!(report["verification"]["checks"].as_array().unwrap().len(), 3);
    // what the application sees to differ makes the run end as a verification would
    let run = migrate("other", &other).run();
    run.assert_code(4).assert_says("checks: 3 equal, 1 different, 0 not verified").assert_says("NOT EQUAL");
}

#[test]
fn a_search_path_finds_the_servers_own_first_and_a_backup_cannot_answer() {
    let server = Server::start(17);
    for db in ["old", "new"] {
        server.create_db(db);
        server.psql(db, SHOP);
    }
    let files = Files::new();
    let checks = files.write(
        "checks.toml",
        "search_path = [\"shop\"]\n[[check]]\nname = \"path\"\nsql = \"SELECT count(*), abs(-1) FROM orders\"\n",
    );
    let (old, new, check_option) = (server.uri("old"), server.uri("new"), text(&checks));
    let (report, _) = files.verify(&["--source", &old, "--target", &new, "--check", check_option], 0);
    assert_eq!(report.checks.len(), 1);
    assert_eq!(report.conclusion(), "EQUAL");
    let store = TempDir::new().unwrap();
    Dbhaul::new(["dump", "--source", &old, "--store"]).arg(store.path()).run().assert_code(0);
    let (report, _) =
        files.verify(&["--store", text(store.path()), "--target", &new, "--check", check_option], 4);
    assert_unverified(&report, "path", "left: a backup has no server");
    assert_eq!(report.conclusion(), "NOT EQUAL");

    // a file that cannot be used is refused before anything is connected to
    let nowhere = ["--source", "postgres://x@127.0.0.1:1/x", "--target", "postgres://x@127.0.0.1:2/y"];
    for (wrong, told) in [
        ("[[check]]\nname = \"a\"\nsql = \"SELECT 1; COMMIT\"\n", "line 2: check \"a\""),
        ("[[check]]\nname = \"a\"\nquery = \"SELECT 1\"\n", "line 3: unknown field `query`"),
    ] {
        let file = files.write("wrong.toml", wrong);
        let run = Dbhaul::new(["verify"]).args(nowhere).arg("--check").arg(file).run();
        run.assert_code(2).assert_stderr_has(&["--check", told]);
    }
    for (wrong, told) in [
        ("# why\nTABLE shop.orders [rows]\n", "line 2: a reason is missing"),
        ("shop.orders -- because\n", "line 1: \"shop.orders\" names no object"),
    ] {
        let file = files.write("wrong.accept", wrong);
        let run = Dbhaul::new(["verify"]).args(nowhere).arg("--accept").arg(file).run();
        run.assert_code(2).assert_stderr_has(&["--accept", told]);
    }
}

const CHANGES: &str = "DELETE FROM shop.orders WHERE id = 7; CREATE INDEX extra ON shop.orders (at);
    ALTER VIEW shop.totals RENAME COLUMN total TO sum; SELECT setval('shop.counter', 5);
    COMMENT ON TABLE shop.orders IS 'moved'; ALTER TABLE shop.orders ALTER status SET DEFAULT 'new'";

const ACCEPTED: &str = "# accepted by the owner of the shop, 2026-11-30
TABLE shop.orders [rows]      -- order 7 was cancelled during the move
INDEX shop.extra              -- the new reports need it
VIEW shop.totals              -- renamed on purpose
SEQUENCE shop.counter [position]  -- counts on
TABLE shop.orders [comment]   -- a note
DEFAULT shop.orders status [existence]  -- a new default
CHECK count                   -- follows from order 7
TABLE shop.gone [rows, not verified]  -- nobody may read it
";

#[test]
fn accepted_differences_are_listed_and_do_not_count() {
    let server = Server::start(16);
    for db in ["old", "new"] {
        server.create_db(db);
        server.psql(db, SHOP);
    }
    server.psql("new", CHANGES);
    let files = Files::new();
    let checks =
        files.write("c.toml", "[[check]]\nname = \"count\"\nsql = \"SELECT count(*) FROM shop.orders\"\n");
    let accept = files.write("accepted", ACCEPTED);
    let (old, new) = (server.uri("old"), server.uri("new"));
    let sides = ["--source", &old, "--target", &new, "--check", text(&checks)];
    files.verify(&sides, 4);
    let with = [&sides[..], &["--accept", text(&accept)]].concat();
    let (report, run) = files.verify(&with, 0);
    assert_eq!(report.conclusion(), "EQUAL BUT FOR 8 ACCEPTED DIFFERENCES", "{report}");
    run.assert_says("EQUAL BUT FOR 8 ACCEPTED DIFFERENCES");
    assert!(
        report
            .accepted
            .iter()
            .any(|one| matches!(&one.found, AcceptedFinding::Rows { table } if table.name == "shop.orders"))
    );
    let unused: Vec<u64> = report.unused_accept_lines.iter().map(|line| line.line).collect();
    assert_eq!(unused, [9]);
    for (form, written) in files.forms() {
        for reason in ["order 7 was cancelled during the move", "nobody may read it"] {
            assert!(written.contains(reason), "{form}: {written}");
        }
    }
    assert!(files.read("r.html").contains("Equal but for accepted differences"));

    // rows are accepted by the line that says so alone, and nothing else by that
    for (kept, left) in
        [("[rows] ", "rows"), ("[position]", "sequence"), ("[comment]", "comment"), ("CHECK", "check")]
    {
        let lines: Vec<&str> = ACCEPTED.lines().filter(|line| !line.contains(kept)).collect();
        let accept = files.write("fewer", &lines.join("\n"));
        let (report, _) = files.verify(&[&sides[..], &["--accept", text(&accept)]].concat(), 4);
        assert_eq!((report.accepted.len(), report.agrees()), (7, false), "{left}: {report}");
    }
    // what could not be read is accepted only as such
    server.psql("new", "CREATE ROLE poor LOGIN; GRANT USAGE ON SCHEMA shop TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO poor; \
        GRANT SELECT ON SEQUENCE shop.counter TO poor; REVOKE SELECT ON shop.orders FROM poor");
    let poor = server.uri_as("poor", "new");
    let sides = ["--source", &old, "--target", &poor, "--mode", "digest"];
    for (lines, code) in [
        ("TABLE shop.orders [rows] -- a\nSEQUENCE shop.counter [position] -- b", 4),
        ("TABLE shop.orders [rows, not verified] -- a\nSEQUENCE shop.counter [position] -- b", 0),
    ] {
        let accept = files.write("poor", lines);
        files.verify(&[&sides[..], &["--accept", text(&accept)]].concat(), code);
    }
}

/// Tables of which most are on both sides with rows that differ, and values that a literal could break.
const REPAIRED: &str = r#"CREATE SCHEMA "S s"; CREATE EXTENSION citext SCHEMA "S s";
    CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN short AS varchar(9);
    CREATE TABLE z_parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE);
    CREATE TABLE a_child (id bigint PRIMARY KEY, parent int NOT NULL REFERENCES z_parent, note text);
    CREATE TABLE tree (id int PRIMARY KEY, above int REFERENCES tree);
    CREATE TABLE kinds (k text PRIMARY KEY, a bytea, b float8, c numeric, d timestamptz, e int[], f text[], g pair,
        h jsonb, i mood, j char(5), k2 "char", l bit(3), m interval, n inet, o int4range, p tsvector, q xml, r money,
        s json, u uuid, v short, w pair[], x mood[], y bool, n2 name, gen text GENERATED ALWAYS AS (k || 'x') STORED);
    CREATE TABLE cased (k "S s".citext, m mood, v "S s".citext, PRIMARY KEY (k, m));
    CREATE TABLE parted (id int, part int, v text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
    CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE part_2 PARTITION OF parted FOR VALUES IN (2);
    CREATE TABLE "S s"."Odd ""name" ("K k" int PRIMARY KEY, "v'""\" text);
    CREATE TABLE no_key (a int); CREATE TABLE floats (f float8 PRIMARY KEY, v float4);
    INSERT INTO z_parent (code) SELECT 'c' || i FROM generate_series(1, 5) i;
    INSERT INTO a_child SELECT i, i % 5 + 1, 'n' FROM generate_series(1, 20) i;
    INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2);
    INSERT INTO kinds VALUES (E'q\'"\\ \n\t\r:x $$ -- /* é \x01', '\x00ff275c0a', 'NaN', 'NaN', 'infinity', '{1,NULL}',
        ARRAY[E'a"b\\', 'NULL', NULL, '', E'\n{},'], ROW(1, E'a,"\\)'), '{"a": "\u00e9\"\\\\'' \n"}', 'it''s "ok"', E'a\'', '\',
        B'101', '1 mon -2 days', '::1/64', 'empty', $$'a''b':1A$$, '<a b="''">\</a>', '1234567.89', '{"a"  :1}',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', E'\\''', ARRAY[ROW(1, NULL)::pair], '{sad}', true, 'N n'),
        ('plain', '\x', '-0', '1.500', '-infinity', '{}', '{}', NULL, 'null', NULL, '', '', B'000', '0', '10.0.0.1',
        '[1,5)', '', '', '-0.01', 'null', NULL, '', '{}', '{}', NULL, '');
    INSERT INTO cased VALUES ('Key', 'sad', 'V'), ('other', 'sad', 'v');
    INSERT INTO parted SELECT i, i % 2 + 1, 'v' FROM generate_series(1, 10) i;
    INSERT INTO "S s"."Odd ""name" VALUES (1, E'\\'), (2, '''');
    INSERT INTO no_key VALUES (1); INSERT INTO floats VALUES ('NaN', '0.1'), (0.1, 'Infinity'), ('-Infinity', 1);
    CREATE SEQUENCE "S s"."Counter"; SELECT setval('"S s"."Counter"', 77, false)"#;

/// What is changed, so that rows are missing, extra and different everywhere, across foreign keys.
const BROKEN: &str = r#"INSERT INTO z_parent (code) VALUES ('extra'); UPDATE a_child SET parent = 6 WHERE id = 7;
    INSERT INTO a_child VALUES (99, 6, 'of the extra one'); DELETE FROM a_child WHERE parent = 3; DELETE FROM z_parent WHERE id = 3;
    UPDATE z_parent SET code = 'C1' WHERE id = 1; DELETE FROM tree WHERE id > 1; INSERT INTO tree VALUES (9, 1), (10, 9);
    DELETE FROM kinds WHERE k <> 'plain'; UPDATE kinds SET a = NULL, b = 0, c = 1.5, d = now(), e = NULL, f = NULL, h = '1', i = 'sad',
        j = NULL, k2 = 'x', l = B'111', m = '1 day', n = NULL, o = 'empty', p = 'x', r = 1, s = '1', y = true, v = 'w', w = NULL;
    INSERT INTO kinds (k) VALUES (E'extra\'\\\n');
    UPDATE cased SET v = 'v' WHERE k = 'Key'; DELETE FROM cased WHERE k = 'other'; INSERT INTO cased VALUES ('it''s', 'it''s "ok"', NULL);
    UPDATE parted SET part = 3 - part WHERE id < 3; UPDATE parted SET v = NULL WHERE id = 9;
    DELETE FROM "S s"."Odd ""name"; INSERT INTO "S s"."Odd ""name" VALUES (2, '\'), (3, 'x');
    INSERT INTO no_key VALUES (2); UPDATE floats SET v = v + 1; DELETE FROM floats WHERE f = '-Infinity';
    SELECT setval('"S s"."Counter"', 5)"#;

#[test]
fn statements_for_a_repair_make_the_target_equal() {
    let (left, right) = (Server::start(15), Server::start(18));
    for (server, db) in [(&left, "old"), (&right, "new")] {
        server.create_db(db);
        server.psql(db, REPAIRED);
    }
    right.psql("new", BROKEN);
    right.psql("postgres", "ALTER DATABASE new SET DateStyle = 'German'; ALTER DATABASE new SET standard_conforming_strings = off; \
        ALTER DATABASE new SET search_path = nowhere; ALTER DATABASE new SET lc_monetary = 'C'");
    let store = TempDir::new().unwrap();
    Dbhaul::new(["dump", "--source", &left.uri("old"), "--store"]).arg(store.path()).run().assert_code(0);
    let files = Files::new();
    let (old, new) = (left.uri("old"), right.uri("new"));
    let (file, again) = (files.path("repair.sql"), files.path("again.sql"));
    let how = ["--mode", "schema,deep", "--target", &new];
    let from = |sides: &[&str], file: &Path, code| {
        files.verify(&[&how[..], sides, &["--repair-sql", text(file)]].concat(), code)
    };
    let (report, run) = from(&["--source", &old], &file, 4);
    assert_eq!(report.totals().different, 10, "{report}");
    run.assert_says("not repaired by").assert_says("public.no_key is left out");
    // a backup on the left gives the same statements
    from(&["--store", text(store.path())], &again, 4);
    let statements = |file: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
    };
    assert_eq!(statements(&file), statements(&again));
    let sql = std::fs::read_to_string(&file).unwrap();
    assert!(
        sql.contains("BEGIN;\n") && sql.ends_with("\nCOMMIT;\n") && sql.contains("OVERRIDING SYSTEM VALUE"),
        "{sql}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    right.psql("new", "TRUNCATE public.no_key; INSERT INTO public.no_key VALUES (1)");
    right.psql_file("new", &file, &[]);
    let (report, _) = from(&["--source", &old], &file, 0);
    assert_eq!(report.conclusion(), "EQUAL", "{report}");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("INSERT INTO"));
}

#[test]
fn a_repair_says_what_it_leaves_out() {
    let server = Server::start(16);
    for db in ["old", "new"] {
        server.create_db(db);
        server.psql(db, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE keyed (id int)");
    }
    server.psql("old", "INSERT INTO t SELECT i, repeat('x', 1 << 20) || i FROM generate_series(1, 70) i; INSERT INTO kept VALUES (1);
        ALTER TABLE keyed ADD PRIMARY KEY (id); INSERT INTO keyed VALUES (1); CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone VALUES (1)");
    let files = Files::new();
    let accept = files.write("accept", "TABLE public.kept [rows] -- it may stay\n");
    let file = files.path("repair.sql");
    let (old, new) = (server.uri("old"), server.uri("new"));
    let sides = [
        "--mode",
        "deep",
        "--source",
        &old,
        "--target",
        &new,
        "--accept",
        text(&accept),
        "--repair-sql",
        text(&file),
    ];
    let (report, run) = files.verify(&sides, 4);
    let sql = files.read("repair.sql");
    for left_out in [
        "rows of public.t left out: a file holds up to",
        "public.kept is left out: its differences are accepted",
        "public.keyed is left out: the two sides do not have the same key",
        "public.gone is left out: the right does not have it",
    ] {
        assert!(sql.contains(left_out), "{left_out}: {}", &sql[..2000]);
        assert!(report.information.iter().any(|note| note.contains(left_out)), "{left_out}: {report}");
        run.assert_says(left_out);
    }
    // what there is can be run, and the rest comes with the next verification
    let count = |db| server.psql(db, "SELECT count(*) FROM t").trim().parse::<u32>().unwrap();
    server.psql_file("new", &file, &[]);
    assert!((1..70).contains(&count("new")));
    files.verify(&sides, 4);
    server.psql_file("new", &file, &[]);
    assert_eq!(count("new"), 70);
}

#[test]
fn what_is_not_read_in_time_is_not_verified() {
    let server = Server::start(17);
    // to plan a query on the table, the server computes what is constant in the index
    let slow = "CREATE FUNCTION public.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_catalog.pg_sleep(pg_catalog.current_setting('slow.seconds', true)::float8); RETURN $1; END $$;
        CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE INDEX ON t ((id + public.slow(1)))";
    for db in ["old", "new"] {
        server.create_db(db);
        server.psql(db, slow);
    }
    let files = Files::new();
    let (old, new) = (server.uri("old"), server.uri("new"));
    let (report, _) = files.verify(&["--source", &old, "--target", &new, "--max-seconds", "3600"], 0);
    assert!(report.options.iter().any(|option| option == "rows for 3600 seconds at most"), "{report}");
    server.psql("postgres", "ALTER DATABASE new SET slow.seconds = '10000'");
    let (report, _) =
        files.verify(&["--source", &old, "--target", &new, "--max-seconds", "1", "--mode", "deep"], 4);
    let reason = match &report.tables[0].verdict {
        Verdict::NotVerified { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason.contains("before the time was over (--max-seconds)"), "{reason}");
}

#[test]
fn two_backups_are_compared_and_a_database_with_a_later_one() {
    let server = Server::start(15);
    server.create_db("shop");
    server.psql("shop", SHOP);
    let (store, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let dump = |store: &TempDir| {
        Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store"])
            .arg(store.path())
            .run()
            .assert_code(0);
    };
    dump(&store);
    dump(&other);
    let files = Files::new();
    let (one, two) = (text(store.path()), text(other.path()));
    let (report, _) = files.verify(&["--store", one, "--other-store", two], 0);
    assert!(report.left.name.contains(one) && report.right.name.contains(two), "{report}");
    server.psql("shop", "UPDATE shop.orders SET status = 'x' WHERE id = 5");
    dump(&store);
    let first = Dbhaul::new(["backup", "list", "--json", "--store", one]).run().json();
    let ids: Vec<&str> = first.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let oldest = ids.iter().min().unwrap();
    let sides = ["--store", one, "--backup", oldest, "--other-backup", "latest", "--mode", "deep"];
    let (report, _) = files.verify(&sides, 4);
    let rows = report.tables.iter().find(|table| table.name == "shop.orders").unwrap().rows.as_ref().unwrap();
    assert_eq!((rows.different_count, rows.missing_count, rows.extra_count), (1, 0, 0));
    let (report, _) = files.verify(&["--source", &server.uri("shop"), "--other-store", one], 0);
    assert!(report.right.name.contains(one), "{report}");
    files.verify(&["--source", &server.uri("shop"), "--other-store", two, "--mode", "digest"], 4);
}
