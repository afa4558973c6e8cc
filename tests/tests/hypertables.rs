//! Databases with TimescaleDB: its catalog and its chunks come as they are, its sessions are told of the restore, and
//! what nobody has tried is refused before anything is changed.

use std::collections::BTreeMap;
use std::path::Path;

use dbhaul_tests::{Dbhaul, EXTENDED, Finished, Server, ServerBuilder, wait_until};
use tempfile::TempDir;

fn builder() -> ServerBuilder {
    Server::builder(EXTENDED)
        .extensions()
        .config("shared_preload_libraries", "timescaledb")
        .config("timescaledb.telemetry_level", "off")
        .config("max_worker_processes", "24")
}

/// The database `metrics`, on a server of its own.
fn source() -> Server {
    let source = builder().start();
    source.create_db("metrics");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/extensions/timescaledb.sql");
    source.psql_file("metrics", &script, &[]);
    source
}

/// What its workers do, and what an installation has for itself.
const OWN: [&str; 4] = [
    "_timescaledb_catalog.bgw_job",
    "_timescaledb_catalog.metadata",
    "_timescaledb_internal.bgw_job_stat",
    "sequence _timescaledb_internal.bgw_job_stat_history_id_seq",
];

fn rows(server: &Server, db: &str) -> BTreeMap<String, String> {
    let mut digests = server.sql_digest(db);
    digests.retain(|name, _| !OWN.iter().any(|own| name.starts_with(own)));
    assert!(digests.len() > 50, "{digests:?}");
    digests
}

const METADATA: &str = "SELECT key, value FROM _timescaledb_catalog.metadata WHERE key <> 'uuid' ORDER BY 1";
const RESTORING: &str = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
                         WHERE d.datname = current_database() AND array_to_string(s.setconfig, ' ') LIKE '%restoring%'";

#[track_caller]
fn assert_moved(source: &Server, target: &Server, copy: &str) {
    assert_eq!(rows(source, "metrics"), rows(target, copy), "{copy}");
    assert_eq!(source.pg_dump_schema("metrics"), target.pg_dump_schema(copy), "{copy}");
    assert_eq!(source.psql("metrics", METADATA), target.psql(copy, METADATA), "{copy}");
    assert_eq!(target.psql(copy, RESTORING), "0", "{copy}");
    assert_eq!(target.psql(copy, "SHOW timescaledb.restoring"), "off", "{copy}");
}

/// What works on it, new chunks and new hypertables among it; the answers must be those of the source.
const USE: [&str; 5] = [
    "INSERT INTO app.conditions (time, device_id) SELECT '2026-01-02 00:07', 4 RETURNING number, note",
    "INSERT INTO app.conditions (time, device_id) SELECT t, 7 FROM generate_series('2026-03-01'::timestamptz,
       '2026-03-09', '1 day') t RETURNING number",
    "CREATE TABLE app.newer (at timestamptz NOT NULL); SELECT create_hypertable('app.newer', 'at')",
    "INSERT INTO app.newer SELECT '2026-01-01'; SELECT show_chunks('app.newer')",
    "SELECT hypertable_name, chunk_name, range_start, range_end, range_start_integer, range_end_integer
     FROM timescaledb_information.chunks ORDER BY 1, 2",
];

fn migrate(source: &Server, target: &Server, copy: &str, options: &[&str]) -> Finished {
    let (from, to) = (source.uri("metrics"), target.uri(copy));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to]).args(options).run()
}

#[test]
fn they_go_all_ways() {
    let (source, target) = (source(), builder().start());
    let from = source.uri("metrics");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    for copy in ["moved", "restored", "scripted", "exported"] {
        target.create_db(copy);
    }
    // one that has the extension already, and nothing in it
    target.psql("restored", "CREATE EXTENSION timescaledb");
    let to = |copy: &str| target.uri(copy);
    Dbhaul::new(["preflight", "--source", &from, "--target", &to("moved")]).run().assert_code(0);
    migrate(&source, &target, "moved", &["-j", "4"])
        .assert_code(0)
        .assert_says("from the beginning of a run to its end the target is in restoring mode");
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    Dbhaul::new(["restore", "--store", store, "--target", &to("restored")]).run().assert_code(0);
    Dbhaul::new(["verify", "--store", store, "--target", &to("restored")]).run().assert_code(0);
    let file = TempDir::new().unwrap();
    let file = file.path().join("metrics.sql");
    for (copy, arguments) in [
        ("scripted", ["dump", "--format=sql", "--source", &from].as_slice()),
        ("exported", &["backup", "export", "--store", store, "--backup=latest"]),
    ] {
        Dbhaul::new(arguments).arg("--file").arg(&file).run().assert_code(0);
        target.psql_file(copy, &file, &[]);
    }
    for copy in ["moved", "restored", "scripted", "exported"] {
        assert_moved(&source, &target, copy);
        Dbhaul::new(["verify", "--source", &from, "--target", &to(copy)]).run().assert_code(0);
        let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'TimescaleDB%Scheduler' AND \
                       datname = current_database()";
        wait_until("its workers are back", || (target.psql(copy, workers) == "1").then_some(()));
    }
    for question in USE {
        let wanted = source.psql("metrics", question);
        for copy in ["moved", "restored", "scripted", "exported"] {
            assert_eq!(target.psql(copy, question), wanted, "{question} in {copy}");
        }
    }
}

/// While a run can be resumed its target is in restoring mode; a run that is resumed ends it.
#[test]
fn a_run_that_stopped_goes_on_and_ends_the_restore() {
    let (source, target) = (source(), builder().start());
    // an index that protects rows and that the target refuses once it has some
    source.psql(
        "metrics",
        "CREATE FUNCTION app.checked(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
           IF current_setting('app.refuse', true) = 'on' THEN RAISE EXCEPTION 'refused'; END IF; RETURN $1; END $$;
         CREATE UNIQUE INDEX on_checked ON app.device (app.checked(id))",
    );
    for copy in ["failed", "killed"] {
        target.create_db(copy);
    }
    target.psql("failed", "ALTER DATABASE failed SET app.refuse = 'on'");
    let failed = migrate(&source, &target, "failed", &["--hold-snapshot"]);
    failed.assert_code(1).assert_stderr_has(&[
        "timescaledb on the target stays in restoring mode",
        "SELECT public.timescaledb_post_restore()",
    ]);
    assert_eq!(target.psql("failed", RESTORING), "1");
    target.psql("failed", "ALTER DATABASE failed RESET app.refuse");
    migrate(&source, &target, "failed", &["--resume"]).assert_code(0);
    assert_moved(&source, &target, "failed");

    let (from, to) = (source.uri("metrics"), target.uri("killed"));
    let sides = ["--source", &from, "--target", &to];
    let mut run = Dbhaul::new(["migrate", "-j", "1", "--max-rate", "20kB"]).args(sides).spawn();
    wait_until("a chunk is loaded", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        let steps = target.try_psql("killed", "SELECT count(*) FROM dbhaul.step WHERE step LIKE 'segment %'");
        steps.is_ok_and(|count| count != "0").then_some(())
    });
    run.kill();
    target.terminate_backends("killed", "%");
    assert_eq!(target.psql("killed", RESTORING), "1");
    migrate(&source, &target, "killed", &["--resume"]).assert_code(0);
    assert_moved(&source, &target, "killed");
}

#[test]
fn what_differs_is_found() {
    let (source, target) = (source(), builder().start());
    target.create_db("moved");
    migrate(&source, &target, "moved", &["--statistics", "copy"]).assert_code(0);
    let (from, to) = (source.uri("metrics"), target.uri("moved"));
    let chunk = target.psql("moved", "SELECT min(c::text) FROM show_chunks('app.ticks') c");
    let faults = [
        (
            "SELECT set_chunk_time_interval('app.empty_yet', interval '2 days')".to_owned(),
            "_timescaledb_catalog.dimension".to_owned(),
        ),
        (format!("DELETE FROM {chunk} WHERE n = 77"), chunk.clone()),
        (format!("DROP TABLE {chunk}"), "_timescaledb_catalog.dimension_slice".to_owned()),
        (
            "DELETE FROM _timescaledb_catalog.hypertable WHERE table_name = 'empty_yet'".to_owned(),
            "_timescaledb_catalog.hypertable".to_owned(),
        ),
    ];
    for (fault, named) in faults {
        target.psql("moved", &fault);
        let found = Dbhaul::new(["verify", "--source", &from, "--target", &to]).run();
        found.assert_code(4);
        let is_named = |line: &str| line.contains(&named) && !line.trim_start().starts_with("equal");
        assert!(found.stdout.lines().any(is_named), "{fault}: no {named} in\n{found}");
    }
}

/// What the source makes use of, how to be rid of it, and what is said of it.
const UNTRIED: [(&str, &str, [&str; 2]); 9] = [
    (
        "INSERT INTO _timescaledb_catalog.tablespace (hypertable_id, tablespace_name) VALUES (2, 'fast disks')",
        "DELETE FROM _timescaledb_catalog.tablespace",
        ["tablespaces attached to hypertables (", "fast disks"],
    ),
    (
        "INSERT INTO _timescaledb_catalog.bgw_job (application_name, schedule_interval, max_runtime, max_retries,
           retry_period, proc_schema, proc_name) VALUES ('Retention [1000]', '1h', '1h', 1, '1h', 'app', 'now_n')",
        "DELETE FROM _timescaledb_catalog.bgw_job WHERE id >= 1000",
        ["jobs or policies (", "Retention [1000]"],
    ),
    (
        "UPDATE _timescaledb_catalog.chunk SET status = 1 WHERE id = 3",
        "UPDATE _timescaledb_catalog.chunk SET status = 0 WHERE id = 3",
        ["compression (the columnstore) or frozen chunks (", "_hyper_1_3_chunk"],
    ),
    (
        "UPDATE _timescaledb_catalog.chunk SET osm_chunk = true WHERE id = 4",
        "UPDATE _timescaledb_catalog.chunk SET osm_chunk = false WHERE id = 4",
        ["tiered storage (", "_hyper_1_4_chunk"],
    ),
    (
        "INSERT INTO _timescaledb_catalog.compression_settings (relid) VALUES ('app.ticks')",
        "DELETE FROM _timescaledb_catalog.compression_settings",
        ["compression (the columnstore) or frozen chunks (", "app.ticks"],
    ),
    (
        "INSERT INTO _timescaledb_catalog.continuous_agg VALUES (1, 2, NULL, 'app', 'by_day', 'a', 'b', 'c', 'd')",
        "DELETE FROM _timescaledb_catalog.continuous_agg",
        ["continuous aggregates (", "app.by_day"],
    ),
    (
        "INSERT INTO _timescaledb_catalog.chunk_column_stats
           (hypertable_id, column_name, range_start, range_end, valid) VALUES (1, 'number', 1, 2, true)",
        "DELETE FROM _timescaledb_catalog.chunk_column_stats",
        ["chunk skipping (", "_timescaledb_catalog.chunk_column_stats"],
    ),
    (
        "CREATE TABLE app.refers (t timestamptz, d int,
           CONSTRAINT to_hyper FOREIGN KEY (t, d) REFERENCES app.conditions (time, device_id))",
        "DROP TABLE app.refers",
        ["foreign keys refer to hypertables (", "to_hyper on app.refers"],
    ),
    (
        "ALTER DATABASE metrics SET timescaledb.restoring = 'on'",
        "ALTER DATABASE metrics RESET timescaledb.restoring",
        ["the database is in restoring mode", "timescaledb_post_restore()"],
    ),
];

/// Refused by every command that reads, each with its object.
#[test]
fn what_was_never_tried_is_refused() {
    let (source, target) = (source(), builder().start());
    target.create_db("moved");
    let (from, to) = (source.uri("metrics"), target.uri("moved"));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    for (make, ..) in UNTRIED {
        source.psql("metrics", make);
    }
    let preflight = Dbhaul::new(["preflight", "--source", &from, "--target", &to]).run();
    preflight.assert_code(5);
    for text in UNTRIED.iter().flat_map(|(_, _, texts)| texts) {
        preflight.assert_says(text);
    }
    for command in [
        ["migrate", "--source", &from, "--target", &to].as_slice(),
        &["dump", "--source", &from, "--store", store],
        &["dump", "--source", &from, "--format", "sql"],
    ] {
        Dbhaul::new(command).run().assert_code(1).assert_says("EXTENSION timescaledb cannot be copied");
    }
    assert_eq!(target.psql("moved", "SELECT count(*) FROM pg_class WHERE relname = 'device'"), "0");
    assert!(!Path::new(store).join("backups").exists());
    for (_, undo, _) in UNTRIED.iter().rev() {
        source.psql("metrics", undo);
    }
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    // of one object alone
    source.psql("metrics", UNTRIED[5].0);
    let dump = Dbhaul::new(["dump", "--source", &from, "--store", store]).run();
    dump.assert_code(1).assert_says("the database uses continuous aggregates (app.by_day)");
}

/// A part of the hypertables is no copy of any.
#[test]
fn parts_of_them_are_refused() {
    let (source, target) = (source(), builder().start());
    let from = source.uri("metrics");
    let stores = TempDir::new().unwrap();
    let store = |name: &str| stores.path().join(name).to_str().unwrap().to_owned();
    let dump = |name: &str| Dbhaul::new(["dump", "--source", &from, "--store", &store(name)]);
    let whole = "hypertables are made of definitions and of rows of its catalog, which only come together";
    let lone = "is a hypertable or a chunk of one, which is nothing without the extension";
    for (option, text) in [
        ("--schema-only", whole),
        ("--data-only", whole),
        ("--section=pre-data", whole),
        ("--table=app.conditions", lone),
        ("--table=app.empty_yet", lone),
        ("--schema=app", lone),
        ("--exclude-extension=timescaledb", lone),
        ("--exclude-table=app.ticks", "it needs app.ticks"),
        (
            "--exclude-table=_timescaledb_internal._hyper_1_3_chunk",
            "it needs _timescaledb_internal._hyper_1_3_chunk",
        ),
        ("--exclude-schema=\"Chunks\"", "it needs \"Chunks\"."),
        ("--exclude-table-data=app.conditions", "it needs app.conditions with all that it holds"),
        ("--exclude-table-data-and-children=app.ticks", "it needs "),
        ("--exclude-table-data=_timescaledb_catalog.dim*", "it needs _timescaledb_catalog.dimension"),
    ] {
        dump("refused").arg(option).run().assert_code(1).assert_says(text);
    }
    assert!(!stores.path().join("refused/backups").exists());
    dump("whole").run().assert_code(0);
    target.create_db("moved");
    let restore = || Dbhaul::new(["restore", "--target", &target.uri("moved"), "--store", &store("whole")]);
    for (option, text) in [
        ("--table=app.conditions", lone),
        ("--schema-only", whole),
        ("--clean", "--clean would drop the extension"),
        ("--allow-non-empty", "--allow-non-empty could mix"),
    ] {
        restore().arg(option).run().assert_code(1).assert_says(text);
    }
    let script = Dbhaul::new(["backup", "export", "--clean", "--backup=latest", "--store", &store("whole")]);
    script.run().assert_code(1).assert_says("--clean would drop the extension");
    // what does without hypertables does without the extension
    restore().args(["-t", "app.plain", "--with-dependencies"]).run().assert_code(0);
    assert_eq!(target.psql("moved", "SELECT count(*) FROM app.plain"), "2");
    assert_eq!(target.psql("moved", "SELECT count(*) FROM pg_extension"), "1");
}

/// The target must let its sessions restore, with the same version.
#[test]
fn what_the_target_lacks_is_told_beforehand() {
    let source = source();
    let other = Server::builder(EXTENDED)
        .extension_file("timescaledb.control", "default_version = '0.9'")
        .extension_file("timescaledb--0.9.sql", "SELECT 1;")
        .start();
    other.create_db("moved");
    other.psql("moved", "CREATE EXTENSION timescaledb");
    let plain = Server::builder(EXTENDED).extensions().start();
    plain.create_db("moved");
    let preloaded = builder().start();
    preloaded.psql("postgres", "CREATE ROLE keeper LOGIN");
    preloaded.psql("postgres", "CREATE DATABASE moved OWNER keeper");
    for (target, user, text) in [
        (
            &other,
            "postgres",
            "extension timescaledb is there in version 0.9, and must have that of the source, '2.31.0'",
        ),
        (&plain, "postgres", "extension timescaledb cannot be created there before the server preloads it"),
        (
            &preloaded,
            "keeper",
            "extension timescaledb cannot be created there: permission denied to set parameter",
        ),
    ] {
        let (from, to) = (source.uri("metrics"), target.uri_as(user, "moved"));
        let preflight = Dbhaul::new(["preflight", "--source", &from, "--target", &to]).run();
        preflight.assert_code(5).assert_says(text);
        let migrated = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
        migrated.assert_code(1).assert_says(text);
        assert_eq!(target.psql("moved", "SELECT count(*) FROM pg_class WHERE relname = 'device'"), "0");
    }
}
