//! Functions whose bodies are strings: PostgreSQL records nothing of what they use. Moved, what calls them
//! must come out as it was, also where `pg_restore` fails or builds something wrong.

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

const SHOP: &str = "
    CREATE SCHEMA lib; CREATE SCHEMA shop;
    ALTER DATABASE texts SET search_path TO lib, shop, public;
    SET search_path TO lib, shop, public;
    -- called without a schema, in the order in which names come last first
    CREATE FUNCTION lib.zz_inner(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE FUNCTION lib.aa_outer(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT zz_inner($1) + 1';
    CREATE FUNCTION lib.pl_outer(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN zz_inner($1); END';
    -- tables named so that those that are read come after those that read them
    CREATE TABLE shop.z_rate (code text PRIMARY KEY, factor int); INSERT INTO z_rate SELECT 'c' || i, i FROM generate_series(1, 50) i;
    CREATE FUNCTION lib.factor(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT r.factor FROM z_rate r WHERE r.code = $1); END';
    CREATE FUNCTION lib.known(text) RETURNS bool LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM z_rate WHERE code = $1)';
    CREATE TABLE shop.a_sale (
        id int PRIMARY KEY, code text CHECK (lib.known(code)),
        twice int GENERATED ALWAYS AS (lib.aa_outer(id)) STORED,
        factor int GENERATED ALWAYS AS (lib.factor(code)) STORED,
        CHECK (lib.pl_outer(id) > 0)
    );
    INSERT INTO a_sale (id, code) SELECT i, 'c' || (i % 50 + 1) FROM generate_series(1, 3000) i;
    CREATE INDEX sale_outer ON a_sale (lib.aa_outer(id));
    CREATE INDEX sale_pl ON a_sale (lib.pl_outer(id));
    CREATE INDEX sale_factor ON a_sale (lib.factor(code));
    CREATE MATERIALIZED VIEW shop.totals AS SELECT lib.factor(code) AS factor, count(*) FROM a_sale GROUP BY 1;
    CREATE VIEW shop.seen AS SELECT id, lib.pl_outer(id) AS doubled FROM a_sale;
    CREATE TABLE shop.defaults (id int DEFAULT lib.pl_outer(3), title text); INSERT INTO defaults DEFAULT VALUES;
    CREATE FUNCTION lib.typed(x shop.z_rate.factor%TYPE) RETURNS shop.z_rate.code%TYPE LANGUAGE sql AS 'SELECT code FROM z_rate WHERE factor = x';
";

fn source(major: u16) -> Server {
    let server = Server::start(major);
    server.create_db("texts");
    server.psql("texts", SHOP);
    server
}

#[track_caller]
fn assert_moved(source: &Server, target: &Server, db: &str) {
    // the planner looks into the functions of the indexes, which find each other by the search path
    let rows = "SET search_path = lib, shop, public; SELECT count(*), sum(hashtextextended(s::text, 0)) FROM shop.a_sale s";
    assert_eq!(target.psql(db, rows), source.psql("texts", rows), "generated columns");
    let totals = "SELECT count(*), sum(factor), sum(count) FROM shop.totals";
    assert_eq!(target.psql(db, totals), source.psql("texts", totals), "the materialized view");
    // read through the index, which was built from what the function gave then
    let indexed = "SET enable_seqscan = off; SET search_path = lib, shop, public; SELECT count(*) FROM shop.a_sale WHERE lib.factor(code) = 7";
    assert_eq!(target.psql(db, indexed), "60", "the index over a lookup");
    assert_eq!(target.pg_dump_schema(db), source.pg_dump_schema("texts"));
}

#[test]
fn what_calls_functions_comes_out_as_it_was() {
    for major in [14, 16] {
        let (source, target) = (source(major), Server::start(major));
        target.create_db("moved");
        let run =
            Dbhaul::new(["migrate", "--source", &source.uri("texts"), "--target", &target.uri("moved")])
                .run();
        run.assert_code(0).assert_stderr_has(&["relies on the search path"]);
        assert_moved(&source, &target, "moved");
    }
}

#[test]
fn since_17_an_index_cannot_rely_on_the_search_path_and_is_named() {
    let (source, target) = (source(16), Server::start(18));
    target.create_db("moved");
    let run =
        Dbhaul::new(["migrate", "--source", &source.uri("texts"), "--target", &target.uri("moved")]).run();
    run.assert_code(1);
    for name in ["INDEX shop.sale_pl", "INDEX shop.sale_factor"] {
        assert!(run.stdout.contains(name), "{run}");
    }
    let rows = "SELECT count(*), sum(hashtextextended(s::text, 0)) FROM shop.a_sale s";
    assert_eq!(target.psql("moved", rows), source.psql("texts", rows));
}

#[test]
fn a_backup_comes_out_as_it_was() {
    let (source, target) = (source(15), Server::start(15));
    target.create_db("restored");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &source.uri("texts"), "--store", store]).run().assert_code(0);
    let run =
        Dbhaul::new(["restore", "--store", store, "--target", &target.uri("restored"), "-j", "4"]).run();
    run.assert_code(0).assert_stderr_has(&["relies on the search path"]);
    assert_moved(&source, &target, "restored");
}
