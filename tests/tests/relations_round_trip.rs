//! Tables, views, indexes, constraints and all that hangs on them, in every shape,
//! moved between servers of every major by the catalog alone.
//!
//! The judge is the newest `pg_dump`: what it prints of our copy must be what it prints of
//! the source and, across majors, of a copy made by `pg_dump | psql`.

use std::path::PathBuf;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, QualifiedName, Target, Toc, TocOptions, compare};
use dbhaul_introspect::{read_catalog, sequence_values};
use dbhaul_postgres::{ConnectSettings, Flight, Session, SessionRole, process_environment};
use dbhaul_tests::{MAJORS, Server};
use tokio_util::sync::CancellationToken;

fn wait_for<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(server: &Server, db: &str, role: SessionRole) -> Session {
    let settings = ConnectSettings::resolve(Some(&server.uri(db)), &process_environment).unwrap();
    Session::connect(&settings, role, &CancellationToken::new()).await.unwrap()
}

fn read(server: &Server, db: &str) -> Catalog {
    let catalog = wait_for(async {
        let session = connect(server, db, SessionRole::Reader).await;
        read_catalog(&session).await.unwrap()
    });
    assert_eq!(catalog.uncovered, Vec::new());
    catalog
}

/// Creates a database from a catalog.
fn write(catalog: &Catalog, server: &Server, db: &str) {
    server.create_db(db);
    wait_for(async {
        let session = connect(server, db, SessionRole::Loader).await;
        let toc =
            Toc::build(catalog, &Target { version: session.version() }, &TocOptions::schema_only()).unwrap();
        for entry in &toc.entries {
            for statement in entry.create.iter().chain(&entry.set_owner) {
                let done = session.execute(statement).await;
                assert!(done.is_ok(), "{} {}: {done:?}\n{statement}", entry.kind, entry.name);
            }
        }
    });
}

/// Creates a database by `pg_dump | psql`.
fn write_by_pg_dump(from: &Server, db: &str, to: &Server, copy: &str) {
    to.create_db(copy);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), from.pg_dump_schema(db)).unwrap();
    to.psql_file(copy, file.path(), &[]);
}

fn load(server: &Server) {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/relations.sql");
    server.create_db("relations");
    server.psql_file("relations", &fixture, &[]);
}

#[test]
fn to_the_same_major() {
    for major in MAJORS {
        let server = Server::start(major);
        load(&server);
        let source = read(&server, "relations");
        write(&source, &server, "copy");
        assert_eq!(server.pg_dump_schema("copy"), server.pg_dump_schema("relations"), "major {major}");
        let mut diff = compare(&source, &read(&server, "copy"));
        // Materialized views are filled with the rows, which stay behind here.
        diff.forget_filling();
        assert!(diff.is_empty(), "major {major}: {:#?}", diff.differences);
    }
}

#[test]
fn to_a_newer_major() {
    let newest = Server::start(19);
    for major in [13, 14, 15, 16, 17, 18] {
        let server = Server::start(major);
        load(&server);
        let (ours, theirs) = (format!("from_{major}"), format!("from_{major}_by_pg_dump"));
        write(&read(&server, "relations"), &newest, &ours);
        write_by_pg_dump(&server, "relations", &newest, &theirs);
        assert_eq!(newest.pg_dump_schema(&ours), newest.pg_dump_schema(&theirs), "major {major}");
    }
}

#[test]
fn a_catalog_survives_being_stored() {
    let server = Server::start(18);
    load(&server);
    let catalog = read(&server, "relations");
    let stored = serde_json::to_vec(&catalog).unwrap();
    assert_eq!(serde_json::from_slice::<Catalog>(&stored).unwrap(), catalog);
}

/// `pg_dump` passes over an invalid index; we do too, but know of it.
#[test]
fn an_invalid_index_is_listed_and_not_made() {
    let server = Server::start(18);
    server.create_db("invalid");
    server.psql("invalid", "CREATE TABLE twice (a int); INSERT INTO twice VALUES (1), (1)");
    server.try_psql("invalid", "CREATE UNIQUE INDEX CONCURRENTLY broken ON twice (a)").unwrap_err();
    let catalog = read(&server, "invalid");
    let valid: Vec<(&str, bool)> = catalog
        .objects
        .iter()
        .filter_map(|object| match &object.body {
            Body::Index(index) => Some((object.name.as_str(), index.valid)),
            _ => None,
        })
        .collect();
    assert_eq!(valid, [("broken", false)]);
    let target = Target { version: catalog.server_version };
    let toc = Toc::build(&catalog, &target, &TocOptions::default()).unwrap();
    assert!(toc.entries.iter().all(|entry| entry.name != "broken"));
}

#[test]
fn values_of_many_sequences() {
    for major in [13, 19] {
        let server = Server::start(major);
        server.create_db("sequences");
        let make = "DO $$ BEGIN FOR i IN 1..1203 LOOP
                      EXECUTE format('CREATE SEQUENCE %I START %s', 'Seq ' || i, i);
                      IF i % 2 = 0 THEN PERFORM nextval(format('%I', 'Seq ' || i)); END IF;
                    END LOOP; END $$";
        server.psql("sequences", make);
        let names: Vec<QualifiedName> =
            (1..=1203).map(|i| QualifiedName::new("public", format!("Seq {i}"))).collect();
        let values = wait_for(async {
            let session = connect(&server, "sequences", SessionRole::Reader).await;
            let flight = Flight::new(&session);
            flight.run(sequence_values(&flight, &names)).await.unwrap()
        });
        assert_eq!(values.len(), names.len());
        for (i, (value, name)) in (1..).zip(values.iter().zip(&names)) {
            assert_eq!((&value.sequence, value.last_value, value.is_called), (name, i, i % 2 == 0));
        }
    }
}
