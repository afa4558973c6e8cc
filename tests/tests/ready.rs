//! "Ready" means that the run will not fail for what can be known before it.
//!
//! Each case goes through `preflight`, through `migrate --dry-run` and then through the run. Where preflight
//! said ready, the run may not end with 1, and what it skips preflight and the dry run have listed.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

#[path = "ready/cleaned.rs"]
mod cleaned;
#[path = "ready/fixtures.rs"]
mod fixtures;
#[path = "ready/targets.rs"]
mod targets;

use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Finished, Original, Server};

/// A case: a database, made by a file or by statements, and how it is moved.
struct Case {
    source: Server,
    target: Server,
    args: Vec<String>,
}

/// What the three commands said.
struct Said {
    preflight: Finished,
    dry_run: Finished,
    run: Finished,
}

fn case_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases").join(name)
}

impl Case {
    fn new(from: u16, to: u16) -> Self {
        let (source, target) = (Server::start(from), Server::start(to));
        source.create_db("shop");
        target.create_db("shop");
        Case { source, target, args: Vec::new() }
    }

    fn of_file(from: u16, to: u16, file: &str) -> Self {
        let case = Case::new(from, to);
        case.source.psql_file("shop", &case_file(file), &[]);
        case
    }

    fn of_sql(from: u16, to: u16, sql: &str) -> Self {
        let case = Case::new(from, to);
        case.source.psql("shop", sql);
        case
    }

    fn with(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    fn command(&self, words: &[&str], into: &str) -> Dbhaul {
        Dbhaul::new(words).args(["--source", &self.source.uri("shop"), "--target", into]).args(&self.args)
    }

    /// Runs all three, and judges.
    #[track_caller]
    fn said(&self) -> Said {
        self.said_as(&self.target.uri("shop"))
    }

    #[track_caller]
    fn said_as(&self, into: &str) -> Said {
        let preflight = self.command(&["preflight"], into).run();
        let dry_run = self.command(&["migrate", "--dry-run"], into).run();
        let run = self.command(&["migrate", "--json"], into).run();
        let said = Said { preflight, dry_run, run };
        said.judge();
        said
    }
}

/// Asserts that a run did what preflight said of it.
#[track_caller]
fn judge_run(preflight: &Finished, run: &Finished) {
    if !preflight.stdout.trim_end().ends_with("\nready") {
        preflight.assert_code(5);
        run.assert_code(1);
        return;
    }
    preflight.assert_code(0);
    assert_ne!(run.code, Some(1), "preflight said ready\n{preflight}\n{run}");
    lists_skipped(preflight, run);
}

/// Asserts that what a run skipped was said before it.
#[track_caller]
fn lists_skipped(before: &Finished, run: &Finished) {
    for item in run.json()["skipped"].as_array().unwrap() {
        let (object, reason) = (item["object"].as_str().unwrap(), item["reason"].as_str().unwrap());
        if object.starts_with("ANALYZE ") {
            // how its server fails is known once it is asked
            before.assert_says("may fail").assert_says(object);
        } else {
            before.assert_says(&format!("{object}: {reason}"));
        }
    }
}

impl Said {
    #[track_caller]
    fn judge(&self) {
        let Said { preflight, dry_run, run } = self;
        let is_ready = preflight.stdout.trim_end().ends_with("\nready");
        assert_eq!(is_ready, preflight.code == Some(0), "{preflight}");
        assert_eq!(
            is_ready,
            dry_run.code == Some(0),
            "preflight and dry run disagree\n{preflight}\n{dry_run}"
        );
        judge_run(preflight, run);
        if is_ready {
            lists_skipped(dry_run, run);
        }
    }

    /// Asserts how the run ended, and that all three name these.
    #[track_caller]
    fn ends(&self, code: i32, told: &[&str]) -> &Self {
        self.run.assert_code(code);
        for text in told {
            self.preflight.assert_says(text);
            self.dry_run.assert_says(text);
            self.run.assert_says(text);
        }
        self
    }
}

const INCLUDES: &str = "which is not selected (--with-dependencies includes it)";

#[test]
fn an_event_trigger_without_its_function() {
    let case = Case::of_file(16, 18, "f14-event-trigger-of-excluded-schema.sql").with(&["-N", "ext"]);
    case.said().ends(3, &["EVENT TRIGGER fb_watch: needs FUNCTION ext.watch()", INCLUDES]);
    assert_eq!(case.target.psql("shop", "SELECT i FROM t"), "1");
    case.target.psql("shop", "DROP TABLE t");
    let case = case.with(&["-N", "ext", "--with-dependencies"]);
    case.said().ends(0, &[]);
    let found = case.target.psql("shop", "SELECT evtname FROM pg_event_trigger");
    assert_eq!(found, "fb_watch");
    assert_eq!(case.target.psql("shop", "SELECT to_regclass('ext.log') IS NULL"), "t");
}

#[test]
fn a_default_without_its_sequence() {
    let case = Case::of_file(16, 18, "f15-default-sequence-of-excluded-schema.sql").with(&["-n", "copy"]);
    case.said().ends(3, &["DEFAULT copy.foo id: needs SEQUENCE app.foo_id_seq", INCLUDES]);
    assert_eq!(case.target.psql("shop", "SELECT f1 FROM copy.foo"), "c");
    case.target.psql("shop", "DROP SCHEMA copy CASCADE");
    let case = case.with(&["-n", "copy", "--with-dependencies"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT nextval('app.foo_id_seq')"), "4");
}

#[test]
fn a_table_without_what_it_refers_to() {
    let case = Case::of_file(17, 18, "r09.sql").with(&["-t", "b"]);
    // a table that is included brings what is part of it: here the sequences of its columns
    case.source.psql(
        "shop",
        "ALTER TABLE a ADD n int GENERATED ALWAYS AS IDENTITY; CREATE SEQUENCE own; ALTER SEQUENCE own OWNED BY a.id",
    );
    case.said().ends(3, &["b_a_fkey: needs TABLE public.a", INCLUDES]);
    assert_eq!(case.target.psql("shop", "SELECT a FROM b"), "1");
    case.target.psql("shop", "DROP TABLE b");
    let case = case.with(&["-t", "b", "--with-dependencies"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT id FROM a"), "1");
    assert_eq!(case.target.psql("shop", "SELECT pg_get_serial_sequence('a', 'id')"), "public.own");
}

#[test]
fn a_schema_without_the_domain_of_a_column() {
    let case = Case::of_file(17, 18, "r09.sql").with(&["-n", "s"]);
    case.said().ends(3, &["TABLE s.t: needs DOMAIN public.d", INCLUDES]);
    case.target.psql("shop", "DROP SCHEMA s CASCADE");
    let case = case.with(&["-n", "s", "--with-dependencies"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT x FROM s.t"), "1");
}

#[test]
fn a_table_without_the_function_of_its_trigger() {
    let case = Case::of_file(13, 18, "r09.sql").with(&["-t", "c"]);
    case.said().ends(3, &["needs FUNCTION s.f()", INCLUDES]);
    case.target.psql("shop", "DROP TABLE c");
    let case = case.with(&["-t", "c", "--with-dependencies"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT tgname FROM pg_trigger"), "t");
}

/// Siblings of the kind: what a view, a check, a policy, a rule, a generated column, a type, an index, an
/// extension's type and a grant need.
#[test]
fn other_members_that_a_selection_leaves_out() {
    let sql = "
        CREATE SCHEMA lib; CREATE SCHEMA app;
        CREATE FUNCTION lib.good(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
        CREATE TABLE lib.other (id int);
        CREATE TYPE lib.mood AS ENUM ('fine');
        CREATE COLLATION lib.german (provider = icu, locale = 'de');
        CREATE TABLE app.plain (a int, b text);
        INSERT INTO app.plain VALUES (1, 'x');
        CREATE INDEX by_good ON app.plain (lib.good(a));
        CREATE INDEX by_german ON app.plain (b COLLATE lib.german);
        CREATE VIEW app.seen AS SELECT * FROM lib.other;
        CREATE VIEW app.over AS SELECT * FROM app.seen;
        CREATE POLICY good_only ON app.plain USING (lib.good(a));
        CREATE RULE noted AS ON DELETE TO app.plain DO ALSO INSERT INTO lib.other VALUES (1);
        CREATE FUNCTION app.feel(lib.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE STATISTICS app.stats ON (lib.good(a)), b FROM app.plain;
        CREATE TABLE app.computed (a int, b boolean GENERATED ALWAYS AS (lib.good(a)) STORED);
        CREATE TABLE app.checked (a int CHECK (lib.good(a)), b boolean DEFAULT lib.good(1));
        CREATE TABLE app.excluding (a int, CONSTRAINT apart EXCLUDE USING btree (a WITH =) WHERE (lib.good(a)));
        CREATE DOMAIN app.sound AS int CONSTRAINT good CHECK (lib.good(VALUE))";
    let case = Case::of_sql(16, 18, sql).with(&["-n", "app"]);
    case.said().ends(
        3,
        &[
            "INDEX app.by_good: needs FUNCTION lib.good",
            "INDEX app.by_german: needs COLLATION lib.german",
            "VIEW app.seen: needs TABLE lib.other",
            "VIEW app.over: needs VIEW app.seen",
            "POLICY app.plain good_only: needs FUNCTION lib.good",
            "RULE app.plain noted: needs TABLE lib.other",
            "TABLE app.computed: needs FUNCTION lib.good",
            "app.checked checked_a_check: needs FUNCTION lib.good",
            "DEFAULT app.checked b: needs FUNCTION lib.good",
            "CONSTRAINT app.excluding apart: needs FUNCTION lib.good",
            "DOMAIN app.sound: needs FUNCTION lib.good",
            INCLUDES,
        ],
    );
    case.target.psql("shop", "DROP SCHEMA app CASCADE");
    let case = case.with(&["-n", "app", "--with-dependencies"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM app.over"), "0");
}

/// What a table's default or check lacks on the target keeps the table and its rows from nothing.
#[test]
fn a_table_whose_default_or_check_the_target_refuses() {
    let sql = "
        CREATE TABLE t (a int PRIMARY KEY, b bool DEFAULT pg_is_in_backup(), c int CONSTRAINT \"C\" CHECK (c ! > 5));
        INSERT INTO t VALUES (1, true, 4);
        CREATE TABLE parent (a int DEFAULT (4 !) CHECK (a IS NOT NULL AND pg_is_in_backup() IS NOT NULL), b int DEFAULT 3);
        CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (7);
        CREATE TABLE part (a int, b text DEFAULT pg_backup_start_time()) PARTITION BY LIST (a);
        CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1); INSERT INTO part VALUES (1, 'x');
        CREATE TYPE span AS RANGE (subtype = int4); CREATE TABLE span_multirange (a span);
        CREATE TYPE foorange AS RANGE (subtype = int8); CREATE FUNCTION foomultirange() RETURNS int LANGUAGE sql AS 'SELECT 1';
        INSERT INTO span_multirange VALUES ('[1,2)');
        CREATE TABLE mother (a text, b text); CREATE TABLE father (a text);
        CREATE TABLE heir (c int) INHERITS (mother, father); INSERT INTO heir VALUES ('x', 'y', 1);
        ALTER TABLE ONLY mother ALTER a SET STORAGE EXTERNAL";
    let case = Case::of_sql(13, 18, sql);
    let refused = [
        "DEFAULT public.t b: function pg_is_in_backup() does not exist",
        "CHECK CONSTRAINT public.t C: syntax error",
        "DEFAULT public.parent a: syntax error",
        "CHECK CONSTRAINT public.parent parent_a_check: function pg_is_in_backup() does not exist",
        "DEFAULT public.part b: function pg_backup_start_time() does not exist",
        "DEFAULT public.part_1 b: function pg_backup_start_time() does not exist",
    ];
    let said = case.said();
    said.ends(3, &refused);
    assert!(!said.preflight.stdout.contains("rows will be missing"), "{}", said.preflight);
    let rows = "SELECT (SELECT (a, b, c) FROM t), (SELECT (a, b) FROM ONLY child), (SELECT (a, b) FROM part)";
    assert_eq!(case.target.psql("shop", rows), "(1,t,4)|(7,3)|(1,x)");
    let rows = "SELECT (SELECT a FROM span_multirange), foomultirange(), (SELECT (a, b) FROM mother), (SELECT a FROM father)";
    assert_eq!(case.target.psql("shop", rows), "[1,2)|1|(x,y)|x");
    said.preflight
        .assert_says("its multirange type is public.span_multirange_1, since public.span_multirange is");
    assert_eq!(case.target.psql("shop", "INSERT INTO parent DEFAULT VALUES RETURNING a, b"), "|3");

    let sql =
        "CREATE TABLE t (a uuid DEFAULT uuidv7(), b int DEFAULT random(1, 6)); INSERT INTO t DEFAULT VALUES";
    let case = Case::of_sql(18, 16, sql).with(&["--allow-downgrade"]);
    let run = case.command(&["migrate"], &case.target.uri("shop")).run();
    run.assert_code(3).assert_says("DEFAULT public.t a: function uuidv7() does not exist");
    run.assert_says("DEFAULT public.t b: function random(integer, integer) does not exist");
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM t"), "1");
}

/// A generated column that names its own table's keys or tables that need it has no place in any order: its table alone is
/// told. A sequence of its table's is made first.
#[test]
fn objects_that_cannot_be_ordered_are_told_alone() {
    let sql = "
        CREATE TABLE other (a int); INSERT INTO other VALUES (1);
        CREATE TABLE own (a serial, b int); INSERT INTO own (b) VALUES (2);
        ALTER TABLE own ADD c oid GENERATED ALWAYS AS ('own_a_seq'::regclass::oid) STORED;
        ALTER TABLE own ADD d oid GENERATED ALWAYS AS ('own'::regclass::oid) STORED;
        ALTER TABLE own ADD e regclass DEFAULT 'other'::regclass, ADD f regtype DEFAULT 'other'::regtype;
        CREATE TABLE keyed (a int PRIMARY KEY); INSERT INTO keyed VALUES (3);
        ALTER TABLE keyed ADD c oid GENERATED ALWAYS AS ('keyed_pkey'::regclass::oid) STORED;
        CREATE TABLE one (a int); CREATE TABLE two (a int, b oid GENERATED ALWAYS AS ('one'::regclass::oid) STORED);
        ALTER TABLE one ADD b oid GENERATED ALWAYS AS ('two'::regclass::oid) STORED;
        CREATE TABLE called (a int); CREATE FUNCTION f(called) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
        ALTER TABLE called ADD c oid GENERATED ALWAYS AS ('f'::regproc::oid) STORED;
        CREATE TABLE counted (a int GENERATED BY DEFAULT AS IDENTITY);
        ALTER TABLE counted ADD c oid GENERATED ALWAYS AS ('counted_a_seq'::regclass::oid) STORED";
    let case = Case::of_sql(17, 18, sql);
    let said = case.said();
    said.ends(
        3,
        &[
            "TABLE public.keyed: relation \"public.keyed_pkey\" does not exist",
            "TABLE public.called: ",
            "TABLE public.counted: relation \"public.counted_a_seq\" does not exist",
            "TABLE public.one: ",
            "TABLE public.two: ",
        ],
    );
    let there = "SELECT (SELECT count(*) FROM other), (SELECT (a, b, d = 'own'::regclass, e, f) FROM own)";
    assert_eq!(case.target.psql("shop", there), "1|(1,2,t,other,other)");
    assert_eq!(case.target.psql("shop", "SELECT pg_get_serial_sequence('own', 'a')"), "public.own_a_seq");
    let store = tempfile::TempDir::new().unwrap();
    for place in [vec!["--format", "sql"], vec!["--store", store.path().to_str().unwrap()]] {
        let dump = Dbhaul::new(["dump", "--source", &case.source.uri("shop")]).args(place).run();
        dump.assert_code(0).assert_stderr_has(&[
            "TABLE public.keyed cannot be restored",
            "CONSTRAINT public.keyed keyed_pkey",
        ]);
    }
}

#[test]
fn an_aggregate_on_functions_that_changed_their_types() {
    let case = Case::of_file(13, 18, "f18-aggregate-on-array_append.sql");
    let said = case.said();
    said.ends(
        3,
        &[
            "AGGREGATE public.as_array(anyelement)",
            "the target would take this: CREATE AGGREGATE public.as_array(anycompatible)",
            "the target would take this: CREATE AGGREGATE public.array_cat_agg(anycompatiblearray)",
            "VIEW public.v: needs AGGREGATE public.as_array",
        ],
    );
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM t"), "9");
    let told =
        said.preflight.stdout.lines().find(|line| line.contains("public.as_array(anyelement)")).unwrap();
    let (_, statement) = told.split_once("the target would take this: ").unwrap();
    case.target.psql("shop", statement);
}

#[test]
fn a_materialized_view_whose_owner_lacks_rights() {
    let case = Case::new(16, 18);
    case.source.psql("postgres", "CREATE ROLE fb_other; CREATE ROLE fb_mvowner SUPERUSER");
    case.target.psql("postgres", "CREATE ROLE fb_other; CREATE ROLE fb_mvowner");
    case.source.psql_file("shop", &case_file("f19-matview-owner-lacks-rights.sql"), &[]);
    case.said().ends(
        3,
        &["MATERIALIZED VIEW DATA public.mv", "role fb_mvowner", "GRANT SELECT ON public.t TO fb_mvowner"],
    );
    let filled = "SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1";
    assert_eq!(case.target.psql("shop", filled), "mv|f\nmv2|f");
    case.target.psql("shop", "GRANT SELECT ON public.t TO fb_mvowner; REFRESH MATERIALIZED VIEW mv");
}

/// The rights of a view's owner count where a materialized view reads through it, and those of a function.
#[test]
fn other_rights_that_filling_needs() {
    let case = Case::new(17, 18);
    let roles = "CREATE ROLE reader; CREATE ROLE viewer";
    case.source.psql("postgres", &format!("{roles} SUPERUSER"));
    case.target.psql("postgres", roles);
    case.source.psql(
        "shop",
        "CREATE TABLE hidden (a int); CREATE VIEW shown AS SELECT a FROM hidden; ALTER VIEW shown OWNER TO viewer;
         GRANT SELECT ON shown TO reader;
         CREATE MATERIALIZED VIEW through AS SELECT * FROM shown; ALTER MATERIALIZED VIEW through OWNER TO reader;
         CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION secret() FROM PUBLIC;
         CREATE MATERIALIZED VIEW calls AS SELECT secret() AS x; ALTER MATERIALIZED VIEW calls OWNER TO viewer;
         CREATE TABLE open (a int, b int); GRANT SELECT (a) ON open TO reader;
         CREATE MATERIALIZED VIEW column_wise AS SELECT a FROM open; ALTER MATERIALIZED VIEW column_wise OWNER TO reader",
    );
    case.said().ends(
        3,
        &["GRANT SELECT ON public.hidden TO viewer", "GRANT EXECUTE ON FUNCTION public.secret() TO viewer"],
    );
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM column_wise"), "0");
}

#[test]
fn rows_that_name_indexes() {
    let case = Case::new(16, 18);
    for server in [&case.source, &case.target] {
        server.psql("postgres", "CREATE ROLE fb_app; CREATE ROLE fb_other");
    }
    case.source.psql_file("shop", &case_file("f23-regclass-of-index.sql"), &[]);
    case.said().ends(0, &[]);
    Original::new(&case.source, "shop", &case.target).assert_equals("shop");
}

#[test]
fn rows_into_tables_with_triggers() {
    let load = |case: &Case| {
        case.target.psql("postgres", "DROP DATABASE shop");
        case.target.create_db("shop");
        case.target.psql("shop", &case.source.pg_dump_schema("shop"));
    };
    let case = Case::of_file(17, 17, "f26-data-only-triggers.sql");
    load(&case);
    let case = case.with(&["--data-only", "--allow-non-empty"]);
    let preflight = case.command(&["preflight"], &case.target.uri("shop")).run();
    preflight.assert_code(0).assert_says("table public.gyms has triggers that fire for each row loaded");
    preflight.assert_says("tr, tra").assert_says("--disable-triggers");
    let case = case.with(&["--data-only", "--allow-non-empty", "--disable-triggers"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT loc FROM gyms WHERE id = 1"), "orig");
    assert_eq!(case.target.psql("shop", "SELECT what FROM audit"), "only one");
    assert_eq!(case.target.psql("shop", "SELECT id FROM child"), "1");

    load(&case);
    case.target.psql("shop", "ALTER TABLE gyms ENABLE ALWAYS TRIGGER tr");
    let said = case.said();
    said.preflight.assert_code(5).assert_says("table public.gyms has triggers that fire although");
    case.target.psql("postgres", "CREATE ROLE plain LOGIN; GRANT ALL ON DATABASE shop TO plain");
    let said = case.said_as(&case.target.uri_as("plain", "shop"));
    said.preflight.assert_code(5).assert_says("role plain may not disable triggers");
}

#[test]
fn statistics_that_cannot_be_computed() {
    let analyzed = "CREATE TABLE t (a int); INSERT INTO t VALUES (2147483647); ANALYZE t;
                    CREATE STATISTICS s ON (2 * a) FROM t";
    let cases =
        [Case::of_file(15, 18, "r08.sql"), Case::of_sql(18, 18, analyzed).with(&["--statistics", "copy"])];
    for case in cases {
        case.said().run.assert_code(0).assert_stderr_has(&["ANALYZE public.t failed because of values"]);
        assert_eq!(case.target.psql("shop", "SELECT a FROM t"), "2147483647");
    }
}

/// Rows decide whether these can be made. What cannot spoils the proof of nothing else, whatever copies.
#[test]
fn what_fails_for_rows_spoils_the_proof_of_nothing_else() {
    let sql = "
        CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
        CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
        CREATE MATERIALIZED VIEW m AS SELECT f() AS n; CREATE MATERIALIZED VIEW over AS SELECT n FROM m;
        CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int REFERENCES a);
        ALTER TABLE b DISABLE TRIGGER ALL; INSERT INTO b VALUES (1), (7); ALTER TABLE b ENABLE TRIGGER ALL;
        CREATE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE u (i int); INSERT INTO u VALUES (1), (2); CREATE UNIQUE INDEX u_g ON u (public.g(i));
        CREATE TABLE c (i int CHECK (public.g(i) > 5)); INSERT INTO c VALUES (6);
        CREATE DOMAIN large AS int CHECK (public.g(VALUE) > 5); CREATE TABLE r (i large); INSERT INTO r VALUES (6);
        CREATE TABLE w (i int); INSERT INTO w VALUES (3); CREATE INDEX w_plain ON w ((6 / (i * public.g(i) - 3)));
        CREATE OR REPLACE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'";
    let case = Case::of_sql(16, 18, sql);
    case.command(&["preflight"], &case.target.uri("shop")).run().assert_code(0);
    let store = tempfile::TempDir::new().unwrap();
    let kept = store.path().join("store");
    let kept = kept.to_str().unwrap();
    Dbhaul::new(["dump", "--store", kept, "--source", &case.source.uri("shop")]).run().assert_code(0);
    case.target.create_db("restored");
    let (migrated, restored) = (case.target.uri("shop"), case.target.uri("restored"));
    let runs = [
        ("shop", case.command(&["migrate", "--json"], &migrated).run()),
        ("restored", Dbhaul::new(["restore", "--json", "--store", kept, "--target", &restored]).run()),
    ];
    for (db, run) in &runs {
        let report = run.assert_code(1).json();
        let named = |list: &str| -> Vec<String> {
            let list = report[list].as_array().unwrap();
            let mut names: Vec<_> = list.iter().map(|it| it["object"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let failed = [
            "CHECK CONSTRAINT public.c c_i_check",
            "FK CONSTRAINT public.b b_id_fkey",
            "INDEX public.u_g",
            "TABLE DATA public.r, segment 0",
        ];
        assert_eq!(named("failed"), failed, "{run}");
        // no rows are missing or unprotected without these
        let skipped =
            ["INDEX public.w_plain", "MATERIALIZED VIEW DATA public.m", "MATERIALIZED VIEW DATA public.over"];
        assert_eq!(named("skipped"), skipped, "{run}");
        let text = report["skipped"].to_string();
        assert!(
            text.contains("division by zero") && text.contains("then run: CREATE INDEX w_plain ON"),
            "{text}"
        );
        let verified = &report["verification"];
        let tables = verified["tables"].as_array().unwrap().iter();
        let verdicts: Vec<_> = tables
            .map(|table| {
                format!("{} {}", table["name"].as_str().unwrap(), table["verdict"].as_str().unwrap())
            })
            .collect();
        let wanted = ["a equal", "b equal", "c equal", "r not-verified", "t equal", "u equal", "w equal"];
        let wanted = wanted.map(|name| format!("public.{name}"));
        assert_eq!(verdicts, wanted, "{run}");
        let differing = verified["schema"]["differences"].as_array().unwrap().iter();
        let mut names: Vec<_> = differing.map(|it| it["identity"]["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["b_id_fkey", "c_i_check", "m", "over", "u_g", "w_plain"], "{run}");
        let texts = report["failed"].to_string();
        assert!(texts.contains("until then it protects no rows"), "{texts}");
        // what is said to be done does it
        let key =
            "ALTER TABLE ONLY public.b ADD CONSTRAINT b_id_fkey FOREIGN KEY (id) REFERENCES public.a(id)";
        assert!(texts.contains(&format!("or run: {key}")), "{texts}");
        case.target.psql(db, &format!("DELETE FROM b WHERE id = 7; {key}"));
    }
    let again = case.command(&["migrate", "--clean", "--if-exists"], &migrated).run();
    again
        .assert_code(1)
        .assert_says("of 6 differences in definitions below, 6 from what was skipped or failed");
    parts_of_an_index_that_is_left_out(&case);
}

/// An index that fails for the rows of one partition leaves those above it incomplete, and no rows unprotected.
fn parts_of_an_index_that_is_left_out(case: &Case) {
    let sql = "
        CREATE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE p (i int) PARTITION BY RANGE (i);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (i);
        CREATE TABLE p11 PARTITION OF p1 FOR VALUES FROM (0) TO (9);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (9) TO (99);
        INSERT INTO p VALUES (3), (10); CREATE INDEX p_i ON p ((6 / (i * public.g(i) - 3)));
        CREATE OR REPLACE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'";
    case.source.create_db("parts");
    case.target.create_db("parts");
    case.source.psql("parts", sql);
    let uris = [case.source.uri("parts"), case.target.uri("parts")];
    let moved = Dbhaul::new(["migrate", "--source", &uris[0], "--target", &uris[1]]).run();
    moved.assert_code(3).assert_says("INDEX public.p11_expr_idx: ").assert_says("division by zero");
    moved.assert_says(
        "INDEX ATTACH public.p11_expr_idx: needs INDEX public.p11_expr_idx, which was not created",
    );
    moved.assert_says("of 1 difference in definitions below, 1 from what was skipped or failed");
    assert_eq!(case.target.psql("parts", "SELECT count(*) FROM p"), "2");
}

/// A key to rows that are left out as asked may hold all the same.
#[test]
fn keys_to_rows_that_are_left_out() {
    let sql = "
        CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
        CREATE TABLE b (id int REFERENCES a, v text); INSERT INTO b VALUES (1, 'x');
        CREATE TABLE n (id int REFERENCES a); INSERT INTO n VALUES (NULL);
        CREATE TABLE large (id int REFERENCES a, v text); ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
        INSERT INTO large VALUES (1, repeat('x', 10000000));
        CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (9) TO (99); INSERT INTO p VALUES (1), (10);
        CREATE TABLE d (id int REFERENCES p) PARTITION BY LIST (id);
        CREATE TABLE d1 PARTITION OF d DEFAULT; INSERT INTO d VALUES (1), (10);
    ";
    let case = Case::of_sql(18, 18, sql);
    let case = case.with(&["--exclude-table-data", "a", "--exclude-table-data", "p1"]);
    let told = "FK CONSTRAINT public.b b_id_fkey: refers to rows of public.a that are left out";
    let said = case.said();
    said.ends(3, &[told, "FK CONSTRAINT public.d d_id_fkey: refers to rows of public.p that"]);
    said.run.assert_says(
        "created, but left NOT VALID, so that it is enforced for new rows only: refers to rows of public.a",
    );
    let keys = "SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f' ORDER BY 1";
    assert_eq!(case.target.psql("shop", keys), "large_id_fkey|f\nn_id_fkey|t");
}

/// For a superuser too, every kind is tried.
#[test]
fn what_a_superuser_is_refused() {
    let sql = "
        CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x');
        CREATE VIEW old AS SELECT checkpoints_timed AS c FROM pg_stat_bgwriter;
        CREATE VIEW needs_old AS SELECT * FROM old;
        COMMENT ON VIEW old IS 'old'; GRANT SELECT ON old TO PUBLIC";
    let case = Case::of_sql(16, 18, sql);
    case.said().ends(
        3,
        &[
            "VIEW public.old: column",
            "VIEW public.needs_old: needs VIEW public.old",
            "COMMENT VIEW public.old",
        ],
    );
    assert_eq!(case.target.psql("shop", "SELECT b FROM t"), "x");
}

/// What the role that makes the objects gives away by default.
#[test]
fn default_privileges_of_the_target() {
    let case =
        Case::of_sql(18, 18, "CREATE TABLE t (a int); CREATE SCHEMA other; CREATE TABLE other.t (a int)");
    case.target.psql(
        "shop",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    );
    let said = case.said();
    let told = "role postgres has default privileges on the target, which the objects that it creates get besides \
                those of the source: functions, tables in schema public;";
    said.preflight.assert_says(told);
    said.run.assert_code(4).assert_stderr_has(&[told]);
}

/// What is there already takes no rows that it has no place for.
#[test]
fn rows_that_do_not_fit_what_is_there() {
    let sql = "
        CREATE TABLE a (id int PRIMARY KEY, v text, w text); INSERT INTO a VALUES (1, 'x', 'y');
        CREATE TABLE b (id int, twice int); INSERT INTO b VALUES (1, 2); CREATE TABLE c (id int); CREATE SEQUENCE s;
        CREATE TABLE d (id int, v text); INSERT INTO d VALUES (1, 'x'); CREATE TABLE e (id int)";
    let case = Case::of_sql(17, 18, sql);
    case.target.psql(
        "shop",
        "CREATE TABLE a (v text, id int); CREATE TABLE b (id int, twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE TABLE d (id int, v text); CREATE TABLE e (id int); CREATE ROLE loader LOGIN;
         GRANT CREATE ON DATABASE shop TO loader; GRANT INSERT ON e, a TO loader; GRANT INSERT (id) ON d TO loader",
    );
    let case = case.with(&["--data-only", "--allow-non-empty"]);
    let said = case.said_as(&case.target.uri_as("loader", "shop"));
    said.preflight.assert_code(5);
    for told in [
        "table public.a has no column w",
        "table public.b computes column twice itself",
        "table public.c is not there",
        "table public.d cannot be loaded: the importing role lacks INSERT on it",
        "sequence public.s is not there",
    ] {
        said.preflight.assert_says(told);
        said.run.assert_code(1).assert_stderr_has(&[told]);
    }
    assert!(!said.preflight.stdout.contains("public.e"), "{}", said.preflight);
}

/// An index whose function gives up on an empty table, and works once the rows are there, is made.
#[test]
fn what_only_rows_decide_is_tried_by_the_run() {
    let sql = "
        CREATE TABLE rate (factor int); INSERT INTO rate VALUES (2);
        CREATE FUNCTION rated(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
            'DECLARE f int; BEGIN SELECT factor INTO STRICT f FROM public.rate; RETURN f * $1; END';
        CREATE TABLE sale (a int); INSERT INTO sale VALUES (1);
        CREATE INDEX sale_rated ON sale (rated(a)) WHERE rated(7) > 0;
        CREATE MATERIALIZED VIEW rates AS SELECT rated(3) AS three;
        CREATE MATERIALIZED VIEW over_rates AS SELECT three FROM rates;
        CREATE MATERIALIZED VIEW empty_as_well AS SELECT a FROM sale";
    let case = Case::of_sql(17, 18, sql);
    let said = case.said();
    said.ends(0, &[]);
    let may_fail = "may fail, depending on the rows: ";
    for told in [
        "INDEX public.sale_rated",
        "MATERIALIZED VIEW DATA public.rates",
        "MATERIALIZED VIEW DATA public.over_rates",
    ] {
        said.preflight.assert_says(&format!("{may_fail}{told}"));
    }
    assert!(!said.preflight.stdout.contains("empty_as_well"), "{}", said.preflight);
    assert_eq!(case.target.psql("shop", "SELECT three FROM over_rates"), "6");
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM pg_class WHERE relname = 'sale_rated'"), "1");
}

#[test]
fn rows_that_cannot_be_verified_for_row_security() {
    let sql = "CREATE TABLE t (a int); INSERT INTO t VALUES (1); ALTER TABLE t FORCE ROW LEVEL SECURITY;
               ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true)";
    let case = Case::of_sql(17, 18, sql).with(&["--no-owner"]);
    case.target.psql("postgres", "CREATE ROLE app LOGIN; ALTER DATABASE shop OWNER TO app");
    let said = case.said_as(&case.target.uri_as("app", "shop"));
    said.preflight.assert_says("role \"app\" is subject to FORCE ROW LEVEL SECURITY");
    said.preflight.assert_says("TABLE public.t");
}

/// It stays where it was, and is nobody's.
#[test]
fn the_sequence_of_a_table_that_cannot_be_made() {
    let sql = "CREATE SCHEMA ext; CREATE SCHEMA app; CREATE TYPE ext.mood AS ENUM ('a');
               CREATE TABLE app.t (id serial PRIMARY KEY, m ext.mood); INSERT INTO app.t (m) VALUES ('a'), ('a');
               CREATE TABLE app.kept (a int); INSERT INTO app.kept VALUES (1)";
    for selection in ["--schema=app", "--exclude-schema=ext"] {
        let case = Case::of_sql(15, 18, sql).with(&[selection]);
        let told = "SEQUENCE OWNED BY app.t_id_seq: needs TABLE app.t, which needs TYPE ext.mood";
        case.said().ends(3, &[told]);
        assert_eq!(case.target.psql("shop", "SELECT last_value, is_called FROM app.t_id_seq"), "2|t");
    }
}

/// What a function names without its schema is not found by a run, whatever the rows are.
#[test]
fn functions_that_find_nothing_they_name() {
    let sql = "
        CREATE SCHEMA app; CREATE TABLE app.allowed (i int); INSERT INTO app.allowed VALUES (1);
        SET search_path = app;
        CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT EXISTS (SELECT FROM allowed WHERE i = $1)';
        CREATE FUNCTION known_pl(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
            'BEGIN RETURN EXISTS (SELECT FROM allowed WHERE i = $1); END';
        CREATE FUNCTION known_in_part(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
            'BEGIN IF $1 > 5 THEN RETURN EXISTS (SELECT FROM allowed WHERE i = $1); END IF; RETURN true; END';
        CREATE FUNCTION known_by_path(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE SET search_path = app AS
            'BEGIN RETURN EXISTS (SELECT FROM allowed WHERE i = $1); END';
        CREATE TABLE t (a int CHECK (known(a))); INSERT INTO t VALUES (1);
        CREATE TABLE u (a int CONSTRAINT by_pl CHECK (known_pl(a))); INSERT INTO u VALUES (1);
        CREATE TABLE v (a int CHECK (known_in_part(a)), b int CONSTRAINT maybe CHECK (b IS NULL OR known_pl(b)));
        INSERT INTO v VALUES (1); CREATE TABLE w (a int CHECK (known_by_path(a))); INSERT INTO w VALUES (1);
        CREATE TABLE empty (a int CHECK (known_pl(a)));
        CREATE TABLE n (a int); INSERT INTO n VALUES (1); CREATE INDEX n_i ON n (known(a)); CREATE INDEX n_j ON n (known_pl(a));
        CREATE UNIQUE INDEX n_u ON n (a) WHERE known_pl(a); CREATE INDEX n_k ON n (known_by_path(a));
        CREATE TABLE later (a int); INSERT INTO later VALUES (1); ALTER TABLE later ADD CHECK (known(a)) NOT VALID";
    let case = Case::of_sql(16, 18, sql);
    let missing = "relation \"allowed\" does not exist; function app.known";
    let told = [
        "CHECK CONSTRAINT app.t t_a_check: ",
        "CHECK CONSTRAINT app.u by_pl: ",
        "INDEX app.n_i: ",
        "INDEX app.n_j: ",
        "INDEX app.n_u: ",
    ];
    let told = told.map(|object| format!("{object}{missing}"));
    let said = case.said();
    said.ends(3, &told.each_ref().map(String::as_str));
    said.preflight.assert_says("on the source: ALTER FUNCTION app.known_pl(integer) SET search_path = app");
    for doubtful in ["CHECK CONSTRAINT app.v v_a_check: ", "CHECK CONSTRAINT app.v maybe: "] {
        said.preflight.assert_says(&format!("may fail, depending on the rows: {doubtful}"));
    }
    assert_eq!(said.run.json()["skipped"].as_array().unwrap().len(), told.len(), "{}", said.run);
    rows_that_a_function_keeps_out(&case);
}

/// Rows that cannot be loaded block, until the functions find what they name.
fn rows_that_a_function_keeps_out(case: &Case) {
    case.source.psql(
        "shop",
        "SET search_path = app; CREATE DOMAIN d AS int CONSTRAINT k CHECK (known(VALUE));
         CREATE TABLE x (a d[]); INSERT INTO x VALUES ('{1}'); CREATE TABLE no_rows (a d);
         CREATE TABLE g (a int, b bool GENERATED ALWAYS AS (known_pl(a)) STORED); INSERT INTO g VALUES (1)",
    );
    case.target.psql("postgres", "CREATE DATABASE again");
    let said = case.said_as(&case.target.uri("again"));
    said.preflight.assert_code(5);
    for told in
        ["TABLE DATA app.x, for constraint k of domain app.d: ", "TABLE DATA app.g, for generated column b: "]
    {
        said.preflight.assert_says(told);
        said.run.assert_stderr_has(&[told]);
    }
    assert!(!said.preflight.stdout.contains("app.no_rows"), "{}", said.preflight);
    let mend = "ALTER FUNCTION app.known(integer) SET search_path = app; ALTER FUNCTION app.known_pl(integer) SET search_path = app;
                ALTER FUNCTION app.known_in_part(integer) SET search_path = app; TRUNCATE app.x, app.g";
    case.source.psql("shop", mend);
    let said = case.said_as(&case.target.uri("again"));
    said.ends(0, &[]);
    assert!(!said.preflight.stdout.contains("may fail"), "{}", said.preflight);
}

/// What a selection leaves out of a partitioned table takes along all that is said of it.
#[test]
fn what_is_said_of_a_partition_that_is_left_out() {
    let sql = "
        CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE p (i int NOT NULL, id int REFERENCES a) PARTITION BY LIST (i);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
        CREATE TABLE refd (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE refd1 PARTITION OF refd FOR VALUES IN (1);
        CREATE TABLE refd2 PARTITION OF refd FOR VALUES IN (2); CREATE TABLE refs (id int REFERENCES refd);
        INSERT INTO a VALUES (1); INSERT INTO p VALUES (1, 1), (2, 1); INSERT INTO refd VALUES (1), (2); INSERT INTO refs VALUES (1);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER tg AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION noted();
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON p2 FROM a FOR EACH ROW EXECUTE FUNCTION noted();
        COMMENT ON TRIGGER tg ON p2 IS 'copy'; ALTER TABLE p2 DISABLE TRIGGER tg; COMMENT ON TRIGGER late ON p2 IS 'own';
        CREATE UNIQUE INDEX p_i ON p (i); COMMENT ON INDEX p2_i_idx IS 'part'; ALTER TABLE p2 CLUSTER ON p2_i_idx;
        ALTER TABLE p2 REPLICA IDENTITY USING INDEX p2_i_idx; CREATE INDEX p_e ON p ((id + 1)); ALTER INDEX p2_expr_idx ALTER 1 SET STATISTICS 7;
        ALTER TABLE p2 SET (fillfactor = 50); GRANT SELECT ON p2 TO PUBLIC; COMMENT ON COLUMN p2.i IS 'c'; GRANT SELECT (i) ON p2 TO PUBLIC;
        CREATE POLICY pol ON p2 USING (true); COMMENT ON POLICY pol ON p2 IS 'p'; CREATE STATISTICS st ON i, id FROM p2;
        CREATE RULE r AS ON DELETE TO p2 DO INSTEAD NOTHING; COMMENT ON RULE r ON p2 IS 'r'; COMMENT ON TYPE p2 IS 't';
        ALTER TABLE p2 ADD CONSTRAINT positive CHECK (i > 0); COMMENT ON CONSTRAINT positive ON p2 IS 'k';
        DO $$ DECLARE c record; BEGIN FOR c IN SELECT conname, conrelid::regclass AS t FROM pg_constraint WHERE contype = 'f' LOOP
          EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, c.t, 'key'); END LOOP; END $$";
    let selection = ["-T", "p2", "-T", "refd2"];
    let case = Case::of_sql(16, 16, sql).with(&selection);
    case.said().ends(0, &[]);
    let uris = [case.source.uri("shop"), case.target.uri("shop")];
    let verify = Dbhaul::new(["verify", "--source", &uris[0], "--target", &uris[1]]).args(selection).run();
    verify.assert_code(0);
    let kept = "SELECT count(*) FROM pg_description WHERE description = 'key'";
    assert_eq!(case.target.psql("shop", kept), "4");
    // 18 names copies of keys otherwise: what is said of one is skipped, and nothing else differs
    let newer = Server::start(18);
    newer.create_db("shop");
    case.said_as(&newer.uri("shop")).ends(3, &["COMMENT CONSTRAINT refs_id_fkey1 ON public.refs: "]);
}

/// Objects that need a member of an extension that is left out are named, and none of them leaves a shell behind.
#[test]
fn what_needs_an_extension_that_is_left_out() {
    let sql = "
        CREATE EXTENSION hstore; CREATE TABLE kept (a int); INSERT INTO kept VALUES (1);
        CREATE FUNCTION made(text, text) RETURNS hstore LANGUAGE c STRICT AS '$libdir/hstore', 'hstore_from_text';
        CREATE FUNCTION made_all(text) RETURNS SETOF hstore LANGUAGE c AS '$libdir/hstore', 'hstore_from_text';
        CREATE FUNCTION taken(hstore) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION by_default(text DEFAULT hstore('a', 'b')::text) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE TABLE has (h hstore); INSERT INTO has VALUES ('a=>1'); CREATE TABLE has_all (h hstore[]);
        CREATE DOMAIN dom AS hstore; CREATE TYPE comp AS (h hstore, i int); CREATE TYPE span AS RANGE (subtype = hstore);
        CREATE FUNCTION step(hstore, hstore) RETURNS hstore LANGUAGE sql AS 'SELECT $1';
        CREATE AGGREGATE agg(hstore) (sfunc = step, stype = hstore);
        CREATE OPERATOR === (leftarg = hstore, rightarg = hstore, procedure = step);
        CREATE FUNCTION as_int(hstore) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
        CREATE CAST (hstore AS int) WITH FUNCTION as_int(hstore);
        CREATE VIEW seen AS SELECT hstore('a', 'b') AS h; CREATE TABLE with_default (t text DEFAULT hstore('a', 'b')::text, d dom, c comp);
        CREATE TABLE checked (t text CHECK (t::hstore ? 'a')); CREATE INDEX by_h ON kept ((hstore('a', a::text)));
        CREATE MATERIALIZED VIEW filled AS SELECT hstore('a', 'b') AS h; CREATE TABLE typed OF comp;
        CREATE FUNCTION over_span(span) RETURNS int LANGUAGE sql AS 'SELECT 1'";
    let case = Case::of_sql(17, 18, sql).with(&["--exclude-extension", "hstore"]);
    let needs = |what: &str| format!("{what}: needs EXTENSION hstore, which is not selected");
    let told = [
        "FUNCTION public.made(text, text)",
        "FUNCTION public.made_all(text)",
        "TABLE public.has",
        "DOMAIN public.dom",
    ];
    let told: Vec<String> = told.map(needs).into();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    case.said().ends(3, &told);
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM pg_type WHERE NOT typisdefined"), "0");
    assert_eq!(case.target.psql("shop", "SELECT a FROM kept"), "1");
}

/// Sections one after another bring what one run brings, and each is compared with what it was to bring.
#[test]
fn sections_in_runs_of_their_own() {
    let sql = "
        CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
        CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;
        CREATE VIEW grouped WITH (security_barrier) AS SELECT id, v FROM t GROUP BY id; COMMENT ON VIEW grouped IS 'by key';
        CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM grouped; END;
        CREATE DOMAIN positive AS int DEFAULT 1; CREATE FUNCTION ok(positive) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
        ALTER DOMAIN positive ADD CONSTRAINT fine CHECK (ok(VALUE)); COMMENT ON CONSTRAINT fine ON DOMAIN positive IS 'c';
        CREATE TABLE u (x positive); CREATE MATERIALIZED VIEW over_key AS SELECT * FROM grouped";
    let case = Case::of_sql(17, 18, sql);
    let section = |name: &str, more: &[&str]| {
        let run = case.command(&["migrate", "--section", name], &case.target.uri("shop")).args(more).run();
        run.assert_code(0);
    };
    section("pre-data", &[]);
    section("data", &["--allow-non-empty"]);
    section("post-data", &["--allow-non-empty"]);
    let verify =
        Dbhaul::new(["verify", "--source", &case.source.uri("shop"), "--target", &case.target.uri("shop")]);
    verify.run().assert_code(0);
    assert_eq!(case.target.psql("shop", "SELECT count(*) FROM over_key"), "2");
}

/// A partition whose parent is left out is a table of its own, and so are the checks that it had of its parent.
#[test]
fn a_partition_without_its_parent() {
    let sql = "
        CREATE TABLE p (a int NOT NULL, b int, CONSTRAINT ck CHECK (a > 0), CONSTRAINT pair CHECK (b > a)) PARTITION BY LIST (a);
        CREATE TABLE p1 (a int NOT NULL, b int, CONSTRAINT pair CHECK (b > a), CONSTRAINT ck CHECK (a > 0));
        ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
        CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (b);
        CREATE TABLE p22 PARTITION OF p2 FOR VALUES IN (22);
        INSERT INTO p VALUES (1, 2), (2, 22)";
    for (from, to) in [(13, 18), (18, 18)] {
        let case = Case::of_sql(from, to, sql).with(&["-T", "p"]);
        case.said().ends(3, &["TABLE ATTACH public.p1: ", "TABLE ATTACH public.p2: "]);
        assert_eq!(case.target.psql("shop", "SELECT count(*) FROM p1, p2"), "1");
    }
}
