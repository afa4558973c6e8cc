//! `export` and `import`: rows of one table as Parquet, Arrow, CSV and JSON lines.

use std::path::Path;
use std::process::Command;

use dbhaul_tests::{Dbhaul, Finished, Fixture, Original, Server, python_program};
use tempfile::TempDir;

/// A table of every type whose values are known in binary, and one with columns of all other built-in types, which is read as
/// text.
const TABLES: &str = include_str!("../fixtures/every-type-tables.sql");

const ROWS: &str = include_str!("../fixtures/every-type-rows.sql");

/// What only newer servers have.
const ROWS_OF_17: &str =
    "INSERT INTO kinds (id, n, iv) VALUES (10, 'Infinity', 'infinity'), (11, '-Infinity', '-infinity')";

fn server(major: u16) -> Server {
    let server = Server::start(major);
    server.create_db("shop");
    server.psql("shop", TABLES);
    server.psql("shop", ROWS);
    if major >= 17 {
        server.psql("shop", ROWS_OF_17);
    }
    server
}

fn export(server: &Server, what: &[&str], file: &Path) -> Finished {
    let source = server.uri("shop");
    Dbhaul::new(["export", "--source", &source, "--output"]).arg(file).args(what).run()
}

fn import(server: &Server, db: &str, table: &str, file: &Path) -> Finished {
    let target = server.uri(db);
    Dbhaul::new(["import", "--target", &target, "--table", table]).arg(file).run()
}

#[test]
fn every_type_comes_back_from_every_format() {
    let files = TempDir::new().unwrap();
    for major in [13, 18] {
        let (source, target) = (server(major), Server::start(18));
        target.create_db("copy");
        target.psql("copy", TABLES);
        let original = Original::new(&source, "shop", &target);
        for ending in ["parquet", "arrow", "csv.zst", "jsonl.gz"] {
            target.psql("copy", "TRUNCATE kinds, others, generated");
            for table in ["kinds", "others", "generated"] {
                let file = files.path().join(format!("{table}_{major}.{ending}"));
                let columns: &[&str] = match (table, ending) {
                    // CSV goes to the server as it is
                    ("generated", "csv.zst") => &["--query", "SELECT id, t FROM public.generated"],
                    // JSON has no lower bounds of arrays
                    ("kinds", "jsonl.gz") => {
                        &["--query", "SELECT * FROM public.kinds WHERE id NOT IN (4, 5)"]
                    }
                    _ => &["--table", table],
                };
                export(&source, columns, &file).assert_code(0).assert_says("export complete");
                let run = import(&target, "copy", table, &file);
                run.assert_code(0).assert_says("import complete");
                if table == "generated" && !ending.starts_with("csv") {
                    run.assert_says("column twice was not read: the server computes it");
                }
            }
            if ending == "jsonl.gz" {
                let file = files.path().join("rest.parquet");
                let rest = ["--query", "SELECT * FROM public.kinds WHERE id IN (4, 5)"];
                export(&source, &rest, &file).assert_code(0);
                import(&target, "copy", "kinds", &file).assert_code(0);
            }
            original.assert_rows_equal("copy");
        }
        original.assert_inserts_equal("copy");
    }
}

/// A partitioned table, a view, a query, a name that two tables have; and code of others, which no export runs.
#[test]
fn what_is_exported_is_what_was_asked_for() {
    let (mut server, files) = (Server::start(17), TempDir::new().unwrap());
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE SCHEMA s; CREATE TABLE s.orders (id int, day date) PARTITION BY RANGE (day);
         CREATE TABLE s.old PARTITION OF s.orders FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
         CREATE TABLE s.new PARTITION OF s.orders FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
         INSERT INTO s.orders VALUES (1, '2019-05-05'), (2, '2020-05-05');
         CREATE VIEW s.recent AS SELECT id FROM s.orders WHERE day >= '2020-01-01';
         CREATE TABLE \"new\" (a int, b int GENERATED ALWAYS AS (a + 1) STORED); INSERT INTO \"new\" VALUES (5);
         CREATE ROLE mallory; GRANT ALL ON SCHEMA s TO mallory",
    );
    let rows_of = |server: &Server, what: &[&str]| {
        let file = files.path().join("rows.csv");
        export(server, what, &file).assert_code(0);
        std::fs::read_to_string(file).unwrap()
    };
    let rows = |what: &[&str]| rows_of(&server, what);
    assert_eq!(rows(&["-t", "s.orders"]), "id,day\n1,2019-05-05\n2,2020-05-05\n");
    assert_eq!(rows(&["-t", "recent"]), "id\n2\n");
    assert_eq!(rows(&["-t", "public.new"]), "a,b\n5,6\n");
    for ending in ["gz", "zst", "xz", "bz2", "lz4"] {
        let file = files.path().join(format!("new.csv.{ending}"));
        export(&server, &["--query", "SELECT a FROM public.new, generate_series(1, 50000)"], &file)
            .assert_code(0);
        assert!(file.metadata().unwrap().len() < 5000);
        server.psql("shop", "TRUNCATE \"new\"");
        let whole = std::fs::read(&file).unwrap();
        let cut = files.path().join(format!("cut.csv.{ending}"));
        std::fs::write(&cut, &whole[..whole.len() - 9]).unwrap();
        import(&server, "shop", "public.new", &cut).assert_code(1).assert_stderr_has(&["cannot read"]);
        import(&server, "shop", "public.new", &file).assert_code(0);
        assert_eq!(server.psql("shop", "SELECT count(*), sum(b) FROM \"new\""), "50000|300000", "{ending}");
        server.psql("shop", "DELETE FROM \"new\"; INSERT INTO \"new\" VALUES (5)");
    }
    assert_eq!(rows(&["--query", "SELECT id FROM s.recent -- all of it;"]), "id\n2\n");
    let ambiguous = export(&server, &["-t", "new"], &files.path().join("x.csv"));
    ambiguous.assert_code(1).assert_stderr_has(&["new is the name of several tables: public.new, s.new"]);
    let uri = server.uri("shop");
    let to_stdout = Dbhaul::new(["export", "--source", &uri, "-t", "s.old", "-o", "-", "-F", "jsonl"]).run();
    assert_eq!(to_stdout.assert_code(0).stdout, "{\"id\":1,\"day\":\"2019-05-05\"}\n");

    server.psql(
        "shop",
        "CREATE FUNCTION s.spy(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
         ALTER FUNCTION s.spy(int) OWNER TO mallory;
         CREATE TABLE s.bait (a int, b int GENERATED ALWAYS AS (a + 1) STORED);
         CREATE INDEX ON s.bait (a) WHERE s.spy(1);
         CREATE INDEX ON s.new (id) WHERE s.spy(1);
         CREATE OR REPLACE FUNCTION s.spy(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION ''run as %'', current_user; END'",
    );
    let bait = export(&server, &["-t", "bait"], &files.path().join("bait.csv"));
    bait.assert_code(0).assert_says("left out: generated column b, which only a query can read");
    let parts = export(&server, &["-t", "orders"], &files.path().join("x.csv"));
    parts
        .assert_code(1)
        .assert_stderr_has(&["s.orders cannot be read by a query without running functions of others"]);
    assert_eq!(rows(&["-t", "s.new"]), "id,day\n2,2020-05-05\n");

    // nothing may begin there that could write
    let standby = server.standby();
    assert_eq!(rows_of(&standby, &["-t", "s.new"]), "id,day\n2,2020-05-05\n");
}

/// A file that looks whole is whole.
#[test]
fn what_fails_leaves_nothing() {
    let (server, files) = (server(16), TempDir::new().unwrap());
    let file = |name: &str| files.path().join(name);
    let is_empty = || std::fs::read_dir(files.path()).unwrap().next().is_none();
    let failing = "SELECT 1 / (50000 - i) AS x, md5(i::text) AS t FROM generate_series(1, 100000) i";
    for name in ["x.parquet", "x.arrow", "x.csv", "x.jsonl.xz"] {
        let run = export(&server, &["--query", failing], &file(name));
        run.assert_code(1).assert_stderr_has(&["division by zero"]);
        assert!(is_empty(), "{name}");
    }
    for (query, said) in [
        ("DELETE FROM public.kinds RETURNING id", "read-only transaction"),
        ("SELECT 1; DROP TABLE public.kinds", "cannot insert multiple commands into a prepared statement"),
        ("SELECT 1) TO STDOUT; DROP TABLE public.kinds; --", "syntax error"),
        ("SELECT * FROM kinds", "relation \"kinds\" does not exist"),
        ("SELECT 1 AS a, 2 AS a", "two columns are called \"a\""),
    ] {
        export(&server, &["--query", query], &file("x.parquet")).assert_code(1).assert_stderr_has(&[said]);
        assert!(is_empty(), "{query}");
    }
    for (arguments, said) in [
        (["--table", "kinds", "--format", "parquet", "--compress", "gzip"], "are not compressed as a whole"),
        (["--table", "nothing", "--format", "csv", "--compress", "none"], "there is no table nothing"),
    ] {
        let code = if said.starts_with("there") { 1 } else { 2 };
        export(&server, &arguments, &file("x.parquet")).assert_code(code).assert_stderr_has(&[said]);
    }
    export(&server, &["--table", "kinds"], &file("x")).assert_code(2).assert_stderr_has(&["--format"]);
    assert!(is_empty());
}

#[test]
fn rows_that_do_not_fit_are_named_and_none_is_loaded() {
    let (server, files) = (Server::start(15), TempDir::new().unwrap());
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY, n numeric(5,2) CHECK (n > 0), \"Name\" text DEFAULT 'x',
                         twice int GENERATED ALWAYS AS (id * 2) STORED)",
    );
    let write = |name: &str, text: &str| {
        let file = files.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    for (name, text, said) in [
        ("a.csv", "id,n\n1,1.5\n2,x\n", "line 3"),
        ("b.csv", "n,id\n1.5,1\n-1,2\n", "line 3"),
        ("c.csv", "id,m\n1,1\n", "a column that the table has not: m"),
        ("d.csv", "id,n,id\n1,1,1\n", "two columns of the file are called \"id\""),
        ("e.csv", "id,twice\n1,2\n", "column twice is computed by the server"),
        ("a.jsonl", "{\"id\": 1, \"n\": 1.5}\n{\"id\": 2, \"n\": 12345}\n", "line 2"),
        ("b.jsonl", "{\"id\": 1, \"n\": 1.5}\n{\"id\": 2, \"n\": 1,}\n", "line 2"),
        ("c.jsonl", "{\"id\": 1, \"n\": 1.5}\n{\"id\": 1, \"n\": 1.5}\n", "line 2"),
        ("a.parquet", "id,n\n", "cannot read"),
        ("a.csv.gz", "id,n\n1,1\n", "cannot read"),
    ] {
        let file = write(name, text);
        let name = file.display().to_string();
        import(&server, "shop", "t", &file).assert_code(1).assert_stderr_has(&[said, &name]);
        assert_eq!(server.psql("shop", "SELECT count(*) FROM t"), "0", "{name}");
    }
    let run = import(
        &server,
        "shop",
        "public.t",
        &write("good.jsonl", "{\"id\":1,\"Name\":\"a\\tb\"}\n{\"id\":2}"),
    );
    run.assert_code(0).assert_says("the file has no column n: default values were used");
    import(&server, "shop", "T", &write("good.csv", "\u{feff}Name,id\r\n,3\r\n\"\",4\r\n")).assert_code(0);
    assert_eq!(
        server.psql(
            "shop",
            "SELECT string_agg(id || '=' || coalesce(\"Name\", 'NULL'), ',' ORDER BY id) FROM t"
        ),
        "1=a\tb,2=NULL,3=NULL,4="
    );
}

/// What DuckDB, polars and pyarrow make of the files is what PostgreSQL makes of the tables.
#[test]
fn others_read_parquet_and_get_the_same_numbers() {
    const PRICE: &str = "l_extendedprice * (1 - l_discount)";
    let (server, files) = (Server::start(18), TempDir::new().unwrap());
    Fixture::TpcH { scale: 0.1 }.load(&server, "shop");
    for table in ["customer", "orders", "lineitem"] {
        let file = files.path().join(format!("{table}.parquet"));
        let run = export(&server, &["--table", table], &file);
        run.assert_code(0);
        assert!(run.peak_resident_bytes < 256 << 20, "{} bytes resident", run.peak_resident_bytes);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/read-parquet.py");
    let read = |reader: &str| {
        let output =
            Command::new(python_program()).args([script, reader]).arg(files.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{reader}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let psql = |queries: &[String]| {
        let answers: Vec<String> = queries.iter().map(|query| server.psql("shop", query)).collect();
        answers.join("\n")
    };
    let q1 = |sums: &str| {
        format!(
            "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), {sums} count(*) FROM lineitem
             WHERE l_shipdate <= '1998-09-02' GROUP BY 1, 2 ORDER BY 1, 2"
        )
    };
    let q3 = format!(
        "SELECT l_orderkey, sum({PRICE}), o_orderdate, o_shippriority FROM customer, orders, lineitem
         WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
           AND o_orderdate < '1995-03-15' AND l_shipdate > '1995-03-15'
         GROUP BY 1, 3, 4 ORDER BY 2 DESC, 3, 1 LIMIT 10"
    );
    let q6 = "SELECT sum(l_extendedprice * l_discount) FROM lineitem WHERE l_shipdate >= '1994-01-01'
              AND l_shipdate < '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24";
    let sums = format!("sum({PRICE}), sum({PRICE} * (1 + l_tax)),");
    assert_eq!(read("DUCKDB"), psql(&[q1(&sums), q3, q6.to_owned()]));
    assert_eq!(read("POLARS"), psql(&[q1("")]));
    let (revenue, quantity) = (psql(&[q6.to_owned()]), "decimal128(15, 2) True numeric(15,2)");
    assert_eq!(read("PYARROW"), format!("{revenue}\n{quantity}"));
}
