//! Standbys: as a source, and as something that a busy source must not leave behind.

use dbhaul_tests::{Dbhaul, Fixture, Original, Server, wait_until};
use tempfile::TempDir;

#[test]
fn a_standby_is_as_good_a_source_as_its_primary() {
    for major in [13, 18] {
        let (mut primary, target) = (Server::start(major), Server::start(major));
        Fixture::TpcH { scale: 0.01 }.load(&primary, "shop");
        primary
            .psql("shop", "SELECT lo_from_bytea(4711, '\\x010203'); CREATE SEQUENCE s; SELECT nextval('s')");
        let standby = primary.standby();
        primary.psql("shop", "UPDATE nation SET n_comment = 'changed since'");
        primary.wait_for(&standby);
        let original = Original::new(&primary, "shop", &target);
        let (source, store) = (standby.uri("shop"), TempDir::new().unwrap());
        for db in ["restored", "migrated"] {
            target.create_db(db);
        }
        let dump = Dbhaul::new(["dump", "--jobs", "3", "--source", &source, "--store"]);
        dump.arg(store.path()).run().assert_code(0);
        let restore = Dbhaul::new(["restore", "--target", &target.uri("restored"), "--store"]);
        restore.arg(store.path()).run().assert_code(0);
        let migrate = ["migrate", "--jobs", "3", "--source", &source, "--target", &target.uri("migrated")];
        Dbhaul::new(migrate).run().assert_code(0).assert_says("EQUAL");
        for db in ["restored", "migrated"] {
            original.assert_equals(db);
        }
    }
}

#[test]
fn reading_pauses_while_a_standby_is_behind() {
    let mut source = Server::start(18);
    source.create_db("shop");
    let standby = source.standby();
    source.wait_for(&standby);
    standby.psql("postgres", "SELECT pg_wal_replay_pause()");
    source.psql("shop", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i");
    let store = TempDir::new().unwrap();
    let dump = ["dump", "--progress", "json", "--max-standby-lag", "256kB", "--source", &source.uri("shop")];
    let mut run = Dbhaul::new(dump).arg("--store").arg(store.path()).spawn();
    wait_until("it pauses", || run.stderr_so_far().contains("reading pauses").then_some(()));
    assert!(!run.has_ended());
    standby.psql("postgres", "SELECT pg_wal_replay_resume()");
    run.wait().assert_code(0).assert_stderr_has(&["a standby of the source is", "reading goes on"]);
}
