//! Planner statistics, copied or gathered. The judge is the newest `pg_dump --statistics-only`.

use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// A server that gathers no statistics of its own accord.
fn start(major: u16) -> Server {
    Server::builder(major).config("autovacuum", "off").start()
}

fn source(major: u16) -> Server {
    let server = start(major);
    server.create_db("stats");
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/statistics.sql");
    server.psql_file("stats", &fixture, &[]);
    server
}

/// Every statement of `pg_dump --statistics-only`, sorted, without the version that it is from.
fn statistics(server: &Server, db: &str) -> Vec<String> {
    let dump = server.client("pg_dump").args(["--statistics-only", "-d", db]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let text = without_extended(&String::from_utf8(dump.stdout).unwrap());
    let statements = text.split("\nSELECT * FROM ").skip(1);
    let without_version = |statement: &str| -> String {
        let statement = statement.split("\n);\n").next().unwrap();
        statement.lines().filter(|line| !line.contains("'version', ")).collect::<Vec<_>>().join("\n")
    };
    let mut statements: Vec<String> = statements.map(without_version).collect();
    statements.sort();
    assert!(statements.len() > 60, "{} has too few statistics:\n{text}", server.major());
    statements
}

/// A dump without the contents of extended statistics: the newest `pg_dump` carries them, which servers before
/// 19 cannot take; they are gathered.
fn without_extended(dump: &str) -> String {
    let mut statements = dump.split("\nSELECT * FROM ");
    let first = statements.next().unwrap_or_default().to_owned();
    let kept = statements.filter(|statement| !statement.starts_with("pg_catalog.pg_restore_extended_stats("));
    kept.fold(first, |text, statement| text + "\nSELECT * FROM " + statement)
}

/// What a copy by hand has: `pg_dump --statistics | psql`, and as contents of extended statistics
/// cannot be carried, the one table that has some analyzed in between.
fn statistics_by_pg_dump(from: &Server, to: &Server) -> Vec<String> {
    from.copy_by_pg_dump_with("stats", to, "by_pg_dump", &["--no-statistics"]);
    to.psql("by_pg_dump", "ANALYZE \"Odd \"\"schema\".\"It's\"");
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut dump = from.client("pg_dump");
    let dump = dump.args(["--statistics-only", "-d", "stats"]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    std::fs::write(file.path(), without_extended(&String::from_utf8(dump.stdout).unwrap())).unwrap();
    to.psql_file("by_pg_dump", file.path(), &[]);
    statistics(to, "by_pg_dump")
}

#[track_caller]
fn assert_same(what: &str, expected: &[String], found: &[String]) {
    let only = |one: &[String], other: &[String]| -> String {
        one.iter().filter(|text| !other.contains(text)).take(5).map(|text| format!("\n{text}\n")).collect()
    };
    let (missing, extra) = (only(expected, found), only(found, expected));
    assert!(expected == found, "{what}\n--- missing{missing}\n--- too many{extra}");
}

/// Copies by `migrate`, and by `dump` and `restore`.
fn copy_both_ways(source: &Server, target: &Server, suffix: &str) -> [String; 2] {
    let copies = [format!("migrated{suffix}"), format!("restored{suffix}")];
    copies.iter().for_each(|db| target.create_db(db));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let (from, [moved, restored]) = (source.uri("stats"), [target.uri(&copies[0]), target.uri(&copies[1])]);
    for arguments in [
        vec!["migrate", "--statistics", "copy", "--source", &from, "--target", &moved],
        vec!["dump", "--source", &from, "--store", store],
        vec!["restore", "--statistics", "copy", "--store", store, "--target", &restored],
    ] {
        let done = Dbhaul::new(&arguments).run();
        done.assert_code(0);
        assert!(!done.stderr.contains("warning"), "{arguments:?}\n{}", done.stderr);
    }
    copies
}

#[test]
fn copied_to_18_they_are_the_sources() {
    let target = start(18);
    let newest = source(18);
    let expected = statistics(&newest, "stats");
    for db in copy_both_ways(&newest, &target, "") {
        assert_same(&db, &expected, &statistics(&target, &db));
        let extended = target.psql(&db, "SELECT count(*) FROM pg_stats_ext WHERE n_distinct IS NOT NULL");
        assert_eq!(extended, "1", "{db}");
    }
}

#[test]
fn copied_from_older_majors_they_are_what_pg_dump_copies() {
    for major in [13, 15, 17] {
        let (source, target) = (source(major), start(18));
        let expected = statistics_by_pg_dump(&source, &target);
        for db in copy_both_ways(&source, &target, "") {
            assert_same(&format!("{db} from {major}"), &expected, &statistics(&target, &db));
        }
    }
}

/// Before 18 a server cannot be given statistics: tables are analyzed, and the plan says so.
#[test]
fn older_targets_are_analyzed_instead() {
    let (source, target) = (source(15), start(17));
    target.create_db("moved");
    let (from, to) = (source.uri("stats"), target.uri("moved"));
    let migrate = || Dbhaul::new(["migrate", "--statistics", "copy", "--source", &from, "--target", &to]);
    let plan = migrate().arg("--dry-run").run();
    plan.assert_code(0);
    assert!(plan.stdout.contains("tables will be analyzed instead"), "{}", plan.stdout);
    migrate().run().assert_code(0);
    assert_gathered(&target, "moved");
}

/// Tables, partitions, and what stands above both have statistics.
fn assert_gathered(server: &Server, db: &str) {
    let gathered = server.psql(
        db,
        "SELECT string_agg(DISTINCT tablename || CASE WHEN inherited THEN '*' ELSE '' END, ' '
                ORDER BY tablename || CASE WHEN inherited THEN '*' ELSE '' END)
         FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    let expected = "It's child expression' log* log_1* log_1_high log_1_low log_2 parent parent* referring \
                    summary summary_expression unlogged";
    let tables: Vec<&str> = gathered.split(' ').filter(|name| !name.contains("_lower_idx")).collect();
    assert_eq!(tables.join(" "), expected, "on {}", server.major());
}

#[test]
fn gathered_parents_are_included() {
    for (from, to) in [(13, 13), (18, 18)] {
        let (source, target) = (source(from), start(to));
        target.create_db("moved");
        let (from, to) = (source.uri("stats"), target.uri("moved"));
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
        assert_gathered(&target, "moved");
    }
}

/// With `none` there are none, however it is said; nor has a backup any that was made without.
#[test]
fn none_and_not_recorded() {
    let (source, target) = (source(18), start(18));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let from = source.uri("stats");
    let count = |db: &str| {
        target.psql(db, "SELECT count(*) FROM pg_stats WHERE schemaname IN ('public', 'Odd \"schema')")
    };
    for (db, flags) in [("a", vec!["--no-analyze"]), ("b", vec!["--statistics", "none"])] {
        target.create_db(db);
        let to = target.uri(db);
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).args(&flags).run().assert_code(0);
        assert_eq!(count(db), "0", "{flags:?}");
    }
    Dbhaul::new(["dump", "--no-statistics", "--source", &from, "--store", store]).run().assert_code(0);
    target.create_db("c");
    let to = target.uri("c");
    let done = Dbhaul::new(["restore", "--statistics", "copy", "--store", store, "--target", &to]).run();
    done.assert_code(0);
    assert!(done.stderr.contains("the backup holds none"), "{}", done.stderr);
    assert_gathered(&target, "c");
}

/// A selection copies the statistics of what it selects, and rows that stay behind show in none.
#[test]
fn a_selection_copies_its_own() {
    let (source, target) = (source(18), start(18));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let from = source.uri("stats");
    let flags = ["-t", "parent", "-t", "child", "-t", "unlogged", "--exclude-table-data", "unlogged"];
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    for (db, arguments) in
        [("moved", vec!["migrate", "--source", &from]), ("restored", vec!["restore", "--store", store])]
    {
        target.create_db(db);
        let to = target.uri(db);
        let done = Dbhaul::new(&arguments).args(["--statistics", "copy", "--target", &to]).args(flags).run();
        done.assert_code(0);
        let tables = target.psql(
            db,
            "SELECT string_agg(DISTINCT tablename::text, ' ' ORDER BY tablename::text) FROM pg_stats
             WHERE schemaname = 'public'",
        );
        assert_eq!(tables, "child parent", "{db}");
    }
}
