//! What goes wrong in the field: each a short error that names the thing and the way out, with its exit code.

use std::path::{Path, PathBuf};

use dbhaul_tests::{Authority, Dbhaul, Finished, Server, Validity};
use tempfile::TempDir;

/// A password that must never be printed.
const SECRET: &str = "hunter2marker";

fn shop(major: u16) -> Server {
    let server = Server::start(major);
    fill(&server);
    server
}

fn fill(server: &Server) {
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE customer (id int PRIMARY KEY, name text);
         INSERT INTO customer SELECT i, 'customer ' || i FROM generate_series(1, 1000) i;
         CREATE TABLE secret_plan (id int); INSERT INTO secret_plan VALUES (1)",
    );
}

fn dump(source: &str, store: &Path) -> Finished {
    Dbhaul::new(["dump", "--source", source, "--store", store.to_str().unwrap()]).run()
}

fn restore(store: &Path, target: &str) -> Finished {
    Dbhaul::new(["restore", "--store", store.to_str().unwrap(), "--target", target]).run()
}

/// A failed run says so, once, in a few lines, and prints no result.
#[track_caller]
fn check_error(run: &Finished, code: i32, texts: &[&str]) {
    run.assert_code(code).assert_stderr_has(texts);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
    let told: Vec<&str> = run.stderr.lines().skip_while(|line| !line.contains("error: ")).collect();
    assert!((1..=12).contains(&told.len()), "{} lines\n{run}", told.len());
    assert_is_of_a_log(told[0], run);
    assert_eq!(run.stdout, "", "{run}");
}

/// In a log the line begins as all others do: date and time, and eight hex digits of the run.
#[track_caller]
fn assert_is_of_a_log(line: &str, run: &Finished) {
    let mut words = line.split(' ');
    let (time, id) = (words.next().unwrap(), words.next().unwrap());
    assert!(time.len() == 20 && time.ends_with('Z'), "{run}");
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{run}");
    assert_eq!(words.next(), Some("error:"), "{run}");
}

fn backups_in(store: &Path) -> usize {
    files(&store.join("backups")).len()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn wrong_password() {
    let server = Server::builder(16).scram().start();
    let store = TempDir::new().unwrap();
    let run = dump(&server.uri_as(&format!("postgres:{SECRET}"), "postgres"), &store.path().join("s"));
    check_error(&run, 1, &["cannot connect to the source", "password authentication failed", "postgres"]);
    assert!(!run.to_string().replace(&run.arguments.join(" "), "").contains(SECRET), "{}", run.stderr);
    assert_eq!(backups_in(&store.path().join("s")), 0);
}

#[test]
fn unknown_host() {
    let store = TempDir::new().unwrap();
    let run = dump("postgres://app@no-such-host.invalid/shop", store.path());
    check_error(&run, 1, &["cannot connect to the source", "no-such-host.invalid"]);
}

#[test]
fn nobody_listens() {
    let store = TempDir::new().unwrap();
    let run = dump("postgres://app@127.0.0.1:1/shop", store.path());
    check_error(&run, 1, &["cannot connect to the source", "127.0.0.1:1/shop as app", "refused"]);
}

#[test]
fn missing_database() {
    let server = Server::start(17);
    let store = TempDir::new().unwrap();
    let run = dump(&server.uri("no_such_shop"), store.path());
    check_error(&run, 1, &["database \"no_such_shop\" does not exist"]);
}

#[test]
fn missing_target_database() {
    let (source, target) = (shop(15), Server::start(16));
    let run =
        Dbhaul::new(["migrate", "--source", &source.uri("shop"), "--target", &target.uri("no_such_shop")])
            .run();
    check_error(&run, 1, &["database \"no_such_shop\" does not exist", "target"]);
}

#[test]
fn a_table_that_may_not_be_read() {
    let server = shop(15);
    server.psql(
        "shop",
        "CREATE ROLE reader LOGIN; GRANT SELECT ON customer TO reader; REVOKE ALL ON secret_plan FROM PUBLIC",
    );
    let store = TempDir::new().unwrap();
    let uri = server.uri_as("reader", "shop");
    let run = dump(&uri, store.path());
    check_error(&run, 1, &["secret_plan", "permission denied"]);
    assert_eq!(backups_in(store.path()), 0);

    let preflight = Dbhaul::new(["preflight", "--source", &uri]).run();
    preflight.assert_code(5);
    assert!(preflight.stdout.contains("BLOCKER") && preflight.stdout.contains("secret_plan"), "{preflight}");

    let excluded = Dbhaul::new(["dump", "--source", &uri, "--exclude-table-data", "secret_plan", "--store"])
        .arg(store.path())
        .run();
    excluded.assert_code(0);

    server.psql(
        "shop",
        "CREATE SEQUENCE own; ALTER SEQUENCE own OWNER TO reader; REVOKE ALL ON own FROM reader",
    );
    let own = Dbhaul::new(["preflight", "--source", &uri]).run();
    own.assert_code(5).assert_says("its owner may not read it: GRANT SELECT ON public.own TO reader");
}

/// One rule for both sides and the store: what cannot be reached stands in the way.
#[test]
fn to_preflight_a_side_that_cannot_be_reached_is_a_blocker() {
    let server = shop(16);
    let (there, nowhere) = (server.uri("shop"), "postgres://postgres@127.0.0.1:1/shop");
    let absent = server.uri("absent");
    for (source, target, blocked) in
        [(nowhere, &*there, "source"), (&*there, nowhere, "target"), (&*absent, &*there, "source")]
    {
        let sides = ["--source", source, "--target", target];
        let preflight = Dbhaul::new(["preflight"]).args(sides).run();
        preflight.assert_code(5).assert_says(&format!("BLOCKER {blocked}"));
        Dbhaul::new(["migrate"]).args(sides).run().assert_code(1);
    }
    let both =
        Dbhaul::new(["preflight", "--source", nowhere, "--target", "postgres://postgres@127.0.0.1:1/copy"])
            .run();
    both.assert_code(5).assert_says("BLOCKER source").assert_says("BLOCKER target");
    let nothing = ["preflight", "--source", &there, "-t", "no_such_table"];
    Dbhaul::new(nothing).run().assert_code(1).assert_says("no_such_table");
}

#[test]
fn an_extension_that_the_target_lacks() {
    // PostgreSQL 17 no longer has this one.
    let (source, target) = (shop(16), Server::start(17));
    source.psql("shop", "CREATE EXTENSION adminpack");
    target.create_db("shop");
    let sides = ["--source", &source.uri("shop"), "--target", &target.uri("shop")];
    let preflight = Dbhaul::new(["preflight"]).args(sides).run();
    preflight.assert_code(5);
    assert!(preflight.stdout.contains("BLOCKER") && preflight.stdout.contains("adminpack"), "{preflight}");
    check_error(&Dbhaul::new(["migrate"]).args(sides).run(), 1, &["extension", "adminpack"]);

    let store = TempDir::new().unwrap();
    dump(&source.uri("shop"), store.path()).assert_code(0);
    check_error(&restore(store.path(), &target.uri("shop")), 1, &["extension", "adminpack"]);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
}

#[test]
fn a_pattern_that_matches_nothing() {
    let server = shop(14);
    let store = TempDir::new().unwrap();
    let run = Dbhaul::new(["dump", "--source", &server.uri("shop"), "-t", "custmer", "--store"]);
    check_error(&run.arg(store.path()).run(), 1, &["--table custmer", "no match"]);
    assert_eq!(backups_in(store.path()), 0);
}

#[test]
fn stores_without_a_backup() {
    let target = Server::start(18);
    target.create_db("shop");
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing");
    check_error(&restore(&missing, &target.uri("shop")), 1, &["missing", "no such directory"]);

    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    check_error(&restore(&empty, &target.uri("shop")), 1, &["is not a store of backups", "help:", "--store"]);

    let source = shop(13);
    let store = dir.path().join("store");
    dump(&source.uri("shop"), &store).assert_code(0);
    let run = Dbhaul::new(["restore", "--database", "other", "--target", &target.uri("shop"), "--store"]);
    check_error(&run.arg(&store).run(), 1, &["holds no backup of database \"other\"", "backup list"]);
    let run = Dbhaul::new(["backup", "show", "0000", "--store"]).arg(&store).run();
    check_error(&run, 1, &["0 backups whose identity starts with \"0000\""]);
}

#[test]
fn a_damaged_pack() {
    let (source, target) = (shop(16), Server::start(16));
    target.create_db("shop");
    let store = TempDir::new().unwrap();
    dump(&source.uri("shop"), store.path()).assert_code(0);
    for pack in files(&store.path().join("packs")) {
        let mut bytes = std::fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, bytes).unwrap();
    }
    let run = restore(store.path(), &target.uri("shop"));
    run.assert_code(1);
    assert!(run.stderr.contains("damaged") || run.stderr.contains("hash"), "{run}");
    assert!(!run.stdout.contains("restored"), "{run}");
}

#[test]
fn a_missing_pack() {
    let (source, target) = (shop(16), Server::start(16));
    target.create_db("shop");
    let store = TempDir::new().unwrap();
    dump(&source.uri("shop"), store.path()).assert_code(0);
    let pack = files(&store.path().join("packs")).pop().unwrap();
    std::fs::remove_file(&pack).unwrap();
    let name = pack.file_name().unwrap().to_str().unwrap();
    let run = restore(store.path(), &target.uri("shop"));
    check_error(&run, 1, &[name, "help:"]);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    check_error(&Dbhaul::new(["backup", "show", "--store"]).arg(store.path()).run(), 1, &[name]);
}

#[test]
fn a_target_that_is_not_empty() {
    let (source, target) = (shop(16), shop(17));
    let sides = ["--source", &source.uri("shop"), "--target", &target.uri("shop")];
    check_error(&Dbhaul::new(["migrate"]).args(sides).run(), 1, &["not empty", "customer"]);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM customer"), "1000");
    for roles in ["none", "used"] {
        let plan = Dbhaul::new(["migrate", "--dry-run", "--roles", roles]).args(sides).run();
        plan.assert_code(1)
            .assert_says("BLOCKER: the database is not empty")
            .assert_says("pre-data (in order)");
        assert!(plan.stdout.ends_with("not ready: see the blockers above\n"), "{plan}");
    }
    let plan = Dbhaul::new(["migrate", "--dry-run", "--json"]).args(sides).run();
    assert!(plan.assert_code(1).json()["blockers"][0].as_str().unwrap().contains("not empty"), "{plan}");
    let store = TempDir::new().unwrap();
    dump(&source.uri("shop"), store.path()).assert_code(0);
    let restore = Dbhaul::new(["restore", "--dry-run", "--target", &target.uri("shop"), "--store"]);
    restore.arg(store.path()).run().assert_code(1).assert_says("BLOCKER: the database is not empty");
}

/// With `--create` it is not the database that is connected to that matters.
#[test]
fn a_database_to_be_created_that_is_there() {
    let (source, target) = (shop(16), Server::start(17));
    target.psql("postgres", "CREATE TABLE in_the_way (i int); CREATE ROLE app LOGIN");
    let (from, to, as_app) = (source.uri("shop"), target.uri("postgres"), target.uri_as("app", "postgres"));
    let run = |words: &[&str], to: &str| {
        Dbhaul::new(words).args(["--create", "--source", &from, "--target", to]).run()
    };
    let check = |to: &str, blocker: &str, refusal: &str| {
        run(&["preflight"], to).assert_code(5).assert_says("BLOCKER target").assert_says(blocker);
        run(&["migrate", "--dry-run"], to).assert_code(1).assert_says("BLOCKER: ").assert_says(blocker);
        check_error(&run(&["migrate"], to), 1, &[refusal]);
    };
    check(&as_app, "may not create databases", "permission denied to create database");
    run(&["preflight"], &to).assert_code(0);
    run(&["migrate", "--dry-run"], &to).assert_code(0);
    target.create_db("shop");
    check(&to, "database shop exists already", "database shop exists already");
}

#[test]
fn a_store_that_cannot_be_written() {
    let server = shop(16);
    // A file is in the way, which stops root too.
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = dump(&server.uri("shop"), &file.path().join("store"));
    check_error(&run, 1, &[file.path().to_str().unwrap()]);
}

#[test]
fn a_full_store() {
    let server = shop(16);
    // Hashes do not compress: 100,000 of them fill a pack of some megabytes.
    server.psql("shop", "INSERT INTO customer SELECT i, md5(i::text) FROM generate_series(1001, 101000) i");
    let store = TempDir::new().unwrap();
    let path = store.path().join("store");
    let arguments = ["dump", "--source", &server.uri("shop"), "--store", path.to_str().unwrap()];
    let run = Dbhaul::new(arguments).file_limit_kib(512).run();
    check_error(&run, 1, &["packs/", "space"]);
    assert_eq!(backups_in(&path), 0, "half a backup was committed");
    dump(&server.uri("shop"), &path).assert_code(0);
    assert_eq!(backups_in(&path), 1);
}

#[test]
fn an_expired_certificate() {
    let authority = Authority::new();
    let server = Server::builder(17).tls(&authority.server(&["localhost"], Validity::Expired)).start();
    let root = authority.certificate().display().to_string();
    let (port, role) = (server.port(), "postgres");
    let uri = format!("postgres://{role}@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={root}");
    let store = TempDir::new().unwrap();
    let run = dump(&uri, &store.path().join("store"));
    check_error(&run, 1, &["cannot connect to the source", "localhost", "expired"]);
}

#[test]
fn errors_for_programs_are_json() {
    let store = TempDir::new().unwrap();
    let run =
        Dbhaul::new(["dump", "--source", "postgres://app@127.0.0.1:1/shop", "--progress", "json", "--store"]);
    let run = run.arg(store.path()).run();
    run.assert_code(1);
    let lines: Vec<serde_json::Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"error".into(), &1.into()), "{run}");
    assert_eq!(last["message"], "cannot connect to the source");
}
