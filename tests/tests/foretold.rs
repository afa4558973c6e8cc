//! What `preflight` and `--dry-run` call ready is not refused, and what they say keeps to its line.

use std::process::Command;

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// A source with a table, and a target.
fn servers() -> (Server, Server) {
    let (source, target) = (Server::start(16), Server::start(18));
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE film (id int); INSERT INTO film VALUES (1)");
    (source, target)
}

#[test]
fn a_database_that_was_created_is_looked_into() {
    let (source, target) = servers();
    let (from, to, store) = (source.uri("shop"), target.uri("postgres"), TempDir::new().unwrap());
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    let commands = [["migrate", "--source", &from], ["restore", "--store", store]];
    let resume = |command: [&str; 3]| Dbhaul::new(command).args(["--create", "--resume", "--target", &to]);
    let foretell = |command| resume(command).arg("--dry-run").run();
    for command in commands {
        foretell(command).assert_code(0);
    }
    target.create_db("shop");
    for command in commands {
        foretell(command).assert_code(0);
    }
    target.psql("shop", "CREATE TABLE film (id int)");
    for command in commands {
        foretell(command).assert_code(1).assert_says("no unfinished run that --resume could go on with");
        resume(command).run().assert_code(1).assert_stderr_has(&["no unfinished run that --resume"]);
    }
    source.psql("shop", "CREATE ROLE maker; ALTER TABLE film OWNER TO maker");
    let run = resume(commands[0]).args(["--roles", "used"]).run();
    run.assert_code(1).assert_stderr_has(&["no unfinished run that --resume"]);
    let made = target.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'maker'");
    assert_eq!(made, "0", "what is refused changes nothing");
}

/// The source's system has a locale more than the target's.
#[test]
fn a_locale_that_the_target_lacks_is_foretold() {
    let locales = TempDir::new().unwrap();
    let copy = ["-rL", "/usr/lib/locale/C.utf8", &locales.path().join("xx_XX.utf8").display().to_string()];
    assert!(Command::new("cp").args(copy).status().unwrap().success());
    let open = ["-R", "a+rX", &locales.path().display().to_string()];
    assert!(Command::new("chmod").args(open).status().unwrap().success());
    let source = Server::builder(17).env("LOCPATH", &locales.path().display().to_string()).start();
    let target = Server::start(18);
    source.psql("postgres", "CREATE DATABASE shop TEMPLATE template0 LOCALE 'xx_XX.utf8' ENCODING 'UTF8'");
    source.psql("postgres", "CREATE DATABASE plain TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    let run = |command: &str, db: &str, dry: &[&str]| {
        let sides = ["--source", &source.uri(db), "--target", &target.uri("postgres")].map(str::to_owned);
        Dbhaul::new([command, "--create"]).args(sides).args(dry).run()
    };
    let told = "LC_COLLATE \"xx_XX.utf8\", the source's, is no locale that the target's system knows";
    run("preflight", "shop", &[]).assert_code(5).assert_says(told);
    run("migrate", "shop", &["--dry-run"]).assert_code(1).assert_says(told);
    run("migrate", "shop", &[]).assert_code(1).assert_stderr_has(&["xx_XX.utf8"]);
    let not_tried = "\nready, as far as could be tried: database plain does not exist yet";
    run("preflight", "plain", &[]).assert_code(0).assert_says(not_tried);
    run("migrate", "plain", &[]).assert_code(0);
}

#[test]
fn a_tablespace_that_the_role_may_not_use_is_foretold() {
    let start = |major| Server::builder(major).config("allow_in_place_tablespaces", "on").start();
    let (source, target) = (start(17), start(18));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE TABLESPACE \"My space\" LOCATION ''");
    }
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE film (id int) TABLESPACE \"My space\"");
    target.psql("postgres", "CREATE ROLE maker LOGIN CREATEDB");
    let to = target.uri_as("maker", "postgres");
    let sides =
        ["--create", "--no-owner", "--source", &source.uri("shop"), "--target", &to].map(str::to_owned);
    let told = "the role may not use tablespaces of the target: \"My space\"";
    Dbhaul::new(["preflight"]).args(&sides).run().assert_code(5).assert_says(told);
    Dbhaul::new(["migrate", "--dry-run"]).args(&sides).run().assert_code(1).assert_says(told);
    Dbhaul::new(["migrate"]).args(&sides).run().assert_code(1).assert_stderr_has(&[told]);
    assert!(target.try_psql("shop", "SELECT 1").is_err(), "what is refused creates nothing");
    target.psql("postgres", "GRANT CREATE ON TABLESPACE \"My space\" TO maker");
    Dbhaul::new(["preflight"]).args(&sides).run().assert_code(0);
    Dbhaul::new(["migrate"]).args(&sides).run().assert_code(0);
}

#[test]
fn a_standby_is_no_target() {
    let (source, mut primary) = servers();
    let standby = primary.standby();
    let sides = ["--source", &source.uri("shop"), "--target", &standby.uri("postgres")].map(str::to_owned);
    let told = "the server is a standby and cannot be written to; connect to its primary";
    for create in [&[][..], &["--create"], &["--create", "--roles", "used"]] {
        let run = Dbhaul::new(["preflight"]).args(&sides).args(create).run();
        run.assert_code(5).assert_says(told).assert_says("BLOCKER");
        let run = Dbhaul::new(["migrate", "--dry-run"]).args(&sides).args(create).run();
        run.assert_code(1).assert_stderr_has(&[told]);
    }
}

#[test]
fn names_with_line_breaks_keep_to_their_line() {
    let (source, target) = servers();
    source.psql("shop", "CREATE ROLE ghost; CREATE TABLE \"two\nlines\" (id int)");
    source.psql("shop", "ALTER TABLE \"two\nlines\" OWNER TO ghost");
    target.create_db("shop");
    let sides = ["--source", &source.uri("shop"), "--target", &target.uri("shop")].map(str::to_owned);
    let preflight = Dbhaul::new(["preflight"]).args(&sides).run();
    preflight.assert_code(0).assert_says("two\\nlines");
    let is_whole =
        |line: &str| ["BLOCKER", "warning", "info", "ready"].iter().any(|word| line.starts_with(word));
    assert!(preflight.stdout.lines().all(is_whole), "{preflight}");
    let run = Dbhaul::new(["migrate"]).args(&sides).run();
    run.assert_code(3);
    let told = run.stderr.lines().find(|line| line.contains("will be skipped"));
    assert!(told.is_some_and(|line| line.contains("two\\nlines")), "{run}");
    // a hint has a line of its own
    let nowhere =
        Dbhaul::new(["preflight", "--source", &sides[1], "--target", "postgres://u@127.0.0.1:1/d"]).run();
    let hint = "\n                 hint: check host and port, and that the server is running\n";
    nowhere.assert_code(5).assert_says(hint);
}
