//! Copies made of a catalog that was read, and what is wrong with them.

use std::io::Write;
use std::process::Stdio;

use dbhaul_catalog::{Aspects, Catalog, Section, Target, Toc, TocOptions, compare_aspects, quote_identifier};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
use dbhaul_tests::{Fixture, Server};
use dbhaul_verifier::{Settler, settle_definitions};
use tokio_util::sync::CancellationToken;

/// From which major to which.
pub(crate) const MAJORS: &[(u16, u16)] = &[(13, 13), (15, 15), (18, 18), (15, 16), (13, 18), (17, 18)];

fn settings(server: &Server, db: &str) -> ConnectSettings {
    ConnectSettings::resolve(Some(&server.uri(db)), &process_environment).unwrap()
}

async fn connect(server: &Server, db: &str, role: SessionRole) -> Session {
    Session::connect(&settings(server, db), role, &CancellationToken::new()).await.unwrap()
}

pub(crate) async fn read(server: &Server, db: &str) -> Catalog {
    let session = connect(server, db, SessionRole::Reader).await;
    let catalog = read_catalog(&session).await.unwrap();
    assert_eq!(catalog.uncovered, Vec::new(), "objects of {db} that the catalog lacks");
    catalog
}

/// Runs every definition of a catalog on an empty database, and fills materialized
/// views from the empty tables; what failed is returned.
pub(crate) async fn write(catalog: &Catalog, server: &Server, db: &str) -> Vec<String> {
    let session = connect(server, db, SessionRole::Loader).await;
    let target = Target { version: session.version() };
    let toc = Toc::build(catalog, &target, &TocOptions::default()).unwrap();
    let mut failures = Vec::new();
    for entry in toc.entries.iter().filter(|entry| entry.section != Section::Data) {
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

/// Moves the schema of `from`'s database `db` to `to` and compares; what is wrong is returned.
pub(crate) fn problems(from: &Server, db: &str, to: &Server) -> Vec<String> {
    let copy = format!("{db}_{}_copy", from.major());
    to.create_db(&copy);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (source, mut problems) = runtime.block_on(async {
        let source = read(from, db).await;
        create_roles(&source, to);
        let failures = write(&source, to, &copy).await;
        (source, failures)
    });
    let name = format!("{db} from {} to {}", from.major(), to.major());
    let expected = if from.major() == to.major() { schema_text(from, db) } else { reference(from, db, to) };
    problems.extend(text_difference(&name, &expected, &schema_text(to, &copy)));
    problems.extend(runtime.block_on(differences(&source, to, &copy)));
    problems.iter().map(|problem| format!("{name}: {problem}")).collect()
}

/// What our own comparison says of a copy. Majors print definitions differently, so the target is asked what
/// the source's mean.
async fn differences(source: &Catalog, server: &Server, copy: &str) -> Vec<String> {
    let target = read(server, copy).await;
    let comparison = compare_aspects(source, &target, Aspects::ALL);
    let settler = Settler::Target {
        settings: Box::new(settings(server, copy)),
        although_read_only: false,
        may_run_functions: true,
    };
    let versions = (source.server_version, target.server_version);
    let settled =
        settle_definitions(comparison, versions, &settler, &CancellationToken::new()).await.unwrap();
    settled.differences.iter().map(ToString::to_string).collect()
}

/// What `pg_dump` says of a database that `pg_dump | psql` has moved: a newer
/// major prints some things differently, whoever carried them there.
fn reference(from: &Server, db: &str, to: &Server) -> String {
    let copy = format!("{db}_{}_reference", from.major());
    to.create_db(&copy);
    let dump = from.pg_dump_schema(db);
    let mut psql = to.client("psql");
    psql.args(["-Xq", "-o", "/dev/null", "-d", &copy]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut psql = psql.spawn().unwrap();
    psql.stdin.take().unwrap().write_all(dump.as_bytes()).unwrap();
    assert!(psql.wait().unwrap().success());
    schema_text(to, &copy)
}

/// What `pg_dump` says of a database. It names the owner of the server's own
/// functions in comments, and carries it no more than we do.
pub(crate) fn schema_text(server: &Server, db: &str) -> String {
    let own = |line: &str| line.starts_with("-- Name: ") && line.contains("; Schema: pg_catalog; Owner: ");
    server.pg_dump_schema(db).lines().filter(|line| !own(line)).map(|line| format!("{line}\n")).collect()
}

pub(crate) fn text_difference(name: &str, left: &str, right: &str) -> Option<String> {
    if left == right {
        return None;
    }
    let dir = std::env::temp_dir().join(format!("dbhaul-{}", name.replace(' ', "-")));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("source.sql"), left).unwrap();
    std::fs::write(dir.join("target.sql"), right).unwrap();
    let first = left.lines().zip(right.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let context =
        |text: &str| text.lines().skip(first.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    Some(format!(
        "pg_dump differs from line {}; both in {}\n--- source\n{}\n--- target\n{}",
        first + 1,
        dir.display(),
        context(left),
        context(right)
    ))
}

pub(crate) fn round_trip(fixture: Fixture, majors: &[(u16, u16)]) {
    let mut found = Vec::new();
    for &(from, to) in majors {
        let source = Server::start(from);
        let target = Server::start(to);
        fixture.load(&source, "moved");
        fixture.prepare_target(&target);
        found.extend(problems(&source, "moved", &target));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
