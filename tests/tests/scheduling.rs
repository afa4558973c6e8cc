//! Keys and foreign keys that are made in two steps, plans that say so, and runs that hold back.

use dbhaul_tests::{Dbhaul, Original, Server, wait_until};

/// Every kind of key, on tables large enough that it is worth to build their indexes first.
const KEYS: &str = "
    CREATE TABLE parent (
        id bigint, code text NOT NULL, a int, b int NOT NULL, filler text,
        CONSTRAINT \"Parent key\" PRIMARY KEY (id) WITH (fillfactor = 70),
        CONSTRAINT parent_code_key UNIQUE (code) INCLUDE (a) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT parent_a_b_key UNIQUE (a, b),
        CONSTRAINT parent_b_id_key UNIQUE (b, id) DEFERRABLE);
    CREATE INDEX parent_filler ON parent (filler, a);
    COMMENT ON CONSTRAINT \"Parent key\" ON parent IS 'the key';
    COMMENT ON INDEX parent_code_key IS 'the code''s index';
    ALTER TABLE parent CLUSTER ON parent_a_b_key;
    ALTER TABLE parent REPLICA IDENTITY USING INDEX \"Parent key\";
    INSERT INTO parent SELECT i, 'c' || i, i, i % 7, repeat(md5(i::text), 12)
        FROM generate_series(1, 30000) i;
    CREATE TABLE child (id bigint PRIMARY KEY, parent bigint NOT NULL, a int, b int, filler text,
        CONSTRAINT to_parent FOREIGN KEY (parent) REFERENCES parent ON DELETE CASCADE,
        CONSTRAINT to_pair FOREIGN KEY (a, b) REFERENCES parent (a, b) DEFERRABLE);
    ALTER TABLE child ADD CONSTRAINT later FOREIGN KEY (parent) REFERENCES parent NOT VALID;
    CREATE INDEX child_parent ON child (parent);
    INSERT INTO child SELECT i, i, i, i % 7, repeat(md5(i::text), 12) FROM generate_series(1, 30000) i;
    COMMENT ON CONSTRAINT to_parent ON child IS 'to the parent';
    CREATE TABLE part (id bigint, parent bigint REFERENCES parent, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100000);
    INSERT INTO part SELECT i, i FROM generate_series(1, 30000) i;
    CREATE TABLE small (id int PRIMARY KEY, parent bigint REFERENCES parent);
    INSERT INTO small VALUES (1, 1)";

fn migrate(source: &Server, target: &Server) -> Dbhaul {
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    Dbhaul::new(["migrate", "--progress", "json", "--jobs", "3", "--source", &from, "--target", &to])
}

#[test]
fn what_is_made_in_two_steps_is_what_one_makes() {
    for major in [13, 18] {
        let (source, target) = (Server::start(major), Server::start(major));
        source.create_db("shop");
        source.psql("shop", KEYS);
        if major >= 15 {
            source.psql(
                "shop",
                "ALTER TABLE parent ADD CONSTRAINT nulls_key UNIQUE NULLS NOT DISTINCT (filler, id)",
            );
        }
        target.create_db("shop");
        let original = Original::new(&source, "shop", &target);
        let plan = migrate(&source, &target).args(["--dry-run", "-v"]).run();
        plan.assert_code(0).assert_says("critical path:");
        plan.assert_says("index of CONSTRAINT public.parent Parent key");
        plan.assert_says("index of CONSTRAINT public.parent parent_code_key");
        plan.assert_says("validation of FK CONSTRAINT public.child to_parent");
        for whole in ["validation of FK CONSTRAINT public.child later", "index of CONSTRAINT public.small"] {
            assert!(!plan.stdout.contains(whole), "{whole}\n{plan}");
        }
        migrate(&source, &target).run().assert_code(0);
        original.assert_equals("shop");
    }
}

#[test]
fn what_index_builds_may_use_is_in_the_plan_and_can_be_chosen() {
    let (source, target) = (Server::start(16), Server::start(16));
    source.create_db("shop");
    target.create_db("shop");
    let chosen = migrate(&source, &target).args(["--maintenance-work-mem", "23MB", "--index-workers", "1"]);
    let plan = chosen.arg("--dry-run").run();
    plan.assert_code(0).assert_says("maintenance_work_mem 23.0 MiB per session");
    plan.assert_says("max_parallel_maintenance_workers 1 per session");
    let left = migrate(&source, &target).arg("--dry-run").run();
    left.assert_code(0).assert_says("maintenance_work_mem 64.0 MiB per session");
    left.assert_says("max_parallel_maintenance_workers 2 per session");
}

/// Nobody would ever open the gate again that the last look has shut.
#[test]
fn reading_does_not_pause_for_ever_once_the_source_cannot_be_watched() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i");
    source.psql("postgres", "CREATE ROLE mover SUPERUSER LOGIN");
    target.create_db("shop");
    std::thread::scope(|scope| {
        scope.spawn(|| source.try_psql("postgres", "SELECT pg_sleep(600)").unwrap_err());
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        wait_until("somebody is at work", || (source.psql("postgres", sleeping) == "1").then_some(()));
        let (from, to) = (source.uri_as("mover", "shop"), target.uri("shop"));
        let migrate = ["migrate", "--progress", "json", "--jobs", "1", "--no-verify", "--source", &from];
        let migrate = Dbhaul::new(migrate).args(["--target", &to, "--max-source-load", "0"]);
        let mut run = migrate.spawn();
        wait_until("it pauses", || {
            assert!(!run.has_ended(), "{}", run.stderr_so_far());
            run.stderr_so_far().contains("reading pauses").then_some(())
        });
        let reading = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'mover' AND query LIKE 'COPY%'";
        wait_until("a table is being read", || (source.psql("shop", reading) == "1").then_some(()));
        source.psql("postgres", "ALTER ROLE mover NOLOGIN");
        assert_eq!(source.terminate_backends("shop", "%pg_stat_replication%"), 1);
        let ended = run.wait();
        ended.assert_says("the source cannot be watched for now");
        ended.assert_says(
            "reading goes on without the limits on load and lag: the activity of the source cannot be read",
        );
        assert_eq!(source.terminate_backends("postgres", "%pg_sleep(600)%"), 1);
    });
}

#[test]
fn reading_pauses_while_the_source_has_other_things_to_do() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i");
    let store = tempfile::TempDir::new().unwrap();
    let dump = ["dump", "--progress", "json", "--source", &source.uri("shop"), "--store"];
    let dump = Dbhaul::new(dump).arg(store.path());
    target.create_db("shop");
    let script = ["dump", "--progress", "json", "--source", &source.uri("shop"), "--format", "sql", "--file"];
    let script = Dbhaul::new(script).arg(store.path().join("shop.sql"));
    for command in [dump, migrate(&source, &target), script] {
        std::thread::scope(|scope| {
            scope.spawn(|| source.try_psql("postgres", "SELECT pg_sleep(600)").unwrap_err());
            let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            wait_until("somebody is at work", || (source.psql("postgres", sleeping) == "1").then_some(()));
            let mut run = command.args(["--max-source-load", "0", "--max-rate", "1GB"]).spawn();
            wait_until("it pauses", || run.stderr_so_far().contains("reading pauses").then_some(()));
            assert!(!run.has_ended());
            assert_eq!(source.terminate_backends("postgres", "%pg_sleep(600)%"), 1);
            run.wait().assert_code(0).assert_stderr_has(&["reading goes on"]);
        });
    }
    assert_eq!(target.sql_digest("shop"), source.sql_digest("shop"));
}
