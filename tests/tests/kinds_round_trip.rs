//! Kinds of objects beside tables, and extensions, moved between servers of every
//! major by the catalog alone. The judge is the newest `pg_dump`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Target, Toc, TocOptions, compare};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
use dbhaul_tests::{MAJORS, Server};
use tokio_util::sync::CancellationToken;

fn wait_for<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(uri: &str, role: SessionRole) -> Session {
    let settings = ConnectSettings::resolve(Some(uri), &process_environment).unwrap();
    Session::connect(&settings, role, &CancellationToken::new()).await.unwrap()
}

fn read_as(uri: &str) -> Catalog {
    let catalog = wait_for(async { read_catalog(&connect(uri, SessionRole::Reader).await).await.unwrap() });
    assert_eq!(catalog.uncovered, Vec::new());
    catalog
}

/// Creates a database from a catalog; every statement must succeed.
fn write(catalog: &Catalog, server: &Server, db: &str) {
    server.create_db(db);
    let failures: Vec<String> = wait_for(async {
        let session = connect(&server.uri(db), SessionRole::Loader).await;
        let target = Target { version: session.version() };
        // Large objects are data to a selection; entries that hold rows have no statements.
        let toc = Toc::build(catalog, &target, &TocOptions::default()).unwrap();
        let mut failures = Vec::new();
        for entry in &toc.entries {
            for statement in entry.create.iter().chain(&entry.set_owner) {
                if let Err(error) = session.execute(statement).await {
                    failures.push(format!("{} {}: {error:?}\n{statement}", entry.kind, entry.name));
                }
            }
        }
        failures
    });
    assert!(failures.is_empty(), "{} on {}:\n{}", db, server.major(), failures.join("\n"));
}

fn start(major: u16) -> Server {
    let server = Server::builder(major).config("wal_level", "logical").start();
    server.psql("postgres", "CREATE ROLE kinds_owner SUPERUSER; CREATE ROLE \"Kinds Reader\"");
    server
}

/// Subscriptions belong to the cluster, so a copy in the same one needs them gone.
fn drop_subscriptions(server: &Server, db: &str) {
    let names = server.psql(db, "SELECT format('%I', subname) FROM pg_subscription");
    for name in names.lines() {
        server.psql(db, &format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"));
        server.psql(db, &format!("DROP SUBSCRIPTION {name}"));
    }
}

fn load(server: &Server) {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/kinds.sql");
    server.create_db("kinds");
    server.psql_file("kinds", &fixture, &[]);
}

#[test]
fn to_the_same_major() {
    for major in MAJORS {
        let server = start(major);
        load(&server);
        let source = read_as(&server.uri("kinds"));
        let expected = server.pg_dump_schema("kinds");
        drop_subscriptions(&server, "kinds");
        write(&source, &server, "copy");
        assert_same(&format!("kinds on {major}"), &server.pg_dump_schema("copy"), &expected);
        let differences = compare(&source, &read_as(&server.uri("copy"))).differences;
        assert!(differences.is_empty(), "major {major}: {differences:#?}");
    }
}

#[test]
fn to_a_newer_major() {
    let newest = start(19);
    for major in [13, 14, 15, 16, 17, 18] {
        let server = start(major);
        load(&server);
        let (ours, theirs) = (format!("from_{major}"), format!("from_{major}_by_pg_dump"));
        server.copy_by_pg_dump("kinds", &newest, &theirs);
        let expected = newest.pg_dump_schema(&theirs);
        drop_subscriptions(&newest, &theirs);
        write(&read_as(&server.uri("kinds")), &newest, &ours);
        assert_same(&format!("kinds from {major}"), &newest.pg_dump_schema(&ours), &expected);
        drop_subscriptions(&newest, &ours);
    }
}

/// Extensions that every server ships, each with what it wants first and a use of it.
const EXTENSIONS: &[(&str, &str)] = &[
    (
        "hstore",
        "CREATE TABLE t_hstore (h ext.hstore DEFAULT 'a=>1'); CREATE INDEX ON t_hstore USING gist (h ext.gist_hstore_ops (siglen = 32))",
    ),
    ("citext", "CREATE TABLE t_citext (c ext.citext PRIMARY KEY CHECK (c OPERATOR(ext.<>) ''::ext.citext))"),
    ("ltree", "CREATE TABLE t_ltree (p ext.ltree); CREATE INDEX ON t_ltree USING gist (p)"),
    ("cube", "CREATE TABLE t_cube (c ext.cube); CREATE INDEX ON t_cube USING gist (c)"),
    ("seg", "CREATE TABLE t_seg (s ext.seg, EXCLUDE USING gist (s WITH OPERATOR(ext.&&)))"),
    (
        "intarray",
        "CREATE TABLE t_intarray (a integer[]); CREATE INDEX ON t_intarray USING gin (a ext.gin__int_ops)",
    ),
    ("pg_trgm", "CREATE TABLE t_trgm (a text); CREATE INDEX ON t_trgm USING gin (a ext.gin_trgm_ops)"),
    ("uuid-ossp", "CREATE TABLE t_uuid (u uuid DEFAULT ext.uuid_generate_v4())"),
    ("pgcrypto", "CREATE VIEW v_pgcrypto AS SELECT ext.digest('a', 'sha256') AS d"),
    ("btree_gin", "CREATE TABLE t_btree_gin (a integer); CREATE INDEX ON t_btree_gin USING gin (a)"),
    ("btree_gist", "CREATE TABLE t_btree_gist (a integer, b text, EXCLUDE USING gist (a WITH =, b WITH <>))"),
    (
        "unaccent",
        "CREATE TEXT SEARCH CONFIGURATION t_unaccent (COPY = simple); ALTER TEXT SEARCH CONFIGURATION t_unaccent ALTER MAPPING FOR word WITH ext.unaccent, simple",
    ),
    (
        "postgres_fdw",
        "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h'); CREATE FOREIGN TABLE t_far (a integer OPTIONS (column_name 'b')) SERVER far OPTIONS (table_name 't'); CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (password 'secret')",
    ),
    ("tablefunc", "CREATE VIEW v_tablefunc AS SELECT * FROM ext.normal_rand(1, 0, 1) AS n"),
    ("isn", "CREATE TABLE t_isn (i ext.isbn UNIQUE)"),
    (
        "lo",
        "CREATE TABLE t_lo (l ext.lo); CREATE TRIGGER manage BEFORE UPDATE OR DELETE ON t_lo FOR EACH ROW EXECUTE FUNCTION ext.lo_manage(l)",
    ),
    ("earthdistance", "CREATE TABLE t_earth (e ext.earth)"),
    (
        "bloom",
        "CREATE TABLE t_bloom (a integer, b integer); CREATE INDEX ON t_bloom USING bloom (a, b) WITH (length = 80, col1 = 2)",
    ),
    ("dict_int", "CREATE TEXT SEARCH DICTIONARY t_intdict (TEMPLATE = ext.intdict_template, maxlen = 4)"),
    (
        "pg_stat_statements",
        "GRANT SELECT ON ext.pg_stat_statements TO \"Kinds Reader\"; REVOKE SELECT ON ext.pg_stat_statements FROM PUBLIC",
    ),
    ("amcheck", "GRANT EXECUTE ON FUNCTION ext.bt_index_check(regclass) TO \"Kinds Reader\""),
    ("file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw"),
];

/// Languages whose libraries a machine may lack.
const LANGUAGES: &[(&str, &str)] = &[
    ("plperl", "CREATE FUNCTION f_perl() RETURNS integer LANGUAGE plperl AS 'return 1;'"),
    ("pltcl", "CREATE FUNCTION f_tcl() RETURNS integer LANGUAGE pltcl AS 'return 1'"),
];

fn load_extensions(server: &Server) {
    server.create_db("extensions");
    let run = |sql: &str| server.psql("extensions", sql);
    run("CREATE SCHEMA ext");
    for (name, usage) in EXTENSIONS {
        run(&format!("CREATE EXTENSION \"{name}\" SCHEMA ext CASCADE"));
        run(&format!("SET search_path TO public, ext; {usage}"));
    }
    for (name, usage) in LANGUAGES {
        let create = format!("CREATE EXTENSION {name}");
        match server.try_psql("extensions", &create) {
            Ok(_) => run(usage),
            Err(error) => {
                let is_missing =
                    error.contains("could not load library") || error.contains("is not available");
                assert!(is_missing, "{error}");
                continue;
            }
        };
    }
    run(
        "CREATE FUNCTION uses() RETURNS integer LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION uses() DEPENDS ON EXTENSION hstore",
    );
    run("COMMENT ON EXTENSION hstore IS 'it''s our own'");
    run("ALTER EXTENSION citext DROP FUNCTION ext.citext_eq(ext.citext, ext.citext)");
    run("ALTER EXTENSION citext ADD FUNCTION ext.citext_eq(ext.citext, ext.citext)");
}

#[test]
fn extensions() {
    let newest = start(19);
    for major in MAJORS {
        let server = start(major);
        load_extensions(&server);
        let source = read_as(&server.uri("extensions"));
        let expected = server.pg_dump_schema("extensions");
        write(&source, &server, "copy");
        assert_same(&format!("extensions on {major}"), &server.pg_dump_schema("copy"), &expected);
        let differences = compare(&source, &read_as(&server.uri("copy"))).differences;
        assert!(differences.is_empty(), "major {major}: {differences:#?}");
        let (ours, theirs) = (format!("from_{major}"), format!("from_{major}_by_pg_dump"));
        server.copy_by_pg_dump("extensions", &newest, &theirs);
        write(&source, &newest, &ours);
        let expected = newest.pg_dump_schema(&theirs);
        assert_same(&format!("extensions from {major}"), &newest.pg_dump_schema(&ours), &expected);
    }
}

#[test]
fn a_stored_catalog_is_the_same() {
    let server = start(18);
    load(&server);
    let catalog = read_as(&server.uri("kinds"));
    let stored = serde_json::to_vec(&catalog).unwrap();
    assert_eq!(serde_json::from_slice::<Catalog>(&stored).unwrap(), catalog);
    assert!(!format!("{catalog:?}").contains("secret"), "a password in Debug");
}

/// What only a superuser may read is known to be there, and known not to be readable.
#[test]
fn an_unprivileged_role_reads_what_it_may() {
    for major in [13, 15, 19] {
        let server = start(major);
        server.psql("postgres", "ALTER ROLE \"Kinds Reader\" LOGIN");
        load(&server);
        let all = read_as(&server.uri("kinds"));
        let some = read_as(&server.uri_as("Kinds%20Reader", "kinds"));
        assert_eq!(some.objects.len(), all.objects.len(), "major {major}");
        let hidden = |catalog: &Catalog| {
            catalog.unreadable().into_iter().map(|(identity, _)| identity.name).collect::<BTreeSet<_>>()
        };
        assert_eq!(hidden(&all), BTreeSet::new());
        let expected = all
            .objects
            .iter()
            .filter(|object| matches!(object.body, Body::Subscription(_) | Body::UserMapping(_)));
        assert_eq!(hidden(&some), expected.map(|object| object.name.clone()).collect(), "major {major}");
    }
}

fn assert_same(name: &str, ours: &str, expected: &str) {
    let first = ours.lines().zip(expected.lines()).position(|(a, b)| a != b);
    let from = first.unwrap_or_else(|| ours.lines().count().min(expected.lines().count())).saturating_sub(6);
    let context = |text: &str| text.lines().skip(from).take(14).collect::<Vec<_>>().join("\n");
    assert!(ours == expected, "{name}\n--- ours\n{}\n--- expected\n{}", context(ours), context(expected));
}
