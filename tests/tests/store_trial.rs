//! What a backup needs of its store is found out before a row is read: that it can be written to.

use std::path::Path;

use dbhaul_tests::{Dbhaul, Finished, Server};
use tempfile::TempDir;

fn source() -> Server {
    let server = Server::start(17);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE film (id int PRIMARY KEY); INSERT INTO film VALUES (1), (2)");
    server
}

/// What a command says of a store where no file can be written, as on a full disk.
fn full(server: &Server, command: &[&str], store: &Path) -> Finished {
    Dbhaul::new(command).args(["--source", &server.uri("shop"), "--store"]).arg(store).file_limit_kib(0).run()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_store_that_takes_nothing_is_refused_before_rows_are_read() {
    let (server, dir) = (source(), TempDir::new().unwrap());
    let new = dir.path().join("new");
    for store in [dir.path(), &new] {
        full(&server, &["preflight"], store).assert_code(5).assert_says("BLOCKER store");
        full(&server, &["dump", "--dry-run"], store).assert_code(1).assert_stderr_has(&["store"]);
        full(&server, &["dump"], store).assert_code(1).assert_stderr_has(&["store"]);
        assert!(is_empty(dir.path()), "a trial leaves nothing behind");
    }
    // a store that has been written to before
    let dump =
        |store: &Path| Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store"]).arg(store).run();
    dump(&new).assert_code(0);
    full(&server, &["preflight"], &new).assert_code(5).assert_says("BLOCKER store");
    full(&server, &["dump"], &new).assert_code(1);
    dump(&new).assert_code(0);
    let none = Path::new("/proc/none/store");
    let preflight = Dbhaul::new(["preflight", "--source", &server.uri("shop"), "--store"]).arg(none).run();
    preflight.assert_code(5).assert_says("BLOCKER store");
    dump(none).assert_code(1);
}

#[test]
fn a_trial_changes_nothing() {
    let (server, dir) = (source(), TempDir::new().unwrap());
    let new = dir.path().join("a/b/new");
    let run = |command: &[&str], store: &Path| {
        Dbhaul::new(command).args(["--source", &server.uri("shop"), "--store"]).arg(store).run()
    };
    let preflight = run(&["preflight"], &new);
    preflight.assert_code(0).assert_says("can be written to");
    run(&["dump", "--dry-run"], &new).assert_code(0);
    assert!(is_empty(dir.path()));
    std::fs::write(dir.path().join("other"), "somebody else's").unwrap();
    run(&["preflight"], dir.path()).assert_code(5).assert_says("is not a store of backups, and not empty");
    run(&["dump", "--dry-run"], dir.path()).assert_code(1);
}
