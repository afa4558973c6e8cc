//! Packs that no backup names are removed, and no other: not those that backups share, not young ones, and none while
//! a dump is at work, which may rely on any.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use dbhaul_tests::{Dbhaul, Finished, Proxy, Server, wait_until};
use tempfile::TempDir;

/// A store with two backups of a database, the second of which has one table more.
struct Store {
    server: Server,
    directory: TempDir,
}

impl Store {
    fn new() -> Self {
        let server = Server::start(16);
        server.create_db("shop");
        server.psql("shop", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 1000) i");
        let store = Store { server, directory: TempDir::new().unwrap() };
        store.dump().assert_code(0);
        store
    }

    fn place(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    fn dump(&self) -> Finished {
        let source = self.server.uri("shop");
        Dbhaul::new(["dump", "--source", &source, "--store", self.place(), "--jobs", "1"]).run()
    }

    fn cleanup(&self, more: &[&str]) -> Finished {
        Dbhaul::new(["cleanup", "--store", self.place()]).args(more).run()
    }

    fn backup(&self, arguments: &[&str]) -> Finished {
        Dbhaul::new(["backup"]).args(arguments).args(["--store", self.place()]).run()
    }

    fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut files = files(&self.directory.path().join(below));
        files.sort();
        files
    }

    /// Leaves packs behind as a dump does that was killed before its commit; returns them.
    fn fail_a_dump(&self) -> Vec<PathBuf> {
        let (packs, backups) = (self.files("packs"), self.files("backups"));
        self.server.psql(
            "shop",
            "CREATE TABLE more AS SELECT i, md5((i + 7)::text) FROM generate_series(1, 1000) i",
        );
        self.dump().assert_code(0);
        let manifest = self.files("backups").into_iter().find(|path| !backups.contains(path)).unwrap();
        std::fs::remove_file(manifest).unwrap();
        let left: Vec<PathBuf> =
            self.files("packs").into_iter().filter(|path| !packs.contains(path)).collect();
        assert!(!left.is_empty());
        left
    }

    /// The backup that is there is whole.
    fn assert_restores(&self) {
        self.server.create_db("copy");
        let target = self.server.uri("copy");
        Dbhaul::new(["restore", "--store", self.place(), "--target", &target]).run().assert_code(0);
        assert_eq!(self.server.psql("copy", "SELECT count(*) FROM t").trim(), "1000");
        self.server.drop_db("copy");
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn age(path: &Path, age: &str) {
    assert!(Command::new("touch").args(["-d", age]).arg(path).status().unwrap().success());
}

#[test]
fn what_no_backup_names_is_listed_and_removed() {
    let store = Store::new();
    let kept = store.files("packs");
    kept.iter().for_each(|pack| age(pack, "100 days ago"));
    let left = store.fail_a_dump();
    // young ones stay
    let run = store.cleanup(&["--yes"]);
    run.assert_code(0);
    assert!(run.stdout.contains("younger than 72 hours"), "{}", run.stdout);
    assert_eq!(store.files("packs").len(), kept.len() + left.len());
    left.iter().for_each(|pack| age(pack, "4 days ago"));
    for list in [&[] as &[&str], &["--dry-run"]] {
        let run = store.cleanup(list);
        run.assert_code(0);
        for pack in &left {
            assert!(run.stdout.contains(pack.file_name().unwrap().to_str().unwrap()), "{}", run.stdout);
        }
        assert!(run.stdout.contains("nothing was removed"), "{}", run.stdout);
        assert_eq!(store.files("packs").len(), kept.len() + left.len());
    }
    // a longer grace keeps them
    store.cleanup(&["--yes", "--grace-hours", "200"]).assert_code(0);
    assert_eq!(store.files("packs").len(), kept.len() + left.len());
    store.cleanup(&["--yes"]).assert_code(0);
    assert_eq!(store.files("packs"), kept);
    assert!(store.files("trash").is_empty() && store.files("sessions").is_empty());
    store.assert_restores();
    let run = store.cleanup(&["--yes"]);
    run.assert_code(0);
    assert!(run.stdout.contains("no pack to remove"), "{}", run.stdout);
    // what a link leads to is not of the store
    let outside = TempDir::new().unwrap();
    let packs = store.directory.path().join("packs");
    let free =
        (0..256).map(|number| format!("{number:02x}")).find(|name| !packs.join(name).exists()).unwrap();
    let theirs = outside.path().join(free.repeat(32));
    std::fs::write(&theirs, "not ours").unwrap();
    age(&theirs, "100 days ago");
    symlink(outside.path(), packs.join(&free)).unwrap();
    let prune = ["prune", "--grace-hours", "0"];
    for run in [store.cleanup(&["--yes"]), store.backup(&prune), store.backup(&prune)] {
        run.assert_code(0);
        let told = format!("\"packs/{free}\" in the store is not a pack");
        assert!(run.stderr.contains(&told) && theirs.exists(), "{run}");
    }
    // and a link among the backups may hide some
    symlink(outside.path(), store.directory.path().join("backups/other")).unwrap();
    for run in [store.cleanup(&["--yes"]), store.backup(&prune)] {
        run.assert_code(1).assert_stderr_has(&["\"backups/other\"", "may be one under another name"]);
    }
    let check = store.backup(&["check", "--level", "0", "--all"]);
    check.assert_code(1);
    assert!(
        check.stdout.contains(": good\n") && check.stdout.contains("NOT CHECKED  \"backups/other\""),
        "{check}"
    );
    let list = store.backup(&["list"]);
    list.assert_code(0);
    assert!(list.stderr.contains("\"backups/other\" in the store is not the manifest"), "{}", list.stderr);
}

#[test]
fn nothing_is_removed_while_a_dump_is_at_work() {
    let store = Store::new();
    let left = store.fail_a_dump();
    left.iter().for_each(|pack| age(pack, "100 days ago"));
    store.server.psql(
        "shop",
        "CREATE TABLE long AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 300000) i",
    );
    // it must not be over before it is stopped
    let proxy = Proxy::before(store.server.port());
    proxy.slow(1_000);
    let source = format!("postgres://postgres@127.0.0.1:{}/shop", proxy.port());
    let mut dump =
        Dbhaul::new(["dump", "--source", &source, "--store", store.place(), "--jobs", "1"]).spawn();
    wait_until("the dump has begun to write", || {
        assert!(!dump.has_ended(), "{}", dump.stderr_so_far());
        // one that is still being written has another name
        let has_its_name = |path: &PathBuf| !path.file_name().unwrap().to_string_lossy().starts_with('.');
        store.files("sessions").iter().any(has_its_name).then_some(())
    });
    dump.signal("STOP");
    let list = store.cleanup(&[]);
    list.assert_code(0);
    assert!(list.stdout.contains("a dump may be active"), "{}", list.stdout);
    let before = store.files("packs");
    let run = store.cleanup(&["--yes"]);
    run.assert_code(1);
    assert!(run.stderr.contains("is active"), "{}", run.stderr);
    assert_eq!(store.files("packs"), before);
    assert!(store.files("trash").is_empty());
    // It goes on, and relies on what was left behind: the same rows make the same packs.
    proxy.flow();
    dump.signal("CONT");
    dump.wait().assert_code(0);
    assert!(store.files("sessions").is_empty());
    store.cleanup(&["--yes"]).assert_code(0);
    store.assert_restores();
}

/// What a killed dump leaves behind counts for an hour.
#[test]
fn the_sign_of_a_dump_that_was_killed_is_removed_in_the_end() {
    let store = Store::new();
    let left = store.fail_a_dump();
    left.iter().for_each(|pack| age(pack, "100 days ago"));
    let sign = store.directory.path().join("sessions/01KG8WM7FQ000000000000001A");
    std::fs::create_dir_all(sign.parent().unwrap()).unwrap();
    std::fs::write(&sign, "a dump is at work").unwrap();
    store.cleanup(&["--yes"]).assert_code(1);
    assert!(left.iter().all(|pack| pack.exists()));
    age(&sign, "61 minutes ago");
    store.cleanup(&["--yes"]).assert_code(0);
    assert!(!sign.exists() && left.iter().all(|pack| !pack.exists()));
    store.assert_restores();
}

/// What a killed removal leaves behind counts for a quarter of an hour.
#[test]
fn a_dump_waits_while_packs_are_removed() {
    let store = Store::new();
    let sign = store.directory.path().join("trash/01KG8WM7FQ000000000000001A");
    std::fs::create_dir_all(sign.parent().unwrap()).unwrap();
    std::fs::write(&sign, "packs are being removed").unwrap();
    let (packs, backups) = (store.files("packs"), store.files("backups"));
    let source = store.server.uri("shop");
    // a plan removes and writes nothing, and does not wait
    Dbhaul::new(["dump", "--source", &source, "--store", store.place(), "--dry-run"]).run().assert_code(0);
    let dump = ["dump", "--source", &source, "--store", store.place(), "--quiet"];
    let dump = Dbhaul::new(dump).arg("--progress").arg("none").spawn();
    wait_until("the dump waits", || dump.stderr_so_far().contains("waiting until that ends").then_some(()));
    // with no snapshot open on the source meanwhile
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend' \
                    AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    wait_until("no snapshot is open", || (store.server.psql("shop", sessions).trim() == "0").then_some(()));
    assert_eq!((store.files("packs"), store.files("backups")), (packs, backups.clone()));
    // two removals do not run beside each other
    store.backup(&["prune"]).assert_code(1);
    std::fs::remove_file(&sign).unwrap();
    dump.wait().assert_code(0);
    assert_eq!(store.files("backups").len(), backups.len() + 1);
    std::fs::write(&sign, "packs are being removed").unwrap();
    age(&sign, "16 minutes ago");
    store.dump().assert_code(0);
}

#[test]
fn what_a_policy_does_not_keep_is_forgotten_and_its_packs_are_removed_in_two_steps() {
    let store = Store::new();
    let source = store.server.uri("shop");
    let mut ids = Vec::new();
    for tag in ["first", "second", "third", "fourth"] {
        store.server.psql("shop", &format!("INSERT INTO t SELECT i, '{tag}' FROM generate_series(1, 50) i"));
        let run =
            Dbhaul::new(["dump", "--source", &source, "--store", store.place(), "--json", "--tag", tag])
                .run();
        run.assert_code(0);
        ids.push(run.json()["backup"].as_str().unwrap().to_owned());
    }
    store.backup(&["pin", &ids[1]]).assert_code(0);
    let latest = store.backup(&["pin", "latest", "--json"]);
    assert!(latest.assert_code(0).stdout.contains(ids.last().unwrap().as_str()), "{latest}");
    store.backup(&["unpin", "latest", "--database", "shop"]).assert_code(0);
    store.backup(&["pin", "the newest"]).assert_code(2).assert_stderr_has(&["\"the newest\" is neither"]);
    // with no policy everything would go
    store.backup(&["forget"]).assert_code(2);
    store.backup(&["forget", "--keep-daily", "0"]).assert_code(2);
    store.backup(&["forget", "--keep-tag", "mispelt"]).assert_code(1);
    store.backup(&["forget", &ids[0], "--keep-last", "1"]).assert_code(2);
    store.backup(&["forget", &ids[1]]).assert_code(1);
    let all = store.files("backups");
    let policy = ["forget", "--keep-last", "1", "--keep-tag", "third", "--json"];
    let foretold = store.backup(&[&policy[..], &["--dry-run"]].concat());
    foretold.assert_code(0);
    assert_eq!(store.files("backups"), all);
    let run = store.backup(&policy);
    run.assert_code(0);
    assert_eq!(run.json()["groups"], foretold.json()["groups"]);
    let backups = run.json()["groups"][0]["backups"].as_array().unwrap().clone();
    let reasons: Vec<String> = backups.iter().map(|backup| backup["reasons"].to_string()).collect();
    assert_eq!(reasons, [r#"["last"]"#, r#"["tag third"]"#, r#"["pinned"]"#, "[]", "[]"]);
    assert_eq!((run.json()["forgotten_count"].as_u64(), store.files("backups").len()), (Some(2), 3));

    store.files("packs").iter().for_each(|pack| age(pack, "2 hours ago"));
    let before = store.files("packs");
    let marked = store.backup(&["prune", "--json"]);
    marked.assert_code(0);
    let count = marked.json()["marked"]["count"].as_u64().unwrap();
    assert!(count > 0, "{}", marked.stdout);
    assert_eq!(store.files("packs"), before, "the first run only marks");
    let waiting = store.backup(&["prune", "--json"]);
    assert_eq!(waiting.json()["waiting"]["count"].as_u64(), Some(count));
    assert_eq!(store.files("packs"), before, "and so does one before the grace period is over");
    // a dump at work may rely on any pack
    let sign = store.directory.path().join("sessions/01KG8WM7FQ000000000000001A");
    std::fs::write(&sign, "a dump is at work").unwrap();
    let held = store.backup(&["prune", "--grace-hours", "0", "--json"]);
    held.assert_code(0);
    assert_eq!(held.json()["removed"]["count"].as_u64(), Some(0));
    assert_eq!(store.files("packs"), before);
    std::fs::remove_file(&sign).unwrap();
    let foretold = store.backup(&["prune", "--grace-hours", "0", "--json", "--dry-run"]);
    assert_eq!(store.files("packs"), before);
    let removed = store.backup(&["prune", "--grace-hours", "0", "--json"]);
    removed.assert_code(0);
    assert_eq!(removed.json()["removed"], foretold.json()["removed"]);
    assert_eq!(store.files("packs").len() as u64, before.len() as u64 - count);
    assert!(store.files("trash").is_empty(), "{:?}", store.files("trash"));

    // what is left is whole, and unpinned like any other
    for id in &ids[1..] {
        store.backup(&["show", id]).assert_code(0);
    }
    store.backup(&["unpin", &ids[1]]).assert_code(0);
    store.backup(&["forget", &ids[1]]).assert_code(0);
    assert_eq!(store.files("backups").len(), 2);

    // manifests under other names, or none in sight, may be those of backups that somebody wants to have
    let (before, manifests) = (store.files("packs"), store.files("backups"));
    let renamed = manifests[0].with_extension("bak");
    std::fs::rename(&manifests[0], &renamed).unwrap();
    let stray = store.backup(&["prune", "--grace-hours", "0"]);
    stray.assert_code(1);
    assert!(stray.stderr.contains("may be one under another name"), "{}", stray.stderr);
    store.cleanup(&["--yes", "--grace-hours", "0"]).assert_code(1);
    std::fs::remove_file(&renamed).unwrap();
    manifests[1..].iter().for_each(|manifest| std::fs::remove_file(manifest).unwrap());
    let empty = store.backup(&["prune", "--grace-hours", "0"]);
    empty.assert_code(1);
    assert!(empty.stderr.contains("--allow-no-backup"), "{}", empty.stderr);
    let cleanup = store.cleanup(&["--yes", "--grace-hours", "0"]);
    cleanup.assert_code(1).assert_stderr_has(&["holds packs and no backup", "prune --allow-no-backup"]);
    assert_eq!(store.files("packs"), before);
    // unless the first dump is at work: then nothing is removed, and nobody is told how to remove it all the same
    std::fs::write(&sign, "a dump is at work").unwrap();
    let beside = store.backup(&["prune", "--grace-hours", "0"]);
    beside.assert_code(0).assert_says("a dump may be active");
    assert_eq!(store.files("packs"), before);
    std::fs::remove_file(&sign).unwrap();
    store.backup(&["prune", "--allow-no-backup"]).assert_code(0);
}

#[test]
fn nothing_is_forgotten_after_the_database_lost_most_of_its_rows() {
    let store = Store::new();
    store.server.psql("shop", "DELETE FROM t WHERE i > 400");
    store.dump().assert_code(0);
    let run = store.backup(&["forget", "--keep-last", "1"]);
    run.assert_code(1);
    assert!(run.stderr.contains("400 rows") && run.stderr.contains("1000 rows"), "{}", run.stderr);
    assert_eq!(store.files("backups").len(), 2);
    // nothing is to be forgotten: nothing is refused
    store.backup(&["forget", "--keep-last", "2"]).assert_code(0);
    store.backup(&["forget", "--keep-last", "1", "--allow-shrunk"]).assert_code(0);
    assert_eq!(store.files("backups").len(), 1);
}

#[test]
fn a_manifest_that_cannot_be_read_keeps_every_pack() {
    let store = Store::new();
    let left = store.fail_a_dump();
    left.iter().for_each(|pack| age(pack, "100 days ago"));
    let manifest = store.files("backups").pop().unwrap();
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();
    let run = store.cleanup(&["--yes"]);
    run.assert_code(1);
    assert!(run.stderr.contains("its seal does not fit"), "{}", run.stderr);
    assert!(left.iter().all(|pack| pack.exists()));
    assert!(store.files("trash").is_empty());
}

#[test]
fn a_failed_dump_takes_its_sign_away() {
    let store = Store::new();
    let source = store.server.uri("shop");
    store
        .server
        .psql("shop", "CREATE TABLE t2 AS SELECT repeat(md5(i::text), 9) FROM generate_series(1, 20000) i");
    let dump = Dbhaul::new(["dump", "--source", &source, "--store", store.place()]);
    // no pack fits
    dump.file_limit_kib(64).run().assert_code(1);
    assert!(store.files("sessions").is_empty());
    assert_eq!(store.files("backups").len(), 1);
}

#[test]
fn a_store_is_cleaned_up_by_itself() {
    let store = Store::new();
    let target = store.server.uri("shop");
    store.cleanup(&["--target", &target]).assert_code(2);
    store.cleanup(&["--yes", "--dry-run"]).assert_code(2);
    Dbhaul::new(["cleanup", "--target", &target, "--grace-hours", "1"]).run().assert_code(2);
}

#[test]
fn a_pack_that_was_named_again_has_its_grace_again() {
    let store = Store::new();
    let left = store.fail_a_dump();
    left.iter().for_each(|pack| age(pack, "2 hours ago"));
    let rows = left.iter().max_by_key(|pack| std::fs::metadata(pack).unwrap().len()).unwrap();
    let marked = store.backup(&["prune", "--json"]);
    assert_eq!(marked.json()["marked"]["count"].as_u64(), Some(left.len() as u64), "{marked}");
    // the same rows again, and other metadata
    store.server.psql("shop", "CREATE TABLE empty ()");
    let before = store.files("backups");
    store.dump().assert_code(0);
    store.backup(&["prune"]).assert_code(0);
    let named = store.files("backups").into_iter().find(|path| !before.contains(path)).unwrap();
    let id = named.file_name().unwrap().to_str().unwrap().rsplit('-').next().unwrap().to_owned();
    store.backup(&["forget", &id]).assert_code(0);
    store.files("trash").iter().for_each(|mark| age(mark, "100 days ago"));
    store.backup(&["prune"]).assert_code(0);
    assert!(rows.exists(), "whoever reads the backup that was just forgotten can go on");
    assert!(left.iter().filter(|pack| pack.exists()).count() == 1, "what no backup has named again is gone");
    store.assert_restores();
}
