//! A role that owns no more than its database: it does what it may, and what it may not is known before
//! anything starts. Every kind of object is in the source, so every kind of refusal is met.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Finished, Server};
use tempfile::TempDir;

/// What is left out, as `object: reason`.
type Skipped = BTreeSet<String>;

/// A database with every kind of object, with rows beside and beneath what only superusers make.
fn source(major: u16) -> Server {
    let server = Server::builder(major).config("wal_level", "logical").start();
    server.psql(
        "postgres",
        "CREATE ROLE kinds_owner SUPERUSER; CREATE ROLE \"Kinds Reader\"; CREATE ROLE rds_superuser",
    );
    server.create_db("kinds");
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/kinds.sql");
    server.psql_file("kinds", &fixture, &[]);
    server.psql(
        "kinds",
        "GRANT ALL ON SCHEMA public TO PUBLIC;
         CREATE TABLE public.film (id int PRIMARY KEY, title text, owner text DEFAULT current_user);
         INSERT INTO public.film SELECT i, 'film ' || i FROM generate_series(1, 500) i;
         CREATE TABLE public.numbered (n k.\"Number\" PRIMARY KEY); INSERT INTO public.numbered VALUES ('7');
         CREATE VIEW public.many AS SELECT * FROM public.numbered;
         CREATE TABLE k.actor (id serial PRIMARY KEY, film int REFERENCES public.film); INSERT INTO k.actor (film) VALUES (1), (2);
         GRANT SELECT ON ALL TABLES IN SCHEMA public, k TO rds_superuser;
         ALTER TABLE public.film ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY everyone ON public.film USING (true);
         CREATE POLICY provider ON public.film TO rds_superuser USING (owner = current_user);
         COMMENT ON POLICY provider ON public.film IS 'of a provider';
         COMMENT ON EXTENSION plpgsql IS 'not ours';
         CREATE EXTENSION citext WITH SCHEMA public; CREATE TABLE public.words (w public.citext);
         CREATE EXTENSION pageinspect WITH SCHEMA public;
         CREATE FUNCTION public.logged() RETURNS int LANGUAGE sql SET log_min_messages = 'debug1' AS 'SELECT 1'",
    );
    server
}

/// A target whose role `app` may create in the database `moved` and no more.
fn target(major: u16, owns_database: bool) -> Server {
    let server = Server::start(major);
    server.psql(
        "postgres",
        "CREATE ROLE app LOGIN; CREATE ROLE \"Kinds Reader\"; GRANT \"Kinds Reader\" TO app",
    );
    if owns_database {
        server.psql("postgres", "CREATE DATABASE moved OWNER app");
        if major < 15 {
            server.psql(
                "moved",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT CREATE ON SCHEMA public TO app",
            );
        }
    } else {
        server.psql("postgres", "CREATE DATABASE moved");
        server.psql("postgres", "GRANT CREATE ON DATABASE moved TO app");
        server.psql("moved", "GRANT CREATE ON SCHEMA public TO app");
    }
    server
}

/// What `preflight` says will be skipped or changed: a run reports both as skipped.
fn foretold(preflight: &Finished) -> Skipped {
    let report = preflight.json();
    let messages =
        report["findings"].as_array().unwrap().iter().map(|f| f["message"].as_str().unwrap().to_owned());
    let told = |message: String| {
        let text =
            message.strip_prefix("will be skipped: ").or_else(|| message.strip_prefix("will be changed: "));
        text.map(str::to_owned)
    };
    messages.filter_map(told).collect()
}

/// What a run says was skipped, in the words of `preflight`.
fn skipped(run: &Finished) -> Skipped {
    let report = run.json();
    assert_eq!(report["failed"].as_array().unwrap().len(), 0, "{}", run.stdout);
    let one = |item: &serde_json::Value| {
        format!("{}: {}", item["object"].as_str().unwrap(), item["reason"].as_str().unwrap())
    };
    report["skipped"].as_array().unwrap().iter().map(one).collect()
}

#[track_caller]
fn assert_same(what: &str, foretold: &Skipped, skipped: &Skipped) {
    let only = |a: &Skipped, b: &Skipped| a.difference(b).cloned().collect::<Vec<_>>();
    assert!(
        foretold == skipped,
        "{what}\nforetold, not skipped: {:#?}\nskipped, not foretold: {:#?}",
        only(foretold, skipped),
        only(skipped, foretold)
    );
}

#[track_caller]
fn assert_has(skipped: &Skipped, texts: &[&str]) {
    for text in texts {
        assert!(skipped.iter().any(|line| line.contains(text)), "no {text:?} in {skipped:#?}");
    }
}

#[test]
fn what_is_foretold_is_what_is_skipped() {
    for (major, owns_database) in [(14, true), (16, false), (18, true)] {
        let (source, target) = (source(major), target(major, owns_database));
        let (from, to) = (source.uri("kinds"), target.uri_as("app", "moved"));
        let sides = ["--source", from.as_str(), "--target", to.as_str()];
        let preflight = Dbhaul::new(["preflight", "--json"]).args(sides).run();
        preflight.assert_code(0);
        let foretold = foretold(&preflight);
        assert_eq!(
            target.psql("moved", "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
            "0"
        );
        assert_has(
            &foretold,
            &[
                "EVENT TRIGGER",
                "PUBLICATION everything",
                "SUBSCRIPTION plain",
                "ACCESS METHOD heap_too",
                "FOREIGN DATA WRAPPER nothing",
                "USER MAPPING",
                "OPERATOR CLASS",
                "OPERATOR FAMILY",
                "TEXT SEARCH PARSER",
                "TEXT SEARCH TEMPLATE",
                "PROCEDURAL LANGUAGE bare",
                "CAST",
                "EXTENSION pageinspect",
                "FUNCTION public.logged",
                "grants on TABLE",
                "role \"rds_superuser\" does not exist",
                "owner of",
                "POLICY public.film provider",
            ],
        );

        let migrated = Dbhaul::new(["migrate", "--json"]).args(sides).run();
        // the rows of one table are there, but its owner may not see them all: nothing is proven of them
        migrated.assert_code(4).assert_stderr_has(&["will be skipped"]);
        let tables = migrated.json()["verification"]["tables"].clone();
        let is_unproven = |table: &&serde_json::Value| table["verdict"] != "equal";
        let unproven: Vec<_> = tables.as_array().unwrap().iter().filter(is_unproven).collect();
        assert_eq!(unproven.len(), 1, "{unproven:#?}");
        assert_eq!(
            (&unproven[0]["name"], &unproven[0]["verdict"]),
            (&"public.film".into(), &"not-verified".into())
        );
        let reason = "right: row security hides rows of it: connect as a role with BYPASSRLS";
        assert_eq!(unproven[0]["reason"], reason);
        let skipped = skipped(&migrated);
        assert_same(&format!("migrate on {major}"), &foretold, &skipped);
        assert_eq!(target.psql("moved", "SELECT count(*) FROM public.film"), "500");
        assert_eq!(target.psql("moved", "SELECT count(*), max(id) FROM k.actor"), "2|2");
        assert_eq!(target.psql("moved", "SELECT count(*) FROM pg_policy"), "1");
        assert_eq!(target.psql("moved", "SELECT to_regclass('public.numbered') IS NULL"), "t");
    }
}

#[test]
fn a_restore_tells_and_skips_the_same() {
    let (source, target) = (source(17), target(17, true));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &source.uri("kinds"), "--store", store]).run().assert_code(0);
    let to = target.uri_as("app", "moved");
    let restore = ["restore", "--store", store, "--target", to.as_str()];
    let plan = Dbhaul::new(restore).arg("--dry-run").run();
    plan.assert_code(0);
    assert_eq!(target.psql("moved", "SELECT count(*) FROM pg_namespace WHERE nspname = 'k'"), "0");

    let restored = Dbhaul::new(restore).arg("--json").run();
    // as above, the owner of one table may not see all of its rows
    restored.assert_code(4);
    let tables = restored.json()["verification"]["tables"].clone();
    let is_unproven = |table: &&serde_json::Value| table["verdict"] != "equal";
    let unproven: Vec<_> = tables.as_array().unwrap().iter().filter(is_unproven).collect();
    assert_eq!(unproven.len(), 1, "{unproven:#?}");
    assert_eq!(unproven[0]["name"], "public.film");
    assert_eq!(
        unproven[0]["reason"],
        "right: row security hides rows of it: connect as a role with BYPASSRLS"
    );
    let planned: Skipped = plan
        .stdout
        .lines()
        .map(str::trim_start)
        .filter_map(|line| line.strip_prefix("will skip ").or_else(|| line.strip_prefix("will change ")))
        .map(str::to_owned)
        .collect();
    // names with line breaks do not fit into lines of a plan
    let one_line =
        |skipped: Skipped| skipped.into_iter().filter(|text| !text.contains('\n')).collect::<Skipped>();
    let skipped = one_line(skipped(&restored));
    assert!(
        skipped.difference(&planned).next().is_none(),
        "{:#?}",
        skipped.difference(&planned).collect::<Vec<_>>()
    );
}

#[test]
fn verify_names_what_it_may_not_read_and_compares_the_rest() {
    for major in [13, 18] {
        let server = Server::start(major);
        server.psql("postgres", "CREATE ROLE reader LOGIN");
        for database in ["one", "other"] {
            server.create_db(database);
            server.psql(
                database,
                "CREATE TABLE same (a int); INSERT INTO same VALUES (1); CREATE TABLE changed (a int);
                 CREATE TABLE closed (a int); CREATE TABLE filtered (a int); CREATE SEQUENCE closed_too;
                 GRANT SELECT ON same, changed, filtered TO reader;
                 ALTER TABLE filtered ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY few ON filtered USING (a > 1)",
            );
        }
        server.psql("other", "INSERT INTO changed VALUES (2); GRANT SELECT ON closed TO reader");
        let sides = ["one", "other"].map(|database| server.uri_as("reader", database));
        let verify = Dbhaul::new(["verify", "--json", "--source", &sides[0], "--target", &sides[1]]).run();
        verify.assert_code(4);
        let report = verify.json();
        let reason = |list: &str, name: &str, key: &str| {
            let found = report[list].as_array().unwrap().iter().find(|one| one["name"] == name);
            found.map(|found| found[key].as_str().unwrap_or_default().to_owned())
        };
        let verdict = |name: &str| reason("tables", &format!("public.{name}"), "verdict").unwrap();
        assert_eq!(
            ["same", "changed", "closed", "filtered"].map(verdict),
            ["equal", "different", "not-verified", "not-verified"]
        );
        let closed = reason("tables", "public.closed", "reason").unwrap();
        assert!(closed.starts_with("left: it may not be read: GRANT SELECT ON public.closed"), "{closed}");
        let filtered = reason("tables", "public.filtered", "reason").unwrap();
        assert!(filtered.starts_with("left: row security hides rows of it"), "{filtered}");
        // nothing of rows is asked of it where they are not compared
        let schema = ["verify", "--mode", "schema", "--no-privileges"];
        let schema = Dbhaul::new(schema).args(["--source", &sides[0], "--target", &sides[1]]).run();
        schema.assert_code(0).assert_says("ROWS NOT COMPARED");
        let sequence = reason("sequences", "public.closed_too", "not_verified").unwrap();
        assert!(sequence.starts_with("left: it may not be read"), "{sequence}");
    }
}

#[test]
fn tables_in_a_closed_public_schema_stand_in_the_way() {
    let (source, target) = (Server::start(15), Server::start(15));
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE film (id int); INSERT INTO film VALUES (1)");
    target.psql("postgres", "CREATE ROLE app LOGIN");
    target.psql("postgres", "CREATE DATABASE moved");
    target.psql("postgres", "GRANT CREATE ON DATABASE moved TO app");
    let (from, to) = (source.uri("shop"), target.uri_as("app", "moved"));
    let sides = ["--source", from.as_str(), "--target", to.as_str()];
    let preflight = Dbhaul::new(["preflight"]).args(sides).run();
    preflight.assert_code(5);
    preflight.assert_says("GRANT CREATE ON SCHEMA public TO app");
    let migrated = Dbhaul::new(["migrate"]).args(sides).run();
    migrated.assert_code(1).assert_stderr_has(&["GRANT CREATE ON SCHEMA public TO app"]);
}

#[test]
fn a_grantor_that_the_role_may_become_grants_and_an_uninherited_owner_is_not_set() {
    let (source, target) = (Server::start(16), Server::start(16));
    let roles = "CREATE ROLE app LOGIN; CREATE ROLE lender; CREATE ROLE reader; CREATE ROLE keeper;";
    source.psql("postgres", roles);
    source.create_db("shop");
    source.psql(
        "shop",
        "ALTER SCHEMA public OWNER TO app; GRANT USAGE ON SCHEMA public TO lender;
         CREATE TABLE lent (id int); ALTER TABLE lent OWNER TO app; GRANT SELECT ON lent TO lender WITH GRANT OPTION;
         SET ROLE lender; GRANT SELECT ON lent TO reader; RESET ROLE;
         CREATE TABLE kept (id int); ALTER TABLE kept OWNER TO keeper; INSERT INTO kept VALUES (1)",
    );
    target.psql("postgres", roles);
    target.psql("postgres", "GRANT lender TO app; GRANT keeper TO app WITH INHERIT FALSE, SET TRUE");
    target.psql("postgres", "CREATE DATABASE shop OWNER app");
    target.psql("shop", "GRANT USAGE ON SCHEMA public TO lender");
    let (from, to) = (source.uri("shop"), target.uri_as("app", "shop"));
    let run = Dbhaul::new(["migrate", "--json", "--source", &from, "--target", &to]).run();
    run.assert_code(3);
    assert_eq!(
        target.psql("shop", "SELECT array_to_string(relacl, ' ') FROM pg_class WHERE relname = 'lent'"),
        "app=arwdDxt/app lender=r*/app reader=r/lender"
    );
    let skipped = skipped(&run);
    assert_has(
        &skipped,
        &["owner of TABLE public.kept: the importing role does not inherit the rights of role \"keeper\""],
    );
    assert_eq!(skipped.len(), 1, "{skipped:#?}");
    assert_eq!(target.psql("shop", "SELECT count(*) FROM kept"), "1");
}

/// What a role may not do to the server's own objects, and whose an operator is that is only declared, was
/// told before the run: it makes no difference of a copy that has all else.
#[test]
fn what_is_skipped_of_the_servers_own_objects_is_no_difference() {
    let (source, target) = (Server::start(15), Server::start(18));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE app LOGIN; CREATE ROLE reader; CREATE ROLE keeper");
        server.psql("postgres", "CREATE DATABASE shop OWNER app");
    }
    source.psql(
        "shop",
        "CREATE TABLE film (id int); INSERT INTO film VALUES (1), (2);
         GRANT USAGE ON LANGUAGE plpgsql TO reader; GRANT USAGE ON TYPE pg_catalog.int4 TO reader;
         GRANT USAGE ON SCHEMA information_schema TO reader WITH GRANT OPTION;
         REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC;
         GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO reader;
         GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) TO reader;
         REVOKE EXECUTE ON FUNCTION pg_catalog.count() FROM PUBLIC;
         ALTER VIEW information_schema.tables OWNER TO keeper;
         CREATE OPERATOR @&@ (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(public.@@=));
         CREATE OPERATOR @&! (FUNCTION = int48eq, LEFTARG = int, RIGHTARG = bigint, COMMUTATOR = OPERATOR(public.!&@), NEGATOR = OPERATOR(public.<&>))",
    );
    let (from, to) = (source.uri("shop"), target.uri_as("app", "shop"));
    let sides = ["--source", from.as_str(), "--target", to.as_str()];
    let preflight = Dbhaul::new(["preflight", "--json"]).args(sides).run();
    preflight.assert_code(0);
    let run = Dbhaul::new(["migrate", "--json"]).args(sides).run();
    run.assert_code(3);
    let skipped = skipped(&run);
    assert_same("migrate", &foretold(&preflight), &skipped);
    let grants =
        ["LANGUAGE plpgsql", "pg_catalog.pg_class", "pg_catalog.pg_sleep", "SCHEMA information_schema"];
    assert_has(&skipped, &grants);
    let differing = run.json()["verification"]["schema"]["differences"].clone();
    let differing = serde_json::to_string(&differing).unwrap();
    for name in
        ["plpgsql", "pg_class", "pg_sleep", "information_schema", "pg_authid", "count", "@@=", "!&@", "<&>"]
    {
        assert!(differing.contains(&format!("\"{name}\"")), "{name} is no difference: {differing}");
    }
}

/// What the copy's own privileges hide is not verified, and all else is.
#[test]
fn a_position_that_may_not_be_read_is_not_verified_and_all_else_is() {
    let (source, target) = (Server::start(17), Server::start(17));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE app LOGIN");
        server.psql("postgres", "CREATE DATABASE shop OWNER app");
    }
    source.psql(
        "shop",
        "SET ROLE app; CREATE TABLE film (id serial PRIMARY KEY, t text); INSERT INTO film (t) VALUES ('a'), ('b');
         CREATE SEQUENCE sq; SELECT setval('sq', 7); REVOKE ALL ON SEQUENCE sq FROM app",
    );
    let (from, to) = (source.uri("shop"), target.uri_as("app", "shop"));
    let run = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
    run.assert_code(4)
        .assert_says("rows: 1 table equal (2 rows), 0 different, 0 not verified")
        .assert_says("sequences: 1 compared, 0 different, 1 not verified")
        .assert_says("NOT VERIFIED  public.sq: right: its owner may not read it: GRANT SELECT");
    assert_eq!(target.psql("shop", "SELECT nextval('sq')"), "8");
    let again =
        Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--clean", "--if-exists", "--json"]);
    let again = again.run();
    let sequences = again.assert_code(4).json()["verification"]["sequences"].clone();
    assert_eq!(sequences[0]["name"], "public.sq");
    assert!(
        sequences[0]["not_verified"].is_string() && sequences.as_array().is_some_and(|all| all.len() == 1)
    );
}
