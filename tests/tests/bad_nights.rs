//! Nights on which something that a backup job needs goes away: no backup appears, the job ends with 1, and who is
//! told of failures is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use dbhaul_tests::{
    Dbhaul, Finished, Listener, Running, S3Directory, S3Endpoint, Server, dbhaul_program, wait_until,
};
use tempfile::TempDir;

/// About 14 MB of rows that hardly compress.
const ROWS: &str = "CREATE TABLE t AS SELECT i, md5(i::text) AS a, md5((-i)::text) AS b, \
                    md5(i || 'c') AS c FROM generate_series(1, 130000) i";

/// A machine that backs up one database, and who is told of it.
struct Night {
    listener: Listener,
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Night {
    /// A job that reads no faster than a rate, into a store.
    fn new(server: &Server, store: &str, rate: &str, s3: Option<&S3Endpoint>) -> Self {
        let (listener, directory) = (Listener::start(), TempDir::new().unwrap());
        let profile = format!(
            "[profile.night]\nsource = {{ env = \"SHOP_URL\" }}\nstore = {store:?}\n\
             dump = [\"--jobs=1\", \"--max-rate={rate}\"]\n\
             [profile.night.notify]\nping = \"http://127.0.0.1:{}/ping\"\n",
            listener.port()
        );
        std::fs::write(directory.path().join("dbhaul.toml"), profile).unwrap();
        let mut environment = vec![("SHOP_URL", server.uri("shop"))];
        environment.extend(s3.into_iter().flat_map(S3Endpoint::env));
        Night { listener, directory, environment }
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("dbhaul.toml")
    }

    /// Starts the job and returns when it reads rows.
    fn begin(&self) -> Running {
        let config = self.config();
        let job = Dbhaul::new(["backup", "run", "night", "--config", config.to_str().unwrap()]);
        let job = job.envs(self.environment.clone()).spawn();
        wait_until("rows are read", || job.stderr_so_far().contains("data started").then_some(()));
        job
    }

    /// The job failed, said so to whom it should, and names what went away.
    #[track_caller]
    fn assert_failed(&self, run: &Finished, cause: &str) {
        run.assert_code(1);
        assert!(run.stdout.contains("job night: FAILED") && run.stdout.contains(cause), "{run}");
        assert_eq!(self.listener.paths(), ["/ping/start", "/ping/fail"], "{run}");
    }
}

/// The files below a directory whose paths have a part of this name.
fn files_below(directory: &Path, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.components().any(|component| component.as_os_str() == part) {
                found.push(path);
            }
        }
    }
    found
}

fn shop() -> Server {
    let server = Server::start(18);
    server.create_db("shop");
    server.psql("shop", ROWS);
    server
}

#[test]
fn a_store_that_goes_away_is_no_backup() {
    let server = shop();
    let s3 = S3Directory::start();
    let bucket = s3.create_bucket("removed");
    let night = Night::new(&server, &s3.endpoint().store_url("removed", "s"), "6MiB", Some(s3.endpoint()));
    let job = night.begin();
    // this server makes it again when something is put into it
    std::fs::remove_dir_all(&bucket).unwrap();
    night.assert_failed(&job.wait(), "is no longer in s3://removed/s");
    assert_eq!(files_below(&bucket, "backups"), Vec::<PathBuf>::new());

    let bucket = s3.create_bucket("revoked");
    let night = Night::new(&server, &s3.endpoint().store_url("revoked", "s"), "6MiB", Some(s3.endpoint()));
    let job = night.begin();
    s3.revoke();
    night.assert_failed(&job.wait(), "check the key, secret");
    assert_eq!(files_below(&bucket, "repo.json"), [bucket.join("s/repo.json")]);
    assert_eq!(files_below(&bucket, "backups"), Vec::<PathBuf>::new());
}

#[test]
fn a_source_that_dies_is_no_backup() {
    let mut server = shop();
    let store = TempDir::new().unwrap();
    let night = Night::new(&server, store.path().join("s").to_str().unwrap(), "3MiB", None);
    let job = night.begin();
    // it is back at once, and does not know the dump's snapshot any more
    server.crash();
    night.assert_failed(&job.wait(), "the copy of rows stopped");
    assert_eq!(files_below(store.path(), "backups"), Vec::<PathBuf>::new());
    // nothing of the attempt is in the way of the next one
    let again = night.begin().wait();
    again.assert_code(0);
    assert_eq!(night.listener.paths(), ["/ping/start", "/ping"]);
    assert_eq!(files_below(store.path(), "backups").len(), 1);
}

/// A real disk of 4 MiB, which only the script sees.
#[test]
fn a_full_disk_is_no_backup_and_leaves_the_one_before_whole() {
    let server = shop();
    server.psql("shop", "CREATE TABLE small AS SELECT * FROM t LIMIT 1000");
    let disk = TempDir::new().unwrap();
    let store = disk.path().join("s");
    let night = Night::new(&server, store.to_str().unwrap(), "1GiB", None);
    let script = r#"
        mount -t tmpfs -o size=4m none "$DISK" || exit
        "$DBHAUL" dump --source "$SHOP_URL" --table small --store "$STORE" 2>/dev/null || exit
        "$DBHAUL" backup run night --config "$CONFIG" 2>/dev/null
        echo "code $?"
        "$DBHAUL" backup check --all --level 2 --store "$STORE" 2>/dev/null
        echo "code $?"
        find "$STORE" -path '*/backups/*' -type f
        df --output=used --block-size=1K "$DISK"
    "#;
    let run = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .env("DBHAUL", dbhaul_program())
        .env("DISK", disk.path())
        .env("STORE", &store)
        .env("CONFIG", night.config())
        .envs(night.environment.clone())
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    let (job, check) = said.split_once("code 1\n").unwrap_or_else(|| panic!("the job did not fail\n{said}"));
    assert!(job.contains("job night: FAILED") && job.contains("the store is full"), "{said}");
    assert_eq!(night.listener.paths(), ["/ping/start", "/ping/fail"], "{said}");
    let (_, left) = check.split_once("code 0\n").unwrap_or_else(|| panic!("the check found damage\n{said}"));
    let left: Vec<&str> = left.lines().map(str::trim).collect();
    let [backup, _, used_kib] = left[..] else { panic!("there is more than one backup\n{said}") };
    assert!(backup.contains("/s/backups/shop/"), "{said}");
    assert!(used_kib.parse::<u64>().unwrap() < 1024, "packs of the failed dump are still there\n{said}");
}
