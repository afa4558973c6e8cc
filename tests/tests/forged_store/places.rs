//! What may lie in the place of a store's objects, or beside them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

cases! { are_found_out:
    a_configuration_of_8_gib,
    a_manifest_of_8_gib,
    no_regular_file_as_configuration,
    a_dump_does_not_write_over_what_is_no_file,
    no_regular_file_as_pack_or_manifest,
    strays_change_nothing,
}

/// A copy of the store in which the object at this key is something else.
fn with(key: &str, put: impl FnOnce(&std::path::Path)) -> TempDir {
    let store = origin().take_apart().directory;
    let path = store.path().join(key);
    let _ = fs::remove_file(&path);
    put(&path);
    store
}

fn fifo(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn a_configuration_of_8_gib() {
    let store = with("repo.json", |path| fs::File::create(path).unwrap().set_len(8 << 30).unwrap());
    check_store("long_config", &store, &["repo.json", "more than the 67108864 bytes"]);
}

fn a_manifest_of_8_gib() {
    let parts = origin().take_apart();
    let manifest = kit::files(&parts.directory.path().join("backups")).pop().unwrap();
    fs::File::create(manifest).unwrap().set_len(8 << 30).unwrap();
    check_store("long_manifest", &parts.directory, &["backups/shop/", "bytes that it may have"]);
}

fn no_regular_file_as_configuration() {
    let device = |path: &std::path::Path| symlink("/dev/zero", path).unwrap();
    let nowhere = |path: &std::path::Path| symlink("nowhere", path).unwrap();
    let directory = |path: &std::path::Path| fs::create_dir(path).unwrap();
    check_store("fifo", &with("repo.json", fifo), &["repo.json", "no regular file"]);
    check_store("device", &with("repo.json", device), &["repo.json", "no regular file"]);
    check_store("dangling", &with("repo.json", nowhere), &["repo.json", "leads nowhere"]);
    check_store("directory", &with("repo.json", directory), &["repo.json"]);
}

fn a_dump_does_not_write_over_what_is_no_file() {
    let nowhere = |path: &std::path::Path| symlink("nowhere", path).unwrap();
    for store in [with("repo.json", nowhere), with("repo.json", fifo)] {
        let before = kit::files(store.path()).len();
        let (source, place) = (origin().server.uri("shop"), store.path().to_str().unwrap());
        let run = Dbhaul::new(["dump", "--source", &source, "--store", place]).run();
        run.assert_code(1);
        assert!(run.stderr.contains("repo.json"), "{}", run.stderr);
        assert_eq!(kit::files(store.path()).len(), before);
    }
}

fn no_regular_file_as_pack_or_manifest() {
    let mut parts = origin().take_apart();
    let pack = parts.chunks("sale")[0].place.pack;
    let pack = parts.path(pack);
    fs::remove_file(&pack).unwrap();
    fifo(&pack);
    check_store("fifo_pack", &parts.directory, &["is missing from the store"]);
    let parts = origin().take_apart();
    let manifest = kit::files(&parts.directory.path().join("backups")).pop().unwrap();
    fs::remove_file(&manifest).unwrap();
    fifo(&manifest);
    check_store("fifo_manifest", &parts.directory, &["holds no backup"]);
}

/// What file managers and editors leave behind is told, and changes nothing.
fn strays_change_nothing() {
    let store = origin().take_apart().directory;
    let strays = [
        "backups/.DS_Store",
        "backups/shop/Thumbs.db",
        "backups/shop/20260131T020304Z-01KG8WM7FQ000000000000001A.tmp",
        "backups/foo.tmp",
        "packs/.DS_Store",
        "sessions/x",
        "desktop.ini",
        "foo.tmp",
    ];
    for stray in strays {
        let path = store.path().join(stray);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "stray").unwrap();
    }
    let origin = origin();
    let server = &origin.server;
    server.create_db("strays");
    for (name, run) in read_all(&store, &server.uri("strays")) {
        assert_eq!(run.code, Some(0), "{name}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("backups/.DS_Store"), "{name}: {}", run.stderr);
        assert!(!run.stderr.contains("do not trust"), "{name}: {}", run.stderr);
    }
    let place = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store", place]).run().assert_code(0);
    let list = Dbhaul::new(["backup", "list", "--store", place]).run();
    list.assert_code(0);
    assert_eq!(list.stdout.lines().count(), 3, "{}", list.stdout);
}

mod new_stores {
    use super::*;

    cases! { are_made_of_empty_places:
        a_new_store_is_announced_once,
        a_place_that_holds_something_else_is_refused,
        what_file_systems_and_managers_leave_behind_is_nothing,
        a_tilde_is_refused,
    }

    fn dump(place: &str) -> Finished {
        Dbhaul::new(["dump", "--source", &origin().server.uri("shop"), "--store", place]).run()
    }

    fn a_new_store_is_announced_once() {
        let directory = TempDir::new().unwrap();
        let place = directory.path().join("new");
        let place = place.to_str().unwrap();
        let first = dump(place);
        first.assert_code(0);
        assert!(first.stderr.contains(&format!("created a new store in {place}")), "{}", first.stderr);
        let second = dump(place);
        second.assert_code(0);
        assert!(!second.stderr.contains("created a new store"), "{}", second.stderr);
    }

    fn a_place_that_holds_something_else_is_refused() {
        for stray in ["notes.txt", "data/base/1/1259", "packs/x", ".git/HEAD"] {
            let directory = TempDir::new().unwrap();
            let path = directory.path().join(stray);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "mine").unwrap();
            let run = dump(directory.path().to_str().unwrap());
            run.assert_code(1);
            assert!(run.stderr.contains("not empty") && run.stderr.contains(stray), "{}", run.stderr);
            assert_eq!(kit::files(directory.path()).len(), 1, "nothing was written");
        }
    }

    fn what_file_systems_and_managers_leave_behind_is_nothing() {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        fs::write(directory.path().join(".DS_Store"), "x").unwrap();
        dump(directory.path().to_str().unwrap()).assert_code(0);
    }

    fn a_tilde_is_refused() {
        for place in ["~", "~/backups", "~postgres/backups"] {
            let run = dump(place);
            run.assert_code(2);
            assert!(run.stderr.contains("~"), "{}", run.stderr);
        }
    }
}
