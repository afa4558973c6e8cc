//! Tables partitioned by a hash that is another one on the target: of an enum, which is hashed by the OID of
//! its label. Every row arrives, in whatever partition it belongs to there, and is compared.

use std::collections::BTreeSet;

use dbhaul_tests::{Dbhaul, Server, wait_until};
use tempfile::TempDir;

/// Partitions by hash of an enum, of an array of it, and one level further down.
const MOODS: &str = "
    CREATE TABLE felt (id int, m mood, PRIMARY KEY (id, m)) PARTITION BY HASH (m);
    CREATE TABLE felt_0 PARTITION OF felt FOR VALUES WITH (MODULUS 3, REMAINDER 0);
    CREATE TABLE felt_1 PARTITION OF felt FOR VALUES WITH (MODULUS 3, REMAINDER 1) PARTITION BY HASH (id);
    CREATE TABLE felt_1_0 PARTITION OF felt_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE felt_1_1 PARTITION OF felt_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE felt_2 (m mood NOT NULL, dropped int, id int NOT NULL); ALTER TABLE felt_2 DROP dropped;
    ALTER TABLE felt ATTACH PARTITION felt_2 FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    CREATE TABLE mixed (ms mood[]) PARTITION BY HASH (ms);
    CREATE TABLE mixed_0 PARTITION OF mixed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE steady (id int) PARTITION BY HASH (id);
    CREATE TABLE steady_0 PARTITION OF steady FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE steady_1 PARTITION OF steady FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO felt SELECT i, (enum_range(NULL::mood))[i % 64 + 1] FROM generate_series(1, 4000) i;
    INSERT INTO mixed SELECT ARRAY[(enum_range(NULL::mood))[i % 64 + 1]] FROM generate_series(1, 400) i;
    INSERT INTO steady SELECT generate_series(1, 100);
    CREATE INDEX felt_m ON felt (m); CREATE TABLE note (id int, m mood, FOREIGN KEY (id, m) REFERENCES felt);
    INSERT INTO note SELECT * FROM felt WHERE id < 100";

const ROWS: &str = "SELECT (SELECT md5(string_agg(f::text, ',' ORDER BY id)) FROM felt f), (SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM mixed x)";
const PLACES: &str = "SELECT tableoid::regclass, m, count(*) FROM felt GROUP BY 1, 2 ORDER BY 1, 2";

/// A server whose labels are so many that each partition of the target gets rows of each partition of the source.
fn source(major: u16) -> Server {
    let server = Server::start(major);
    server.create_db("moods");
    let labels: Vec<String> = (0..64).map(|number| format!("'mood {number}'")).collect();
    server.psql("moods", &format!("CREATE TYPE mood AS ENUM ({})", labels.join(", ")));
    server.psql("moods", MOODS);
    server
}

/// A server whose next labels have OIDs of their own.
fn target(major: u16) -> Server {
    let server = Server::start(major);
    server.create_db("moved");
    let labels: Vec<String> = (0..37).map(|number| format!("'{number}'")).collect();
    server.psql("moved", &format!("CREATE TYPE passing AS ENUM ({}); DROP TYPE passing", labels.join(", ")));
    server
}

#[track_caller]
fn assert_moved(source: &Server, target: &Server) {
    assert_eq!(target.psql("moved", ROWS), source.psql("moods", ROWS));
    assert_ne!(target.psql("moved", PLACES), source.psql("moods", PLACES), "the hashes are the same");
    assert_eq!(target.psql("moved", "SELECT count(*) FROM note JOIN felt USING (id, m)"), "99");
    assert_eq!(target.pg_dump_schema("moved"), source.pg_dump_schema("moods"));
}

/// Tables of a report with their verdicts, as text.
fn tables(report: &dbhaul_tests::Finished) -> BTreeSet<String> {
    let report = report.json();
    let tables = report["tables"].as_array().unwrap();
    tables.iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rows_find_their_partitions_in_a_migration() {
    for (from, to) in [(13, 18), (18, 18)] {
        let (source, target) = (source(from), target(to));
        let (from, to) = (source.uri("moods"), target.uri("moved"));
        let sides = ["--source", from.as_str(), "--target", to.as_str()];
        Dbhaul::new(["migrate", "-j", "4"]).args(sides).run().assert_code(0);
        assert_moved(&source, &target);
        let verified = Dbhaul::new(["verify", "--json"]).args(sides).run();
        verified.assert_code(0);
        let names = ["public.felt", "public.mixed", "public.note", "public.steady_0", "public.steady_1"];
        assert_eq!(tables(&verified), BTreeSet::from(names.map(str::to_owned)));
        target.psql("moved", "DELETE FROM note; DELETE FROM felt WHERE id = 7");
        let verified = Dbhaul::new(["verify"]).args(sides).run();
        verified.assert_code(4);
        verified.assert_says("public.felt");
    }
}

#[test]
fn rows_find_their_partitions_in_a_restore_and_a_script() {
    let (source, target) = (source(18), target(18));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let (from, to) = (source.uri("moods"), target.uri("moved"));
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    Dbhaul::new(["restore", "--store", store, "--target", &to]).run().assert_code(0);
    assert_moved(&source, &target);
    Dbhaul::new(["verify", "--store", store, "--target", &to]).run().assert_code(0);
    let script = Dbhaul::new(["dump", "--format", "sql", "--source", &from]).run();
    script.assert_code(0);
    assert!(script.stdout.contains("COPY public.felt (id, m) FROM stdin;"), "{}", script.stdout);
    assert!(script.stdout.contains("COPY public.steady_0 (id) FROM stdin;"), "{}", script.stdout);
}

#[test]
fn rows_are_there_once_after_a_run_was_killed_and_resumed() {
    let (source, target) = (source(18), target(18));
    let (from, to) = (source.uri("moods"), target.uri("moved"));
    let migrate = || Dbhaul::new(["migrate", "-j", "1", "--source", &from, "--target", &to]);
    let mut run = migrate().args(["--max-rate", "20kB"]).spawn();
    wait_until("a partition is loaded", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        let steps = target.try_psql("moved", "SELECT count(*) FROM dbhaul.step WHERE step LIKE 'segment %'");
        steps.is_ok_and(|count| count != "0").then_some(())
    });
    run.kill();
    target.terminate_backends("moved", "%");
    migrate().arg("--resume").run().assert_code(0);
    assert_moved(&source, &target);
}

/// Rows go where they belong on the target even if those of one partition stay behind; without the partition
/// itself they could not.
#[test]
fn parts_of_such_a_table_are_selected_where_that_can_be_right() {
    let (source, target) = (source(18), target(18));
    let (from, to) = (source.uri("moods"), target.uri("moved"));
    let sides = ["--source", from.as_str(), "--target", to.as_str()];
    let torn = ["public.felt_0 is left out, but rows of other partitions of public.felt may belong there"];
    Dbhaul::new(["migrate", "-T", "felt_0"]).args(sides).run().assert_code(1).assert_stderr_has(&torn);
    Dbhaul::new(["preflight", "-T", "felt_0"]).args(sides).run().assert_code(5).assert_says(torn[0]);
    assert_eq!(
        target.psql("moved", "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        "0"
    );

    let less = ["--exclude-table-data", "felt_0", "--exclude-table-data", "note"];
    let done = Dbhaul::new(["migrate"]).args(sides).args(less).run();
    done.assert_code(0)
        .assert_says("rows of public.felt that are left out: on the right all of its rows count");
    let kept = "SELECT count(*) FROM felt WHERE tableoid <> 'felt_0'::regclass";
    assert_eq!(target.psql("moved", "SELECT count(*) FROM felt"), source.psql("moods", kept));
    assert_ne!(target.psql("moved", "SELECT count(*) FROM felt_0"), "0", "no row came to be there");
    Dbhaul::new(["verify"]).args(sides).args(less).run().assert_code(0);
    target.psql("moved", "DELETE FROM felt_0 WHERE id = (SELECT min(id) FROM felt_0)");
    Dbhaul::new(["verify"])
        .args(sides)
        .args(less)
        .run()
        .assert_code(4)
        .assert_says("DIFFERENT     public.felt:");

    target.drop_db("moved");
    target.create_db("moved");
    Dbhaul::new(["migrate"]).args(sides).run().assert_code(0);
    let one = Dbhaul::new(["verify", "-t", "felt_2"]).args(sides).run();
    one.assert_code(4)
        .assert_says("NOT VERIFIED  public.felt_2: which rows of public.felt it holds differs between");
    assert!(!one.stdout.contains("DIFFERENT"), "{one}");
}
