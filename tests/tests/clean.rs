//! `--clean --if-exists` over what an earlier run made, and policies of roles that the target lacks.

use dbhaul_tests::{Dbhaul, Server, wait_until};

/// The parent's index is named so that it would be dropped after its partition's.
const PARTITIONED: &str = "
    CREATE TABLE p (a int, CONSTRAINT a_key UNIQUE (a)) PARTITION BY RANGE (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
    CREATE INDEX a_idx ON p (a);
    INSERT INTO p VALUES (1), (2)";

/// What `CREATE` finds to be there already by a unique index alone.
const TEXT_SEARCH: &str = "
    CREATE SCHEMA b;
    CREATE TEXT SEARCH PARSER b.tp (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
        LEXTYPES = prsd_lextype);
    CREATE TEXT SEARCH TEMPLATE b.tt (LEXIZE = dsimple_lexize, INIT = dsimple_init);
    CREATE TEXT SEARCH DICTIONARY b.td (TEMPLATE = b.tt);
    CREATE TEXT SEARCH CONFIGURATION b.tc (PARSER = b.tp);
    ALTER TEXT SEARCH CONFIGURATION b.tc ADD MAPPING FOR word WITH b.td";

#[test]
fn partitioned_indexes_are_dropped_with_their_parents() {
    let source = Server::start(16);
    source.create_db("shop");
    source.psql("shop", PARTITIONED);
    source.psql("shop", TEXT_SEARCH);
    let target = Server::start(18);
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let migrate = ["migrate", "--source", &from, "--target", &to];
    Dbhaul::new(migrate).run().assert_code(0);
    Dbhaul::new(migrate).args(["--clean", "--if-exists"]).run().assert_code(0);
    assert_eq!(target.sql_digest("shop"), source.sql_digest("shop"));
    assert_eq!(
        target.psql("shop", "SELECT to_regnamespace('b'), count(*) FROM pg_ts_dict WHERE dictname = 'td'"),
        "b|1"
    );
}

#[test]
fn a_policy_of_a_role_that_is_not_there_is_skipped_by_name() {
    let source = Server::start(18);
    source.create_db("shop");
    source.psql(
        "shop",
        "CREATE ROLE auditor; CREATE TABLE sale (id int); INSERT INTO sale VALUES (1);
         ALTER TABLE sale ENABLE ROW LEVEL SECURITY;
         CREATE POLICY only_auditors ON sale TO auditor USING (true)",
    );
    let target = Server::start(18);
    target.create_db("shop");
    let run =
        Dbhaul::new(["migrate", "--source", &source.uri("shop"), "--target", &target.uri("shop")]).run();
    run.assert_code(3);
    assert!(run.stdout.contains("only_auditors") && run.stdout.contains("auditor"), "{run}");
    assert_eq!(target.sql_digest("shop"), source.sql_digest("shop"));
}

/// Stops a restore with `--clean` in the middle of its drops, and goes on.
#[test]
fn a_clean_that_was_stopped_goes_on() {
    let server = Server::start(17);
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE a AS SELECT 1 AS i; CREATE TABLE b AS SELECT 2 AS i; CREATE TABLE c AS SELECT 3 AS i;
         CREATE VIEW v AS SELECT * FROM c",
    );
    let store = tempfile::TempDir::new().unwrap();
    Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store"]).arg(store.path()).run().assert_code(0);
    server.create_db("copy");
    let restore = || Dbhaul::new(["restore", "--target", &server.uri("copy"), "--store"]).arg(store.path());
    restore().run().assert_code(0);
    std::thread::scope(|scope| {
        // something that must be dropped, but not first
        let lock = "BEGIN; LOCK TABLE b IN ACCESS SHARE MODE; SELECT pg_sleep(600)";
        scope.spawn(|| server.try_psql("copy", lock).unwrap_err());
        let locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        wait_until("b is locked", || (server.psql("postgres", locked) == "1").then_some(()));
        let mut run = restore().arg("--clean").spawn();
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%DROP%'";
        wait_until("a drop waits", || {
            assert!(!run.has_ended(), "{}", run.stderr_so_far());
            (server.psql("postgres", waiting) == "1").then_some(())
        });
        run.kill();
        server.terminate_backends("copy", "%");
    });
    assert_eq!(server.psql("copy", "SELECT to_regclass('public.b')"), "b");
    assert_eq!(server.psql("copy", "SELECT to_regclass('public.v')"), "", "nothing was dropped yet");
    restore().arg("--resume").run().assert_code(0);
    assert_eq!(server.sql_digest("copy"), server.sql_digest("shop"));
    assert_eq!(server.pg_dump_schema("copy"), server.pg_dump_schema("shop"));
}
