//! Databases whose owner lies in wait for whoever connects: operators, functions, types and relations like
//! the server's own, in a schema that the search path names before `pg_catalog`. Nothing of them may be run
//! or found by any session, on either side, whatever sets the path.

use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use dbhaul_tests::{Dbhaul, Finished, MAJORS, Server};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Each of its objects raises an error with this word.
const TRAP: &str = include_str!("../fixtures/cases/hostile-path.sql");

/// Each of its objects writes a line with this word into the server's log, and does what it should.
const CANARY: &str = include_str!("../fixtures/cases/canary-path.sql");

/// What sets the search path.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Database,
    Role,
    /// The schema is named as the role.
    User,
}

const WAYS: [Way; 3] = [Way::Database, Way::Role, Way::User];

/// Creates a database with the objects of a fixture, whose own schema gets the name `schema`, and sets the
/// path of whoever connects to it as [`mover`].
fn lay(server: &Server, (db, fixture): (&str, &str), schema: &str, way: Way) {
    let mover = mover(way);
    server.psql(
        "postgres",
        &format!(
            "DO $$ BEGIN CREATE ROLE {mover} SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        ),
    );
    server.create_db(db);
    let schema = if way == Way::User { mover } else { schema };
    let named = fixture.replace("evil", schema).replace("spy", schema);
    server.psql(db, &named);
    server.psql(
        "postgres",
        &match way {
            Way::Database => format!("ALTER DATABASE {db} SET search_path = {schema}, public, pg_catalog"),
            Way::Role => format!("ALTER ROLE {mover} SET search_path = {schema}, public, pg_catalog"),
            Way::User => format!("ALTER DATABASE {db} SET search_path = \"$user\", public, pg_catalog"),
        },
    );
}

/// The superuser that dbhaul connects as.
fn mover(way: Way) -> &'static str {
    match way {
        Way::Database => "mover_d",
        Way::Role => "mover_r",
        Way::User => "mover_u",
    }
}

/// Fails if the server has run, or found, anything of a fixture.
#[track_caller]
fn assert_untouched(server: &Server, what: &str) {
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    let at = lines.iter().position(|line| line.contains("ERROR:  PWNED") || line.contains("LOG:  CANARY"));
    if let Some(at) = at {
        let end = lines.len().min(at + 8);
        panic!("{what} on {}:\n{}", server.major(), lines[at..end].join("\n"));
    }
}

#[tokio::test]
async fn no_session_finds_what_its_search_path_offers() {
    for major in MAJORS {
        let server = Server::start(major);
        for (name, fixture) in [("trap", TRAP), ("canary", CANARY)] {
            for way in WAYS {
                let db = format!("{name}_{way:?}").to_lowercase();
                lay(&server, (&db, fixture), "evil", way);
                for role in [SessionRole::Reader, SessionRole::Loader] {
                    let uri = format!("{}?target_session_attrs=primary", server.uri_as(mover(way), &db));
                    let settings = ConnectSettings::resolve(Some(&uri), &|_| None).unwrap();
                    let session = Session::connect(&settings, role, &CancellationToken::new()).await.unwrap();
                    let sql = "SELECT 'a'::text = 'a', current_setting('search_path'), 1 + 1";
                    let expected = [Some("t"), Some(""), Some("2")].map(|text| text.map(str::to_owned));
                    assert_eq!(session.query_rows(sql).await.unwrap(), [expected], "{major} {db}");
                }
                assert_untouched(&server, &db);
            }
        }
    }
}

/// Runs a command that must end well and say nothing of a trap.
#[track_caller]
fn succeed(arguments: &[&str]) -> Finished {
    let run = Dbhaul::new(arguments).run();
    run.assert_code(0);
    assert!(!run.stdout.contains("PWNED") && !run.stderr.contains("PWNED"), "{run}");
    run
}

/// Commands that only look, on a database with a trap as the source and one that is watched as the target.
fn look(major: u16, way: Way) {
    let server = Server::start(major);
    lay(&server, ("shop", TRAP), "evil", way);
    lay(&server, ("copy", CANARY), "lurking", Way::Database);
    let (from, to) = (server.uri_as(mover(way), "shop"), server.uri_as(mover(Way::Database), "copy"));
    let directory = TempDir::new().unwrap();
    let (store, script) = (directory.path().join("store"), directory.path().join("script.sql"));
    let (store, script) = (store.to_str().unwrap(), script.to_str().unwrap());
    succeed(&["preflight", "--source", &from, "--target", &to, "--allow-non-empty"]);
    succeed(&["dump", "--source", &from, "--store", store]);
    succeed(&["dump", "--source", &from, "--format", "sql", "--file", script]);
    succeed(&["migrate", "--source", &from, "--target", &to, "--allow-non-empty", "--dry-run"]);
    succeed(&["restore", "--store", store, "--target", &to, "--allow-non-empty", "--dry-run"]);
    succeed(&["verify", "--source", &from, "--store", store]);
    succeed(&["cleanup", "--source", &from, "--target", &to]);
    assert_untouched(&server, "a command that looks");
}

#[test]
fn commands_that_look_run_nothing_of_the_owner() {
    for (major, way) in MAJORS.into_iter().zip(WAYS.into_iter().cycle()) {
        look(major, way);
    }
}
