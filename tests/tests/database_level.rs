//! What belongs to a database as a whole, carried with `--create`: encoding, locale, owner, privileges,
//! comment, limits, tablespace, settings. The newest `pg_dump --create` judges.

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// A database in every kind of locale that a major has, each with its properties.
fn databases(major: u16) -> Vec<(&'static str, String)> {
    let mut all = vec![
        (
            "Plain \"libc\" it's",
            "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' CONNECTION LIMIT 5 TABLESPACE space"
                .to_owned(),
        ),
        ("latin", "ENCODING 'LATIN1' LOCALE 'C' IS_TEMPLATE true".to_owned()),
    ];
    if major >= 15 {
        let rules = if major >= 16 { " ICU_RULES '&b < a'" } else { "" };
        let locale = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-u-kn' LOCALE 'C.UTF-8'";
        all.push(("icu", format!("{locale}{rules}")));
    }
    if major >= 17 {
        all.push((
            "builtin",
            "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'".into(),
        ));
    }
    all
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A server with what the databases need of it beside roles.
fn start(major: u16) -> Server {
    let server = Server::builder(major).config("allow_in_place_tablespaces", "on").start();
    server.psql("postgres", "CREATE TABLESPACE space LOCATION ''");
    server
}

fn create(server: &Server, name: &str, options: &str) {
    let db = quoted(name);
    server.psql("postgres", &format!("CREATE DATABASE {db} TEMPLATE template0 {options}"));
    server.psql(
        "postgres",
        &format!(
            "ALTER DATABASE {db} OWNER TO \"The Owner\";
             COMMENT ON DATABASE {db} IS 'it''s a \\ comment';
             REVOKE ALL ON DATABASE {db} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {db} TO reader WITH GRANT OPTION;
             GRANT TEMPORARY ON DATABASE {db} TO PUBLIC;
             ALTER DATABASE {db} SET search_path TO \"My Schema\", public;
             ALTER DATABASE {db} SET work_mem TO '9MB';
             ALTER DATABASE {db} SET my.own TO 'x''\\y';
             ALTER ROLE reader IN DATABASE {db} SET search_path TO '';
             ALTER ROLE \"The Owner\" IN DATABASE {db} SET statement_timeout TO '1min'"
        ),
    );
    server.psql(name, "CREATE TABLE public.t (a text); INSERT INTO public.t VALUES ('x')");
}

/// `pg_dump --create --schema-only`, settings of roles last and in order of text: servers keep no order of
/// roles, and `pg_dump` asks for none.
fn dumped(server: &Server, db: &str) -> Vec<String> {
    let mut pg_dump = server.client("pg_dump");
    let output = pg_dump.args(["--create", "--schema-only", "-d", db]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let is_noise = |line: &str| {
        ["\\restrict", "\\unrestrict", "-- Dumped", "\\connect"].iter().any(|start| line.starts_with(start))
            // the server's own, which only the pg_dump of its own release passes over
            || line.contains(" SET (pg_attver=")
    };
    let is_role = |line: &String| line.starts_with("ALTER ROLE ");
    // ICU spells the keyword either way, by its version, and a server writes what its own says
    let text = text.replace("'en-u-kn-true'", "'en-u-kn'");
    let lines = text.lines().filter(|line| !is_noise(line)).map(str::to_owned);
    let (mut of_roles, mut others): (Vec<String>, Vec<String>) = lines.partition(is_role);
    of_roles.sort();
    others.append(&mut of_roles);
    others
}

fn check(from: u16, to: u16) {
    let (source, target) = (start(from), start(to));
    source.psql("postgres", "CREATE ROLE \"The Owner\"; CREATE ROLE reader");
    for (number, (name, options)) in databases(from).into_iter().enumerate() {
        create(&source, name, &options);
        let (uri, postgres) = (source.uri(name), target.uri("postgres"));
        let common = ["--create", "--roles", "used", "--target", &postgres];
        let expected = dumped(&source, name);
        let migrate = Dbhaul::new(["migrate", "--source", &uri]).args(common);
        migrate.run().assert_code(0);
        assert_eq!(dumped(&target, name), expected, "{name} from {from} to {to}");
        if from == to {
            let properties = "SELECT to_jsonb(d) - '{oid,datdba,dattablespace,datfrozenxid,datminmxid,datacl,\
                              datlastsysoid}'::text[] FROM pg_database d WHERE datname = current_database()";
            assert_eq!(target.psql(name, properties), source.psql(name, properties), "{name}");
        }
        // A backup has the same catalog: one of each server is enough.
        if number > 0 {
            continue;
        }
        target.drop_db(name);
        let store = TempDir::new().unwrap();
        let store = store.path().to_str().unwrap();
        Dbhaul::new(["dump", "--source", &uri, "--store", store]).run().assert_code(0);
        Dbhaul::new(["restore", "--store", store]).args(common).run().assert_code(0);
        assert_eq!(dumped(&target, name), expected, "{name} from {from} to {to} through a store");
    }
}

#[test]
fn on_13() {
    check(13, 13);
}

#[test]
fn on_15_with_icu() {
    check(15, 15);
}

#[test]
fn on_17_with_builtin_locales() {
    check(17, 17);
}

#[test]
fn on_19() {
    check(19, 19);
}

#[test]
fn from_13_to_18() {
    check(13, 18);
}

#[test]
fn from_16_to_17() {
    check(16, 17);
}

/// The limit holds for everybody but superusers, and so for the sessions that load.
#[test]
fn a_limit_of_connections_does_not_stop_the_load() {
    let (source, target) = (start(16), start(16));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE builder LOGIN CREATEDB");
    }
    source.psql("postgres", "CREATE DATABASE shop OWNER builder CONNECTION LIMIT 1");
    source.psql("shop", "SET ROLE builder; CREATE TABLE public.t AS SELECT 1 AS a; CREATE TABLE public.u ()");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let (from, to) = (source.uri("shop"), target.uri_as("builder", "postgres"));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--create", "-j", "4"]).run().assert_code(0);
    let limit = "SELECT datconnlimit FROM pg_database WHERE datname = 'shop'";
    assert_eq!(target.psql("postgres", limit), "1");
    target.drop_db("shop");
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    Dbhaul::new(["restore", "--store", store, "--target", &to, "--create", "-j", "4"]).run().assert_code(0);
    assert_eq!(target.psql("postgres", limit), "1");
    settings_come_last(&source, &target, store);
}

/// In force earlier settings would stop the load, or everybody who connects; what a target refuses is told before.
fn settings_come_last(source: &Server, target: &Server, store: &str) {
    target.psql("postgres", "CREATE ROLE someone");
    source.psql(
        "postgres",
        "CREATE ROLE someone; CREATE ROLE ghost; ALTER DATABASE shop SET app.kind TO 'small';
         ALTER DATABASE shop SET default_text_search_config TO 'pg_catalog.german'",
    );
    source.psql(
        "shop",
        "ALTER TABLE public.t ADD CHECK (a < 2 OR current_setting('app.kind') = 'small');
         CREATE MATERIALIZED VIEW words AS SELECT to_tsvector('Häuser') AS word;
         INSERT INTO public.t VALUES (7)",
    );
    source.psql(
        "postgres",
        "ALTER DATABASE shop OWNER TO ghost;
         ALTER DATABASE shop SET default_transaction_read_only TO on;
         ALTER DATABASE shop SET work_mem TO '9MB';
         ALTER DATABASE shop SET exit_on_error TO off;
         ALTER ROLE someone IN DATABASE shop SET session_preload_libraries TO 'no_such_library';
         UPDATE pg_db_role_setting
           SET setconfig = array_replace(setconfig, 'exit_on_error=off', 'unknown_setting=off')",
    );
    let (from, to) = (source.uri("shop"), target.uri("postgres"));
    let told = ["OWNER TO ghost", "session_preload_libraries", "unknown_setting"];
    let migrate = ["migrate", "--source", &from, "--target", &to, "--create"];
    let restore = ["restore", "--store", store, "--target", &to, "--create"];
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    target.drop_db("shop");
    let plan = Dbhaul::new(["preflight", "--create", "--source", &from, "--target", &to]).run();
    let plan = [plan, Dbhaul::new(migrate).arg("--dry-run").run()];
    for (run, told) in plan.iter().flat_map(|run| told.map(|told| (run, told))) {
        run.assert_code(0).assert_says(told);
    }
    for command in [migrate.as_slice(), restore.as_slice()] {
        let run = Dbhaul::new(command).run();
        for told in told {
            run.assert_code(3).assert_says(told);
        }
        let set = "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase \
                   WHERE datname = 'shop' ORDER BY 1";
        let expected = "app.kind=small\ndefault_text_search_config=pg_catalog.german\n\
                        default_transaction_read_only=on\nwork_mem=9MB";
        assert_eq!(target.psql("postgres", set), expected);
        assert_eq!(target.psql("shop", "SELECT count(*) FROM public.t"), "2");
        assert_eq!(target.psql("shop", "SELECT word FROM words"), "'haus':1");
        target.drop_db("shop");
    }
    settings_of_roles_that_come(source, target);
}

/// What a run that creates roles leaves out of their settings is told before; a role that only a function takes on
/// comes along.
fn settings_of_roles_that_come(source: &Server, target: &Server) {
    source.psql(
        "shop",
        "BEGIN READ WRITE; CREATE ROLE coming; CREATE ROLE acting; CREATE ROLE unused;
         ALTER ROLE coming IN DATABASE shop SET local_preload_libraries TO 'no_such_library';
         CREATE FUNCTION public.act() RETURNS int LANGUAGE sql SET role TO acting AS 'SELECT 1'; COMMIT",
    );
    let (from, to) = (source.uri("shop"), target.uri("postgres"));
    let roles = ["--source", &from, "--target", &to, "--create", "--roles", "used"];
    let told = "ALTER ROLE coming IN DATABASE shop SET local_preload_libraries TO ...";
    Dbhaul::new(["preflight"]).args(roles).run().assert_code(0).assert_says(told);
    Dbhaul::new(["migrate", "--dry-run"]).args(roles).run().assert_code(0).assert_says(told);
    Dbhaul::new(["migrate"]).args(roles).run().assert_code(3).assert_says(told);
    let created = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles
                   WHERE rolname IN ('acting', 'coming', 'unused')";
    assert_eq!(target.psql("postgres", created), "acting coming");
    assert_eq!(target.psql("shop", "SELECT proconfig FROM pg_proc WHERE proname = 'act'"), "{role=acting}");
}

/// What a report says of the database itself depends on whether it was to be carried; it is never silent.
#[test]
fn what_differs_in_the_database_itself_is_judged_only_where_it_was_asked_for() {
    let (source, target) = (start(16), start(17));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE \"The Owner\"; CREATE ROLE reader");
    }
    create(&source, "shop", "");
    source.psql("postgres", "ALTER DATABASE shop SET app.token TO 'TELLTALE'");
    target.create_db("shop");
    target.psql("postgres", "COMMENT ON DATABASE shop IS 'another'");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let sides = ["--source", &from, "--target", &to];
    let told = |text: &str| text.to_owned() + "DATABASE shop: comment is \"it's a \\\\ comment\"";
    for command in ["migrate", "verify"] {
        let run = Dbhaul::new([command]).args(sides).run();
        run.assert_code(0).assert_says("not compared: properties of the database itself");
        run.assert_says(&told("for information: ")).assert_says("EQUAL");
        assert!(!run.to_string().contains("TELLTALE"), "{run}");
    }
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    let backup = ["--store", store, "--target", &to];
    for left in [sides, backup] {
        let run = Dbhaul::new(["verify", "--create"]).args(left).run();
        run.assert_code(4).assert_says(&told("")).assert_says("owner is \"The Owner\"");
        run.assert_says("setting app.token is \"***\" on the left and nothing on the right");
        assert!(!run.to_string().contains("TELLTALE"), "{run}");
    }
    target.drop_db("shop");
    let postgres = target.uri("postgres");
    let create = ["migrate", "--source", &from, "--target", &postgres, "--create"];
    let run = Dbhaul::new(create).run();
    run.assert_code(0).assert_says("EQUAL");
    assert!(!run.to_string().contains("properties of the database itself"), "{run}");
    Dbhaul::new(["verify", "--create"]).args(sides).run().assert_code(0);
    Dbhaul::new(["verify", "--create"]).args(backup).run().assert_code(0);
}

/// Providers give themselves privileges on the server's own objects in every database.
#[test]
fn privileges_on_the_servers_own_objects_are_compared() {
    let (source, target) = (Server::start(15), Server::start(18));
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE reader; CREATE ROLE provider");
        server.create_db("shop");
    }
    source.psql("shop", "GRANT SELECT ON pg_catalog.pg_authid TO reader; CREATE TABLE public.t ()");
    source.psql("shop", "REVOKE EXECUTE ON FUNCTION pg_catalog.now() FROM PUBLIC");
    target.psql("shop", "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO provider");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let run = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
    run.assert_code(0).assert_says("EQUAL");
    run.assert_says(
        "for information: FUNCTION pg_catalog.pg_reload_conf(): privileges: only on the target: ",
    );
    target.psql("shop", "REVOKE SELECT ON pg_catalog.pg_authid FROM reader");
    target.psql("shop", "GRANT EXECUTE ON FUNCTION pg_catalog.now() TO PUBLIC");
    let verify = ["verify", "--source", &from, "--target", &to];
    let run = Dbhaul::new(verify).run();
    run.assert_code(4)
        .assert_says("TABLE pg_catalog.pg_authid: privileges: missing on the target: GRANT SELECT ON TABLE");
    run.assert_says("FUNCTION pg_catalog.now(): privileges: missing on the target: REVOKE ALL ON FUNCTION");
    let run = Dbhaul::new(verify).arg("--no-privileges").run();
    run.assert_code(0).assert_says("not compared: privileges, as asked");
}

/// Indexes are built anew; what else depends on how text sorts is not.
#[test]
fn another_version_of_a_collation_is_told() {
    let (source, target) = (Server::start(15), Server::start(18));
    let locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8' ENCODING 'UTF8' TEMPLATE template0";
    for server in [&source, &target] {
        server.psql("postgres", &format!("CREATE DATABASE shop {locale}"));
    }
    source.psql("shop", "CREATE TABLE t (a text COLLATE \"de-x-icu\" PRIMARY KEY)");
    source.psql("postgres", "UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'shop'");
    source.psql("shop", "UPDATE pg_collation SET collversion = '1.1' WHERE collname = 'de-x-icu'");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let sides = ["--source", &from, "--target", &to];
    let preflight = Dbhaul::new(["preflight"]).args(sides).run();
    preflight.assert_code(0);
    for (collation, version) in [("en-US", "1.0"), ("de", "1.1")] {
        preflight.assert_says(&format!("collation {collation} (icu) was recorded with version {version}"));
    }
    preflight.assert_says("collation en-US (icu) has version");
    preflight.assert_says("1.0 on the source: text may sort otherwise");
    let run = Dbhaul::new(["migrate"]).args(sides).run();
    run.assert_code(0)
        .assert_says("for information: collation en-US (icu), the databases' default, has version 1.0");
    // Of the same installation nothing is said.
    let same = Dbhaul::new(["preflight", "--source", &to]).run();
    assert!(!same.assert_code(0).stdout.contains("collation"), "{same}");
}

/// What every new database has, and the original has dropped or made anew, is no difference as long as nobody has
/// touched it.
#[test]
fn what_every_new_database_has_is_no_difference() {
    let newest = Server::start(18);
    for major in [13, 17] {
        let (source, db) = (Server::start(major), format!("from_{major}"));
        for server in [&source, &newest] {
            server.create_db(&db);
        }
        let drop =
            "DROP SCHEMA public; CREATE SCHEMA app; CREATE TABLE app.t (a int); INSERT INTO app.t VALUES (1)";
        source.psql(&db, drop);
        let (from, to) = (source.uri(&db), newest.uri(&db));
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
        let verify = || Dbhaul::new(["verify", "--source", &from, "--target", &to]).run();
        verify().assert_code(0).assert_says("schema public on the right is empty, as in every new database");
        if major == 13 {
            continue;
        }
        for (change, undo) in [
            ("COMMENT ON SCHEMA public IS NULL", "COMMENT ON SCHEMA public IS 'standard public schema'"),
            ("ALTER SCHEMA public OWNER TO postgres", "ALTER SCHEMA public OWNER TO pg_database_owner"),
            ("GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
            ("CREATE DOMAIN public.d AS int", "DROP DOMAIN public.d"),
            ("CREATE EXTENSION citext", "DROP EXTENSION citext"),
        ] {
            newest.psql(&db, change);
            verify().assert_code(4).assert_says("SCHEMA public: extra");
            newest.psql(&db, undo);
        }
        verify().assert_code(0);
        newest.psql(&db, "DROP EXTENSION plpgsql");
        verify().assert_code(4).assert_says("EXTENSION plpgsql: missing");
        newest.psql(&db, "CREATE EXTENSION plpgsql");
        verify().assert_code(0);
        source.psql(&db, "DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql");
        verify().assert_code(0);
        newest.drop_db(&db);
        newest.create_db(&db);
        verify().assert_code(4);
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
        source.psql(&db, "DROP EXTENSION plpgsql");
        verify().assert_code(0).assert_says("extension plpgsql on the right is as in every new database");
    }
    // on an older target the schema belongs to whoever has made the server
    let (source, target) = (Server::start(13), Server::start(13));
    for server in [&source, &target] {
        server.create_db("shop");
    }
    source.psql("shop", "DROP SCHEMA public");
    let verify =
        || Dbhaul::new(["verify", "--source", &source.uri("shop"), "--target", &target.uri("shop")]).run();
    verify().assert_code(0);
    target.psql("shop", "CREATE ROLE app; ALTER SCHEMA public OWNER TO app");
    verify().assert_code(4).assert_says("SCHEMA public: extra");
}
