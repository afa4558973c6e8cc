//! What came with PostgreSQL 19: carried between servers of 19, listed as lost on the way to an older one.

use dbhaul_tests::{Dbhaul, Original, Server};
use tempfile::TempDir;

const SHOP: &str = r#"
    CREATE EXTENSION postgres_fdw;
    CREATE SCHEMA other; CREATE TABLE other.c (i int) PARTITION BY LIST (i);
    CREATE TABLE other.c1 PARTITION OF other.c FOR VALUES IN (1);
    CREATE TABLE a (i int PRIMARY KEY); CREATE TABLE "B" (i int); CREATE SEQUENCE s START 7;
    INSERT INTO a VALUES (1), (2);
    CREATE PUBLICATION sequences FOR ALL SEQUENCES;
    CREATE PUBLICATION two FOR ALL TABLES, ALL SEQUENCES WITH (publish = 'insert');
    CREATE PUBLICATION but FOR ALL TABLES EXCEPT (TABLE other.c, TABLE ONLY "B");
    CREATE PUBLICATION but_and FOR ALL TABLES EXCEPT (TABLE a), ALL SEQUENCES;
    CREATE PUBLICATION one FOR TABLE a WHERE (i > 1);
    CREATE FOREIGN DATA WRAPPER wrapper HANDLER postgres_fdw_handler VALIDATOR postgres_fdw_validator
        CONNECTION postgres_fdw_connection;
    CREATE SERVER "Far" FOREIGN DATA WRAPPER wrapper OPTIONS (host '127.0.0.1', port '1', dbname 'x');
    CREATE USER MAPPING FOR CURRENT_USER SERVER "Far" OPTIONS (user 'u', password 'p');
    CREATE AGGREGATE summed (int) (SFUNC = int4pl, STYPE = int, SUPPORT = pg_catalog.generate_series_int4_support);
    CREATE TABLE stored (a int) WITH (autovacuum_parallel_workers = 2, log_autoanalyze_min_duration = 5);
    CREATE VIEW windowed AS SELECT lag(i) IGNORE NULLS OVER (ORDER BY i) AS before FROM a;"#;

const SUBSCRIPTIONS: &str = r#"
    CREATE SUBSCRIPTION by_server SERVER "Far" PUBLICATION p
        WITH (connect = false, slot_name = NONE, wal_receiver_timeout = '90s');
    CREATE SUBSCRIPTION kept CONNECTION 'dbname=x' PUBLICATION p
        WITH (connect = false, slot_name = NONE, retain_dead_tuples = true, max_retention_duration = 60000);"#;

fn shop() -> Server {
    let server = Server::start(19);
    server.create_db("shop");
    server.psql("shop", SHOP);
    server.psql("shop", SUBSCRIPTIONS);
    server
}

#[test]
fn what_19_brought_is_carried() {
    let (source, target) = (shop(), Server::start(19));
    let original = Original::new(&source, "shop", &target);
    let files = TempDir::new().unwrap();
    let store = files.path().join("store");
    target.create_db("migrated");
    let (from, to) = (source.uri("shop"), target.uri("migrated"));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
    original.assert_equals("migrated");
    Dbhaul::new(["verify", "--source", &from, "--target", &to]).run().assert_code(0);
    Dbhaul::new(["dump", "--source", &from, "--store"]).arg(&store).run().assert_code(0);
    target.create_db("restored");
    let to = target.uri("restored");
    Dbhaul::new(["restore", "--target", &to, "--store"]).arg(&store).run().assert_code(0);
    original.assert_equals("restored");
    original.assert_source_unchanged();
}

/// Each is a difference of its own: a copy without it is not called equal.
#[test]
fn a_copy_without_it_differs() {
    let (source, target) = (shop(), Server::start(19));
    target.create_db("copy");
    let (from, to) = (source.uri("shop"), target.uri("copy"));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
    target.psql(
        "copy",
        "DROP PUBLICATION sequences; CREATE PUBLICATION sequences;
         DROP PUBLICATION but; CREATE PUBLICATION but FOR ALL TABLES;
         ALTER FOREIGN DATA WRAPPER wrapper NO CONNECTION;
         CREATE OR REPLACE AGGREGATE summed (int) (SFUNC = int4pl, STYPE = int);",
    );
    let verify = Dbhaul::new(["verify", "--schema-only", "--source", &from, "--target", &to]).run();
    verify.assert_code(4);
    for name in ["PUBLICATION sequences", "PUBLICATION but", "FOREIGN DATA WRAPPER wrapper", "summed"] {
        verify.assert_says(name);
    }
}

#[test]
fn an_older_server_is_told_what_it_lacks() {
    let (source, target) = (shop(), Server::start(18));
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let sides = ["--source", from.as_str(), "--target", to.as_str()];
    Dbhaul::new(["migrate"]).args(sides).run().assert_code(1).assert_says("--allow-downgrade");
    let losses = [
        "PUBLICATION sequences: left out",
        "PUBLICATION but: left out",
        "PUBLICATION two: created without ALL SEQUENCES",
        "FOREIGN DATA WRAPPER wrapper: created without CONNECTION",
        "created without SUPPORT",
        "autovacuum_parallel_workers",
        "log_autoanalyze_min_duration",
        "SUBSCRIPTION by_server: left out",
        "SUBSCRIPTION kept: created without retain_dead_tuples",
        "SUBSCRIPTION kept: created without max_retention_duration",
    ];
    let preflight = Dbhaul::new(["preflight", "--allow-downgrade"]).args(sides).run();
    let run = Dbhaul::new(["migrate", "--allow-downgrade"]).args(sides).run();
    run.assert_code(3);
    for loss in losses {
        preflight.assert_says(loss);
        run.assert_says(loss);
    }
    assert_eq!(
        target.psql("shop", "SELECT pubname, puballtables FROM pg_publication ORDER BY 1"),
        "one|f\ntwo|t"
    );
    assert_eq!(target.psql("shop", "SELECT count(*), sum(i) FROM a"), "2|3");
}

/// 19 prints `pg_lsn` with zeros. Alone and in arrays that is no difference, inside of other values nobody can
/// tell: neither equal nor different.
#[test]
fn rows_that_are_only_printed_otherwise_are_not_called_different() {
    let (source, target) = (Server::start(18), Server::start(19));
    for server in [&source, &target] {
        server.create_db("shop");
    }
    source.psql(
        "shop",
        "CREATE TYPE place AS (at pg_lsn, note text); CREATE DOMAIN place_of AS place;
         CREATE TYPE span AS RANGE (SUBTYPE = pg_lsn);
         CREATE TABLE alone (a pg_lsn, b pg_lsn[]); INSERT INTO alone VALUES ('0/1', '{0/1,16/0}');
         CREATE TABLE composite (i int, c place); INSERT INTO composite VALUES (1, ('0/1', 'x'));
         CREATE TABLE domains (c place_of[]); INSERT INTO domains VALUES (ARRAY[('0/1', 'x')::place_of]);
         CREATE TABLE ranges (r span); INSERT INTO ranges VALUES ('[0/1,0/5)');
         CREATE TABLE row_type (r composite); INSERT INTO row_type VALUES (ROW(1, ('0/1', 'x')::place)::composite);
         CREATE TABLE long (r place); INSERT INTO long VALUES (('AB/ABCDEF01', 'x'));
         CREATE TABLE plain (i int); INSERT INTO plain VALUES (1)",
    );
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let migrated = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
    let doubtful = ["composite", "domains", "ranges", "row_type"];
    migrated.assert_code(4).assert_says("rows: 3 tables equal (3 rows), 0 different, 4 not verified");
    for table in doubtful {
        migrated.assert_says(&format!("NOT VERIFIED  public.{table}: column"));
    }
    target.psql("shop", "UPDATE plain SET i = 2; DELETE FROM composite");
    let verify = Dbhaul::new(["verify", "--source", &from, "--target", &to]).run();
    verify.assert_code(4).assert_says("rows: 2 tables equal (2 rows), 2 different, 3 not verified");
}
