//! The same of every database that the tests have: each file of fixtures goes through preflight and the run.

use std::path::{Path, PathBuf};

use dbhaul_tests::{Dbhaul, Server};

use super::judge_run;

/// Files that are no database: roles, parts of others, and what is run with variables.
const PARTS: [&str; 9] = [
    "every-kind-roles.sql",
    "every-type-rows.sql",
    "hostile-roles.sql",
    "like-our-own.sql",
    "many-tables.sql",
    "selection.sql",
    "selection-kit.sql",
    "tpch-keys.sql",
    "tpch-tables.sql",
];

/// Files that need another source than a server of 15, as their first lines say.
const OTHER_SOURCES: [(u16, &[&str]); 3] = [
    (13, &["f18-aggregate-on-array_append.sql"]),
    (16, &["words-16.sql"]),
    (
        18,
        &[
            "comments-on-domains.sql",
            "comments-on-not-null.sql",
            "f04-comment-on-domain-not-null.sql",
            "not-valid-parents-18.sql",
            "not-valid-root-18.sql",
            "r07-child-valid-parent-not.sql",
            "words-unreserved.sql",
        ],
    ),
];

/// Files whose databases are moved once more, over what the first run made.
const CLEANED: [&str; 6] =
    ["cinema.sql", "every-kind.sql", "hostile-names.sql", "kinds.sql", "loops.sql", "music.sql"];

/// Roles that files of cases name, and what they are on the source alone.
const ROLES: [(&str, &str); 3] = [("fb_other", ""), ("fb_app", ""), ("fb_mvowner", "SUPERUSER")];

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "sql")).collect();
    files.sort();
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

/// Two servers with every role that a fixture names.
fn servers(from: u16, to: u16) -> (Server, Server) {
    let (source, target) = (Server::start(from), Server::start(to));
    for server in [&source, &target] {
        for file in ["hostile-roles.sql", "every-kind-roles.sql"] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
            server.psql_file("postgres", &file, &[]);
        }
    }
    for (role, attributes) in ROLES {
        source.psql("postgres", &format!("CREATE ROLE {role} {attributes}"));
        target.psql("postgres", &format!("CREATE ROLE {role}"));
    }
    (source, target)
}

/// Moves the database of one file, and judges. What the comparison says is for other tests.
fn moves(source: &Server, target: &Server, file: &Path) {
    let db = name(file).trim_end_matches(".sql");
    println!("{db}");
    for server in [source, target] {
        server.create_db(db);
    }
    source.psql_file(db, file, &[]);
    let (from, to) = (source.uri(db), target.uri(db));
    let command = |words: &[&str]| Dbhaul::new(words).args(["--source", &from, "--target", &to]).run();
    let preflight = command(&["preflight"]);
    let run = command(&["migrate", "--no-verify", "--json"]);
    judge_run(&preflight, &run);
    // over what it made: nothing of that is in the way of dropping it
    if CLEANED.contains(&name(file)) {
        let slots = "SELECT count(*) FROM pg_subscription WHERE subslotname IS NOT NULL
                     AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let has_slots = target.psql(db, slots) != "0";
        let clean = ["--clean", "--if-exists"];
        if has_slots {
            let refused = command(&[&["preflight"], &clean[..]].concat());
            refused.assert_code(5).assert_says("subscriptions that have a replication slot");
        }
        let mut clean = clean.to_vec();
        clean.extend(has_slots.then_some("--no-subscriptions"));
        let preflight = command(&[&["preflight"], &clean[..]].concat());
        judge_run(&preflight, &command(&[&["migrate", "--no-verify", "--json"], &clean[..]].concat()));
        let told = preflight.to_string();
        assert!(!told.contains("that --clean drops") && !told.contains("what --clean drops"), "{told}");
        assert!(!told.contains("--clean drops with their tables"), "{told}");
    }
}

#[test]
fn fixtures_that_are_ready_run() {
    let (source, target) = servers(15, 18);
    let others: Vec<&str> = OTHER_SOURCES.iter().flat_map(|(_, files)| files.iter().copied()).collect();
    for file in fixtures("").into_iter().chain(fixtures("cases")) {
        if !PARTS.contains(&name(&file)) && !others.contains(&name(&file)) {
            moves(&source, &target, &file);
        }
    }
}

#[test]
fn fixtures_of_other_sources_that_are_ready_run() {
    for (from, files) in OTHER_SOURCES {
        let (source, target) = servers(from, 18);
        for file in fixtures("cases").iter().filter(|file| files.contains(&name(file))) {
            moves(&source, &target, file);
        }
    }
}
