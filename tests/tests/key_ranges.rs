//! Tables that are read by ranges of an integer key: whatever the values and the statistics are, every row
//! is read exactly once.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use dbhaul_catalog::{
    DataColumn, QualifiedName, RangeKey, RelationSize, ServerVersion, TableData, quote_identifier,
};
use dbhaul_exporter::{ExportPlan, Exporter, SegmentRange, TablePlan};
use dbhaul_introspect::{range_keys, read_catalog};
use dbhaul_postgres::{ConnectSettings, Flight, Session, SessionRole, SnapshotHolder};
use dbhaul_rows::{CutParameters, DigestColumn, DigestSpec, RowDigest, TextForm};
use dbhaul_tests::{Dbhaul, Original, Server, wait_until};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

fn settings(server: &Server) -> ConnectSettings {
    ConnectSettings::resolve(Some(&server.uri("shop")), &|_| None).unwrap()
}

/// Tables by the shape of their key; each has an index and rows in the order of the key, as far as that goes.
const SHAPES: &str = "
    CREATE TABLE negative (k int PRIMARY KEY);
    INSERT INTO negative SELECT i - 3000 FROM generate_series(1, 4000) i;
    CREATE TABLE ends (k bigint PRIMARY KEY);
    INSERT INTO ends VALUES (-9223372036854775808), (-9223372036854775807);
    INSERT INTO ends SELECT i * 4600000000000000 FROM generate_series(-1950, 1950) i;
    INSERT INTO ends VALUES (9223372036854775806), (9223372036854775807);
    CREATE TABLE small_ends (k smallint PRIMARY KEY);
    INSERT INTO small_ends SELECT i FROM generate_series(-32768, 32767, 13) i;
    INSERT INTO small_ends VALUES (32767);
    CREATE TABLE sparse (k bigint PRIMARY KEY);
    INSERT INTO sparse SELECT i FROM generate_series(1, 2000) i;
    INSERT INTO sparse SELECT 5000000000000000 + i * 1000000 FROM generate_series(1, 2000) i;
    CREATE TABLE skewed (k int);
    CREATE INDEX ON skewed (k);
    INSERT INTO skewed SELECT i FROM generate_series(1, 20) i;
    INSERT INTO skewed SELECT 21 FROM generate_series(1, 3960) i;
    INSERT INTO skewed SELECT i FROM generate_series(22, 41) i;
    CREATE TABLE duplicate (k int, n int);
    CREATE INDEX ON duplicate (k, n);
    INSERT INTO duplicate SELECT i / 100, i FROM generate_series(1, 4000) i;
    CREATE TABLE holes (k bigint);
    CREATE INDEX ON holes (k NULLS FIRST);
    INSERT INTO holes SELECT CASE WHEN i % 3 > 0 THEN i END FROM generate_series(1, 4000) i;
    CREATE TABLE backwards (\"K \"\"k\"\"\" int);
    CREATE UNIQUE INDEX ON backwards (\"K \"\"k\"\"\" DESC);
    INSERT INTO backwards SELECT -i FROM generate_series(1, 4000) i;
    CREATE TABLE one_value (k int NOT NULL);
    CREATE INDEX ON one_value (k);
    INSERT INTO one_value SELECT 7 FROM generate_series(1, 4000);
    CREATE TABLE nothing_but_null (k int);
    CREATE INDEX ON nothing_but_null (k);
    INSERT INTO nothing_but_null SELECT NULL FROM generate_series(1, 4000);
    CREATE TABLE empty (k int PRIMARY KEY);
    CREATE TABLE scattered (k int PRIMARY KEY);
    INSERT INTO scattered SELECT (i * 7919) % 4001 FROM generate_series(1, 4000) i;
    CREATE TABLE partial (k int);
    CREATE INDEX ON partial (k) WHERE k > 5;
    INSERT INTO partial SELECT i FROM generate_series(1, 4000) i;
    CREATE TABLE hashed (k int);
    CREATE INDEX ON hashed USING hash (k);
    INSERT INTO hashed SELECT i FROM generate_series(1, 4000) i;
    ANALYZE";

/// Written after the statistics were gathered: values beyond all that they know.
const LATER: &str = "
    INSERT INTO negative SELECT i FROM generate_series(-2147483648, -2147480000, 10) i;
    INSERT INTO negative SELECT i FROM generate_series(2147480000, 2147483647, 10) i;
    INSERT INTO skewed VALUES (NULL), (-5), (2147483647);
    INSERT INTO duplicate SELECT NULL, i FROM generate_series(1, 10) i;
    INSERT INTO empty SELECT i FROM generate_series(-500, 500) i;
    DELETE FROM sparse WHERE k < 1000";

async fn session(server: &Server) -> Session {
    Session::connect(&settings(server), SessionRole::Reader, &CancellationToken::new()).await.unwrap()
}

/// Names and OIDs of the tables.
async fn tables(session: &Session) -> BTreeMap<String, u32> {
    let sql = "SELECT relname || ' ' || oid::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let rows = session.query_strings(sql).await.unwrap();
    let split = |row: String| row.rsplit_once(' ').map(|(name, oid)| (name.to_owned(), oid.parse().unwrap()));
    rows.into_iter().filter_map(split).collect()
}

/// A table of one interesting column, cut by its key into about `segments` parts.
fn plan(entry: u32, name: &str, key: &RangeKey, segments: u64) -> TablePlan {
    let column = DataColumn {
        name: key.column.clone().into(),
        type_name: "bigint".into(),
        base_type_name: "bigint".into(),
        base_type_kind: 'b',
    };
    let data = TableData {
        table: QualifiedName::new("public", name),
        root: None,
        columns: vec![column],
        condition: None,
        has_tids: true,
        created_by_toc: true,
        nests_regclass: false,
    };
    let spec = DigestSpec::new(vec![DigestColumn::new(&key.column, "bigint")], TextForm::Raw);
    let size = RelationSize { heap_pages: 100, toast_bytes: 0, estimated_row_count: -1.0 };
    let segment_bytes = size.heap_pages * dbhaul_exporter::PAGE_BYTES / segments;
    TablePlan::table(entry, data, spec, size, ServerVersion::of_major(13), segment_bytes)
        .cut_by_key(key, segment_bytes)
}

async fn digest(session: &Session, table: &TablePlan, name: &str) -> RowDigest {
    let sql = table.digest_spec.sql_query(&QualifiedName::new("public", name).sql());
    let row = session.query_rows(&sql).await.unwrap().remove(0);
    format!("{}:{}", row[0].as_ref().unwrap(), row[1].as_ref().unwrap()).parse().unwrap()
}

/// Reads every segment of every table, each with its own COPY; returns what was read, table by table.
async fn read_all(exporter: &Exporter) -> Vec<RowDigest> {
    let mut found = Vec::new();
    for table in &exporter.plan().tables {
        let mut digest = RowDigest::default();
        for segment in 0..table.segments.len() as u32 {
            let rows = exporter.open_segment(table.entry, segment).await.unwrap();
            let chunks: Vec<_> = rows.chunks.try_collect().await.unwrap();
            chunks.iter().for_each(|chunk| digest.merge(chunk.digest));
        }
        found.push(digest);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shape_of_keys_loses_or_doubles_a_row() {
    for major in [13, 18] {
        let server = Server::start(major);
        server.create_db("shop");
        server.psql("shop", SHAPES);
        let asking = session(&server).await;
        let names = tables(&asking).await;
        let catalog = read_catalog(&asking).await.unwrap();
        let oids: Vec<u32> = names.values().copied().collect();
        let flight = Flight::new(&asking);
        let keys = flight.run(range_keys(&flight, &catalog, &oids)).await.unwrap();
        server.psql("shop", LATER);
        let mut plans = Vec::new();
        let mut cut = Vec::new();
        for (name, oid) in &names {
            let Some(key) = keys.get(oid) else { continue };
            for segments in [2, 7, 40] {
                let plan = plan(plans.len() as u32, name, key, segments);
                if plan.segments.len() > 1 {
                    cut.push(name.as_str());
                }
                plans.push((name.clone(), plan));
            }
        }
        cut.dedup();
        let expected =
            ["backwards", "duplicate", "ends", "holes", "negative", "skewed", "small_ends", "sparse"];
        assert_eq!(cut, expected, "{major}");
        let holder =
            Arc::new(SnapshotHolder::open(&settings(&server), &CancellationToken::new()).await.unwrap());
        let plan = Arc::new(ExportPlan { tables: plans.iter().map(|(_, plan)| plan.clone()).collect() });
        let (cut, cancel) = (CutParameters::fixed(4096), CancellationToken::new());
        let exporter = Exporter::new(plan, settings(&server), Arc::clone(&holder), 2, cut, cancel);
        let mut expected = Vec::new();
        for (name, plan) in &plans {
            expected.push(digest(&asking, plan, name).await);
        }
        // what is written now is none of the snapshot's
        server
            .psql("shop", "INSERT INTO holes SELECT i FROM generate_series(-50, 9000) i; DELETE FROM skewed");
        let found = read_all(&exporter).await;
        for ((found, expected), (name, plan)) in found.iter().zip(&expected).zip(&plans) {
            assert_eq!(found, expected, "{name} in {} segments on {major}", plan.segments.len());
        }
        exporter.close().await;
    }
}

/// Rows so fat that a few make a table worth cutting.
const LARGE: &str = "
    CREATE TABLE large (id int, filling text) WITH (fillfactor = 10);
    ALTER TABLE large ALTER filling SET STORAGE PLAIN;
    INSERT INTO large SELECT CASE WHEN i % 100 > 0 THEN i - 9000 END, repeat('x', 4000) FROM generate_series(1, 18000) i;
    CREATE INDEX ON large (id);
    ANALYZE";

#[test]
fn a_large_table_of_13_is_read_in_ranges_of_its_key() {
    let (source, target) = (Server::start(13), Server::start(17));
    source.create_db("shop");
    source.psql("shop", LARGE);
    let (from, to) = (source.uri("shop"), target.uri("copy"));
    target.create_db("copy");
    let run = || Dbhaul::new(["migrate", "--source", &from, "--target", &to]);
    run().args(["--dry-run", "--jobs", "2"]).run().assert_code(0).assert_says("4 segments public.large");
    let original = Original::new(&source, "shop", &target);
    run().args(["--jobs", "2"]).run().assert_code(0);
    original.assert_rows_equal("copy");
}

/// As many rows, with negative, sparse, duplicate and NULL keys, and an index that does not know of some:
/// they were written while it took nothing in, as an index does that a crash or a new collation has broken.
const BROKEN: &str = "
    CREATE TABLE large (id bigint, filling text) WITH (fillfactor = 10);
    ALTER TABLE large ALTER filling SET STORAGE PLAIN;
    INSERT INTO large SELECT CASE WHEN i % 100 = 0 THEN NULL WHEN i % 7 = 0 THEN 42 ELSE (i - 9000)::bigint * 1000003 END,
        repeat('x', 4000) FROM generate_series(1, 18000) i;
    CREATE INDEX large_id ON large (id);
    ANALYZE;
    UPDATE pg_index SET indisready = false WHERE indexrelid = 'large_id'::regclass;
    INSERT INTO large SELECT i::bigint * 100000000, 'unknown to the index' FROM generate_series(-90, 90) i;
    INSERT INTO large SELECT NULL, 'unknown to the index' FROM generate_series(1, 10);
    UPDATE pg_index SET indisready = true WHERE indexrelid = 'large_id'::regclass";

/// Waits inside the target for a range to be in, and then keeps others from beginning.
const HOLD_BACK: &str = "
    SET application_name = 'holds back';
    DO $$ DECLARE range_count int := 0; BEGIN
        WHILE range_count = 0 LOOP
            PERFORM pg_sleep(0.001);
            IF EXISTS (SELECT FROM pg_tables WHERE schemaname = 'dbhaul' AND tablename = 'step') THEN
                EXECUTE $q$ SELECT count(*) FROM dbhaul.step WHERE step LIKE 'segment %' $q$ INTO range_count;
            END IF;
        END LOOP;
        LOCK TABLE dbhaul.step IN SHARE MODE;
        PERFORM pg_sleep(600);
    END $$";

/// A run that is killed when some ranges are in and others are not.
fn kill_between_ranges(run: Dbhaul, target: &Server) {
    let mut psql = target.client("psql");
    psql.args(["-Xq", "-d", "copy", "-c", HOLD_BACK]).stderr(std::process::Stdio::null());
    let mut psql = psql.spawn().unwrap();
    let mut run = run.args(["--jobs", "1", "--progress", "json"]).spawn();
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND granted \
                AND relation = to_regclass('dbhaul.step')";
    wait_until("others are held back", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        (target.psql("copy", held) == "1").then_some(())
    });
    let some = "SELECT count(*) BETWEEN 1 AND 3 FROM dbhaul.step WHERE step LIKE 'segment %'";
    assert_eq!(target.psql("copy", some), "t");
    run.kill();
    let let_go =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holds back'";
    target.psql("postgres", let_go);
    psql.wait().unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'copy'";
    wait_until("no session is left", || (target.psql("postgres", sessions) == "0").then_some(()));
}

#[test]
fn ranges_go_on_after_a_kill_and_do_not_believe_the_index() {
    let source = Server::builder(13).config("autovacuum", "off").start();
    let target = Server::start(18);
    source.create_db("shop");
    source.psql("shop", BROKEN);
    let by = |setting: &str| {
        source.psql("shop", &format!("{setting}; SELECT count(*) FROM large WHERE id >= -100000000000"))
    };
    let by_index = by("SET enable_seqscan = off; SET enable_bitmapscan = off");
    assert_ne!(
        by_index,
        by("SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off")
    );
    let original = Original::new(&source, "shop", &target);
    let store = tempfile::TempDir::new().unwrap();
    let (from, to, store) = (source.uri("shop"), target.uri("copy"), store.path().display().to_string());
    // a range is read again, and is what it was as far as it had got
    let dump = ["dump", "--source", &from, "--store", &store, "--jobs", "2", "--progress", "json"];
    let mut dump = Dbhaul::new(dump).args(["--max-rate", "40MB"]).spawn();
    wait_until("a range is being read", || {
        assert!(!dump.has_ended(), "{}", dump.stderr_so_far());
        (source.terminate_backends("shop", "COPY (SELECT%") > 0).then_some(())
    });
    dump.wait().assert_code(0).assert_stderr_has(&["reading the segment again"]);
    for command in [["migrate", "--source", &from], ["restore", "--store", &store]] {
        let run = || Dbhaul::new(command).args(["--target", &to]);
        target.create_db("copy");
        kill_between_ranges(run(), &target);
        run().args(["--resume", "--jobs", "2"]).run().assert_code(0).assert_says("found done: ");
        original.assert_rows_equal("copy");
        target.drop_db("copy");
    }
}

/// Bounds are SQL of their own: names are quoted, and the type of the column does not matter.
#[test]
fn a_plan_by_keys_says_so() {
    let key = RangeKey { column: "I d".to_owned(), histogram: (0..=100).collect(), ..RangeKey::default() };
    let table = plan(1, "T", &key, 4);
    assert!(table.segments.len() >= 3);
    for segment in &table.segments {
        assert!(matches!(&segment.range, SegmentRange::Keys { column, .. } if column == "I d"));
        let sql = table.copy_sql(segment, dbhaul_rows::CopyFormat::Text);
        assert!(sql.contains(&format!("FROM ONLY public.\"T\" WHERE {}", quote_identifier("I d"))), "{sql}");
    }
}

/// A column that was made NOT NULL since may have been NULL in rows that the snapshot sees.
#[tokio::test]
async fn whether_a_key_may_be_null_is_as_the_snapshot_has_it() {
    let server = Server::start(13);
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE filled (k int, l int NOT NULL);
         CREATE INDEX ON filled (k);
         CREATE TABLE kept (k int NOT NULL);
         CREATE INDEX ON kept (k);
         INSERT INTO filled SELECT NULLIF(i, 7), i FROM generate_series(1, 4000) i;
         INSERT INTO kept SELECT i FROM generate_series(1, 4000) i;
         ANALYZE",
    );
    let asking = session(&server).await;
    let catalog = read_catalog(&asking).await.unwrap();
    server.psql("shop", "UPDATE filled SET k = -1 WHERE k IS NULL; ALTER TABLE filled ALTER k SET NOT NULL");
    let names = tables(&asking).await;
    let oids: Vec<u32> = names.values().copied().collect();
    let flight = Flight::new(&asking);
    let keys = flight.run(range_keys(&flight, &catalog, &oids)).await.unwrap();
    assert!(keys[&names["filled"]].is_nullable);
    assert!(!keys[&names["kept"]].is_nullable);
}
