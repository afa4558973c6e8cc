//! `dump --format sql` and `backup export`: what `psql` makes of the script must be what
//! `pg_dump` finds on the source, and a script that is not complete must not pass for one.

#[path = "script/trips.rs"]
mod trips;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dbhaul_tests::{Dbhaul, Encoding, Finished, Fixture, Original, Server, python_program};
use tempfile::TempDir;

use trips::{COMPLETE, dump_to, round_trips};

fn dump(server: &Server, db: &str, options: &[&str]) -> Finished {
    Dbhaul::new(["dump", "--source", &server.uri(db), "--format", "sql"]).args(options).run()
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

#[test]
fn every_kind() {
    let load = |server: &Server, db: &str| {
        server.create_db(db);
        server.psql_file(db, &fixture("kinds.sql"), &[]);
    };
    round_trips(load, &[(13, 13), (16, 16), (18, 18)]);
}

#[test]
fn every_relation() {
    let load = |server: &Server, db: &str| {
        server.create_db(db);
        server.psql_file(db, &fixture("relations.sql"), &[]);
    };
    round_trips(load, &[(13, 13), (16, 18), (18, 18)]);
}

#[test]
fn cinema() {
    round_trips(|server, db| Fixture::Cinema.load(server, db), &[(13, 18), (16, 16), (18, 18)]);
}

#[test]
fn music() {
    round_trips(|server, db| Fixture::Music.load(server, db), &[(13, 13), (16, 18), (18, 18)]);
}

/// Rows and names that end a block, a comment or a line for a careless reader.
const AWKWARD: &str = r#"
    CREATE TABLE awkward (a text);
    INSERT INTO awkward VALUES ('\.'), (E'\\.\n'), (''), (NULL), (E'a\r\nb\tc\\'), ('\! touch escaped'), (E'\x01\x7f');
    CREATE TABLE none (); INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES;
    CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a + 1) STORED); INSERT INTO computed VALUES (1);
    CREATE TABLE "two
\! touch escaped
-- lines" (a money, b interval, c timestamptz, d float8);
    INSERT INTO "two
\! touch escaped
-- lines" VALUES (12.50, '-1 day +2:03', '2020-02-29 12:00+05', 'NaN'), (-0.01, '1 mon -1 day', 'infinity', 0.1);
    COMMENT ON TABLE "two
\! touch escaped
-- lines" IS E'a\n\\! touch escaped\n:comment';
    CREATE FUNCTION "f
\! touch escaped"(a int[]) RETURNS int LANGUAGE sql AS E'SELECT a[1:n][1] -- :a\n\\! touch escaped' ;
    SELECT lo_from_bytea(0, decode(repeat('c0ffee00', 60000), 'hex')), lo_create(0), lo_from_bytea(0, 'x');"#;

#[test]
fn awkward_rows_and_names_stay_what_they_are() {
    let (source, target) = (Server::start(16), Server::start(18));
    source.create_db("shop");
    // The function's body is not looked at, as it would not be in a restore.
    source.psql("shop", &format!("SET check_function_bodies = off; {AWKWARD}"));
    // What is all on 16 is not all on 18, which has MAINTAIN.
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE reader");
    }
    source.psql(
        "shop",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO reader; CREATE TABLE granted (i int);
        CREATE TABLE kept (i int); REVOKE SELECT ON kept FROM postgres; GRANT ALL ON granted TO PUBLIC",
    );
    // A target with other habits of reading.
    target.create_db("copy");
    target.psql("postgres", "ALTER DATABASE copy SET DateStyle = 'German, DMY'");
    target.psql("postgres", "ALTER DATABASE copy SET IntervalStyle = 'sql_standard'");
    target.psql("postgres", "ALTER DATABASE copy SET default_transaction_read_only = on");
    let files = TempDir::new().unwrap();
    let script = files.path().join("shop.sql");
    dump_to(&source, "shop", &script, &[]);
    let mut psql = target.client("psql");
    psql.args(["-Xqo", "/dev/null", "-v", "ON_ERROR_STOP=1", "-v", "n=oops", "-d", "copy", "-f"])
        .arg(&script);
    assert!(psql.current_dir(files.path()).status().unwrap().success());
    assert!(!files.path().join("escaped").exists(), "a name became a command");
    Original::new(&source, "shop", &target).assert_rows_equal("copy");
    let maintainers =
        "SELECT count(*) FROM (SELECT relacl FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT defaclacl FROM pg_default_acl) x (acl), aclexplode(acl)
        WHERE privilege_type = 'MAINTAIN' AND grantee <> 'postgres'::regrole";
    assert_eq!(target.psql("copy", maintainers), "0");
    let comment = "SELECT obj_description(c.oid) FROM pg_class c WHERE relname LIKE 'two%'";
    assert_eq!(target.psql("copy", comment), source.psql("shop", comment));
    let body = "SELECT prosrc FROM pg_proc WHERE proname LIKE 'f%touch%'";
    assert_eq!(target.psql("copy", body), source.psql("shop", body));
}

#[test]
fn encodings() {
    let files = TempDir::new().unwrap();
    let script = files.path().join("shop.sql");
    for encoding in [Encoding::Latin1, Encoding::SqlAscii] {
        let (source, target) =
            (Server::builder(16).encoding(encoding).start(), Server::builder(18).encoding(encoding).start());
        for server in [&source, &target] {
            server.create_db("shop");
        }
        source.psql(
            "shop",
            "CREATE TABLE t (a text); INSERT INTO t SELECT chr(n) FROM generate_series(1, 127) n",
        );
        match encoding {
            Encoding::Latin1 => {
                source.psql("shop", "INSERT INTO t SELECT chr(n) FROM generate_series(160, 255) n")
            }
            _ => {
                source.psql("shop", "INSERT INTO t SELECT convert_from(decode('ff41fe', 'hex'), 'SQL_ASCII')")
            }
        };
        let run = Dbhaul::new(["dump", "--source", &source.uri("shop"), "--format", "sql", "--file"]);
        run.arg(&script).run().assert_code(0);
        target.psql_file("shop", &script, &[]);
        assert_eq!(target.sql_digest("shop"), source.sql_digest("shop"), "{encoding:?}");
    }
}

#[test]
fn the_script_makes_its_database() {
    let name = "Odd 'name' \"of\" \\ it";
    let (source, target) = (Server::start(15), Server::start(18));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE shop_owner; CREATE ROLE reader");
    }
    let quoted = "\"Odd 'name' \"\"of\"\" \\ it\"";
    source.psql("postgres", &format!("CREATE DATABASE {quoted} OWNER shop_owner CONNECTION LIMIT 7"));
    source.psql(
        "postgres",
        &format!("COMMENT ON DATABASE {quoted} IS 'a shop'; GRANT CREATE ON DATABASE {quoted} TO reader"),
    );
    source.psql(name, "CREATE TABLE film (id serial, t text); INSERT INTO film (t) VALUES ('a'), ('b')");
    // It must not hinder the session that restores.
    source.psql("postgres", &format!("ALTER DATABASE {quoted} SET default_transaction_read_only = on"));
    let files = TempDir::new().unwrap();
    let script = files.path().join("shop.sql");
    dump_to(&source, name, &script, &["--create"]);
    target.psql_file("postgres", &script, &[]);
    Original::new(&source, name, &target).assert_equals(name);
    let properties =
        "SELECT pg_get_userbyid(datdba), datconnlimit, datacl, shobj_description(oid, 'pg_database'),
        (SELECT array_agg(setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname LIKE 'Odd%'";
    assert_eq!(target.psql("postgres", properties), source.psql("postgres", properties));

    // Over what is there, and without owners.
    dump_to(&source, name, &script, &["--create", "--clean", "--if-exists", "--no-owner", "--no-privileges"]);
    target.psql_file("postgres", &script, &[]);
    assert_eq!(target.sql_digest(name), source.sql_digest(name));
    assert!(target.psql("postgres", properties).starts_with("postgres|7||a shop|"));
    source.psql("postgres", "CREATE DATABASE \"two\nlines\"");
    dump(&source, "two\nlines", &["--create"]).assert_code(1).assert_stderr_has(&["line break"]);
}

#[test]
fn a_script_cleans_up_before_itself() {
    let (source, target) = (Server::start(16), Server::start(16));
    Fixture::Music.load(&source, "shop");
    target.create_db("shop");
    let files = TempDir::new().unwrap();
    let script = files.path().join("shop.sql");
    dump_to(&source, "shop", &script, &["--clean", "--if-exists"]);
    for _ in 0..2 {
        target.psql_file("shop", &script, &[]);
    }
    Original::new(&source, "shop", &target).assert_equals("shop");
}

/// A script without its header, whose lines say where it came from.
fn body(script: &str) -> &str {
    script.split_once("\nSET client_encoding").expect("every script sets it").1
}

#[test]
fn a_backup_is_exported_as_the_same_script() {
    let source = Server::start(16);
    Fixture::Cinema.load(&source, "shop");
    source.psql("shop", "SELECT lo_from_bytea(0, decode(repeat('abcd', 50000), 'hex'))");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &source.uri("shop"), "--store", store]).run().assert_code(0);
    let file = TempDir::new().unwrap();
    let file = file.path().join("shop.sql");
    dump_to(&source, "shop", &file, &[]);
    let exported = Dbhaul::new(["backup", "export", "--store", store]).run();
    exported.assert_code(0).assert_stderr_has(&["script complete", "in standard output"]);
    assert!(
        body(&exported.stdout) == body(&std::fs::read_to_string(&file).unwrap()),
        "export and dump differ"
    );
    let some = Dbhaul::new(["backup", "export", "--store", store, "-t", "film", "--schema-only"]).run();
    some.assert_code(0);
    assert!(some.stdout.contains("CREATE TABLE public.film (") && !some.stdout.contains("COPY "), "{some}");
}

/// What the programs of others make of a compressed file.
fn unpacked(file: &Path, method: &str) -> String {
    let reader = "import sys, lzma, pyarrow
name, method = sys.argv[1:]
open_file = lzma.open if method == 'xz' else lambda name: pyarrow.input_stream(name, compression=method)
with open_file(name) as file: sys.stdout.buffer.write(file.read())";
    let output = Command::new(python_program()).args(["-c", reader]).arg(file).arg(method).output().unwrap();
    assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_script_is_compressed_as_its_name_or_an_option_says() {
    let server = Server::start(18);
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE long AS SELECT i, 'customer ' || i % 97 || ' ordered ' || i % 1013 || ' pieces' AS note
         FROM generate_series(1, 20000) i",
    );
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store", store]).run().assert_code(0);
    let files = TempDir::new().unwrap();
    let at = |name: &str| files.path().join(name);
    dump_to(&server, "shop", &at("shop.sql"), &[]);
    let plain = std::fs::read_to_string(at("shop.sql")).unwrap();
    let named = [("gz", "gzip"), ("zst", "zstd"), ("xz", "xz"), ("bz2", "bz2"), ("lz4", "lz4")];
    for (ending, method) in named {
        let file = at(&format!("shop.sql.{ending}"));
        dump(&server, "shop", &["-f", file.to_str().unwrap()]).assert_code(0);
        assert!(body(&unpacked(&file, method)) == body(&plain), "{ending} holds another script");
        let exported = at(&format!("export.sql.{ending}"));
        let export = Dbhaul::new(["backup", "export", "--store", store, "-f"]).arg(&exported).run();
        export.assert_code(0);
        assert!(
            body(&unpacked(&exported, method)) == body(&plain),
            "{ending} of a backup holds another script"
        );
    }
    // as pg_dump has it: a level alone is of gzip, and 0 is none
    let size_at = |level: &str| {
        dump(&server, "shop", &["-Z", level, "-f", at("level").to_str().unwrap()]).assert_code(0);
        assert!(body(&unpacked(&at("level"), "gzip")) == body(&plain), "{level} holds another script");
        at("level").metadata().unwrap().len()
    };
    assert!(size_at("9") < size_at("1") && size_at("gzip:9") < size_at("gzip:level=1"));
    dump_to(&server, "shop", &at("plain.sql.gz"), &["-Z", "0"]);
    let run = Dbhaul::new(["backup", "export", "--store", store, "-Z", "gzip:10"]).run();
    run.assert_code(2).assert_stderr_has(&["gzip has levels from 1 to 9, not 10"]);

    // a run that fails leaves no file
    server.psql("shop", "CREATE TYPE e AS ENUM ('bad'); CREATE TABLE broken AS SELECT 'bad'::e AS e");
    server.psql("shop", "DELETE FROM pg_enum WHERE enumlabel = 'bad'");
    let failed = dump(&server, "shop", &["-f", at("failed.sql.gz").to_str().unwrap()]);
    failed.assert_code(1).assert_stderr_has(&["public.broken"]);
    assert!(!at("failed.sql.gz").exists());
}

/// Runs a script by psql on an empty database, past errors or up to the first.
fn psql_takes(server: &Server, db: &str, script: &str, stops: bool) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let stop = if stops { "ON_ERROR_STOP=1" } else { "ON_ERROR_STOP=0" };
    let mut psql = server.client("psql");
    psql.args(["-Xqo", "/dev/null", "-v", stop, "-d", db, "-f"]).arg(file.path()).stderr(Stdio::null());
    psql.status().unwrap().success()
}

#[test]
fn a_dump_that_fails_is_no_script() {
    let server = Server::start(16);
    for db in ["shop", "copy", "strict"] {
        server.create_db(db);
    }
    // The last row cannot be read: its label is gone.
    server.psql(
        "shop",
        "CREATE TYPE e AS ENUM ('ok', 'bad'); CREATE TABLE big (a text, e e);
         INSERT INTO big SELECT repeat('x', 100), 'ok' FROM generate_series(1, 30000);
         INSERT INTO big VALUES ('y', 'bad')",
    );
    server.psql("shop", "DELETE FROM pg_enum WHERE enumlabel = 'bad'");
    let files = TempDir::new().unwrap();
    let script = files.path().join("shop.sql");

    // The disk is full: no file, half or whole.
    let full = Dbhaul::new(["dump", "--source", &server.uri("shop"), "--format", "sql", "--file"]);
    let full = full.arg(&script).file_limit_kib(1024).run();
    full.assert_code(1).assert_stderr_has(&["cannot write", "shop.sql"]);
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0, "something stayed behind");

    // Reading fails in the middle of the rows.
    let run = dump(&server, "shop", &[]);
    run.assert_code(1).assert_stderr_has(&["public.big"]);
    assert!(!run.stdout.contains(COMPLETE), "it says that it is complete");
    assert!(run.stdout.contains("INCOMPLETE"), "{}", run.stderr);
    assert!(run.stdout.contains("COPY public.big"), "it failed before the rows");
    assert!(psql_takes(&server, "copy", &run.stdout, false));
    assert_eq!(server.psql("copy", "SELECT count(*) FROM big"), "0", "half of the rows are there");
    assert!(!psql_takes(&server, "strict", &run.stdout, true), "psql found nothing wrong");
}

#[test]
fn what_is_no_file_is_written_directly() {
    let server = Server::start(16);
    server.create_db("shop");
    dump(&server, "shop", &["-f", "/dev/null"]).assert_code(0);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file(), "/dev/null was replaced");
    let missing = dump(&server, "shop", &["-f", "/nowhere/shop.sql"]);
    missing.assert_code(2).assert_stderr_has(&["/nowhere/shop.sql"]);
}

#[test]
fn flags_of_the_other_format_are_refused() {
    let source = ["dump", "--source", "postgres://nowhere.invalid/x"];
    for (flags, expected) in [
        (vec!["--store", "s", "--file", "x"], "--file belongs to a script"),
        (vec!["--store", "s", "--clean"], "dbhaul restore"),
        (vec!["--store", "s", "--target-version", "17"], "--target-version belongs to a script"),
        (vec!["--format", "sql", "--store", "s"], "--store is where"),
        (vec!["--format", "sql", "-j", "4"], "--jobs is for"),
        (vec!["--format", "sql", "-Z", "12"], "gzip has levels from 1 to 9, not 12"),
        (vec!["--format", "sql", "-Z", "lz4:3"], "lz4 is written without levels"),
        (vec!["--format", "sql", "-Z", "brotli"], "expected a level, or gzip"),
        (vec!["--format", "sql", "--roles", "used"], "--roles is for"),
        (vec!["--format", "sql", "--json"], "--report x.json"),
    ] {
        Dbhaul::new(source).args(&flags).run().assert_code(2).assert_stderr_has(&[expected]);
    }
}

#[test]
fn a_backup_shows_its_contents() {
    let server = Server::start(16);
    server.create_db("shop");
    server.create_db("copy");
    server.psql("shop", "CREATE TABLE \"two\nlines\" (id int PRIMARY KEY); INSERT INTO \"two\nlines\" VALUES (1);
        CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA other; CREATE TABLE other.t (a int)");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store", store]).run().assert_code(0);
    let show = |flags: &[&str]| Dbhaul::new(["backup", "show", "--store", store]).args(flags).run();
    let summary = show(&[]);
    summary.assert_code(0);
    assert!(summary.stdout.contains(r#"public."two\nlines""#), "{summary}");

    let toc = show(&["--toc"]);
    toc.assert_code(0);
    assert!(toc.stdout.contains(";     dbname: shop"), "{toc}");
    let oid = server.psql("shop", "SELECT oid FROM pg_class WHERE relname = E'two\\nlines'");
    for entry in [
        format!("; 1259 {oid} TABLE public two lines postgres"),
        "TABLE DATA public two lines postgres".to_owned(),
        "CONSTRAINT public two lines two lines_pkey".to_owned(),
        "FUNCTION public f(integer) postgres".to_owned(),
        "SCHEMA - other postgres".to_owned(),
    ] {
        assert!(toc.stdout.lines().any(|line| line.contains(&entry)), "no {entry:?}\n{toc}");
    }
    let numbers = toc.stdout.lines().filter(|line| !line.starts_with(';'));
    assert!(numbers.clone().count() > 5 && numbers.clone().all(|line| line.contains("; ")), "{toc}");
    assert_eq!(show(&["--toc", "--json"]).json()["entries"].as_array().unwrap().len(), numbers.count());

    let ddl = show(&["--ddl"]);
    ddl.assert_code(0);
    assert!(ddl.stdout.contains("-- Section: post-data"), "{ddl}");
    assert!(psql_takes(&server, "copy", &ddl.stdout, true));
    assert_eq!(server.pg_dump_schema("copy"), server.pg_dump_schema("shop"));
    let some = show(&["--ddl", "-n", "other"]);
    assert!(some.stdout.contains("other.t") && !some.stdout.contains("two"), "{some}");
    show(&["-n", "other"]).assert_code(2).assert_stderr_has(&["--toc or --ddl"]);
}

#[test]
fn tablespaces_are_mapped_left_out_or_missed() {
    let start = |major, names: [&str; 2]| {
        // Tablespaces inside the data directory, as the servers' own tests make them.
        let server = Server::builder(major).config("allow_in_place_tablespaces", "on").start();
        for name in names {
            server.psql("postgres", &format!("CREATE TABLESPACE {name} LOCATION ''"));
        }
        server
    };
    let (source, target) = (start(16, ["fast", "slow"]), start(18, ["quick", "slow"]));
    source.create_db("shop");
    source.psql(
        "shop",
        "CREATE TABLE film (id int PRIMARY KEY USING INDEX TABLESPACE slow, t text) TABLESPACE fast;
         CREATE INDEX film_t ON film (t) TABLESPACE slow; CREATE MATERIALIZED VIEW m TABLESPACE fast AS SELECT 1 AS a;
         INSERT INTO film VALUES (1, 'a')",
    );
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    target.create_db("shop");
    let run = |command: &str, flags: &[&str]| {
        Dbhaul::new([command, "--source", &from, "--target", &to]).args(flags).run()
    };
    run("preflight", &[]).assert_code(5).assert_says("tablespace \"fast\" is not there");
    run("migrate", &[]).assert_code(1).assert_stderr_has(&["fast", "--tablespace-map"]);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM pg_class WHERE relname = 'film'"), "0");
    run("migrate", &["--tablespace-map", "fast=quick"]).assert_code(0);
    let placed = "SELECT relname, spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1";
    assert_eq!(target.psql("shop", placed), "film|quick\nfilm_pkey|slow\nfilm_t|slow\nm|quick");
    run("verify", &["--tablespace-map", "fast=quick"]).assert_code(0);
    run("verify", &[]).assert_code(4);
    run("migrate", &["--no-tablespaces", "--clean"]).assert_code(0);
    assert_eq!(target.psql("shop", placed), "");
    run("verify", &["--no-tablespaces"]).assert_code(0);
    let script = dump(&source, "shop", &["--no-tablespaces"]);
    assert!(!script.stdout.to_lowercase().contains("tablespace"), "{script}");
    let script = dump(&source, "shop", &["--tablespace-map", "slow=", "--tablespace-map", "fast=quick"]);
    assert!(script.stdout.contains("TABLESPACE quick") && !script.stdout.contains("slow"), "{script}");
}
