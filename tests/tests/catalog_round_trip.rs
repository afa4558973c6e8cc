//! A catalog read from one real server and written to another: `pg_dump` 18 must
//! not see a difference, and neither must our own comparison.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use dbhaul_catalog::{Catalog, Section, Selection, Target, Toc, TocOptions, compare, quote_identifier};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
use dbhaul_tests::{Fixture, Server};
use tokio_util::sync::CancellationToken;

async fn connect(server: &Server, db: &str, role: SessionRole) -> Session {
    let settings = ConnectSettings::resolve(Some(&server.uri(db)), &process_environment).unwrap();
    Session::connect(&settings, role, &CancellationToken::new()).await.unwrap()
}

async fn read(server: &Server, db: &str) -> Catalog {
    let session = connect(server, db, SessionRole::Reader).await;
    let catalog = read_catalog(&session).await.unwrap();
    assert_eq!(catalog.uncovered, Vec::new(), "objects of {db} that the catalog lacks");
    catalog
}

/// Runs every definition of a catalog on an empty database, and fills materialized
/// views from the empty tables; what failed is returned.
async fn write(catalog: &Catalog, server: &Server, db: &str) -> Vec<String> {
    let session = connect(server, db, SessionRole::Loader).await;
    let target = Target { version: session.version() };
    let toc = Toc::build(catalog, &target, &TocOptions::default()).unwrap();
    let mut failures = Vec::new();
    for entry in toc.entries.iter().filter(|entry| entry.section != Section::Data) {
        for statement in entry.create.iter().chain(&entry.set_owner) {
            if let Err(error) = session.execute(statement).await {
                failures.push(format!("{} {}: {error:?}\n    {statement}", entry.kind, entry.name));
            }
        }
    }
    failures
}

fn create_roles(catalog: &Catalog, server: &Server) {
    for role in catalog.role_names.iter().filter(|role| !role.starts_with("pg_")) {
        let sql = format!("CREATE ROLE {} SUPERUSER", quote_identifier(role));
        // A role that is there already is what was wanted.
        let _ = server.try_psql("postgres", &sql);
    }
}

/// Moves the schema of `from`'s database `db` to `to` and compares; what is wrong is returned.
fn problems(from: &Server, db: &str, to: &Server) -> Vec<String> {
    let copy = format!("{db}_{}_copy", from.major());
    to.create_db(&copy);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (source, mut problems) = runtime.block_on(async {
        let source = read(from, db).await;
        create_roles(&source, to);
        let failures = write(&source, to, &copy).await;
        (source, failures)
    });
    let name = format!("{db} from {} to {}", from.major(), to.major());
    let expected = if from.major() == to.major() { schema_text(from, db) } else { reference(from, db, to) };
    problems.extend(text_difference(&name, &expected, &schema_text(to, &copy)));
    let target = runtime.block_on(read(to, &copy));
    problems.extend(compare(&source, &target).differences.iter().map(ToString::to_string));
    problems.iter().map(|problem| format!("{name}: {problem}")).collect()
}

/// What `pg_dump` says of a database that `pg_dump | psql` has moved: a newer
/// major prints some things differently, whoever carried them there.
fn reference(from: &Server, db: &str, to: &Server) -> String {
    let copy = format!("{db}_{}_reference", from.major());
    to.create_db(&copy);
    let dump = from.client("pg_dump").args(["--schema-only", "-d", db]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let mut psql = to.client("psql");
    psql.args(["-Xq", "-o", "/dev/null", "-d", &copy]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut psql = psql.spawn().unwrap();
    psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
    assert!(psql.wait().unwrap().success());
    schema_text(to, &copy)
}

/// What `pg_dump` says of a database. It names the owner of the server's own
/// functions in comments, and carries it no more than we do.
fn schema_text(server: &Server, db: &str) -> String {
    let own = |line: &str| line.starts_with("-- Name: ") && line.contains("; Schema: pg_catalog; Owner: ");
    server.pg_dump_schema(db).lines().filter(|line| !own(line)).map(|line| format!("{line}\n")).collect()
}

fn text_difference(name: &str, left: &str, right: &str) -> Option<String> {
    if left == right {
        return None;
    }
    let dir = std::env::temp_dir().join(format!("dbhaul-{}", name.replace(' ', "-")));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("source.sql"), left).unwrap();
    std::fs::write(dir.join("target.sql"), right).unwrap();
    let first = left.lines().zip(right.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let context =
        |text: &str| text.lines().skip(first.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    Some(format!(
        "pg_dump differs from line {}; both in {}\n--- source\n{}\n--- target\n{}",
        first + 1,
        dir.display(),
        context(left),
        context(right)
    ))
}

fn round_trip(fixture: Fixture, majors: &[(u16, u16)]) {
    let mut found = Vec::new();
    for &(from, to) in majors {
        let source = Server::start(from);
        let target = Server::start(to);
        fixture.load(&source, "moved");
        fixture.prepare_target(&target);
        found.extend(problems(&source, "moved", &target));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const MAJORS: &[(u16, u16)] = &[(13, 13), (15, 15), (18, 18), (15, 16), (13, 18), (17, 18)];

#[test]
fn chinook() {
    round_trip(Fixture::Chinook, MAJORS);
}

#[test]
fn pagila() {
    round_trip(Fixture::Pagila, MAJORS);
}

#[test]
fn sample_shop() {
    round_trip(Fixture::SampleShop { scale: 0.002 }, MAJORS);
}

/// A script of one object of every kind that a server has, made by `pg_dump`'s
/// own tests; statements that a major does not know fail and are passed over.
#[test]
fn every_kind_of_object() {
    let script = test_data().join("object-kinds.sql");
    let newest = Server::start(18);
    let mut found = Vec::new();
    for major in [13, 14, 15, 16, 17, 18] {
        let server = Server::start(major);
        server.create_db("kinds");
        let status =
            server.client("psql").args(["-Xq", "-o", "/dev/null", "-d", "kinds", "-f"]).arg(&script).output();
        assert!(status.unwrap().status.success());
        found.extend(problems(&server, "kinds", &server));
        if major < 18 {
            found.extend(problems(&server, "kinds", &newest));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
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

fn test_data() -> PathBuf {
    std::env::var_os("DBHAUL_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from)
}
