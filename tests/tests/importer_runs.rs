//! The importer against real servers: exactly once, resumable, refusing, and honest about what failed.

#[path = "importer/again.rs"]
mod again;
#[path = "importer/shop.rs"]
mod shop;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dbhaul_catalog::{EntryKind, Section};
use dbhaul_importer::{
    Blocker, Cause, ImportError, ImportOptions, ImportOutcome, ImportPlan, Part, check_target, import, plan,
};
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::{Event, Progress, Recorder};
use dbhaul_tests::Server;
use shop::{Rows, Source, TocBuilder};
use tokio_util::sync::CancellationToken;

const SEGMENTS: u32 = 6;

fn options() -> ImportOptions {
    let mut options = ImportOptions::new("01JTESTRUN", "backup one");
    options.jobs = 3;
    options.retry.first_pause = std::time::Duration::from_millis(5);
    options
}

fn settings(server: &Server) -> ConnectSettings {
    ConnectSettings::resolve(Some(&server.uri("shop")), &|_| None).unwrap()
}

fn target(major: u16) -> Server {
    let server = Server::start(major);
    server.create_db("shop");
    server
}

async fn run(server: &Server, plan: ImportPlan, rows: &Arc<Rows>) -> Result<ImportOutcome, ImportError> {
    import(
        plan,
        &settings(server),
        Arc::new(Source(rows.clone())),
        &Progress::silent(),
        &CancellationToken::new(),
    )
    .await
}

fn schemas(server: &Server) -> String {
    server.psql(
        "shop",
        "SELECT string_agg(nspname, ',' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information)'",
    )
}

fn blockers(error: ImportError) -> Vec<Blocker> {
    match error {
        ImportError::Blocked { blockers, .. } => blockers,
        other => panic!("{other}"),
    }
}

/// A table of six segments with a key, an index and a comment on the index.
fn sales() -> (TocBuilder, u32) {
    let mut toc = TocBuilder::default();
    let table = toc.table("sale", "CREATE TABLE public.sale (id bigint, v text)");
    let rows = toc.rows("sale", table);
    toc.add(
        Section::PostData,
        EntryKind::Constraint,
        "sale sale_pkey",
        &[table, rows],
        &["ALTER TABLE ONLY public.sale ADD CONSTRAINT sale_pkey PRIMARY KEY (id)"],
    );
    let index = toc.add(
        Section::PostData,
        EntryKind::Index,
        "sale_v_idx",
        &[table, rows],
        &["CREATE INDEX sale_v_idx ON public.sale USING btree (v)"],
    );
    toc.add(
        Section::PostData,
        EntryKind::Comment,
        "INDEX sale_v_idx",
        &[index],
        &["COMMENT ON INDEX public.sale_v_idx IS 'by value'"],
    );
    (toc, rows)
}

fn assert_sales_arrived(server: &Server, rows: &Rows, outcome: &ImportOutcome) {
    assert!(outcome.is_complete(), "{:?} {:?}", outcome.failed, outcome.skipped);
    assert_eq!(outcome.tables.len(), 1);
    let on_server = server.psql("shop", &rows.spec().sql_query("public.sale")).replace('|', ":");
    assert_eq!(outcome.tables[0].digest.to_string(), on_server);
    assert_eq!(outcome.tables[0].digest, rows.digest(SEGMENTS));
    assert_eq!(schemas(server), "public", "the ledger is gone");
    let indexes =
        "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'";
    assert_eq!(server.psql("shop", indexes), "sale_pkey,sale_v_idx");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_several_transactions_end_visible_to_all_where_a_foreign_key_reads_them() {
    let server = target(16);
    let (mut toc, entry) = sales();
    let rows = Arc::new(Rows::new(2_000));
    let segments = [rows.segments(entry, SEGMENTS)];
    let unlinked = plan(sales().0.into_toc(), &segments, options()).unwrap();
    assert!(!format!("{unlinked}").contains("VACUUM"), "{unlinked}");
    let (sale, sale_key) = (entry - 1, entry + 1);
    let refund = toc.table("refund", "CREATE TABLE public.refund (sale bigint)");
    toc.add(
        Section::PostData,
        EntryKind::ForeignKey,
        "refund refund_sale_fkey",
        &[refund, sale, sale_key],
        &["ALTER TABLE ONLY public.refund ADD CONSTRAINT refund_sale_fkey \
           FOREIGN KEY (sale) REFERENCES public.sale (id)"],
    );
    let plan = plan(toc.into_toc(), &segments, options()).unwrap();
    assert!(format!("{plan}").contains("1 VACUUM ANALYZE"), "{plan}");
    let outcome = run(&server, plan, &rows).await.unwrap();
    assert_sales_arrived(&server, &rows, &outcome);
    // what a foreign key's validation by index-only scans depends on; a table that several sessions
    // extend may have empty pages besides
    let visible = "SELECT relallvisible >= (SELECT count(DISTINCT (ctid::text::point)[0]) FROM sale) \
                   FROM pg_class WHERE relname = 'sale'";
    assert_eq!(server.psql("shop", visible), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_backends_cost_no_row_and_double_none() {
    let server = Arc::new(target(18));
    let (toc, entry) = sales();
    let rows = Arc::new(Rows::new(2_000));
    let killer = server.clone();
    // the first time each segment is opened, its session is killed with part of its rows sent
    rows.on_first_chunk(move |_, opened| {
        if opened == 1 {
            killer.terminate_backends("shop", "COPY public.sale%");
        }
    });
    let plan = plan(toc.into_toc(), &[rows.segments(entry, SEGMENTS)], options()).unwrap();
    let outcome = run(&server, plan, &rows).await.unwrap();
    assert!(outcome.retried_attempts >= u64::from(SEGMENTS), "{}", outcome.retried_attempts);
    assert_sales_arrived(&server, &rows, &outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_resumed_where_it_stopped() {
    let server = target(15);
    let (toc, entry) = sales();
    let (toc, rows) = (toc.into_toc(), Arc::new(Rows::new(500)));
    let segments = [rows.segments(entry, SEGMENTS)];
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    rows.on_first_chunk(move |segment, _| {
        if segment == 4 {
            canceller.cancel();
        }
    });
    let mut one_job = options();
    one_job.jobs = 1;
    let first = plan(toc.clone(), &segments, one_job.clone()).unwrap();
    let ended =
        import(first, &settings(&server), Arc::new(Source(rows.clone())), &Progress::silent(), &cancel).await;
    assert!(ended.unwrap_err().is_cancelled());
    assert_eq!(schemas(&server), "dbhaul,public");
    assert_eq!(server.psql("shop", "SELECT count(*) FROM public.sale"), "2000", "four segments stay");

    rows.on_first_chunk(|_, _| {});
    let without_resume = run(&server, plan(toc.clone(), &segments, one_job.clone()).unwrap(), &rows).await;
    let found = blockers(without_resume.unwrap_err());
    assert!(matches!(&found[0], Blocker::Unfinished { run, .. } if run == "01JTESTRUN"), "{found:?}");

    let mut other = one_job.clone();
    (other.resume, other.source_fingerprint) = (true, "backup two".to_owned());
    let other_source = run(&server, plan(toc.clone(), &segments, other).unwrap(), &rows).await;
    assert!(matches!(blockers(other_source.unwrap_err())[0], Blocker::OtherSource { .. }));

    let mut resuming = options();
    (resuming.resume, resuming.run) = (true, "01JANOTHER".to_owned());
    let outcome = run(&server, plan(toc, &segments, resuming).unwrap(), &rows).await.unwrap();
    assert_eq!(outcome.run, "01JTESTRUN", "a resumed run keeps its name");
    assert!(outcome.resumed_steps >= 5, "{}", outcome.resumed_steps);
    assert_eq!(rows.opened_count(0), 1, "what was committed is not read again");
    assert_sales_arrived(&server, &rows, &outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_empty_is_refused_and_left_alone() {
    let server = target(16);
    server.psql("shop", "CREATE TABLE public.precious (i int)");
    let (toc, entry) = sales();
    let rows = Arc::new(Rows::new(10));
    let plan = plan(toc.into_toc(), &[rows.segments(entry, SEGMENTS)], options()).unwrap();
    let report = check_target(&plan, &settings(&server), &CancellationToken::new()).await.unwrap();
    assert_eq!(report.object_count, 1);
    let error = run(&server, plan, &rows).await.unwrap_err();
    assert!(error.to_string().contains("table public.precious"), "{error}");
    assert!(matches!(blockers(error)[0], Blocker::NotEmpty { count: 1, .. }));
    assert_eq!(schemas(&server), "public");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_index_stops_nothing_else_and_can_be_resumed() {
    let server = target(17);
    let (mut toc, entry) = sales();
    let unique = toc.add(
        Section::PostData,
        EntryKind::Index,
        "sale_unique",
        &[1, entry],
        &["CREATE UNIQUE INDEX sale_unique ON public.sale USING btree ((id % 7))"],
    );
    toc.add(
        Section::PostData,
        EntryKind::Comment,
        "INDEX sale_unique",
        &[unique],
        &["COMMENT ON INDEX public.sale_unique IS 'never'"],
    );
    let (toc, rows) = (toc.into_toc(), Arc::new(Rows::new(100)));
    let segments = [rows.segments(entry, SEGMENTS)];
    let outcome = run(&server, plan(toc.clone(), &segments, options()).unwrap(), &rows).await.unwrap();
    assert_eq!(outcome.failed.len(), 1);
    let failed = &outcome.failed[0];
    assert_eq!(failed.subject.to_string(), "INDEX public.sale_unique");
    let is_of_values = |state: &Option<String>| state.as_deref() == Some("23505");
    assert!(matches!(&failed.cause, Cause::Failed { sqlstate, .. } if is_of_values(sqlstate)), "{failed:?}");
    assert_eq!(outcome.skipped.len(), 1, "{:?}", outcome.skipped);
    let needs = Cause::NotMade { on: "INDEX public.sale_unique".to_owned() };
    assert_eq!(outcome.skipped[0].cause, needs, "{:?}", outcome.skipped);
    assert_eq!(outcome.tables.len(), 1);
    assert_eq!(outcome.ledger_schema.as_deref(), Some("dbhaul"));
    let comment = "SELECT obj_description('public.sale_v_idx'::regclass)";
    assert_eq!(server.psql("shop", comment), "by value", "the other index and its comment are there");

    server.psql("shop", "DELETE FROM public.sale WHERE id >= 7");
    let mut resuming = options();
    resuming.resume = true;
    let outcome = run(&server, plan(toc, &segments, resuming).unwrap(), &rows).await.unwrap();
    assert!(outcome.is_complete(), "{:?} {:?}", outcome.failed, outcome.skipped);
    assert_eq!(outcome.ledger_schema, None);
    assert_eq!(server.psql("shop", "SELECT obj_description('public.sale_unique'::regclass)"), "never");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_fails_its_table_and_names_the_line() {
    let server = target(18);
    let mut toc = TocBuilder::default();
    let bad = toc.table("bad", "CREATE TABLE public.bad (id bigint CHECK (id < 150), v text)");
    let bad_rows = toc.rows("bad", bad);
    toc.add(
        Section::PostData,
        EntryKind::Index,
        "bad_idx",
        &[bad, bad_rows],
        &["CREATE INDEX bad_idx ON public.bad (v)"],
    );
    let good = toc.table("good", "CREATE TABLE public.good (id bigint, v text)");
    let good_rows = toc.rows("good", good);
    let rows = Arc::new(Rows::new(100));
    let segments = [rows.segments(bad_rows, 2), rows.segments(good_rows, 2)];
    let outcome = run(&server, plan(toc.into_toc(), &segments, options()).unwrap(), &rows).await.unwrap();
    assert_eq!(outcome.failed.len(), 1);
    let failed = &outcome.failed[0];
    assert_eq!((failed.subject.to_string().as_str(), failed.segment), ("TABLE DATA public.bad", Some(1)));
    assert!(failed.cause.to_string().contains("COPY bad, line 51"), "{}", failed.cause);
    assert_eq!(outcome.tables.iter().map(|table| table.table.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(outcome.skipped.iter().any(|skipped| skipped.subject.to_string() == "INDEX public.bad_idx"));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_are_missing_are_named_and_the_rest_is_granted() {
    let server = target(14);
    server.psql("shop", "CREATE ROLE reader");
    let mut toc = TocBuilder::default();
    let table = toc.table("t", "CREATE TABLE public.t (i int)");
    toc.owned_by(table, "ghost", "ALTER TABLE public.t OWNER TO ghost");
    toc.add(
        Section::PostData,
        EntryKind::Acl,
        "TABLE t",
        &[table],
        &["GRANT SELECT ON TABLE public.t TO ghost", "GRANT SELECT ON TABLE public.t TO reader"],
    );
    let plan = plan(toc.into_toc(), &[], options()).unwrap();
    let outcome = run(&server, plan, &Arc::new(Rows::new(1))).await.unwrap();
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    let skipped: Vec<String> = outcome.skipped.iter().map(|skipped| skipped.subject.to_string()).collect();
    assert_eq!(skipped, ["TABLE public.t", "ACL TABLE t"]);
    let ghost = Cause::MissingRole { role: "ghost".to_owned() };
    assert!(outcome.skipped.iter().all(|skipped| skipped.cause == ghost), "{:?}", outcome.skipped);
    let parts: Vec<Part> = outcome.skipped.iter().map(|skipped| skipped.part).collect();
    assert_eq!(parts, [Part::Owner, Part::Privileges]);
    assert_eq!(server.psql("shop", "SELECT has_table_privilege('reader', 'public.t', 'SELECT')"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_schema_dbhaul_and_an_event_trigger_that_forbids_everything() {
    let server = target(13);
    let mut toc = TocBuilder::default();
    toc.add(Section::PreData, EntryKind::Schema, "dbhaul", &[], &["CREATE SCHEMA dbhaul"]);
    let function = toc.add(
        Section::PreData,
        EntryKind::Function,
        "forbid()",
        &[],
        &["CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'forbidden'; END $$"],
    );
    toc.add(
        Section::PostData,
        EntryKind::EventTrigger,
        "forbidding",
        &[function],
        &["CREATE EVENT TRIGGER forbidding ON sql_drop EXECUTE FUNCTION public.forbid()"],
    );
    let plan = plan(toc.into_toc(), &[], options()).unwrap();
    let outcome = run(&server, plan, &Arc::new(Rows::new(1))).await.unwrap();
    assert!(outcome.is_complete(), "{:?} {:?}", outcome.failed, outcome.skipped);
    assert_eq!(schemas(&server), "dbhaul,public");
    assert_eq!(server.psql("shop", "SELECT evtname FROM pg_event_trigger"), "forbidding");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_put_by_pages() {
    let server = target(18);
    let mut toc = TocBuilder::default();
    let object = toc.add(
        Section::PreData,
        EntryKind::LargeObject,
        "4711",
        &[],
        &["SELECT pg_catalog.lo_create('4711')"],
    );
    let blobs = toc.large_objects(object);
    let rows = Arc::new(Rows::pages(4711, 3));
    let plan = plan(toc.into_toc(), &[rows.segments(blobs, 1)], options()).unwrap();
    let outcome = run(&server, plan, &rows).await.unwrap();
    assert!(outcome.is_complete(), "{:?}", outcome.failed);
    assert_eq!(outcome.large_objects.map(|digest| digest.row_count), Some(3));
    let expected =
        "SELECT lo_get(4711) = decode(repeat('00', 2048) || repeat('01', 2048) || repeat('02', 2048), 'hex')";
    assert_eq!(server.psql("shop", expected), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_target_loses_no_row() {
    let mut server = target(17);
    let (toc, entry) = sales();
    let (toc, rows) = (toc.into_toc(), Arc::new(Rows::new(200)));
    let segments = [rows.segments(entry, SEGMENTS)];
    let (paused, resume) = rows.pause_at(3);
    let mut first = options();
    (first.jobs, first.retry.max_attempts) = (1, 12);
    let plan_of_first = plan(toc.clone(), &segments, first).unwrap();
    let target_settings = settings(&server);
    let source = Arc::new(Source(rows.clone()));
    let running = tokio::spawn(async move {
        import(plan_of_first, &target_settings, source, &Progress::silent(), &CancellationToken::new()).await
    });
    paused.await.unwrap();
    server = tokio::task::spawn_blocking(move || {
        server.crash();
        server
    })
    .await
    .unwrap();
    resume.send(()).unwrap();
    // commits do not wait for the disk: what the crash took back is known only to a run that resumes
    let stopped = running.await.unwrap().map(|outcome| outcome.failed).unwrap_err();
    let ImportError::Server { source: dbhaul_postgres::Error::Crashed { .. }, .. } = stopped else {
        panic!("{stopped:?}");
    };
    let mut resuming = options();
    resuming.resume = true;
    let outcome = run(&server, plan(toc, &segments, resuming).unwrap(), &rows).await.unwrap();
    assert_sales_arrived(&server, &rows, &outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_drops_what_it_is_going_to_make_and_progress_counts_once() {
    let server = target(16);
    let (mut toc, entry) = sales();
    toc.dropped_by(1, "DROP TABLE", "public.sale");
    let (toc, rows) = (toc.into_toc(), Arc::new(Rows::new(50)));
    let segments = [rows.segments(entry, SEGMENTS)];
    let mut clean = options();
    (clean.clean, clean.if_exists) = (true, true);
    for _ in 0..2 {
        let recorder = Recorder::default();
        let plan = plan(toc.clone(), &segments, clean.clone()).unwrap();
        let progress = Progress::new(recorder.clone());
        let token = CancellationToken::new();
        let outcome = import(plan, &settings(&server), Arc::new(Source(rows.clone())), &progress, &token)
            .await
            .unwrap();
        assert_sales_arrived(&server, &rows, &outcome);
        assert_eq!(recorder.copied().0, 300);
    }
    assert_eq!(rows.total_opened.load(Ordering::Relaxed), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_relies_on_the_search_path_is_built_with_the_sources_and_flagged() {
    let server = target(15);
    let (mut toc, entry) = sales();
    toc.add(
        Section::PreData,
        EntryKind::Function,
        "half(bigint)",
        &[],
        &[
            "CREATE FUNCTION public.whole(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
            "CREATE FUNCTION public.half(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS \
         'BEGIN RETURN whole($1) / 2; END'",
        ],
    );
    toc.add(
        Section::PostData,
        EntryKind::Index,
        "sale_half",
        &[1, entry],
        &["CREATE INDEX sale_half ON public.sale USING btree (public.half(id))"],
    );
    let (toc, rows) = (toc.into_toc(), Arc::new(Rows::new(10)));
    let segments = [rows.segments(entry, SEGMENTS)];
    let mut with_path = options();
    with_path.source_search_path = Some("public".to_owned());
    let recorder = Recorder::default();
    let progress = Progress::new(recorder.clone());
    let plan = plan(toc, &segments, with_path).unwrap();
    let token = CancellationToken::new();
    let source = Arc::new(Source(rows.clone()));
    let outcome = import(plan, &settings(&server), source, &progress, &token).await.unwrap();
    assert!(outcome.is_complete(), "{:?}", outcome.failed);
    let flagged =
        |event: &Event| matches!(event, Event::Warning { message } if message.contains("sale_half"));
    assert!(recorder.events().iter().any(flagged), "{:?}", recorder.events());
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioned_tables_are_analyzed_with_their_parents() {
    for major in [14, 18] {
        let server = target(major);
        let mut toc = TocBuilder::default();
        let parent = toc.table("log", "CREATE TABLE public.log (id bigint, v text) PARTITION BY RANGE (id)");
        let part = toc.table("log_1", "CREATE TABLE public.log_1 (id bigint, v text)");
        toc.add(
            Section::PreData,
            EntryKind::TableAttach,
            "log_1",
            &[parent, part],
            &["ALTER TABLE ONLY public.log ATTACH PARTITION public.log_1 FOR VALUES FROM (0) TO (1000000)"],
        );
        let entry = toc.rows("log_1", part);
        let rows = Arc::new(Rows::new(300));
        let plan = plan(toc.into_toc(), &[rows.segments(entry, SEGMENTS)], options()).unwrap();
        let outcome = run(&server, plan, &rows).await.unwrap();
        assert!(outcome.is_complete(), "{:?}", outcome.failed);
        let analyzed = "SELECT string_agg(DISTINCT tablename, ',' ORDER BY tablename) FROM pg_stats \
                        WHERE schemaname = 'public'";
        assert_eq!(server.psql("shop", analyzed), "log,log_1", "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_found_in_the_ledger() {
    let server = Arc::new(target(18));
    let (toc, entry) = sales();
    let rows = Arc::new(Rows::new(300));
    let other = server.clone();
    // as if an earlier attempt at segment 2 had been committed behind our back
    let digest = rows.digest_of(2);
    rows.on_first_chunk(move |segment, opened| {
        if segment == 2 && opened == 1 {
            other.terminate_backends("shop", "COPY public.sale%");
            other.psql(
                "shop",
                &format!(
                    "INSERT INTO public.sale SELECT i, E'value\\t' || i % 97 FROM generate_series(600, 899) i; \
                     INSERT INTO dbhaul.step (step, digest) VALUES ('segment {entry}/2', '{digest}')"
                ),
            );
        }
    });
    let plan = plan(toc.into_toc(), &[rows.segments(entry, SEGMENTS)], options()).unwrap();
    let outcome = run(&server, plan, &rows).await.unwrap();
    assert_eq!(rows.opened_count(2), 1, "it is not loaded again");
    assert_sales_arrived(&server, &rows, &outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_privileges_makes_what_it_may_and_names_the_rest() {
    let server = Server::start(16);
    server.psql("postgres", "CREATE ROLE app LOGIN; CREATE ROLE other");
    server.psql("postgres", "CREATE DATABASE shop OWNER app");
    let (mut toc, entry) = sales();
    toc.owned_by(1, "other", "ALTER TABLE public.sale OWNER TO other");
    toc.add(
        Section::PreData,
        EntryKind::Comment,
        "EXTENSION plpgsql",
        &[],
        &["COMMENT ON EXTENSION plpgsql IS 'not ours'"],
    );
    let function = toc.add(
        Section::PreData,
        EntryKind::Function,
        "f()",
        &[],
        &["CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"],
    );
    toc.add(
        Section::PostData,
        EntryKind::EventTrigger,
        "watch",
        &[function],
        &["CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.f()"],
    );
    let rows = Arc::new(Rows::new(20));
    let plan = plan(toc.into_toc(), &[rows.segments(entry, SEGMENTS)], options()).unwrap();
    let settings = ConnectSettings::resolve(Some(&server.uri_as("app", "shop")), &|_| None).unwrap();
    let source = Arc::new(Source(rows.clone()));
    let token = CancellationToken::new();
    let outcome = import(plan, &settings, source, &Progress::silent(), &token).await.unwrap();
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    let skipped: Vec<String> = outcome.skipped.iter().map(|skipped| skipped.subject.to_string()).collect();
    assert_eq!(skipped, ["TABLE public.sale", "COMMENT EXTENSION plpgsql", "EVENT TRIGGER public.watch"]);
    assert_eq!(outcome.tables[0].digest, rows.digest(SEGMENTS));
    assert_eq!(schemas(&server), "public");
}
