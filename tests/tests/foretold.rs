//! What `preflight` and `--dry-run` call ready is not refused, and what they say keeps to its line.

use dbhaul_tests::{Dbhaul, Server};

/// A source with a table, and a target.
fn servers() -> (Server, Server) {
    let (source, target) = (Server::start(16), Server::start(18));
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE film (id int); INSERT INTO film VALUES (1)");
    (source, target)
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
}
