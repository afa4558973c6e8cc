//! A catalog read from one real server and written to another: `pg_dump` 18 must
//! not see a difference, and neither must our own comparison.

#[path = "catalog_round_trip/copies.rs"]
mod copies;

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use dbhaul_catalog::Selection;
use dbhaul_tests::{Fixture, Server};

use copies::{MAJORS, problems, read, round_trip, schema_text, text_difference, write};

#[test]
fn music() {
    round_trip(Fixture::Music, MAJORS);
}

#[test]
fn cinema() {
    round_trip(Fixture::Cinema, MAJORS);
}

#[test]
fn sample_shop() {
    round_trip(Fixture::SampleShop { scale: 0.002 }, MAJORS);
}

#[test]
fn every_kind_of_object() {
    let all = [
        (13, 13),
        (14, 14),
        (15, 15),
        (16, 16),
        (17, 17),
        (18, 18),
        (13, 18),
        (14, 18),
        (15, 18),
        (16, 18),
        (17, 18),
    ];
    round_trip(Fixture::EveryKind, &all);
}

/// Everything whose dependencies form loops. SQL-body functions, which are
/// parsed when they are made, came with 14.
#[test]
fn loops() {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/loops.sql");
    let mut found = Vec::new();
    for (from, to) in [(13, 13), (14, 14), (18, 18), (15, 17)] {
        let (source, target) = (Server::start(from), Server::start(to));
        source.create_db("loops");
        source.psql_file("loops", &fixture, &[]);
        if from >= 14 {
            source.psql("loops", SQL_BODIES);
        }
        found.extend(problems(&source, "loops", &target));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const SQL_BODIES: &str = "
    CREATE FUNCTION needs_key() RETURNS bigint BEGIN ATOMIC
        SELECT count(*) FROM (SELECT id, name FROM grouped GROUP BY id) g; END;
    CREATE VIEW needs_function AS SELECT needs_key() AS n;
    CREATE FUNCTION needs_view() RETURNS SETOF over_by_key BEGIN ATOMIC SELECT * FROM over_by_key; END;
    CREATE TABLE defaults_late (n bigint DEFAULT needs_key());";

/// The selection of a database that `pg_dump` makes with the same options.
fn check_selection(server: &Server, db: &str, before: &str, selection: &Selection, options: &[&str]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let copies = [format!("{db}_selected"), format!("{db}_expected")];
    copies.iter().for_each(|copy| server.create_db(copy));
    // What a selection does not drag along must be there for it to be restored.
    copies.iter().for_each(|copy| drop(server.psql(copy, before)));
    let failures = runtime.block_on(async {
        let whole = read(server, db).await;
        write(&selection.apply(&whole).unwrap(), server, &copies[0]).await
    });
    assert!(failures.is_empty(), "{options:?}: {}", failures.join("\n"));
    let dump = server.client("pg_dump").args(["--schema-only", "-d", db]).args(options).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let mut psql = server.client("psql");
    let mut psql =
        psql.args(["-Xq", "-o", "/dev/null", "-d", &copies[1]]).stdin(Stdio::piped()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
    assert!(psql.wait().unwrap().success());
    let (ours, expected) = (schema_text(server, &copies[0]), schema_text(server, &copies[1]));
    assert_eq!(text_difference("selection", &expected, &ours), None, "{options:?}");
    copies.iter().for_each(|copy| server.drop_db(copy));
}

#[test]
fn selection_is_that_of_pg_dump() {
    let server = Server::start(18);
    server.create_db("whole");
    server.psql("whole", SELECTABLE);
    let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
    let everything = Selection::default;
    let mood = "CREATE TYPE public.mood AS ENUM ('sad', 'ok');";
    let schemas = format!("{mood} CREATE SCHEMA shelf; CREATE SCHEMA other;");
    for (before, options, selection) in [
        ("", vec![], everything()),
        (mood, vec!["-n", "sh*"], Selection { schemas: list(&["sh*"]), ..everything() }),
        (
            "",
            vec!["-n", "public", "-n", "shelf"],
            Selection { schemas: list(&["public", "shelf"]), ..everything() },
        ),
        (
            "CREATE SCHEMA other;",
            vec!["-N", "other"],
            Selection { exclude_schemas: list(&["other"]), ..everything() },
        ),
        (&schemas, vec!["-t", "book"], Selection { tables: list(&["book"]), ..everything() }),
        (&schemas, vec!["-t", "shelf.*"], Selection { tables: list(&["shelf.*"]), ..everything() }),
        (
            &schemas,
            vec!["-t", "*.(board|\"Odd Name\")"],
            Selection { tables: list(&["*.(board|\"Odd Name\")"]), ..everything() },
        ),
        ("", vec!["-T", "shelf.r?ck"], Selection { exclude_tables: list(&["shelf.r?ck"]), ..everything() }),
        (
            mood,
            vec!["-n", "shelf", "-T", "shelf.rack"],
            Selection { schemas: list(&["shelf"]), exclude_tables: list(&["shelf.rack"]), ..everything() },
        ),
    ] {
        check_selection(&server, "whole", before, &selection, &options);
    }
}

#[test]
fn patterns_that_match_nothing_are_errors() {
    let server = Server::start(18);
    server.create_db("whole");
    server.psql("whole", SELECTABLE);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let whole = runtime.block_on(read(&server, "whole"));
    let list = |item: &str| vec![item.to_owned()];
    for (selection, expected) in [
        (Selection { schemas: list("shelv*"), ..Selection::default() }, "shelv*"),
        (Selection { tables: list("board"), ..Selection::default() }, "board"),
        (Selection { exclude_tables: list("Book1"), ..Selection::default() }, "Book1"),
        (
            Selection { tables: list("elsewhere.public.book"), ..Selection::default() },
            "elsewhere.public.book",
        ),
        (Selection { schemas: list("a.b"), ..Selection::default() }, "a.b"),
    ] {
        let error = selection.apply(&whole).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let rows = Selection { exclude_table_data: list("shelf.rack"), ..Selection::default() };
    let options = rows.toc_options(&whole).unwrap();
    assert_eq!(options.without_data.len(), 1);
}

const SELECTABLE: &str = r#"
    CREATE SCHEMA shelf; CREATE SCHEMA other;
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE book (id serial PRIMARY KEY, mood mood, n int GENERATED ALWAYS AS IDENTITY);
    CREATE INDEX ON book (mood);
    CREATE STATISTICS book_stats ON id, n FROM book;
    CREATE TABLE shelf.board (id int PRIMARY KEY, mood public.mood DEFAULT 'ok');
    CREATE TABLE shelf.rack (id bigserial, board int REFERENCES shelf.board);
    CREATE SEQUENCE shelf.free;
    CREATE VIEW shelf.seen AS SELECT id FROM shelf.board;
    CREATE FUNCTION shelf.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE other."Odd Name" ("A" int CHECK ("A" > 0));
    COMMENT ON TABLE other."Odd Name" IS 'odd';
    GRANT SELECT ON shelf.board TO PUBLIC;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shelf GRANT SELECT ON TABLES TO PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO PUBLIC;
    CREATE PUBLICATION pub FOR TABLE book, shelf.board;
    CREATE CAST (mood AS int4) WITH INOUT;
    CREATE EXTENSION hstore SCHEMA other;
    CREATE RULE quiet AS ON INSERT TO book DO ALSO NOTHING;"#;
