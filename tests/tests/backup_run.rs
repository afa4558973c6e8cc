//! Backup jobs: one command that dumps, checks, forgets and prunes, tells others how it went, and ends with 0 only if all of it
//! was done.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use dbhaul_tests::{Dbhaul, Finished, Listener, Server, wait_until};
use tempfile::TempDir;

struct Machine {
    server: Server,
    listener: Listener,
    directory: TempDir,
}

impl Machine {
    fn start() -> Self {
        let server = Server::start(17);
        for name in ["app_one", "app_two", "other"] {
            server.create_db(name);
            server.psql(name, "CREATE TABLE t AS SELECT i FROM generate_series(1, 100) i");
        }
        Machine { server, listener: Listener::start(), directory: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the configuration, with the profile's keys as given.
    fn configure(&self, database: &str, more: &str) {
        let secret = self.path("source");
        std::fs::write(&secret, self.server.uri(database)).unwrap();
        let text = format!(
            "[profile.night]\nsource = {{ file = {secret:?} }}\nstore = {:?}\n{more}\n\
             [profile.night.notify]\nping = \"http://127.0.0.1:{port}/ping/uuid-secret\"\n\
             webhook = {{ command = \"echo http://127.0.0.1:{port}/hook/flaky\" }}\n\
             metrics-file = {:?}\npush-gateway = \"http://127.0.0.1:{port}/push\"\n",
            self.path("store"),
            self.path("dbhaul.prom"),
            port = self.listener.port(),
        );
        std::fs::write(self.path("dbhaul.toml"), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let config = self.path("dbhaul.toml");
        Dbhaul::new(arguments.iter().copied()).args(["--config", config.to_str().unwrap()]).run()
    }

    fn metrics(&self) -> String {
        std::fs::read_to_string(self.path("dbhaul.prom")).unwrap()
    }

    fn backups(&self) -> usize {
        let databases = std::fs::read_dir(self.path("store/backups")).unwrap();
        databases.map(|database| std::fs::read_dir(database.unwrap().path()).unwrap().count()).sum()
    }
}

/// The value of a metric of a database.
fn metric(text: &str, name: &str, database: &str) -> Option<f64> {
    let start = format!("{name}{{profile=\"night\",database=\"{database}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().unwrap())
}

/// The status of the whole job.
fn status_of_job(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("dbhaul_backup_status{profile=\"night\"} "))
}

#[test]
fn a_job_backs_up_what_its_patterns_name_and_tells_of_it() {
    let machine = Machine::start();
    machine.configure("postgres", "databases = [\"app_*\"]\ndump = [\"--jobs=1\"]\nkeep = { last = 1 }");
    machine.run(&["config", "check"]).assert_code(0);
    assert!(machine.listener.take().is_empty(), "a check tells nobody");
    for _ in 0..2 {
        let run = machine.run(&["backup", "run", "night", "--json"]);
        run.assert_code(0);
        let job = run.json()["jobs"][0].clone();
        let steps: Vec<String> = job["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| {
                format!("{} {}", step["database"].as_str().unwrap_or("-"), step["step"].as_str().unwrap())
            })
            .collect();
        let of = ["app_one", "app_two"]
            .map(|name| ["dump", "check", "forget"].map(|step| format!("{name} {step}")));
        let expected = [of.concat(), vec!["- prune".to_owned()]].concat();
        assert_eq!(steps, expected);
        assert_eq!(machine.backups(), 2, "one of each database is kept");
        let told = machine.listener.take();
        let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
        let secret = "/ping/uuid-secret";
        let start = format!("{secret}/start");
        // the webhook was busy at first
        let group = "/push/metrics/job/dbhaul/profile/night";
        let groups = [format!("{group}/database/app_one"), format!("{group}/database/app_two")];
        let expected = [&start, secret, "/hook/flaky", "/hook/flaky", group, &groups[0], &groups[1]];
        assert_eq!(paths, expected);
        let report: serde_json::Value = serde_json::from_str(&told[3].1).unwrap();
        assert_eq!((report["status"].as_str(), report["job"].as_str()), (Some("done"), Some("night")));
        for database in ["app_one", "app_two"] {
            assert_eq!(metric(&machine.metrics(), "dbhaul_backup_status", database), Some(0.0));
            assert_eq!(metric(&machine.metrics(), "dbhaul_backup_rows", database), Some(100.0));
        }
        assert_eq!(status_of_job(&machine.metrics()), Some("0"));
        assert!(told[5].1.contains("\ndbhaul_backup_rows 100\n"), "{}", told[5].1);
    }
    // what is not delivered is told, and changes nothing else
    machine.configure("app_one", "");
    let text = std::fs::read_to_string(machine.path("dbhaul.toml")).unwrap();
    std::fs::write(machine.path("dbhaul.toml"), text.replace("/hook/flaky", "/hook/moved")).unwrap();
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(0);
    assert!(run.stderr.contains("127.0.0.1 was not told") && run.stderr.contains("301"), "{}", run.stderr);
    machine.listener.take();
    // a database that is no longer there is not left out in silence, and the others are backed up
    machine.configure("postgres", "databases = [\"app_*\", \"gone\"]");
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(1);
    for database in ["app_one", "app_two"] {
        assert!(run.stdout.contains(&format!("dump {database}: backup ")), "{}", run.stdout);
    }
    assert!(run.stdout.contains("\"gone\"") && !run.stdout.contains("uuid-secret"), "{}", run.stdout);
    assert_eq!(machine.listener.paths()[1], "/ping/uuid-secret/fail");
    // who is told and does not answer holds no run that the user has stopped: nobody is tried again, all together
    machine.listener.hang();
    let config = machine.path("dbhaul.toml");
    let stopped = Dbhaul::new(["backup", "run", "night", "--config", config.to_str().unwrap()]).spawn();
    wait_until("the run tells that it begins", || (machine.listener.count() == 1).then_some(()));
    stopped.signal("TERM");
    let stopped = stopped.wait();
    stopped.assert_code(130);
    let mut paths = machine.listener.paths();
    paths[1..].sort();
    assert_eq!(
        paths,
        [
            "/ping/uuid-secret/start",
            "/hook/flaky",
            "/ping/uuid-secret/fail",
            "/push/metrics/job/dbhaul/profile/night"
        ]
    );
    assert!(stopped.stderr.contains("no answer within 5 seconds"), "{}", stopped.stderr);
    assert_eq!(status_of_job(&machine.metrics()), Some("1"));
}

#[test]
fn a_database_that_nobody_can_connect_to_is_not_left_out_in_silence() {
    let machine = Machine::start();
    machine.server.psql("postgres", "ALTER DATABASE app_two ALLOW_CONNECTIONS false");
    machine.configure("postgres", "databases = [\"app_*\"]\ndump = [\"--jobs=1\"]");
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(3).assert_says("dump app_two: not done: the database refuses all connections");
    assert!(run.stdout.contains("dump app_one: backup "), "{run}");
    let told = machine.listener.take();
    assert_eq!(told[1].0, "/ping/uuid-secret/fail");
    let report: serde_json::Value = serde_json::from_str(&told[3].1).unwrap();
    let step = &report["steps"][0];
    assert_eq!((report["status"].as_str(), step["database"].as_str()), (Some("skipped"), Some("app_two")));
    assert!(step["not-done"]["reason"].is_string(), "{report}");
    let metrics = machine.metrics();
    assert_eq!(metric(&metrics, "dbhaul_backup_status", "app_one"), Some(0.0));
    assert_eq!(metric(&metrics, "dbhaul_backup_status", "app_two"), Some(3.0));
    assert_eq!(metric(&metrics, "dbhaul_backup_last_success_timestamp_seconds", "app_two"), None);
    assert_eq!(status_of_job(&metrics), Some("3"));
    // named itself, it is what the job is for
    machine.configure("postgres", "databases = [\"app_two\"]");
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(1).assert_says("dump app_two: failed: database \"app_two\" refuses all connections");
    assert!(!run.stdout.contains("no database"), "{run}");
    assert_eq!(metric(&machine.metrics(), "dbhaul_backup_status", "app_two"), Some(1.0));
    // one to which only this role may not connect
    machine.server.create_db("app_private");
    machine.server.psql(
        "postgres",
        "REVOKE CONNECT ON DATABASE app_private FROM PUBLIC; CREATE ROLE keeper LOGIN; GRANT pg_read_all_data TO keeper",
    );
    machine.configure("postgres", "databases = [\"app_*\"]");
    std::fs::write(machine.path("source"), machine.server.uri_as("keeper", "postgres")).unwrap();
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(1).assert_says("permission denied for database \"app_private\"");
    assert!(run.stdout.contains("dump app_one: backup "), "{run}");
    let metrics = machine.metrics();
    assert_eq!(metric(&metrics, "dbhaul_backup_status", "app_private"), Some(1.0));
    assert_eq!(metric(&metrics, "dbhaul_backup_status", "app_two"), Some(3.0));
}

#[test]
fn nothing_is_forgotten_after_a_dump_that_failed() {
    let machine = Machine::start();
    machine.configure("other", "dump = [\"--jobs=1\"]\nkeep = { last = 1 }");
    for _ in 0..2 {
        machine.run(&["backup", "run", "night"]).assert_code(0);
    }
    assert_eq!(machine.backups(), 1);
    let success = metric(&machine.metrics(), "dbhaul_backup_last_success_timestamp_seconds", "other");
    assert!(success.is_some(), "{}", machine.metrics());
    let store = machine.path("store");
    let store = store.to_str().unwrap();
    Dbhaul::new(["dump", "--source", &machine.server.uri("other"), "--store", store]).run().assert_code(0);
    machine.listener.take();
    // the role may not read it
    machine.server.psql("other", "CREATE ROLE reader LOGIN; REVOKE ALL ON t FROM PUBLIC");
    std::fs::write(machine.path("source"), machine.server.uri_as("reader", "other")).unwrap();
    let run = machine.run(&["backup", "run", "--all", "--json"]);
    run.assert_code(1);
    let steps = run.json()["jobs"][0]["steps"].clone();
    assert!(steps[0]["failed"]["error"].as_str().unwrap().contains("permission denied"), "{steps}");
    for place in [1, 2] {
        assert!(steps[place]["not-done"]["reason"].is_string(), "{steps}");
    }
    assert_eq!(steps[3]["step"].as_str(), Some("prune"));
    assert_eq!(machine.backups(), 2, "both are still there");
    assert_eq!(metric(&machine.metrics(), "dbhaul_backup_status", "other"), Some(1.0));
    assert_eq!(status_of_job(&machine.metrics()), Some("1"), "the prune that came after was done");
    assert_eq!(
        metric(&machine.metrics(), "dbhaul_backup_last_success_timestamp_seconds", "other"),
        success,
        "a failure does not hide when the last success was"
    );
    assert!(machine.listener.paths().contains(&"/ping/uuid-secret/fail".to_owned()));
    // a backup that refers to a damaged pack of the one before is none for which others may go
    std::fs::write(machine.path("source"), machine.server.uri("other")).unwrap();
    flip_packs_of_rows(&machine.path("store"));
    let run = machine.run(&["backup", "run", "night", "--json"]);
    run.assert_code(1);
    let steps = run.json()["jobs"][0]["steps"].clone();
    assert!(steps[0]["dumped"].is_object(), "{steps}");
    let checked = steps[1]["checked"]["backups"][0]["report"].clone();
    assert_eq!(
        (checked["level"].as_u64(), checked["result"].as_str()),
        (Some(1), Some("damaged")),
        "{steps}"
    );
    assert!(steps[2]["not-done"]["reason"].as_str().unwrap().contains("after a check"), "{steps}");
    assert_eq!(machine.backups(), 3, "nothing was forgotten");
    assert_eq!(metric(&machine.metrics(), "dbhaul_backup_status", "other"), Some(1.0));
    let succeeded = metric(&machine.metrics(), "dbhaul_backup_last_success_timestamp_seconds", "other");
    assert_eq!(succeeded, success, "a backup that is damaged is no success");
    // the next one does not rely on it; what is damaged, as are all that refer to the pack, stays until it
    // is named
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(0);
    assert!(run.stderr.contains("all rows are stored anew"), "{run}");
    assert_eq!(machine.backups(), 4);
}

/// Flips a byte of the first chunk of every pack of rows.
fn flip_packs_of_rows(store: &Path) {
    let directories = std::fs::read_dir(store.join("packs")).unwrap();
    for pack in directories.flat_map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap()) {
        let pack = pack.unwrap().path();
        let mut bytes = std::fs::read(&pack).unwrap();
        // the kind stands in the header, which has 24 bytes
        if bytes[19] == 0 {
            bytes[40] ^= 1;
            std::fs::write(pack, bytes).unwrap();
        }
    }
}

#[test]
fn runs_of_a_job_do_not_overlap_unless_they_may() {
    let machine = Machine::start();
    machine.configure("other", "dump = [\"--jobs=1\", \"--lock-wait-timeout=60s\"]");
    let mut locker = machine.server.client("psql");
    locker
        .args(["-Xq", "-d", &machine.server.uri("other"), "-c", "BEGIN; LOCK TABLE t; SELECT pg_sleep(600)"])
        .stdout(Stdio::null());
    let mut locker = locker.spawn().unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 't'::regclass";
    wait_until("the table is locked", || (machine.server.psql("other", locked).trim() == "1").then_some(()));
    let config = machine.path("dbhaul.toml");
    let config = config.to_str().unwrap();
    let first = Dbhaul::new(["backup", "run", "night", "--config", config]).spawn();
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    wait_until("the first run has its turn", || {
        (machine.server.psql("postgres", held).trim() == "1").then_some(())
    });
    machine.listener.take();
    let second = machine.run(&["backup", "run", "night"]);
    second.assert_code(3);
    assert!(second.stdout.contains("another backup of this database"), "{}", second.stdout);
    assert_eq!(machine.listener.paths()[1], "/ping/uuid-secret/fail");
    machine.configure("other", "overlap = \"wait\"\ndump = [\"--jobs=1\"]");
    let third = Dbhaul::new(["backup", "run", "night", "--config", config]).spawn();
    wait_until("the third run waits", || {
        third.stderr_so_far().contains("waiting until it ends").then_some(())
    });
    machine.server.terminate_backends("other", "BEGIN; LOCK TABLE%");
    locker.wait().unwrap();
    first.wait().assert_code(0);
    third.wait().assert_code(0);
    assert_eq!(machine.backups(), 2);
}

/// The first backup into a store has packs there before any backup.
#[test]
fn a_job_is_left_out_while_the_first_backup_into_the_store_is_at_work() {
    let machine = Machine::start();
    machine.server.psql("other", "INSERT INTO t SELECT i FROM generate_series(1, 100000) i");
    machine.configure("other", "dump = [\"--jobs=1\", \"--max-rate=1kB\"]\nkeep = { last = 1 }");
    let config = machine.path("dbhaul.toml");
    let first = Dbhaul::new(["backup", "run", "night", "--config", config.to_str().unwrap()]).spawn();
    wait_until("the dump has shown that it is at work", || {
        let signs = std::fs::read_dir(machine.path("store/sessions")).ok()?;
        signs.flatten().find(|sign| !sign.file_name().to_string_lossy().starts_with('.'))
    });
    // written by the dump, as far as anybody can tell
    let pack = machine.path("store/packs/ab").join("ab".repeat(32));
    std::fs::create_dir_all(pack.parent().unwrap()).unwrap();
    std::fs::write(&pack, "rows").unwrap();
    let second = machine.run(&["backup", "run", "night"]);
    second.assert_code(3).assert_says("dump other: not done: another backup of this database");
    second.assert_says("a dump may be active");
    assert!(!second.stdout.contains("--allow-no-backup"), "{second}");
    assert!(pack.exists());
    assert_eq!(status_of_job(&machine.metrics()), Some("3"));
    first.signal("TERM");
    first.wait().assert_code(130);
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_before_anything_is_done() {
    let machine = Machine::start();
    machine.configure("other", "kep = { last = 1 }");
    let run = machine.run(&["backup", "run", "night"]);
    run.assert_code(2);
    assert!(run.stderr.contains("kep"), "{}", run.stderr);
    machine.configure("other", "keep = { daily = 0 }");
    machine.run(&["config", "check"]).assert_code(2);
    machine.configure("other", "");
    let text = std::fs::read_to_string(machine.path("dbhaul.toml")).unwrap();
    // whoever can be told is told that a secret is no longer there
    let broken = format!(
        "[profile.broken]\nsource = {{ command = \"false\" }}\nstore = \"/nonexistent\"\n[profile.broken.notify]\n\
         ping = \"http://127.0.0.1:{}/ping/broken\"\nwebhook = {{ env = \"DBHAUL_TESTS_NOT_SET\" }}\nmetrics-file = {:?}\n",
        machine.listener.port(),
        machine.path("broken.prom"),
    );
    std::fs::write(machine.path("dbhaul.toml"), format!("{broken}{text}")).unwrap();
    let refused = machine.run(&["backup", "run", "night", "broken"]);
    refused.assert_code(2).assert_says("profile \"broken\": source:");
    refused.assert_stderr_has(&["notify.webhook: the variable DBHAUL_TESTS_NOT_SET is not set"]);
    assert_eq!(machine.listener.paths(), ["/ping/broken/fail"], "and the other job does not begin");
    let metrics = std::fs::read_to_string(machine.path("broken.prom")).unwrap();
    assert!(metrics.contains("dbhaul_backup_status{profile=\"broken\"} 1\n"), "{metrics}");
    machine.run(&["config", "check"]).assert_code(2);
    assert!(machine.listener.take().is_empty(), "a check tells nobody");
    let all = machine.run(&["backup", "run", "--all", "--json"]);
    all.assert_code(1);
    let jobs = all.json()["jobs"].clone();
    assert_eq!((jobs[0]["job"].as_str(), jobs[1]["job"].as_str()), (Some("broken"), Some("night")));
    assert!(jobs[0]["steps"][0]["failed"]["error"].as_str().unwrap().contains("source:"), "{jobs}");
    assert_eq!(machine.backups(), 1, "one broken profile does not keep the others from running");
    assert_eq!(machine.listener.paths()[..2], ["/ping/broken/fail", "/ping/uuid-secret/start"]);
    std::fs::remove_dir_all(machine.path("store")).unwrap();
    machine.listener.take();
    machine.configure("other", "");
    machine.run(&["backup", "run", "day"]).assert_code(2);
    machine.run(&["backup", "run"]).assert_code(2);
    let nowhere = Dbhaul::new(["backup", "run", "night", "--config", "/nonexistent/dbhaul.toml"]).run();
    nowhere.assert_code(2);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/dbhaul.toml");
    let unset = Dbhaul::new(["config", "check", "--config", example]).run();
    unset.assert_code(2);
    assert!(unset.stdout.contains("SHOP_URL is not set"), "{}", unset.stdout);
    let example = Dbhaul::new(["config", "check", "--config", example])
        .env("SHOP_URL", "postgres://app:s3cret@db/shop")
        .env("SHOP_PING", "https://hc.example/uuid-secret")
        .env("APPS_URL", "postgres://app:s3cret@db/postgres")
        .run();
    example.assert_code(0);
    assert!(
        !example.stdout.contains("s3cret") && !example.stdout.contains("uuid-secret"),
        "{}",
        example.stdout
    );
    assert!(machine.listener.take().is_empty() && !Path::new(&machine.path("store")).exists());
}
