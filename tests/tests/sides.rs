//! What every command finds out about its sides before it does anything: poolers that take sessions apart, and
//! one database under two names.

use dbhaul_tests::{Dbhaul, Finished, PoolMode, Pooler, Server};
use tempfile::TempDir;

/// A source with a table and a target with an empty database, and a backup of the source.
struct Scene {
    source: Server,
    target: Server,
    store: TempDir,
}

impl Scene {
    fn new() -> Self {
        let (source, target) = (Server::start(16), Server::start(18));
        source.create_db("shop");
        source.psql("shop", "CREATE TABLE film (id int PRIMARY KEY); INSERT INTO film VALUES (1), (2)");
        target.create_db("shop");
        let store = TempDir::new().unwrap();
        let dump = Dbhaul::new(["dump", "--source", &source.uri("shop"), "--store"]).arg(store.path()).run();
        dump.assert_code(0);
        Scene { source, target, store }
    }

    fn run(&self, words: &[&str]) -> Finished {
        Dbhaul::new(words).run()
    }

    fn store(&self) -> &str {
        self.store.path().to_str().unwrap()
    }

    /// Every command that takes a live side, with pooled sides; each with the side that it names.
    fn refused_by_all(&self, source_pooler: &Pooler, target_pooler: &Pooler) {
        let (from, to) = (self.source.uri("shop"), self.target.uri("shop"));
        let (pooled_from, pooled_to) = (source_pooler.uri("shop"), target_pooler.uri("shop"));
        let store = self.store();
        let refused: [(&str, &[&str]); 12] = [
            ("source", &["migrate", "--source", &pooled_from, "--target", &to]),
            ("source", &["migrate", "--hold-snapshot", "--source", &pooled_from, "--target", &to]),
            ("target", &["migrate", "--source", &from, "--target", &pooled_to]),
            ("target", &["migrate", "--dry-run", "--source", &from, "--target", &pooled_to]),
            ("target", &["migrate", "--create", "--source", &from, "--target", &pooled_to]),
            ("left", &["verify", "--source", &pooled_from, "--target", &to]),
            ("right", &["verify", "--source", &from, "--target", &pooled_to]),
            ("right", &["verify", "--store", store, "--target", &pooled_to]),
            ("source", &["dump", "--source", &pooled_from, "--store", store]),
            ("source", &["dump", "--format", "sql", "--source", &pooled_from]),
            ("target", &["restore", "--store", store, "--target", &pooled_to]),
            ("target", &["cleanup", "--target", &pooled_to, "--yes"]),
        ];
        for (side, words) in refused {
            let run = self.run(words);
            run.assert_code(1).assert_stderr_has(&[&format!("cannot use the {side}"), "in session mode"]);
        }
        let preflight = |sides: &[&str]| self.run(&[&["preflight"], sides].concat());
        let told = "is behind a connection pooler in transaction or statement mode";
        preflight(&["--source", &pooled_from]).assert_code(5).assert_says("BLOCKER source").assert_says(told);
        let target = preflight(&["--source", &from, "--target", &pooled_to]);
        target.assert_code(5).assert_says("BLOCKER target").assert_says(told);
        let both = preflight(&["--source", &pooled_from, "--target", &pooled_to]);
        both.assert_says("BLOCKER source").assert_says("BLOCKER target");
        assert_eq!(self.target.psql("shop", "SELECT count(*) FROM pg_class WHERE relname = 'film'"), "0");
        let databases = "SELECT count(*) FROM pg_database WHERE NOT datistemplate";
        assert_eq!(self.target.psql("postgres", databases), "2", "nothing is created");
    }
}

#[test]
fn a_pooler_in_transaction_mode_is_refused_by_all() {
    let scene = Scene::new();
    let poolers =
        [&scene.source, &scene.target].map(|server| Pooler::before(server, PoolMode::Transaction, &[]));
    scene.refused_by_all(&poolers[0], &poolers[1]);
    // What was set on the server's processes does not stay for whoever gets them next.
    let shown = |db: &str, name: &str| scene.source.psql(db, &format!("SHOW {name}"));
    for name in ["search_path", "row_security", "statement_timeout", "default_transaction_isolation"] {
        assert_eq!(shown(&poolers[0].uri("shop"), name), shown("shop", name), "{name}");
    }
}

#[test]
fn a_pooler_in_statement_mode_is_refused_by_all() {
    let scene = Scene::new();
    let poolers =
        [&scene.source, &scene.target].map(|server| Pooler::before(server, PoolMode::Statement, &[]));
    scene.refused_by_all(&poolers[0], &poolers[1]);
}

#[test]
fn a_pooler_in_session_mode_is_as_good_as_none() {
    let scene = Scene::new();
    let poolers = [&scene.source, &scene.target].map(|server| Pooler::before(server, PoolMode::Session, &[]));
    let (from, to) = (poolers[0].uri("shop"), poolers[1].uri("shop"));
    let sides = ["--source", &from, "--target", &to];
    for command in ["preflight", "migrate", "verify"] {
        scene.run(&[&[command], &sides[..]].concat()).assert_code(0);
    }
    scene.target.create_db("restored");
    let to = poolers[1].uri("restored");
    scene.run(&["dump", "--source", &from, "--store", scene.store()]).assert_code(0);
    scene.run(&["restore", "--store", scene.store(), "--target", &to]).assert_code(0);
    scene.run(&["verify", "--store", scene.store(), "--target", &to]).assert_code(0);
}

/// A pooler may have a mode for each database: that of the one that is created shows when it is there.
#[test]
fn the_database_that_is_created_is_looked_at_too() {
    let scene = Scene::new();
    scene.target.drop_db("shop");
    let others = [("postgres", PoolMode::Session)];
    let pooler = Pooler::before(&scene.target, PoolMode::Transaction, &others);
    let sides = ["--source", &scene.source.uri("shop"), "--target", &pooler.uri("postgres")];
    let run = scene.run(&[&["migrate", "--create"], &sides[..]].concat());
    run.assert_code(1).assert_stderr_has(&["cannot use the target", "in session mode"]);
    assert_eq!(scene.target.psql("shop", "SELECT count(*) FROM pg_class WHERE relname = 'film'"), "0");
}

#[test]
fn one_database_under_two_names_is_not_its_own_target() {
    let server = Server::start(17);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE film (id int PRIMARY KEY); INSERT INTO film VALUES (1), (2)");
    server.psql("postgres", "CREATE ROLE reader LOGIN IN ROLE pg_read_all_data");
    let pooler = Pooler::before(&server, PoolMode::Session, &[]);
    let from = server.uri("shop");
    let names = [
        from.replace("127.0.0.1", "localhost"),
        server.socket_uri("shop"),
        server.uri_as("reader", "shop").replace("127.0.0.1", "localhost"),
        pooler.uri("shop"),
    ];
    for name in &names {
        let sides = ["--source", &from, "--target", name];
        let run = |words: &[&str]| Dbhaul::new(words).args(sides).run();
        let told = ["the source (", "and the target (", "are the same database"];
        run(&["migrate"]).assert_code(2).assert_stderr_has(&told);
        run(&["migrate", "--dry-run"]).assert_code(2).assert_stderr_has(&told);
        run(&["migrate", "--clean", "--if-exists"]).assert_code(2).assert_stderr_has(&told);
        let verify = run(&["verify"]);
        verify.assert_code(2).assert_stderr_has(&["are the same database", "give two different databases"]);
        let preflight = run(&["preflight"]);
        preflight.assert_code(5).assert_says("BLOCKER target").assert_says("are the same database");
    }
    for command in ["migrate", "verify"] {
        Dbhaul::new([command, "--source", &from, "--target", &from]).run().assert_code(2);
    }
    assert_eq!(server.psql("shop", "SELECT count(*) FROM film"), "2", "nothing was dropped");
}

/// A run that is resumed with `--create` writes the database of the source's name, which here is the source.
#[test]
fn the_source_is_not_the_database_that_was_created() {
    let server = Server::start(17);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE film (id int PRIMARY KEY)");
    let sides = ["--source", &server.uri("shop"), "--target", &server.socket_uri("postgres")];
    let run = |words: &[&str]| Dbhaul::new(words).args(sides).run();
    run(&["migrate", "--create", "--resume"]).assert_code(2).assert_stderr_has(&["are the same database"]);
    run(&["migrate", "--create"]).assert_code(1).assert_stderr_has(&["exists already"]);
}

/// Neither two databases of one server nor a clone of the server are taken for one.
#[test]
fn other_databases_are_other_databases() {
    // clones of one cluster: the first and the fourth server of a process have one system identifier
    let mut servers: Vec<Server> = (0..4).map(|_| Server::start(17)).collect();
    let (clone, server) = (servers.pop().unwrap(), servers.swap_remove(0));
    let identifier = "SELECT system_identifier FROM pg_control_system()";
    assert_eq!(clone.psql("postgres", identifier), server.psql("postgres", identifier));
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE film (id int PRIMARY KEY); INSERT INTO film VALUES (1), (2)");
    server.create_db("copy");
    clone.create_db("shop");
    for to in [server.uri("copy"), clone.uri("shop")] {
        let sides = ["--source", &server.uri("shop"), "--target", &to];
        for command in ["preflight", "migrate", "verify"] {
            Dbhaul::new([command]).args(sides).run().assert_code(0);
        }
    }
}

/// A standby takes the marker too, and is not its primary.
#[test]
fn a_standby_is_told_from_its_primary() {
    let mut server = Server::start(17);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE film (id int PRIMARY KEY); INSERT INTO film VALUES (1), (2)");
    let standby = server.standby();
    server.wait_for(&standby);
    let run = |from: &str, to: &str| Dbhaul::new(["verify", "--source", from, "--target", to]).run();
    run(&standby.uri("shop"), &server.uri("shop")).assert_code(0);
    run(&standby.uri("shop"), &standby.socket_uri("shop")).assert_code(2);
}
