//! `--clean`: what will be made in place of what is dropped is tried before anything is.

use dbhaul_tests::{Dbhaul, Original};

use super::Case;

/// What 13 takes and 14 and later do not, which have no postfix operators: an index, a check, a materialized view.
const REFUSED: &str = "
    CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
    CREATE TABLE other (a int REFERENCES t, b int CHECK (twice(b) > 0)); INSERT INTO other VALUES (1, 1);
    CREATE INDEX t_fact ON t (((a::bigint) !));
    CREATE MATERIALIZED VIEW facts AS SELECT (a::bigint) ! AS f FROM t;
    CREATE SCHEMA app; CREATE TABLE app.t (a int, CONSTRAINT few CHECK ((a::bigint) ! < 9) NOT VALID);
    CREATE EXTENSION citext SCHEMA app; CREATE TABLE app.words (w app.citext PRIMARY KEY);
    INSERT INTO app.words VALUES ('a')";

/// As they are on the target of an earlier run, without what is refused.
const STANDING: &str = "
    CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
    CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (7);
    CREATE TABLE other (a int REFERENCES t, b int); CREATE INDEX t_fact ON t (a);
    CREATE MATERIALIZED VIEW facts AS SELECT a AS f FROM t;
    CREATE SCHEMA app; CREATE TABLE app.t (a int);
    CREATE EXTENSION citext SCHEMA app; CREATE TABLE app.words (w app.citext PRIMARY KEY)";

#[test]
fn what_takes_the_place_of_what_is_dropped() {
    let case = Case::of_sql(13, 18, REFUSED).with(&["--clean", "--if-exists"]);
    case.target.psql("shop", STANDING);
    // what will not be made again is not dropped, and rests on what is
    let told = "materialized view public.facts depends on TABLE public.t;";
    case.command(&["preflight"], &case.target.uri("shop")).run().assert_code(5).assert_says(told);
    case.target.psql("shop", "DROP MATERIALIZED VIEW facts");
    let before = case.target.pg_dump_schema("shop");
    let preflight = case.command(&["preflight"], &case.target.uri("shop")).run();
    preflight.assert_code(0).assert_says("will be skipped: INDEX public.t_fact");
    assert_eq!(case.target.pg_dump_schema("shop"), before);
    case.said()
        .ends(3, &["INDEX public.t_fact", "CHECK CONSTRAINT app.t few", "MATERIALIZED VIEW public.facts"]);
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM t"), "2");
    assert_eq!(case.target.psql("shop", "SELECT w FROM app.words"), "a");
}

/// What moves sequences when they have been set: a materialized view, an index, a check.
const MOVING: &str = "
    CREATE SEQUENCE s; SELECT setval('s', 100, false); CREATE SEQUENCE t; SELECT setval('t', 20);
    CREATE SEQUENCE read; SELECT setval('read', 7);
    CREATE FUNCTION moves(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN PERFORM nextval(''public.t''); RETURN a; END';
    CREATE TABLE rows (a int, b int GENERATED ALWAYS AS IDENTITY);
    INSERT INTO rows SELECT generate_series(1, 50);
    CREATE INDEX rows_moves ON rows (moves(a));
    CREATE TABLE checked (a int CHECK (nextval('s') > 0)); INSERT INTO checked VALUES (1), (2);
    CREATE VIEW next AS SELECT nextval('s') AS n; CREATE MATERIALIZED VIEW m AS SELECT n, last_value FROM next, read;
    SELECT setval('s', 5); SELECT setval('t', 9, false)";

#[test]
fn sequences_stand_where_they_stood() {
    let case = Case::of_sql(17, 18, MOVING);
    case.said().ends(0, &[]);
    let positions = "SELECT s.last_value, s.is_called, t.last_value, t.is_called FROM s, t";
    assert_eq!(case.target.psql("shop", positions), "5|t|9|f");
    assert_eq!(case.target.psql("shop", "SELECT last_value FROM m"), "7", "what reads a position found it");
    let script = Dbhaul::new(["dump", "--source", &case.source.uri("shop"), "--format", "sql"]).run();
    script.assert_code(0);
    case.target.create_db("copy");
    let file = tempfile::TempDir::new().unwrap();
    let file = file.path().join("script.sql");
    std::fs::write(&file, &script.stdout).unwrap();
    case.target.psql_file("copy", &file, &[]);
    assert_eq!(case.target.psql("copy", positions), "5|t|9|f");
}

/// A script is tried nowhere: it is in an order that works, and what may fail is said.
#[test]
fn scripts_say_what_may_fail() {
    let case = Case::new(16, 18);
    for server in [&case.source, &case.target] {
        server.psql("postgres", "CREATE ROLE fb_app; CREATE ROLE fb_other");
    }
    case.source.psql_file("shop", &super::case_file("f23-regclass-of-index.sql"), &[]);
    case.source.psql("shop", "CREATE SCHEMA app; CREATE SEQUENCE app.s; CREATE TABLE app.a (id int PRIMARY KEY);
        CREATE TABLE app.b (id int DEFAULT nextval('app.s'), a int REFERENCES app.a); INSERT INTO app.a VALUES (1);
        INSERT INTO app.b VALUES (1, 1)");
    let dump = |options: &[&str]| {
        Dbhaul::new(["dump", "--source", &case.source.uri("shop"), "--format", "sql"]).args(options).run()
    };
    let files = tempfile::TempDir::new().unwrap();
    let file = files.path().join("script.sql");
    let script = dump(&["-f", file.to_str().unwrap()]);
    script.assert_code(0);
    assert!(!script.stderr.contains("may fail"), "{script}");
    case.target.psql_file("shop", &file, &[]);
    Original::new(&case.source, "shop", &case.target).assert_equals("shop");

    let needs = "which is not selected (--with-dependencies includes it): the statement fails where the target does not \
                 have it";
    let part = dump(&["-t", "app.b"]);
    part.assert_code(0)
        .assert_stderr_has(&["may fail: FK CONSTRAINT app.b b_a_fkey: needs TABLE app.a, ", needs]);
    part.assert_stderr_has(&[
        "may fail: DEFAULT app.b id: needs SEQUENCE app.s, ",
        "may fail: SCHEMA app: is not selected",
    ]);
    assert!(part.stdout.contains("\n-- MAY FAIL: FK CONSTRAINT app.b b_a_fkey: needs TABLE app.a"), "{part}");
    assert!(!part.stderr.contains("may fail: TABLE app.b"), "{part}");
    let told = "may fail: FK CONSTRAINT app.b b_a_fkey: refers to rows of app.a that are left out";
    dump(&["--exclude-table-data", "app.a"]).assert_code(0).assert_stderr_has(&[told]);
}
