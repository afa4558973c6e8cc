//! What leaves the program: to terminals, to files, to messages and into stores.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dbhaul_tests::{Dbhaul, Finished, S3Directory, Server};
use tempfile::TempDir;

/// A name that clears the screen, sets a title, reads backwards and forges a line.
const EVIL: &str =
    "x\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}1m\u{7f}\u{202e}\u{2066}\u{200f}\u{61c}\r\n\nFORGED: all is EQUAL";

fn is_command(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn check_tame(run: &Finished) {
    for text in [&run.stdout, &run.stderr] {
        check_tame_text(text, &run.to_string());
    }
}

#[track_caller]
fn check_tame_text(text: &str, whole: &str) {
    if let Some(command) = text.chars().find(|character| is_command(*character)) {
        panic!("{command:?} reaches a terminal\n{}", whole.escape_debug());
    }
    assert!(
        !text.lines().any(|line| line.starts_with("FORGED")),
        "a line is forged\n{}",
        whole.escape_debug()
    );
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// As it stands in a URI.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A database in which everything has such a name.
fn load(server: &Server, db: &str) {
    let evil = quoted(EVIL);
    let role = quoted(&format!("r{EVIL}"));
    if server.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rx%'").trim() == "0" {
        server.psql("postgres", &format!("CREATE ROLE {role}"));
    }
    server.create_db(db);
    server.psql(
        db,
        &format!(
            "CREATE SCHEMA {evil} AUTHORIZATION {role};
             CREATE TYPE {evil}.{evil} AS ENUM ('{EVIL}');
             CREATE TABLE {evil}.t{evil} ({evil} int PRIMARY KEY, e {evil}.{evil}, v text DEFAULT '{EVIL}');
             ALTER TABLE {evil}.t{evil} OWNER TO {role};
             COMMENT ON TABLE {evil}.t{evil} IS '{EVIL}';
             INSERT INTO {evil}.t{evil} VALUES (1, '{EVIL}', '{EVIL}'), (2, NULL, 'b');
             CREATE INDEX i{evil} ON {evil}.t{evil} (v);
             CREATE SEQUENCE {evil}.s{evil};
             CREATE FUNCTION {evil}.f{evil}() RETURNS int LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION '{EVIL}' USING DETAIL = '{EVIL}', HINT = '{EVIL}'; END $$;
             CREATE VIEW {evil}.v{evil} AS SELECT * FROM {evil}.t{evil};
             GRANT SELECT ON {evil}.t{evil} TO {role}"
        )
        .replace("ttt", "t")
        .replace(&format!("t{evil}"), &quoted(&format!("t{EVIL}")))
        .replace(&format!("i{evil}"), &quoted(&format!("i{EVIL}")))
        .replace(&format!("s{evil}"), &quoted(&format!("s{EVIL}")))
        .replace(&format!("f{evil}"), &quoted(&format!("f{EVIL}")))
        .replace(&format!("v{evil}"), &quoted(&format!("v{EVIL}"))),
    );
}

#[test]
fn no_name_commands_a_terminal() {
    let server = Server::start(18);
    load(&server, EVIL);
    let (copy, other) = (format!("copy{EVIL}"), format!("other{EVIL}"));
    server.create_db(&copy);
    server.create_db(&other);
    let directory = TempDir::new().unwrap();
    let store = directory.path().join("store");
    let store = store.to_str().unwrap();
    let (source, target, other_uri) = (server.uri(EVIL), server.uri(&copy), server.uri(&other));
    let (from, to, at) = (["--source", &source], ["--target", &target], ["--store", store]);
    let run = |words: &[&str], places: &[&[&str]]| {
        let run = Dbhaul::new(words.iter().chain(places.iter().flat_map(|place| place.iter()))).run();
        check_tame(&run);
        run
    };
    run(&["preflight"], &[&from, &to]);
    run(&["preflight", "--json"], &[&from, &to]);
    run(&["dump", "--dry-run", "-v"], &[&from, &at]).assert_code(0);
    run(&["dump", "-vvv"], &[&from, &at]).assert_code(0);
    run(&["backup", "list"], &[&at]).assert_code(0);
    run(&["backup", "show"], &[&at]).assert_code(0);
    run(&["backup", "show", "--json"], &[&at]).assert_code(0);
    run(&["backup", "show", "--toc"], &[&at]).assert_code(0);
    run(&["backup", "show", "--toc", "--json"], &[&at]).assert_code(0);
    run(&["backup", "show", "--ddl", "--json"], &[&at]).assert_code(0);
    run(&["restore", "--dry-run", "-v"], &[&at, &to]).assert_code(0);
    run(&["restore", "-vvv", "--progress", "plain"], &[&at, &to]).assert_code(0);
    // There already: named as such.
    run(&["restore"], &[&at, &to]).assert_code(1);
    run(&["restore", "--allow-non-empty"], &[&at, &to]);
    run(&["migrate", "--dry-run", "-v"], &[&from, &["--target", &other_uri]]).assert_code(0);
    run(&["migrate", "--progress", "json", "-v"], &[&from, &["--target", &other_uri]]).assert_code(0);
    let evil = quoted(EVIL);
    let (table, view) = (quoted(&format!("t{EVIL}")), quoted(&format!("v{EVIL}")));
    server.psql(
        &copy,
        &format!(
            "UPDATE {evil}.{table} SET v = 'c' WHERE {evil} = 2; DROP VIEW {evil}.{view};
             ALTER TABLE {evil}.{table} ADD z{evil} int, ALTER v SET DEFAULT '{EVIL}y';
             CREATE TABLE public.{table} ()"
        )
        .replace(&format!("z{evil}"), &quoted(&format!("z{EVIL}"))),
    );
    let report = directory.path().join("report.txt");
    let reports = ["txt", "json", "html", "md", "xml"].map(|form| report.with_extension(form));
    let files: Vec<&str> = reports.iter().flat_map(|file| ["--report", file.to_str().unwrap()]).collect();
    run(&["verify", "-v"], &[&from, &to, &files]).assert_code(4);
    for file in &reports {
        check_tame_text(&std::fs::read_to_string(file).unwrap(), "the report");
    }
    run(&["verify", "--json"], &[&from, &to]).assert_code(4);
    run(&["verify"], &[&at, &to]).assert_code(4);
    run(&["dump", "--table", EVIL], &[&from, &at]);
    run(&["dump", "--sorce", EVIL], &[&from, &at]).assert_code(2);
    run(&["dump", "--jobs", EVIL], &[&from, &at]).assert_code(2);
    run(&["dump", EVIL], &[&from, &at]).assert_code(2);
    run(&["backup", "list", "--store", EVIL], &[]).assert_code(1);
    run(&["cleanup"], &[&to, &from]);
    // Whom the server does not know, what stands in a store or is no place of one, and files that are not there.
    let directory_of = |name: &str| directory.path().join(name).display().to_string();
    run(&["dump", "--source", &server.uri_as(&percent(EVIL), "postgres")], &[&at]).assert_code(1);
    run(&["dump", "--role", EVIL], &[&from, &at]).assert_code(1);
    run(
        &["dump", "--source", &format!("{source}?sslmode=verify-full&sslrootcert={}", percent(EVIL))],
        &[&at],
    );
    run(
        &["dump", "--source", &format!("{source}?passfile={}&service={}", percent(EVIL), percent(EVIL))],
        &[&at],
    );
    run(&["dump", "--roles", "all", "-v"], &[&from, &at]);
    run(&["dump", "-F", "sql", "-f", &directory_of(&format!("none/{EVIL}"))], &[&from]).assert_code(2);
    run(&["backup", "show", "--backup", EVIL], &[&at]);
    std::fs::write(Path::new(store).join("backups").join("stray\u{1b}[2J\u{202e}\r\nFORGED"), "").unwrap();
    run(&["backup", "list"], &[&at]).assert_code(0);
    // An index over a function that fails with such words, in the middle of a restore.
    server.psql(
        EVIL,
        "CREATE TABLE public.late (a int); INSERT INTO public.late VALUES (1);
         CREATE FUNCTION public.late(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
         CREATE INDEX late_of ON public.late (late(a))",
    );
    server.psql(
        EVIL,
        &format!(
            "CREATE OR REPLACE FUNCTION public.late(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN RAISE EXCEPTION '{EVIL}' USING DETAIL = '{EVIL}', HINT = '{EVIL}'; END $$"
        ),
    );
    server.drop_db(&other);
    server.create_db(&other);
    run(&["migrate", "-v"], &[&from, &["--target", &other_uri]]);
    // A role that the target lacks.
    server.psql("postgres", &format!("ALTER ROLE {} RENAME TO renamed", quoted(&format!("r{EVIL}"))));
    server.drop_db(&other);
    server.create_db(&other);
    let lacking = run(&["restore", "--dry-run", "-v"], &[&at, &["--target", &other_uri]]);
    lacking.assert_code(0).assert_says("will skip owner of ");
    // Definitions in a pipe are SQL, unchanged.
    let ddl = Dbhaul::new(["backup", "show", "--ddl", "--store", store]).run();
    assert!(ddl.stdout.contains(EVIL), "{ddl}");
}

const SECRET: &str = "S3CR3Tz";

#[test]
fn no_secret_is_shown_logged_or_stored() {
    let server = Server::builder(18).scram().start();
    server.psql("postgres", &format!("ALTER ROLE postgres PASSWORD '{SECRET}'"));
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE t AS SELECT generate_series(1, 9) a");
    let directory = TempDir::new().unwrap();
    let store = directory.path().join("store");
    let report = directory.path().join("report.json");
    let (store_text, report_text) = (store.to_str().unwrap(), report.to_str().unwrap());
    let place = format!("127.0.0.1:{}/shop", server.port());
    let hidden = |run: Finished, codes: &[i32]| {
        assert!(codes.contains(&run.code.unwrap()), "{run}");
        assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{run}");
    };
    for (password, user) in [(SECRET, "postgres"), ("%53%33CR3Tz", "postgres"), ("wrongS3CR3Tz", "postgres")]
    {
        let uri = format!("postgres://{user}:{password}@{place}");
        let arguments = ["dump", "-vvv", "--source", &uri, "--store", store_text, "--report", report_text];
        hidden(Dbhaul::new(arguments).env("RUST_LOG", "trace").run(), &[0, 1]);
        let arguments = ["dump", "--progress", "json", "--json", "--store", store_text];
        hidden(Dbhaul::new(arguments).env("DBHAUL_SOURCE", &uri).run(), &[0, 1]);
    }
    let passfile = directory.path().join("pgpass");
    std::fs::write(&passfile, format!("*:*:*:*:{SECRET}\n")).unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    let uri = format!("postgres://postgres@{place}?passfile={}", passfile.display());
    let run = Dbhaul::new(["dump", "-vvv", "--source", &uri, "--store", store_text]).env("RUST_LOG", "trace");
    hidden(run.run(), &[0]);
    for words in [
        ["dump", "--source", "postgresql://u:S3CR3Tz/7@host/x"],
        ["dump", "--source", "postgresql://u:7/S3CR3Tz@host/x"],
        ["dump", "--source", "host=h password=my S3CR3Tz=1"],
        ["dump", "--sorce", "postgresql://u:S3CR3Tz/7@host/x"],
        ["dump", "--sorce=postgresql://u:it's S3CR3Tz@host/x", "--quiet"],
        ["dump", "--jobs", "postgresql://u:it's S3CR3Tz@host/x"],
        ["postgresql://u:S3CR3Tz@host/x", "dump", "--quiet"],
        ["dump", "--format", "host=h password='S3CR3Tz"],
        ["dump", "-xqS3CR3Tz", "--quiet"],
        ["dump", "-Fpostgres://u:S3CR3Tz@host/x", "--quiet"],
    ] {
        hidden(Dbhaul::new(words).args(["--store", store_text]).run(), &[2]);
    }
    // a place alone is a source: nobody is there
    for place in ["postgresql://u:it's S3CR3Tz@127.0.0.1:1/x", "password=S3CR3Tz host=127.0.0.1 port=1"] {
        hidden(Dbhaul::new(["dump", place, "--quiet", "--store", store_text]).run(), &[1]);
    }
    // an encoded colon makes a name of both
    for name in ["u%3AS3CR3Tz".to_owned(), format!("u%3AS3CR3Tz{}", "x".repeat(70))] {
        let source = server.uri_as("NAME", "shop").replace("NAME", &name);
        let run = Dbhaul::new(["dump", "--source", &source, "--store", store_text]).run();
        run.assert_stderr_has(&["as u:***"]);
        hidden(run, &[1]);
    }
    for url in
        ["s3://AKIA:S3CR3Tz/x@b/p", "s3://b/p?secretkey=S3CR3Tz", "S3CR3Tz://x", "s3://b?region=&S3CR3Tz"]
    {
        hidden(Dbhaul::new(["backup", "list", "--store", url]).run(), &[2]);
    }
    // wrappers take keys and connection strings as options of anything
    server.create_db("other");
    for (db, number) in [("shop", 1), ("other", 2)] {
        let options = |name: &str| format!("OPTIONS ({name} '{SECRET}{number}')");
        let sql = format!(
            "CREATE FOREIGN DATA WRAPPER w {}; CREATE SERVER s FOREIGN DATA WRAPPER w {};
             CREATE USER MAPPING FOR public SERVER s {}; CREATE FOREIGN TABLE f (a int) SERVER s {}",
            options("token"),
            options("api_key"),
            options("password"),
            options("connection")
        );
        server.psql(db, &sql);
    }
    let other = uri.replace("/shop?", "/other?");
    for form in ["--quiet", "--json"] {
        let page = directory.path().join("report.html");
        let verify = ["verify", form, "--source", &uri, "--target", &other, "--report", report_text];
        hidden(Dbhaul::new(verify).arg("--report").arg(&page).run(), &[4]);
        assert!(std::fs::read_to_string(&page).unwrap().contains("USER MAPPING"));
    }
    let mut files = Vec::new();
    collect(directory.path(), &mut files);
    assert!(files.len() > 5, "{files:?}");
    for (file, _) in files.iter().filter(|(file, _)| file != &passfile.display().to_string()) {
        let bytes = std::fs::read(file).unwrap_or_default();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{file}");
    }
}

/// Everything below a directory, with its permissions.
fn collect(directory: &Path, found: &mut Vec<(String, u32)>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        found.push((entry.path().display().to_string(), mode));
        if entry.path().is_dir() {
            collect(&entry.path(), found);
        }
    }
}

#[test]
fn what_is_written_is_for_its_owner_alone() {
    let server = Server::start(18);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE t AS SELECT generate_series(1, 9) a");
    let uri = server.uri("shop");
    // the last takes from the owner too, who is to be able to read what was written
    for umask in ["000", "077", "777"] {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (store, report, json) = (path("new/store"), path("report.txt"), path("report.json"));
        let run = |words: &[&str]| {
            Dbhaul::new(words).umask(umask).run().assert_code(0);
        };
        run(&["dump", "--source", &uri, "--store", &store, "--report", &report]);
        run(&["dump", "--source", &uri, "--store", &store, "--report", &json]);
        run(&["dump", "--source", &uri, "-F", "sql", "-f", &path("shop.sql")]);
        run(&["backup", "export", "--store", &store, "-f", &path("export.sql")]);
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let (keyed, key) = (path("keyed"), path("writer.json"));
        run(&["store", "init", "--store", &keyed, "--recipient", recipient, "--writer-key-out", &key]);
        check_modes(directory.path(), umask);
    }
}

#[track_caller]
fn check_modes(directory: &Path, umask: &str) {
    let mut found = Vec::new();
    collect(directory, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for (file, mode) in found {
        let expected = if Path::new(&file).is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{file}: {mode:o} under {umask}");
    }
}

/// An S3 server that answers 200 to the last write of a backup, and keeps nothing or something else.
fn lying_before(port: u16, answers_with_other_bytes: bool) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            std::thread::spawn(move || {
                // A connection that ends is all the same.
                let _ = lie(client, port, answers_with_other_bytes);
            });
        }
    });
    own
}

fn lie(mut client: TcpStream, port: u16, answers_with_other_bytes: bool) -> std::io::Result<()> {
    loop {
        let (head, body) = read_message(&mut client)?;
        let is_of_manifest = head.lines().next().is_some_and(|line| line.contains("/backups/"));
        let has_lied = head.starts_with("PUT ") && is_of_manifest;
        if has_lied {
            client.write_all(b"HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        if answers_with_other_bytes && head.starts_with("GET ") && is_of_manifest {
            client.write_all(b"HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Length: 2\r\n\r\n{}")?;
            continue;
        }
        let mut server = TcpStream::connect(("127.0.0.1", port))?;
        server.write_all(head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())?;
        server.write_all(&body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        client.write_all(&answer)?;
        // It says that the connection is closed.
        return Ok(());
    }
}

/// The head of a request, and its body.
fn read_message(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes).into_owned();
        }
    };
    let length = end
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((end, body))
}

#[test]
fn a_backup_is_committed_when_its_manifest_is_read_back() {
    let server = Server::start(18);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE t AS SELECT generate_series(1, 9) a");
    let s3 = S3Directory::start();
    s3.create_bucket("bucket");
    let honest = s3.endpoint().store_url("bucket", "p");
    let port: u16 =
        honest.split("127.0.0.1:").nth(1).unwrap().split(['/', '&', '?']).next().unwrap().parse().unwrap();
    let uri = server.uri("shop");
    for (answers_with_other_bytes, words) in [(false, "has no such object"), (true, "returns other bytes")] {
        let lying = lying_before(port, answers_with_other_bytes);
        let url = honest.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{lying}"));
        let run = Dbhaul::new(["dump", "--source", &uri, "--store", &url]).envs(s3.endpoint().env()).run();
        run.assert_code(1).assert_stderr_has(&["answered that it had written backups/shop/", words]);
    }
    Dbhaul::new(["dump", "--source", &uri, "--store", &honest])
        .envs(s3.endpoint().env())
        .run()
        .assert_code(0);
}
