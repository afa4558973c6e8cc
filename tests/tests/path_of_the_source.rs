//! Functions that find what they name only by the source's search path, met by whoever reads the tables: nobody
//! looks for it there.

use dbhaul_tests::{Dbhaul, Original, Server};
use tempfile::TempDir;

/// A table of a size that is read in several parts, each by a query: a row on each of 9,000 pages. To plan one, the
/// server takes the index's function apart, whose body names another without its schema. So it is read by a COPY that
/// needs no plan.
const LARGE: &str = "
    CREATE FUNCTION public.inner_step(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
    CREATE FUNCTION public.outer_step(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT inner_step($1)';
    CREATE TABLE public.large (i int, filler text) WITH (fillfactor = 10);
    INSERT INTO public.large SELECT i, repeat('x', 500) FROM generate_series(1, 9000) i;
    CREATE INDEX stepped ON public.large (public.outer_step(i));
    CREATE TABLE public.bare (); INSERT INTO public.bare SELECT FROM generate_series(1, 3);
    CREATE INDEX bare_stepped ON public.bare ((public.outer_step(1)))";

#[test]
fn a_large_table_is_read_though_its_index_relies_on_it() {
    let (source, target) = (Server::start(15), Server::start(15));
    source.create_db("shop");
    source.psql("shop", LARGE);
    let (store, from) = (TempDir::new().unwrap(), source.uri("shop"));
    let original = Original::new(&source, "shop", &target);
    let plan = Dbhaul::new(["dump", "--dry-run", "--source", &from, "--store"]).arg(store.path()).run();
    plan.assert_code(0).assert_says("1 segment public.large");
    Dbhaul::new(["dump", "--source", &from, "--store"]).arg(store.path()).run().assert_code(0);
    for db in ["restored", "moved"] {
        target.create_db(db);
    }
    let to = target.uri("restored");
    Dbhaul::new(["restore", "--target", &to, "--store"]).arg(store.path()).run().assert_code(0);
    Dbhaul::new(["verify", "--target", &to, "--store"]).arg(store.path()).run().assert_code(0);
    Dbhaul::new(["migrate", "--source", &from, "--target", &target.uri("moved")]).run().assert_code(0);
    for db in ["restored", "moved"] {
        original.assert_rows_equal(db);
    }
}

/// The owner of a database may choose what functions of others find that name something without its schema.
#[test]
fn what_an_owner_puts_there_is_not_run_by_whoever_reads() {
    for major in [14, 16] {
        let server = Server::start(major);
        server.psql("postgres", "CREATE ROLE owner LOGIN");
        server.psql("postgres", "CREATE DATABASE shop OWNER owner");
        server.psql("shop", LARGE);
        server.psql("shop", "DROP FUNCTION public.inner_step(int)");
        let evil = "SET ROLE owner; CREATE SCHEMA evil; CREATE FUNCTION evil.inner_step(int) RETURNS int \
            LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE LOG 'CANARY %', current_user; RETURN $1 + 1; END $$; \
            ALTER DATABASE shop SET search_path = evil, public";
        server.psql("shop", evil);
        let sings = || server.log().contains("LOG:  CANARY postgres");
        let (store, from) = (TempDir::new().unwrap(), server.uri("shop"));
        for command in ["dump", "verify"] {
            let run = Dbhaul::new([command, "--source", &from, "--store"]).arg(store.path()).run();
            run.assert_code(0);
        }
        let script = ["dump", "--format", "sql", "--source", &from, "--file"];
        let (directory, name) = (TempDir::new().unwrap(), "shop.sql");
        Dbhaul::new(script).arg(directory.path().join(name)).run().assert_code(0);
        assert!(!sings(), "{major}");
        server.psql("shop", "EXPLAIN SELECT FROM public.bare");
        assert!(sings(), "the function is there to be found on {major}");
    }
}

/// Values whose text names an object with its schema or without, as the search path has it, out of sight in
/// a composite; and one in a small table. Both tables are read by a COPY that needs no plan.
const NAMES: &str = "
    CREATE SCHEMA app; CREATE TABLE app.dim (); CREATE TABLE public.dim ();
    CREATE TYPE public.named AS (relation regclass, i int);
    CREATE TABLE public.small (relation regclass);
    INSERT INTO public.small VALUES ('app.dim');
    CREATE INDEX small_stepped ON public.small (public.outer_step(1), relation);
    ALTER TABLE public.large ADD COLUMN hidden public.named[];
    UPDATE public.large SET hidden = ARRAY[row('app.dim', i)::public.named];
    ALTER DATABASE shop SET search_path = app, public";

#[test]
fn names_that_it_changes_are_not_read_under_it() {
    let (source, target) = (Server::start(15), Server::start(15));
    source.create_db("shop");
    source.psql("shop", LARGE);
    source.psql("shop", NAMES);
    let (store, from) = (TempDir::new().unwrap(), source.uri("shop"));
    let plan = Dbhaul::new(["dump", "--dry-run", "--source", &from, "--store"]).arg(store.path()).run();
    plan.assert_code(0).assert_says("1 segment public.large");
    Dbhaul::new(["dump", "--source", &from, "--store"]).arg(store.path()).run().assert_code(0);
    target.create_db("restored");
    let to = target.uri("restored");
    Dbhaul::new(["restore", "--target", &to, "--store"]).arg(store.path()).run().assert_code(0);
    let names = "SET search_path = public; SELECT relation = 'app.dim'::regclass FROM public.small";
    assert_eq!(target.psql("restored", names), "t");
    let all = "SET search_path = public; SELECT count(*) FROM public.large \
        WHERE (hidden[1]).relation = 'app.dim'::regclass AND (hidden[1]).i = i";
    assert_eq!(target.psql("restored", all), "9000");
    let moved = target.uri("moved");
    target.create_db("moved");
    Dbhaul::new(["migrate", "--source", &from, "--target", &moved]).run().assert_code(0);
    assert_eq!(target.psql("moved", all), "9000");
    // No query can be planned for its digest, which is taken from the rows: those that are equal, and those that are not.
    let verify = || Dbhaul::new(["verify", "--target", &to, "--store"]).arg(store.path()).run();
    verify().assert_code(0).assert_says(" 0 different, 0 not verified");
    target.psql("restored", "UPDATE public.small SET relation = 'public.dim'");
    verify().assert_code(4).assert_says(" 1 different, 0 not verified");
}
