//! Changes of rows, each alone in its table, and what looks like a change and is none.

use dbhaul_tests::Server;

use crate::findings::{Findings, assert_finds, findings, verify};

/// What both sides have, what is done on the right, and what a report has to say: `$t` is a table of its own.
type Change = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// A hundred rows with a key.
const KEYED: &str = "CREATE TABLE $t (id int PRIMARY KEY, v text); INSERT INTO $t SELECT i, 'v' || i FROM generate_series(1, 100) i";

/// As many without.
const KEYLESS: &str =
    "CREATE TABLE $t (id int, v text); INSERT INTO $t SELECT i, 'v' || i FROM generate_series(1, 100) i";

const CHANGES: &[Change] = &[
    ("missing", KEYED, "DELETE FROM $t WHERE id = 7", &["public.$t: missing 1:0 id=7"]),
    ("added", KEYED, "INSERT INTO $t VALUES (0, 'v')", &["public.$t: extra 0:1 id=0"]),
    ("rekeyed", KEYED, "UPDATE $t SET id = -7 WHERE id = 7", &["public.$t: missing 1:0 id=7", "public.$t: extra 0:1 id=-7"]),
    ("swapped", KEYED, "UPDATE $t SET v = CASE id WHEN 4 THEN 'v9' ELSE 'v4' END WHERE id IN (4, 9)",
        &["public.$t: different 1:1 id=4 | v: v4 -> v9", "public.$t: different 1:1 id=9 | v: v9 -> v4"]),
    ("nulled", KEYED, "UPDATE $t SET v = NULL WHERE id = 1", &["public.$t: different 1:1 id=1 | v: v1 -> NULL"]),
    ("emptied", KEYED, "UPDATE $t SET v = '' WHERE id = 1", &["public.$t: different 1:1 id=1 | v: v1 -> "]),
    ("blank", KEYED, "UPDATE $t SET v = v || ' ' WHERE id = 1", &["public.$t: different 1:1 id=1 | v: v1 -> v1 "]),
    ("case", KEYED, "UPDATE $t SET v = upper(v) WHERE id = 1", &["public.$t: different 1:1 id=1 | v: v1 -> V1"]),
    ("no_rows", KEYED, "DELETE FROM $t WHERE id > 2; DELETE FROM $t WHERE id = 1",
        &["public.$t: missing 1:0 id=1"]),
    ("doubled", KEYLESS, "INSERT INTO $t SELECT * FROM $t WHERE id = 3", &["public.$t: count 1:2 | id: 3 -> 3 | v: v3 -> v3"]),
    ("halved", "CREATE TABLE $t (v text); INSERT INTO $t VALUES ('a'), ('a'), ('b')", "DELETE FROM $t WHERE ctid = '(0,1)'",
        &["public.$t: count 2:1 | v: a -> a"]),
    ("both_doubled", "CREATE TABLE $t (v text); INSERT INTO $t VALUES ('a'), ('a'), ('b')",
        "UPDATE $t SET v = CASE WHEN ctid = '(0,1)' THEN 'b' ELSE v END",
        &["public.$t: count 2:1 | v: a -> a", "public.$t: count 1:2 | v: b -> b"]),
    ("columns", "CREATE TABLE $t (id int PRIMARY KEY, a text, b text); INSERT INTO $t VALUES (1, 'x', 'y'), (2, 'x', NULL)",
        "UPDATE $t SET a = b, b = a", &["public.$t: different 1:1 id=1 | a: x -> y | b: y -> x", "public.$t: different 1:1 id=2 | a: x -> NULL | b: NULL -> x"]),
    ("toasted", "CREATE TABLE $t (id int PRIMARY KEY, v text); ALTER TABLE $t ALTER v SET STORAGE EXTERNAL; INSERT INTO $t SELECT i, repeat('x', 100000) FROM generate_series(1, 5) i",
        "UPDATE $t SET v = left(v, 99999) WHERE id = 5; UPDATE $t SET v = NULL WHERE id = 4",
        &["public.$t: different 1:1 id=4 | v: $long -> NULL", "public.$t: different 1:1 id=5 | v: $long -> $long"]),
    ("sequence", "CREATE SEQUENCE $t; SELECT setval('$t', 100)", "SELECT setval('$t', 99)",
        &["position of public.$t: 100 (given out) -> 99 (given out)"]),
    ("sequence_called", "CREATE SEQUENCE $t; SELECT setval('$t', 100)", "SELECT setval('$t', 100, false)",
        &["position of public.$t: 100 (given out) -> 100 (next)"]),
    ("identity", "CREATE TABLE $t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY); INSERT INTO $t SELECT FROM generate_series(1, 5)",
        "ALTER TABLE $t ALTER id RESTART WITH 5", &["position of public.$t_id_seq: 5 (given out) -> 5 (next)"]),
    ("partitioned", "CREATE TABLE $t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE $t1 PARTITION OF $t FOR VALUES FROM (0) TO (50);
        CREATE TABLE $t2 PARTITION OF $t FOR VALUES FROM (50) TO (500); INSERT INTO $t SELECT i, 'v' FROM generate_series(1, 100) i",
        "UPDATE $t SET v = 'w' WHERE id = 70", &["public.$t2: different 1:1 id=70 | v: v -> w"]),
    ("inherited", "CREATE TABLE $t (id int PRIMARY KEY, v text); CREATE TABLE $t1 () INHERITS ($t); INSERT INTO $t VALUES (1, 'a'); INSERT INTO $t1 VALUES (1, 'b')",
        "UPDATE ONLY $t SET v = 'b'; UPDATE $t1 SET v = 'a'",
        &["public.$t: different 1:1 id=1 | v: a -> b", "public.$t1: extra 0:1 | id: - -> 1 | v: - -> a", "public.$t1: missing 1:0 | id: 1 -> - | v: b -> -"]),
    ("large_object", "SELECT lo_from_bytea(4711, 'hello')", "SELECT lo_put(4711, 1, 'a')",
        &["large objects: different 1:1 loid=4711 page=0 | data: \\x68656c6c6f -> \\x68616c6c6f"]),
    // what is the same
    ("moved", KEYED, "UPDATE $t SET v = v WHERE id = 50; VACUUM $t", &[]),
    ("reordered", KEYLESS, "CREATE TEMP TABLE kept AS SELECT * FROM $t; DELETE FROM $t; INSERT INTO $t SELECT * FROM kept ORDER BY id DESC", &[]),
    ("instant", "CREATE TABLE $t (id int PRIMARY KEY, v timestamptz); INSERT INTO $t VALUES (1, '2026-03-29 01:30+00')",
        "SET TimeZone = 'Asia/Tokyo'; UPDATE $t SET v = '2026-03-29 10:30+09'", &[]),
    ("padded", "CREATE TABLE $t (id int PRIMARY KEY, v char(5)); INSERT INTO $t VALUES (1, 'a')", "UPDATE $t SET v = 'a   '", &[]),
    ("json_blanks", "CREATE TABLE $t (id int PRIMARY KEY, v jsonb); INSERT INTO $t VALUES (1, '{\"a\":1,\"b\":2}')",
        "UPDATE $t SET v = '{ \"b\": 2, \"a\": 1, \"a\": 1 }'", &[]),
    ("host", "CREATE TABLE $t (id int PRIMARY KEY, v inet); INSERT INTO $t VALUES (1, '10.0.0.1')", "UPDATE $t SET v = '10.0.0.1/32'", &[]),
    ("digits", "CREATE TABLE $t (id int PRIMARY KEY, v numeric, w float8); INSERT INTO $t VALUES (1, 100, 0.1)",
        "UPDATE $t SET v = '1e2', w = '0.1000000000000000055511151231257827'", &[]),
    ("months", "CREATE TABLE $t (id int PRIMARY KEY, v interval); INSERT INTO $t VALUES (1, '1 year')", "UPDATE $t SET v = '12 months'", &[]),
    ("bounds", "CREATE TABLE $t (id int PRIMARY KEY, v int4range, w int[]); INSERT INTO $t VALUES (1, '[1,3]', '{1,2}')",
        "UPDATE $t SET v = '(0,4)', w = '[1:2]={1,2}'", &[]),
    ("hex", "CREATE TABLE $t (id int PRIMARY KEY, v bytea, w uuid); INSERT INTO $t VALUES (1, '\\x6100', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')",
        "SET bytea_output = 'escape'; UPDATE $t SET v = 'a\\000', w = 'a0eebc999c0b4ef8bb6d6bb9bd380a11'", &[]),
    ("compressed", "CREATE TABLE $t (id int PRIMARY KEY, v text); INSERT INTO $t VALUES (1, repeat('x', 5000))",
        "ALTER TABLE $t ALTER v SET STORAGE EXTERNAL; UPDATE $t SET v = v || ''", &[]),
];

/// A text of a change with the name of its table.
fn named(text: &str, name: &str) -> String {
    text.replace("$t", &format!("r_{name}")).replace("$long", &"x".repeat(200))
}

/// Of "no_rows" all rows but one are gone, each of which is named.
fn gone() -> impl Iterator<Item = String> {
    (3..=100).map(|id| format!("public.r_no_rows: missing 1:0 id={id}"))
}

/// Sixty-four numbers, one for each bit.
const BITS: &str = "CREATE TABLE bits (bit int PRIMARY KEY, v int8); INSERT INTO bits SELECT i, 0 FROM generate_series(0, 63) i";
const FLIPPED: &str = "UPDATE bits SET v = 1::int8 << bit";

#[test]
fn each_change_of_a_row_is_located_and_nothing_else() {
    let (left, right) = (Server::start(18), Server::start(18));
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.create_db(db);
        let creates: Vec<String> = CHANGES.iter().map(|(name, create, ..)| named(create, name)).collect();
        server.psql(db, &format!("{};\n{BITS}", creates.join(";\n")));
    }
    let (was, is) = (left.uri("shop"), right.uri("copy"));
    let options = ["--mode", "deep", "--values", "show", "--max-rows", "200"];
    assert_finds("before any change", &verify(&was, &is, &options), &Findings::new());
    for (name, _, change, _) in CHANGES {
        // on its own, since one of them vacuums
        for statement in named(change, name).split("; VACUUM") {
            let vacuum = if statement.starts_with(' ') { "VACUUM" } else { "" };
            right.psql("copy", &format!("{vacuum}{statement}"));
        }
    }
    right.psql("copy", FLIPPED);
    let lines = |(name, _, _, lines): &Change| lines.iter().map(|line| named(line, name)).collect::<Vec<_>>();
    let mut expected: Findings = CHANGES.iter().flat_map(lines).chain(gone()).collect();
    let flipped =
        |bit: u32| format!("public.bits: different 1:1 bit={bit} | v: 0 -> {}", (1_u64 << bit).cast_signed());
    expected.extend((0..64).map(flipped));
    assert_finds("after all", &verify(&was, &is, &options), &expected);
    large_objects_are_compared(&left, &right);
}

/// Owners, privileges and comments of large objects, which travel with rows.
fn large_objects_are_compared(left: &Server, right: &Server) {
    for server in [left, right] {
        server.psql("postgres", "CREATE ROLE one");
    }
    let create =
        "SELECT lo_create(i) FROM generate_series(7001, 7004) i; GRANT SELECT ON LARGE OBJECT 7002 TO one";
    left.psql("shop", create);
    right.psql(
        "copy",
        &format!(
            "{create}; ALTER LARGE OBJECT 7001 OWNER TO one; REVOKE SELECT ON LARGE OBJECT 7002 FROM one;
             COMMENT ON LARGE OBJECT 7003 IS 'x'; SELECT lo_unlink(7004)"
        ),
    );
    let report = verify(&left.uri("shop"), &right.uri("copy"), &["--mode", "schema,counts"]);
    let found: Findings = findings(&report).into_iter().filter(|line| line.starts_with("BLOB ")).collect();
    let expected = ["BLOB 7001: owner", "BLOB 7002: acl", "BLOB 7003: comment", "BLOB 7004: missing"];
    assert_eq!(found, expected.map(str::to_owned).into());
}
