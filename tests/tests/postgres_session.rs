//! Sessions on real servers: pins, answers, copies, cancellation, snapshots, what servers can do.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

use bytes::Bytes;
use dbhaul_postgres::{
    ConnectSettings, Error, ErrorClass, Probe, Session, SessionRole, SnapshotHolder, connect_directly,
};
use dbhaul_tests::{Encoding, MAJORS, Server, wait_until};
use tokio_util::sync::CancellationToken;

fn settings(uri: &str) -> ConnectSettings {
    ConnectSettings::resolve(Some(uri), &|_| None).unwrap()
}

async fn open(server: &Server, role: SessionRole) -> Session {
    let settings = settings(&server.uri("postgres"));
    Session::connect(&settings, role, &CancellationToken::new()).await.unwrap()
}

/// A COPY that never ends by itself.
const ENDLESS: &str = "COPY (SELECT pg_catalog.generate_series(1, 1000000000000)) TO STDOUT";

#[tokio::test]
async fn pins_hold_on_every_major_against_hostile_defaults() {
    for major in MAJORS {
        let server = Server::builder(major)
            .config("timezone", "Asia/Tokyo")
            .config("datestyle", "German, DMY")
            .config("intervalstyle", "iso_8601")
            .config("bytea_output", "escape")
            .config("extra_float_digits", "-3")
            .config("statement_timeout", "7s")
            .config("lock_timeout", "7s")
            .config("idle_in_transaction_session_timeout", "7s")
            .config("search_path", "public")
            .config("quote_all_identifiers", "on")
            .start();
        server.psql("postgres", "ALTER ROLE postgres SET default_transaction_read_only = on");
        let session = open(&server, SessionRole::Loader).await;
        assert_eq!(session.version().major(), u32::from(major));
        let sql = "SELECT now()::timestamptz(0) = '2000-01-01 00:00:00+00', interval '1 day 2 hours', '\\x0102'::bytea, \
             0.1::float8 + 0.2::float8, timestamptz '2001-02-03 04:05:06+00', current_setting('search_path'), \
             current_setting('statement_timeout'), current_setting('lock_timeout'), \
             current_setting('idle_in_transaction_session_timeout'), quote_ident('plain'), \
             current_setting('synchronous_commit'), current_setting('default_transaction_read_only')";
        let rows = session.query_rows(sql).await.unwrap();
        let row: Vec<&str> = rows[0].iter().map(|column| column.as_deref().unwrap()).collect();
        let expected = [
            "f",
            "1 day 02:00:00",
            "\\x0102",
            "0.30000000000000004",
            "2001-02-03 04:05:06+00",
            "",
            "0",
            "0",
            "0",
            "plain",
            "off",
            "off",
        ];
        assert_eq!(row, expected, "{major}");
        session.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_pin_that_the_server_refuses_is_an_error() {
    let server = Server::start(16);
    let session = open(&server, SessionRole::Reader).await;
    session.pin("maintenance_work_mem", "77MB").await.unwrap();
    assert_eq!(session.query_strings("SHOW maintenance_work_mem").await.unwrap(), ["77MB"]);
    let error = session.pin("work_mem", "much").await.unwrap_err();
    assert!(error.to_string().contains("work_mem"), "{error}");
}

#[tokio::test]
async fn sql_ascii_databases_give_their_bytes_unchecked() {
    let server = Server::builder(17).encoding(Encoding::SqlAscii).start();
    let session = open(&server, SessionRole::Reader).await;
    assert_eq!(session.server_encoding(), "SQL_ASCII");
    let mut copy = session.copy_out("COPY (SELECT chr(233)) TO STDOUT").await.unwrap();
    assert_eq!(copy.next_block().await.unwrap().unwrap(), Bytes::from_static(b"\xe9\n"));
    assert_eq!(copy.next_block().await.unwrap(), None);
    let error = session.query_strings("SELECT chr(233)").await.unwrap_err();
    assert!(matches!(error, Error::NotUtf8 { .. }), "{error}");
    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[allow(dead_code, reason = "never read: reading it is what fails")]
        text: String,
    }
    let error = session.query_json::<Row>("SELECT chr(233) AS text").await.unwrap_err();
    assert!(matches!(error, Error::NotUtf8 { .. }), "{error}");
}

#[tokio::test]
async fn latin1_databases_arrive_as_utf8() {
    let server = Server::builder(15).encoding(Encoding::Latin1).start();
    let session = open(&server, SessionRole::Reader).await;
    assert_eq!(session.query_strings("SELECT chr(233)").await.unwrap(), ["é"]);
}

#[tokio::test]
async fn answers_come_as_asked_for() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Row {
        number: i64,
        text: Option<String>,
    }
    let server = Server::start(18);
    let session = open(&server, SessionRole::Reader).await;
    let sql =
        "SELECT i AS number, CASE WHEN i > 1 THEN 'é\"' END AS text FROM generate_series(1, 2) AS i -- end";
    let rows: Vec<Row> = session.query_json(sql).await.unwrap();
    let expected = [Row { number: 1, text: None }, Row { number: 2, text: Some("é\"".to_owned()) }];
    assert_eq!(rows, expected);
    let error = session.query_json::<Row>("SELECT 'x' AS number;").await.unwrap_err();
    assert!(matches!(error, Error::Answer { .. }), "{error}");
    assert!(session.query_one_text("SELECT 1 WHERE false").await.is_err());
    assert_eq!(session.query_one_text("SELECT NULL").await.unwrap(), None);
    let error = session.execute("SELECT nope FROM pg_class").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42703"));
    assert_eq!(error.server_error().unwrap().position, Some(8));
    let error = session.execute("SELECT 1; SELECT 2").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42601"));
}

#[tokio::test]
async fn copies_round_trip_and_only_finish_and_commit_keep_rows() {
    let server = Server::start(14);
    let session = open(&server, SessionRole::Loader).await;
    session.batch("CREATE TABLE public.t (a int PRIMARY KEY, b text)").await.unwrap();
    let count = || server.psql("postgres", "SELECT count(*) FROM t");

    let error = session.copy_in("COPY public.t FROM STDIN").await.unwrap_err();
    assert!(matches!(error, Error::NotInTransaction { .. }), "{error}");

    session.begin().await.unwrap();
    let mut copy = session.copy_in("COPY public.t FROM STDIN").await.unwrap();
    for number in 0..20_000 {
        copy.send(Bytes::from(format!("{number}\ttext {number}\n"))).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 20_000);
    assert_eq!(count(), "0");
    session.commit().await.unwrap();
    assert_eq!(count(), "20000");

    // dropped half-way: the transaction cannot be committed any more
    session.batch("BEGIN").await.unwrap();
    let mut copy = session.copy_in("COPY public.t FROM STDIN").await.unwrap();
    copy.send(Bytes::from_static(b"-1\tlost\n")).await.unwrap();
    drop(copy);
    let error = session.commit().await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("25P02"));
    session.rollback().await.unwrap();
    assert_eq!(count(), "20000");

    // a bad row is named with its line
    session.begin().await.unwrap();
    let mut copy = session.copy_in("COPY public.t FROM STDIN").await.unwrap();
    copy.send(Bytes::from_static(b"-1\ta\n5\tb\n")).await.unwrap();
    let error = copy.finish().await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("23505"));
    assert_eq!(error.server_error().unwrap().constraint.as_deref(), Some("t_pkey"));
    assert!(error.server_error().unwrap().where_.as_deref().unwrap().contains("line 2"), "{error}");
    session.rollback().await.unwrap();

    let mut copy = session.copy_out("COPY public.t TO STDOUT").await.unwrap();
    let mut rows = 0;
    while let Some(block) = copy.next_block().await.unwrap() {
        rows += block.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(rows, 20_000);
    fails_before_it_reads(&session, &server).await;
}

/// A copy that fails before the server reads a row is the server's error, and each request after it gets its own
/// answer: a commit that fails says so.
async fn fails_before_it_reads(session: &Session, server: &Server) {
    server.psql(
        "postgres",
        "CREATE VIEW v AS SELECT a FROM t; CREATE TABLE guarded (a int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END';
         CREATE TRIGGER g BEFORE INSERT ON guarded EXECUTE FUNCTION f()",
    );
    for (relation, state) in [
        ("nowhere", "42P01"),
        ("t (nothing)", "42703"),
        ("v", "42809"),
        ("t (a) FROM STDIN WITH (FREEZE) --", "55000"),
        ("guarded", "P0001"),
    ] {
        session.begin().await.unwrap();
        let error = match session.copy_in(&format!("COPY public.{relation} FROM STDIN")).await {
            Err(error) => error,
            Ok(mut copy) => {
                // the server may have answered before all of it has gone
                let _ = copy.send(Bytes::from_static(b"-7\n")).await;
                copy.finish().await.unwrap_err()
            }
        };
        assert_eq!(error.sqlstate(), Some(state), "{relation}: {error}");
        assert_eq!(session.commit().await.unwrap_err().sqlstate(), Some("25P02"), "{relation}");
        session.rollback().await.unwrap();
        for number in ["1", "2", "3"] {
            let found = session.query_one_text(&format!("SELECT {number}")).await.unwrap();
            assert_eq!(found.as_deref(), Some(number), "{relation}");
        }
    }
}

#[tokio::test]
async fn a_constraint_that_fails_at_commit_fails_the_commit() {
    let server = Server::start(17);
    let session = open(&server, SessionRole::Loader).await;
    let sql = "CREATE TABLE public.t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)";
    session.batch(sql).await.unwrap();
    session.begin().await.unwrap();
    let mut copy = session.copy_in("COPY public.t FROM STDIN").await.unwrap();
    copy.send(Bytes::from_static(b"1\n1\n")).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2);
    let error = session.commit().await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("23505"));
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM t"), "0");
}

#[tokio::test]
async fn a_transaction_in_few_messages_is_kept_whole_or_not_at_all() {
    let server = Server::start(18);
    server.psql("postgres", "CREATE TABLE t (i int)");
    let session = open(&server, SessionRole::Loader).await;
    session.begin_and("INSERT INTO public.t VALUES (1)").await.unwrap();
    session.commit_after("INSERT INTO public.t VALUES (2)").await.unwrap();
    assert_eq!(server.psql("postgres", "SELECT sum(i) FROM t"), "3");

    session.begin_and("INSERT INTO public.t VALUES (10)").await.unwrap();
    let error = session.commit_after("INSERT INTO public.t VALUES ('x')").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("22P02"));
    session.rollback().await.unwrap();
    let error = session.begin_and("INSERT INTO public.t VALUES (20); SELECT 1 / 0").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("22012"));
    session.rollback().await.unwrap();
    session.begin_and("INSERT INTO public.t VALUES (30); SAVEPOINT s").await.unwrap();
    session.batch("no such statement").await.unwrap_err();
    assert_eq!(session.commit().await.unwrap_err().sqlstate(), Some("25P02"));
    session.rollback().await.unwrap();
    assert_eq!(server.psql("postgres", "SELECT sum(i) FROM t"), "3");
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_copy_is_not_its_end() {
    let server = Server::start(13);
    let session = open(&server, SessionRole::Reader).await;
    let sql = "COPY (SELECT 1 / (500 - i) FROM generate_series(1, 1000) AS i) TO STDOUT";
    let mut copy = session.copy_out(sql).await.unwrap();
    let error = loop {
        match copy.next_block().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the copy seems complete"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.sqlstate(), Some("22012"));
    assert_eq!(session.query_strings("SELECT 1").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn cancelling_stops_the_server() {
    let server = Server::start(15);
    let token = CancellationToken::new();
    let uri = server.uri("postgres");
    let session = Session::connect(&settings(&uri), SessionRole::Reader, &token).await.unwrap();
    let is_active = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state = 'active'",
        session.backend_pid()
    );
    let sleeping = async { session.execute("SELECT pg_sleep(3600)").await };
    let cancelling = tokio::task::spawn_blocking({
        let (socket_dir, port, token) = (server.socket_dir().to_owned(), server.port(), token.clone());
        let is_active = is_active.clone();
        move || {
            let uri = format!("host={} port={port} user=postgres", socket_dir.display());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let watcher = runtime.block_on(async {
                Session::connect(&settings(&uri), SessionRole::Reader, &CancellationToken::new())
                    .await
                    .unwrap()
            });
            wait_until("the session sleeps", || {
                let active = runtime.block_on(watcher.query_one_text(&is_active)).unwrap();
                (active.as_deref() == Some("1")).then_some(())
            });
            token.cancel();
        }
    });
    let error = sleeping.await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled, "{error}");
    cancelling.await.unwrap();
    wait_until("the server is idle", || (server.psql("postgres", &is_active) == "0").then_some(()));
    assert!(session.execute("SELECT 1").await.unwrap_err().is_cancelled());
    session.rollback().await.unwrap();
}

#[tokio::test]
async fn cancelling_ends_a_copy_in_either_direction() {
    let server = Server::start(18);
    let token = CancellationToken::new();
    let uri = server.uri("postgres");
    let reader = Session::connect(&settings(&uri), SessionRole::Reader, &token).await.unwrap();
    let loader = Session::connect(&settings(&uri), SessionRole::Loader, &token).await.unwrap();
    let mut copy_out = reader.copy_out(ENDLESS).await.unwrap();
    assert!(copy_out.next_block().await.unwrap().is_some());
    loader.batch("CREATE TABLE public.t (a text)").await.unwrap();
    loader.begin().await.unwrap();
    let mut copy_in = loader.copy_in("COPY public.t FROM STDIN").await.unwrap();
    copy_in.send(Bytes::from_static(b"x\n")).await.unwrap();
    token.cancel();
    let error = loop {
        match copy_out.next_block().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an endless copy seems complete"),
            Err(error) => break error,
        }
    };
    assert!(error.is_cancelled(), "{error}");
    assert!(copy_in.send(Bytes::from_static(b"y\n")).await.unwrap_err().is_cancelled());
    assert!(copy_in.finish().await.unwrap_err().is_cancelled());
    loader.rollback().await.unwrap();
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM t"), "0");
}

#[tokio::test]
async fn a_dropped_copy_leaves_the_session_usable() {
    let server = Server::start(16);
    let session = open(&server, SessionRole::Reader).await;
    let mut copy = session.copy_out(ENDLESS).await.unwrap();
    assert!(copy.next_block().await.unwrap().is_some());
    drop(copy);
    assert_eq!(session.query_strings("SELECT 'here'").await.unwrap(), ["here"]);
}

#[tokio::test]
async fn a_terminated_backend_is_a_transient_error_with_its_reason() {
    let server = Server::start(17);
    let session = open(&server, SessionRole::Reader).await;
    let end = |session: &Session| format!("SELECT pg_terminate_backend({}, 60000)", session.backend_pid());
    assert_eq!(server.psql("postgres", &end(&session)), "t");
    let error = session.execute("SELECT 1").await.unwrap_err();
    assert!(error.is_connection_lost() && error.is_transient(), "{error}");
    assert_eq!(error.sqlstate(), Some("57P01"));

    let session = open(&server, SessionRole::Reader).await;
    let mut copy = session.copy_out(ENDLESS).await.unwrap();
    server.psql("postgres", &format!("SELECT pg_terminate_backend({})", session.backend_pid()));
    let error = loop {
        match copy.next_block().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an endless copy seems complete"),
            Err(error) => break error,
        }
    };
    assert!(error.is_connection_lost() && error.is_transient(), "{error}");

    let session = open(&server, SessionRole::Loader).await;
    session.batch("CREATE TABLE public.t (a text)").await.unwrap();
    session.begin().await.unwrap();
    let mut copy = session.copy_in("COPY public.t FROM STDIN").await.unwrap();
    assert_eq!(server.psql("postgres", &end(&session)), "t");
    let block = Bytes::from(vec![b'x'; 100_000]);
    let error = loop {
        if let Err(error) = copy.send(block.clone()).await {
            break error;
        }
    };
    assert!(error.is_connection_lost() && error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_snapshot_is_seen_by_every_session_that_imports_it() {
    for major in [13, 18] {
        let server = Server::start(major);
        server.psql("postgres", "CREATE TABLE t AS SELECT 1 AS a");
        let settings = settings(&server.uri("postgres"));
        let holder = SnapshotHolder::open(&settings, &CancellationToken::new()).await.unwrap();
        assert!(holder.is_alive());
        assert!(holder.info().lsn.as_deref().unwrap().contains('/'));
        let identifier = server.psql("postgres", "SELECT system_identifier FROM pg_control_system()");
        assert_eq!(holder.info().system_identifier.as_deref(), Some(identifier.as_str()));
        server.psql("postgres", "INSERT INTO t VALUES (2)");

        let session = open(&server, SessionRole::Reader).await;
        holder.import_into(&session).await.unwrap();
        assert_eq!(session.query_strings("SELECT count(*) FROM public.t").await.unwrap(), ["1"]);
        let error = session.execute("INSERT INTO public.t VALUES (3)").await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("25006"));
        session.rollback().await.unwrap();
        assert_eq!(session.query_strings("SELECT count(*) FROM public.t").await.unwrap(), ["2"]);
        holder.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_snapshot_is_said_to_be_gone() {
    for major in [16, 17] {
        let server = Server::start(major);
        let settings = settings(&server.uri("postgres"));
        let holder = SnapshotHolder::open(&settings, &CancellationToken::new()).await.unwrap();
        assert_eq!(server.terminate_backends("postgres", "%"), 1);
        let session = open(&server, SessionRole::Reader).await;
        wait_until("the holder notices", || (!holder.is_alive()).then_some(()));
        let error = holder.import_into(&session).await.unwrap_err();
        assert!(matches!(error, Error::SnapshotGone { .. }), "{error}");
        assert!(holder.release().await.is_err());
    }
}

#[tokio::test]
async fn probes_find_out_what_a_role_may_do() {
    for major in [13, 18] {
        let server = Server::start(major);
        server.psql(
            "postgres",
            "CREATE ROLE ann LOGIN; CREATE SCHEMA hidden; CREATE TABLE hidden.a (i int); CREATE TABLE b (i int); \
             CREATE TABLE c (i int); GRANT SELECT ON c TO ann; CREATE SEQUENCE s",
        );
        let admin = open(&server, SessionRole::Reader).await;
        let probe = Probe::new(&admin);
        assert!(probe.capabilities().await.unwrap().is_superuser);
        assert_eq!(probe.unreadable().await.unwrap(), (Vec::new(), Vec::new()));
        assert_eq!(probe.refusal_to_create_schema().await.unwrap(), None);
        let extensions = probe.available_extensions().await.unwrap();
        let plpgsql = extensions.iter().find(|extension| extension.name == "plpgsql").unwrap();
        assert_eq!(plpgsql.installed_version, plpgsql.default_version);
        let capacity = probe.lock_capacity().await.unwrap();
        assert!(
            capacity.lock_slots > 64 && capacity.connection_slots > capacity.used_connections,
            "{capacity:?}"
        );
        assert!(probe.database_size_bytes().await.unwrap() > 1_000_000);
        assert_eq!(probe.setting("no_such_setting").await.unwrap(), None);

        let settings = settings(&server.uri_as("ann", "postgres"));
        let ann = Session::connect(&settings, SessionRole::Reader, &CancellationToken::new()).await.unwrap();
        let probe = Probe::new(&ann);
        let capabilities = probe.capabilities().await.unwrap();
        assert!(!capabilities.is_superuser && !capabilities.can_create_in_database, "{capabilities:?}");
        let refusal = probe.refusal_to_create_schema().await.unwrap().unwrap();
        assert_eq!(refusal.sqlstate, "42501");
        assert!(probe.refusal_to_set_role("postgres").await.unwrap().is_some());
        let (unreadable, _) = probe.unreadable().await.unwrap();
        let names: Vec<&str> = unreadable.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "s"]);
        assert!(unreadable[0].lacks_schema_usage && !unreadable[1].lacks_schema_usage);
        connect_directly(&settings, &CancellationToken::new()).await.unwrap();
    }
}

/// A text that holds two statements, and statements behind one that fails, do nothing.
#[tokio::test]
async fn a_message_of_another_is_one_statement() {
    for major in [13, 18] {
        let server = Server::start(major);
        let session = open(&server, SessionRole::Loader).await;
        let tables = async || {
            let sql = "SELECT relname FROM pg_catalog.pg_class WHERE relname LIKE 'smuggled%' ORDER BY 1";
            session.query_strings(sql).await.unwrap()
        };
        let outside = session.run_each(&["CREATE TABLE public.smuggled ()"]).await.unwrap_err();
        assert!(matches!(outside.error, Error::NoTransaction { .. }), "{outside:?}");
        assert_eq!(tables().await, Vec::<String>::new());

        session.begin().await.unwrap();
        let statements = [
            "SELECT 1",
            "SELECT 1; COMMIT; CREATE TABLE public.smuggled ()",
            "CREATE TABLE public.smuggled2 ()",
        ];
        let failed = session.run_each(&statements).await.unwrap_err();
        assert_eq!((failed.place, failed.error.sqlstate()), (1, Some("42601")), "{failed:?}");
        session.rollback().await.unwrap();
        assert_eq!(tables().await, Vec::<String>::new());

        session.begin().await.unwrap();
        let failed = session.run_each_and_commit(&["CREATE TABLE public.smuggled ()", "nonsense"], "").await;
        assert_eq!(failed.unwrap_err().place, 1);
        session.rollback().await.unwrap();
        assert_eq!(tables().await, Vec::<String>::new());

        session.begin().await.unwrap();
        let many: Vec<String> = (0..600).map(|n| format!("CREATE TABLE public.smuggled{n} ()")).collect();
        session.run_each(&many[..300]).await.unwrap();
        session.run_each_and_commit(&many[300..], "CREATE TABLE public.smuggled ()").await.unwrap();
        assert_eq!(tables().await.len(), 601);
    }
}
