//! What a target refuses is found out by trying; what others use there is left alone meanwhile.

use dbhaul_tests::{Dbhaul, Server, wait_until};

const SHOP: &str = "
    CREATE TABLE film (id int PRIMARY KEY, title text); INSERT INTO film SELECT i, 'film ' || i FROM generate_series(1, 100) i;
    CREATE TABLE actor (id int PRIMARY KEY, film int REFERENCES film); INSERT INTO actor SELECT i, i FROM generate_series(1, 100) i;
    CREATE INDEX film_title ON film (title); CREATE VIEW titles AS SELECT title FROM film;
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER noted BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE POLICY everyone ON film USING (true); ALTER TABLE film ENABLE ROW LEVEL SECURITY;
    CREATE DOMAIN positive AS int; CREATE TABLE sums (s positive); ALTER DOMAIN positive ADD CHECK (VALUE > 0) NOT VALID;
    COMMENT ON TABLE film IS 'films'; GRANT SELECT ON film TO PUBLIC; CREATE RULE ruled AS ON DELETE TO film DO ALSO NOTIFY films";

/// Whatever wants a lock on a table waits for two seconds and leaves a line in the log.
fn timeouts(server: &Server) -> usize {
    server.log().matches("due to lock timeout").count()
}

#[test]
fn tables_that_are_there_are_not_locked_to_find_out_what_is_refused() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.create_db("shop");
    source.psql("shop", SHOP);
    target.psql("postgres", "CREATE ROLE app LOGIN");
    target.psql("postgres", "CREATE DATABASE shop OWNER app");
    let (from, to) = (source.uri("shop"), target.uri_as("app", "shop"));
    let migrate = || Dbhaul::new(["migrate", "--source", &from, "--target", &to]);
    migrate().run().assert_code(3);
    std::thread::scope(|scope| {
        let lock =
            "BEGIN; LOCK TABLE film, actor, titles, sums IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
        scope.spawn(|| target.try_psql("shop", lock).unwrap_err());
        let locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        wait_until("the tables are locked", || (target.psql("postgres", locked) == "1").then_some(()));
        let dry_run = migrate().args(["--clean", "--if-exists", "--dry-run"]).run();
        let beside = migrate().args(["--allow-non-empty", "--dry-run"]).run();
        let found = timeouts(&target);
        target.terminate_backends("shop", "%");
        dry_run.assert_code(0);
        beside.assert_code(1).assert_says("it already holds objects that the run would create");
        assert_eq!(found, 0, "{}\n{}", dry_run, target.log());
    });
    migrate().args(["--clean", "--if-exists"]).run().assert_code(3);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM film"), "100");
}
