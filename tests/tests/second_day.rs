//! A backup stores what its parent has not, and refers to the parent for the rest: as few bytes as the changes make,
//! nothing of a parent that is damaged, and every backup whole when others are gone.

use std::fs;
use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Finished, Fixture, Server};
use serde_json::Value;
use tempfile::TempDir;

/// Does something to an object of a store.
type Damage<'a> = &'a dyn Fn(&PathBuf);

/// A server with a database and a store.
struct Days {
    server: Server,
    store: TempDir,
}

impl Days {
    fn new(definition: &str) -> Self {
        let server = Server::start(18);
        server.create_db("shop");
        server.psql("shop", definition);
        Days { server, store: TempDir::new().unwrap() }
    }

    fn place(&self) -> &str {
        self.store.path().to_str().unwrap()
    }

    fn run_dump(&self, more: &[&str]) -> Finished {
        let source = self.server.uri("shop");
        let run =
            Dbhaul::new(["dump", "--source", &source, "--store", self.place(), "--jobs", "2", "--json"]);
        run.args(more).run()
    }

    /// Dumps; returns the report.
    fn dump(&self, more: &[&str]) -> Value {
        let run = self.run_dump(more);
        run.assert_code(0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut files = files(&self.store.path().join(below));
        files.sort();
        files
    }

    /// The manifest of a backup.
    fn manifest(&self, backup: &Value) -> PathBuf {
        self.store.path().join(backup["key"].as_str().unwrap())
    }

    /// Restores a backup, and compares all of its rows with those of the database.
    fn assert_restores(&self, backup: &Value, database: &str) {
        let id = backup["backup"].as_str().unwrap();
        self.server.create_db("copy");
        let target = self.server.uri("copy");
        Dbhaul::new(["restore", "--store", self.place(), "--backup", id, "--target", &target])
            .run()
            .assert_code(0);
        let source = self.server.uri(database);
        Dbhaul::new(["verify", "--source", &source, "--target", &target]).run().assert_code(0);
        self.server.drop_db("copy");
    }
}

fn files(directory: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

/// Uploaded bytes for every thousand bytes of rows.
fn uploaded_per_mille(report: &Value) -> u64 {
    number(report, "/totals/uploaded_bytes") * 1000 / number(report, "/totals/plain_bytes")
}

/// Rows as a shop has them, 1.5 million in the long run.
fn sales() -> (u64, String) {
    let rows = if std::env::var_os("DBHAUL_LONG").is_some() { 1_500_000 } else { 200_000 };
    let definition = format!(
        "CREATE TABLE sale (id bigint PRIMARY KEY, sold timestamptz, customer int, note text, cents bigint)
             WITH (fillfactor = 95);
         CREATE FUNCTION note(i bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
             $$ SELECT md5(i::text) || ' ' || repeat('item ', (i % 7)::int) || md5((i * 31)::text) $$;
         INSERT INTO sale SELECT i, timestamptz '2026-01-01' + i * interval '7 seconds', (i * 7919) % 5000, note(i),
             (i * 104729) % 100000 FROM generate_series(1::bigint, {rows}) i;
         CREATE TABLE log (line text, n int);
         INSERT INTO log SELECT 'the same line', 1 FROM generate_series(1, 30000) i;
         CREATE TABLE none (x int);
         SELECT lo_from_bytea(0, convert_to(repeat(md5(i::text), 3000), 'UTF8')) FROM generate_series(1, 20) i"
    );
    (rows, definition)
}

#[test]
fn a_second_backup_uploads_what_has_changed() {
    let (rows, definition) = sales();
    let days = Days::new(&definition);
    let first = days.dump(&[]);
    assert_eq!(first["parent"], Value::Null);
    assert_eq!(number(&first, "/transfer/reused_bytes"), 0);
    // no change at all
    let second = days.dump(&[]);
    assert_eq!(second["parent"], first["backup"]);
    assert_eq!(number(&second, "/transfer/reused_bytes"), number(&second, "/totals/stored_bytes"));
    assert!(number(&second, "/transfer/uploaded_packs") <= 1, "no more than metadata: {second}");
    assert!(uploaded_per_mille(&second) < 5, "{second}");
    let packs = number(&first, "/pack_count");
    let requests = number(&second, "/transfer/requests");
    assert!(requests <= 20 + 3 * packs, "{requests} requests for {packs} packs");
    // a day of a shop: 1% more, half a percent of it updated where it is hot, one row in ten thousand elsewhere
    days.server.psql(
        "shop",
        &format!(
            "INSERT INTO sale SELECT i, timestamptz '2026-01-01' + i * interval '7 seconds', (i * 7919) % 5000,
                 note(i), (i * 104729) % 100000 FROM generate_series({rows}::bigint + 1, {rows} + {rows} / 100) i;
             UPDATE sale SET cents = cents + 1 WHERE id > {rows} - {rows} / 200 AND id <= {rows};
             UPDATE sale SET cents = cents + 1 WHERE id % 10000 = 4321"
        ),
    );
    let third = days.dump(&[]);
    assert_eq!(third["parent"], second["backup"]);
    assert!(uploaded_per_mille(&third) < 150, "{third}");
    assert!(
        number(&third, "/transfer/reused_bytes") * 5 > number(&third, "/totals/stored_bytes") * 4,
        "{third}"
    );
    let shown = Dbhaul::new(["backup", "show", "--store", days.place()]).run();
    shown.assert_code(0);
    let parent = second["backup"].as_str().unwrap();
    assert!(shown.stdout.contains(&format!("reused from backup {parent}")), "{}", shown.stdout);
    // what it refers to stays when its ancestors are gone, and nothing else does
    fs::remove_file(days.manifest(&first)).unwrap();
    fs::remove_file(days.manifest(&second)).unwrap();
    let cleanup = ["cleanup", "--store", days.place(), "--grace-hours", "0", "--yes"];
    Dbhaul::new(cleanup).run().assert_code(0);
    assert_eq!(days.files("packs").len() as u64, number(&third, "/pack_count"));
    days.assert_restores(&third, "shop");
}

#[test]
fn a_second_backup_of_tpc_h_uploads_next_to_nothing() {
    let days = Days { server: Server::start(18), store: TempDir::new().unwrap() };
    Fixture::TpcH { scale: 0.1 }.load(&days.server, "shop");
    let first = days.dump(&[]);
    let second = days.dump(&[]);
    assert_eq!(second["parent"], first["backup"]);
    assert!(uploaded_per_mille(&second) < 5, "{second}");
    days.assert_restores(&second, "shop");
}

/// A table of half-random rows in several packs' worth of chunks, and one beside it.
const ROWS: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 60000) i;
    CREATE TABLE u (v text);
    INSERT INTO u SELECT md5(i::text) FROM generate_series(1, 20000) i";

#[test]
fn the_parent_is_the_one_that_was_asked_for() {
    let days = Days::new(ROWS);
    let first = days.dump(&[]);
    let full = days.dump(&["--full"]);
    assert_eq!((&full["parent"], number(&full, "/transfer/reused_bytes")), (&Value::Null, 0));
    let newest = days.dump(&[]);
    assert_eq!(newest["parent"], full["backup"]);
    let named = days.dump(&["--parent", first["backup"].as_str().unwrap()]);
    assert_eq!(named["parent"], first["backup"]);
    days.run_dump(&["--parent", "7ZZZ"]).assert_code(1);
    days.run_dump(&["--parent", "not one"]).assert_code(2);
    days.run_dump(&["--full", "--parent", "7ZZZ"]).assert_code(2);
    // another database has no parent here, unless one is named
    let other = Days::new(ROWS).server;
    let source = other.uri("shop").replace("/shop", "/other");
    other.psql("postgres", "ALTER DATABASE shop RENAME TO other");
    let dump = |more: &[&str]| -> Value {
        let run =
            Dbhaul::new(["dump", "--source", &source, "--store", days.place(), "--json"]).args(more).run();
        run.assert_code(0);
        serde_json::from_str(&run.stdout).unwrap()
    };
    assert_eq!(dump(&[])["parent"], Value::Null);
    let named = dump(&["--parent", first["backup"].as_str().unwrap()]);
    assert_eq!(number(&named, "/transfer/reused_bytes"), number(&named, "/totals/stored_bytes"));
}

/// A pack that is of little use any more is not referred to, so that it can be removed in the end.
#[test]
fn what_is_left_of_a_sparse_pack_is_stored_again() {
    let days = Days::new(ROWS);
    let first = days.dump(&[]);
    let old = days.files("packs");
    days.server.psql("shop", "DELETE FROM t WHERE id > 9000; DROP TABLE u");
    let second = days.dump(&[]);
    assert!(number(&second, "/transfer/reused_bytes") > 0, "{second}");
    let third = days.dump(&[]);
    // only what the second one had to store
    assert!(number(&third, "/transfer/reused_bytes") * 5 < number(&third, "/totals/stored_bytes"), "{third}");
    let fourth = days.dump(&[]);
    assert_eq!(number(&fourth, "/transfer/reused_bytes"), number(&fourth, "/totals/stored_bytes"));
    for gone in [&first, &second, &third] {
        fs::remove_file(days.manifest(gone)).unwrap();
    }
    Dbhaul::new(["cleanup", "--store", days.place(), "--grace-hours", "0", "--yes"]).run().assert_code(0);
    assert!(old.iter().all(|pack| !pack.exists()));
    days.assert_restores(&fourth, "shop");
}

/// Whatever is wrong with the parent: the dump succeeds, names it, refers to nothing in it, and is whole.
#[test]
fn a_damaged_parent_is_told_and_not_referred_to() {
    let days = Days::new(ROWS);
    let first = days.dump(&[]);
    let manifest = days.manifest(&first);
    let mut packs: Vec<(u64, PathBuf)> =
        days.files("packs").into_iter().map(|pack| (pack.metadata().unwrap().len(), pack)).collect();
    packs.sort();
    let (meta, data) = (packs[0].1.clone(), packs.pop().unwrap().1);
    let flip = |path: &PathBuf, at: fn(usize) -> usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = at(bytes.len());
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &PathBuf| fs::write(path, &fs::read(path).unwrap()[..1000]).unwrap();
    let damages: [(&str, &PathBuf, Damage); 7] = [
        ("a byte of the manifest", &manifest, &|path| flip(path, |len| len / 2)),
        ("a manifest that is cut off", &manifest, &cut),
        ("a byte of a pack of metadata", &meta, &|path| flip(path, |len| len / 3)),
        ("a pack of metadata is missing", &meta, &|path| fs::remove_file(path).unwrap()),
        ("a byte of the index of a pack of rows", &data, &|path| flip(path, |len| len - 200)),
        ("a pack of rows that is cut off", &data, &cut),
        ("a pack of rows is missing", &data, &|path| fs::remove_file(path).unwrap()),
    ];
    for (what, path, damage) in damages {
        let whole = fs::read(path).unwrap();
        damage(path);
        let run = days.run_dump(&["--parent", first["backup"].as_str().unwrap()]);
        run.assert_code(0);
        let told = format!("backup {} cannot be deduplicated against", first["backup"].as_str().unwrap());
        assert!(run.stderr.contains(&told), "{what}: {}", run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(
            (&report["parent"], number(&report, "/transfer/reused_bytes")),
            (&Value::Null, 0),
            "{what}"
        );
        let id = report["backup"].as_str().unwrap();
        let source = days.server.uri("shop");
        Dbhaul::new(["verify", "--store", days.place(), "--backup", id, "--target", &source])
            .run()
            .assert_code(0);
        fs::remove_file(days.manifest(&report)).unwrap();
        fs::write(path, whole).unwrap();
    }
    // where no temporary file can be made there is no parent either
    let source = days.server.uri("shop");
    let run = Dbhaul::new(["dump", "--source", &source, "--store", days.place(), "--json"]);
    let run = run.env("TMPDIR", "/nowhere/at/all").run();
    run.assert_code(0);
    assert!(run.stderr.contains("a temporary file in /nowhere/at/all failed"), "{}", run.stderr);
}
