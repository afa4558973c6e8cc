//! Binary COPY between servers: what arrives is what left, and its digest is that of the text.

use dbhaul_tests::{Dbhaul, Finished, Original, Server};
use tempfile::TempDir;

/// A table of every type that travels in binary, with the values that print in surprising ways, and one of
/// values all over the range of each type.
const KINDS: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'it''s, "fine"');
CREATE DOMAIN flag AS bool;
CREATE DOMAIN price AS numeric(12,4) CHECK (VALUE <> 7);
CREATE DOMAIN padded AS char(5);
CREATE DOMAIN padded_again AS padded;
CREATE TABLE kinds (
    b bool, i2 int2, i4 int4, i8 int8, o oid, n numeric, n2 numeric(10,2), t text, v varchar(200), bp char(5),
    nm name, j json, jb jsonb, ba bytea, u uuid, d date, tm time, tm0 time(0), ts timestamp, ts3 timestamp(3),
    tsz timestamptz, e mood, fl flag, pr price, pd padded, pda padded_again, "Odd ""name""	é" text
);
INSERT INTO kinds (i4) VALUES (NULL);
INSERT INTO kinds VALUES (
    false, -32768, -2147483648, -9223372036854775808, 4294967295, 'NaN', -0.10, '', '', '',
    '', 'null', 'null', '', '00000000-0000-0000-0000-000000000000', '-infinity', '24:00', '00:00', 'infinity', '-infinity',
    '4714-11-24 00:00:00+00 BC', 'sad', false, 0, '', '', '');
INSERT INTO kinds VALUES (
    true, 32767, 2147483647, 9223372036854775807, 0, 123456789012345678901234567890.1234567890, 99999999.99,
    E'tab\tline\nreturn\rback\\slash \\N \\. \x08\x0b\x0c quote'' "double"', E'\\N', 'ab ',
    'Name', '{"b": 1,  "a": [1, null]}', '{"b": 1,  "a": [1, null]}', '\x00ff5c6e0a', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    '0044-03-15 BC', '23:59:59.999999', '12:00', '294276-12-31 23:59:59.999999', '0001-01-01 BC', '2026-03-29 01:30:00.1+00',
    'it''s, "fine"', true, 0.0001, 'xy', 'z', 'odd');
INSERT INTO kinds (n, n2, t, bp, d, ts) VALUES
    (0, 0, 'Zwölf Boxkämpfer 😀 漢字', 'é', '4714-11-24 BC', '1999-12-31 23:59:59.999999'),
    (1e-300, 0.01, repeat('0123456789é', 20000), '     ', '5874897-12-31', '2000-01-01'),
    (-1e300, -1, repeat(E'\n', 2000), '\', 'infinity', '1969-12-31 23:59:59'),
    (10000, 100, '\', '\\', '2000-02-29', '2000-01-01 00:00:00.1'),
    (0.00010000, 1.5, E'\\N', 'a', '1900-02-28', '0099-06-05 04:03:02.000001');
CREATE TABLE many AS SELECT
    i, (i - 1500) * 3 AS plain, (random() * 2e9 - 1e9)::int8 * 4611686018 AS big,
    ((random() - 0.5) * power(10, i % 37))::numeric AS n, round((random() * power(10, i % 12))::numeric, i % 9) AS scaled,
    (random() * power(10, (i % 60) - 30))::numeric(60, 25) AS fixed,
    date '4714-11-24 BC' + (random() * 3000000)::int AS d, date '1999-12-31' + i AS near,
    timestamp '4714-11-24 BC' + random() * interval '6700 years' AS ts, timestamptz '1999-12-31 23:59:59' + i * interval '0.37 s' AS tsz,
    time '00:00' + random() * interval '24 hours' AS tm, md5(i::text)::uuid AS u, decode(md5(i::text), 'hex') AS ba,
    CASE WHEN i % 7 > 0 THEN md5(i::text) END AS t, i % 2 = 0 AS b
FROM generate_series(1, 3000) i;
CREATE TABLE mixed (a int, r real, ba bytea);
INSERT INTO mixed VALUES (1, 0.1, '\x01'), (2, 'NaN', NULL);
CREATE TABLE empty (a int);
CREATE TABLE bare ();
INSERT INTO bare SELECT FROM generate_series(1, 3)"#;

fn migrate(source: &Server, target: &Server, copy: &str, format: &str) -> Finished {
    target.create_db(copy);
    let (from, to) = (source.uri("shop"), target.uri(copy));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--copy-format", format]).run()
}

fn server(major: u16, sql: &str) -> Server {
    let server = Server::start(major);
    server.create_db("shop");
    server.psql("shop", sql);
    server
}

/// The verification of a migration compares the digest made of the binary rows with that which the target
/// takes of their text, so it proves the text of every value.
#[test]
fn every_type_arrives_and_has_the_digest_of_its_text() {
    for (from, to) in [(13, 18), (18, 18)] {
        let (source, target) = (server(from, KINDS), Server::start(to));
        if from >= 14 {
            source.psql("shop", "INSERT INTO kinds (n) VALUES ('Infinity'), ('-Infinity')");
        }
        let original = Original::new(&source, "shop", &target);
        for format in ["binary", "auto"] {
            let copy = format!("{format}_{from}");
            target.create_db(&copy);
            let (source, target) = (source.uri("shop"), target.uri(&copy));
            let run = Dbhaul::new(["migrate", "--source", &source, "--target", &target]);
            run.args(["--copy-format", format]).run().assert_code(0);
            original.assert_rows_equal(&copy);
        }
    }
}

#[test]
fn the_plan_tells_of_each_table_how_it_travels() {
    let (source, target) = (server(17, KINDS), Server::start(17));
    target.create_db("copy");
    let (from, to) = (source.uri("shop"), target.uri("copy"));
    let plan = |format: &str| {
        let run = Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--dry-run", "-v"]);
        run.args(["--copy-format", format]).run()
    };
    let binary = plan("binary");
    binary.assert_code(0).assert_says("public.many in binary; digest of the rows as they pass");
    binary.assert_says("public.mixed as text, because column \"r\" is of type real");
    let auto = plan("auto");
    auto.assert_says("public.many in binary; digest");
    auto.assert_says("public.empty as text, in binary if a row is too long for text");
    plan("text").assert_says("public.many as text, because it was asked for");
}

/// Binary bytes of an integer are no bigint, and those of a date would be an integer without complaint.
#[test]
fn rows_for_a_table_that_was_there_are_text() {
    let source = server(
        17,
        "CREATE TABLE t (a int, d date, b bytea); INSERT INTO t VALUES (1, '2020-01-01', '\\x01')",
    );
    let target = server(17, "CREATE TABLE t (a bigint, d text, b bytea)");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let run =
        Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--data-only", "--allow-non-empty"]);
    let run = run.args(["--copy-format", "binary"]).run();
    assert_eq!(target.psql("shop", "SELECT * FROM t"), "1|2020-01-01|\\x01", "{run}");
}

/// Whether the long forms run, which take gigabytes of memory.
fn is_long() -> bool {
    std::env::var_os("DBHAUL_LONG").is_some()
}

/// Escapes double its text beyond what PostgreSQL can send; `pg_dump` cannot dump it either.
#[test]
fn a_row_too_long_for_text_goes_on_in_binary_and_stops_a_dump_with_its_place() {
    // not compressed, which would take a minute
    let notes = r"CREATE TABLE note (id int PRIMARY KEY, note text);
        ALTER TABLE note ALTER note SET STORAGE EXTERNAL;
        INSERT INTO note VALUES (1, 'short'), (2, repeat('\', 540000000)), (3, NULL)";
    const SEEN: &str =
        "SELECT string_agg(id || '=' || coalesce(md5(note), 'NULL'), ',' ORDER BY id) FROM note";
    let (source, target) = (server(18, notes), Server::start(18));
    let run = migrate(&source, &target, "copy", "auto");
    run.assert_code(0).assert_says("copied in binary, because a row was too long for COPY text: public.note");
    assert_eq!(target.psql("copy", SEEN), source.psql("shop", SEEN));
    assert!(run.peak_resident_bytes < 256 << 20, "{} bytes resident", run.peak_resident_bytes);

    let dir = TempDir::new().expect("the temporary directory is writable");
    let (from, store) = (source.uri("shop"), dir.path().display().to_string());
    let dump = Dbhaul::new(["dump", "--source", &from, "--store", &store]).run();
    dump.assert_code(1).assert_stderr_has(&[
        "reading public.note, segment 0: the row at ctid (",
        "of 515 MB as text is too long to be sent as COPY text",
        "--exclude-table-data",
    ]);
}

const SEEN: &str = "SELECT string_agg(id || '=' || coalesce(encode(sha256(data), 'hex'), 'NULL'), ',' ORDER BY id) FROM file";

/// A server with a table of small values and one of this size, random as compressed files are.
fn files(major: u16, value_bytes: usize) -> Server {
    let server = server(major, "CREATE TABLE file (id int PRIMARY KEY, data bytea)");
    server.psql("shop", "INSERT INTO file VALUES (1, '\\x00ff'), (3, NULL), (4, '')");
    // 1 MiB of random bytes, over and over
    server.psql(
        "shop",
        &format!(
            "ALTER TABLE file ALTER data SET STORAGE EXTERNAL;
             INSERT INTO file SELECT 2, substr(string_agg(piece, ''), 1, {value_bytes}) FROM
                 (SELECT decode(string_agg(md5(random()::text), ''), 'hex') AS piece FROM generate_series(1, 65536)) p,
                 generate_series(0, {value_bytes} / 1048576) i"
        ),
    );
    server
}

/// Beside what any run takes, at most so many bytes are there.
fn check_memory(run: &Finished, beside_bytes: usize) {
    let bound = (80 << 20) + beside_bytes as u64;
    assert!(run.peak_resident_bytes < bound, "{} of {bound} bytes resident", run.peak_resident_bytes);
    println!("{}: {} MiB resident", run.arguments[0], run.peak_resident_bytes >> 20);
}

#[test]
fn a_long_value_passes_as_text_through_migrate_and_through_a_backup() {
    let value_bytes = if is_long() { 400_000_000 } else { 80_000_000 };
    let (source, target) = (files(16, value_bytes), Server::start(18));
    let expected = source.psql("shop", SEEN);
    // the text is twice as long, and is there once
    let run = migrate(&source, &target, "migrated", "text");
    check_memory(run.assert_code(0), 2 * value_bytes);
    assert_eq!(target.psql("migrated", SEEN), expected);

    let dir = TempDir::new().expect("the temporary directory is writable");
    let (from, to, store) = (source.uri("shop"), target.uri("restored"), dir.path().display().to_string());
    // compressed, these bytes are about as long as they are themselves
    let run = Dbhaul::new(["dump", "--source", &from, "--store", &store]).run();
    check_memory(run.assert_code(0), 3 * value_bytes);
    target.create_db("restored");
    let run = Dbhaul::new(["restore", "--store", &store, "--target", &to]).run();
    check_memory(run.assert_code(0), value_bytes);
    assert_eq!(target.psql("restored", SEEN), expected);
}

/// Of each hardly anything is left by compression: that must not keep the room of all of them.
#[test]
fn many_long_values_take_the_memory_of_a_few() {
    let values = "CREATE TABLE long AS SELECT i, repeat(md5(i::text), 150000 + i % 100 * 1000) AS v \
                  FROM generate_series(1, 200) i";
    let (source, dir) = (server(17, values), TempDir::new().expect("the temporary directory is writable"));
    let (from, store) = (source.uri("shop"), dir.path().display().to_string());
    let run = Dbhaul::new(["dump", "--jobs", "1", "--source", &from, "--store", &store]).run();
    check_memory(run.assert_code(0), 0);
}

/// In binary it passes in pieces. One of more than half a gigabyte has no text, so its digest is of its SHA-256.
#[test]
fn a_long_value_passes_in_binary_in_little_memory() {
    let value_bytes = if is_long() { 900_000_000 } else { 24_000_000 };
    let (source, target) = (files(13, value_bytes), Server::start(18));
    let run = migrate(&source, &target, "copy", "auto");
    check_memory(run.assert_code(0), 0);
    run.assert_says("0 different, 0 not verified");
    assert_eq!(target.psql("copy", SEEN), source.psql("shop", SEEN));
    let (from, to) = (source.uri("shop"), target.uri("copy"));
    Dbhaul::new(["verify", "--source", &from, "--target", &to]).run().assert_code(0);
}
