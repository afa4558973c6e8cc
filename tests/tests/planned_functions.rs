//! Functions that the owner of a database has a server run for whoever plans a query on his tables: constants
//! in indexes and extended statistics are computed with the rights of whoever reads. Nobody who reads plans
//! such a query.

use dbhaul_tests::{Dbhaul, Finished, Server};
use tempfile::TempDir;

/// Lays canaries wherever the expressions of a table may hold them.
const OWNED: &str = include_str!("../fixtures/cases/planned-functions.sql");

/// The tables whose canaries sing when a query on them is planned, and the places that they tell.
const PLANNED: [(&str, &str); 9] = [
    ("in_index", "index"),
    ("in_wrapper", "wrapper"),
    ("in_predicate", "predicate"),
    ("in_exclusion", "exclusion"),
    ("in_cast", "cast"),
    ("in_operator", "operator"),
    ("in_bare", "bare"),
    ("by_index_1", "partitioned"),
    ("large", "large"),
];

const STATISTICS: (&str, &str) = ("in_statistics", "statistics");

/// To install a trusted extension makes one its owner, who may add functions of his to it.
const EXTENDED: &str = "
    CREATE EXTENSION citext;
    CREATE FUNCTION public.added(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        RAISE LOG 'CANARY % extension', current_user;
        RETURN $1;
    END $$;
    ALTER EXTENSION citext ADD FUNCTION public.added(int);
    CREATE TABLE public.in_extension (i int);
    CREATE INDEX ON public.in_extension (i, public.added(1));
    INSERT INTO public.in_extension SELECT generate_series(1, 50)";

/// A large table with an index by a function.
const LARGE: &str = "
    CREATE FUNCTION public.step(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
    CREATE TABLE public.large (i int PRIMARY KEY, filler text) WITH (fillfactor = 10);
    INSERT INTO public.large SELECT i, repeat('x', 500) FROM generate_series(1, 9000) i;
    CREATE INDEX ON public.large (public.step(i))";

/// What the owner of a target can leave there for whoever looks at it: a schema that looks like the ledger of a run
/// and holds views, checks of domains, and a function that the database to be moved has too.
const STANDING: &str = "
    CREATE FUNCTION public.canary(place text) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
        RAISE LOG 'CANARY % %', current_user, place;
        RETURN 0;
    END $$;
    CREATE FUNCTION public.ok(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN public.canary(''function''); END';
    CREATE DOMAIN public.positive AS int CONSTRAINT c CHECK (VALUE > 0 AND public.canary('domain') = 0);
    CREATE DOMAIN public.number AS int CONSTRAINT c CHECK (public.canary('element') = 0);
    CREATE VIEW public.listed AS SELECT '{1}'::public.number[] AS numbers, 'other'::text AS what;
    CREATE FUNCTION public.wide(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN public.canary(''overload''); END';
    CREATE TABLE public.referred (i int PRIMARY KEY);
    CREATE INDEX ON public.referred (i) WHERE public.ok(1) = 0;
    CREATE TABLE public.parted (i int) PARTITION BY RANGE (i);
    CREATE INDEX ON public.parted (i) WHERE public.ok(1) = 0;
    CREATE SCHEMA dbhaul;
    COMMENT ON SCHEMA dbhaul IS 'dbhaul import ledger, run x';
    CREATE VIEW dbhaul.run AS SELECT public.canary('ledger')::text AS run, 'f'::text AS fingerprint,
        's'::text AS shape, NULL::text AS source_state, 'none'::text AS clean;
    CREATE VIEW dbhaul.step AS
        SELECT public.canary('steps')::text AS step, NULL::text AS digest, NULL::text AS left_out";

/// What is to be moved there.
const COMING: &str = "
    CREATE FUNCTION public.ok(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
    CREATE DOMAIN public.positive AS int CONSTRAINT c CHECK (VALUE > 0);
    CREATE DOMAIN public.number AS int CONSTRAINT c CHECK (VALUE > 1 OR VALUE <= 1);
    CREATE VIEW public.listed AS SELECT '{1}'::public.number[] AS numbers, 'one'::text AS what;
    CREATE TABLE public.t (i int CHECK (public.ok(2) = 1));
    CREATE INDEX by_ok ON public.t (i) WHERE public.ok(1) = 1;
    CREATE FUNCTION public.through(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN public.ok($1); END';
    CREATE FUNCTION public.wide(anyelement) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
    CREATE TABLE public.u (i int);
    CREATE INDEX by_through ON public.u (i) WHERE public.through(1) = 1;
    CREATE INDEX by_wide ON public.u (i) WHERE public.wide(1) = 1;
    CREATE POLICY reads ON public.u USING ('{1}'::public.number[] IS NOT NULL);
    CREATE TABLE public.referred (i int PRIMARY KEY);
    CREATE TABLE public.refers (i int REFERENCES public.referred);
    CREATE TABLE public.parted (i int) PARTITION BY RANGE (i);
    CREATE TABLE public.part PARTITION OF public.parted FOR VALUES FROM (1) TO (9)";

/// An extension that both databases have, to which each owner has added a function, and what calls it.
const ADDED: &str = "
    CREATE EXTENSION citext;
    CREATE FUNCTION public.canary_of_extension() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
        RAISE LOG 'CANARY % extension', current_user;
        RETURN 1;
    END $$;
    CREATE FUNCTION public.added(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN public.canary_of_extension(); END';
    ALTER EXTENSION citext ADD FUNCTION public.canary_of_extension();
    ALTER EXTENSION citext ADD FUNCTION public.added(int)";
const CALLING_ADDED: &str = "CREATE TABLE public.v (i int CHECK (public.added(1) = 1))";

/// A function whose arguments hold a literal, and whose body is parsed.
fn parsed(result: u8) -> String {
    format!(
        "CREATE FUNCTION public.parsed(n public.number[] DEFAULT '{{1}}'::public.number[]) RETURNS int \
         LANGUAGE sql RETURN {result}"
    )
}

/// A server with roles: an owner, who may do nothing but own a database, and superusers, one of whom looks how
/// canaries sing, while the other has dbhaul move databases.
fn server(major: u16) -> Server {
    let server = Server::start(major);
    let roles =
        "CREATE ROLE owner LOGIN; CREATE ROLE witness SUPERUSER LOGIN; CREATE ROLE mover SUPERUSER LOGIN";
    server.psql("postgres", roles);
    server
}

/// Creates a database of the owner's and runs SQL in it as that role.
fn own(server: &Server, db: &str, sql: &str) {
    server.psql("postgres", &format!("CREATE DATABASE {db} OWNER owner"));
    server.psql(db, "ALTER SCHEMA public OWNER TO owner");
    server.psql(db, &format!("SET SESSION AUTHORIZATION owner; {sql}"));
}

/// The places whose functions a role has run since the log was so long.
fn songs(server: &Server, role: &str, since: usize) -> Vec<String> {
    let (log, start) = (server.log(), format!("LOG:  CANARY {role} "));
    let lines = log[since..].lines();
    lines.filter_map(|line| Some(line.split_once(&start)?.1.to_owned())).collect()
}

/// A test of silence is worth what the noise is that would break it.
fn assert_they_sing(
    server: &Server,
    db: &str,
    canaries: impl IntoIterator<Item = (&'static str, &'static str)>,
) {
    for (table, place) in canaries {
        let since = server.log().len();
        server
            .psql(db, &format!("SET SESSION AUTHORIZATION witness; EXPLAIN SELECT FROM ONLY public.{table}"));
        let songs = songs(server, "witness", since);
        assert!(songs.iter().any(|song| song == place), "{place} on {}: {songs:?}", server.major());
    }
}

/// Those of [`OWNED`].
fn canaries(major: u16) -> impl Iterator<Item = (&'static str, &'static str)> {
    PLANNED.into_iter().chain((major >= 14).then_some(STATISTICS))
}

/// A server and how long its log was.
struct Watched<'a> {
    server: &'a Server,
    since: usize,
}

impl<'a> Watched<'a> {
    fn new(server: &'a Server) -> Self {
        Watched { server, since: server.log().len() }
    }

    /// Runs a command for which no canary may sing.
    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> Finished {
        let run = Dbhaul::new(arguments).run();
        run.assert_code(0);
        self.assert_silent(&arguments.join(" "));
        run
    }

    #[track_caller]
    fn assert_silent(&self, what: &str) {
        let songs = songs(self.server, "mover", self.since);
        assert!(songs.is_empty(), "{what} on {}: {songs:?}", self.server.major());
    }
}

/// Every way to read a database, and to look at it.
fn tour(major: u16) {
    let (source, target) = (server(major), server(major));
    own(&source, "shop", OWNED);
    assert_they_sing(&source, "shop", canaries(major));
    for db in ["empty", "moved", "restored"] {
        own(&target, db, "SELECT 1");
    }
    let directory = TempDir::new().unwrap();
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (store, script) = (place("store"), place("script.sql"));
    let as_mover = |server: &Server, db: &str| server.uri_as("mover", db);
    let (shop, empty) = (as_mover(&source, "shop"), as_mover(&target, "empty"));
    let (moved, restored) = (as_mover(&target, "moved"), as_mover(&target, "restored"));

    let watched = Watched::new(&source);
    let from = ["--source", &shop];
    let plan = watched.succeed(&[&["dump", "--dry-run", "--store", &store], &from[..]].concat());
    plan.assert_says("1 segment public.large");
    watched.succeed(&[&["dump", "--store", &store], &from[..]].concat());
    watched.succeed(&[&["dump", "--format", "sql", "--file", &script], &from[..]].concat());
    watched.succeed(&[&["verify", "--store", &store], &from[..]].concat());
    watched.succeed(&[&["preflight", "--target", &empty], &from[..]].concat());
    watched.succeed(&[&["migrate", "--dry-run", "--target", &empty], &from[..]].concat());
    watched.succeed(&[&["migrate", "--target", &moved], &from[..]].concat());
    // what is restored may run what it brings
    watched.succeed(&["restore", "--store", &store, "--target", &restored]);

    assert_they_sing(&target, "moved", canaries(major));
    for watched in [Watched::new(&source), Watched::new(&target)] {
        watched.succeed(&[&["verify", "--target", &moved], &from[..]].concat());
        watched.succeed(&["verify", "--store", &store, "--target", &restored]);
        watched.succeed(&["preflight", "--source", &empty, "--target", &moved, "--allow-non-empty"]);
    }
    // a row that differs is found, where no query may look for it
    for table in ["in_index", "in_bare"] {
        target.psql("moved", &format!("DELETE FROM public.{table} WHERE ctid = '(0,1)'"));
    }
    let watched = Watched::new(&target);
    let verify = Dbhaul::new([&["verify", "--target", &moved], &from[..]].concat()).run();
    verify.assert_code(4).assert_says("rows: ").assert_says("2 different");
    watched.assert_silent("verify");
}

/// Neither what looks like a ledger is read, nor is anything created that would run what is there.
fn stands(major: u16) {
    let server = server(major);
    own(&server, "shop", &format!("{COMING}; {ADDED}; {CALLING_ADDED}"));
    own(&server, "there", STANDING);
    own(&server, "installed", ADDED);
    if major >= 14 {
        for (db, result) in [("shop", 1), ("there", 2)] {
            server.psql(db, &format!("SET SESSION AUTHORIZATION owner; {}", parsed(result)));
        }
    }
    let sing = |sql: &str| {
        let since = server.log().len();
        server.psql("there", &format!("SET SESSION AUTHORIZATION witness; {sql}"));
        songs(&server, "witness", since)
    };
    assert_eq!(sing("SELECT run FROM dbhaul.run"), ["ledger"]);
    assert!(!sing("ALTER DOMAIN public.positive ADD CONSTRAINT again CHECK (public.ok(1) = 0)").is_empty());
    assert!(!sing("CREATE VIEW public.again AS SELECT '{1}'::public.number[] AS numbers").is_empty());
    server.psql("there", "DROP VIEW public.again; ALTER DOMAIN public.positive DROP CONSTRAINT again");

    let [shop, there, installed] = ["shop", "there", "installed"].map(|db| server.uri_as("mover", db));
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    Dbhaul::new(["dump", "--source", &shop, "--store", store]).run().assert_code(0);
    let watched = Watched::new(&server);
    let run = |words: &[&str], code: i32| {
        let run = Dbhaul::new(words).args(["--target", &there]).run();
        run.assert_code(code);
        watched.assert_silent(&words.join(" "));
        run
    };
    let (from, stored) = (["--source", &shop], ["--store", store]);
    let unread = "schema dbhaul has the comment of a run's ledger and is not read as one: role owner owns it";
    run(&[&["preflight"], &from[..]].concat(), 5).assert_says(unread);
    run(&[&["preflight", "--allow-non-empty"], &from[..]].concat(), 5);
    run(&[&["preflight", "--clean", "--if-exists"], &from[..]].concat(), 0);
    run(&[&["migrate", "--dry-run", "--clean", "--if-exists"], &from[..]].concat(), 0);
    run(&[&["migrate", "--resume"], &from[..]].concat(), 1);
    run(&[&["restore", "--dry-run", "--clean", "--if-exists"], &stored[..]].concat(), 0);
    run(&[&["restore", "--resume"], &stored[..]].concat(), 1);
    let left_out = ["--table", "public.refers", "--table", "public.part", "--allow-non-empty"];
    run(&[&["preflight"], &left_out[..], &from[..]].concat(), 0);
    // members of extensions count as nothing that is there
    watched.succeed(&[&["preflight", "--target", &installed], &from[..]].concat());
    run(&["cleanup"], 0).assert_says("no unfinished run").assert_says(unread);
    run(&["cleanup", "--yes"], 0);
    run(&[&["verify"], &from[..]].concat(), 4);
    run(&[&["verify"], &stored[..]].concat(), 4);
}

#[test]
fn nobody_runs_what_stands_on_the_target_on_13() {
    stands(13);
}

#[test]
fn nobody_runs_what_stands_on_the_target_on_18() {
    stands(18);
}

#[test]
fn an_extension_vouches_for_nothing() {
    let server = server(18);
    own(&server, "shop", EXTENDED);
    assert_they_sing(&server, "shop", [("in_extension", "extension")]);
    let store = TempDir::new().unwrap();
    let from = ["--source", &server.uri_as("mover", "shop"), "--store", store.path().to_str().unwrap()];
    let watched = Watched::new(&server);
    watched.succeed(&[&["dump"], &from[..]].concat());
    watched.succeed(&[&["verify"], &from[..]].concat());
}

/// What nothing is gained by, or only a superuser could change, costs no speed.
#[test]
fn functions_of_the_readers_own_and_of_superusers_are_trusted() {
    let server = server(16);
    own(&server, "shop", LARGE);
    let store = TempDir::new().unwrap();
    let segments = |source: &str| {
        let plan = Dbhaul::new(["dump", "--dry-run", "--source", source, "--store"]).arg(store.path()).run();
        plan.assert_code(0);
        let line = plan.stdout.lines().find(|line| line.contains("public.large"));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        words.windows(2).find_map(|two| two[1].starts_with("segment").then(|| two[0].to_owned()))
    };
    let (as_owner, as_mover) = (server.uri_as("owner", "shop"), server.uri_as("mover", "shop"));
    assert_eq!(segments(&as_owner).as_deref(), Some("2"));
    assert_eq!(segments(&as_mover).as_deref(), Some("1"));
    // acting for a superuser, the owner's function could take the superuser's rights back
    let acting = Dbhaul::new(["dump", "--dry-run", "--source", &as_mover, "--role", "owner", "--store"]);
    acting.arg(store.path()).run().assert_code(0).assert_says("1 segment ");
    server.psql("shop", "ALTER FUNCTION public.step OWNER TO mover");
    assert_eq!(segments(&as_mover).as_deref(), Some("2"));
}

#[test]
fn nobody_plans_queries_that_run_them_on_13() {
    tour(13);
}

#[test]
fn nobody_plans_queries_that_run_them_on_16() {
    tour(16);
}

#[test]
fn nobody_plans_queries_that_run_them_on_18() {
    tour(18);
}

#[test]
fn nobody_plans_queries_that_run_them_on_19() {
    tour(19);
}
