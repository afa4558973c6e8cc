//! `dump --format parquet`: a backup whose rows are files that other programs read, and that is restored, checked, verified,
//! forgotten and pruned as any other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use dbhaul_tests::{Dbhaul, Finished, Fixture, Original, S3Directory, Server, python_program, wait_until};
use tempfile::TempDir;

/// Every built-in type, with values that few programs can hold.
const TABLES: &str = include_str!("../fixtures/every-type-tables.sql");
const ROWS: &str = include_str!("../fixtures/every-type-rows.sql");

/// What has no columns, no rows, an odd name, or is no table.
const ODD: &str = r#"
CREATE TABLE nothing (); INSERT INTO nothing SELECT FROM generate_series(1, 7);
CREATE TABLE empty (x int);
CREATE SCHEMA "Odd/../schema"; CREATE TABLE "Odd/../schema"."a ""b"".é" (id int PRIMARY KEY, x text);
INSERT INTO "Odd/../schema"."a ""b"".é" VALUES (1, 'a'), (2, NULL);
CREATE TABLE parted (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO parted SELECT i, date '2019-12-01' + i FROM generate_series(1, 60) i;
CREATE SEQUENCE numbers START 7; SELECT nextval('numbers');
SELECT lo_from_bytea(4711, 'abc')"#;

/// A place of backups.
struct Place {
    directory: TempDir,
    s3: Option<S3Directory>,
}

impl Place {
    fn directory() -> Self {
        Place { directory: TempDir::new().unwrap(), s3: None }
    }

    fn s3() -> Self {
        let s3 = S3Directory::start();
        s3.create_bucket("bucket");
        Place { directory: TempDir::new().unwrap(), s3: Some(s3) }
    }

    /// A command on the store.
    fn command(&self, arguments: &[&str]) -> Dbhaul {
        let run = Dbhaul::new(arguments.iter().copied()).arg("--store");
        match &self.s3 {
            Some(s3) => run.arg(s3.endpoint().store_url("bucket", "store")).envs(s3.endpoint().env()),
            None => run.arg(self.root()),
        }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).run()
    }

    fn dump(&self, server: &Server, more: &[&str]) -> String {
        let source = server.uri("shop");
        let run = self.run(&[&["dump", "--json", "--source", &source], more].concat());
        run.assert_code(0).json()["backup"].as_str().unwrap().to_owned()
    }

    /// Where the store's objects are files.
    fn root(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.root().join("bucket/store"),
            None => self.directory.path().join("store"),
        }
    }

    /// The folder of a backup's files of Parquet.
    fn folder(&self, backup: &str) -> PathBuf {
        let folders = fs::read_dir(self.root().join("parquet/shop")).unwrap();
        let mut paths = folders.map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_str().unwrap().ends_with(backup)).unwrap()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Lets files be of the day before.
fn age(folder: &Path) {
    for path in files(folder) {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    }
}

#[test]
fn every_type_comes_back_from_parquet() {
    for (major, place) in [(13, Place::directory()), (18, Place::s3())] {
        let (source, target) = (Server::start(major), Server::start(18));
        source.create_db("shop");
        source.psql("shop", TABLES);
        source.psql("shop", ROWS);
        source.psql("shop", ODD);
        target.create_db("copy");
        let original = Original::new(&source, "shop", &target);
        let backup = place.dump(&source, &["--format", "parquet", "--jobs", "2"]);
        for level in ["0", "1", "2"] {
            place.run(&["backup", "check", "--level", level]).assert_code(0);
        }
        place.run(&["restore", "--target", &target.uri("copy")]).assert_code(0);
        original.assert_rows_equal("copy");
        original.assert_inserts_equal("copy");
        let sum = "SELECT last_value, lo_get(4711), (SELECT count(*) FROM nothing) FROM numbers";
        assert_eq!(target.psql("copy", sum), source.psql("shop", sum));
        // against the live database by the digests of the manifest, and against what is in the files
        place.run(&["verify", "--target", &source.uri("shop")]).assert_code(0);
        source.psql("shop", "UPDATE kinds SET i2 = 5 WHERE id = 100");
        let differs = place.run(&["verify", "--target", &source.uri("shop")]);
        differs.assert_code(4).assert_says("kinds");
        let listed = place.run(&["backup", "list"]);
        listed.assert_code(0).assert_says(&backup);
        let odd =
            place.folder(&backup).join("Odd%2F%2E%2E%2Fschema/a%20%22b%22%2E%C3%A9/part-000000.parquet");
        assert!(place.s3.is_some() || odd.is_file(), "{odd:?}");
    }
}

/// DuckDB, polars and pyarrow read the folder of a table, from a directory and from S3, and get what PostgreSQL gets.
#[test]
fn others_read_a_backup_where_it_lies() {
    let server = Server::start(18);
    Fixture::TpcH { scale: 0.1 }.load(&server, "shop");
    let price = "l_extendedprice * (1 - l_discount)";
    let q1 = |sums: &str| {
        format!(
            "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), {sums} count(*) FROM lineitem
             WHERE l_shipdate <= '1998-09-02' GROUP BY 1, 2 ORDER BY 1, 2"
        )
    };
    let q3 = format!(
        "SELECT l_orderkey, sum({price}), o_orderdate, o_shippriority FROM customer, orders, lineitem
         WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
           AND o_orderdate < '1995-03-15' AND l_shipdate > '1995-03-15'
         GROUP BY 1, 3, 4 ORDER BY 2 DESC, 3, 1 LIMIT 10"
    );
    let q6 = "SELECT sum(l_extendedprice * l_discount) FROM lineitem WHERE l_shipdate >= '1994-01-01'
              AND l_shipdate < '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24";
    let psql = |queries: &[&str]| {
        let answers: Vec<String> = queries.iter().map(|query| server.psql("shop", query)).collect();
        answers.join("\n")
    };
    let q1_and_more = q1(&format!("sum({price}), sum({price} * (1 + l_tax)),"));
    let answers = [
        ("DUCKDB", psql(&[&q1_and_more, &q3, q6])),
        ("POLARS", psql(&[&q1("")])),
        ("PYARROW", format!("{}\ndecimal128(15, 2) True numeric(15,2)", psql(&[q6]))),
    ];
    for place in [Place::directory(), Place::s3()] {
        let source = server.uri("shop");
        let arguments =
            ["dump", "--json", "--source", &source, "--format", "parquet", "--jobs", "2", "--compress", "3"];
        let run = place.run(&arguments);
        let backup = run.assert_code(0).json()["backup"].as_str().unwrap().to_owned();
        assert!(run.peak_resident_bytes < 512 << 20, "{} bytes resident", run.peak_resident_bytes);
        let folder = place.folder(&backup).join("public");
        for (reader, expected) in &answers {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/read-parquet.py");
            let mut command = Command::new(python_program());
            command.args([script, reader]);
            match &place.s3 {
                None => command.arg(&folder),
                // DuckDB would have to download what reads S3
                Some(_) if *reader == "DUCKDB" => continue,
                Some(s3) => {
                    let key = folder.strip_prefix(s3.root()).unwrap();
                    command.envs(s3.endpoint().env()).env("AWS_ENDPOINT_URL", &s3.endpoint().url);
                    command.env("AWS_REGION", &s3.endpoint().region);
                    command.arg(format!("s3://{}", key.display()))
                }
            };
            let output = command.arg("folders").output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{reader}: {errors}");
            assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), expected, "{reader}");
        }
    }
}

/// Whatever a file is not as it was written, a check names it, and a restore stops with its name and has loaded none of it.
#[test]
fn files_that_are_not_as_they_were_are_named() {
    let (server, place) = (Server::start(16), Place::directory());
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE sale (id int PRIMARY KEY, note text);
         INSERT INTO sale SELECT i, md5(i::text) FROM generate_series(1, 5000) i;
         CREATE TABLE other (id int PRIMARY KEY, note text); INSERT INTO other SELECT * FROM sale WHERE id > 5",
    );
    let older = place.dump(&server, &["--format", "parquet"]);
    server.psql("shop", "UPDATE sale SET note = md5(note) WHERE id = 77");
    let backup = place.dump(&server, &["--format", "parquet"]);
    let folder = place.folder(&backup).join("public");
    let part = folder.join("sale/part-000000.parquet");
    let whole = fs::read(&part).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let foreign = {
        let file = place.directory.path().join("foreign.parquet");
        let source = server.uri("shop");
        let export = ["export", "--source", &source, "--query", "SELECT 1 AS other", "-o"];
        Dbhaul::new(export).arg(&file).run().assert_code(0);
        fs::read(file).unwrap()
    };
    let padded = |mut bytes: Vec<u8>| {
        bytes.resize(whole.len(), 0);
        bytes
    };
    let damage: [(&str, Option<Vec<u8>>); 7] = [
        ("truncated footer", Some(whole[..whole.len() - 5].to_vec())),
        ("missing", None),
        ("flipped bit", Some(flipped)),
        ("another table", Some(fs::read(folder.join("other/part-000000.parquet")).unwrap())),
        ("another schema", Some(padded(foreign.clone()))),
        ("foreign", Some(foreign)),
        (
            "another backup",
            Some(fs::read(place.folder(&older).join("public/sale/part-000000.parquet")).unwrap()),
        ),
    ];
    let key = format!("{}", part.strip_prefix(place.root()).unwrap().display());
    for (what, bytes) in damage {
        match &bytes {
            Some(bytes) => fs::write(&part, bytes).unwrap(),
            None => fs::remove_file(&part).unwrap(),
        }
        let check = place.run(&["backup", "check", "--backup", &backup, "--level", "1"]);
        check.assert_code(4).assert_says(&key);
        server.create_db("copy");
        let restore = place.run(&["restore", "--backup", &backup, "--target", &server.uri("copy")]);
        restore.assert_code(1).assert_stderr_has(&[&key]);
        let loaded = "SELECT to_regclass('sale') IS NULL OR NOT EXISTS (SELECT FROM sale)";
        let is_empty = server.try_psql("copy", loaded);
        assert!(is_empty.as_deref().is_ok_and(|answer| answer == "t") || is_empty.is_err(), "{what}");
        server.drop_db("copy");
        fs::write(&part, &whole).unwrap();
    }
    let stray = folder.join("sale/part-000001.parquet");
    fs::write(&stray, &whole).unwrap();
    let check = place.run(&["backup", "check", "--backup", &backup, "--level", "0"]);
    check.assert_code(4).assert_says("part-000001.parquet lies among the files of the backup");
    fs::remove_file(stray).unwrap();
    place.run(&["backup", "check", "--all", "--level", "2"]).assert_code(0);
}

/// A forgotten backup's files go in two steps and those of others stay; a killed dump leaves no backup; an encrypted store takes none.
#[test]
fn files_go_with_their_backup() {
    let (server, place) = (Server::start(17), Place::directory());
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE sale (id int PRIMARY KEY, note text);
         INSERT INTO sale SELECT i, md5(i::text) FROM generate_series(1, 200000) i;
         CREATE TABLE small AS SELECT 1 AS x; SELECT lo_from_bytea(0, 'abc')",
    );
    let first = place.dump(&server, &["--format", "parquet"]);
    let native = place.dump(&server, &[]);
    let second = place.dump(&server, &["--format", "parquet"]);
    let (old, kept) = (place.folder(&first), place.folder(&second));
    let (old_files, kept_files) = (files(&old), files(&kept));
    assert_eq!((old_files.len(), kept_files.len()), (2, 2));

    let source = server.uri("shop");
    let killed =
        place.command(&["dump", "--source", &source, "--format", "parquet", "--max-rate", "2MB"]).spawn();
    let written = || {
        let files = files(&place.root().join("parquet"));
        files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "parquet")).count()
    };
    wait_until("a file of the third", || (written() == 5).then_some(()));
    killed.kill();
    let listed = place.run(&["backup", "list", "--json"]).assert_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    age(&place.root().join("sessions"));

    place.run(&["backup", "forget", &first]).assert_code(0);
    let prune = |more: &[&str]| {
        place.run(&[&["backup", "prune", "--json"], more].concat()).assert_code(0).json()["parts"].clone()
    };
    assert_eq!(prune(&["--grace-hours", "0"])["young"]["count"], 3);
    age(&place.root().join("parquet"));
    assert_eq!(prune(&["--grace-hours", "0"])["marked"]["count"], 3);
    assert_eq!(prune(&[])["waiting"]["count"], 3);
    assert_eq!(files(&old), old_files);
    assert_eq!(prune(&["--grace-hours", "0", "--dry-run"])["removed"]["count"], 3);
    assert_eq!(prune(&["--grace-hours", "0"])["removed"]["count"], 3);
    assert!(files(&old).is_empty());
    assert_eq!(files(&kept), kept_files);
    assert!(files(&place.root().join("parquet-marks")).is_empty() || prune(&[])["used"]["count"] == 2);
    place.run(&["backup", "check", "--all", "--level", "2"]).assert_code(0);
    for backup in [&native, &second] {
        server.create_db("copy");
        place.run(&["restore", "--backup", backup, "--target", &server.uri("copy")]).assert_code(0);
        let sum = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM sale t";
        assert_eq!(server.psql("copy", sum), server.psql("shop", sum));
        server.drop_db("copy");
    }

    // what a dump leaves that failed before its end goes at once, where nobody wants to prune
    let manifest = files(&place.root().join("backups"))
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(second.as_str())));
    fs::remove_file(manifest.unwrap()).unwrap();
    let cleanup = |more: &[&str]| place.run(&[&["cleanup"], more].concat());
    cleanup(&[])
        .assert_code(0)
        .assert_says("2 files of Parquet of no backup kept: of a dump younger than 72 hours");
    cleanup(&["--grace-hours", "0"]).assert_code(0).assert_says("2 files of Parquet, ").assert_says(&second);
    assert_eq!(files(&kept), kept_files);
    let removed = cleanup(&["--grace-hours", "0", "--yes", "--json"]).assert_code(0).json();
    assert_eq!(
        (&removed["folders"][0]["count"], &removed["removed"]),
        (&2.into(), &true.into()),
        "{removed}"
    );
    assert!(files(&kept).is_empty() && files(&place.root().join("parquet")).is_empty());
    place.run(&["backup", "check", "--all", "--level", "2"]).assert_code(0);

    let encrypted = Place::directory();
    let key = encrypted.directory.path().join("writer.json").display().to_string();
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    encrypted.run(&["store", "init", "--recipient", recipient, "--writer-key-out", &key]).assert_code(0);
    let refused = encrypted.run(&["dump", "--source", &source, "--format", "parquet", "--writer-key", &key]);
    refused.assert_code(1).assert_stderr_has(&["is encrypted, and files of Parquet"]);
    assert!(files(&encrypted.root().join("backups")).is_empty());
}

/// A backup with packs becomes one with files of Parquet and back; each stands alone, and holds the rows of the first.
#[test]
fn a_backup_is_converted_and_back() {
    let (source, target) = (Server::start(17), Server::start(18));
    source.create_db("shop");
    for sql in [TABLES, ROWS, ODD] {
        source.psql("shop", sql);
    }
    source.psql(
        "shop",
        "CREATE TABLE long (id int PRIMARY KEY, note text);
         INSERT INTO long SELECT i, md5(i::text) FROM generate_series(1, 300000) i",
    );
    let original = Original::new(&source, "shop", &target);
    for place in [Place::directory(), Place::s3()] {
        let packs = place.dump(&source, &["--jobs", "2"]);
        let convert = |backup: &str, format: &str| {
            let run = place.run(&["backup", "convert", backup, "--format", format, "--json"]);
            let report = run.assert_code(0).json();
            assert_eq!(report["converted"], backup, "{report}");
            report
        };
        let id = |report: &serde_json::Value| report["backup"].as_str().unwrap().to_owned();
        let parquet = id(&convert(&packs, "parquet"));
        let latest = place.run(&["backup", "show", "--json"]).assert_code(0).json();
        assert_eq!(latest["id"], parquet, "{latest}");
        let refused = place.run(&["backup", "convert", &parquet, "--format", "parquet"]);
        refused.assert_code(1).assert_says("has its rows as Parquet already");
        // nothing of the original is needed any more
        place.run(&["backup", "forget", &packs]).assert_code(0);
        let back = convert(&parquet, "store");
        assert_eq!(back["part_count"], 0, "{back}");
        let back = id(&back);
        place.run(&["backup", "check", "--all", "--level", "2"]).assert_code(0);
        for backup in [&parquet, &back] {
            target.create_db("copy");
            place.run(&["restore", "--backup", backup, "--target", &target.uri("copy")]).assert_code(0);
            original.assert_rows_equal("copy");
            original.assert_inserts_equal("copy");
            place.run(&["verify", "--backup", backup, "--target", &source.uri("shop")]).assert_code(0);
            target.drop_db("copy");
        }
        let next = place.run(&["dump", "--json", "--source", &source.uri("shop")]).assert_code(0).json();
        let (new, raw) = (&next["totals"]["uploaded_bytes"], &next["totals"]["plain_bytes"]);
        assert!(new.as_u64().unwrap() * 20 < raw.as_u64().unwrap(), "its rows were not found again: {next}");
    }
}
