//! What a target holds, is or keeps others from doing, said before the run.

use dbhaul_tests::{Dbhaul, Server};

use super::Case;

#[test]
fn a_target_that_is_read_only_by_default() {
    let case = Case::of_sql(16, 18, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    case.target.psql("postgres", "ALTER DATABASE shop SET default_transaction_read_only = on");
    let said = case.said();
    said.preflight.assert_code(5).assert_says("default_transaction_read_only is on there");
    said.run.assert_stderr_has(&["--allow-read-only"]);
    assert_eq!(case.target.psql("shop", "SELECT to_regclass('t') IS NULL"), "t");
    let case = case.with(&["--allow-read-only"]);
    case.said().ends(0, &[]);
    assert_eq!(case.target.psql("shop", "SELECT a FROM t"), "1");
}

/// The run keeps its ledger in a schema of its own, and what is not let there is known before the run.
#[test]
fn event_triggers_that_refuse_the_ledger() {
    for (event, tag) in
        [("ddl_command_start", "COMMENT"), ("ddl_command_end", "CREATE SCHEMA"), ("sql_drop", "DROP SCHEMA")]
    {
        let case = Case::of_sql(16, 18, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
        case.target.psql(
            "shop",
            &format!(
                "CREATE SCHEMA guard;
                 CREATE FUNCTION guard.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
                   $$BEGIN RAISE 'not during business hours'; END$$;
                 CREATE EVENT TRIGGER guard ON {event} WHEN TAG IN ('{tag}') EXECUTE FUNCTION guard.refuse()"
            ),
        );
        let case = case.with(&["--allow-non-empty"]);
        let said = case.said();
        said.preflight
            .assert_code(5)
            .assert_says("not during business hours")
            .assert_says("ALTER EVENT TRIGGER");
        assert_eq!(case.target.psql("shop", "SELECT to_regclass('t') IS NULL"), "t", "{event}");
        case.target.psql("shop", "ALTER EVENT TRIGGER guard DISABLE");
        case.said().ends(0, &[]);
    }
}

#[test]
fn settings_of_the_database_that_are_not_carried() {
    let sql = "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE k (a int REFERENCES t);
               CREATE TABLE kept (a int REFERENCES t); ALTER TABLE k DISABLE TRIGGER ALL";
    let case = Case::of_sql(16, 18, sql);
    let set = "ALTER DATABASE shop SET work_mem = '7MB'; ALTER DATABASE shop SET app.api_token = 'hunter2';
               ALTER DATABASE shop SET app.backend = 'postgres://u:hunter2@host/db';
               ALTER DATABASE shop SET app.other = 'host=h user=u password=hunter2'";
    case.source.psql("postgres", set);
    let said = case.said();
    for output in [&said.preflight, &said.dry_run, &said.run] {
        output.assert_says("work_mem = 7MB").assert_says("app.api_token = (not shown)");
        output.assert_says("app.backend = (not shown)").assert_says("app.other = (not shown)");
        assert!(!output.to_string().contains("hunter2"), "{output}");
        // what lets rows violate it is said, of the key that it is so of
        output.assert_says("the source does not enforce foreign keys whose triggers are disabled there");
        output.assert_says("k_a_fkey on public.k");
        let told = output.to_string();
        let mut told = told.lines().filter(|line| line.contains("does not enforce foreign keys"));
        assert!(told.all(|line| !line.contains("kept_a_fkey")), "{output}");
    }
    said.run.assert_code(0);
    let verify = case.command(&["verify"], &case.target.uri("shop")).run();
    verify.assert_code(0).assert_says("does not enforce foreign keys whose").assert_says("k_a_fkey");
}

#[test]
fn locks_on_what_is_dropped_first() {
    let mut case = Case::of_sql(16, 18, CLEANED);
    case.target = Server::builder(18).config("max_prepared_transactions", "2").start();
    case.target.create_db("shop");
    case.target.psql(
        "shop",
        "CREATE TABLE t (a int); CREATE SCHEMA app; CREATE TABLE stays (a int);
         CREATE PUBLICATION of_app FOR TABLES IN SCHEMA app; CREATE PUBLICATION of_t FOR TABLE t, stays",
    );
    case.target.psql("shop", "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'left behind'");
    let case = case.with(&["--clean", "--if-exists"]);
    let told = "prepared transaction 'left behind' holds locks on what --clean drops, and keeps them until somebody \
                ends it: public.t;";
    let preflight = case.command(&["preflight"], &case.target.uri("shop")).run();
    preflight.assert_code(5).assert_says(told);
    for publication in [
        "publication of table public.t in publication of_t",
        "publication of schema app in publication of_app",
    ] {
        preflight.assert_says(publication);
    }
    case.command(&["migrate"], &case.target.uri("shop")).run().assert_code(1).assert_stderr_has(&[told]);
    case.target.psql("shop", "ROLLBACK PREPARED 'left behind'");
    case.target.psql("shop", "DROP PUBLICATION of_t, of_app; DROP TABLE stays");
    std::thread::scope(|scope| {
        let hold = "BEGIN; SELECT a FROM t; SELECT pg_sleep(600)";
        scope.spawn(|| case.target.try_psql("shop", hold).unwrap_err());
        let holds = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        let is_held = || (case.target.psql("shop", holds) == "1").then_some(());
        dbhaul_tests::wait_until("the table is locked", is_held);
        let preflight = case.command(&["preflight"], &case.target.uri("shop")).run();
        case.target.terminate_backends("shop", "%pg_sleep%");
        preflight.assert_code(0).assert_says("--clean drops public.t, which process");
    });
    case.said().ends(0, &[]);
    what_rests_on_what_is_dropped(&case);
}

/// What is dropped first, with what a server lets depend on it.
const CLEANED: &str = "
    CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE SEQUENCE s;
    CREATE TABLE part (a int) PARTITION BY RANGE (a);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9); INSERT INTO part VALUES (1);
    CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE pair AS (a int); CREATE DOMAIN small AS int CHECK (VALUE < 9);
    CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SCHEMA app; CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT a FROM v";

/// Objects that only the target has, and how a plan names each.
const OWN: [(&str, &str); 12] = [
    ("CREATE VIEW own_view AS SELECT a FROM v", "view public.own_view depends on VIEW public.v"),
    ("CREATE TABLE own_key (a int REFERENCES t)", "own_key_a_fkey on table public.own_key depends on"),
    (
        "CREATE TABLE own_next (a int DEFAULT nextval('s'))",
        "column a of table public.own_next depends on SEQUENCE public.s",
    ),
    ("CREATE TABLE own_mood (m mood[])", "column m of table public.own_mood depends on TYPE public.mood"),
    ("CREATE TABLE own_pair (p pair)", "column p of table public.own_pair depends on TYPE public.pair"),
    ("CREATE TABLE own_small (s small)", "column s of table public.own_small depends on DOMAIN public.small"),
    (
        "CREATE TABLE own (a int); CREATE POLICY own_policy ON own USING (f(a, 'x') = 1)",
        "policy own_policy on table public.own depends on FUNCTION public.f(integer, text)",
    ),
    (
        "CREATE FUNCTION own_f(t) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "function public.own_f(public.t) depends on TABLE public.t",
    ),
    ("CREATE TABLE app.own (a int)", "table app.own depends on SCHEMA app"),
    (
        "CREATE TABLE own_part PARTITION OF part FOR VALUES FROM (9) TO (19); INSERT INTO own_part VALUES (10)",
        "table public.own_part belongs to TABLE public.part",
    ),
    ("CREATE TABLE own_child () INHERITS (t)", "table public.own_child belongs to TABLE public.t"),
    (
        "DROP VIEW w; CREATE MATERIALIZED VIEW w AS SELECT 1",
        "materialized view public.w has the name of VIEW public.w",
    ),
];

/// Neither dropped nor let fail a drop.
#[track_caller]
fn what_rests_on_what_is_dropped(case: &Case) {
    for (sql, told) in OWN {
        case.target.psql("shop", sql);
        case.command(&["preflight"], &case.target.uri("shop")).run().assert_code(5).assert_says(told);
    }
    case.target.psql("shop", "CREATE INDEX own_index ON t (a)");
    let before = case.target.pg_dump_schema("shop");
    let told: Vec<&str> = OWN.iter().map(|(_, told)| *told).collect();
    case.said().ends(1, &told);
    assert_eq!(case.target.pg_dump_schema("shop"), before);
    assert_eq!(case.target.psql("shop", "SELECT a FROM own_part"), "10");
    case.target.psql(
        "shop",
        "DROP VIEW own_view; DROP FUNCTION own_f; DROP MATERIALIZED VIEW w;
         DROP TABLE own_key, own_next, own_mood, own_pair, own_small, own, app.own, own_part, own_child",
    );
    case.target.psql("shop", "CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE shop TO mover; GRANT ALL ON SCHEMA public TO mover");
    let mover = case.said_as(&case.target.uri_as("mover", "shop"));
    mover.preflight.assert_code(5).assert_says("so that --clean may not drop them: ");
    mover.preflight.assert_says("table public.t, ").assert_says("schema app");
    case.target.psql("shop", "REVOKE ALL ON SCHEMA public FROM mover");
    let told = "--clean drops with their tables what the run does not create again: index public.own_index";
    case.said().ends(0, &[told]);
}

#[test]
fn a_target_of_another_locale() {
    let case = Case::of_sql(17, 18, "CREATE TABLE t (a text)");
    case.target.drop_db("shop");
    let make = "CREATE DATABASE shop TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8'";
    case.target.psql("postgres", make);
    let said = case.said();
    said.preflight.assert_code(0).assert_says(
        "its locale is LC_COLLATE C and LC_CTYPE C, the source's is LC_COLLATE C.UTF-8 and LC_CTYPE C.UTF-8",
    );
    case.target.drop_db("shop");
    case.target.psql("postgres", "CREATE DATABASE shop TEMPLATE template0 LOCALE 'C.utf8' ENCODING 'UTF8'");
    let preflight = case.command(&["preflight"], &case.target.uri("shop")).run();
    assert!(!preflight.assert_code(0).stdout.contains("its locale"), "{preflight}");
}

/// What does not lie on tables that are there is tried among objects that stay, too.
#[test]
fn what_a_target_that_is_not_empty_refuses() {
    let sql = "
        CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x');
        CREATE TABLE child (a int REFERENCES t);
        CREATE VIEW old AS SELECT checkpoints_timed AS c FROM pg_stat_bgwriter;
        CREATE VIEW needs_old AS SELECT * FROM old; COMMENT ON VIEW old IS 'old'";
    let case = Case::of_sql(16, 18, sql).with(&["--allow-non-empty"]);
    case.target.psql("shop", "CREATE TABLE mine (a int); INSERT INTO mine VALUES (7)");
    // the table that only the target has is no difference
    case.said().ends(
        3,
        &[
            "VIEW public.old: column",
            "VIEW public.needs_old: needs VIEW public.old",
            "COMMENT VIEW public.old",
        ],
    );
    assert_eq!(case.target.psql("shop", "SELECT b, mine.a FROM t, mine"), "x|7");
}

/// A run that keeps what is there cannot make it anew: it does not begin.
#[test]
fn what_a_target_holds_already_is_in_the_way() {
    let sql = "CREATE SCHEMA app; CREATE TABLE app.t (a int); INSERT INTO app.t VALUES (1);
               CREATE TABLE app.other (a int); INSERT INTO app.other VALUES (2);
               CREATE INDEX t_a ON app.t (a); CREATE VIEW app.v AS SELECT * FROM app.t";
    let case = Case::of_sql(17, 18, sql).with(&["--allow-non-empty"]);
    case.target.psql("shop", "CREATE SCHEMA app; CREATE TABLE app.t (a int)");
    let told = "it already holds objects that the run would create: SCHEMA app, TABLE app.t;";
    let into = case.target.uri("shop");
    case.command(&["preflight"], &into).run().assert_code(5).assert_says(told);
    case.command(&["migrate", "--dry-run"], &into).run().assert_code(1).assert_says(told);
    case.command(&["migrate"], &into).run().assert_code(1);
    assert_eq!(
        case.target.psql("shop", "SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace"),
        "1"
    );
}

/// A foreign key to a table that the selection left out, and that others use there.
#[test]
fn a_key_to_a_table_that_is_there() {
    let sql = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
               CREATE TABLE b (a int REFERENCES a); INSERT INTO b VALUES (1)";
    let case = Case::of_sql(17, 18, sql).with(&["-t", "b", "--allow-non-empty"]);
    case.target.psql("shop", "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    case.said().run.assert_code(0);
    assert_eq!(
        case.target.psql("shop", "SELECT count(*) FROM pg_constraint WHERE conname = 'b_a_fkey'"),
        "1"
    );
}

/// Rows that are loaded into what is there already.
#[test]
fn relations_that_cannot_take_rows() {
    let sql =
        "CREATE TABLE a (x int); INSERT INTO a VALUES (1); CREATE TABLE b (x int); INSERT INTO b VALUES (1);
               CREATE TABLE c (x int); INSERT INTO c VALUES (1); CREATE SEQUENCE s;
               CREATE TABLE d (id int PRIMARY KEY, x text); INSERT INTO d VALUES (1, 'a'), (2, NULL);
               CREATE SEQUENCE t; SELECT setval('t', 7)";
    let case = Case::of_sql(16, 18, sql).with(&["--data-only", "--allow-non-empty"]);
    case.target.psql(
        "shop",
        "CREATE TABLE base (x int); CREATE VIEW a AS SELECT x FROM base; CREATE TABLE s (x int);
         CREATE TABLE b (x int, \"to Fill\" int NOT NULL); CREATE TABLE c (x int, y int NOT NULL DEFAULT 1)",
    );
    let said = case.said();
    said.preflight.assert_code(5).assert_says("table public.a is a view there");
    said.preflight.assert_says("sequence public.s is a table there");
    said.preflight
        .assert_says("table public.b has column \"to Fill\" that may not be NULL, without a default");
    said.preflight.assert_says("warning  target  table public.c has column y that the source lacks");

    // what only the target has is no part of the rows, and its triggers may move sequences
    case.target.drop_db("shop");
    case.target.create_db("shop");
    case.target.psql(
        "shop",
        "CREATE SEQUENCE t; CREATE SEQUENCE s; CREATE TABLE d (more int, x text, id int PRIMARY KEY, \"Made\" int DEFAULT 3,
           twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''public.t''); RETURN NEW; END';
         CREATE TRIGGER moves BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION moves();
         CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int)",
    );
    let told = "table public.d has columns more, \"Made\" that the source lacks";
    let said = case.said();
    for output in [&said.preflight, &said.dry_run] {
        output.assert_code(0).assert_says(told);
    }
    said.run.assert_code(0).assert_stderr_has(&[told]);
    assert_eq!(case.target.psql("shop", "SELECT id, x, \"Made\", twice FROM d WHERE id = 1"), "1|a|3|2");
    assert_eq!(case.target.psql("shop", "SELECT last_value FROM t"), "7");
    let verify = || {
        let sides =
            ["--source", &case.source.uri("shop"), "--target", &case.target.uri("shop")].map(str::to_owned);
        Dbhaul::new(["verify", "--data-only"]).args(sides).run()
    };
    verify().assert_code(0).assert_says("columns that only the right has: more, \"Made\" of public.d");
    case.target.psql("shop", "UPDATE d SET x = 'b' WHERE id = 1");
    verify().assert_code(4);
}

/// What the role cannot read of a source's catalogs keeps a run from beginning.
#[test]
fn catalogs_that_the_role_may_not_read() {
    let case = Case::of_sql(17, 18, "CREATE TABLE t (a int); CREATE ROLE reader LOGIN");
    case.source.psql("shop", "REVOKE SELECT ON pg_catalog.pg_attrdef FROM PUBLIC");
    let from = case.source.uri_as("reader", "shop");
    let sides = ["--source", &from, "--target", &case.target.uri("shop")].map(str::to_owned);
    let told = "cannot read columns from the system catalogs";
    let preflight = Dbhaul::new(["preflight"]).args(&sides).run();
    preflight.assert_code(5).assert_says("BLOCKER  source ").assert_says(told);
    Dbhaul::new(["migrate"]).args(&sides).run().assert_code(1).assert_stderr_has(&[told]);
}

/// Sections are compared by what is in them, and what is built on rows that are there is tried without staying.
#[test]
fn one_section_after_the_other() {
    let sql = "CREATE TABLE a (i int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'a'); CREATE INDEX a_v ON a (v);
               CREATE TABLE b (i int REFERENCES a CHECK (i > 0)); INSERT INTO b VALUES (1);
               CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
               CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
               ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE PUBLICATION p FOR TABLE a;
               CREATE INDEX old ON a (((i::bigint) !))";
    let mut case = Case::of_sql(13, 18, sql);
    for (sections, code) in [("pre-data", 0), ("data", 0), ("post-data", 3)] {
        case = case.with(&["--section", sections, "--allow-non-empty"]);
        let said = case.said();
        said.run.assert_code(code);
        let verify = case.with(&["--section", sections]);
        verify.command(&["verify"], &verify.target.uri("shop")).run().assert_code(if code == 0 {
            0
        } else {
            4
        });
        case = verify;
    }
    case.target.psql("shop", "DROP INDEX a_v");
    let verify = case.command(&["verify"], &case.target.uri("shop")).run();
    verify.assert_code(4).assert_says("INDEX public.a_v: missing");
    let case = case.with(&["--section", "pre-data"]);
    let verify = case.command(&["verify"], &case.target.uri("shop")).run();
    verify.assert_code(0).assert_says("definitions of section post-data: indexes, keys,");
}

/// Parts of partitioned tables alone, and what owns a sequence: what is skipped for it explains all that differs.
#[test]
fn parts_of_what_is_not_selected() {
    let sql = "CREATE SCHEMA app; CREATE SCHEMA other;
               CREATE TABLE other.log (at int PRIMARY KEY, what text) PARTITION BY RANGE (at);
               CREATE TABLE app.log_1 PARTITION OF other.log FOR VALUES FROM (0) TO (9);
               CREATE INDEX log_what ON other.log (what); INSERT INTO other.log VALUES (1, 'a');
               CREATE TYPE other.mood AS ENUM ('ok'); CREATE TABLE app.customer (id serial PRIMARY KEY, m other.mood)";
    for args in [&["-n", "app"][..], &["-T", "other.log"], &["-t", "app.customer", "--allow-non-empty"]] {
        let case = Case::of_sql(17, 18, sql).with(args);
        if args[0] == "-t" {
            case.target.psql("shop", "CREATE SCHEMA app");
        }
        case.said().run.assert_code(3);
    }
}
