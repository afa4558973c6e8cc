//! A catalog read from one real server and written to another: `pg_dump` 18 must
//! not see a difference, and neither must our own comparison.

use std::path::PathBuf;

use dbhaul_catalog::{Catalog, Section, Target, Toc, TocOptions, compare, quote_identifier};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
use dbhaul_tests::{Fixture, Server};
use tokio_util::sync::CancellationToken;

async fn connect(server: &Server, db: &str, role: SessionRole) -> Session {
    let settings = ConnectSettings::resolve(Some(&server.uri(db)), &process_environment).unwrap();
    Session::connect(&settings, role, &CancellationToken::new()).await.unwrap()
}

async fn read(server: &Server, db: &str) -> Catalog {
    let session = connect(server, db, SessionRole::Reader).await;
    let catalog = read_catalog(&session).await.unwrap();
    assert_eq!(catalog.uncovered, Vec::<String>::new(), "objects of {db} that the catalog lacks");
    catalog
}

/// Runs every definition of a catalog on an empty database; what failed is returned.
async fn write(catalog: &Catalog, server: &Server, db: &str) -> Vec<String> {
    let session = connect(server, db, SessionRole::Loader).await;
    let target = Target { version: session.version() };
    let toc = Toc::build(catalog, &target, &TocOptions::schema_only()).unwrap();
    let mut failures = Vec::new();
    for entry in &toc.entries {
        assert_ne!(entry.section, Section::Data, "rows in a TOC of definitions");
        for statement in entry.create.iter().chain(&entry.set_owner) {
            if let Err(error) = session.execute(statement).await {
                failures.push(format!("{} {}: {error:?}\n    {statement}", entry.kind, entry.name));
            }
        }
    }
    failures
}

fn create_roles(catalog: &Catalog, server: &Server) {
    for role in catalog.role_names.iter().filter(|role| !role.starts_with("pg_")) {
        let sql = format!("CREATE ROLE {} SUPERUSER", quote_identifier(role));
        // A role that is there already is what was wanted.
        let _ = server.try_psql("postgres", &sql);
    }
}

/// Moves the schema of `from`'s database `db` to `to` and compares.
fn check(from: &Server, db: &str, to: &Server) {
    let copy = format!("{db}_copy");
    to.create_db(&copy);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (source, failures) = runtime.block_on(async {
        let source = read(from, db).await;
        create_roles(&source, to);
        let failures = write(&source, to, &copy).await;
        (source, failures)
    });
    let name = format!("{db} from {} to {}", from.major(), to.major());
    assert!(failures.is_empty(), "{name}: {} statements failed:\n{}", failures.len(), failures.join("\n"));
    assert_same_text(&name, &from.pg_dump_schema(db), &to.pg_dump_schema(&copy));
    if from.major() == to.major() {
        let target = runtime.block_on(read(to, &copy));
        let differences: Vec<String> =
            compare(&source, &target).differences.iter().map(ToString::to_string).collect();
        assert!(differences.is_empty(), "{name}: catalogs differ:\n{}", differences.join("\n"));
    }
    to.drop_db(&copy);
}

fn assert_same_text(name: &str, left: &str, right: &str) {
    if left == right {
        return;
    }
    let dir = std::env::temp_dir().join(format!("dbhaul-{}", name.replace(' ', "-")));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("source.sql"), left).unwrap();
    std::fs::write(dir.join("target.sql"), right).unwrap();
    let first = left.lines().zip(right.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let context =
        |text: &str| text.lines().skip(first.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    panic!(
        "{name}: pg_dump differs from line {}; both in {}\n--- source\n{}\n--- target\n{}",
        first + 1,
        dir.display(),
        context(left),
        context(right)
    );
}

fn round_trip(fixture: Fixture, majors: &[(u16, u16)]) {
    for &(from, to) in majors {
        let source = Server::start(from);
        let target = Server::start(to);
        fixture.load(&source, "moved");
        fixture.prepare_target(&target);
        check(&source, "moved", &target);
    }
}

const MAJORS: &[(u16, u16)] = &[(13, 13), (15, 15), (18, 18), (15, 16), (13, 18), (17, 18)];

#[test]
fn chinook() {
    round_trip(Fixture::Chinook, MAJORS);
}

#[test]
fn pagila() {
    round_trip(Fixture::Pagila, MAJORS);
}

/// A script of one object of every kind that a server has, made by `pg_dump`'s
/// own tests; statements that a major does not know fail and are passed over.
#[test]
fn every_kind_of_object() {
    let script = test_data().join("object-kinds.sql");
    for major in [13, 14, 15, 16, 17, 18] {
        let server = Server::start(major);
        server.create_db("kinds");
        let status =
            server.client("psql").args(["-Xq", "-o", "/dev/null", "-d", "kinds", "-f"]).arg(&script).output();
        assert!(status.unwrap().status.success());
        check(&server, "kinds", &server);
        if major < 18 {
            check(&server, "kinds", &Server::start(18));
        }
    }
}

fn test_data() -> PathBuf {
    std::env::var_os("DBHAUL_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from)
}
