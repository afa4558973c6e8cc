//! `--role` and its like: sessions act as a role that whoever connects may set. And sessions that a database's
//! own settings would end before they have begun.

use dbhaul_tests::{Dbhaul, MAJORS, Server};
use tempfile::TempDir;

/// A login role that has nothing but membership in the owner of two databases.
fn owned(major: u16) -> Server {
    let server = Server::start(major);
    server.psql("postgres", "CREATE ROLE app LOGIN NOINHERIT; CREATE ROLE keeper; GRANT keeper TO app");
    for db in ["shop", "copy", "moved"] {
        server.psql("postgres", &format!("CREATE DATABASE {db} OWNER keeper"));
        // before 15 it belongs to the superuser, which would have to be said
        server.psql(db, "DROP SCHEMA public");
    }
    server.psql(
        "shop",
        "SET ROLE keeper; CREATE SCHEMA goods; CREATE TABLE goods.item (id int PRIMARY KEY); \
         INSERT INTO goods.item SELECT generate_series(1, 100)",
    );
    server
}

#[test]
fn every_command_acts_as_the_role_asked_for() {
    for major in [13, 18] {
        let server = owned(major);
        let uri = |db: &str| server.uri_as("app", db);
        let (shop, copy, moved) = (uri("shop"), uri("copy"), uri("moved"));
        let directory = TempDir::new().unwrap();
        let store = directory.path().to_str().unwrap();
        let dump = ["dump", "--source", &shop, "--store", store];
        Dbhaul::new(dump).run().assert_code(1).assert_says("goods.item");
        Dbhaul::new(dump).args(["--role", "keeper"]).run().assert_code(0);
        let restore = ["restore", "--store", store, "--target", &copy, "--role", "keeper"];
        let restored = Dbhaul::new(restore).run();
        restored.assert_code(0).assert_stderr_has(&["restore runs the SQL of backup", "role keeper"]);
        let sides = ["--source-role", "keeper", "--target-role", "keeper"];
        Dbhaul::new(["preflight", "--source", &shop, "--target", &moved]).args(sides).run().assert_code(0);
        let migrate = ["migrate", "--source", &shop, "--target", &moved, "--hold-snapshot"];
        Dbhaul::new(migrate).args(sides).run().assert_code(0);
        Dbhaul::new(["verify", "--source", &shop, "--target", &copy]).args(sides).run().assert_code(0);
        Dbhaul::new(["cleanup", "--target", &moved, "--target-role", "keeper"]).run().assert_code(0);
        let by_variable = Dbhaul::new(["verify", "--store", store, "--target", &moved]);
        by_variable.env("DBHAUL_TARGET_ROLE", "keeper").run().assert_code(0);
        for db in ["copy", "moved"] {
            let owner = "SELECT tableowner FROM pg_tables WHERE schemaname = 'goods'";
            assert_eq!(server.psql(db, owner), "keeper");
        }
    }
}

#[test]
fn a_role_that_cannot_be_taken_on_ends_a_command_before_anything_else() {
    let server = owned(16);
    let shop = server.uri_as("app", "shop");
    let store = TempDir::new().unwrap();
    let dump = |role: &str| {
        let dump = Dbhaul::new(["dump", "--source", &shop, "--role", role, "--store"]);
        dump.arg(store.path()).run()
    };
    dump("postgres").assert_code(1).assert_stderr_has(&["cannot act as role \"postgres\"", "42501"]);
    dump("nobody").assert_code(1).assert_stderr_has(&["cannot act as role \"nobody\"", "22023"]);
    dump("keeper; RESET ROLE").assert_code(1).assert_stderr_has(&["cannot act as role", "22023"]);
    let preflight = Dbhaul::new(["preflight", "--source", &shop, "--source-role", "postgres"]).run();
    preflight.assert_code(5).assert_says("cannot act as role \"postgres\"");
    assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 0);
}

#[test]
fn restore_says_that_it_is_a_superuser_whose_rights_it_uses() {
    let server = owned(17);
    let store = TempDir::new().unwrap();
    Dbhaul::new(["dump", "--source", &server.uri("shop"), "--store"]).arg(store.path()).run().assert_code(0);
    let restore = Dbhaul::new(["restore", "--target", &server.uri("copy"), "--store"]);
    let restored = restore.arg(store.path()).run();
    restored.assert_code(0).assert_stderr_has(&["restore runs the SQL of backup", "superuser postgres"]);
}

#[test]
fn limits_on_time_that_a_database_or_a_role_has_end_no_session() {
    for major in MAJORS {
        let server = owned(major);
        let limits: &[&str] = match major {
            13 => &["statement_timeout", "lock_timeout"],
            14..=16 => &["statement_timeout", "lock_timeout", "idle_session_timeout"],
            _ => &["statement_timeout", "lock_timeout", "idle_session_timeout", "transaction_timeout"],
        };
        for limit in limits {
            server.psql("postgres", &format!("ALTER DATABASE shop SET {limit} = 1"));
            server.psql("postgres", &format!("ALTER ROLE app SET {limit} = 1"));
            // goes before both
            server.psql("postgres", &format!("ALTER ROLE app IN DATABASE shop SET {limit} = 1"));
        }
        let idle = "ALTER DATABASE shop SET idle_in_transaction_session_timeout = 1";
        server.psql("postgres", idle);
        let roles = ["--source-role", "keeper", "--target-role", "keeper"];
        let (shop, moved) = (server.uri_as("app", "shop"), server.uri_as("app", "moved"));
        // of one's own, beside those that are needed
        let shop = format!("{shop}?options=-c%20work_mem%3D5MB&target_session_attrs=read-write");
        let migrate = ["migrate", "--source", &shop, "--target", &moved];
        Dbhaul::new(migrate).args(roles).run().assert_code(0);
    }
}
