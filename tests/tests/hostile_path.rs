//! Databases whose owner lies in wait for whoever connects: operators, functions, types and relations like
//! the server's own, in a schema that the search path names before `pg_catalog`. Nothing of them may be run
//! or found by any session, on either side, whatever sets the path.

use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use dbhaul_tests::{Dbhaul, MAJORS, Proxy, Server, assert_qualified, wait_until};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Each of its objects raises an error with this word.
const TRAP: &str = include_str!("../fixtures/cases/hostile-path.sql");

/// Each of its objects writes a line with this word into the server's log, and does what it should.
const CANARY: &str = include_str!("../fixtures/cases/canary-path.sql");

/// What can only be read, and loaded, under a search path of the source's, before 17; and a large object.
const RELIES: &str = r#"
    SET search_path = pg_catalog, public; SET check_function_bodies = off;
    CREATE FUNCTION public.inner_step(int) RETURNS int LANGUAGE sql IMMUTABLE
        AS 'SELECT $1 OPERATOR(pg_catalog.+) 1';
    CREATE FUNCTION public.outer_step(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT inner_step($1)';
    CREATE TABLE public.large (i int, c "char", b bytea, filler text CHECK (length(filler) > 1))
        WITH (fillfactor = 10);
    INSERT INTO public.large SELECT i, 'c', 'b', repeat('x', 500) FROM generate_series(1, 9000) i;
    DO $$ BEGIN
        IF current_setting('server_version_num')::int < 170000 THEN
            CREATE INDEX stepped ON public.large (public.outer_step(i)) WHERE i > 5;
        END IF;
    END $$;
    SELECT lo_from_bytea(0, 'hello')"#;

/// What sets the search path.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Database,
    Role,
    /// The schema is named as the role.
    User,
}

const WAYS: [Way; 3] = [Way::Database, Way::Role, Way::User];

impl Way {
    /// The superuser that dbhaul connects as.
    fn mover(self) -> &'static str {
        match self {
            Way::Database => "mover_d",
            Way::Role => "mover_r",
            Way::User => "mover_u",
        }
    }

    /// The schema that the path names first.
    fn schema(self) -> &'static str {
        if self == Way::User { self.mover() } else { "evil" }
    }

    /// Sets the path of whoever connects to a database as the mover.
    fn set(self, server: &Server, db: &str) {
        let mover = self.mover();
        let role = format!(
            "DO $$ BEGIN CREATE ROLE {mover} SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        );
        server.psql("postgres", &role);
        let path = match self {
            Way::Database => format!("ALTER DATABASE {db} SET search_path = evil, public, pg_catalog"),
            Way::Role => format!("ALTER ROLE {mover} SET search_path = evil, public, pg_catalog"),
            Way::User => format!("ALTER DATABASE {db} SET search_path = \"$user\", public, pg_catalog"),
        };
        server.psql("postgres", &path);
    }
}

/// Creates the databases `trap` and `canary` with the objects of the fixtures, for others to be copied from.
fn lay(server: &Server) {
    for (db, fixture, schema) in [("trap", TRAP, "evil"), ("canary", CANARY, "spy")] {
        server.create_db(db);
        server.psql(db, fixture);
        if schema != "evil" {
            server.psql(db, &format!("ALTER SCHEMA {schema} RENAME TO evil"));
        }
    }
    server.psql("trap", RELIES);
}

/// Copies one of these to a database whose path is set.
fn copy(server: &Server, from: &str, db: &str, way: Way) {
    server.psql("postgres", &format!("CREATE DATABASE {db} TEMPLATE {from}"));
    if way.schema() != "evil" {
        server.psql(db, &format!("ALTER SCHEMA evil RENAME TO {}", way.schema()));
    }
    way.set(server, db);
}

/// Fails if the server has run, or found, anything of a fixture.
#[track_caller]
fn assert_untouched(server: &Server, what: &str) {
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    let at = lines.iter().position(|line| line.contains("ERROR:  PWNED") || line.contains("LOG:  CANARY"));
    if let Some(at) = at {
        let end = lines.len().min(at + 8);
        panic!("{what} on {}:\n{}", server.major(), lines[at..end].join("\n"));
    }
}

#[tokio::test]
async fn no_session_finds_what_its_search_path_offers() {
    for major in MAJORS {
        let server = Server::start(major);
        lay(&server);
        for (from, way) in ["trap", "canary"].into_iter().flat_map(|db| WAYS.map(|way| (db, way))) {
            let db = format!("{from}_{way:?}").to_lowercase();
            copy(&server, from, &db, way);
            for role in [SessionRole::Reader, SessionRole::Loader] {
                let uri = format!("{}?target_session_attrs=primary", server.uri_as(way.mover(), &db));
                let settings = ConnectSettings::resolve(Some(&uri), &|_| None).unwrap();
                let session = Session::connect(&settings, role, &CancellationToken::new()).await.unwrap();
                session.pin("work_mem", "5MB").await.unwrap();
                let sql = "SELECT 'a'::text = 'a', current_setting('search_path'), 1 + 1";
                let expected = [Some("t"), Some(""), Some("2")].map(|text| text.map(str::to_owned));
                assert_eq!(session.query_rows(sql).await.unwrap(), [expected], "{major} {db}");
            }
            assert_untouched(&server, &db);
        }
    }
}

/// The two servers of a tour and what lies between them and dbhaul.
struct Tour {
    server: Server,
    proxy: Proxy,
    way: Way,
}

impl Tour {
    fn new(major: u16, way: Way) -> Self {
        let server = Server::start(major);
        lay(&server);
        let proxy = Proxy::before(server.port());
        Tour { server, proxy, way }
    }

    /// An empty database whose path names what is going to be restored into it.
    fn target(&self, db: &str) -> String {
        self.server.create_db(db);
        self.way.set(&self.server, db);
        self.uri(db)
    }

    fn uri(&self, db: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{db}", self.way.mover(), self.proxy.port())
    }

    /// Runs a command that must end well and say nothing of a trap.
    #[track_caller]
    fn succeed(&self, arguments: &[&str]) {
        self.end_with(0, arguments);
    }

    /// Runs a command that must end with this code and say nothing of a trap.
    #[track_caller]
    fn end_with(&self, code: i32, arguments: &[&str]) {
        let run = Dbhaul::new(arguments).run();
        run.assert_code(code);
        assert!(!run.stdout.contains("PWNED") && !run.stderr.contains("PWNED"), "{run}");
        assert_untouched(&self.server, arguments[0]);
    }

    /// As [`Self::succeed`]; how many statements it took.
    #[track_caller]
    fn statements_of(&self, arguments: &[&str]) -> usize {
        let before = self.proxy.statements().len();
        self.succeed(arguments);
        self.proxy.statements().len() - before
    }

    /// Starts a command that writes `db` slowly, and kills it when some of it is done.
    fn kill_half_way(&self, arguments: &[&str], db: &str) {
        self.proxy.slow(3_000);
        let run = Dbhaul::new(arguments).spawn();
        let sql = "SET search_path = ''; SELECT step FROM dbhaul.step LIMIT 1";
        wait_until("a step is done", || self.server.try_psql(db, sql).ok().filter(|step| !step.is_empty()));
        run.kill();
        self.proxy.flow();
    }

    /// The rows of the trap's tables, in short.
    fn rows(&self, db: &str) -> String {
        let sum = |table: &str| {
            let sql = format!(
                "SET search_path = pg_catalog, public; SELECT pg_catalog.count(*), \
                 pg_catalog.sum(pg_catalog.hashtextextended(d::pg_catalog.text, 0)) FROM public.{table} AS d"
            );
            self.server.psql(db, &sql)
        };
        format!("{} {}", sum("data"), sum("large"))
    }
}

/// Every kind of command, between databases whose search paths are those of their owners.
fn tour(major: u16, way: Way) {
    let tour = Tour::new(major, way);
    copy(&tour.server, "trap", "shop", way);
    copy(&tour.server, "canary", "watched", way);
    let directory = TempDir::new().unwrap();
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (store, other, script) = (place("store"), place("other"), place("script.sql"));
    let (shop, watched) = (tour.uri("shop"), tour.uri("watched"));
    let (from, beside) = (["--source", &shop], "--allow-non-empty");
    let holding_back = ["--max-source-load", "1000", "--max-standby-lag", "1GB"];

    // the one that raises errors is read, the one that takes notes looked at as well
    tour.succeed(&[&["dump"], &from[..], &["--store", &store], &holding_back[..]].concat());
    tour.succeed(&["dump", "--source", &watched, "--store", &other]);
    tour.succeed(&[&["dump", "--format", "sql", "--file", &script], &from[..]].concat());
    tour.succeed(&[&["verify", "--store", &store], &from[..]].concat());
    tour.succeed(&["verify", "--source", &watched, "--store", &other]);
    // it holds already what would be created there
    tour.end_with(5, &[&["preflight", "--target", &watched, beside], &from[..]].concat());
    tour.end_with(1, &[&["migrate", "--target", &watched, beside, "--dry-run"], &from[..]].concat());
    tour.end_with(1, &["restore", "--store", &store, "--target", &watched, beside, "--dry-run"]);

    let restored = tour.target("restored");
    let restore = ["restore", "--store", &store, "--target", &restored];
    let rehearsed = tour.statements_of(&[&restore[..], &["--dry-run"]].concat());
    tour.kill_half_way(&restore, "restored");
    tour.succeed(&[&restore[..], &["--resume"]].concat());
    tour.succeed(&["verify", "--store", &store, "--target", &restored]);
    // its rehearsal meets all of them, is refused at each, drops them and makes them
    let cleaned = tour.statements_of(&[&restore[..], &["--clean"]].concat());
    assert!(cleaned < 6 * rehearsed, "{cleaned} statements, {rehearsed} where nothing is in the way");
    tour.succeed(&["cleanup", "--source", &shop, "--target", &restored, "--yes"]);

    let moved = tour.target("moved");
    let migrate = ["migrate", "--source", &shop, "--target", &moved, "--hold-snapshot"];
    tour.kill_half_way(&migrate, "moved");
    tour.succeed(&[&migrate[..], &["--resume"]].concat());
    tour.succeed(&["verify", "--source", &shop, "--target", &moved]);
    if major >= 18 {
        let statistics = ["--clean", "--statistics", "copy"];
        tour.succeed(&[&["migrate", "--source", &shop, "--target", &moved], &statistics[..]].concat());
    }
    let rows = tour.rows("shop");
    assert!(rows.starts_with("200|") && rows.contains(" 9000|"), "{rows}");
    assert_eq!(rows, tour.rows("restored"));
    assert_eq!(rows, tour.rows("moved"));
    let checked = assert_qualified(&tour.proxy.statements());
    // from 17 on the server finds itself what the functions of an index rely on, or refuses these
    assert_eq!(checked > 0, major < 17, "{checked} statements under a path of the source's");
}

#[test]
fn commands_find_nothing_on_13_where_the_database_sets_the_path() {
    tour(13, Way::Database);
}

#[test]
fn commands_find_nothing_on_14_where_the_role_sets_the_path() {
    tour(14, Way::Role);
}

#[test]
fn commands_find_nothing_on_15_where_the_schema_is_the_users() {
    tour(15, Way::User);
}

#[test]
fn commands_find_nothing_on_16_where_the_database_sets_the_path() {
    tour(16, Way::Database);
}

#[test]
fn commands_find_nothing_on_17_where_the_role_sets_the_path() {
    tour(17, Way::Role);
}

#[test]
fn commands_find_nothing_on_18_where_the_schema_is_the_users() {
    tour(18, Way::User);
}
