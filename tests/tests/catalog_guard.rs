//! What the catalog holds besides objects, and that nothing is left out of it in silence.

use std::future::Future;

use dbhaul_catalog::{Catalog, Target, Uncovered, database_create};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
use dbhaul_tests::{Dbhaul, MAJORS, Server};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn wait_for<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(server: &Server, db: &str, role: SessionRole) -> Session {
    let settings = ConnectSettings::resolve(Some(&server.uri(db)), &process_environment).unwrap();
    Session::connect(&settings, role, &CancellationToken::new()).await.unwrap()
}

async fn read(server: &Server, db: &str) -> Catalog {
    read_catalog(&connect(server, db, SessionRole::Reader).await).await.unwrap()
}

/// Objects among the server's own are carried by nothing, not even by `pg_dump`:
/// they must be named.
#[test]
fn objects_that_are_not_carried_are_named() {
    for major in MAJORS {
        let server = Server::start(major);
        server.create_db("planted");
        assert_eq!(wait_for(read(&server, "planted")).uncovered, Vec::new());
        server.psql(
            "planted",
            "SET allow_system_table_mods = on;
             CREATE FUNCTION pg_catalog.planted() RETURNS int LANGUAGE sql AS 'SELECT 1';
             CREATE TABLE pg_catalog.planted_table (a int PRIMARY KEY);
             CREATE TABLE information_schema.of_a_user (a int); CREATE VIEW information_schema.seen AS SELECT 1 AS one",
        );
        let found = wait_for(read(&server, "planted")).uncovered;
        for (name, schema) in [
            ("function planted()", "pg_catalog"),
            ("table planted_table", "pg_catalog"),
            ("table information_schema.of_a_user", "information_schema"),
            ("view information_schema.seen", "information_schema"),
        ] {
            let whole = format!("{name} in schema {schema}, which is the server's own");
            let is_it = |object: &Uncovered| object.description == whole;
            assert!(found.iter().any(is_it), "{name} is not among {found:?} on {major}");
        }
    }
}

/// A server with a property that no reader knows, as a newer one would have: of what a user made it may hold
/// its default only, or what holds something else is named.
#[test]
fn properties_that_are_not_carried_are_named() {
    let server = Server::start(19);
    server.create_db("planted");
    server.psql(
        "planted",
        "SET allow_system_table_mods = on;
         CREATE TABLE t (a int); CREATE SEQUENCE s; CREATE SEQUENCE other; CREATE EXTENSION hstore;
         CREATE PUBLICATION p FOR TABLE t; CREATE TYPE e AS ENUM ('a');
         ALTER TABLE pg_catalog.pg_publication ADD planted boolean;
         ALTER TABLE pg_catalog.pg_sequence ADD planted \"char\";
         ALTER TABLE pg_catalog.pg_enum ADD \"Planted\" text;
         ALTER TABLE pg_catalog.pg_extension ADD planted int; UPDATE pg_extension SET planted = 7;",
    );
    assert_eq!(wait_for(read(&server, "planted")).uncovered, Vec::new());
    server.psql(
        "planted",
        "UPDATE pg_publication SET planted = true;
         UPDATE pg_sequence SET planted = 'x' WHERE seqrelid = 's'::regclass;
         UPDATE pg_enum SET \"Planted\" = 'b';",
    );
    let found = wait_for(read(&server, "planted")).uncovered;
    let found: Vec<&str> = found.iter().map(|object| object.description.as_str()).collect();
    assert_eq!(
        found,
        [
            "value \"b\" in column pg_enum.Planted of type public.e",
            "value \"true\" in column pg_publication.planted of publication p",
            "value \"x\" in column pg_sequence.planted of sequence public.s",
        ]
    );
    let dump = |more: &[&str]| {
        let store = TempDir::new().unwrap();
        let source = server.uri("planted");
        Dbhaul::new(["dump", "--source", &source, "--store"]).arg(store.path()).args(more).run()
    };
    dump(&[]).assert_code(1).assert_says("column pg_publication.planted of publication p");
}

/// Whoever asks for one table loses nothing by what is elsewhere; whoever asks for everything would.
#[test]
fn what_is_not_asked_for_may_be_of_any_kind() {
    let server = Server::start(17);
    server.create_db("planted");
    server.psql(
        "planted",
        "SET allow_system_table_mods = on; CREATE TABLE public.t AS SELECT 1 AS i; CREATE SCHEMA s;
         CREATE FUNCTION pg_catalog.planted() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    let dump = |more: &[&str]| {
        let store = TempDir::new().unwrap();
        let source = server.uri("planted");
        Dbhaul::new(["dump", "--source", &source, "--store"]).arg(store.path()).args(more).run()
    };
    dump(&["-t", "public.t"]).assert_code(0);
    dump(&["-n", "public"]).assert_code(0);
    for everything in [&[] as &[&str], &["-N", "s"], &["-T", "public.t"]] {
        dump(everything).assert_code(1).assert_says("function planted()");
    }
}

/// Every catalog without OIDs is one that the guard knows, or it would name its rows.
#[test]
fn no_catalog_is_unknown() {
    for major in MAJORS {
        let server = Server::start(major);
        server.create_db("known");
        // A row for each that is empty in a new database.
        server.psql(
            "known",
            "CREATE TABLE a (x int, y int) PARTITION BY LIST (x);
             CREATE TABLE b PARTITION OF a DEFAULT;
             CREATE STATISTICS s ON x, y FROM b;
             INSERT INTO a SELECT i % 3, i % 2 FROM generate_series(1, 100) i;
             ANALYZE a;
             CREATE FOREIGN DATA WRAPPER w;
             CREATE SERVER far FOREIGN DATA WRAPPER w;
             CREATE FOREIGN TABLE f (x int) SERVER far;
             SELECT lo_from_bytea(0, 'x');
             CREATE SEQUENCE q;
             COMMENT ON TABLE a IS 'a';",
        );
        assert_eq!(wait_for(read(&server, "known")).uncovered, Vec::new(), "{major}");
    }
}

/// What other sessions hold for themselves is not the database's.
#[test]
fn temporary_objects_of_others_are_not_missed() {
    for major in [13, 18] {
        let server = Server::start(major);
        server.create_db("shared");
        wait_for(async {
            let other = connect(&server, "shared", SessionRole::Loader).await;
            other
                .batch(
                    "CREATE TEMPORARY TABLE t (a serial PRIMARY KEY, b int DEFAULT 1 CHECK (b > 0));
                     CREATE INDEX ON t (b); CREATE TEMPORARY VIEW v AS SELECT * FROM t;
                     CREATE STATISTICS pg_temp.s ON a, b FROM t;
                     CREATE POLICY p ON t; CREATE RULE r AS ON INSERT TO t DO ALSO NOTHING;
                     CREATE TYPE pg_temp.e AS ENUM ('x');
                     CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
                )
                .await
                .unwrap();
            let catalog = read(&server, "shared").await;
            assert_eq!(catalog.uncovered, Vec::new());
            let names: Vec<String> =
                catalog.objects.iter().map(|object| object.identity().to_string()).collect();
            assert_eq!(names, ["SCHEMA public"]);
            other.close().await.unwrap();
        });
    }
}

/// A database of the same properties, by the statements for it.
#[test]
fn databases_are_made_alike() {
    for major in [13, 15, 18] {
        let (source, target) = (Server::start(major), Server::start(major));
        for server in [&source, &target] {
            server.psql("postgres", "CREATE ROLE \"Own\"; CREATE ROLE reader");
        }
        for sql in [
            "CREATE DATABASE \"The Shop\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' OWNER \"Own\"",
            "COMMENT ON DATABASE \"The Shop\" IS 'it''s all here'",
            "REVOKE CONNECT ON DATABASE \"The Shop\" FROM PUBLIC",
            "GRANT CREATE ON DATABASE \"The Shop\" TO reader WITH GRANT OPTION",
            "ALTER DATABASE \"The Shop\" CONNECTION LIMIT 7",
            "ALTER DATABASE \"The Shop\" SET search_path TO \"$user\", public, \"a b\"",
            "ALTER DATABASE \"The Shop\" SET work_mem TO '5MB'",
            "ALTER ROLE reader IN DATABASE \"The Shop\" SET statement_timeout TO '3s'",
        ] {
            source.psql("postgres", sql);
        }
        wait_for(async {
            let database = read(&source, "The Shop").await.database;
            let session = connect(&target, "postgres", SessionRole::Loader).await;
            for statement in database_create(&database, &Target { version: session.version() }) {
                session.execute(&statement).await.unwrap();
            }
            session.close().await.unwrap();
        });
        let text = |server: &Server| {
            let options = ["--create", "--schema-only", "-d", "The Shop"];
            let output = server.client("pg_dump").args(options).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            let key = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
            text.lines().filter(key).map(|line| format!("{line}\n")).collect::<String>()
        };
        assert_eq!(text(&source), text(&target), "on {major}");
    }
}
