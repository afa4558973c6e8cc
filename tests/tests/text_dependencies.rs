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
    run.assert_code(3);
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

/// Lookups that are not seen at first sight: behind views, materialized views, operators, aggregates, names
/// in quotes, queries put together and domains. What is looked up in is small and comes last by name.
const HIDDEN: &str = "
    CREATE SCHEMA deep; SET search_path TO deep;
    CREATE TABLE z_rate (code int PRIMARY KEY, factor int); INSERT INTO z_rate SELECT i, i * 3 FROM generate_series(1, 50) i;
    CREATE TABLE \"Z \"\"quoted\"\"\" (code int, factor int); INSERT INTO \"Z \"\"quoted\"\"\" SELECT i, i FROM generate_series(1, 50) i;
    CREATE TABLE z_parted (code int, factor int) PARTITION BY RANGE (code);
    CREATE TABLE z_part PARTITION OF z_parted FOR VALUES FROM (0) TO (100); INSERT INTO z_parted SELECT i, i FROM generate_series(1, 50) i;
    CREATE VIEW z_view AS SELECT * FROM z_rate; CREATE VIEW z_over AS SELECT code, factor + 0 AS factor FROM z_view;
    CREATE VIEW z_grouped AS SELECT code, factor FROM z_rate GROUP BY code;
    CREATE MATERIALIZED VIEW z_seen AS SELECT * FROM z_rate;
    CREATE FUNCTION by_view(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT factor FROM deep.z_over WHERE code = $1';
    CREATE FUNCTION made(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT factor FROM deep.z_over WHERE code = $1); END';
    CREATE FUNCTION by_group(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT factor FROM deep.z_grouped WHERE code = $1';
    CREATE FUNCTION by_refreshed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT factor FROM deep.z_seen WHERE code = $1';
    CREATE FUNCTION by_quoted(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT factor FROM deep.\"Z \"\"quoted\"\"\" WHERE code = $1';
    CREATE FUNCTION by_parted(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT factor FROM deep.z_parted WHERE code = $1';
    CREATE FUNCTION by_text(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE f int; BEGIN EXECUTE 'SELECT factor FROM deep.z_' || 'rate WHERE code = $1' INTO f USING $1; RETURN f; END $$;
    CREATE FUNCTION pair(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT factor * $2 FROM deep.z_rate WHERE code = $1';
    CREATE OPERATOR ==> (FUNCTION = pair, LEFTARG = int, RIGHTARG = int);
    CREATE FUNCTION by_operator(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 OPERATOR(deep.==>) 2';
    CREATE FUNCTION step(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, 0) + factor FROM deep.z_rate WHERE code = $2';
    CREATE AGGREGATE total(int) (SFUNC = step, STYPE = int);
    CREATE FUNCTION by_aggregate(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT deep.total(x) FROM (VALUES ($1)) v(x)';
    CREATE FUNCTION is_known(int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM deep.z_view WHERE code = $1)';
    CREATE DOMAIN known AS int CHECK (deep.is_known(VALUE));
    CREATE TABLE a_domain (code known); INSERT INTO a_domain SELECT i % 50 + 1 FROM generate_series(1, 100) i;
    CREATE TABLE a_sale (code int, made int GENERATED ALWAYS AS (made(code)) STORED); INSERT INTO a_sale SELECT i % 50 + 1 FROM generate_series(1, 2000) i;
    CREATE INDEX a_view ON a_sale (by_view(code)); CREATE INDEX a_group ON a_sale (by_group(code)); CREATE INDEX a_refreshed ON a_sale (by_refreshed(code));
    CREATE INDEX a_quoted ON a_sale (by_quoted(code)); CREATE INDEX a_parted ON a_sale (by_parted(code)); CREATE INDEX a_text ON a_sale (by_text(code));
    CREATE INDEX a_operator ON a_sale ((code ==> 2)); CREATE INDEX a_inner ON a_sale (by_operator(code)); CREATE INDEX a_aggregate ON a_sale (by_aggregate(code));
    CREATE TABLE a_excluded (code int, EXCLUDE USING btree (by_view(code) WITH =)); INSERT INTO a_excluded SELECT generate_series(1, 50);
";

/// The expressions that indexes are on.
const EXPRESSIONS: &str = "
    SELECT string_agg(pg_get_expr(i.indexprs, i.indrelid), ';' ORDER BY i.indexrelid::regclass::text) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relname = 'a_sale'";

#[test]
fn what_is_looked_up_in_is_there_wherever_the_text_hides_it() {
    for (from, to) in [(13, 13), (16, 18)] {
        let (source, target) = (Server::start(from), Server::start(to));
        source.create_db("texts");
        source.psql("texts", HIDDEN);
        target.create_db("moved");
        // one session does what has the longest chain before it first: the indexes before small tables
        let sides = ["--source", &source.uri("texts"), "--target", &target.uri("moved"), "-j", "1"];
        Dbhaul::new(["migrate"]).args(sides).run().assert_code(0);
        let made = "SELECT count(*), sum(made) FROM deep.a_sale";
        assert_eq!(target.psql("moved", made), source.psql("texts", made), "the generated column on {to}");
        let expressions = target.psql("moved", EXPRESSIONS);
        assert_eq!(expressions.split(';').count(), 9, "{expressions}");
        for expression in expressions.split(';') {
            let count = |settings: &str| {
                let sql = format!(
                    "SET search_path TO deep; {settings}; SELECT count(*) FROM a_sale WHERE {expression} = (SELECT {expression} FROM (VALUES (7)) v(code))"
                );
                target.psql("moved", &sql)
            };
            let by_index = count("SET enable_seqscan TO off");
            let without = count("SET enable_indexscan TO off; SET enable_bitmapscan TO off");
            assert_eq!((by_index.as_str(), without.as_str()), ("40", "40"), "{expression} on {to}");
        }
        let excluded =
            "SET enable_seqscan TO off; SELECT count(*) FROM deep.a_excluded WHERE deep.by_view(code) = 21";
        assert_eq!(target.psql("moved", excluded), "1", "the exclusion constraint on {to}");
    }
}

#[test]
fn an_older_target_is_not_said_to_refuse_what_the_search_path_finds() {
    let (source, target) = (source(16), Server::start(15));
    target.create_db("moved");
    let sides = ["--source", &source.uri("texts"), "--target", &target.uri("moved"), "--allow-downgrade"];
    let run = Dbhaul::new(["migrate"]).args(sides).run();
    run.assert_code(0).assert_stderr_has(&["relies on the search path"]);
    let rows = "SET search_path = lib, shop, public; SELECT count(*), sum(hashtextextended(s::text, 0)) FROM shop.a_sale s";
    assert_eq!(target.psql("moved", rows), source.psql("texts", rows));
}
