//! What a selection takes along and what it leaves behind: the same options are given
//! to `dbhaul dump --format sql` and to `pg_dump`, `psql` restores both scripts, and
//! `pg_dump` must find both copies equal, rows included.

use std::path::{Path, PathBuf};

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// What is in the database before a script is restored.
#[derive(Clone, Copy)]
enum Ground {
    /// Nothing.
    Bare,
    /// What the fixture rests on.
    Kit,
    /// Every table, without rows, keys and the like.
    Tables,
    /// Every definition, and no rows.
    Whole,
}

use Ground::{Bare, Kit, Tables, Whole};

/// A server with the fixture, and what is restored on it before a script.
struct Bench {
    server: Server,
    files: TempDir,
}

impl Bench {
    fn start(major: u16) -> Self {
        let server = Server::start(major);
        server.psql("postgres", "CREATE ROLE app_owner; CREATE ROLE app_reader");
        server.psql("postgres", "ALTER ROLE app_owner SUPERUSER");
        server.create_db("whole");
        for file in ["selection-kit.sql", "selection.sql"] {
            server.psql_file("whole", &fixture(file), &[]);
        }
        let bench = Bench { server, files: TempDir::new().unwrap() };
        for (file, options) in [("whole.sql", "--schema-only"), ("tables.sql", "--section=pre-data")] {
            std::fs::write(bench.file(file), bench.pg_dump("whole", &[options])).unwrap();
        }
        bench
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn pg_dump(&self, db: &str, options: &[&str]) -> String {
        let dump = self.server.client("pg_dump").args(["-d", db]).args(options).output().unwrap();
        assert!(dump.status.success(), "{options:?}: {}", String::from_utf8_lossy(&dump.stderr));
        let text = String::from_utf8(dump.stdout).unwrap();
        text.split_inclusive('\n').filter(|line| !is_noise(line)).collect()
    }

    /// Restores a script as far as it goes: what a selection leaves behind, others miss.
    fn restore(&self, db: &str, ground: Ground, script: &Path) {
        self.server.create_db(db);
        let kit = match ground {
            Bare => None,
            Kit => Some(fixture("selection-kit.sql")),
            Tables => Some(self.file("tables.sql")),
            Whole => Some(self.file("whole.sql")),
        };
        for file in kit.iter().map(PathBuf::as_path).chain([script]) {
            let psql =
                self.server.client("psql").args(["-Xqo", "/dev/null", "-d", db, "-f"]).arg(file).output();
            assert!(psql.unwrap().status.success(), "psql stopped in {}", file.display());
        }
    }

    /// The script of dbhaul.
    fn dump(&self, options: &[&str]) -> PathBuf {
        let script = self.file("ours.sql");
        let run = Dbhaul::new(["dump", "--source", &self.server.uri("whole"), "--format", "sql", "--file"]);
        run.arg(&script).args(options).run().assert_code(0);
        script
    }

    fn check(&self, ground: Ground, options: &[&str]) {
        let theirs = self.file("theirs.sql");
        std::fs::write(&theirs, self.pg_dump("whole", options)).unwrap();
        self.restore("theirs", ground, &theirs);
        self.restore("ours", ground, &self.dump(options));
        let (ours, theirs) = (self.pg_dump("ours", &[]), self.pg_dump("theirs", &[]));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let only_in = |one: &str, other: &str| {
            let other = lines(other);
            lines(one)
                .into_iter()
                .filter(|line| !other.contains(line))
                .take(20)
                .collect::<Vec<_>>()
                .join("\n    ")
        };
        assert!(
            ours == theirs,
            "{options:?}\n  missing:\n    {}\n  too many:\n    {}",
            only_in(&theirs, &ours),
            only_in(&ours, &theirs)
        );
        for db in ["ours", "theirs"] {
            self.server.drop_db(db);
        }
    }

    fn check_all(&self, cases: &[(Ground, &str)]) {
        for (ground, options) in cases {
            self.check(*ground, &options.split_whitespace().collect::<Vec<_>>());
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn is_noise(line: &str) -> bool {
    ["\\restrict ", "\\unrestrict ", "SET transaction_timeout"].iter().any(|start| line.starts_with(start))
}

#[test]
fn sections_and_parts() {
    Bench::start(18).check_all(&[
        (Bare, ""),
        (Bare, "--schema-only"),
        (Whole, "--data-only"),
        (Bare, "--section=pre-data"),
        // Into keys that are there, pg_dump's order of tables would lose rows; ours would not.
        (Tables, "--section=data"),
        (Whole, "--section=post-data"),
        (Bare, "--no-owner --no-privileges"),
        (Bare, "--no-comments --no-policies --no-publications"),
        (Bare, "--no-large-objects --exclude-extension=hstore"),
    ]);
}

#[test]
fn schemas_and_extensions() {
    Bench::start(18).check_all(&[
        (Kit, "-n app"),
        (Bare, "-n a* -n REF"),
        (Bare, "-n app -n ref -n ext"),
        (Bare, "-N audit"),
        // Were the schemas there, pg_dump would leave them in a publication of whole schemas.
        (Bare, "-N app -N ext"),
        (Kit, "-n app -T app.customer -T app.far"),
        (Bare, "-e hstore -e citext"),
        (Bare, "-e citext -n ref"),
        (Bare, "-e * -n app -n ref -n ext --exclude-extension postgres_fdw"),
    ]);
}

#[test]
fn tables() {
    Bench::start(18).check_all(&[
        (Kit, "-t app.customer"),
        (Kit, "-t app.orders -t ref.numb* -b"),
        (Kit, "-t app.*"),
        (Kit, "-t *.log*"),
        (Kit, "-t audit.log_2"),
        (Kit, "-t app.heir -n ref"),
        (Kit, "-t app.(known|summary|free) -t audit.seen"),
        (Kit, "-t app.\"Odd\"*"),
        (Kit, "-T app.customer"),
        (Bare, "-T app.log -T app.shared -T app.known"),
    ]);
}

#[test]
fn children_and_rows() {
    Bench::start(18).check_all(&[
        (Kit, "--table-and-children app.log"),
        (Kit, "--table-and-children app.heir --exclude-table=audit.*"),
        (Bare, "--exclude-table-and-children app.log"),
        (Bare, "--exclude-table-and-children app.base --exclude-table-data=app.c*"),
        (Bare, "--exclude-table-data-and-children audit.log_2 --exclude-table-data *.country"),
        (Whole, "--data-only -t app.customer -t ref.country"),
        (Kit, "-s -n app --no-comments"),
    ]);
}

/// What only a server of the oldest major does otherwise.
#[test]
fn on_13() {
    Bench::start(13).check_all(&[(Bare, ""), (Kit, "-n app"), (Kit, "--table-and-children app.log")]);
}

#[test]
fn filter_files() {
    let bench = Bench::start(18);
    let filter = bench.file("filter");
    let path = filter.to_str().unwrap();
    for (ground, text) in [
        (
            Kit,
            "# the shop\ninclude table app.c*   # two of them\ninclude table_and_children app.log\n\nexclude table_data app.cache",
        ),
        (
            Kit,
            "include schema app\nexclude table app.\"Odd \"\"Name\"\" of\ntwo lines\"\nexclude extension *\n",
        ),
        (
            Bare,
            "include extension citext\nexclude schema app\nexclude table_data_and_children audit.heir_2\n",
        ),
        (Bare, "exclude table_and_children app.base\nexclude table app . customer"),
    ] {
        std::fs::write(&filter, text).unwrap();
        bench.check(ground, &["--filter", path]);
    }
}

/// Tables of an extension that hold the user's rows.
#[test]
fn rows_of_extensions() {
    let server = Server::builder(18).config("allow_system_table_mods", "on").start();
    server.psql("postgres", "CREATE ROLE app_owner SUPERUSER; CREATE ROLE app_reader");
    server.create_db("whole");
    server.psql(
        "whole",
        "CREATE SCHEMA app; CREATE EXTENSION hstore; CREATE TABLE app.settings (a int);
         INSERT INTO app.settings VALUES (1), (2); ALTER EXTENSION hstore ADD TABLE app.settings;
         UPDATE pg_extension SET extconfig = ARRAY['app.settings'::regclass::oid],
             extcondition = ARRAY['WHERE a > 1'] WHERE extname = 'hstore'",
    );
    let bench = Bench { server, files: TempDir::new().unwrap() };
    std::fs::write(bench.file("whole.sql"), "CREATE SCHEMA app; CREATE TABLE app.settings (a int);").unwrap();
    bench.check_all(&[
        (Whole, ""),
        (Whole, "-n app"),
        (Whole, "-t app.settings"),
        (Whole, "-N app"),
        (Whole, "-T app.settings"),
        (Whole, "-n public"),
        (Whole, "--exclude-table-data app.settings"),
        (Whole, "--exclude-extension hstore"),
    ]);
}

/// A filter that cannot be used is wrong usage, found out before anything is touched.
#[test]
fn bad_filters_are_refused() {
    let files = TempDir::new().unwrap();
    let filter = files.path().join("filter");
    std::fs::write(&filter, "include table a\ninclude tables b\n").unwrap();
    let dump = |filter: &str| {
        Dbhaul::new([
            "dump",
            "--source",
            "postgres://nowhere.invalid/x",
            "--format",
            "sql",
            "--filter",
            filter,
        ])
        .run()
    };
    let refused = dump(filter.to_str().unwrap());
    refused.assert_code(2).assert_stderr_has(&["line 2", "unsupported filter object type: \"tables\""]);
    dump("/nowhere/filter").assert_code(2).assert_stderr_has(&["cannot read /nowhere/filter"]);
}

/// What was left out is not on the copy, and nobody expects it there.
#[test]
fn a_selection_is_verified_on_the_copy() {
    let (source, target) = (Server::start(18), Server::start(18));
    source.create_db("shop");
    source.psql(
        "shop",
        "CREATE SCHEMA audit; CREATE TABLE audit.log (a int); CREATE TABLE film (a int); CREATE TABLE rental (a int);
         CREATE TABLE tape (a int); INSERT INTO film VALUES (1); INSERT INTO rental VALUES (2)",
    );
    target.create_db("shop");
    let selection = ["-N", "audit", "-T", "tape", "--exclude-table-data", "rental", "-T", "nothing*"];
    let places = ["--source", &source.uri("shop"), "--target", &target.uri("shop")];
    Dbhaul::new(["migrate"]).args(places).args(selection).run().assert_code(0);
    Dbhaul::new(["verify"]).args(places).args(selection).run().assert_code(0);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM film"), "1");
    assert_eq!(
        target.psql("shop", "SELECT to_regclass('tape') IS NULL, to_regclass('audit.log') IS NULL"),
        "t|t"
    );
    for typing_error in
        [["-T", "tapes"], ["-t", "tape*s"], ["-N", "audits"], ["--exclude-table-data", "rentals"]]
    {
        let run = Dbhaul::new(["dump", "--format", "sql", "--source", &source.uri("shop")])
            .args(typing_error)
            .run();
        run.assert_code(1).assert_stderr_has(&["no match", typing_error[1]]);
        assert_eq!(run.stdout, "");
    }
}

/// What a copy has to hold is what the original's objects need, whatever its own do.
#[test]
fn dependencies_are_those_of_the_original() {
    let (source, target) = (Server::start(18), Server::start(18));
    source.create_db("shop");
    source.psql(
        "shop",
        "CREATE SCHEMA lib; CREATE SCHEMA app; CREATE SCHEMA other;
         CREATE FUNCTION lib.good(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
         CREATE TABLE lib.kind (id int PRIMARY KEY); INSERT INTO lib.kind VALUES (1);
         CREATE TABLE app.film (id int REFERENCES lib.kind, n int); INSERT INTO app.film VALUES (1, 2);
         CREATE POLICY good_only ON app.film USING (lib.good(id));
         CREATE VIEW other.unneeded AS SELECT 1 AS a",
    );
    target.create_db("shop");
    let selection = ["-n", "app", "--with-dependencies", "--no-policies"];
    let run = |command: &str, from: &[&str]| {
        Dbhaul::new([command]).args(from).args(["--target", &target.uri("shop")]).args(selection).run()
    };
    let uri = source.uri("shop");
    let places = ["--source", uri.as_str()];
    run("migrate", &places).assert_code(0);
    assert_eq!(target.psql("shop", "SELECT lib.good(1), count(*) FROM lib.kind"), "t|1");
    run("verify", &places).assert_code(0);
    // what only the copy's objects need belongs to it, not to the comparison
    target.psql(
        "shop",
        "CREATE SCHEMA mine; CREATE FUNCTION mine.low(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE INDEX extra ON app.film (id) WHERE mine.low(id); DROP FUNCTION lib.good; DROP TABLE lib.kind CASCADE;
         CREATE VIEW lib.kind AS SELECT 1 AS id",
    );
    let verify = run("verify", &places);
    verify.assert_code(4).assert_says("FUNCTION lib.good").assert_says("TABLE lib.kind: missing");
    assert!(!verify.stdout.contains("mine"), "{verify}");
    let store = TempDir::new().unwrap();
    let dump = Dbhaul::new(["dump", "--source", &uri, "--store"]).arg(store.path()).run();
    dump.assert_code(0);
    let backup = ["--store", store.path().to_str().unwrap()];
    run("verify", &backup).assert_code(4).assert_says("FUNCTION lib.good");
    target.drop_db("shop");
    target.create_db("shop");
    run("restore", &backup).assert_code(0);
    run("verify", &backup).assert_code(0);
    target.psql("shop", "CREATE INDEX extra ON lib.kind (id)");
    run("verify", &backup).assert_code(4).assert_says("INDEX lib.extra: extra");
}

/// Rows of foreign tables travel only on request, and then into the foreign table.
#[test]
fn foreign_rows() {
    let server = Server::start(18);
    for db in ["far", "far_copy", "shop", "copy", "restored"] {
        server.create_db(db);
    }
    for db in ["far", "far_copy"] {
        server.psql(db, "CREATE TABLE t (a int, b text)");
    }
    server.psql("far", "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 100) n");
    server.psql(
        "shop",
        &format!(
            "CREATE EXTENSION postgres_fdw; CREATE TABLE own (a int); INSERT INTO own VALUES (1);
             CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{}', dbname 'far');
             CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres');
             CREATE FOREIGN TABLE t (a int, b text) SERVER far",
            server.port()
        ),
    );
    let store = TempDir::new().unwrap();
    let script = store.path().join("shop.sql");
    let source = server.uri("shop");
    let dump = |arguments: &[&str]| Dbhaul::new(["dump", "--source", &source]).args(arguments).run();
    let script_path = script.to_str().unwrap();
    dump(&["--format", "sql", "-f", script_path]).assert_code(0);
    assert!(!std::fs::read_to_string(&script).unwrap().contains("row 77"));
    dump(&["--format", "sql", "-f", script_path, "--include-foreign-data", "far"]).assert_code(0);
    let elsewhere = std::fs::read_to_string(&script).unwrap().replace("dbname 'far'", "dbname 'far_copy'");
    std::fs::write(&script, elsewhere).unwrap();
    server.psql_file("copy", &script, &[]);
    let rows = "SELECT count(*), sum(a) FROM t";
    assert_eq!(server.psql("far_copy", rows), "100|5050");
    dump(&["--format", "sql", "--include-foreign-data", "nearby"])
        .assert_code(1)
        .assert_stderr_has(&["nearby"]);

    // A backup that holds them restores them, into what the target's server leads to.
    let place = store.path().join("store");
    dump(&["--store", place.to_str().unwrap(), "--include-foreign-data", "f*"]).assert_code(0);
    server.psql("far", "TRUNCATE t");
    let restored = server.uri("restored");
    Dbhaul::new(["restore", "--store", place.to_str().unwrap(), "--target", &restored]).run().assert_code(0);
    assert_eq!(server.psql("far", rows), "100|5050");
}
