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

/// A standby can be neither written to nor asked what definitions mean: what only that would tell is not verified.
#[test]
fn a_standby_is_verified_as_far_as_it_can_be() {
    let (mut primary, old) = (Server::start(18), Server::start(14));
    let fill = "CREATE TABLE film (id int PRIMARY KEY, title varchar(9) CHECK (title IN ('a', 'b')));
        INSERT INTO film SELECT i, 'a' FROM generate_series(1, 100) i; CREATE SEQUENCE s; SELECT nextval('s')";
    for (server, db) in [(&primary, "shop"), (&old, "shop")] {
        server.create_db(db);
        server.psql(db, fill);
    }
    primary.psql("shop", "ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON SCHEMA public TO PUBLIC");
    let standby = primary.standby();
    primary.wait_for(&standby);
    let verify = |from: &Server, to: &Server, options: &[&str]| {
        let sides = ["verify", "--source", &from.uri("shop"), "--target", &to.uri("shop")];
        Dbhaul::new(sides).args(options).run()
    };
    let deep = &["--mode", "schema,deep", "--values", "show"];
    for (from, to) in [(&primary, &standby), (&standby, &primary), (&old, &standby)] {
        verify(from, to, deep).assert_code(0).assert_says("\nEQUAL");
    }

    // definitions that only a server could tell to mean the same
    let printed = "ALTER TABLE film ADD CONSTRAINT c CHECK ((id + 0) > (-5))";
    old.psql("shop", printed);
    primary.psql(
        "shop",
        "ALTER TABLE film ADD CONSTRAINT c CHECK (id + 0 > -6); UPDATE film SET title = 'b' WHERE id = 7",
    );
    primary.wait_for(&standby);
    let found = verify(&old, &standby, deep);
    found
        .assert_code(4)
        .assert_says("NOT EQUAL")
        .assert_says("public.film")
        .assert_says("different id=\"7\"");
    found.assert_says("CHECK CONSTRAINT public.film c");

    // a standby that does not replay is one that differs, as of the time in the report
    standby.psql("postgres", "SELECT pg_wal_replay_pause()");
    primary.psql("shop", "DELETE FROM film WHERE id = 8");
    let behind = verify(&primary, &standby, &["--mode", "digest"]);
    behind.assert_code(4).assert_says("public.film: 99 rows on the left, 100 on the right");
    standby.psql("postgres", "SELECT pg_wal_replay_resume()");
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
