//! What a target holds, is or keeps others from doing, said before the run.

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
        assert!(!output.to_string().contains("kept_a_fkey"), "{output}");
    }
    said.run.assert_code(0);
    let verify = case.command(&["verify"], &case.target.uri("shop")).run();
    verify.assert_code(0).assert_says("does not enforce foreign keys whose").assert_says("k_a_fkey");
}

#[test]
fn locks_on_what_is_dropped_first() {
    let case = Case::of_sql(16, 18, "CREATE TABLE t (a int)");
    case.target.psql("shop", "CREATE TABLE t (a int)");
    let case = case.with(&["--clean", "--if-exists"]);
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
    // 4, for the table that only the target has
    case.said().ends(
        4,
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
    let told = "it already holds what is to be created there: SCHEMA app, TABLE app.t;";
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
