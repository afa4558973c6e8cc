//! Ways in which a copy could be called done and not be: each was found by reading, and stays shut.

use dbhaul_pipeline::{
    AcceptList, BackupRef, Checks, Computed, ConnectSettings, Context, CopyChoice, Dump, DumpReport,
    DumpRequest, Migrate, MigrateReport, MigrateRequest, ParentRef, PipelineError, Restore, RestoreReport,
    RestoreRequest, RoleMap, RoleOptions, RowStore, Selection, Status, StoreUrl, ThrottleOptions,
    VerifyReport, VerifyRequest, VerifySide, WriteOptions, verify,
};
use dbhaul_tests::Server;
use tempfile::TempDir;

fn settings(server: &Server, db: &str) -> ConnectSettings {
    ConnectSettings::resolve(Some(&server.uri(db)), &|_| None).unwrap()
}

fn store_url(store: &TempDir) -> StoreUrl {
    store.path().to_str().unwrap().parse().unwrap()
}

async fn prepare_dump(server: &Server, db: &str, store: &TempDir, selection: Selection) -> Dump {
    try_to_prepare_dump(server, db, store, selection).await.unwrap()
}

async fn try_to_prepare_dump(
    server: &Server,
    db: &str,
    store: &TempDir,
    selection: Selection,
) -> Result<Dump, PipelineError> {
    let request = DumpRequest {
        source: settings(server, db),
        store: store_url(store),
        selection,
        jobs: 2,
        parent: ParentRef::Newest,
        compression_level: 1,
        compression_helpers: 1,
        roles: RoleOptions::RECORDED,
        statistics: true,
        tags: Vec::new(),
        throttle: ThrottleOptions::default(),
        row_store: RowStore::Packs,
    };
    Box::pin(Dump::prepare(request, Context::silent())).await
}

async fn dump(server: &Server, db: &str, store: &TempDir, selection: Selection) -> DumpReport {
    Box::pin(prepare_dump(server, db, store, selection).await.execute()).await.unwrap()
}

async fn restore(server: &Server, db: &str, store: &TempDir, options: WriteOptions) -> RestoreReport {
    let request = RestoreRequest {
        store: store_url(store),
        backup: BackupRef::Latest,
        database: None,
        target: settings(server, db),
        selection: Selection::default(),
        options,
        verify: true,
    };
    let restore = Restore::prepare(request, Context::silent()).await.unwrap();
    Box::pin(restore.execute()).await.unwrap()
}

async fn compare(left: VerifySide, right: VerifySide, selection: Selection) -> VerifyReport {
    let request = VerifyRequest {
        left,
        right,
        selection,
        jobs: 2,
        owners: true,
        privileges: true,
        database: false,
        role_map: RoleMap::default(),
        scratch: dbhaul_pipeline::Scratch::default(),
        mode: dbhaul_pipeline::Mode::usual(),
        shown: dbhaul_pipeline::ShownRows::default(),
        checks: Checks::default(),
        accept: AcceptList::default(),
        repair_sql: None,
        max_seconds: None,
        computed: Computed::default(),
    };
    verify(request, Context::silent()).await.unwrap()
}

fn backup(store: &TempDir) -> VerifySide {
    VerifySide::Backup {
        store: store_url(store),
        backup: BackupRef::Latest,
        database: None,
        rows_were_read: false,
    }
}

/// A table of two segments and some small things.
fn shop(major: u16) -> Server {
    let server = Server::start(major);
    server.create_db("shop");
    server.psql(
        "shop",
        "CREATE TABLE sale (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
         INSERT INTO sale (v) SELECT 'sale ' || i FROM generate_series(1, 1000) i;
         CREATE TABLE log (line text);
         INSERT INTO log SELECT 'line ' || i FROM generate_series(1, 10) i;
         CREATE VIEW sales AS SELECT count(*) FROM sale;
         CREATE MATERIALIZED VIEW sums AS SELECT sum(id) FROM sale",
    );
    server
}

/// To a snapshot, a table that was truncated later is empty, and nothing says so.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_empties_a_table_between_the_snapshot_and_the_reading() {
    for major in [13, 18] {
        let (server, store) = (shop(major), TempDir::new().unwrap());
        let prepared = prepare_dump(&server, "shop", &store, Selection::default()).await;
        for change in ["TRUNCATE sale", "ALTER TABLE sale ALTER v TYPE varchar(100)", "DROP TABLE log"] {
            let refused = server.try_psql("shop", &format!("SET lock_timeout = '50ms'; {change}"));
            assert!(refused.unwrap_err().contains("lock timeout"), "{change}");
        }
        let report = Box::pin(prepared.execute()).await.unwrap();
        assert_eq!(report.totals.digest.row_count, 1010);
        server.psql("shop", "TRUNCATE sale");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_emptied_before_it_was_locked_is_noticed() {
    use dbhaul_catalog::QualifiedName;
    use dbhaul_postgres::SnapshotHolder;
    let server = shop(16);
    let tables = ["sale", "log"].map(|name| QualifiedName::new("public", name));
    for (change, changed) in [
        ("SELECT 1", vec![]),
        ("INSERT INTO sale (v) VALUES ('late')", vec![]),
        ("TRUNCATE sale", vec!["public.sale".to_owned()]),
        ("ALTER TABLE log ALTER line TYPE int USING 1", vec!["public.log".to_owned()]),
    ] {
        let holder = SnapshotHolder::open(&settings(&server, "shop"), &Default::default()).await.unwrap();
        server.psql("shop", change);
        assert_eq!(holder.hold_tables(&tables).await.unwrap(), changed, "{change}");
        holder.release().await.unwrap();
    }
}

/// What was not there to be dropped at first is there when the run is resumed: made by the run itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_clean_restore_drops_nothing_that_it_made() {
    let (server, store) = (shop(17), TempDir::new().unwrap());
    dump(&server, "shop", &store, Selection::default()).await;
    server.create_db("copy");
    server.psql(
        "copy",
        // what is refused only where there are rows is not foretold, and so fails
        "CREATE FUNCTION pg_catalog.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
         DECLARE has_rows bool := false;
         BEGIN
             IF to_regclass('public.sale') IS NOT NULL THEN
                 EXECUTE 'SELECT EXISTS (SELECT FROM public.sale)' INTO has_rows;
             END IF;
             IF has_rows THEN RAISE 'no key today'; END IF;
         END$$;
         CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
             EXECUTE FUNCTION pg_catalog.refuse()",
    );
    let options = WriteOptions { clean: true, ..WriteOptions::default() };
    let first = restore(&server, "copy", &store, options.clone()).await;
    assert_eq!(first.status(), Status::Failed, "{first}");
    server.psql("copy", "DROP EVENT TRIGGER refuse; DROP FUNCTION pg_catalog.refuse()");
    let second = restore(&server, "copy", &store, WriteOptions { resume: true, ..options }).await;
    assert_eq!(second.status(), Status::Done, "{second}");
    assert_eq!(server.psql("copy", "SELECT count(*) FROM sale"), "1000");
    let live = VerifySide::Live(settings(&server, "copy"));
    let report = compare(backup(&store), live, Selection::default()).await;
    assert_eq!(report.status(), Status::Done, "{report}");
}

async fn migrate(from: (&Server, &str), to: (&Server, &str), selection: Selection) -> MigrateReport {
    let request = MigrateRequest {
        checks: Default::default(),
        source: settings(from.0, from.1),
        target: settings(to.0, to.1),
        selection,
        options: WriteOptions::default(),
        verify: true,
        copy_format: CopyChoice::Auto,
        hold: None,
        throttle: ThrottleOptions::default(),
    };
    let migrate = Box::pin(Migrate::prepare(request, Context::silent())).await.unwrap();
    Box::pin(migrate.execute()).await.unwrap()
}

/// Positions of sequences and contents of materialized views are data.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_alone_are_compared_as_such() {
    let server = shop(15);
    server.create_db("copy");
    let selection = Selection { data: false, ..Selection::default() };
    let report = migrate((&server, "shop"), (&server, "copy"), selection).await;
    assert_eq!(report.status(), Status::Done, "{report}");
    assert_eq!(server.psql("copy", "SELECT count(*) FROM sale"), "0");
    let compared = report.verification.unwrap();
    let [rows, database] = compared.not_compared.as_slice() else { panic!("{compared}") };
    assert_eq!(rows, "rows, large objects and positions of sequences, as asked");
    assert!(database.starts_with("properties of the database itself"), "{database}");
    // And the definitions are.
    server.psql("copy", "DROP VIEW sales");
    let selection = Selection { data: false, ..Selection::default() };
    let sides = ["shop", "copy"].map(|db| VerifySide::Live(settings(&server, db)));
    let [left, right] = sides;
    assert_eq!(compare(left, right, selection).await.status(), Status::Different);
}

/// Since 17 an identity column of a partitioned table is one of its partitions too.
#[tokio::test(flavor = "multi_thread")]
async fn identity_columns_of_partitions_are_no_difference_across_majors() {
    let (source, target) = (shop(16), Server::start(18));
    source.psql(
        "shop",
        "CREATE TABLE part (id int GENERATED ALWAYS AS IDENTITY, at int NOT NULL) PARTITION BY RANGE (at);
         CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (9); INSERT INTO part (at) VALUES (3)",
    );
    target.create_db("copy");
    let report = migrate((&source, "shop"), (&target, "copy"), Selection::default()).await;
    assert_eq!(report.status(), Status::Done, "{report}");
    target.psql("copy", "ALTER TABLE part ALTER id DROP IDENTITY");
    let sides =
        [(&source, "shop"), (&target, "copy")].map(|(server, db)| VerifySide::Live(settings(server, db)));
    let [left, right] = sides;
    let report = compare(left, right, Selection::default()).await;
    assert_eq!(report.status(), Status::Different, "{report}");
}

/// A report never stays silent about what it does not cover.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_names_what_no_digest_covers() {
    let (server, store) = (shop(14), TempDir::new().unwrap());
    server.psql("shop", "CREATE TABLE price (net int, gross int GENERATED ALWAYS AS (net * 2) STORED)");
    let selection = Selection { exclude_table_data: vec!["log".to_owned()], ..Selection::default() };
    dump(&server, "shop", &store, selection.clone()).await;
    let live = || VerifySide::Live(settings(&server, "shop"));
    let report = compare(backup(&store), live(), selection).await;
    assert_eq!(report.status(), Status::Done, "{report}");
    let text = report.to_string();
    for expected in ["rows of tables excluded by log", "materialized views", "public.sums", "public.price"] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    // Asked for all rows, it says which ones it cannot know.
    let report = compare(backup(&store), live(), Selection::default()).await;
    assert_eq!(report.status(), Status::Different, "{report}");
    let expected = "NOT VERIFIED  public.log: left: the backup was made without its rows";
    assert!(report.to_string().contains(expected), "{report}");
}

/// One table of a backup, compared: sequences of others are not missing then.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_backup_is_compared_with_that_part() {
    let (server, store) = (shop(18), TempDir::new().unwrap());
    dump(&server, "shop", &store, Selection::default()).await;
    let selection = Selection { tables: vec!["log".to_owned()], ..Selection::default() };
    let report = compare(backup(&store), VerifySide::Live(settings(&server, "shop")), selection).await;
    assert_eq!(report.status(), Status::Done, "{report}");
    assert_eq!((report.report.tables.len(), report.report.compared_sequence_count), (1, 0));
}

/// A run stopped between CREATE DATABASE and the rest has made a database without its settings.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_completes_the_database_it_created() {
    let (server, store) = (shop(17), TempDir::new().unwrap());
    server.psql("shop", "ALTER DATABASE shop SET work_mem = '7MB'; COMMENT ON DATABASE shop IS 'mine'");
    dump(&server, "shop", &store, Selection::default()).await;
    server.psql("postgres", "ALTER DATABASE shop RENAME TO original");
    server.create_db("shop");
    let options = WriteOptions { create: true, resume: true, ..WriteOptions::default() };
    let report = restore(&server, "postgres", &store, options).await;
    assert_eq!(report.status(), Status::Done, "{report}");
    assert_eq!(server.psql("shop", "SELECT count(*) FROM sale"), "1000");
    assert_eq!(server.psql("shop", "SHOW work_mem"), "7MB");
    let comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'";
    assert_eq!(server.psql("shop", comment), "mine");
}

/// A role that the target lacks is no reason to leave a half-made database behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_owner_is_unknown_is_created_and_says_so() {
    let (source, target, store) = (shop(16), Server::start(17), TempDir::new().unwrap());
    source.psql("shop", "CREATE ROLE keeper; ALTER DATABASE shop OWNER TO keeper");
    dump(&source, "shop", &store, Selection::default()).await;
    let options = WriteOptions { create: true, ..WriteOptions::default() };
    let report = restore(&target, "postgres", &store, options).await;
    assert_eq!(report.status(), Status::Skipped, "{report}");
    assert!(report.to_string().contains("OWNER TO keeper"), "{report}");
    assert_eq!(target.psql("shop", "SELECT count(*) FROM sale"), "1000");
}

/// Shapes of rows that a COPY, a digest or a loader may stumble over.
const SHAPES: &str = "
    CREATE TABLE bare ();
    INSERT INTO bare SELECT FROM generate_series(1, 7);
    CREATE TABLE computed (a int GENERATED ALWAYS AS (41 + 1) STORED);
    INSERT INTO computed SELECT FROM generate_series(1, 5);
    CREATE TABLE parent (a int, b text);
    CREATE TABLE child (c date, b text, a int) ;
    ALTER TABLE child INHERIT parent;
    INSERT INTO parent VALUES (1, 'p');
    INSERT INTO child VALUES ('2020-01-01', 'c', 2), (NULL, NULL, NULL);
    CREATE TABLE dropped (gone int, stays text);
    INSERT INTO dropped VALUES (1, '\\N'), (2, E'tab\\tline\\nback\\\\'), (3, ''), (4, NULL);
    ALTER TABLE dropped DROP gone;
    CREATE TABLE \"odd \"\"name\"\" %\" (\"a \"\"b\"\"\" int);
    INSERT INTO \"odd \"\"name\"\" %\" VALUES (1);
    SELECT lo_create(70001);
    SELECT lo_from_bytea(70002, repeat('x', 65536)::bytea);
    SELECT lo_from_bytea(70003, repeat('y', 200001)::bytea);
    SELECT lo_create(70004), lo_put(70004, 1000000, 'far out');
    SELECT lo_from_bytea(70005, 'z')";

/// Everything that was put there, as the server itself prints it. The child's columns
/// by name: as with `pg_dump`, those of its parent stand first in the copy.
const SHAPES_SEEN: &str = "
    SELECT (SELECT count(*) FROM bare), (SELECT sum(a) FROM computed),
        (SELECT string_agg(parent::text, ',' ORDER BY parent::text) FROM ONLY parent),
        (SELECT string_agg(to_jsonb(child)::text, ',' ORDER BY to_jsonb(child)::text) FROM child),
        (SELECT md5(string_agg(coalesce(stays, 'NULL'), '|' ORDER BY stays)) FROM dropped),
        (SELECT string_agg(oid || '=' || length(lo_get(oid)) || '/' || md5(lo_get(oid)), ',' ORDER BY oid)
            FROM pg_largeobject_metadata)";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_shape_arrive() {
    for major in [13, 18] {
        let (server, store) = (Server::start(major), TempDir::new().unwrap());
        server.create_db("shapes");
        server.psql("shapes", SHAPES);
        let expected = server.psql("shapes", SHAPES_SEEN);
        for db in ["restored", "migrated"] {
            server.create_db(db);
        }
        let report = migrate((&server, "shapes"), (&server, "migrated"), Selection::default()).await;
        assert_eq!(report.status(), Status::Done, "{report}");
        assert_eq!(server.psql("migrated", SHAPES_SEEN), expected);
        dump(&server, "shapes", &store, Selection::default()).await;
        let report = restore(&server, "restored", &store, WriteOptions::default()).await;
        assert_eq!(report.status(), Status::Done, "{report}");
        assert_eq!(server.psql("restored", SHAPES_SEEN), expected);
        let live = VerifySide::Live(settings(&server, "restored"));
        let report = compare(backup(&store), live, Selection::default()).await;
        assert_eq!(report.status(), Status::Done, "{report}");
    }
}

/// Two writers and one store, which neither of them has made yet.
#[tokio::test(flavor = "multi_thread")]
async fn dumps_into_one_store_do_not_disturb_each_other() {
    let (server, store) = (shop(18), TempDir::new().unwrap());
    let first = dump(&server, "shop", &store, Selection::default());
    let second = dump(&server, "shop", &store, Selection::default());
    let (first, second) = tokio::join!(first, second);
    assert_ne!(first.backup, second.backup);
    for report in [first, second] {
        let side = VerifySide::Backup {
            store: store_url(&store),
            backup: BackupRef::Id(report.backup),
            database: None,
            rows_were_read: false,
        };
        let live = VerifySide::Live(settings(&server, "shop"));
        let report = compare(side, live, Selection::default()).await;
        assert_eq!(report.status(), Status::Done, "{report}");
    }
}

/// A new identity would turn every backup there into one of a foreign store.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_its_configuration_gets_no_other() {
    let (server, store) = (shop(18), TempDir::new().unwrap());
    dump(&server, "shop", &store, Selection::default()).await;
    std::fs::remove_file(store.path().join("repo.json")).unwrap();
    let refused = try_to_prepare_dump(&server, "shop", &store, Selection::default()).await;
    let error = refused.err().unwrap();
    assert!(error.to_string().contains("no repo.json"), "{error}");
    assert!(!store.path().join("repo.json").exists());
}
