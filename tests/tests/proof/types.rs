//! Of each built-in type, alone and in an array, one value that differs by as little as it can.

use dbhaul_tests::Server;

use crate::findings::{Findings, assert_finds, verify};

/// A type, a value of it, another that differs by little, and how a report shows both.
type Pair = (&'static str, &'static str, &'static str, &'static str);

const PAIRS: &[Pair] = &[
    ("bool", "true", "false", "t -> f"),
    ("bytea", r"\x00ff", r"\x00fe", r"\x00ff -> \x00fe"),
    ("\"char\"", "a", "b", "a -> b"),
    ("name", "a", "a ", "a -> a "),
    ("int8", "9007199254740993", "9007199254740992", "9007199254740993 -> 9007199254740992"),
    ("int2", "-32768", "32767", "-32768 -> 32767"),
    ("int2vector", "1 2", "2 1", "1 2 -> 2 1"),
    ("int4", "2147483647", "-2147483648", "2147483647 -> -2147483648"),
    ("regproc", "int4lt", "int4le", "int4lt -> int4le"),
    ("text", "a", "a ", "a -> a "),
    ("oid", "4294967295", "4294967294", "4294967295 -> 4294967294"),
    ("tid", "(0,1)", "(1,0)", "(0,1) -> (1,0)"),
    ("xid", "4294967295", "0", "4294967295 -> 0"),
    ("cid", "0", "1", "0 -> 1"),
    ("oidvector", "1 2", "12", "1 2 -> 12"),
    ("json", "{\"a\":1}", "{\"a\": 1}", "{\"a\":1} -> {\"a\": 1}"),
    ("xml", "<a/>", "<a></a>", "<a/> -> <a></a>"),
    ("xid8", "18446744073709551615", "4294967295", "18446744073709551615 -> 4294967295"),
    ("point", "(0,1)", "(-0,1)", "(0,1) -> (-0,1)"),
    ("lseg", "[(0,0),(1,1)]", "[(1,1),(0,0)]", "[(0,0),(1,1)] -> [(1,1),(0,0)]"),
    ("path", "((0,0),(1,1))", "[(0,0),(1,1)]", "((0,0),(1,1)) -> [(0,0),(1,1)]"),
    ("box", "(1,1),(0,0)", "(1,1),(0,-0)", "(1,1),(0,0) -> (1,1),(0,-0)"),
    ("polygon", "((0,0),(1,1),(1,0))", "((1,1),(1,0),(0,0))", "((0,0),(1,1),(1,0)) -> ((1,1),(1,0),(0,0))"),
    ("line", "{1,2,3}", "{2,4,6}", "{1,2,3} -> {2,4,6}"),
    ("float4", "0.1", "0.10000001", "0.1 -> 0.10000001"),
    ("float8", "0", "-0", "0 -> -0"),
    ("circle", "<(0,0),1>", "<(0,0),1.0000000000000002>", "<(0,0),1> -> <(0,0),1.0000000000000002>"),
    ("money", "-0.01", "0.01", "-$0.01 -> $0.01"),
    ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:02", "08:00:2b:01:02:03 -> 08:00:2b:01:02:02"),
    ("inet", "10.0.0.1/24", "10.0.0.1", "10.0.0.1/24 -> 10.0.0.1"),
    ("cidr", "10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/8 -> 10.0.0.0/9"),
    (
        "macaddr8",
        "08:00:2b:01:02:03:04:05",
        "08:00:2b:01:02:03:04:04",
        "08:00:2b:01:02:03:04:05 -> 08:00:2b:01:02:03:04:04",
    ),
    ("aclitem", "one=r/one", "one=r*/one", "one=r/one -> one=r*/one"),
    ("bpchar", "a", "a ", "a -> a "),
    ("varchar", "a", "A", "a -> A"),
    ("date", "0001-01-01 BC", "0001-01-01", "0001-01-01 BC -> 0001-01-01"),
    ("time", "24:00:00", "00:00:00", "24:00:00 -> 00:00:00"),
    ("timestamp", "infinity", "-infinity", "infinity -> -infinity"),
    (
        "timestamptz",
        "2026-01-01 00:00:00+00",
        "2026-01-01 00:00:00.000001+00",
        "2026-01-01 00:00:00+00 -> 2026-01-01 00:00:00.000001+00",
    ),
    ("interval", "1 mon", "30 days", "1 mon -> 30 days"),
    ("timetz", "12:00:00+01", "11:00:00+00", "12:00:00+01 -> 11:00:00+00"),
    ("bit(3)", "101", "100", "101 -> 100"),
    ("varbit", "1", "10", "1 -> 10"),
    ("numeric", "NaN", "0", "NaN -> 0"),
    ("refcursor", "a", "b", "a -> b"),
    (
        "regprocedure",
        "int4lt(integer,integer)",
        "int4le(integer,integer)",
        "int4lt(integer,integer) -> int4le(integer,integer)",
    ),
    ("regoper", "|/", "||/", "|/ -> ||/"),
    ("regoperator", "<(integer,integer)", ">(integer,integer)", "<(integer,integer) -> >(integer,integer)"),
    ("regclass", "pg_class", "pg_proc", "pg_class -> pg_proc"),
    ("regtype", "integer", "bigint", "integer -> bigint"),
    ("regrole", "one", "two", "one -> two"),
    ("regnamespace", "pg_catalog", "public", "pg_catalog -> public"),
    ("regcollation", "\"C\"", "\"POSIX\"", "\"C\" -> \"POSIX\""),
    ("regconfig", "simple", "english", "simple -> english"),
    ("regdictionary", "simple", "english_stem", "simple -> english_stem"),
    (
        "uuid",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a10",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 -> a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a10",
    ),
    ("pg_lsn", "0/1", "1/0", "0/1 -> 1/0"),
    ("tsvector", "'a':1", "'a':1A", "'a':1 -> 'a':1A"),
    ("tsquery", "'a' & 'b'", "'a' <-> 'b'", "'a' & 'b' -> 'a' <-> 'b'"),
    ("jsonb", "{\"a\": 1}", "{\"a\": 1.0}", "{\"a\": 1} -> {\"a\": 1.0}"),
    ("jsonpath", "$.\"a\"", "$.\"A\"", "$.\"a\" -> $.\"A\""),
    ("txid_snapshot", "10:20:10", "10:20:11", "10:20:10 -> 10:20:11"),
    ("pg_snapshot", "10:20:10", "10:20:11", "10:20:10 -> 10:20:11"),
    ("int4range", "empty", "[1,2)", "empty -> [1,2)"),
    ("numrange", "[1,2]", "[1,2)", "[1,2] -> [1,2)"),
    (
        "tsrange",
        "[\"2026-01-01 00:00:00\",)",
        "[\"2026-01-01 00:00:00\",infinity)",
        "[\"2026-01-01 00:00:00\",) -> [\"2026-01-01 00:00:00\",infinity)",
    ),
    (
        "tstzrange",
        "(,\"2026-01-01 00:00:00+00\")",
        "(,\"2026-01-01 00:00:00+00\"]",
        "(,\"2026-01-01 00:00:00+00\") -> (,\"2026-01-01 00:00:00+00\"]",
    ),
    (
        "daterange",
        "[2026-01-01,2026-01-02)",
        "[2026-01-01,2026-01-03)",
        "[2026-01-01,2026-01-02) -> [2026-01-01,2026-01-03)",
    ),
    ("int8range", "(,)", "[1,)", "(,) -> [1,)"),
    ("int4multirange", "{}", "{[1,2)}", "{} -> {[1,2)}"),
    ("nummultirange", "{[1,2]}", "{[1,2)}", "{[1,2]} -> {[1,2)}"),
    ("tsmultirange", "{}", "{(,)}", "{} -> {(,)}"),
    ("tstzmultirange", "{}", "{(,)}", "{} -> {(,)}"),
    ("datemultirange", "{}", "{(,)}", "{} -> {(,)}"),
    ("int8multirange", "{[1,2)}", "{[1,3)}", "{[1,2)} -> {[1,3)}"),
    // more of the same types
    ("numeric", "1.0", "1.00", "1.0 -> 1.00"),
    ("float4", "-0", "0", "-0 -> 0"),
    ("float4", "NaN", "Infinity", "NaN -> Infinity"),
    ("float8", "NaN", "1", "NaN -> 1"),
    ("float8", "0.1", "0.10000000000000002", "0.1 -> 0.10000000000000002"),
    ("float8", "5e-324", "0", "5e-324 -> 0"),
    ("text", "\u{e9}", "e\u{301}", "\u{e9} -> e\u{301}"),
    ("int4[]", "{1,2}", "[0:1]={1,2}", "{1,2} -> [0:1]={1,2}"),
    ("int4[]", "{{1,2},{3,4}}", "{{1,2,3,4}}", "{{1,2},{3,4}} -> {{1,2,3,4}}"),
    ("text[]", "{\"\"}", "{}", "{\"\"} -> {}"),
    ("text[]", "{NULL}", "{\"NULL\"}", "{NULL} -> {\"NULL\"}"),
    ("float8[]", "{0}", "{-0}", "{0} -> {-0}"),
    ("mood", "sad", "happy", "sad -> happy"),
    ("pair", "(1,)", "(1,\"\")", "(1,) -> (1,\"\")"),
    ("small", "1", "2", "1 -> 2"),
    (
        "money",
        "92233720368547758.07",
        "92233720368547758.06",
        "$92,233,720,368,547,758.07 -> $92,233,720,368,547,758.06",
    ),
];

/// Types that no column can hold a value of, which are given as a literal.
const WITHOUT_VALUES: [&str; 6] =
    ["gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary"];

/// Types that both servers have.
const BUILT_IN: &str = "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
    AND typtype IN ('b', 'r', 'm') AND typcategory <> 'A' AND typname NOT LIKE 'pg\\_brin%' ORDER BY 1";

/// The pairs that can be written to a table, each with the name of its table.
fn tables() -> Vec<(String, &'static Pair)> {
    let pairs = PAIRS.iter().filter(|(kind, ..)| !WITHOUT_VALUES.contains(kind));
    pairs.enumerate().map(|(number, pair)| (format!("t{number}"), pair)).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether this type has arrays.
fn has_arrays(kind: &str) -> bool {
    !kind.ends_with("[]")
}

fn fill(server: &Server, db: &str, is_changed: bool) {
    server.psql("postgres", "CREATE ROLE one; CREATE ROLE two");
    server.create_db(db);
    let mut sql = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
        CREATE DOMAIN small AS int;\n"
        .to_owned();
    for (table, (kind, left, right, _)) in tables() {
        let (left, right) = (quoted(left), quoted(right));
        let now = if is_changed { &right } else { &left };
        let (array, arrays) = match has_arrays(kind) {
            true => (format!(", w {kind}[]"), [", ARRAY[", "]"]),
            false => (String::new(), ["", ""]),
        };
        let values = |value: &str| match has_arrays(kind) {
            true => format!("{value}::{kind}{}{value}::{kind}{}", arrays[0], arrays[1]),
            false => format!("{value}::{kind}"),
        };
        sql.push_str(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, v {kind}{array});
             INSERT INTO {table} SELECT i, {} FROM generate_series(1, 20) i;
             INSERT INTO {table} VALUES (42, {});\n",
            values(&left),
            values(now)
        ));
    }
    server.psql(db, &sql);
}

fn expected() -> Findings {
    let line = |(table, (kind, _, _, shown)): &(String, &Pair)| {
        let (left, right) = shown.split_once(" -> ").unwrap();
        let array = if has_arrays(kind) {
            format!(" | w: {} -> {}", element(kind, left), element(kind, right))
        } else {
            String::new()
        };
        format!("public.{table}: different 1:1 id=42 | v: {shown}{array}")
    };
    tables().iter().map(line).collect()
}

/// A value as `array_out` prints it in an array of one.
fn element(kind: &str, text: &str) -> String {
    // boxes alone are not separated by commas
    let separator = if kind == "box" { ';' } else { ',' };
    let is_plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(['{', '}', separator, '"', '\\'])
        && !text.contains(char::is_whitespace);
    match is_plain {
        true => format!("{{{text}}}"),
        false => format!("{{\"{}\"}}", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[test]
fn a_value_of_each_built_in_type_is_located() {
    let (left, right) = (Server::start(14), Server::start(18));
    let types = |server: &Server| server.psql("postgres", BUILT_IN);
    let (of_left, of_right) = (types(&left), types(&right));
    let known = |name: &str| {
        let base = |kind: &str| kind.trim_matches('"').split('(').next().unwrap_or_default().to_owned();
        WITHOUT_VALUES.contains(&name) || PAIRS.iter().any(|(kind, ..)| base(kind) == name)
    };
    for name in of_left.lines().filter(|name| of_right.lines().any(|other| other == *name)) {
        assert!(known(name), "no pair of values of type {name}");
    }
    fill(&left, "shop", false);
    fill(&right, "copy", true);
    let options = ["--mode", "deep", "--values", "show"];
    let report = verify(&left.uri("shop"), &right.uri("copy"), &options);
    assert_finds("types", &report, &expected());
}
