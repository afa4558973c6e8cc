//! A dump is of one instant, whatever happens while it runs.

use dbhaul_tests::{Dbhaul, Fixture, Original, Server, wait_until};
use tempfile::TempDir;

const COPYING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND query LIKE 'COPY%'";

/// Every kind of change to rows, to tables that are read before, during and after it, and to the catalog.
const CHANGES: &str = "
    INSERT INTO region SELECT r_regionkey + 100, r_name, r_comment FROM region;
    UPDATE nation SET n_comment = 'changed';
    UPDATE customer SET c_comment = 'changed' WHERE c_custkey % 3 = 0;
    DELETE FROM lineitem WHERE l_orderkey % 2 = 0;
    INSERT INTO lineitem SELECT * FROM lineitem WHERE l_orderkey % 100 = 1
        ON CONFLICT DO NOTHING;
    CREATE TABLE made_meanwhile AS SELECT 1 AS i;
    CREATE SEQUENCE counted_meanwhile;
    SELECT nextval('counted_before') FROM generate_series(1, 1000)";

#[test]
fn changes_while_a_dump_runs_are_not_in_it() {
    for major in [13, 18] {
        let (source, target) = (Server::start(major), Server::start(major));
        Fixture::TpcH { scale: 0.05 }.load(&source, "shop");
        source.psql("shop", "CREATE SEQUENCE counted_before; SELECT nextval('counted_before')");
        target.create_db("copy");
        let original = Original::new(&source, "shop", &target);
        let store = TempDir::new().unwrap();

        let dump = Dbhaul::new(["dump", "--jobs", "1", "--source", &source.uri("shop"), "--store"]);
        let mut run = dump.arg(store.path()).spawn();
        wait_until("the dump copies", || {
            assert!(!run.has_ended(), "the dump ended before anything could change");
            (source.psql("postgres", COPYING) != "0").then_some(())
        });
        // Held where it is, so that the changes are committed while most is still to be read.
        run.signal("STOP");
        source.psql("shop", CHANGES);
        assert_ne!(source.sql_digest("shop")["public.lineitem"], "0:0");
        run.signal("CONT");
        run.wait().assert_code(0);

        let restore = Dbhaul::new(["restore", "--target", &target.uri("copy"), "--store"]);
        restore.arg(store.path()).run().assert_code(0);
        original.assert_equals("copy");
        let verify = |side: &str, uri: &str| {
            Dbhaul::new(["verify", "--backup", "latest", side, uri, "--store"]).arg(store.path()).run()
        };
        verify("--target", &target.uri("copy")).assert_code(0);
        // And the verification sees that the source is no longer what the backup says.
        verify("--target", &source.uri("shop")).assert_code(4);
    }
}
