//! Functions that find what they name only by the source's search path, met by whoever reads the tables.

use dbhaul_tests::{Dbhaul, Original, Server};
use tempfile::TempDir;

/// A table that is read in several parts, each by a query: a row on each of 9,000 pages. To plan one, the
/// server takes the index's function apart, whose body names another without its schema.
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
    plan.assert_code(0).assert_says("2 segments public.large");
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
