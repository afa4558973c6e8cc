//! Extensions: contrib ones with tables that use them, one of our own with configuration tables, and
//! those that are named for the trouble they make. The judges are the newest `pg_dump` and the servers' hashes.

use std::collections::BTreeSet;

use dbhaul_tests::{Dbhaul, MAJORS, Original, Server, ServerBuilder};
use tempfile::TempDir;

/// Contrib extensions, each with rows that need it.
const USES: &[(&str, &str)] = &[
    ("hstore", "CREATE TABLE t_hstore (h hstore); CREATE INDEX ON t_hstore USING gin (h);
        INSERT INTO t_hstore SELECT hstore(n::text, 'v\"' || n) FROM generate_series(1, 50) n"),
    ("citext", "CREATE TABLE t_citext (c citext PRIMARY KEY); INSERT INTO t_citext VALUES ('Anna'), ('BOB')"),
    ("ltree", "CREATE TABLE t_ltree (p ltree, q ltree[]); CREATE INDEX ON t_ltree USING gist (p);
        INSERT INTO t_ltree SELECT ('a.b' || n)::ltree, ARRAY['x.y'::ltree] FROM generate_series(1, 50) n"),
    ("cube", "CREATE TABLE t_cube (c cube); CREATE INDEX ON t_cube USING gist (c);
        INSERT INTO t_cube SELECT cube(ARRAY[n, n / 3.0]) FROM generate_series(1, 50) n"),
    ("seg", "CREATE TABLE t_seg (s seg, EXCLUDE USING gist (s WITH &&));
        INSERT INTO t_seg VALUES ('1 .. 2'), ('~3.5'), ('7(+-)1')"),
    ("intarray", "CREATE TABLE t_intarray (a integer[]); CREATE INDEX ON t_intarray USING gin (a gin__int_ops);
        INSERT INTO t_intarray SELECT ARRAY[n, n % 7] FROM generate_series(1, 50) n"),
    ("pg_trgm", "CREATE TABLE t_trgm (a text); CREATE INDEX ON t_trgm USING gin (a gin_trgm_ops);
        INSERT INTO t_trgm SELECT 'word ' || n FROM generate_series(1, 50) n"),
    ("uuid-ossp", "CREATE TABLE t_uuid (u uuid DEFAULT uuid_generate_v4(), n uuid GENERATED ALWAYS AS
        (uuid_generate_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', k)) STORED, k text);
        INSERT INTO t_uuid (k) SELECT 'k' || n FROM generate_series(1, 20) n"),
    ("pgcrypto", "CREATE TABLE t_pgcrypto (a text, d bytea GENERATED ALWAYS AS (digest(a, 'sha256')) STORED);
        CREATE INDEX ON t_pgcrypto (digest(a, 'md5')); INSERT INTO t_pgcrypto VALUES ('a'), ('b')"),
    ("btree_gin", "CREATE TABLE t_btree_gin (a integer); CREATE INDEX ON t_btree_gin USING gin (a);
        INSERT INTO t_btree_gin SELECT generate_series(1, 50)"),
    ("btree_gist", "CREATE TABLE t_btree_gist (a integer, b text, EXCLUDE USING gist (a WITH =, b WITH <>));
        INSERT INTO t_btree_gist SELECT n, 'same' FROM generate_series(1, 50) n"),
    ("unaccent", "CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
        ALTER TEXT SEARCH CONFIGURATION plain ALTER MAPPING FOR word WITH unaccent, simple;
        CREATE TABLE t_unaccent (a text, v tsvector); CREATE INDEX ON t_unaccent (to_tsvector('plain', a));
        INSERT INTO t_unaccent SELECT a, to_tsvector('plain', a) FROM (VALUES ('Hôtel'), ('été')) v(a)"),
    ("postgres_fdw", "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h');
        CREATE FOREIGN TABLE t_far (a integer) SERVER far; CREATE TABLE t_near (a integer);
        INSERT INTO t_near VALUES (1)"),
    ("tablefunc", "CREATE TABLE t_tablefunc (r text, c text, v text);
        INSERT INTO t_tablefunc VALUES ('r1', 'c1', 'v1'), ('r1', 'c2', 'v2');
        CREATE MATERIALIZED VIEW m_tablefunc AS SELECT * FROM crosstab('SELECT r, c, v FROM public.t_tablefunc
        ORDER BY 1, 2') AS t(r text, a text, b text)"),
    ("isn", "CREATE TABLE t_isn (i isbn UNIQUE, e ean13); INSERT INTO t_isn VALUES ('0-393-04002-X', '9780393040029')"),
    ("lo", "CREATE TABLE t_lo (l lo); CREATE TRIGGER manage BEFORE UPDATE OR DELETE ON t_lo
        FOR EACH ROW EXECUTE FUNCTION lo_manage(l); INSERT INTO t_lo VALUES (lo_from_bytea(4711, 'large'))"),
    ("earthdistance", "CREATE TABLE t_earth (e earth); CREATE INDEX ON t_earth USING gist (e);
        INSERT INTO t_earth SELECT ll_to_earth(n, n) FROM generate_series(1, 40) n"),
    ("bloom", "CREATE TABLE t_bloom (a integer, b integer); CREATE INDEX ON t_bloom USING bloom (a, b) WITH (length = 80);
        INSERT INTO t_bloom SELECT n, n % 5 FROM generate_series(1, 50) n"),
    ("dict_int", "CREATE TEXT SEARCH DICTIONARY digits (TEMPLATE = intdict_template, maxlen = 4);
        CREATE TABLE t_dict (l text[]); INSERT INTO t_dict VALUES (ts_lexize('digits', '12345678'))"),
    ("plperl", "CREATE FUNCTION f_perl(a integer) RETURNS integer IMMUTABLE LANGUAGE plperl AS 'return $_[0] * 2;';
        CREATE TABLE t_perl (a integer); CREATE INDEX ON t_perl (f_perl(a)); INSERT INTO t_perl VALUES (1), (2)"),
    ("pltcl", "CREATE FUNCTION f_tcl(a integer) RETURNS integer IMMUTABLE LANGUAGE pltcl AS 'return [expr {$1 * 2}]';
        CREATE TABLE t_tcl (a integer); CREATE INDEX ON t_tcl (f_tcl(a)); INSERT INTO t_tcl VALUES (1), (2)"),
];

/// Extensions that a major's test server cannot load, because this build's libraries want what the
/// machine lacks.
fn expected_absent(_major: u16) -> BTreeSet<&'static str> {
    BTreeSet::from(["plperl"])
}

/// Fills a database with everything that the server has; returns what it has not.
fn load_contrib(server: &Server) -> BTreeSet<&'static str> {
    server.create_db("contrib");
    let mut absent = BTreeSet::new();
    for (name, uses) in USES {
        match server.try_psql("contrib", &format!("CREATE EXTENSION \"{name}\" CASCADE")) {
            Ok(_) => drop(server.psql("contrib", uses)),
            Err(error) => {
                let is_missing =
                    error.contains("could not load library") || error.contains("is not available");
                assert!(is_missing, "{name} on {}: {error}", server.major());
                absent.insert(*name);
            }
        }
    }
    absent
}

#[test]
fn contrib_with_rows() {
    let newest = Server::start(19);
    for major in MAJORS {
        let source = Server::start(major);
        assert_eq!(load_contrib(&source), expected_absent(major), "not on the server of {major}");
        let targets: &[&Server] = if major == 19 { &[&source] } else { &[&source, &newest] };
        for target in targets {
            let copy = format!("from_{major}");
            target.create_db(&copy);
            let (from, to) = (source.uri("contrib"), target.uri(&copy));
            Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
            Original::new(&source, "contrib", target).assert_equals(&copy);
        }
    }
}

/// `kept` is configuration with a condition, `child` refers to it and comes first by name in no order
/// that its rows could be loaded in, `all_kept` is configuration without condition, `scratch` is none.
const OWN_1_0: &str = "
CREATE TABLE kept (id serial PRIMARY KEY, key text UNIQUE, value text, is_default boolean NOT NULL DEFAULT false);
INSERT INTO kept (key, value, is_default) VALUES ('built in', 'v', true), ('built in too', 'w', true);
CREATE TABLE child (id integer PRIMARY KEY, kept text REFERENCES kept (key));
CREATE TABLE all_kept (a integer, b text, c integer GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE scratch (a integer);
CREATE SEQUENCE counted;
CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS 'SELECT 1';
REVOKE ALL ON FUNCTION g() FROM PUBLIC;
GRANT SELECT ON scratch TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('kept', 'WHERE NOT is_default');
SELECT pg_catalog.pg_extension_config_dump('kept_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('child', '');
SELECT pg_catalog.pg_extension_config_dump('all_kept', '');
SELECT pg_catalog.pg_extension_config_dump('counted', '');
";

/// The same with other columns in another order.
const OWN_2_0: &str = "
CREATE TABLE kept (is_default boolean NOT NULL DEFAULT false, value text, more integer DEFAULT 7, key text UNIQUE,
                   id serial PRIMARY KEY);
INSERT INTO kept (key, value, is_default) VALUES ('built in', 'v', true), ('built in too', 'w', true);
CREATE TABLE child (kept text REFERENCES kept (key), id integer PRIMARY KEY);
CREATE TABLE all_kept (b text, a integer, c integer GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE scratch (a integer);
CREATE SEQUENCE counted;
CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS 'SELECT 1';
REVOKE ALL ON FUNCTION g() FROM PUBLIC;
GRANT SELECT ON scratch TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('kept', 'WHERE NOT is_default');
SELECT pg_catalog.pg_extension_config_dump('kept_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('child', '');
SELECT pg_catalog.pg_extension_config_dump('all_kept', '');
SELECT pg_catalog.pg_extension_config_dump('counted', '');
";

const OWN_USE: &str = "
CREATE SCHEMA \"Pinned here\";
CREATE EXTENSION own SCHEMA \"Pinned here\";
SET search_path TO \"Pinned here\";
INSERT INTO kept (key, value) VALUES ('mine', E'a\\tb'), ('also mine', NULL);
UPDATE kept SET value = 'changed' WHERE key = 'built in';
INSERT INTO child VALUES (1, 'mine'), (2, 'built in'), (3, 'also mine');
INSERT INTO all_kept (a, b) SELECT n, 'b' || n FROM generate_series(1, 30) n;
INSERT INTO scratch VALUES (1), (2);
SELECT setval('counted', 42);
GRANT EXECUTE ON FUNCTION f() TO reader;
REVOKE ALL ON FUNCTION f() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION g() TO reader;
REVOKE SELECT ON scratch FROM PUBLIC;
GRANT SELECT (a) ON scratch TO reader;
CREATE TABLE public.uses (n integer DEFAULT f());
INSERT INTO public.uses DEFAULT VALUES;
";

fn control(default_version: &str) -> String {
    format!("comment = 'of our own'\ndefault_version = '{default_version}'\nrelocatable = true\n")
}

fn with_own(major: u16, default_version: &str) -> ServerBuilder {
    Server::builder(major)
        .extension_file("own.control", &control(default_version))
        .extension_file("own--1.0.sql", OWN_1_0)
        .extension_file("own--2.0.sql", OWN_2_0)
}

fn start_own(major: u16, default_version: &str) -> Server {
    let server = with_own(major, default_version).start();
    server.psql("postgres", "CREATE ROLE reader");
    server
}

/// The rows of configuration tables, whatever the order of their columns.
fn configuration(server: &Server, db: &str) -> String {
    server.psql(
        db,
        "SET search_path TO \"Pinned here\";
         SELECT string_agg(concat_ws(',', id, key, coalesce(value, 'NULL'), is_default), ';' ORDER BY id) FROM kept;
         SELECT string_agg(concat_ws(',', id, kept), ';' ORDER BY id) FROM child;
         SELECT count(*), sum(a), sum(c), min(b) FROM all_kept;
         SELECT last_value FROM counted; SELECT last_value FROM kept_id_seq; SELECT count(*) FROM scratch",
    )
}

/// What `pg_dump | psql` makes of the source is what we make of it, privileges of members included.
#[test]
fn configuration_tables() {
    for major in [13, 15, 18] {
        let (source, target) = (start_own(major, "1.0"), start_own(18, "1.0"));
        source.create_db("shop");
        source.psql("shop", OWN_USE);
        source.copy_by_pg_dump("shop", &target, "by_pg_dump");
        let expected = (configuration(&target, "by_pg_dump"), target.pg_dump_schema("by_pg_dump"));
        assert!(expected.0.contains("1,built in,v,t;2,built in too,w,t;3,mine,a\tb,f"), "{}", expected.0);
        let store = TempDir::new().unwrap();
        let store = store.path().to_str().unwrap();
        let from = source.uri("shop");
        for (db, runs) in [
            ("moved", vec![vec!["migrate", "--source", &from]]),
            ("restored", vec![vec!["dump", "--source", &from], vec!["restore"]]),
        ] {
            target.create_db(db);
            let to = target.uri(db);
            for arguments in runs {
                let needs_store = arguments[0] != "migrate";
                let needs_target = arguments[0] != "dump";
                let run = Dbhaul::new(&arguments);
                let run = if needs_store { run.args(["--store", store]) } else { run };
                let run = if needs_target { run.args(["--target", &to]) } else { run };
                run.run().assert_code(0);
            }
            assert_eq!(
                (configuration(&target, db), target.pg_dump_schema(db)),
                expected,
                "{db} from {major}"
            );
        }
    }
}

/// A target that installs another version is named beforehand, with what rests on the extension; the
/// rows of configuration tables find their columns in any order.
#[test]
fn another_version_on_the_target() {
    let (source, target) = (start_own(17, "1.0"), start_own(18, "2.0"));
    source.create_db("shop");
    source.psql("shop", OWN_USE);
    target.create_db("moved");
    let (from, to) = (source.uri("shop"), target.uri("moved"));
    let preflight = Dbhaul::new(["preflight", "--source", &from, "--target", &to]).run();
    preflight.assert_code(0);
    let said = "extension own 1.0 will be 2.0 there, a newer version; to keep it, \
                CREATE EXTENSION own VERSION '1.0' there first";
    assert!(preflight.stdout.contains(said), "{}", preflight.stdout);
    assert!(preflight.stdout.contains("1 object depends on it: "), "{}", preflight.stdout);
    assert!(preflight.stdout.contains("DEFAULT public.uses n"), "{}", preflight.stdout);
    let migrated = Dbhaul::new(["migrate", "--no-verify", "--source", &from, "--target", &to]).run();
    migrated.assert_code(0);
    assert!(migrated.stderr.contains(said), "{}", migrated.stderr);
    let expected = configuration(&source, "shop").replace("1,built in,changed,t", "1,built in,v,t");
    let expected = expected.strip_suffix('2').map(|start| format!("{start}0")).unwrap();
    assert_eq!(configuration(&target, "moved"), expected);
}

#[test]
fn a_missing_extension_blocks_and_names_what_needs_it() {
    let (source, target) = (start_own(18, "1.0"), Server::start(18));
    source.create_db("shop");
    source.psql("shop", OWN_USE);
    target.create_db("moved");
    let (from, to) = (source.uri("shop"), target.uri("moved"));
    for (command, code) in [("preflight", 5), ("migrate", 1)] {
        let done = Dbhaul::new([command, "--source", &from, "--target", &to]).run();
        done.assert_code(code);
        let text = done.stdout.clone() + &done.stderr;
        assert!(text.contains("extension own is not available there"), "{text}");
        assert!(text.contains("uses"), "{text}");
    }
}

/// Extensions with ways of their own, here as empty shells of the same names.
#[test]
fn extensions_with_ways_of_their_own_are_named() {
    let names = ["timescaledb", "pg_partman", "pg_cron", "postgis_topology"];
    let builder = names.iter().fold(Server::builder(18), |builder, name| {
        builder.extension_file(&format!("{name}.control"), &control("1.0")).extension_file(
            &format!("{name}--1.0.sql"),
            "CREATE FUNCTION version_of_it() RETURNS text LANGUAGE sql AS 'SELECT 1::text';",
        )
    });
    let server = builder.start();
    server.create_db("special");
    for name in names {
        server.psql("special", &format!("CREATE SCHEMA s_{name}; CREATE EXTENSION {name} SCHEMA s_{name}"));
    }
    server.create_db("moved");
    let (from, to) = (server.uri("special"), server.uri("moved"));
    let preflight = Dbhaul::new(["preflight", "--source", &from, "--target", &to]).run();
    preflight.assert_code(5);
    for line in [
        "BLOCKER  source  EXTENSION timescaledb cannot be copied",
        "warning  source  EXTENSION pg_partman: ",
        "warning  source  EXTENSION pg_cron: ",
        "warning  source  EXTENSION postgis_topology: ",
    ] {
        assert!(preflight.stdout.contains(line), "no {line:?} in\n{}", preflight.stdout);
    }
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    for arguments in [
        vec!["migrate", "--source", &from, "--target", &to],
        vec!["dump", "--source", &from, "--store", store],
    ] {
        let refused = Dbhaul::new(&arguments).run();
        refused.assert_code(1);
        assert!(refused.stderr.contains("EXTENSION timescaledb cannot be copied"), "{}", refused.stderr);
    }
    server.psql("special", "DROP EXTENSION timescaledb");
    let migrated = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
    migrated.assert_code(0);
    assert!(migrated.stderr.contains("pg_cron"), "{}", migrated.stderr);
}

/// `CREATE EXTENSION` makes what the script makes, and not what somebody has added to the extension since.
#[test]
fn what_was_added_to_an_extension_is_missed() {
    let target = Server::start(18);
    // 13 has another version of the extension
    for major in [13, 18] {
        let source = Server::start(major);
        source.create_db("shop");
        source.psql(
            "shop",
            "CREATE EXTENSION cube; CREATE TABLE cfg (a int); INSERT INTO cfg VALUES (1), (2);
             ALTER EXTENSION cube ADD TABLE cfg; CREATE SEQUENCE own; ALTER EXTENSION cube ADD SEQUENCE own;
             CREATE TABLE t (a int); CREATE TABLE built_in (a int); ALTER EXTENSION plpgsql ADD TABLE built_in;
             CREATE FUNCTION added() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION plpgsql ADD FUNCTION added()",
        );
        let database = format!("of_{major}");
        target.create_db(&database);
        let sides = ["--source", &source.uri("shop"), "--target", &target.uri(&database)];
        // of a sequence between majors as of a table, and of the server's own extension, which no script makes, of all
        let own = "members of extension plpgsql that it does not create on the target";
        let told = "members of extension cube that it does not create on the target";
        let preflight = Dbhaul::new(["preflight"]).args(sides).run();
        preflight
            .assert_code(0)
            .assert_says(told)
            .assert_says("TABLE public.cfg")
            .assert_says("SEQUENCE public.own")
            .assert_says(own)
            .assert_says("TABLE public.built_in");
        Dbhaul::new(["migrate", "--dry-run"]).args(sides).run().assert_code(0).assert_says(told);
        for command in ["migrate", "verify"] {
            let run = Dbhaul::new([command]).args(sides).run();
            if command == "migrate" {
                run.assert_stderr_has(&[told, "ALTER EXTENSION cube DROP"]);
            }
            run.assert_code(4)
                .assert_says("TABLE public.cfg: missing")
                .assert_says("SEQUENCE public.own: missing")
                .assert_says("TABLE public.built_in: missing")
                .assert_says("FUNCTION public.added(): missing");
        }
        // rows alone are missed no less
        target.create_db(&format!("rows_of_{major}"));
        let uri = target.uri(&format!("rows_of_{major}"));
        let sides = ["--source", &source.uri("shop"), "--target", &uri];
        Dbhaul::new(["migrate", "--section", "pre-data"]).args(sides).run().assert_code(4);
        let rows = ["--section", "data", "--allow-non-empty"];
        Dbhaul::new(["preflight"])
            .args(sides)
            .args(rows)
            .run()
            .assert_code(0)
            .assert_says(told)
            .assert_says(own);
        let run = Dbhaul::new(["migrate"]).args(sides).args(rows).run();
        run.assert_code(4)
            .assert_says("TABLE public.cfg: missing")
            .assert_says("SEQUENCE public.own: missing");
        assert!(!run.stdout.contains("FUNCTION"), "{run}");
    }
}
