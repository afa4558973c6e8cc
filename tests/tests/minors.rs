//! Two minors of one major: what the newer one changes in the catalogs is its own, and the same databases
//! go from either to either.

use dbhaul_tests::{Dbhaul, MAJORS, OLD_MINORS, Original, Server};
use tempfile::TempDir;

/// Columns of every kind of relation that has some, with options of users and without.
const SHOP: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, w text);
    INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 100) i;
    ALTER TABLE t ALTER v SET (n_distinct = -0.5, n_distinct_inherited = 7), ALTER w SET (n_distinct = 3);
    ALTER TABLE t ADD added int DEFAULT 4;
    CREATE TABLE p (a int, b text) PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    INSERT INTO p VALUES (1, 'one');
    CREATE TABLE child (c int) INHERITS (t);
    CREATE TYPE pair AS (one int, two text);
    ALTER TYPE pair ADD ATTRIBUTE three int;
    CREATE TABLE of_type OF pair;
    CREATE TABLE holds (x pair, y t);
    INSERT INTO holds SELECT ROW(1, 'two', 3)::pair, t FROM ONLY t;
    CREATE VIEW seen AS SELECT id, v FROM t;
    CREATE MATERIALIZED VIEW kept AS SELECT id, v FROM t;
    ALTER MATERIALIZED VIEW kept ALTER v SET (n_distinct = 9);
    CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
    CREATE FOREIGN TABLE far (a int OPTIONS (o 'v')) SERVER s;
    CREATE INDEX ON t (lower(v)) WITH (fillfactor = 70);";

/// Options of columns of relations, by name, as the catalog holds them.
const OPTIONS: &str = "SELECT a.attrelid::regclass, a.attname, a.attoptions FROM pg_attribute a
    WHERE a.attrelid >= 16384 AND a.attnum > 0 AND a.attoptions IS NOT NULL ORDER BY 1, 2";

fn is_long() -> bool {
    std::env::var_os("DBHAUL_LONG").is_some()
}

fn minor(major: u16, is_old: bool) -> Server {
    if is_old { Server::builder(major).old_minor().start() } else { Server::start(major) }
}

fn shop(server: &Server) {
    server.create_db("shop");
    server.psql("shop", SHOP);
}

/// By every way that rows and definitions go.
fn moves(source: &Server, target: &Server) {
    let original = Original::new(source, "shop", target);
    let files = TempDir::new().unwrap();
    let (store, script) = (files.path().join("store"), files.path().join("shop.sql"));
    let from = source.uri("shop");
    for copy in ["migrated", "restored", "by_script"] {
        target.create_db(copy);
    }
    let to = target.uri("migrated");
    Dbhaul::new(["preflight", "--source", &from, "--target", &to]).run().assert_code(0);
    Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
    Dbhaul::new(["verify", "--source", &from, "--target", &to]).run().assert_code(0);
    Dbhaul::new(["dump", "--source", &from, "--store"]).arg(&store).run().assert_code(0);
    let to = target.uri("restored");
    Dbhaul::new(["restore", "--backup", "latest", "--target", &to, "--store"])
        .arg(&store)
        .run()
        .assert_code(0);
    Dbhaul::new(["verify", "--backup", "latest", "--target", &to, "--store"])
        .arg(&store)
        .run()
        .assert_code(0);
    Dbhaul::new(["dump", "--source", &from, "--format", "sql", "--file"]).arg(&script).run().assert_code(0);
    assert!(!std::fs::read_to_string(&script).unwrap().contains("pg_attver"));
    target.psql_file("by_script", &script, &[]);
    for copy in ["migrated", "restored", "by_script"] {
        original.assert_equals(copy);
    }
    original.assert_source_unchanged();
}

#[test]
fn databases_go_from_either_minor_to_the_other() {
    for major in OLD_MINORS {
        let (new, old) = (minor(major, false), minor(major, true));
        shop(&new);
        shop(&old);
        moves(&new, &old);
        moves(&old, &new);
    }
}

/// In the short run the pair of the newest majors alone, with `--long` every pair of servers that are installed.
#[test]
fn databases_go_from_every_server_to_every_newer_one() {
    let newest = MAJORS.map(|major| (major, false));
    let servers: Vec<(u16, bool)> = if is_long() {
        OLD_MINORS.map(|major| (major, true)).into_iter().chain(newest).collect()
    } else {
        newest[newest.len() - 2..].to_vec()
    };
    for &(from, is_old) in &servers {
        let source = minor(from, is_old);
        shop(&source);
        for &(to, is_old) in servers.iter().filter(|(to, _)| *to >= from) {
            moves(&source, &minor(to, is_old));
        }
    }
}

/// What a minor keeps for itself on every column is there, or the test above would try nothing; nothing that a
/// user has set is taken for it.
#[test]
fn the_newest_minors_keep_options_of_their_own() {
    for major in [15, 17] {
        let (source, target) = (minor(major, false), minor(major, true));
        shop(&source);
        assert!(
            source.psql("shop", OPTIONS).contains("t|id|{pg_attver="),
            "{}",
            source.psql("shop", OPTIONS)
        );
        target.create_db("copy");
        let uris = (source.uri("shop"), target.uri("copy"));
        Dbhaul::new(["migrate", "--source", &uris.0, "--target", &uris.1]).run().assert_code(0);
        let wanted =
            "kept|v|{n_distinct=9}\nt|v|{n_distinct=-0.5,n_distinct_inherited=7}\nt|w|{n_distinct=3}";
        let found = target.psql("copy", OPTIONS);
        let mut found: Vec<&str> = found.lines().collect();
        found.sort_unstable();
        assert_eq!(found, wanted.lines().collect::<Vec<_>>(), "{major}");
    }
}

/// Options that no server has yet, as a later minor may bring them, on all that has options.
const OF_A_LATER_MINOR: &str = "
    CREATE TABLE t (a int, b text) WITH (fillfactor = 70); INSERT INTO t VALUES (1, 'x');
    CREATE TABLE u (a int CONSTRAINT pk PRIMARY KEY, b text); INSERT INTO u VALUES (1, 'x');
    CREATE INDEX i ON t (a) WITH (fillfactor = 60) WHERE a > 0; CREATE INDEX g ON t USING gin (to_tsvector('simple', b));
    CREATE VIEW v AS SELECT 1 AS x; CREATE MATERIALIZED VIEW m AS SELECT 1 AS x;
    CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    SET allow_system_table_mods = on;
    UPDATE pg_class SET reloptions = coalesce(reloptions, '{}') || '{\"later\\\"one=it''s, (1)\"}'
      WHERE oid IN ('t'::regclass, 'i'::regclass, 'g'::regclass, 'v'::regclass, 'm'::regclass, 'p1'::regclass, 'pk'::regclass);
    CREATE VIEW guarded AS SELECT 1 AS x; UPDATE pg_class SET reloptions = '{security_later=1}' WHERE oid = 'guarded'::regclass;
    UPDATE pg_class SET reloptions = '{later=2}' WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'u'::regclass);
    UPDATE pg_attribute SET attoptions = '{n_distinct=3,later=3}' WHERE attrelid = 't'::regclass AND attname = 'a'";

/// Options of relations and columns that users have set.
const SET: &str = "SELECT relname, reloptions FROM pg_class WHERE oid >= 16384 AND reloptions IS NOT NULL
    UNION ALL SELECT attname, ARRAY(SELECT o FROM unnest(attoptions) o WHERE o !~ 'pg_attver') FROM pg_attribute
    WHERE attrelid = 't'::regclass AND attname = 'a' ORDER BY 1";

#[test]
fn options_that_the_target_does_not_know_are_left_out_and_told() {
    let (source, target) = (Server::start(15), Server::start(18));
    source.create_db("shop");
    source.psql("shop", OF_A_LATER_MINOR);
    for copy in ["migrated", "restored"] {
        target.create_db(copy);
    }
    let (from, to) = (source.uri("shop"), target.uri("migrated"));
    let preflight = Dbhaul::new(["preflight", "--source", &from, "--target", &to]).run();
    preflight.assert_code(0);
    let store = TempDir::new().unwrap();
    Dbhaul::new(["dump", "--source", &from, "--store"]).arg(store.path()).run().assert_code(0);
    let migrated = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
    let restore =
        Dbhaul::new(["restore", "--backup", "latest", "--target", &target.uri("restored"), "--store"]);
    let restored = restore.arg(store.path()).run();
    for run in [&migrated, &restored] {
        run.assert_code(3);
        run.assert_says("10 skipped:");
        run.assert_says("VIEW public.guarded: unrecognized parameter");
    }
    for run in [&preflight, &migrated, &restored] {
        for object in [
            "TABLE public.t",
            "TABLE public.u",
            "TABLE public.p1",
            "VIEW public.v",
            "MATERIALIZED VIEW public.m",
            "INDEX public.i",
            "INDEX public.g",
            "CONSTRAINT public.u pk",
        ] {
            run.assert_says(&format!("{object}: created without the storage parameter later"));
        }
    }
    for copy in ["migrated", "restored"] {
        assert_eq!(target.psql(copy, SET), "a|{n_distinct=3}\ni|{fillfactor=60}\nt|{fillfactor=70}");
        assert_eq!(target.psql(copy, "SELECT count(*) FROM t JOIN u USING (a, b)"), "1");
    }
}
