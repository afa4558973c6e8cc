//! Values that a server computes from others: rows of materialized views and generated columns, compared on request.

use dbhaul_tests::{Dbhaul, Server};
use serde_json::Value;

use crate::findings::{Findings, assert_finds, verify};

/// A view that was filled before its table was complete, one that was never filled, one whose index would have a plan
/// run somebody's function, a view of a domain and of characters, and generated columns.
const COMPUTED: &str = "CREATE ROLE somebody; GRANT CREATE ON SCHEMA public TO somebody;
    CREATE DOMAIN code AS char(4); CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE sale (id int PRIMARY KEY, price numeric(9,2), tax numeric(9,2) GENERATED ALWAYS AS (price * 0.19) STORED);
    INSERT INTO sale SELECT i, i FROM generate_series(1, 20) i;
    CREATE MATERIALIZED VIEW total AS SELECT id / 10 AS ten, sum(price) AS price FROM sale GROUP BY 1;
    CREATE UNIQUE INDEX ON total (ten);
    CREATE MATERIALIZED VIEW typed AS SELECT id, 'ab'::code AS code, 'sad'::mood AS mood, true AS flag, '10.0.0.1'::inet AS host,
      '\\x00ff'::bytea AS bytes, ARRAY[price] AS prices FROM sale;
    CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
    CREATE MATERIALIZED VIEW others AS SELECT 1 AS one;
    CREATE FUNCTION foreign_code(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION foreign_code(int) OWNER TO somebody;
    CREATE INDEX ON others ((foreign_code(1) + one))";

fn notes(report: &Value, list: &str) -> String {
    let notes = report[list].as_array().unwrap().iter().map(|note| note.as_str().unwrap());
    notes.collect::<Vec<_>>().join("\n")
}

fn lines<const N: usize>(lines: [&str; N]) -> Findings {
    lines.map(str::to_owned).into()
}

#[test]
fn computed_values_are_compared_on_request_and_named_otherwise() {
    let (left, right) = (Server::start(15), Server::start(18));
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.create_db(db);
        server.psql(db, COMPUTED);
    }
    // one view was computed while a row was another
    right.psql("copy", "UPDATE sale SET price = 8 WHERE id = 3");
    right.psql("copy", "REFRESH MATERIALIZED VIEW total");
    right.psql("copy", "UPDATE sale SET price = 3 WHERE id = 3");
    let (was, is) = (left.uri("shop"), right.uri("copy"));

    for mode in ["schema,digest", "digest", "deep"] {
        let report = verify(&was, &is, &["--mode", mode]);
        assert_finds(mode, &report, &Findings::new());
        let left_out = notes(&report, "not_compared");
        assert!(
            left_out.contains("rows of materialized views, which are computed from tables"),
            "{left_out}"
        );
        assert!(left_out.contains("public.total") && left_out.contains("public.typed"), "{left_out}");
        assert!(left_out.contains("values of generated columns"), "{left_out}");
    }

    let deep = ["--mode", "schema,deep", "--values", "show", "--materialized-views", "--generated-columns"];
    let report = verify(&was, &is, &deep);
    let planned = "rows of public.others: not-verified";
    let fresh = "public.total: missing 1:0 | ten: 0 -> - | price: 45.00 -> -";
    let stale = "public.total: extra 0:1 | ten: - -> 0 | price: - -> 50.00";
    assert_finds("a view that is not fresh", &report, &lines([planned, fresh, stale]));
    let left_out = notes(&report, "not_compared");
    assert!(!left_out.contains("materialized") && !left_out.contains("generated"), "{left_out}");
    assert!(notes(&report, "options").contains("rows of materialized views too"), "{report:#}");

    let counts = |option: &[&str]| {
        let run = Dbhaul::new(["verify", "--mode", "counts", "--source", &was, "--target", &is]).args(option);
        run.run()
    };
    counts(&[]).assert_code(0).assert_says("not compared: rows of materialized views");
    counts(&["--materialized-views"]).assert_code(4).assert_says("public.total  contents not compared");
}

#[test]
fn a_generated_column_is_compared_on_request() {
    let (left, right) = (Server::start(13), Server::start(18));
    let create = |factor: &str| {
        format!(
            "CREATE TABLE sale (id int PRIMARY KEY, tax numeric GENERATED ALWAYS AS (price * {factor}) STORED, price int);
             INSERT INTO sale (id, price) SELECT i, 100 FROM generate_series(1, 3) i"
        )
    };
    for (server, db, factor) in [(&left, "shop", "2"), (&right, "copy", "3")] {
        server.create_db(db);
        server.psql(db, &create(factor));
    }
    let (was, is) = (left.uri("shop"), right.uri("copy"));
    assert_finds("left out", &verify(&was, &is, &["--mode", "digest"]), &Findings::new());
    let asked = verify(&was, &is, &["--mode", "deep", "--values", "show", "--generated-columns"]);
    let row = |id: u32| format!("public.sale: different 1:1 id={id} | tax: 200 -> 300");
    assert_finds("asked for", &asked, &(1..=3).map(row).collect());

    // a backup has no such values, and a mode that reads none cannot compare them
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &was, "--store", store]).run().assert_code(0);
    for option in ["--generated-columns", "--materialized-views"] {
        let of_backup = Dbhaul::new(["verify", "--store", store, "--target", &is, option]).run();
        of_backup.assert_code(2).assert_stderr_has(&[option, "needs two live databases"]);
        let schema = ["verify", "--mode", "schema", option, "--source", &was, "--target", &is];
        Dbhaul::new(schema).run().assert_code(2).assert_stderr_has(&[option, "needs --mode"]);
    }
}
