//! Where things lie: the workspace, the installed servers, and the scratch space of running tests.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Build;

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

/// The directory of downloads that git ignores, or `DBHAUL_CACHE`.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("DBHAUL_CACHE").map_or_else(|| workspace().join(".cache"), PathBuf::from)
}

/// The installation of a PostgreSQL server of a major.
pub(crate) fn server(major: u16, build: Build) -> PathBuf {
    let suffix = match build {
        Build::Newest => "",
        Build::OldMinor => "-old",
        Build::Extensions => "-extensions",
    };
    required(servers().join(format!("{major}{suffix}")))
}

/// The programs of the newest PostgreSQL clients.
pub(crate) fn clients() -> PathBuf {
    required(servers().join("clients/bin"))
}

/// The connection pooler.
pub(crate) fn pooler() -> PathBuf {
    required(servers().join("pgbouncer/bin/pgbouncer"))
}

/// A program that decrypts or unpacks backups without dbhaul: age, age-keygen, zstd.
pub fn age_program(name: &str) -> PathBuf {
    required(servers().join("age/bin").join(name))
}

/// A program of others that moves databases, with the clients that it needs. They are installed for the long form of the
/// tests and for `scripts/bench`.
///
/// # Panics
/// If it is not installed.
pub fn contender(name: &str) -> Command {
    let programs = cache().join("contenders/bin");
    let program = programs.join(name);
    assert!(program.exists(), "{} is not installed: run scripts/test --long", program.display());
    let mut path = programs.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.env("PATH", path);
    command
}

/// A file of Garage, which is built for the long form of the tests.
pub(crate) fn garage(name: &str) -> PathBuf {
    let path = cache().join("garage").join(name);
    assert!(path.exists(), "{} is not installed: run scripts/test --long", path.display());
    path
}

/// Where servers and clients are installed, or `DBHAUL_PG_ROOT`.
fn servers() -> PathBuf {
    std::env::var_os("DBHAUL_PG_ROOT").map_or_else(|| cache().join("servers"), PathBuf::from)
}

/// The Python that has readers of files by others: DuckDB, polars and pyarrow.
///
/// # Panics
/// If it is not installed.
pub fn python_program() -> PathBuf {
    python_tool("python")
}

/// A program of the Python environment.
pub(crate) fn python_tool(name: &str) -> PathBuf {
    required(cache().join("python/bin").join(name))
}

fn required(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not installed: run scripts/install-test-servers", path.display());
    path
}

/// Scratch space of all tests of this account: short, because socket paths are limited to 107 bytes,
/// and outside the checkout, because the account that servers run under must be able to enter it.
pub(crate) fn scratch() -> PathBuf {
    let base = std::env::var_os("DBHAUL_TEST_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("dbhaul-tests-{}", own_uid()));
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("cannot create {}: {error}", dir.display()));
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("scratch is ours");
    dir
}

fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").expect("Linux has /proc").uid()
}

/// The account servers run under when we are root, which PostgreSQL refuses: (uid, gid).
fn server_account() -> Option<(u32, u32)> {
    if own_uid() != 0 {
        return None;
    }
    let user = std::env::var("DBHAUL_PG_USER").unwrap_or_else(|_| "nobody".to_owned());
    let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let ids = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&user.as_str())).then(|| (fields[2].parse().ok(), fields[3].parse().ok()))
    });
    match ids {
        Some((Some(uid), Some(gid))) => Some((uid, gid)),
        _ => panic!("no account '{user}' to run PostgreSQL under: set DBHAUL_PG_USER to an unprivileged one"),
    }
}

/// Creates a directory that the server's account owns and nobody else may enter but us.
pub(crate) fn create_server_dir(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap_or_else(|error| panic!("cannot create {}: {error}", dir.display()));
    give_to_server(dir);
}

/// Makes the server's account the owner of a file or directory.
pub(crate) fn give_to_server(path: &Path) {
    if let Some((uid, gid)) = server_account() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("root may chown");
    }
}

/// The words that run `program` under the server's account.
pub(crate) fn server_command(program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    match server_account() {
        None => vec![program],
        Some((uid, gid)) => ["setpriv", "--reuid", &uid.to_string(), "--regid", &gid.to_string()]
            .into_iter()
            .chain(["--clear-groups", "--", &program])
            .map(str::to_owned)
            .collect(),
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Panics
/// With both outputs of the command when it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed, {}:\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}
