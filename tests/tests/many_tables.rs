//! More tables than the servers' lock tables have room for.

use std::path::Path;

use dbhaul_pipeline::{
    ConnectSettings, Context, Dump, DumpRequest, ParentRef, RoleOptions, RowStore, Selection, ThrottleOptions,
};
use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// How many tables; their locks overflow the lock table of a server of [`crowded`].
fn table_count() -> usize {
    if std::env::var_os("DBHAUL_LONG").is_some() { 20_000 } else { 2_000 }
}

/// A server with a database `many` of many tables, and a lock table that is far too small for them.
fn crowded(major: u16) -> Server {
    let mut server = Server::start(major);
    server.create_db("many");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/many-tables.sql");
    server.psql_file("many", &script, &[("tables", &table_count().to_string())]);
    shrink_locks(&mut server);
    server
}

/// The least that a server takes: 10 locks for each of 20 connections.
fn shrink_locks(server: &mut Server) {
    for (name, value) in
        [("max_locks_per_transaction", 10), ("max_connections", 20), ("max_prepared_transactions", 0)]
    {
        server.psql("postgres", &format!("ALTER SYSTEM SET {name} = {value}"));
    }
    server.restart();
}

#[test]
fn a_small_lock_table_is_enough_on_both_sides() {
    let source = crowded(18);
    let mut target = Server::start(18);
    shrink_locks(&mut target);
    let refused = source.client("pg_dump").args(["-d", "many", "-f", "/dev/null"]).output().unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("out of shared memory"), "the lock table is large enough: {refused}");

    let store = TempDir::new().unwrap();
    target.create_db("restored");
    target.create_db("migrated");
    let dump = Dbhaul::new(["dump", "--jobs", "4", "--source", &source.uri("many"), "--store"]);
    dump.arg(store.path()).run().assert_code(0);
    let restore = Dbhaul::new(["restore", "--jobs", "4", "--target", &target.uri("restored"), "--store"]);
    restore.arg(store.path()).run().assert_code(0);
    let verify =
        Dbhaul::new(["verify", "--backup", "latest", "--target", &target.uri("restored"), "--store"]);
    verify.arg(store.path()).run().assert_code(0);
    let (from, to) = (source.uri("many"), target.uri("migrated"));
    Dbhaul::new(["migrate", "--jobs", "4", "--source", &from, "--target", &to]).run().assert_code(0);
    let rows = |db: &str| {
        let sum = "SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %s', \
                   oid::regclass), false, true, '')))[1]::text::int) FROM pg_class WHERE relkind = 'r' \
                   AND relname IN ('t1', 't5', 't777')";
        target.psql(db, sum)
    };
    assert_eq!((rows("restored").as_str(), rows("migrated").as_str()), ("9", "9"));
}

/// A table that is not locked while it waits to be read may be emptied: then the run says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_changed_before_it_is_read_fails_the_dump_by_name() {
    let source = crowded(14);
    for (change, table) in [
        ("TRUNCATE s1.t1999", "s1.t1999"),
        ("ALTER TABLE s1.t1998 RENAME TO old; CREATE TABLE s1.t1998 (LIKE s1.old)", "s1.t1998"),
        (
            "ALTER TABLE s1.t1997 RENAME code TO other; ALTER TABLE s1.t1997 RENAME name TO code; \
             ALTER TABLE s1.t1997 RENAME other TO name",
            "s1.t1997",
        ),
    ] {
        let store = TempDir::new().unwrap();
        let request = DumpRequest {
            source: ConnectSettings::resolve(Some(&source.uri("many")), &|_| None).unwrap(),
            store: store.path().to_str().unwrap().parse().unwrap(),
            selection: Selection { tables: vec!["s1.*".to_owned()], ..Selection::default() },
            jobs: 2,
            parent: ParentRef::Newest,
            compression_level: 1,
            compression_helpers: 0,
            roles: RoleOptions::RECORDED,
            statistics: false,
            tags: Vec::new(),
            throttle: ThrottleOptions::default(),
            row_store: RowStore::Packs,
        };
        let prepared = Dump::prepare(request, Context::silent()).await.unwrap();
        source.psql("many", change);
        let error = Box::pin(prepared.execute()).await.unwrap_err();
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            said = format!("{said}: {next}");
            cause = next.source();
        }
        assert!(said.contains(table) && said.contains("after the snapshot"), "{change}: {said}");
    }
}
