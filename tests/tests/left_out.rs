//! What cannot be carried is named, in every report, and never ends in exit code 0.

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// A source with an index that a failed `CREATE INDEX CONCURRENTLY` left behind.
fn source_with_invalid_index() -> Server {
    let source = Server::start(18);
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE film (id int); INSERT INTO film VALUES (1), (1)");
    let failed = source.try_psql("shop", "CREATE UNIQUE INDEX CONCURRENTLY film_id ON film (id)");
    assert!(failed.is_err(), "the index was built over duplicates");
    source
}

#[test]
fn an_invalid_index_is_skipped_by_name() {
    let source = source_with_invalid_index();
    let target = Server::start(18);
    target.create_db("moved");
    target.create_db("restored");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let (from, moved, restored) = (source.uri("shop"), target.uri("moved"), target.uri("restored"));

    let runs = [
        vec!["migrate", "--source", &from, "--target", &moved],
        vec!["dump", "--source", &from, "--store", store],
        vec!["restore", "--store", store, "--backup", "latest", "--target", &restored],
    ];
    for arguments in runs {
        let done = Dbhaul::new(&arguments).run();
        done.assert_code(3);
        assert!(done.stdout.contains("film_id"), "{arguments:?} does not name the index:\n{}", done.stdout);
    }
    for db in ["moved", "restored"] {
        assert_eq!(target.sql_digest(db), source.sql_digest("shop"));
    }
}

#[test]
fn a_schema_that_a_table_needs_stands_in_the_way_if_it_is_missing() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.create_db("shop");
    source.psql("shop", "CREATE SCHEMA \"Sales\"; CREATE TABLE \"Sales\".t AS SELECT 1 AS i");
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let run = |command: &str, selection: [&str; 2]| {
        Dbhaul::new([command, "--source", &from, "--target", &to]).args(selection).run()
    };
    let table = ["-t", "\"Sales\".t"];
    run("preflight", table).assert_code(5).assert_says("schema \"Sales\" is not there");
    run("migrate", table)
        .assert_code(1)
        .assert_stderr_has(&["schema \"Sales\" is not there", "CREATE SCHEMA"]);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM pg_namespace WHERE nspname = 'dbhaul'"), "0");
    target.psql("shop", "CREATE SCHEMA \"Sales\"");
    let migrate = ["migrate", "--source", &from, "--target", &to, "--allow-non-empty"];
    Dbhaul::new(migrate).args(table).run().assert_code(0);
    assert_eq!(target.psql("shop", "SELECT i FROM \"Sales\".t"), "1");
}

/// Objects of a role, of every kind that has an owner, and privileges for another.
const OWNED: &str = r#"
    CREATE SCHEMA a AUTHORIZATION alice; GRANT USAGE ON SCHEMA a TO "Bob B"; SET ROLE alice;
    CREATE TABLE a.film (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text, CHECK (t <> ''));
    CREATE TABLE a.serial (id serial PRIMARY KEY, f int REFERENCES a.film);
    CREATE TYPE a.mood AS ENUM ('x'); CREATE DOMAIN a.d AS int CHECK (VALUE > 0); CREATE TYPE a.comp AS (x int);
    CREATE FUNCTION a.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE a.s;
    CREATE VIEW a.v AS SELECT * FROM a.film; CREATE MATERIALIZED VIEW a.mv AS SELECT 1 AS x;
    GRANT SELECT ON a.film TO "Bob B"; GRANT UPDATE (t) ON a.film TO "Bob B";
    CREATE POLICY p ON a.film TO "Bob B" USING (true); CREATE STATISTICS a.st ON id, t FROM a.film;
    CREATE AGGREGATE a.agg(int) (sfunc = int4pl, stype = int); CREATE COLLATION a.c FROM "C";
    CREATE OPERATOR a.=== (leftarg = int, rightarg = int, procedure = int4eq);
    CREATE TEXT SEARCH CONFIGURATION a.tc (COPY = pg_catalog.simple);
    CREATE TEXT SEARCH DICTIONARY a.td (TEMPLATE = simple);
    CREATE CONVERSION a.cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; SELECT lo_create(4242); RESET ROLE;
    ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT SELECT ON TABLES TO "Bob B";
    CREATE FOREIGN DATA WRAPPER w; CREATE SERVER sv FOREIGN DATA WRAPPER w;
    CREATE USER MAPPING FOR alice SERVER sv OPTIONS (u 'x')"#;

/// What a missing role leaves behind is skipped, and explains all that a comparison finds.
#[test]
fn missing_owners_and_grantees_are_skipped_and_foretold() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.create_db("shop");
    source.psql("shop", r#"CREATE ROLE alice; CREATE ROLE "Bob B""#);
    source.psql("shop", OWNED);
    let (from, to, other) = (source.uri("shop"), target.uri("shop"), target.uri("postgres"));
    let migrate = |to: &str, more: &[&str]| {
        Dbhaul::new(["migrate", "--source", &from, "--target", to]).args(more).run()
    };
    let missing = "role \"alice\" does not exist on the target";
    let plan = migrate(&other, &["--create", "--dry-run"]);
    plan.assert_code(0).assert_says("will skip owner of SCHEMA a, ").assert_says(missing);
    plan.assert_says("what else the target may refuse is tried, and told, when the run begins");
    target.create_db("shop");
    let plan = migrate(&to, &["--roles", "used", "--dry-run"]);
    assert!(!plan.assert_code(0).to_string().contains("will skip"), "{plan}");
    let done = migrate(&to, &[]);
    done.assert_code(3).assert_says("owner of SCHEMA a, ").assert_says(missing);
    // beside what was skipped, a difference is one
    target.psql("shop", "ALTER TABLE a.serial ALTER f SET DEFAULT 7");
    let verify =
        Dbhaul::new(["verify", "--source", &from, "--target", &to, "--no-owner", "--no-privileges"]).run();
    verify.assert_code(4).assert_says("DEFAULT a.serial f: extra");
}

/// Pieces of large objects are no rows, whoever counts.
#[test]
fn rows_are_counted_alike_in_every_report() {
    let source = Server::start(17);
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE \"new\nline\" AS SELECT generate_series(1, 5) AS id");
    source.psql("shop", "SELECT lo_from_bytea(0, decode(repeat('ab', 9000), 'hex'))");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let dump = Dbhaul::new(["dump", "--source", &source.uri("shop"), "--store", store]).run();
    dump.assert_code(0).assert_says("1 table, 5 rows and large objects");
    let list = Dbhaul::new(["backup", "list", "--store", store, "--json"]).run();
    let counts =
        |report: &serde_json::Value| (report["table_count"].clone(), report["totals"]["tables"].clone());
    assert_eq!(list.assert_code(0).json()[0]["row_count"], 5);
    assert_eq!(counts(&list.json()[0]), (1.into(), 1.into()));
    let show = Dbhaul::new(["backup", "show", "--store", store, "latest"]).run();
    show.assert_code(0)
        .assert_says("5 rows and large objects")
        .assert_says("1 piece ")
        .assert_says("large objects")
        .assert_says("public.\"new\\nline\"");
    let show = Dbhaul::new(["backup", "show", "--store", store, "latest", "--json"]).run();
    assert_eq!(show.json()["row_count"], 5);
    assert_eq!(counts(&show.json()), (1.into(), 1.into()));
}
