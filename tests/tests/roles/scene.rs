//! What the tests of roles share.

use std::io::Write;
use std::process::{Command, Output};

use dbhaul_tests::Server;
use tempfile::NamedTempFile;

/// A small database whose objects belong to a role.
pub(crate) fn shop(server: &Server, db: &str, owner: &str) {
    server.create_db(db);
    server.psql(
        db,
        &format!(
            "CREATE SCHEMA app AUTHORIZATION {owner};
             SET ROLE {owner}; CREATE TABLE app.item (id integer PRIMARY KEY, name text);
             INSERT INTO app.item VALUES (1, 'a'), (2, 'b'), (3, NULL)"
        ),
    );
}

/// What `pg_dumpall --roles-only` 18 says of a server's roles but for the superuser that the harness made,
/// whose password is salted anew on each server.
pub(crate) fn roles_only(server: &Server) -> String {
    let dump = run(server.client("pg_dumpall").args(["--roles-only"])).unwrap();
    let is_noise = |line: &str| {
        let starts =
            ["CREATE ROLE postgres;", "ALTER ROLE postgres WITH", "\\restrict", "\\unrestrict", "-- "];
        starts.iter().any(|start| line.starts_with(start))
    };
    dump.lines().filter(|line| !is_noise(line)).collect::<Vec<_>>().join("\n")
}

/// The same of a server that `pg_dumpall | psql` has copied the roles to.
pub(crate) fn roles_only_copied(source: &Server, judge: &Server) -> String {
    let dump = run(source.client("pg_dumpall").args(["--roles-only"])).unwrap();
    let file = write(&dump);
    // Without ON_ERROR_STOP: the superuser exists.
    run(judge.client("psql").args(["-Xq", "-d", "postgres", "-f"]).arg(file.path())).unwrap();
    roles_only(judge)
}

/// Logs in over TCP with a password; the current user, or what psql said.
pub(crate) fn login(server: &Server, role: &str, password: &str) -> Result<String, String> {
    let mut psql = server.client("psql");
    psql.env("PGHOST", "127.0.0.1").env("PGUSER", role).env("PGPASSWORD", password);
    let user = run(psql.args(["-XqAt", "-d", "postgres", "-c", "SELECT current_user"]))?;
    Ok(user.trim_end().to_owned())
}

/// The owner of a relation.
pub(crate) fn owner_of(server: &Server, db: &str, relation: &str) -> String {
    server.psql(db, &format!("SELECT relowner::regrole FROM pg_class WHERE oid = '{relation}'::regclass"))
}

/// A file with this text.
pub(crate) fn write(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn run(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}
