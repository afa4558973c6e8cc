//! Extensions really installed, each in a database as its users have it, moved, and dumped and restored. The
//! judges are the newest `pg_dump`, the servers' hashes, and the extension itself.

use std::path::{Path, PathBuf};

use dbhaul_tests::{Dbhaul, EXTENDED, Finished, Original, Server, ServerBuilder};
use tempfile::TempDir;

/// The database that `cron.database_name` names.
const CRONNED: &str = "cronned";

fn builder() -> ServerBuilder {
    Server::builder(EXTENDED).extensions()
}

fn builder_with_cron() -> ServerBuilder {
    builder().config("shared_preload_libraries", "pg_cron").config("cron.database_name", CRONNED)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/extensions/{name}.sql"))
}

/// Loads `tests/fixtures/extensions/NAME.sql` into a new database.
fn load(server: &Server, name: &str, db: &str) {
    server.create_db(db);
    server.psql_file(db, &script(name), &[]);
}

fn preflight(source: &Server, db: &str, target: &Server, copy: &str) -> Finished {
    Dbhaul::new(["preflight", "--source", &source.uri(db), "--target", &target.uri(copy)]).run()
}

fn migrate(source: &Server, db: &str, target: &Server, copy: &str) -> Finished {
    Dbhaul::new(["migrate", "--source", &source.uri(db), "--target", &target.uri(copy)]).run()
}

fn dump(source: &Server, db: &str, store: &TempDir) -> Finished {
    Dbhaul::new(["dump", "--source", &source.uri(db), "--store"]).arg(store.path()).run()
}

fn restore(store: &TempDir, target: &Server, copy: &str) -> Finished {
    Dbhaul::new(["restore", "--target", &target.uri(copy), "--store"]).arg(store.path()).run()
}

/// Moves the databases of these scripts, and dumps and restores them. Each time the copy must be the original,
/// and give the answers to `questions` that it gives, which may change things.
fn goes_both_ways(databases: &[(&str, &[&str])]) {
    let (source, target) = (builder().start(), builder().start());
    for (name, questions) in databases {
        load(&source, name, name);
        let original = Original::new(&source, name, &target);
        let (moved, restored) = (format!("{name}_moved"), format!("{name}_restored"));
        target.create_db(&moved);
        let ready = preflight(&source, name, &target, &moved);
        ready.assert_code(0);
        assert!(!ready.stdout.contains("will be skipped"), "{name}: {}", ready.stdout);
        migrate(&source, name, &target, &moved).assert_code(0);
        let store = TempDir::new().unwrap();
        dump(&source, name, &store).assert_code(0);
        target.create_db(&restored);
        restore(&store, &target, &restored).assert_code(0);
        for copy in [&moved, &restored] {
            original.assert_equals(copy);
            let (from, to) = (source.uri(name), target.uri(copy));
            Dbhaul::new(["verify", "--source", &from, "--target", &to]).run().assert_code(0);
        }
        original.assert_source_unchanged();
        for question in *questions {
            let wanted = source.psql(name, question);
            for copy in [&moved, &restored] {
                assert_eq!(target.psql(copy, question), wanted, "{question} in {copy}");
            }
        }
    }
}

#[test]
fn postgis() {
    let topology = [
        "SELECT * FROM topology.ValidateTopology('parcels')",
        "SELECT * FROM topology.ValidateTopologyRelation('parcels')",
        "SELECT topology.TopologySummary('parcels')",
        "SELECT id, ST_AsText(land::geometry) FROM owners ORDER BY id",
    ];
    let postgis = [
        "SELECT count(*), min(distance) FROM map.near",
        "SELECT rid, ST_SummaryStats(rast) FROM map.elevation ORDER BY rid",
        "SELECT ST_AsText(ST_Transform('SRID=990001;POINT(1 2)'::geometry, 4326), 6)",
        "SELECT count(*) FROM raster_columns",
        "SELECT count(*) FROM map.within(ST_MakeEnvelope(0, 0, 20, 20, 4326))",
    ];
    goes_both_ways(&[("postgis", &postgis), ("topology", &topology)]);
}

/// The next numbers are asked for as well: these sequences are members of the extension.
#[test]
fn tiger_geocoder() {
    let tiger = [
        "SELECT tiger.get_geocode_setting('debug_geocode_address')",
        "INSERT INTO tiger_data_own.ma_edges (statefp) VALUES ('25') RETURNING gid",
        "INSERT INTO tiger.pagc_lex (seq, word) VALUES (2, 'w') RETURNING id",
    ];
    goes_both_ways(&[("tiger", &tiger)]);
}

#[test]
fn vectors_and_routes() {
    let vector = [
        "SELECT id FROM items ORDER BY embedding <-> '[3, 1, 2]' LIMIT 5",
        "SELECT id FROM items ORDER BY sparse <#> '{1:5}/100', id LIMIT 5",
    ];
    let pgrouting = ["SELECT * FROM route", "SELECT count(*) FROM reachable"];
    goes_both_ways(&[("vector", &vector), ("pgrouting", &pgrouting)]);
}

#[test]
fn partitions_that_an_extension_keeps() {
    let partman = [
        "SELECT partman.run_maintenance()",
        "SELECT count(*) FROM pg_inherits",
        "SELECT partman.check_default()",
    ];
    goes_both_ways(&[("partman", &partman)]);
}

#[test]
fn graphs() {
    let age = [
        "LOAD 'age'; SET search_path = ag_catalog, public; SELECT * FROM cypher('family', \
         $$ MATCH (a:Person)-[:PARENT_OF]->(b) RETURN a.name, b.name $$) AS (a agtype, b agtype)",
        "LOAD 'age'; SET search_path = ag_catalog, public; SELECT * FROM cypher('family', \
         $$ CREATE (p:Person {name: 'New'}) RETURN id(p) $$) AS (id agtype)",
        "SELECT name, namespace FROM ag_catalog.ag_graph ORDER BY 1",
    ];
    goes_both_ways(&[("age", &age)]);
}

/// PostgreSQL itself cannot read the definition that it prints of a view on a graph, so no program carries it.
#[test]
fn a_view_on_a_graph_is_told_beforehand() {
    let (source, target) = (builder().start(), builder().start());
    load(&source, "age", "age");
    source.psql(
        "age",
        "LOAD 'age'; SET search_path = ag_catalog, public;
         CREATE VIEW public.people AS
         SELECT * FROM cypher('family', $$ MATCH (p:Person) RETURN p.name $$) AS (name agtype)",
    );
    target.create_db("moved");
    let ready = preflight(&source, "age", &target, "moved");
    ready.assert_code(0);
    assert!(ready.stdout.contains("will be skipped: VIEW public.people: "), "{}", ready.stdout);
    migrate(&source, "age", &target, "moved").assert_code(3);
}

#[test]
fn tools_of_developers() {
    let pgtap = [
        "SET search_path = tap, public; SELECT * FROM runtests('tests'::name)",
        "SELECT count(*) FROM tests.keys",
    ];
    let hypopg = ["SELECT count(*) FROM advised"];
    goes_both_ways(&[("pgtap", &pgtap), ("hypopg", &hypopg)]);
}

/// Policies on its tables are no members of pg_cron, so that its users may alter them: theirs come along.
#[test]
fn scheduled_jobs() {
    let (source, target) = (builder_with_cron().start(), builder_with_cron().start());
    load(&source, "cron", CRONNED);
    source.psql(
        CRONNED,
        "ALTER POLICY cron_job_policy ON cron.job USING (username = CURRENT_USER OR username = 'nobody');
         CREATE POLICY of_our_own ON cron.job FOR SELECT USING (jobname = 'sweep')",
    );
    let original = Original::new(&source, CRONNED, &target);
    let store = TempDir::new().unwrap();
    dump(&source, CRONNED, &store).assert_code(0);
    for way in ["migrate", "restore"] {
        target.create_db(CRONNED);
        let ready = preflight(&source, CRONNED, &target, CRONNED);
        ready.assert_code(0);
        assert!(!ready.stdout.contains("will be skipped"), "{}", ready.stdout);
        match way {
            "migrate" => migrate(&source, CRONNED, &target, CRONNED).assert_code(0),
            _ => restore(&store, &target, CRONNED).assert_code(0),
        };
        original.assert_equals(CRONNED);
        let next = "SELECT cron.schedule('next', '0 0 30 2 *', 'SELECT 1')";
        assert_eq!(target.psql(CRONNED, next), "4", "after {way}");
        target.drop_db(CRONNED);
    }
}

/// pg_cron can be created in one database of a server, and only where it is preloaded; what it says then is no
/// error of a code of its own.
#[test]
fn where_an_extension_cannot_be_created_nothing_is_ready() {
    let source = builder_with_cron().start();
    load(&source, "cron", CRONNED);
    for (target, copy) in [
        (builder_with_cron().start(), "elsewhere"),
        (builder().start(), CRONNED),
        (builder().start(), "other"),
    ] {
        target.create_db(copy);
        let foretold = preflight(&source, CRONNED, &target, copy);
        foretold.assert_code(5);
        let blocker = "BLOCKER  target  extension pg_cron cannot be created there: ";
        assert!(foretold.stdout.contains(blocker), "{}", foretold.stdout);
        assert!(foretold.stdout.contains("needed by TABLE DATA cron.job"), "{}", foretold.stdout);
        assert!(!foretold.stdout.contains("\nready"), "{}", foretold.stdout);
        let refused = migrate(&source, CRONNED, &target, copy);
        refused.assert_code(1);
        assert!(refused.stderr.contains("extension pg_cron cannot be created there"), "{}", refused.stderr);
        assert_eq!(target.psql(copy, "SELECT count(*) FROM pg_class WHERE relname = 'swept'"), "0");
        let without = Dbhaul::new(["migrate", "--exclude-extension", "pg_cron"])
            .args(["--source", &source.uri(CRONNED), "--target", &target.uri(copy)])
            .run();
        without.assert_code(0);
        assert_eq!(target.psql(copy, "SELECT count(*) FROM swept"), "1");
    }
}
