//! A source, a target and a store, for something to go wrong between.

use std::path::{Path, PathBuf};
use std::process::Child;

use dbhaul_tests::{Dbhaul, Finished, Fixture, Original, Running, Server, wait_until};
use tempfile::TempDir;

pub(crate) const SOURCE: &str = "shop";

/// The schema of the ledger of an unfinished run, whose rows go with it.
const LEDGER: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = 'dbhaul'";

pub(crate) struct Scene {
    pub(crate) source: Server,
    pub(crate) target: Server,
    store: TempDir,
}

impl Scene {
    pub(crate) fn new(fixture: Fixture, from: u16, to: u16) -> Self {
        Self::between(fixture, Server::start(from), Server::start(to))
    }

    /// As [`Self::new`], with a source that does nothing by itself: no vacuum takes a transaction's number.
    pub(crate) fn still(fixture: Fixture, from: u16, to: u16) -> Self {
        let source = Server::builder(from).config("autovacuum", "off").start();
        Self::between(fixture, source, Server::start(to))
    }

    /// As [`Self::new`], with servers made already.
    pub(crate) fn between(fixture: Fixture, source: Server, target: Server) -> Self {
        fixture.load(&source, SOURCE);
        fixture.prepare_target(&target);
        Self { source, target, store: TempDir::new().unwrap() }
    }

    /// As [`Self::between`], with what some statements make.
    pub(crate) fn made_by(sql: &str, source: Server, target: Server) -> Self {
        source.create_db(SOURCE);
        source.psql(SOURCE, sql);
        Self { source, target, store: TempDir::new().unwrap() }
    }

    /// As [`Self::new`], with a backup in the store.
    pub(crate) fn with_backup(fixture: Fixture, from: u16, to: u16) -> Self {
        let scene = Self::new(fixture, from, to);
        scene.dump().run().assert_code(0);
        scene
    }

    pub(crate) fn store(&self) -> &Path {
        self.store.path()
    }

    pub(crate) fn original(&self) -> Original<'_> {
        Original::new(&self.source, SOURCE, &self.target)
    }

    pub(crate) fn dump(&self) -> Dbhaul {
        Dbhaul::new(["dump", "--progress", "json", "--jobs", "2", "--source", &self.source.uri(SOURCE)])
            .arg("--store")
            .arg(self.store())
    }

    pub(crate) fn restore(&self, db: &str) -> Dbhaul {
        Dbhaul::new(["restore", "--progress", "json", "--jobs", "2", "--backup", "latest"])
            .args(["--target", &self.target.uri(db), "--store"])
            .arg(self.store())
    }

    pub(crate) fn migrate(&self, db: &str) -> Dbhaul {
        Dbhaul::new(["migrate", "--progress", "json", "--jobs", "2"]).args([
            "--source",
            &self.source.uri(SOURCE),
            "--target",
            &self.target.uri(db),
        ])
    }

    pub(crate) fn verify_backup(&self, db: &str) -> Dbhaul {
        Dbhaul::new(["verify", "--backup", "latest", "--target", &self.target.uri(db), "--store"])
            .arg(self.store())
    }

    /// The commit points in the store. What a killed run was writing under a temporary name is none.
    pub(crate) fn backups(&self) -> Vec<PathBuf> {
        let mut found = files(&self.store().join("backups"));
        let is_named = |path: &PathBuf| path.file_name().is_some_and(|name| !is_temporary(name));
        found.retain(is_named);
        found
    }

    /// `cleanup` of a database of the target.
    pub(crate) fn cleanup(&self, db: &str) -> Dbhaul {
        Dbhaul::new(["cleanup", "--target", &self.target.uri(db)])
    }

    /// Sessions that hold a snapshot of the source for a run that has gone.
    pub(crate) fn holding_session_count(&self) -> usize {
        let held = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'dbhaul hold %'";
        self.source.psql("postgres", held).parse().unwrap()
    }

    /// Waits until nobody holds a snapshot of the source for a run.
    pub(crate) fn wait_until_let_go(&self) {
        wait_until("no snapshot is held", || (self.holding_session_count() == 0).then_some(()));
    }

    /// Ends what still holds a snapshot of the source.
    pub(crate) fn let_go(&self) {
        self.wait_until_no_session_of_a_run_is_left();
        let source = self.source.uri(SOURCE);
        Dbhaul::new(["cleanup", "--yes", "--source", &source]).run().assert_code(0);
        self.wait_until_let_go();
    }

    /// Waits until the server has noticed that a killed run is gone: what its sessions were about, they
    /// finish.
    pub(crate) fn wait_for_silence(&self, db: &str) {
        let sessions = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{db}' AND backend_type = 'client backend'"
        );
        wait_until("no session is left", || (self.target.psql("postgres", &sessions) == "0").then_some(()));
    }

    /// Waits until no run has a session on either server, but for those that hold a snapshot for later.
    pub(crate) fn wait_until_no_session_of_a_run_is_left(&self) {
        let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'dbhaul%' \
                    AND application_name NOT LIKE 'dbhaul hold %'";
        for server in [&self.source, &self.target] {
            wait_until("no session is left", || (server.psql("postgres", left) == "0").then_some(()));
        }
    }

    /// Whether a run has begun to write into a database and has not ended.
    pub(crate) fn has_ledger(&self, db: &str) -> bool {
        self.target.psql(db, LEDGER) != "0"
    }

    pub(crate) fn is_empty(&self, db: &str) -> bool {
        let objects = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                       WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'";
        self.target.psql(db, objects) == "0"
    }
}

/// All files below a directory, in order; none if there is no such directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// As the store names files that it has not finished.
const TEMPORARY_PREFIX: &str = ".dbhaul-tmp-";

fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMPORARY_PREFIX)
}

/// Somebody on a server who waits for a session of a database to be at something.
pub(crate) struct Lurker {
    psql: Child,
    pattern: String,
}

/// How the session that was waited for is found.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum OnSight {
    Terminate,
    LeaveAlone,
}

impl Lurker {
    /// Waits, inside the server and so without missing much, for a statement LIKE a pattern. What is slow over
    /// rows takes no time in the rehearsal, which has none, and is not what is waited for.
    pub(crate) fn before(server: &Server, db: &str, pattern: &str, on_sight: OnSight) -> Self {
        let act =
            if on_sight == OnSight::Terminate { "count(pg_terminate_backend(pid))" } else { "count(*)" };
        let sql = format!(
            "DO $lurk$ BEGIN FOR i IN 1..60000 LOOP PERFORM pg_stat_clear_snapshot(); \
             IF (SELECT {act} FROM pg_stat_activity WHERE datname = '{db}' AND state = 'active' \
                 AND application_name LIKE 'dbhaul%' AND query LIKE '{pattern}' \
                 AND (NOT (query LIKE '%slow%' OR query LIKE 'REFRESH %') OR clock_timestamp() > query_start + interval '60 ms')) > 0 \
             THEN RETURN; END IF; \
             PERFORM pg_sleep(0.001); END LOOP; RAISE 'never seen'; END $lurk$"
        );
        let mut psql = server.client("psql");
        psql.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", &sql]);
        Lurker { psql: psql.spawn().unwrap(), pattern: pattern.to_owned() }
    }

    /// Waits until it was seen, which must be before the run ends.
    pub(crate) fn wait(mut self, run: &mut Running) {
        let pattern = std::mem::take(&mut self.pattern);
        wait_until(&format!("{pattern} is seen"), || {
            if let Some(status) = self.psql.try_wait().unwrap() {
                assert!(status.success(), "{pattern} was never seen");
                return Some(());
            }
            assert!(!run.has_ended(), "it ended, and {pattern} was not seen\n{}", run.stderr_so_far());
            None
        });
    }
}

impl Drop for Lurker {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

/// Terminates sessions that are in the middle of copying a table; returns how many.
pub(crate) fn terminate_copies(server: &Server, db: &str, table: &str) -> u32 {
    let sql = format!(
        "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = '{db}' AND state = 'active' AND query LIKE 'COPY%{table}%' \
         AND pid <> pg_backend_pid() OFFSET 0) terminated"
    );
    server.psql("postgres", &sql).parse().unwrap()
}

/// Waits for sessions that copy a table, and terminates them; false if the run ends before there is one.
pub(crate) fn cut_a_copy(run: &mut Running, server: &Server, db: &str, table: &str) -> bool {
    wait_until("a table is copied", || {
        if terminate_copies(server, db, table) > 0 {
            return Some(true);
        }
        run.has_ended().then_some(false)
    })
}

/// Lines of progress that a run printed.
pub(crate) fn line_count(finished: &Finished) -> usize {
    finished.stderr.matches('\n').count()
}
