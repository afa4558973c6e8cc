//! What a check finds of each kind of damage, at which level, and what it says of it; what becomes of its report; and
//! that a restore for a check leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dbhaul_tests::{Dbhaul, Finished, S3Directory, Server, age_program, wait_until};
use serde_json::Value;
use tempfile::TempDir;

const SHOP: &str = "
    CREATE TABLE buyer (id int PRIMARY KEY, name text);
    INSERT INTO buyer SELECT i, 'buyer ' || i FROM generate_series(1, 100) i;
    CREATE TABLE sale (id int PRIMARY KEY, buyer int REFERENCES buyer, note text);
    INSERT INTO sale SELECT i, i % 100 + 1, md5(i::text) || md5((-i)::text) FROM generate_series(1, 20000) i;
    CREATE INDEX ON sale (note);
    CREATE TABLE empty (x int);
    CREATE SEQUENCE numbers START 7;
    SELECT lo_from_bytea(0, 'abc');
    ANALYZE";

/// A server with a database, and a store.
struct World {
    server: Server,
    directory: TempDir,
    /// Where the store lies, if not in the directory.
    s3: Option<S3Directory>,
}

impl World {
    fn new(s3: Option<S3Directory>) -> Self {
        let server = Server::start(18);
        server.create_db("shop");
        server.psql("shop", SHOP);
        World { server, directory: TempDir::new().unwrap(), s3 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the store's objects are files.
    fn store(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.root().join("bucket/store"),
            None => self.path("store"),
        }
    }

    /// A command on the store.
    fn command(&self, arguments: &[&str]) -> Dbhaul {
        let run = Dbhaul::new(arguments.iter().copied()).arg("--store");
        match &self.s3 {
            Some(s3) => run.arg(s3.endpoint().store_url("bucket", "store")).envs(s3.endpoint().env()),
            None => run.arg(self.store()),
        }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).run()
    }

    /// Dumps; returns the backup's identity.
    fn dump(&self, more: &[&str]) -> String {
        let source = self.server.uri("shop");
        let run = self.run(&[&["dump", "--json", "--source", &source][..], more].concat());
        run.assert_code(0);
        run.json()["backup"].as_str().unwrap().to_owned()
    }

    fn check(&self, level: &str, more: &[&str]) -> Finished {
        self.run(&[&["backup", "check", "--level", level][..], more].concat())
    }

    fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut found = files(&self.store().join(below));
        // what the S3 server keeps beside its objects
        found.retain(|file| !file.file_name().unwrap().to_string_lossy().starts_with('.'));
        found.sort();
        found
    }

    /// The databases that checks have made and not dropped.
    fn scratch_databases(&self) -> String {
        let sql = "SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'dbhaul%'";
        self.server.psql("postgres", sql).trim().to_owned()
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Flips a byte in the middle.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// The largest packs hold rows, the smallest metadata.
fn by_size(mut packs: Vec<PathBuf>) -> Vec<PathBuf> {
    packs.sort_by_key(|pack| fs::metadata(pack).unwrap().len());
    packs
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Finds damage, names the object and what lies in it, and says what to do.
fn assert_found(run: &Finished, words: &[&str]) {
    run.assert_code(4);
    for word in words.iter().chain(&["DAMAGED", "dbhaul dump --full"]) {
        assert!(run.stdout.contains(word), "no {word:?} in {run}");
    }
}

#[test]
fn each_kind_of_damage_is_found_at_its_level_and_named() {
    let world = World::new(None);
    let empty = TempDir::new().unwrap();
    let backup = world.dump(&[]);
    let [meta, data] = &by_size(world.files("packs"))[..] else { panic!("two packs") };
    let [manifest] = &world.files("backups")[..] else { panic!("one manifest") };
    let target = world.server.uri("postgres");
    for level in ["0", "1", "2"] {
        let run = world.check(level, &["--json"]);
        run.assert_code(0);
        let report = run.json()["backups"][0]["report"].clone();
        assert_eq!((&report["result"], &report["packs"]["count"]), (&Value::from("good"), &Value::from(2)));
        let rows = if level == "2" { Value::from(20_101) } else { Value::Null };
        assert_eq!(report["row_count"], rows, "{report}");
        assert_eq!(report["read_packs"]["count"], if level == "0" { 1 } else { 2 }, "{report}");
    }
    let restored = world.check("3", &["--target", &target]);
    restored.assert_code(0);
    assert!(restored.stdout.contains(&format!("backup {backup} of shop")), "{restored}");
    assert_eq!(world.files("reports").len(), 4);
    assert_eq!(world.scratch_databases(), "");

    // what is wrong, the level that finds it, and what is named
    type Damage = fn(&Path);
    let rows: &[&str] = &["holds parts of ", "table public.sale"];
    let swapped: Damage = |path| {
        let bytes: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| byte ^ 1).collect();
        fs::write(path, bytes).unwrap();
    };
    let damages: [(&PathBuf, Damage, usize, &[&str]); 9] = [
        (data, flip, 1, rows),
        (data, cut, 0, rows),
        (data, delete, 0, &["is missing", "table public.buyer"]),
        (data, swapped, 0, rows),
        (meta, flip, 0, &["the catalog", "table public.sale"]),
        (meta, cut, 0, &["the catalog"]),
        (meta, delete, 0, &["is missing", "the table of contents"]),
        (manifest, flip, 0, &["the whole backup"]),
        (manifest, cut, 0, &["the whole backup"]),
    ];
    for (object, damage, least, words) in damages {
        let whole = fs::read(object).unwrap();
        damage(object);
        for level in 0..=2 {
            let run = world.check(&level.to_string(), &["--no-record"]);
            if level < least {
                run.assert_code(0);
            } else {
                assert_found(&run, &[&[name(object)], words].concat());
            }
        }
        fs::write(object, whole).unwrap();
    }
    // two packs in each other's places: each has the wrong size, and each is named
    world.server.psql("shop", "UPDATE sale SET note = upper(note)");
    let newer = world.dump(&["--full"]);
    let packs = by_size(world.files("packs"));
    let [one, other] = &packs[packs.len() - 2..] else { panic!("two packs of rows") };
    let (first, second) = (fs::read(one).unwrap(), fs::read(other).unwrap());
    fs::write(one, &second).unwrap();
    fs::write(other, &first).unwrap();
    let run = world.check("1", &["--all", "--no-record"]);
    assert_found(&run, &[name(one), name(other), &backup, &newer]);
    fs::write(one, &first).unwrap();
    fs::write(other, &second).unwrap();

    // a check of a part says which; all groups together are all packs
    flip(data);
    let parts: Vec<Finished> = (1..=3)
        .map(|group| world.check("1", &["--no-record", "--subset", &format!("{group}/3"), &backup]))
        .collect();
    assert_eq!(parts.iter().filter(|run| run.stdout.contains(name(data))).count(), 1);
    assert!(parts[0].stdout.contains("group 1 of 3 of the packs of rows"), "{}", parts[0]);
    world.check("1", &["--subset", "100%", "--no-record", &backup]).assert_code(4);
    world.check("0", &["--subset", "1/3"]).assert_code(2);
    // damage counts until a check as close finds none
    let list = || world.run(&["backup", "list", "--json"]);
    list().assert_code(0);
    world.check("1", &[&backup]).assert_code(4);
    let listed = list();
    listed.assert_code(4);
    assert!(listed.json()[0]["damage"].as_str().unwrap().contains(name(data)), "{listed}");
    assert_eq!(listed.json()[0]["last_check"]["level"], 1);
    assert_eq!(listed.json()[1]["damage"], Value::Null);
    let shown = world.run(&["backup", "list"]);
    shown.assert_code(4);
    assert!(shown.stdout.contains("DAMAGED: a check of level 1 at "), "{shown}");
    // nor is it deduplicated against, or counted for a policy
    let source = world.server.uri("shop");
    let dumped = world.run(&["dump", "--json", "--source", &source, "--parent", &backup]);
    dumped.assert_code(0);
    assert!(dumped.stderr.contains("all rows are stored anew"), "{dumped}");
    assert_eq!(dumped.json()["parent"], Value::Null);
    let judged =
        world.run(&["backup", "forget", "--keep-last", "1", "--keep-checked", "--dry-run", "--json"]);
    judged.assert_code(0);
    assert_eq!(judged.json()["forgotten_count"], 0, "{judged}");
    world.check("1", &[&newer]).assert_code(0);
    world.check("0", &[&backup]).assert_code(0);
    list().assert_code(4);
    flip(data);
    world.check("1", &[&backup]).assert_code(0);
    list().assert_code(0);
    let judged = world.run(&["backup", "forget", "--keep-last", "1", "--keep-checked", "--json"]);
    judged.assert_code(0);
    let verdicts = judged.json()["groups"][0]["backups"].clone();
    let verdict = |place: usize| (&verdicts[place]["is_checked"], &verdicts[place]["is_forgotten"]);
    let (yes, no) = (Value::from(true), Value::from(false));
    // the newest was never checked and stays, of the checked ones the newest
    assert_eq!([verdict(0), verdict(1), verdict(2)], [(&no, &no), (&yes, &no), (&yes, &yes)], "{verdicts}");
    ages(&world, &empty);
}

/// `--max-age`: what is young enough, what is not, and what is not there.
fn ages(world: &World, empty: &TempDir) {
    let list = |more: &[&str]| world.run(&[&["backup", "list", "--max-age"][..], more].concat());
    list(&["26h"]).assert_code(0);
    let other = list(&["26h", "--database", "other"]);
    other.assert_code(1);
    assert!(other.stdout.contains("TOO OLD: database \"other\" has no good backup"), "{other}");
    for manifest in world.files("backups") {
        cut(&manifest);
    }
    let damaged = list(&["26h"]);
    damaged.assert_code(1);
    assert!(damaged.stdout.contains("TOO OLD: database \"shop\" has no good backup"), "{damaged}");
    world.run(&["backup", "list"]).assert_code(4);
    // a backup of January
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/archive/tests/golden/v2");
    for object in ["repo.json", "backups+film%2Frental+20260131T020304Z-01KG8WM7FQ000000000000001A"] {
        let place = empty.path().join(object.replace('+', "/"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(golden.join(object), place).unwrap();
    }
    let run =
        Dbhaul::new(["backup", "list", "--json", "--max-age", "26h", "--store"]).arg(empty.path()).run();
    run.assert_code(1);
    let old = run.json()["too_old"][0].clone();
    assert_eq!(
        (&old["database"], &old["newest_backup"]),
        (&"film/rental".into(), &"01KG8WM7FQ000000000000001A".into())
    );
    assert!(old["age_seconds"].as_i64().unwrap() > 26 * 3600, "{old}");
}

/// Makes a private key, and returns its recipient.
fn keygen(file: &Path) -> String {
    let made = Command::new(age_program("age-keygen")).arg("-o").arg(file).output().unwrap();
    assert!(made.status.success());
    let text = fs::read_to_string(file).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

#[test]
fn an_encrypted_store_is_checked_with_the_key_that_a_level_needs() {
    let s3 = S3Directory::start();
    s3.create_bucket("bucket");
    let world = World::new(Some(s3));
    let recipient = keygen(&world.path("me.txt"));
    let path = |name: &str| world.path(name).display().to_string();
    let (me, writer_file) = (path("me.txt"), path("writer.json"));
    world.run(&["store", "init", "--recipient", &recipient, "--writer-key-out", &writer_file]).assert_code(0);
    let writer = ["--writer-key", writer_file.as_str()];
    let reader = ["--identity-file", me.as_str()];
    let first = world.dump(&writer);
    // a writer key is enough for hashes, and for no more
    let hashes = world.check("1", &[&writer[..], &["--json"]].concat());
    hashes.assert_code(0);
    let report = hashes.json()["backups"][0]["report"].clone();
    assert!(
        report["not_compared"][0].as_str().unwrap().contains("a writer key does not open these"),
        "{report}"
    );
    for level in ["2", "3"] {
        let target = world.server.uri("postgres");
        let target: &[&str] = if level == "3" { &["--target", &target] } else { &[] };
        let refused = world.check(level, &[&writer[..], target].concat());
        refused.assert_code(1);
        refused.assert_stderr_has(&[&format!("level {level} needs a private key")]);
        world.check(level, &[&reader[..], target].concat()).assert_code(0);
    }
    assert_eq!(world.scratch_databases(), "");
    assert_eq!(world.files("reports").len(), 3, "no report of what was not checked");
    let shown = world.run(&[&["backup", "list"][..], &writer].concat());
    shown.assert_code(0);
    assert!(shown.stdout.contains("  level 3 20"), "{shown}");
    // nothing in a report shows what is in the database, and nobody without a key makes one
    for report in world.files("reports") {
        let bytes = fs::read(&report).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("level"), "{}", report.display());
        let body = "{}\n";
        let seal = format!("{{\"dbhaul\":\"check\",\"body_bytes\":3,\"blake3\":\"{}\"}}\n", "0".repeat(64));
        fs::write(report, format!("{seal}{body}")).unwrap();
    }
    let forged = world.run(&[&["backup", "list", "--json"][..], &writer].concat());
    forged.assert_code(0);
    assert!(forged.stderr.contains("a report in the store is passed over"), "{forged}");
    assert_eq!(forged.json()[0].get("last_check"), None);
    // damage is found without the private key, and what lies in it is named
    let second = world.dump(&writer);
    let data = by_size(world.files("packs")).pop().unwrap();
    // that the second was found damaged at a lower level hides nothing of what follows
    let manifest = world.files("backups").into_iter().find(|file| name(file).contains(&second)).unwrap();
    let whole = fs::read(&manifest).unwrap();
    cut(&manifest);
    world.check("0", &[&writer[..], &[second.as_str()]].concat()).assert_code(4);
    fs::write(&manifest, whole).unwrap();
    flip(&data);
    // the second backup refers to the same pack: it is damaged too, and no parent of a third
    assert_found(&world.check("1", &[&writer[..], &[first.as_str()]].concat()), &[name(&data)]);
    world.check("0", &[&writer[..], &[second.as_str()]].concat()).assert_code(0);
    let listed = world.run(&[&["backup", "list", "--json"][..], &writer].concat());
    listed.assert_code(4);
    let damage = listed
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["damage"].to_string())
        .collect::<Vec<_>>();
    assert!(damage.len() == 2 && damage.iter().all(|damage| damage.contains(name(&data))), "{listed}");
    assert!(damage[1].contains(&format!("found by a check of backup {first}")), "{listed}");
    let source = world.server.uri("shop");
    let dump = ["dump", "--json", "--source", &source, "--parent", &second];
    let dumped = world.run(&[&dump[..], &writer].concat());
    dumped.assert_code(0);
    assert!(dumped.stderr.contains("all rows are stored anew"), "{dumped}");
    let third = dumped.json()["backup"].as_str().unwrap().to_owned();
    world.check("1", &[&writer[..], &[third.as_str()]].concat()).assert_code(0);
    let writer = [&writer[..], &[second.as_str()]].concat();
    let reader = [&reader[..], &[second.as_str()]].concat();
    assert_found(&world.check("1", &writer), &[name(&data), "table public.sale"]);
    assert_found(&world.check("2", &reader), &[name(&data), "table public.sale"]);
    let writer = ["--writer-key", writer_file.as_str()];
    world.run(&[&["backup", "list"][..], &writer].concat()).assert_code(4);
    // a report of damage cannot be read by who could not read the manifest
    world.run(&["backup", "list"]).assert_code(1);
}

/// Whatever happens to a restore for a check, its database goes.
#[test]
fn a_restore_for_a_check_leaves_nothing_behind() {
    let world = World::new(None);
    let target = world.server.uri("postgres");
    let level = ["--target", target.as_str(), "--jobs", "2"];
    // rows that no restore can give their constraint back
    world.server.psql("shop", "SET session_replication_role = replica; DELETE FROM buyer WHERE id = 7");
    world.dump(&[]);
    world.check("2", &[]).assert_code(0);
    let run = world.check("3", &level);
    assert_found(&run, &["cannot be restored", "sale_buyer_fkey"]);
    assert_eq!(world.scratch_databases(), "");
    // definitions without rows, a part of the rows, what cannot be dropped with its database
    world.server.psql("shop", "ALTER TABLE sale DROP CONSTRAINT sale_buyer_fkey");
    world.server.psql(
        "shop",
        "CREATE SUBSCRIPTION s CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)",
    );
    for more in [&["--schema-only"][..], &["--exclude-table-data=sale"], &["--full"]] {
        world.dump(more);
        let run = world.check("3", &level);
        run.assert_code(0);
        assert!(run.stdout.contains("not compared: owners, privileges, subscriptions"), "{run}");
    }
    // what a role may not do on the server of the check is no damage of the backup
    world.server.psql("postgres", "CREATE ROLE maker CREATEDB");
    world.server.psql(
        "shop",
        "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
         CREATE EVENT TRIGGER e ON ddl_command_start WHEN TAG IN ('CREATE SERVER') EXECUTE FUNCTION e()",
    );
    world.dump(&[]);
    let run = world.check("3", &[&level[..], &["--role", "maker", "--json"]].concat());
    run.assert_code(1);
    assert_eq!(run.json()["backups"][0]["report"]["result"], "incomplete", "{run}");
    world.server.psql("shop", "DROP EVENT TRIGGER e; DROP FUNCTION e");
    // nor is what only its server refuses to take of the rows
    world.server.psql(
        "shop",
        "CREATE FUNCTION takes(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
             IF current_database() LIKE 'dbhaul%' AND $1 = 50 THEN
                 RAISE 'no room' USING ERRCODE = 'insufficient_privilege';
             END IF;
             RETURN true;
         END $$;
         CREATE DOMAIN taken AS int CHECK (takes(VALUE));
         CREATE TABLE half (id taken);
         INSERT INTO half SELECT generate_series(1, 100)",
    );
    world.dump(&[]);
    let run = world.check("3", &[&level[..], &["--json"]].concat());
    run.assert_code(1);
    let report = &run.json()["backups"][0]["report"];
    assert!(report["result"] == "incomplete" && report["damage_count"] == 0, "{run}");
    assert!(report["unread"].to_string().contains("table public.half"), "{run}");
    world.server.psql("shop", "DROP TABLE half; DROP DOMAIN taken; DROP FUNCTION takes");
    // a role that may not make databases touches nothing
    world.server.psql("postgres", "CREATE ROLE nobody_much");
    let refused = world.check("3", &[&level[..], &["--role", "nobody_much"]].concat());
    refused.assert_code(1);
    refused.assert_stderr_has(&["cannot create the scratch database"]);
    // stopped by the user in the middle
    world.server.psql(
        "shop",
        "CREATE FUNCTION slow(int) RETURNS bool LANGUAGE sql AS
             $$ SELECT CASE WHEN current_database() LIKE 'dbhaul%' THEN pg_sleep(600) IS NULL ELSE true END $$;
         ALTER TABLE buyer ADD CHECK (slow(id))",
    );
    world.dump(&[]);
    let run = world.command(&["backup", "check", "--level", "3", "--target", &target]).spawn();
    let sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE 'dbhaul%'";
    wait_until("the check restores", || {
        (world.server.psql("postgres", sleeping).trim() != "0").then_some(())
    });
    run.interrupt();
    let run = run.wait();
    run.assert_code(130);
    run.assert_stderr_has(&["the scratch database was dropped"]);
    assert_eq!(world.scratch_databases(), "");
}
