//! How often one waits for a server before the next can be asked, which is what a far server costs. Counted, not
//! timed: a proxy sees who speaks after whom.

use std::path::Path;
use std::time::Duration;

use dbhaul_introspect::{read_catalog, read_roles};
use dbhaul_postgres::{
    ConnectSettings, Error, Flight, Session, SessionRole, SnapshotHolder, process_environment,
};
use dbhaul_tests::{Dbhaul, Fixture, Proxy, Server};
use serde::Deserialize;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What is sent together has all come long before the proxy lets an answer pass.
const LAG: Duration = Duration::from_millis(20);

/// A server with a database of 300 tables, one of nearly each kind of object and an empty one.
fn start(major: u16) -> (Server, Proxy) {
    let server = Server::start(major);
    server.create_db("nothing");
    Fixture::EveryKind.load(&server, "kinds");
    server.create_db("many");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/many-tables.sql");
    server.psql_file("many", &script, &[("tables", "300")]);
    let proxy = before(&server);
    (server, proxy)
}

fn before(server: &Server) -> Proxy {
    let proxy = Proxy::before(server.port());
    proxy.lag(LAG);
    proxy
}

fn settings(uri: &str) -> ConnectSettings {
    ConnectSettings::resolve(Some(uri), &process_environment).unwrap()
}

async fn connect(uri: &str) -> Session {
    Session::connect(&settings(uri), SessionRole::Reader, &CancellationToken::new()).await.unwrap()
}

/// The round trips that something takes.
async fn trips<T>(proxy: &Proxy, work: impl Future<Output = T>) -> (u64, T) {
    let before = proxy.round_trips();
    let done = work.await;
    (proxy.round_trips() - before, done)
}

#[tokio::test]
async fn a_catalog_is_read_in_two_round_trips_whatever_is_in_it() {
    for major in [13, 18] {
        let (_server, proxy) = start(major);
        for db in ["nothing", "kinds", "many"] {
            let session = connect(&proxy.uri(db)).await;
            let (count, catalog) = trips(&proxy, read_catalog(&session)).await;
            assert_eq!(catalog.unwrap().uncovered, Vec::new());
            assert_eq!(count, 2, "{db} on {major}");
            let (count, roles) = trips(&proxy, read_roles(&session, true)).await;
            assert!(!roles.unwrap().roles.is_empty());
            assert_eq!(count, 2, "roles of {major}");
        }
    }
}

#[tokio::test]
async fn what_is_not_covered_is_named_in_one_more_round_trip() {
    let server = Server::start(18);
    server.create_db("planted");
    let planted = "SET allow_system_table_mods = on; CREATE TABLE pg_catalog.planted_table (a int)";
    server.psql("planted", planted);
    let proxy = before(&server);
    let session = connect(&proxy.uri("planted")).await;
    let (count, catalog) = trips(&proxy, read_catalog(&session)).await;
    assert!(!catalog.unwrap().uncovered.is_empty());
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_session_pins_its_settings_in_one_round_trip() {
    let server = Server::start(18);
    let proxy = before(&server);
    for (options, expected) in [
        // the login and the pins
        ("sslmode=disable", 2),
        // whether there is TLS comes first
        ("sslmode=prefer", 3),
        // and whether it is the server that is wanted, before the pins
        ("sslmode=disable&target_session_attrs=primary", 3),
    ] {
        let uri = format!("{}?{options}", proxy.uri("postgres"));
        let (count, session) = trips(&proxy, connect(&uri)).await;
        assert_eq!(count, expected, "{options}");
        drop(session);
        let token = CancellationToken::new();
        let (count, holder) = trips(&proxy, SnapshotHolder::open(&settings(&uri), &token)).await;
        let info = holder.as_ref().unwrap().info();
        assert!(info.lsn.is_some() && info.system_identifier.is_some() && info.timeline.is_some());
        assert_eq!(count, expected + 1, "a snapshot, {options}");
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Number {
    n: i64,
}

#[tokio::test]
async fn queries_of_one_flight_answer_those_who_asked() {
    let server = Server::start(18);
    let proxy = before(&server);
    let session = connect(&proxy.uri("postgres")).await;
    let flight = Flight::new(&session);
    let many = "SELECT n FROM pg_catalog.generate_series(1, 100000) AS n";
    let asked = async {
        let second = async {
            let first = flight.query_json::<Number>("SELECT 1 AS n").await?;
            let next = format!("SELECT n FROM pg_catalog.generate_series(1, {}) AS n;", first[0].n + 1);
            flight.query_json::<Number>(&next).await
        };
        let none = flight.query_json::<Number>("SELECT 1 AS n WHERE false -- none");
        futures::try_join!(flight.query_json::<Number>(many), none, second)
    };
    let (count, answers) = trips(&proxy, flight.run(asked)).await;
    let (many, none, second) = answers.unwrap();
    assert_eq!((many.len(), many.last(), none), (100_000, Some(&Number { n: 100_000 }), Vec::new()));
    assert_eq!(second, [Number { n: 1 }, Number { n: 2 }]);
    assert_eq!(count, 2);
}

#[tokio::test]
async fn a_failed_query_of_a_flight_fails_those_behind_it() {
    let server = Server::start(18);
    let session = connect(&server.uri("postgres")).await;
    // before its rows, and behind some of them
    for broken in
        ["SELECT 1 / nothing AS n", "SELECT 1 / (3 - n) AS n FROM pg_catalog.generate_series(1, 9) AS n"]
    {
        let flight = Flight::new(&session);
        let asked = async {
            futures::join!(
                flight.query_json::<Number>("SELECT 1 AS n"),
                flight.query_json::<Number>(broken),
                flight.query_json::<Number>("SELECT 2 AS n"),
            )
        };
        let (before, failed, behind) = flight.run(asked).await;
        assert_eq!(before.unwrap(), [Number { n: 1 }], "{broken}");
        let state = if broken.contains("nothing") { "42703" } else { "22012" };
        assert_eq!(failed.unwrap_err().sqlstate(), Some(state));
        assert!(matches!(behind, Err(Error::Answer { .. })), "{behind:?}");
    }
    // rows that do not fit end it in the middle, and the session is as good as before
    let flight = Flight::new(&session);
    let names = flight.query_json::<Number>("SELECT 'x' AS n FROM pg_catalog.generate_series(1, 1000000)");
    let refused =
        flight.run(async { futures::try_join!(names, flight.query_json::<Number>("SELECT 2 AS n")) });
    assert!(matches!(refused.await, Err(Error::Answer { .. })));
    assert_eq!(session.query_one_text("SELECT 3").await.unwrap().as_deref(), Some("3"));
}

#[tokio::test]
async fn a_flight_is_cancelled_as_any_query_is() {
    let server = Server::start(18);
    let token = CancellationToken::new();
    let settings = settings(&server.uri("postgres"));
    let session = Session::connect(&settings, SessionRole::Reader, &token).await.unwrap();
    let flight = Flight::new(&session);
    let sleeps = "SELECT 1 AS n FROM (SELECT pg_catalog.pg_sleep(600)) AS s";
    let asked =
        async { futures::join!(flight.query_json::<Number>(sleeps), flight.query_json::<Number>(sleeps)) };
    let cancel = async {
        while server.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.*600' AND pid <> pg_backend_pid() AND state = 'active'") != "1" {
            tokio::task::yield_now().await;
        }
        token.cancel();
    };
    let ((first, second), ()) = futures::join!(flight.run(asked), cancel);
    assert!(first.unwrap_err().is_cancelled());
    assert!(second.is_err());
}

/// All connections together, some of which wait at the same time. What each costs is a login, pins and one or two
/// flights; looking at a catalog object by object would be hundreds.
#[test]
fn what_commands_ask_beside_rows_is_bounded() {
    let (source, target) = (Server::start(18), Server::start(18));
    source.create_db("nothing");
    target.create_db("nothing");
    let (from, to) = (before(&source), before(&target));
    let store = TempDir::new().unwrap();
    Dbhaul::new(["dump", "--source", &from.uri("nothing"), "--store"]).arg(store.path()).run().assert_code(0);
    let dumped = from.round_trips();
    assert!(dumped <= 40, "{dumped} round trips of a dump over {} connections", from.connection_count());
    Dbhaul::new(["migrate", "--source", &from.uri("nothing"), "--target", &to.uri("nothing")])
        .run()
        .assert_code(0);
    let migrated = from.round_trips() - dumped + to.round_trips();
    assert!(migrated <= 120, "{migrated} round trips of a migration");
}
