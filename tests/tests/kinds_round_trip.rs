//! Kinds of objects beside tables, and extensions, moved between servers of every
//! major by the catalog alone. The judge is `pg_dump` 18.

use std::path::PathBuf;

use dbhaul_catalog::{Catalog, Target, Toc, TocOptions, compare};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
use dbhaul_tests::Server;
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
    assert_eq!(catalog.uncovered, Vec::<String>::new());
    catalog
}

/// Creates a database from a catalog; every statement must succeed.
fn write(catalog: &Catalog, server: &Server, db: &str) {
    server.create_db(db);
    let failures: Vec<String> = wait_for(async {
        let session = connect(&server.uri(db), SessionRole::Loader).await;
        let target = Target { version: session.version() };
        let toc = Toc::build(catalog, &target, &TocOptions::schema_only()).unwrap();
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
    for major in [13, 14, 15, 16, 17, 18] {
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
    let newest = start(18);
    for major in [13, 14, 15, 16, 17] {
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

#[test]
fn a_stored_catalog_is_the_same() {
    let server = start(18);
    load(&server);
    let catalog = read_as(&server.uri("kinds"));
    let stored = serde_json::to_vec(&catalog).unwrap();
    assert_eq!(serde_json::from_slice::<Catalog>(&stored).unwrap(), catalog);
    assert!(!format!("{catalog:?}").contains("secret"), "a password in Debug");
}

fn assert_same(name: &str, ours: &str, expected: &str) {
    let first = ours.lines().zip(expected.lines()).position(|(a, b)| a != b);
    let from = first.unwrap_or_else(|| ours.lines().count().min(expected.lines().count())).saturating_sub(6);
    let context = |text: &str| text.lines().skip(from).take(14).collect::<Vec<_>>().join("\n");
    assert!(ours == expected, "{name}\n--- ours\n{}\n--- expected\n{}", context(ours), context(expected));
}
