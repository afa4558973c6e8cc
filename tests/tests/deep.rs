//! `verify --mode deep`: each planted change is located, in its row and its column, and nothing else is reported.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use dbhaul_pipeline::{
    AcceptList, BackupRef, Checks, Computed, ConnectSettings, Context, Mode, RoleMap, Scratch, Selection,
    ShowValues, ShownRows, StoreUrl, VerifyRequest, VerifySide, verify,
};
use dbhaul_tests::{Dbhaul, Encoding, Finished, Proxy, Server, Statement};
use dbhaul_verifier::{DifferingRow, DifferingRows, Report, RowDifference, ShownValue, Verdict};
use tempfile::TempDir;

/// A table on both sides, what is done to it on the right, and what a report has to say of that.
struct Case {
    name: String,
    create: String,
    change: String,
    expected: Vec<String>,
}

fn case(name: &str, create: &str, change: &str, expected: &[&str]) -> Case {
    Case {
        name: format!("public.{name}"),
        create: create.replace("$t", name),
        change: change.replace("$t", name),
        expected: expected.iter().map(|line| (*line).to_owned()).collect(),
    }
}

/// Rows 1 to 100 of a table with a key and a value.
fn of_value(name: &str, kind: &str, value: &str) -> String {
    format!(
        "CREATE TABLE {name} (id int PRIMARY KEY, v {kind}, w text DEFAULT 'w'); \
         INSERT INTO {name} SELECT i, {value} FROM generate_series(1, 100) i"
    )
}

/// Changes of rows and keys.
fn cases_of_rows() -> Vec<Case> {
    vec![
        case("missing", &of_value("$t", "int", "i"), "DELETE FROM $t WHERE id = 7", &["missing 1:0 id=7"]),
        case("added", &of_value("$t", "int", "i"), "INSERT INTO $t VALUES (1000, 1)", &["extra 0:1 id=1000"]),
        case(
            "doubled",
            &of_value("$t", "int", "i"),
            "ALTER TABLE $t DROP CONSTRAINT doubled_pkey; INSERT INTO $t SELECT * FROM $t WHERE id = 3",
            &[
                "note the left has the key (id) and the right no key: rows were matched by (id)",
                "count 1:2 id=3",
            ],
        ),
        case(
            "swapped",
            &of_value("$t", "text", "'v' || i"),
            "UPDATE $t SET v = CASE id WHEN 4 THEN 'v9' ELSE 'v4' END WHERE id IN (4, 9)",
            &["different 1:1 id=4 | v: v4 -> v9", "different 1:1 id=9 | v: v9 -> v4"],
        ),
        case(
            "several",
            &of_value("$t", "int", "i"),
            "UPDATE $t SET v = NULL, w = '' WHERE id = 50; DELETE FROM $t WHERE id = 60",
            &["different 1:1 id=50 | v: 50 -> NULL | w: w -> ", "missing 1:0 id=60"],
        ),
        case(
            "composite",
            "CREATE TABLE $t (b int, v text, a text, PRIMARY KEY (a, b)); \
             INSERT INTO $t SELECT i, 'v', 'k' || j FROM generate_series(1, 10) i, generate_series(1, 10) j",
            "UPDATE $t SET v = 'x' WHERE (a, b) = ('k5', 2)",
            &["different 1:1 a=k5,b=2 | v: v -> x"],
        ),
        case(
            "uniquely",
            "CREATE TABLE $t (id int PRIMARY KEY DEFERRABLE, code text NOT NULL, v text); \
             CREATE UNIQUE INDEX ON $t (lower(code)); CREATE UNIQUE INDEX ON $t (v) WHERE id > 5; \
             CREATE UNIQUE INDEX ON $t (code) INCLUDE (v); \
             INSERT INTO $t SELECT i, 'c' || i, 'v' || i FROM generate_series(1, 20) i",
            "UPDATE $t SET id = 77 WHERE code = 'c3'",
            &["different 1:1 code=c3 | id: 3 -> 77"],
        ),
        case(
            "keyless",
            "CREATE TABLE $t (a int, b text); INSERT INTO $t SELECT i % 10, 'b' FROM generate_series(1, 50) i; \
             CREATE UNIQUE INDEX ON $t (a) WHERE a > 100",
            "INSERT INTO $t VALUES (5, 'b'); UPDATE $t SET b = NULL WHERE ctid IN \
             (SELECT ctid FROM $t WHERE a = 7 ORDER BY ctid LIMIT 1)",
            &[
                "note neither side has a primary key or another unique index of columns that are NOT NULL: \
                 whole rows were compared, with their numbers",
                "count 5:6 | a: 5 -> 5 | b: b -> b",
                "count 5:4 | a: 7 -> 7 | b: b -> b",
                "extra 0:1 | a: - -> 7 | b: - -> NULL",
            ],
        ),
        case(
            "columnless",
            "CREATE TABLE $t (); INSERT INTO $t SELECT FROM generate_series(1, 3)",
            "INSERT INTO $t SELECT",
            &[
                "note neither side has a primary key or another unique index of columns that are NOT NULL: \
                 whole rows were compared, with their numbers",
                "count 3:4",
            ],
        ),
        case(
            "generated",
            "CREATE TABLE $t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED); \
             INSERT INTO $t SELECT i, i FROM generate_series(1, 9) i",
            "UPDATE $t SET v = 0 WHERE id = 9",
            &["different 1:1 id=9 | v: 9 -> 0"],
        ),
        case(
            "emptied",
            "CREATE TABLE $t (id int PRIMARY KEY); INSERT INTO $t VALUES (1), (2)",
            "TRUNCATE $t",
            &["missing 1:0 id=1", "missing 1:0 id=2"],
        ),
        case(
            "\"Odd \"\"name\"",
            "CREATE TABLE $t (\"K k\" int PRIMARY KEY, \"v\"\"\" text); INSERT INTO $t VALUES (1, 'a')",
            "UPDATE $t SET \"v\"\"\" = 'b'",
            &["different 1:1 K k=1 | v\": a -> b"],
        ),
    ]
}

/// Keys of many types: one row's value is changed in each, and one row's key in another.
fn cases_of_keys() -> Vec<Case> {
    let keys = [
        ("k_text", "text COLLATE \"C\"", "'Ä\t\\\n''' || i", "Ä\t\\\n'5"),
        ("k_varchar", "varchar(20) COLLATE \"POSIX\"", "'é ' || i || ' '", "é 5 "),
        ("k_bpchar", "char(6)", "'b' || i", "b5    "),
        ("k_uuid", "uuid", "md5(i::text)::uuid", "e4da3b7f-bbce-2345-d777-2b0674a318d5"),
        ("k_numeric", "numeric", "i * 1.50", "7.50"),
        (
            "k_time",
            "timestamptz",
            "'2026-03-29 00:30:00+00'::timestamptz + i * interval '10 min'",
            "2026-03-29 01:20:00+00",
        ),
        ("k_date", "date", "date '0044-03-10 BC' + i", "0044-03-15 BC"),
        ("k_bytea", "bytea", "decode('00' || lpad(to_hex(i), 2, '0') || 'ff', 'hex')", "\\x0005ff"),
        ("k_bigint", "bigint", "i - 6::bigint", "-1"),
        ("k_float", "float8", "i / 3.0", "1.6666666666666667"),
        ("k_interval", "interval", "i * interval '1 day 1 sec'", "5 days 00:00:05"),
        ("k_inet", "inet", "('10.0.0.' || i)::inet", "10.0.0.5"),
        ("k_array", "int[]", "ARRAY[i, NULL]", "{5,NULL}"),
        ("k_range", "int4range", "int4range(i, i + 1)", "[5,6)"),
    ];
    let case_of = |(name, kind, key, shown): (&str, &str, &str, &str)| {
        let create = format!(
            "CREATE TABLE $t (k {kind} PRIMARY KEY, n int, v text); \
             INSERT INTO $t SELECT {key}, i, 'v' FROM generate_series(1, 30) i"
        );
        let expected = format!("different 1:1 k={shown} | v: v -> x");
        case(name, &create, "UPDATE $t SET v = 'x' WHERE n = 5", &[&expected])
    };
    keys.into_iter().map(case_of).collect()
}

/// Of each type a pair of values that differ by little: type, left, right, and how they are shown.
const VALUES: [(&str, &str, &str, &str); 44] = [
    ("bool", "true", "false", "t -> f"),
    ("int2", "'1'", "'2'", "1 -> 2"),
    ("int4", "2147483647", "'-2147483648'", "2147483647 -> -2147483648"),
    ("int8", "'9007199254740993'", "'9007199254740992'", "9007199254740993 -> 9007199254740992"),
    ("oid", "'4294967295'", "'4294967294'", "4294967295 -> 4294967294"),
    ("float4", "'0.1'", "'0.10000001'", "0.1 -> 0.10000001"),
    ("float8", "'0'", "'-0'", "0 -> -0"),
    ("float8", "'1'", "'NaN'", "1 -> NaN"),
    ("float8", "'0.1'", "'0.10000000000000002'", "0.1 -> 0.10000000000000002"),
    ("numeric", "'1.0'", "'1.00'", "1.0 -> 1.00"),
    ("numeric", "'NaN'", "NULL", "NaN -> NULL"),
    ("money", "'12.34'", "'12.35'", "$12.34 -> $12.35"),
    ("text", "''", "NULL", " -> NULL"),
    ("text", "'a'", "'a '", "a -> a "),
    ("text", "E'a\\tb'", "'a\\tb'", "a\tb -> a\\tb"),
    ("text", "'é'", "U&'e\\0301'", "é -> e\u{301}"),
    ("varchar", "'NULL'", "NULL", "NULL -> NULL"),
    ("bpchar", "'a'", "'a '", "a -> a "),
    ("char(3)", "'a'", "'b'", "a   -> b  "),
    ("\"char\"", "'a'", "'b'", "a -> b"),
    ("name", "'a'", "'A'", "a -> A"),
    ("bytea", "'\\x00ff'", "'\\x01ff'", "\\x00ff -> \\x01ff"),
    ("bytea", "'\\x'", "'\\x00'", "\\x -> \\x00"),
    ("date", "'infinity'", "'2026-01-01'", "infinity -> 2026-01-01"),
    ("time", "'24:00'", "'00:00'", "24:00:00 -> 00:00:00"),
    ("timetz", "'12:00+01'", "'11:00+00'", "12:00:00+01 -> 11:00:00+00"),
    (
        "timestamp",
        "'2026-01-01'",
        "'2026-01-01 00:00:00.000001'",
        "2026-01-01 00:00:00 -> 2026-01-01 00:00:00.000001",
    ),
    (
        "timestamptz",
        "'2026-01-01 00:00+00'",
        "'2026-01-01 00:00+01'",
        "2026-01-01 00:00:00+00 -> 2025-12-31 23:00:00+00",
    ),
    ("interval", "'1 day'", "'24 hours'", "1 day -> 24:00:00"),
    (
        "uuid",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a10'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 -> a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a10",
    ),
    ("json", "'{\"a\":1}'", "'{\"a\": 1}'", "{\"a\":1} -> {\"a\": 1}"),
    ("jsonb", "'{\"a\":1}'", "'{\"a\":1.0}'", "{\"a\": 1} -> {\"a\": 1.0}"),
    ("inet", "'10.0.0.1/24'", "'10.0.0.1'", "10.0.0.1/24 -> 10.0.0.1"),
    ("cidr", "'10.0.0.0/8'", "'10.0.0.0/9'", "10.0.0.0/8 -> 10.0.0.0/9"),
    ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'", "08:00:2b:01:02:03 -> 08:00:2b:01:02:04"),
    ("bit(3)", "B'101'", "B'100'", "101 -> 100"),
    ("varbit", "B'1'", "B'10'", "1 -> 10"),
    ("tsvector", "'a:1'", "'a:1A'", "'a':1 -> 'a':1A"),
    ("point", "'(0,1)'", "'(-0,1)'", "(0,1) -> (-0,1)"),
    ("int4range", "'empty'", "NULL", "empty -> NULL"),
    ("int[]", "'{1,NULL}'", "'{1}'", "{1,NULL} -> {1}"),
    ("text[]", "'{\"\"}'", "'{}'", "{\"\"} -> {}"),
    ("mood", "'sad'", "'happy'", "sad -> happy"),
    ("pair", "ROW(1, NULL)::pair", "ROW(1, '')::pair", "(1,) -> (1,\"\")"),
];

fn together(cases: [Vec<Case>; 2]) -> Vec<Case> {
    cases.into_iter().flatten().collect()
}

fn cases_of_types() -> Vec<Case> {
    let case_of = |(number, (kind, left, right, shown)): (usize, &(&str, &str, &str, &str))| {
        let create = of_value("$t", kind, &format!("{left}::{kind}"));
        let change = format!("UPDATE $t SET v = {right}::{kind} WHERE id = 42");
        case(&format!("v{number}"), &create, &change, &[&format!("different 1:1 id=42 | v: {shown}")])
    };
    VALUES.iter().enumerate().map(case_of).collect()
}

/// What both sides have, and both have alike.
const ALIKE: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
    CREATE TABLE alike (id int PRIMARY KEY, a text, b bytea, c timestamptz, d float8, e interval, f bpchar, g pair);
    INSERT INTO alike SELECT i, 'a' || i, '\\x00ff', '2026-01-01', 1 / 3.0, '1 day 2 hours', 'x ', ROW(1, NULL)::pair
        FROM generate_series(1, 200) i;
    CREATE TABLE bag (a text); INSERT INTO bag SELECT 'a' || i % 7 FROM generate_series(1, 100) i";

/// Settings that shape text, some for either side.
fn set_oddly(server: &Server, db: &str, left: bool) {
    let (style, zone, bytes) = match left {
        true => ("SQL, DMY", "Asia/Tokyo", "escape"),
        false => ("German", "America/St_Johns", "hex"),
    };
    server.psql(
        "postgres",
        &format!(
            "ALTER DATABASE {db} SET DateStyle = '{style}'; ALTER DATABASE {db} SET TimeZone = '{zone}';
             ALTER DATABASE {db} SET bytea_output = '{bytes}'; ALTER DATABASE {db} SET extra_float_digits = -9;
             ALTER DATABASE {db} SET IntervalStyle = 'iso_8601'; ALTER DATABASE {db} SET enable_tidscan = off;
             ALTER DATABASE {db} SET standard_conforming_strings = off"
        ),
    );
}

/// Creates the tables of these cases, as they are on the left.
fn fill(server: &Server, db: &str, cases: &[Case]) {
    server.create_db(db);
    let creates: Vec<&str> = cases.iter().map(|case| case.create.as_str()).collect();
    server.psql(db, &format!("{ALIKE}; SELECT lo_from_bytea(4711, 'hello'); {}", creates.join(";\n")));
}

/// Plants the changes.
fn change(server: &Server, db: &str, cases: &[Case]) {
    let changes: Vec<&str> = cases.iter().map(|case| case.change.as_str()).collect();
    server.psql(db, &format!("{}; SELECT lo_put(4711, 1, 'a')", changes.join(";\n")));
}

fn shown(value: &ShownValue) -> String {
    match value {
        ShownValue::Null => "NULL".to_owned(),
        ShownValue::Text { text, .. } => text.clone(),
        other => format!("{other:?}"),
    }
}

/// A row as the cases write it.
fn line(row: &DifferingRow) -> String {
    let kind = match row.kind {
        RowDifference::Missing => "missing",
        RowDifference::Extra => "extra",
        RowDifference::Different => "different",
        RowDifference::Count => "count",
    };
    let key: Vec<String> =
        row.key.iter().map(|part| format!("{}={}", part.name, shown(&part.value))).collect();
    let key = if key.is_empty() { String::new() } else { format!(" {}", key.join(",")) };
    let side = |value: &Option<ShownValue>| value.as_ref().map_or("-".to_owned(), shown);
    let column = |column: &dbhaul_verifier::DifferingColumn| {
        format!(" | {}: {} -> {}", column.name, side(&column.left), side(&column.right))
    };
    let columns: String = row.columns.iter().map(column).collect();
    format!("{kind} {}:{}{key}{columns}", row.left_count, row.right_count)
}

/// Notes and rows as the cases write them.
fn lines(rows: &DifferingRows) -> Vec<String> {
    let notes = rows.notes.iter().map(|note| format!("note {note}"));
    let mut found: Vec<String> = rows.rows.iter().map(line).collect();
    found.sort();
    notes.chain(found).collect()
}

/// Fails unless the report has what these cases expect, and no other table that differs.
#[track_caller]
fn assert_located(report: &Report, cases: &[Case], what: &str) {
    let blob = "different 1:1 loid=4711,page=0 | data: \\x68656c6c6f -> \\x68616c6c6f";
    let blobs = case("", "", "", &[blob]);
    let blobs = Case { name: "large objects".to_owned(), ..blobs };
    let mut differing = 0;
    for case in cases.iter().chain([&blobs]) {
        let table = report.tables.iter().find(|table| table.name == case.name);
        let table = table.unwrap_or_else(|| panic!("{what}: {} is not in the report", case.name));
        let rows = table.rows.as_ref().unwrap_or_else(|| panic!("{what}: {table:?}"));
        let mut expected = case.expected.clone();
        let notes = expected.iter().filter(|line| line.starts_with("note ")).count();
        expected[notes..].sort();
        assert_eq!(lines(rows), expected, "{what}: {}", case.name);
        assert!(rows.is_complete, "{what}: {}", case.name);
        differing += 1;
    }
    let others: Vec<&str> = report
        .tables
        .iter()
        .filter(|table| !matches!(table.verdict, Verdict::Equal { .. }))
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(others.len(), differing, "{what}: {others:?}");
    assert!(!report.agrees(), "{what}");
}

/// Runs `verify` with a report in a file; returns both.
fn verify_to_file(arguments: &[&str], code: i32) -> (Report, Finished) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    let run = Dbhaul::new(["verify"]).args(arguments).arg("--report").arg(&file).run();
    run.assert_code(code);
    let text = std::fs::read_to_string(&file).unwrap();
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), run)
}

fn dump(server: &Server, db: &str, store: &TempDir) {
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &server.uri(db), "--store", store]).run().assert_code(0);
}

async fn verify_sides(left: VerifySide, right: VerifySide) -> Report {
    let request = VerifyRequest {
        left,
        right,
        selection: Selection::default(),
        jobs: 2,
        owners: true,
        privileges: true,
        database: false,
        role_map: RoleMap::default(),
        scratch: Scratch::default(),
        mode: vec![Mode::Deep],
        shown: ShownRows { values: ShowValues::Show, ..ShownRows::default() },
        checks: Checks::default(),
        accept: AcceptList::default(),
        repair_sql: None,
        max_seconds: None,
        computed: Computed::default(),
    };
    verify(request, Context::silent()).await.unwrap().report
}

fn backup(store: &TempDir) -> VerifySide {
    let store: StoreUrl = store.path().to_str().unwrap().parse().unwrap();
    VerifySide::Backup { store, backup: BackupRef::Latest, database: None, rows_were_read: false }
}

fn live(server: &Server, db: &str) -> VerifySide {
    VerifySide::Live(ConnectSettings::resolve(Some(&server.uri(db)), &|_| None).unwrap())
}

/// Between all kinds of sides.
async fn locate_everywhere(majors: (u16, u16), cases: &[Case]) {
    let (left, right) = (Server::start(majors.0), Server::start(majors.1));
    fill(&left, "shop", cases);
    fill(&right, "copy", cases);
    change(&right, "copy", cases);
    set_oddly(&left, "shop", true);
    set_oddly(&right, "copy", false);
    let (shop, copy) = (left.uri("shop"), right.uri("copy"));
    let (kept, copied) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    dump(&left, "shop", &kept);
    dump(&right, "copy", &copied);

    let how = ["--mode", "deep", "--values", "show", "--target", &copy];
    let (report, _) = verify_to_file(&[&how[..], &["--source", &shop]].concat(), 4);
    assert_located(&report, cases, "live and live");
    let store = kept.path().to_str().unwrap();
    let (report, _) = verify_to_file(&[&how[..], &["--store", store]].concat(), 4);
    assert_located(&report, cases, "backup and live");
    assert_located(&verify_sides(backup(&kept), backup(&copied)).await, cases, "backup and backup");
    let report = verify_sides(live(&left, "shop"), backup(&copied)).await;
    assert_located(&report, cases, "live and backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_keys_are_located_on_15() {
    locate_everywhere((15, 15), &together([cases_of_rows(), cases_of_keys()])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_keys_are_located_on_18() {
    locate_everywhere((18, 18), &together([cases_of_rows(), cases_of_keys()])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_are_located_from_13_to_18() {
    locate_everywhere((13, 18), &cases_of_types()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_are_located_from_15_to_15() {
    locate_everywhere((15, 15), &cases_of_types()).await;
}

/// Sides that are alike, whatever their settings.
#[test]
fn equal_sides_have_no_rows_that_differ() {
    let (left, right) = (Server::start(15), Server::start(18));
    let cases = together([cases_of_rows(), cases_of_types()]);
    fill(&left, "shop", &cases);
    fill(&right, "copy", &cases);
    set_oddly(&left, "shop", true);
    set_oddly(&right, "copy", false);
    let sides = ["--mode", "deep", "--source", &left.uri("shop"), "--target", &right.uri("copy")];
    let (report, run) = verify_to_file(&sides, 0);
    assert!(report.tables.len() > 50 && report.tables.iter().all(|table| table.rows.is_none()));
    assert_eq!(report.mode, [Mode::Deep]);
    run.assert_says("ROWS EQUAL, DEFINITIONS NOT COMPARED");
}

/// A table so large that groups are compared first, twice: with a key and without.
const LARGE: &str = "CREATE TABLE large (id bigint PRIMARY KEY, v text, filler text);
    INSERT INTO large SELECT i, 'v' || i % 100, repeat('x', 100) FROM generate_series(1, 40000) i;
    CREATE TABLE pile (v text, n int); INSERT INTO pile SELECT 'v' || i % 9000, 1 FROM generate_series(1, 18000) i";

/// Four changes in the one, two in the other.
const FAULTS: &str = "UPDATE large SET v = 'V1' WHERE id = 1; DELETE FROM large WHERE id = 20000;
    INSERT INTO large VALUES (-5, NULL, ''); UPDATE large SET filler = filler || ' ' WHERE id = 39999;
    DELETE FROM pile WHERE ctid IN (SELECT ctid FROM pile WHERE v = 'v17' LIMIT 1); INSERT INTO pile VALUES ('v17 ', 1)";

#[tokio::test(flavor = "multi_thread")]
async fn of_large_tables_only_groups_that_differ_are_brought_here() {
    let (left, right) = (Server::start(18), Server::start(15));
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.create_db(db);
        server.psql(db, LARGE);
    }
    right.psql("copy", FAULTS);
    let (one, two) = (Proxy::before(left.port()), Proxy::before(right.port()));
    let (shop, copy) = (one.uri("shop"), two.uri("copy"));
    let (report, _) =
        verify_to_file(&["--mode", "deep", "--values", "show", "--source", &shop, "--target", &copy], 4);
    check_faults(&report);
    for (proxy, name) in [(&one, "left"), (&two, "right")] {
        for table in ["public.large", "public.pile"] {
            let asked = statements_of(&proxy.statements(), table);
            // the scan that took the digest of the large one has told its groups
            let groups = usize::from(table == "public.pile");
            assert_eq!(asked.len(), 2 + groups, "{name} {table}: {asked:#?}");
            let scans = asked.iter().filter(|sql| !sql.contains("ctid OPERATOR(pg_catalog.=) ANY")).count();
            assert_eq!(scans, 1 + groups, "{name} {table}: {asked:#?}");
            // of the second scan, only what is in groups that differ
            assert!(asked[groups].contains("pg_catalog.get_bit"), "{}", asked[groups]);
        }
        // 40,000 rows of more than 100 bytes, of which a few groups of 40 are brought here by their hashes
        assert!(proxy.passed_bytes() < 1_000_000, "{name}: {} bytes", proxy.passed_bytes());
    }

    let (kept, copied) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    dump(&left, "shop", &kept);
    dump(&right, "copy", &copied);
    check_faults(&verify_sides(backup(&kept), live(&right, "copy")).await);
    check_faults(&verify_sides(backup(&kept), backup(&copied)).await);
}

/// The statements of a drill-down that read a table.
fn statements_of(statements: &[Statement], table: &str) -> Vec<String> {
    let is_of_it = |sql: &str| sql.contains(" AS kept") && sql.contains(&format!("FROM ONLY {table} "));
    statements.iter().map(|one| one.sql.clone()).filter(|sql| is_of_it(sql)).collect()
}

#[track_caller]
fn check_faults(report: &Report) {
    let of = |name: &str| {
        let table = report.tables.iter().find(|table| table.name == name).unwrap();
        table.rows.as_deref().unwrap_or_else(|| panic!("{table:?}"))
    };
    let filler = "x".repeat(100);
    let mut expected = vec![
        "different 1:1 id=1 | v: v1 -> V1".to_owned(),
        "extra 0:1 id=-5".to_owned(),
        "missing 1:0 id=20000".to_owned(),
        format!("different 1:1 id=39999 | filler: {filler} -> {filler} "),
    ];
    expected.sort();
    let large = of("public.large");
    assert_eq!(lines(large), expected);
    assert_eq!((large.missing_count, large.extra_count, large.different_count), (1, 1, 2));
    let pile = of("public.pile");
    let expected = ["count 2:1 | v: v17 -> v17 | n: 1 -> 1", "extra 0:1 | v: - -> v17  | n: - -> 1"];
    assert_eq!(lines(pile)[1..], expected);
    assert!(large.is_complete && pile.is_complete);
}

#[test]
fn no_more_rows_are_shown_than_asked_for_and_all_are_counted() {
    let server = Server::start(16);
    for db in ["shop", "copy"] {
        server.create_db(db);
        server.psql(db, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 500) i");
    }
    server.psql("copy", "UPDATE t SET v = -v WHERE id > 450; DELETE FROM t WHERE id <= 10");
    let sides = ["--mode", "deep", "--source", &server.uri("shop"), "--target", &server.uri("copy")];
    for most in [0, 3, 100] {
        let most_text = most.to_string();
        let (report, _) = verify_to_file(&[&sides[..], &["--max-rows", &most_text]].concat(), 4);
        let rows = report.tables[0].rows.as_deref().unwrap();
        assert_eq!((rows.different_count, rows.missing_count, rows.extra_count), (50, 10, 0));
        assert_eq!((rows.rows.len(), rows.is_complete), (most.min(60), true));
    }
}

/// A value that no report may hold, unless it is asked for.
const SECRET: &str = "Zyx-4711-secret";

#[test]
fn masked_values_and_keys_leave_nothing_behind() {
    let server = Server::start(17);
    for db in ["shop", "copy"] {
        server.create_db(db);
        let create = format!(
            "CREATE TABLE person (mail text PRIMARY KEY, v text, n int);
             INSERT INTO person VALUES ('{SECRET}1', 'a', 1), ('{SECRET}2', '{SECRET}', 77123456), ('x', '{SECRET}', 1);
             CREATE TABLE bag (v text); INSERT INTO bag VALUES ('{SECRET}'), ('x')"
        );
        server.psql(db, &create);
    }
    server.psql(
        "copy",
        &format!(
            "UPDATE person SET v = '{SECRET}', n = NULL WHERE mail = '{SECRET}1'; DELETE FROM person WHERE mail = '{SECRET}2';
             UPDATE person SET v = 'b{SECRET}' WHERE mail = 'x'; INSERT INTO bag VALUES ('{SECRET}3')"
        ),
    );
    let sides = ["--source", &server.uri("shop"), "--target", &server.uri("copy"), "-vv"];
    for values in [&[][..], &["--values", "mask"], &["--values", "omit"]] {
        let (report, run) = verify_to_file(&[&sides[..], &["--mode", "schema,deep"], values].concat(), 4);
        let json = serde_json::to_string(&report).unwrap();
        for (what, text) in [("report", &json), ("stdout", &run.stdout), ("stderr", &run.stderr)] {
            assert!(!text.contains("Zyx") && !text.contains("77123456"), "{values:?}, {what}: {text}");
            assert!(!text.contains(&server_hash(&server, SECRET)), "{values:?}, {what}: {text}");
        }
        let rows = report.tables.iter().find(|table| table.name == "public.person").unwrap();
        let rows = rows.rows.as_deref().unwrap();
        assert_eq!((rows.different_count, rows.missing_count), (2, 1));
        let names: Vec<Vec<&str>> = rows
            .rows
            .iter()
            .map(|row| row.columns.iter().map(|column| column.name.as_str()).collect())
            .collect();
        assert_eq!(names, [&["v", "n"][..], &[], &["v"]]);
        // where each lies can be told
        assert_eq!(rows.rows[0].left_at.as_deref(), Some("(0,1)"));
        let values_of_first = &rows.rows[0].columns;
        match rows.values {
            ShowValues::Omit => assert_eq!(values_of_first[1].right, Some(ShownValue::Omitted)),
            _ => {
                assert_eq!(values_of_first[1].right, Some(ShownValue::Null));
                // the same value has the same mark
                assert_eq!(values_of_first[0].right, rows.rows[2].columns[0].left);
            }
        }
    }
}

/// The hash by which values are compared, as the server prints it: to try all short values on it is easy.
fn server_hash(server: &Server, value: &str) -> String {
    server.psql("postgres", &format!("SELECT hashtextextended('{value}' COLLATE \"C\", 0)"))
}

#[test]
fn what_does_not_compare_is_not_located_and_says_so() {
    let (left, right) = (Server::start(18), Server::start(18));
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.create_db(db);
        server.psql(
            db,
            "CREATE TABLE narrow (id int PRIMARY KEY, a int); INSERT INTO narrow VALUES (1, 1);
             CREATE TABLE rekeyed (a int NOT NULL, b int NOT NULL, c int);
             INSERT INTO rekeyed SELECT i, -i, 0 FROM generate_series(1, 10) i",
        );
    }
    left.psql("shop", "ALTER TABLE narrow ADD b int; ALTER TABLE rekeyed ADD PRIMARY KEY (a)");
    right.psql("copy", "ALTER TABLE rekeyed ADD PRIMARY KEY (b); UPDATE rekeyed SET c = 1 WHERE a = 4");
    let sides =
        ["--mode", "deep", "--values", "show", "--source", &left.uri("shop"), "--target", &right.uri("copy")];
    let (report, _) = verify_to_file(&sides, 4);
    let of = |name: &str| report.tables.iter().find(|table| table.name == name).unwrap();
    let narrow = of("public.narrow");
    assert!(
        matches!(&narrow.verdict, Verdict::NotVerified { reason } if reason.contains("its columns differ")),
        "{narrow:?}"
    );
    assert!(narrow.rows.is_none());
    let expected = [
        "note the left has the key (a) and the right the key (b): rows were matched by (a)",
        "different 1:1 a=4 | c: 0 -> 1",
    ];
    assert_eq!(lines(of("public.rekeyed").rows.as_deref().unwrap()), expected);
}

#[test]
fn values_of_another_encoding_are_located() {
    let latin = Server::builder(16).encoding(Encoding::Latin1).start();
    let utf8 = Server::start(16);
    for (server, db) in [(&latin, "shop"), (&utf8, "copy")] {
        server.create_db(db);
        server.psql(
            db,
            r"CREATE TABLE t (k text PRIMARY KEY, v text, w text);
             INSERT INTO t VALUES (U&'Gr\00F6\00DFe', U&'wei\00DF', U&'\00E4'), (U&'Ma\00DF', U&'wei\00DF', U&'\00E4'),
                 ('c', 'd', NULL)",
        );
    }
    utf8.psql("copy", "UPDATE t SET v = 'weiss' WHERE k LIKE 'Gr%'");
    let sides =
        ["--mode", "deep", "--values", "show", "--source", &latin.uri("shop"), "--target", &utf8.uri("copy")];
    let (report, _) = verify_to_file(&sides, 4);
    let rows = report.tables[0].rows.as_deref().unwrap();
    assert_eq!(lines(rows), ["different 1:1 k=Größe | v: weiß -> weiss"]);
    let store = TempDir::new().unwrap();
    dump(&latin, "shop", &store);
    let store = store.path().to_str().unwrap();
    let sides = ["--mode", "deep", "--values", "show", "--store", store, "--target", &utf8.uri("copy")];
    let (report, _) = verify_to_file(&sides, 4);
    let rows = report.tables[0].rows.as_deref().unwrap();
    assert_eq!(lines(rows), ["different 1:1 k=Größe | v: weiß -> weiss"]);
    let ShownValue::Text { bytes, .. } = rows.rows[0].columns[0].left.as_ref().unwrap() else { panic!() };
    assert_eq!(*bytes, 5);
}

/// Each of its objects raises an error with this word.
const TRAP: &str = include_str!("../fixtures/cases/hostile-path.sql");

#[test]
fn nothing_of_a_hostile_search_path_is_found() {
    for major in [15, 18] {
        let server = Server::start(major);
        for db in ["shop", "copy"] {
            server.create_db(db);
            server.psql(db, TRAP);
            server.psql(db, "SET search_path = pg_catalog, public; CREATE TABLE public.t (id int PRIMARY KEY, v text); \
                             INSERT INTO public.t VALUES (1, 'a'), (2, 'b'); CREATE TABLE public.bag AS SELECT 1 AS a");
        }
        server.psql(
            "copy",
            "SET search_path = pg_catalog; UPDATE public.t SET v = 'c' WHERE v OPERATOR(pg_catalog.=) 'b'; \
                             INSERT INTO public.bag VALUES (1)",
        );
        for db in ["shop", "copy"] {
            server
                .psql("postgres", &format!("ALTER DATABASE {db} SET search_path = evil, public, pg_catalog"));
        }
        let sides = ["--source", &server.uri("shop"), "--target", &server.uri("copy"), "--values", "show"];
        let (report, _) = verify_to_file(&[&sides[..], &["--mode", "deep"]].concat(), 4);
        let of = |name: &str| report.tables.iter().find(|table| table.name == name).unwrap();
        assert_eq!(lines(of("public.t").rows.as_deref().unwrap()), ["different 1:1 id=2 | v: b -> c"]);
        assert_eq!(lines(of("public.bag").rows.as_deref().unwrap())[1], "count 1:2 | a: 1 -> 1");
        assert!(!server.log().contains("ERROR:  PWNED"), "{major}");
    }
}

/// A table that no query may read, for functions of others stand in its indexes, is read by a COPY.
#[test]
fn tables_that_no_query_may_read_are_read_whole() {
    let server = Server::start(15);
    for db in ["shop", "copy"] {
        server.create_db(db);
        server.psql(
            db,
            "SET search_path = pg_catalog, public; SET check_function_bodies = off;
             CREATE FUNCTION public.inner_step(int) RETURNS int LANGUAGE sql IMMUTABLE
                 AS 'SELECT $1 OPERATOR(pg_catalog.+) 1';
             CREATE FUNCTION public.outer_step(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT inner_step($1)';
             CREATE TABLE public.t (id int PRIMARY KEY, v text); CREATE INDEX ON public.t (public.outer_step(id)) WHERE id > 5;
             INSERT INTO public.t SELECT i, 'v' FROM generate_series(1, 9000) i",
        );
    }
    server.psql("copy", "SET search_path = pg_catalog, public; UPDATE public.t SET v = 'w' WHERE id = 8888");
    let sides = [
        "--mode",
        "deep",
        "--values",
        "show",
        "--source",
        &server.uri("shop"),
        "--target",
        &server.uri("copy"),
    ];
    let (report, _) = verify_to_file(&sides, 4);
    assert_eq!(lines(report.tables[0].rows.as_deref().unwrap()), ["different 1:1 id=8888 | v: v -> w"]);
}

#[test]
fn a_verdict_never_says_more_than_was_compared() {
    let server = Server::start(18);
    for db in ["shop", "copy", "other"] {
        server.create_db(db);
        server
            .psql(db, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    }
    server.psql("copy", "UPDATE t SET v = 'c' WHERE id = 2");
    server.psql("other", "DELETE FROM t WHERE id = 2; CREATE VIEW w AS SELECT 1 AS one");
    let shop = server.uri("shop");
    let store = TempDir::new().unwrap();
    dump(&server, "shop", &store);
    let store = store.path().to_str().unwrap();
    let check = |mode: &str, target: &str, code: i32, says: &str| {
        for left in [["--source", &shop], ["--store", store]] {
            let (report, run) =
                verify_to_file(&["--mode", mode, left[0], left[1], "--target", &server.uri(target)], code);
            run.assert_says(says);
            assert_eq!(report.agrees(), code == 0);
            assert!(code != 0 || !mode.contains("counts") || !report.is_equal(), "{mode}");
        }
    };
    check("schema", "copy", 0, "DEFINITIONS EQUAL, ROWS NOT COMPARED");
    check("counts", "copy", 0, "COUNTS OF ROWS EQUAL, CONTENTS AND DEFINITIONS NOT COMPARED");
    check("schema,counts", "copy", 0, "DEFINITIONS AND COUNTS OF ROWS EQUAL, CONTENTS OF ROWS NOT COMPARED");
    check("digest", "copy", 4, "NOT EQUAL");
    check("counts,digest", "copy", 4, "NOT EQUAL");
    check("counts", "other", 4, "NOT EQUAL");
    check("schema", "other", 4, "NOT EQUAL");
    check("digest", "other", 4, "NOT EQUAL");
    let (report, _) =
        verify_to_file(&["--mode", "counts", "--source", &shop, "--target", &server.uri("other")], 4);
    assert_eq!(report.tables[0].verdict, Verdict::OtherCount { left: 2, right: 1 });
    for wrong in [
        &["--mode", "digest", "--max-rows", "3"][..],
        &["--values", "show"],
        &["--mode", "schema", "--data-only"],
        &["--mode", "counts", "--schema-only"],
        &["--mode", "everything"],
    ] {
        let run =
            Dbhaul::new(["verify", "--source", &shop, "--target", &server.uri("copy")]).args(wrong).run();
        run.assert_code(2);
    }
}
