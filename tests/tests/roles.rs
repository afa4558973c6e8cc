//! Roles through `dump`, `restore` and `migrate`: `pg_dumpall --roles-only` of PostgreSQL 18 judges what
//! is on the target, and a login with the old password what it is worth.

#[path = "roles/scene.rs"]
mod scene;

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

use scene::{login, owner_of, roles_only, roles_only_copied, shop, write};

/// Roles with every attribute, and names that need care everywhere.
fn many_roles(server: &Server) {
    let long = "l".repeat(63);
    server.psql(
        "postgres",
        &format!(
            "SET password_encryption = 'md5'; CREATE ROLE old_login LOGIN PASSWORD 'old secret';
             SET password_encryption = 'scram-sha-256'; CREATE ROLE new_login LOGIN PASSWORD 'new secret';
             CREATE ROLE dba SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS LOGIN;
             CREATE ROLE strange NOINHERIT CONNECTION LIMIT 3 VALID UNTIL '2031-02-03 04:05:06+00';
             CREATE ROLE for_ever VALID UNTIL 'infinity';
             CREATE ROLE \"it's \"\"quoted\"\"\" LOGIN;
             CREATE ROLE \"größe ü\" LOGIN; CREATE ROLE \"select\"; CREATE ROLE \"{long}\"; CREATE ROLE \"A.b\";
             ALTER ROLE new_login SET search_path TO app, \"My Schema\";
             ALTER ROLE new_login SET work_mem TO '7MB';
             ALTER ROLE \"A.b\" SET role TO \"select\";
             ALTER ROLE \"A.b\" SET my.own TO 'x''y';
             COMMENT ON ROLE \"select\" IS 'it''s a\nrole';
             GRANT \"select\" TO new_login WITH ADMIN OPTION;
             GRANT \"select\" TO strange; GRANT strange TO \"größe ü\";
             GRANT pg_monitor TO \"{long}\" WITH ADMIN OPTION"
        ),
    );
    if server.major() >= 16 {
        server.psql(
            "postgres",
            "GRANT \"select\" TO old_login WITH INHERIT FALSE, SET TRUE, ADMIN TRUE;
             GRANT \"select\" TO \"A.b\" WITH INHERIT TRUE, SET FALSE GRANTED BY old_login;
             GRANT \"select\" TO strange GRANTED BY new_login",
        );
    }
}

/// What `pg_dumpall | psql` would have made of the roles is what dbhaul must make of them.
fn check_all(from: u16, to: u16) {
    let hba = "host all all 127.0.0.1/32 md5";
    let source = Server::start(from);
    let target = Server::builder(to).hba(hba).start();
    let judge = Server::start(to);
    many_roles(&source);
    shop(&source, "shop", "new_login");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let uri = target.uri_as(&format!("postgres:{}", Server::PASSWORD), "postgres");
    Dbhaul::new(["dump", "--source", &source.uri("shop"), "--store", store, "--roles", "all"])
        .run()
        .assert_code(0)
        .assert_says("with the hashes of 3 passwords");
    let restore = ["restore", "--store", store, "--target", &uri, "--create", "--roles", "all"];
    let run = Dbhaul::new(restore).env("RUST_LOG", "trace").run();
    run.assert_code(0).assert_says("roles created:");
    for secret in ["SCRAM-SHA-256$", "md5"] {
        let shown = format!("{}{}", run.stdout, run.stderr);
        assert!(!shown.contains(&format!("PASSWORD '{secret}")), "a hash was shown");
    }
    assert_eq!(roles_only(&target), roles_only_copied(&source, &judge), "from {from} to {to}");
    if from == to {
        assert_eq!(roles_only(&target), roles_only(&source), "from {from} to {to}");
    }
    for (role, password) in [("old_login", "old secret"), ("new_login", "new secret")] {
        assert_eq!(login(&target, role, password), Ok(role.to_owned()));
        login(&target, role, "wrong").unwrap_err();
    }
    assert_eq!(owner_of(&target, "shop", "app.item"), "new_login");
    // All is there: a second run creates nothing, and finds nothing to complain of.
    target.drop_db("shop");
    let again = Dbhaul::new(restore).arg("--json").run();
    assert_eq!(again.assert_code(0).json()["roles"]["created"], serde_json::json!([]));
}

#[test]
fn all_of_them_to_a_much_newer_major() {
    check_all(13, 18);
}

#[test]
fn all_of_them_before_memberships_had_options() {
    check_all(15, 15);
}

#[test]
fn all_of_them_since_memberships_have_options() {
    check_all(16, 16);
}

#[test]
fn all_of_them_on_the_newest_major() {
    check_all(18, 18);
}

/// A backup records who is used and no secrets, unless it is asked for more.
#[test]
fn a_backup_holds_no_hash_that_nobody_asked_for() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.psql("postgres", "CREATE ROLE app LOGIN PASSWORD 'x'; CREATE ROLE idle LOGIN; CREATE ROLE base");
    source.psql("postgres", "GRANT base TO app; CREATE ROLE \"new\nline\"");
    shop(&source, "shop", "app");
    source.psql("shop", "GRANT SELECT ON app.item TO \"new\nline\"");
    target.create_db("shop");
    let (store, none) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, none) = (store.path().to_str().unwrap(), none.path().to_str().unwrap());
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    let all = ["restore", "--store", store, "--target", &to, "--roles", "all"];
    let refused = Dbhaul::new(all).run();
    refused.assert_code(1).assert_says("the backup holds only the roles that its database uses");
    // The password is a loss that is named, unless it was given up.
    let used = ["restore", "--store", store, "--target", &to, "--roles", "used"];
    let plan = Dbhaul::new(used).arg("--dry-run").run();
    plan.assert_code(0).assert_says("roles to create: app, base");
    assert_eq!(target.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'app'"), "0");
    let run = Dbhaul::new(used).run();
    run.assert_code(3).assert_says("ROLE app: its password must be set");
    run.assert_says("roles created: app, base");
    assert_eq!(target.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'idle'"), "0");
    assert_eq!(target.psql("postgres", "SELECT pg_has_role('app', 'base', 'MEMBER')"), "t");
    assert_eq!(target.psql("shop", "SELECT has_table_privilege(E'new\nline', 'app.item', 'SELECT')"), "t");
    target.drop_db("shop");
    target.psql("postgres", "DROP ROLE app");
    target.create_db("shop");
    Dbhaul::new(used).arg("--no-role-passwords").run().assert_code(0).assert_says("must be set: app");
    Dbhaul::new(["dump", "--source", &from, "--store", none, "--roles", "none"]).run().assert_code(0);
    Dbhaul::new(["restore", "--store", none, "--target", &to, "--roles", "used"])
        .run()
        .assert_code(1)
        .assert_says("the backup holds no roles");
}

/// Somebody who may create roles, but not every role: what is refused is foretold, then named.
fn check_builder(major: u16) {
    let (source, target) = (Server::start(major), Server::start(major));
    source.psql(
        "postgres",
        "CREATE ROLE app LOGIN PASSWORD 'app'; CREATE ROLE dba SUPERUSER; CREATE ROLE walker REPLICATION;
         GRANT app TO dba",
    );
    shop(&source, "shop", "app");
    source.psql("shop", "GRANT SELECT ON app.item TO dba, walker");
    target.psql("postgres", "CREATE ROLE builder LOGIN CREATEROLE; CREATE ROLE guest LOGIN");
    for role in ["builder", "guest"] {
        target.psql("postgres", &format!("CREATE DATABASE {role} OWNER {role}"));
    }
    let from = source.uri("shop");
    let to = |role: &str| target.uri_as(role, role);
    let preflight = |role: &str| {
        Dbhaul::new(["preflight", "--source", &from, "--target", &to(role), "--roles", "used"]).run()
    };
    let migrate = |role: &str| {
        Dbhaul::new(["migrate", "--source", &from, "--target", &to(role), "--roles", "used"]).run()
    };
    // The one who may not create any.
    for run in [preflight("guest"), migrate("guest")] {
        for role in ["app", "dba", "walker"] {
            run.assert_says(&format!("ROLE {role}: not created: "));
        }
    }
    migrate_left_rows(&target, "guest", "guest");
    assert_eq!(target.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname IN ('app', 'dba')"), "0");
    // The one who may create most.
    let refused = ["ROLE dba: created without SUPERUSER", "ROLE walker: created without REPLICATION"];
    let foretold = preflight("builder");
    let run = migrate("builder");
    for text in refused {
        foretold.assert_code(0).assert_says(text);
        run.assert_code(3).assert_says(text);
    }
    run.assert_says("builder becomes a member of app to give objects to them");
    migrate_left_rows(&target, "builder", "app");
    let attributes = "SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolreplication, rolcanlogin), ', ' \
                      ORDER BY rolname) FROM pg_roles WHERE rolname IN ('app', 'dba', 'walker')";
    assert_eq!(target.psql("postgres", attributes), "app f f t, dba f f f, walker f f f");
}

fn migrate_left_rows(target: &Server, db: &str, owner: &str) {
    assert_eq!(target.psql(db, "SELECT count(*) FROM app.item"), "3");
    assert_eq!(owner_of(target, db, "app.item"), owner);
}

#[test]
fn who_may_create_roles_creates_what_it_may() {
    check_builder(14);
}

#[test]
fn who_may_create_roles_creates_what_it_may_since_16() {
    check_builder(18);
}

/// Roles are shared by databases: what exists is compared and left, and two runs may meet.
#[test]
fn what_exists_is_left_as_it_is() {
    let (source, target) = (Server::start(18), Server::start(18));
    source.psql("postgres", "CREATE ROLE app LOGIN CREATEDB; CREATE ROLE base; GRANT base TO app");
    target.psql("postgres", "CREATE ROLE app CONNECTION LIMIT 2");
    shop(&source, "one", "app");
    shop(&source, "two", "app");
    for db in ["one", "two"] {
        target.create_db(db);
    }
    let run = |db: &str| {
        let (from, to) = (source.uri(db), target.uri(db));
        Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--roles", "used"]).spawn()
    };
    let runs = [run("one"), run("two")].map(|run| run.wait());
    let mut created = 0;
    for run in runs {
        run.assert_code(3);
        run.assert_says("exists on the target with NOCREATEDB instead of CREATEDB, NOLOGIN instead of LOGIN");
        created += usize::from(run.stdout.contains("roles created: base"));
    }
    assert_eq!(created, 1, "one of two runs creates a role");
    let app =
        "SELECT concat_ws(' ', rolcanlogin, rolcreatedb, rolconnlimit) FROM pg_roles WHERE rolname = 'app'";
    assert_eq!(target.psql("postgres", app), "f f 2");
    assert_eq!(target.psql("postgres", "SELECT pg_has_role('app', 'base', 'MEMBER')"), "t");
}

/// Before anything is known to stand in the way, no role is created.
#[test]
fn a_target_that_cannot_take_the_rest_gets_no_roles() {
    let (source, target) = (Server::start(15), Server::start(15));
    source.psql("postgres", "CREATE ROLE app");
    shop(&source, "shop", "app");
    target.create_db("shop");
    target.psql("shop", "CREATE TABLE mine ()");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let migrate = ["migrate", "--source", &from, "--target", &to, "--roles", "all"];
    Dbhaul::new(migrate).run().assert_code(1).assert_says("the database is not empty");
    let database = target.uri("postgres");
    let create = ["migrate", "--source", &from, "--target", &database, "--roles", "all", "--create"];
    Dbhaul::new(create).run().assert_code(1).assert_says("exists already");
    assert_eq!(target.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'app'"), "0");
}

/// Everything that names a role, under other names.
fn mapped(server: &Server) {
    server.psql(
        "postgres",
        "CREATE ROLE zz_owner LOGIN; CREATE ROLE \"Zz = Reader\"; CREATE ROLE zz_writer; CREATE ROLE zz_gone;
         GRANT \"Zz = Reader\" TO zz_writer",
    );
    shop(server, "shop", "zz_owner");
    server.psql(
        "shop",
        "GRANT SELECT (name), UPDATE (id) ON app.item TO \"Zz = Reader\";
         GRANT INSERT ON app.item TO zz_writer WITH GRANT OPTION;
         GRANT USAGE ON SCHEMA app TO zz_writer;
         SET SESSION AUTHORIZATION zz_writer; GRANT INSERT ON app.item TO \"Zz = Reader\";
         RESET SESSION AUTHORIZATION;
         ALTER DEFAULT PRIVILEGES FOR ROLE zz_owner IN SCHEMA app GRANT SELECT ON TABLES TO \"Zz = Reader\";
         ALTER DEFAULT PRIVILEGES FOR ROLE zz_writer REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         ALTER TABLE app.item ENABLE ROW LEVEL SECURITY;
         CREATE POLICY see ON app.item TO zz_writer, \"Zz = Reader\" USING (id > 0);
         CREATE FUNCTION app.as_writer() RETURNS name LANGUAGE sql SET role TO zz_writer AS 'SELECT current_user';
         ALTER FUNCTION app.as_writer() OWNER TO zz_owner;
         GRANT SELECT (ctid) ON app.item TO zz_writer;
         CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far;
         CREATE USER MAPPING FOR zz_writer SERVER away OPTIONS (password 'p')",
    );
}

#[test]
fn other_names_are_used_everywhere() {
    let (source, target) = (Server::start(16), Server::start(16));
    mapped(&source);
    target.create_db("shop");
    target.psql("postgres", "CREATE ROLE yy_owner");
    let map =
        write("# new names\nzz_owner = yy_owner\n\"Zz = Reader\" = \"Yy # Reader\"\nzz_writer = yy_writer\n");
    let map = map.path().to_str().unwrap();
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let common = ["--source", &from, "--target", &to, "--role-map", map];
    Dbhaul::new(["preflight"]).args(common).args(["--roles", "used"]).run().assert_code(0);
    Dbhaul::new(["migrate"]).args(common).args(["--roles", "used"]).run().assert_code(0);
    let renamed = source.pg_dump_schema("shop").replace("zz_", "yy_").replace("Zz = Reader", "Yy # Reader");
    assert_eq!(target.pg_dump_schema("shop"), renamed);
    assert_eq!(target.psql("postgres", "SELECT pg_has_role('yy_writer', 'Yy # Reader', 'MEMBER')"), "t");
    let login = "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'yy_owner'";
    assert_eq!(target.psql("postgres", login), "f", "what exists is left as it is");
    Dbhaul::new(["verify"]).args(common).run().assert_code(0);
    Dbhaul::new(["verify", "--source", &from, "--target", &to]).run().assert_code(4);
    // From a backup as well, whose own names stay what they were.
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    target.create_db("restored");
    let to = target.uri("restored");
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    let common = ["--store", store, "--target", &to, "--role-map", map];
    Dbhaul::new(["restore"]).args(common).run().assert_code(0);
    assert_eq!(target.pg_dump_schema("restored"), renamed);
    Dbhaul::new(["verify"]).args(common).run().assert_code(0);
}

#[test]
fn dropped_roles_leave_what_they_own_to_the_importer() {
    let (source, target) = (Server::start(18), Server::start(18));
    mapped(&source);
    source.psql(
        "shop",
        "CREATE POLICY gone ON app.item TO zz_gone; GRANT USAGE ON SCHEMA app TO zz_gone;
         GRANT TRUNCATE, REFERENCES ON app.item TO zz_gone WITH GRANT OPTION;
         SET SESSION AUTHORIZATION zz_gone; GRANT REFERENCES ON app.item TO zz_writer",
    );
    target.psql("postgres", "CREATE ROLE me SUPERUSER LOGIN; CREATE ROLE zz_writer");
    target.create_db("shop");
    let map = write("zz_owner = -\nZz = -");
    let bad = ["migrate", "--source", &source.uri("shop"), "--target", &target.uri_as("me", "shop")];
    Dbhaul::new(bad)
        .args(["--role-map", map.path().to_str().unwrap()])
        .run()
        .assert_code(1)
        .assert_says("line 2: the source has no role \"Zz\"");
    let map = write("zz_owner = -\n\"Zz = Reader\" = -\nzz_gone = -");
    let run = Dbhaul::new(bad).args(["--role-map", map.path().to_str().unwrap()]).run();
    run.assert_code(3).assert_says("POLICY app.item gone: the role map drops \"zz_gone\"");
    run.assert_says("DEFAULT PRIVILEGES FOR TABLES");
    run.assert_says("EQUAL");
    assert_eq!(owner_of(&target, "shop", "app.item"), "me");
    let acl = "SELECT relacl::text FROM pg_class WHERE oid = 'app.item'::regclass";
    assert_eq!(
        target.psql("shop", acl),
        "{me=arwdDxtm/me,zz_writer=a*x/me}",
        "who remains keeps what he was granted"
    );
    let policies = "SELECT string_agg(polname || polroles::regrole[]::text, ' ') FROM pg_policy";
    assert_eq!(target.psql("shop", policies), "see{zz_writer}");
}

#[test]
fn a_map_that_cannot_be_used_is_refused() {
    let check = |text: &str, code: i32, expected: &str| {
        let map = write(text);
        let (source, target) = ("postgres://nobody@127.0.0.1:1/a", "postgres://nobody@127.0.0.1:1/b");
        let run = Dbhaul::new(["migrate", "--source", source, "--target", target, "--role-map"]);
        run.arg(map.path()).run().assert_code(code).assert_says(expected);
    };
    check("a = b\na = c", 2, "line 2: role \"a\" is mapped in line 1 already");
    check("a = b = c", 2, "line 1: something follows the second role");
    let (source, target) = (Server::start(18), Server::start(18));
    source.psql("postgres", "CREATE ROLE app");
    shop(&source, "shop", "app");
    target.create_db("shop");
    let run = |map: &str, more: &[&str]| {
        let map = write(map);
        let (from, to) = (source.uri("shop"), target.uri("shop"));
        let map = map.path().to_str().unwrap();
        let fixed = ["migrate", "--source", &from, "--target", &to, "--role-map", map];
        Dbhaul::new(fixed).args(more).run()
    };
    run("app = nobody", &[]).assert_code(1).assert_says("line 1: the target has no role \"nobody\"");
    run("app = nobody", &["--roles", "used"]).assert_code(0);
    assert_eq!(owner_of(&target, "shop", "app.item"), "nobody");
}

/// What is left out is named, but a password in it, or a token in a setting, is not shown.
#[test]
fn secrets_of_what_is_left_out_are_not_shown() {
    let (source, target) = (Server::start(16), Server::start(16));
    source.psql("postgres", "CREATE ROLE app; ALTER ROLE app SET app.token TO 'TELLTALE'");
    shop(&source, "shop", "app");
    source.psql(
        "shop",
        "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far;
         CREATE USER MAPPING FOR app SERVER away OPTIONS (password 'TELLTALE')",
    );
    let from = source.uri("shop");
    let migrate = |db: &str, roles: &str| {
        target.create_db(db);
        let to = target.uri(db);
        let run = Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--roles", roles]).run();
        assert!(!run.to_string().contains("TELLTALE"), "{run}");
        run
    };
    migrate("one", "none")
        .assert_code(3)
        .assert_says("USER MAPPING")
        .assert_says("role \"app\" does not exist");
    target.psql("postgres", "CREATE ROLE app");
    migrate("two", "used").assert_code(3).assert_says("exists on the target with no setting app.token");
}
