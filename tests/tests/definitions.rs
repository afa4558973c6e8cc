//! Definitions are the same if PostgreSQL's parser makes the same of both, however each server prints them; and
//! different where it does not, however alike the prints look.

use std::fs;
use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Finished, MAJORS, Server};

/// What the others go to.
const NEWEST: u16 = 18;

/// Every major that may be a source of that.
fn sources() -> impl Iterator<Item = u16> {
    MAJORS.into_iter().filter(|major| *major <= NEWEST)
}

/// Gives the schema `public` of a database the owner and privileges that it has in a new one of `major`.
fn as_new_in(server: &Server, db: &str, major: u16) {
    if major < 15 {
        server.psql(db, "ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON SCHEMA public TO PUBLIC");
    }
}

fn case(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/cases/{name}.sql"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Databases of which a correct copy is printed otherwise, each with the first major that has what it uses.
const PRINTED_OTHERWISE: [(&str, u16); 8] = [
    ("f02-varchar-in-check", 13),
    ("f08-system-user-view-false-difference", 13),
    ("f31-array-cast-everywhere", 15),
    ("r01", 13),
    ("r01b", 13),
    ("r03", 13),
    ("r03b", 13),
    ("r03c", 13),
];

/// All of them in one database, each in a schema of its own.
fn load_printed_otherwise(server: &Server, db: &str) {
    server.create_db(db);
    for (name, since) in PRINTED_OTHERWISE {
        // SYSTEM_USER is a value since 16
        // and JSON no name of a function since 17
        let is_known = since <= server.major()
            && !(name.starts_with("f08") && server.major() >= 16)
            && !(name.starts_with("r03") && server.major() >= 17);
        if is_known {
            let schema = name.split('-').next().unwrap_or(name);
            server.psql(db, &format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {}", case(name)));
        }
    }
}

fn verify(source: &Server, target: &Server, db: &str, options: &[&str]) -> Finished {
    let (from, to) = (source.uri(db), target.uri(db));
    Dbhaul::new(["verify", "--source", &from, "--target", &to]).args(options).run()
}

fn report(run: &Finished) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

/// Members of two of the server's own operator families and one of an extension's: loose ones, of operators and functions of the user's and of
/// the server's, and those of a class, of which one is optional and so a loose one from 14 on.
const ADDED_TO_FAMILIES: &str = "
    CREATE SCHEMA s; CREATE TYPE s.e AS ENUM ('a', 'b');
    CREATE FUNCTION s.lt(numeric, int4) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 < $2::numeric';
    CREATE FUNCTION s.cmp(numeric, int4) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 0';
    CREATE OPERATOR s.<<< (LEFTARG = numeric, RIGHTARG = int4, FUNCTION = s.lt);
    ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree
      ADD OPERATOR 1 s.<<< (numeric, int4), FUNCTION 1 (numeric, int4) s.cmp(numeric, int4);
    ALTER OPERATOR FAMILY pg_catalog.text_ops USING btree
      ADD OPERATOR 1 pg_catalog.~<~ (pg_catalog.bpchar, pg_catalog.bpchar);
    CREATE FUNCTION s.elt(s.e, s.e) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 < $2';
    CREATE FUNCTION s.ecmp(s.e, s.e) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 0';
    CREATE FUNCTION s.sup(internal) RETURNS void LANGUAGE internal AS 'btint4sortsupport';
    CREATE OPERATOR s.< (LEFTARG = s.e, RIGHTARG = s.e, FUNCTION = s.elt);
    CREATE OPERATOR CLASS s.eops FOR TYPE s.e USING btree FAMILY pg_catalog.integer_ops AS
      OPERATOR 1 s.<, FUNCTION 1 s.ecmp(s.e, s.e), FUNCTION 2 s.sup(internal);
    CREATE EXTENSION citext;
    CREATE FUNCTION s.lt(citext, int4) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR s.<<< (LEFTARG = citext, RIGHTARG = int4, FUNCTION = s.lt);
    ALTER OPERATOR FAMILY citext_ops USING btree ADD OPERATOR 1 s.<<< (citext, int4);
    ALTER OPERATOR FAMILY pg_catalog.float_ops USING btree ADD OPERATOR 1 s.<<< (citext, int4);
    CREATE OPERATOR CLASS s.efamily FOR TYPE s.e USING btree FAMILY citext_ops AS
      OPERATOR 1 s.<, FUNCTION 1 s.ecmp(s.e, s.e), FUNCTION 2 s.sup(internal);";

/// What users have added to operator families, whether it is a class's or loose.
const ADDED: &str = "SELECT opfname, amopopr::regoperator::text FROM pg_amop m
        JOIN pg_opfamily f ON f.oid = amopfamily
        WHERE opfname !~ 'hstore|cube' AND m.oid >= 16384
          AND NOT EXISTS (SELECT FROM pg_depend WHERE deptype = 'e' AND objid = amopopr)
    UNION ALL SELECT opfname, amproc::regprocedure::text FROM pg_amproc m
        JOIN pg_opfamily f ON f.oid = amprocfamily
        WHERE opfname !~ 'hstore|cube' AND m.oid >= 16384
          AND NOT EXISTS (SELECT FROM pg_depend WHERE deptype = 'e' AND objid = amproc)
    ORDER BY 1, 2";

#[test]
fn what_users_add_to_operator_families_of_others_is_carried_and_compared() {
    let newest = Server::start(NEWEST);
    for major in [13, 15] {
        let (source, db) = (Server::start(major), format!("from_{major}"));
        for server in [&source, &newest] {
            server.create_db(&db);
        }
        // an older version of an extension, which makes members that the target's does not
        source.psql(&db, "CREATE EXTENSION hstore VERSION '1.4'; CREATE EXTENSION cube VERSION '1.2'");
        source.psql(&db, ADDED_TO_FAMILIES);
        let (from, to) = (source.uri(&db), newest.uri(&db));
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
        if major > 13 {
            let run = verify(&source, &newest, &db, &[]);
            let told = "extension hstore has version 1.4 on the left";
            run.assert_code(0)
                .assert_says(told)
                .assert_says("OPERATOR 13 public.@(public.hstore,public.hstore)");
        }
        assert_eq!(newest.psql(&db, ADDED), source.psql(&db, ADDED));
        assert_eq!(newest.psql(&db, ADDED).lines().count(), 11);
        Dbhaul::new(["migrate", "--clean", "--if-exists", "--source", &from, "--target", &to])
            .run()
            .assert_code(0);
        assert_eq!(newest.psql(&db, ADDED), source.psql(&db, ADDED));

        // and back by way of a backup
        let store = store_of(&newest, &db);
        source.create_db("back");
        let restored = restore(&store, &source, "back", &["--allow-downgrade"]);
        assert!(matches!(restored.code, Some(0 | 3)), "{restored}");
        assert_eq!(source.psql("back", ADDED), source.psql(&db, ADDED));

        // whether the extension or a user has added one of the server's own is not known: it is told
        let of_the_server = "OPERATOR 1 (pg_catalog.bpchar, pg_catalog.bpchar)";
        let added = of_the_server.replace("1 ", "1 pg_catalog.~<~ ");
        source.psql(&db, &format!("ALTER OPERATOR FAMILY citext_ops USING btree ADD {added}"));
        let run = verify(&source, &newest, &db, &[]);
        run.assert_code(4).assert_says("~<~(character,character)");
        assert_names(&run, &["OPERATOR FAMILY public.citext_ops USING btree"]);
        source.psql(&db, &format!("ALTER OPERATOR FAMILY citext_ops USING btree DROP {of_the_server}"));

        newest.psql(
            &db,
            "ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree DROP OPERATOR 1 (numeric, int4)",
        );
        newest.psql(&db, "ALTER OPERATOR FAMILY citext_ops USING btree DROP OPERATOR 1 (citext, int4)");
        let run = verify(&source, &newest, &db, &[]);
        run.assert_code(4);
        let families = ["pg_catalog.integer_ops", "public.citext_ops"];
        assert_names(
            &run,
            &families
                .map(|family| format!("OPERATOR FAMILY {family} USING btree"))
                .each_ref()
                .map(|name| &**name),
        );
    }
}

/// Asserts that a run says of each of these that it differs or is not verified, in a line of its own.
#[track_caller]
fn assert_names(run: &Finished, objects: &[&str]) {
    let text = report(run);
    for object in objects {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{object}:")));
        assert!(line.is_some(), "{object} is not named in:\n{text}");
    }
}

#[test]
fn a_correct_copy_is_equal_from_every_major() {
    let newest = Server::start(NEWEST);
    for major in sources() {
        let source = Server::start(major);
        let db = format!("from_{major}");
        load_printed_otherwise(&source, &db);
        newest.create_db(&db);
        let (from, to) = (source.uri(&db), newest.uri(&db));
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
        let again = verify(&source, &newest, &db, &[]);
        again.assert_code(0);
        assert_eq!(newest.psql(&db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbhaul%'"), "0");
    }
}

#[test]
fn a_correct_copy_is_equal_within_a_major() {
    for major in [13, 16] {
        let server = Server::start(major);
        load_printed_otherwise(&server, "one");
        server.create_db("two");
        let (from, to) = (server.uri("one"), server.uri("two"));
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
    }
}

/// A store in a directory of its own.
fn store_of(source: &Server, db: &str) -> tempfile::TempDir {
    let store = tempfile::tempdir().unwrap();
    Dbhaul::new(["dump", "--source", &source.uri(db), "--store"]).arg(store.path()).run().assert_code(0);
    store
}

fn restore(store: &tempfile::TempDir, target: &Server, db: &str, options: &[&str]) -> Finished {
    let restore = Dbhaul::new(["restore", "--backup", "latest", "--target", &target.uri(db), "--store"]);
    restore.arg(store.path()).args(options).run()
}

#[test]
fn a_restore_settles_definitions_on_its_target() {
    let (old, new) = (Server::start(15), Server::start(NEWEST));
    load_printed_otherwise(&old, "one");
    let store = store_of(&old, "one");
    new.create_db("one");
    let up = restore(&store, &new, "one", &[]);
    up.assert_code(0);
    up.assert_says("\n\nEQUAL\n");
    assert_eq!(new.psql("one", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbhaul%'"), "0");

    // what only the target has is told, and no difference
    new.create_db("beside");
    new.psql("beside", "CREATE TABLE mine (i int); INSERT INTO mine VALUES (1)");
    let beside = restore(&store, &new, "beside", &["--allow-non-empty"]);
    beside.assert_code(0);
    beside.assert_says("for information: only the target has: TABLE public.mine\n");

    // something on the target changes what is made there
    new.create_db("meddled");
    new.psql(
        "meddled",
        "CREATE SCHEMA m; CREATE FUNCTION m.meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
           IF pg_catalog.to_regclass('s.t') IS NOT NULL AND NOT EXISTS (
             SELECT FROM pg_constraint WHERE conname = 'extra') THEN
             ALTER TABLE s.t ADD CONSTRAINT extra CHECK (a > 0), ALTER a SET STATISTICS 7;
           END IF; END$$;
         CREATE EVENT TRIGGER meddling ON ddl_command_end WHEN tag IN ('CREATE VIEW') EXECUTE FUNCTION m.meddle()",
    );
    old.create_db("small");
    old.psql("small", "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE VIEW s.v AS SELECT a FROM s.t");
    let small = store_of(&old, "small");
    let meddled = restore(&small, &new, "meddled", &["--allow-non-empty"]);
    meddled.assert_code(4);
    assert_names(&meddled, &["TABLE s.t"]);
    meddled.assert_says("\n\nNOT EQUAL");

    // and another its rows, when they have been loaded
    new.create_db("robbed");
    new.psql(
        "robbed",
        "CREATE SCHEMA m; CREATE FUNCTION m.rob() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
           DELETE FROM s.t WHERE a = 2; END$$;
         CREATE EVENT TRIGGER robbing ON ddl_command_end WHEN tag IN ('CREATE INDEX') EXECUTE FUNCTION m.rob()",
    );
    old.psql("small", "INSERT INTO s.t VALUES (1), (2), (3); CREATE INDEX i ON s.t (a)");
    let robbed = restore(&store_of(&old, "small"), &new, "robbed", &["--allow-non-empty"]);
    robbed.assert_code(4);
    robbed.assert_says("s.t");
    robbed.assert_says("3 rows on the left, 2 on the right");

    // sections alone, and what is not to be compared
    new.create_db("parts");
    let rows = || {
        let rows = restore(&small, &new, "parts", &["--section", "data", "--allow-non-empty"]);
        rows.assert_code(0).assert_says("EQUAL (only what is selected was compared: --section data)");
    };
    for options in [&["--section", "pre-data"][..], &["--section", "post-data", "--allow-non-empty"]] {
        if options[1] == "post-data" {
            rows();
        }
        let part = restore(&small, &new, "parts", options);
        part.assert_code(0);
        part.assert_says("NOT COMPARED with the target");
        part.assert_says(&format!("not verified: only {} was restored", options[1]));
    }
    new.create_db("unverified");
    let unverified = restore(&small, &new, "unverified", &["--no-verify"]);
    unverified.assert_code(0);
    for said in [
        "from backup",
        "(PostgreSQL 15.",
        "(PostgreSQL 18.",
        "scope everything",
        "loaded 0 rows s.t digest 0",
        "NOT COMPARED",
    ] {
        unverified.assert_says(said);
    }

    // down, where what the older server makes of a text is not asked
    new.create_db("down");
    new.psql(
        "down",
        "CREATE TABLE t (a varchar(9) CHECK (a IN ('x', 'y')), b int); CREATE INDEX i ON t (b) WHERE b > 0",
    );
    let store = store_of(&new, "down");
    old.create_db("down");
    let down = restore(&store, &old, "down", &["--allow-downgrade"]);
    down.assert_code(0);
    down.assert_says("\n\nEQUAL\n");
}

/// A session cannot keep a login trigger from firing for itself.
#[test]
fn a_trigger_that_fires_at_each_login_is_told_in_advance() {
    let server = Server::start(18);
    server.create_db("watched");
    server.psql(
        "watched",
        "CREATE TABLE logins (who text); CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO public.logins VALUES (session_user); END';
         CREATE EVENT TRIGGER noting ON login EXECUTE FUNCTION note()",
    );
    server.create_db("copy");
    let sides = ["--source", &server.uri("watched"), "--target", &server.uri("copy")];
    let told = "event trigger noting fires whenever somebody logs in";
    Dbhaul::new(["preflight"]).args(sides).run().assert_code(0).assert_says(told);
    server.psql("watched", "ALTER EVENT TRIGGER noting DISABLE");
    let preflight = Dbhaul::new(["preflight"]).args(sides).run();
    assert!(!preflight.assert_code(0).stdout.contains("noting"), "{preflight}");
    Dbhaul::new(["migrate"]).args(sides).run().assert_code(0);
}

/// What a section does not bring is none of its differences: views are filled, checks that are not valid and default
/// privileges made after the rows.
#[test]
fn each_section_is_compared_by_what_it_brings() {
    let server = Server::start(18);
    server.create_db("whole");
    server.psql(
        "whole",
        "CREATE DOMAIN d AS int CONSTRAINT small CHECK (VALUE < 100); CREATE TABLE t (a d, b int); INSERT INTO t VALUES (-5, 1);
         ALTER DOMAIN d ADD CONSTRAINT pos CHECK (VALUE > 0) NOT VALID; CREATE INDEX i ON t (b);
         CREATE MATERIALIZED VIEW m AS SELECT b FROM t; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor",
    );
    server.create_db("parts");
    let sides = ["--source", &server.uri("whole"), "--target", &server.uri("parts")];
    for section in ["pre-data", "data", "post-data"] {
        let run = Dbhaul::new(["migrate", "--allow-non-empty", "--section", section]).args(sides).run();
        run.assert_code(0);
        if section == "pre-data" {
            // a check that this section brings is one of its differences
            let verify = ["verify", "--section", section];
            server.psql("parts", "ALTER DOMAIN d DROP CONSTRAINT small");
            Dbhaul::new(verify).args(sides).run().assert_code(4).assert_says("DOMAIN public.d");
            server.psql("parts", "ALTER DOMAIN d ADD CONSTRAINT small CHECK (VALUE < 100)");
        }
    }
    Dbhaul::new(["verify"]).args(sides).run().assert_code(0);
}

#[test]
fn columns_with_and_without_the_name_of_their_relation_are_the_same() {
    for (from, to) in [(13, 18), (15, 16)] {
        let (source, target) = (Server::start(from), Server::start(to));
        let db = "qualifiers";
        source.create_db(db);
        source.psql(db, &case(db));
        target.create_db(db);
        let (left, right) = (source.uri(db), target.uri(db));
        Dbhaul::new(["migrate", "--source", &left, "--target", &right]).run().assert_code(0);
        verify(&source, &target, db, &["--no-scratch"]).assert_code(0);
        // the same text but for a qualifier that makes another column of it
        for (view, query) in [
            ("sorted_by_cast", "SELECT id::text AS id, n FROM t ORDER BY t.n, t.id"),
            (
                "sampled_alias",
                "SELECT x.id FROM t AS x TABLESAMPLE system (10) WHERE x.id > 1 ORDER BY x.n + 1",
            ),
            ("of_function", "SELECT r.b AS a FROM pairs() AS r(a int, b int)"),
        ] {
            target.psql(db, &format!("CREATE OR REPLACE VIEW {view} AS {query}"));
        }
        let changed = verify(&source, &target, db, &["--no-scratch"]);
        changed.assert_code(4);
        assert_names(
            &changed,
            &["VIEW public.sorted_by_cast", "VIEW public.sampled_alias", "VIEW public.of_function"],
        );
    }
}

#[test]
fn event_triggers_do_not_fire_and_hinder_no_comparison() {
    for major in [14, 16, 18] {
        let server = Server::start(major);
        for (db, condition) in [("silent_left", "(a OR b) AND c"), ("silent_right", "a OR (b AND c)")] {
            server.create_db(db);
            server.psql(
                db,
                &format!(
                    "CREATE TABLE k (a bool, b bool, c bool, CONSTRAINT k_c CHECK ({condition}));
                     CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''fired''; END';
                     CREATE EVENT TRIGGER stops ON ddl_command_start EXECUTE FUNCTION stop()"
                ),
            );
        }
        let (left, right) = (server.uri("silent_left"), server.uri("silent_right"));
        let compare = || Dbhaul::new(["verify", "--source", &left, "--target", &right]).run();
        // only the server knows that these are different, not printed in two ways
        let run = compare();
        run.assert_code(4).assert_says("1 difference");
        assert!(!report(&run).contains("fire on the target"), "{major}: {run}");
        for db in ["silent_left", "silent_right"] {
            server.psql(db, "ALTER EVENT TRIGGER stops ENABLE ALWAYS");
        }
        // before 17 such a trigger is kept from firing by a superuser alone
        compare().assert_code(4).assert_says("1 difference");
        let enabled = "SELECT evtenabled FROM pg_event_trigger";
        assert_eq!(server.psql("silent_right", enabled), "A");
        server.psql(
            "silent_right",
            "ALTER EVENT TRIGGER stops DISABLE; CREATE ROLE watcher LOGIN; GRANT SELECT ON k TO watcher;
             GRANT CREATE ON DATABASE silent_right TO watcher; ALTER EVENT TRIGGER stops ENABLE ALWAYS",
        );
        let told = "event triggers would fire on the target: stops";
        let watched = server.uri_as("watcher", "silent_right");
        let run = Dbhaul::new(["verify", "--source", &left, "--target", &watched]).run();
        run.assert_code(4).assert_says(told);
    }
}

#[test]
fn other_meanings_are_told_by_name() {
    let newest = Server::start(NEWEST);
    for (name, objects) in [
        (
            "r05",
            &[
                "VIEW public.v",
                "VIEW public.w",
                "CHECK CONSTRAINT public.k k_check",
                "CHECK CONSTRAINT public.k k_a_check",
                "INDEX public.k_i",
                "POLICY public.p pp",
            ][..],
        ),
        (
            "r10",
            &[
                "COLLATION public.c",
                "OPERATOR CLASS public.oc USING btree",
                "OPERATOR CLASS public.od USING btree",
            ][..],
        ),
    ] {
        newest.create_db(name);
        newest.psql(name, &case(&format!("{name}-right")));
        for major in sources() {
            let source = Server::start(major);
            source.create_db(name);
            source.psql(name, &case(&format!("{name}-left")));
            for options in [&[][..], &["--no-scratch"]] {
                let run = verify(&source, &newest, name, options);
                run.assert_code(4);
                assert_names(&run, objects);
            }
        }
    }
}

/// One object of every kind that holds a condition on booleans `a`, `b` and `c`, a term of numbers `x`, `y` and
/// `z`, and the table `t` of a schema.
fn every_kind(major: u16, condition: &str, term: &str, schema: &str) -> String {
    let of_value =
        condition.replace('a', "(VALUE > 1)").replace('b', "(VALUE < 9)").replace('c', "(VALUE <> 5)");
    let of_new = ["a", "b", "c"]
        .iter()
        .fold(condition.to_owned(), |text, column| text.replace(column, &format!("NEW.{column}")));
    let mut sql = format!(
        "CREATE SCHEMA s1; CREATE SCHEMA s2;
         CREATE TABLE s1.t (a bool, b bool, c bool, x int, y int, z int);
         CREATE TABLE s2.t (a bool, b bool, c bool, x int, y int, z int);
         CREATE FUNCTION s1.f(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION s2.f(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false';
         CREATE FUNCTION s1.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE FUNCTION s2.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TYPE s1.pair AS (l int, r int); CREATE TYPE s2.pair AS (l int, r int);
         CREATE TABLE k (a bool, b bool, c bool, x int, y int, z int);
         ALTER TABLE k ADD CONSTRAINT k_condition CHECK ({condition});
         ALTER TABLE k ADD CONSTRAINT k_term CHECK ({term} > 0);
         ALTER TABLE k ADD CONSTRAINT k_function CHECK ({schema}.f(x));
         CREATE DOMAIN d AS int CONSTRAINT d_condition CHECK ({of_value});
         CREATE DOMAIN dd AS bool DEFAULT {constant};
         CREATE TABLE e (v bool DEFAULT {constant}, w bool DEFAULT {schema}.f(1));
         CREATE TABLE g (x int, y int, z int, s int GENERATED ALWAYS AS ({term}) STORED);
         CREATE INDEX k_expression ON k (({term}));
         CREATE INDEX k_predicate ON k (x) WHERE {condition};
         CREATE POLICY p_using ON k USING ({condition});
         CREATE POLICY p_check ON k FOR INSERT WITH CHECK ({condition});
         CREATE POLICY p_query ON k USING (EXISTS (SELECT FROM {schema}.t WHERE t.x = k.x));
         CREATE RULE r AS ON INSERT TO k WHERE {of_new} DO INSTEAD NOTHING;
         CREATE RULE r_acts AS ON DELETE TO k DO ALSO INSERT INTO {schema}.t (x) VALUES (1);
         CREATE VIEW v_table AS SELECT x FROM {schema}.t;
         CREATE VIEW v_term AS SELECT {term} AS n FROM k WHERE {condition};
         CREATE MATERIALIZED VIEW m_table AS SELECT x FROM {schema}.t;
         CREATE MATERIALIZED VIEW m_term AS SELECT {term} AS n FROM k WITH NO DATA;
         CREATE TRIGGER tr_when BEFORE INSERT ON k FOR EACH ROW WHEN ({of_new}) EXECUTE FUNCTION s1.fire();
         CREATE TRIGGER tr_function BEFORE INSERT ON k FOR EACH ROW EXECUTE FUNCTION {schema}.fire();
         CREATE FUNCTION f_default(n bool DEFAULT {constant}) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION f_result() RETURNS {schema}.pair LANGUAGE sql AS 'SELECT 1, 2';
         CREATE TABLE pk (x int, y int, z int) PARTITION BY RANGE (({term}));
         CREATE TABLE pb (x int) PARTITION BY RANGE (x);
         CREATE TABLE pb_1 PARTITION OF pb FOR VALUES FROM (1) TO ({bound});
         CREATE TABLE ex (a bool, b bool, c bool, x int, CONSTRAINT ex_where EXCLUDE USING btree (x WITH =) WHERE ({condition}));
         CREATE FUNCTION s1.sum(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION s2.sum(int, int) RETURNS int LANGUAGE sql AS 'SELECT 2';
         CREATE AGGREGATE ag(int) (SFUNC = {schema}.sum, STYPE = int);
         ",
        constant = condition.replace('a', "true").replace(['b', 'c'], "false"),
        bound = if schema == "s1" { 5 } else { 6 },
    );
    if major >= 14 {
        sql.push_str(&format!(
            "CREATE STATISTICS st ON ({term}), x FROM k;
             CREATE FUNCTION f_body(x int, y int, z int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT {term}; END;
             CREATE FUNCTION f_acts() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO {schema}.t (x) VALUES (1); END;"
        ));
    }
    sql
}

const KINDS: [&str; 30] = [
    "CHECK CONSTRAINT public.k k_condition",
    "CHECK CONSTRAINT public.k k_term",
    "CHECK CONSTRAINT public.k k_function",
    "DOMAIN public.d",
    "DOMAIN public.dd",
    "DEFAULT public.e v",
    "DEFAULT public.e w",
    "DEFAULT public.g s",
    "INDEX public.k_expression",
    "INDEX public.k_predicate",
    "POLICY public.k p_using",
    "POLICY public.k p_check",
    "POLICY public.k p_query",
    "RULE public.k r",
    "RULE public.k r_acts",
    "VIEW public.v_table",
    "VIEW public.v_term",
    "MATERIALIZED VIEW public.m_table",
    "MATERIALIZED VIEW public.m_term",
    "TRIGGER public.k tr_when",
    "TRIGGER public.k tr_function",
    "FUNCTION public.f_default(boolean)",
    "FUNCTION public.f_result()",
    "TABLE public.pk",
    "TABLE public.pb_1",
    "CONSTRAINT public.ex ex_where",
    "AGGREGATE public.ag(integer)",
    "STATISTICS public.st",
    "FUNCTION public.f_body(integer, integer, integer)",
    "FUNCTION public.f_acts()",
];

/// How many of these a major before 14 has.
const BEFORE_14: usize = 27;

#[test]
fn every_kind_of_expression_is_compared_by_its_meaning() {
    let newest = Server::start(NEWEST);
    for major in sources() {
        let source = Server::start(major);
        let db = format!("kinds_{major}");
        source.create_db(&db);
        source.psql(&db, &every_kind(major, "((a OR b) AND c)", "((x + y) * z)", "s1"));

        newest.create_db(&db);
        newest.psql(&db, &every_kind(major, "((a OR b) AND c)", "((x + y) * z)", "s1"));
        as_new_in(&newest, &db, major);
        for options in [&[][..], &["--no-scratch"]] {
            verify(&source, &newest, &db, options).assert_code(0);
        }

        newest.drop_db(&db);
        newest.create_db(&db);
        newest.psql(&db, &every_kind(major, "(a OR (b AND c))", "(x + (y * z))", "s2"));
        let kinds = &KINDS[..if major >= 14 { KINDS.len() } else { BEFORE_14 }];
        for options in [&[][..], &["--no-scratch"]] {
            let run = verify(&source, &newest, &db, options);
            run.assert_code(4);
            assert_names(&run, kinds);
        }
    }
}
