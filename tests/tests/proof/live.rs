//! Sides that are written to while they are compared: rows that are on their way settle, others do not.

use std::process::{Child, Command, Stdio};

use dbhaul_tests::{Dbhaul, Running, Server, wait_until};
use serde_json::Value;

use crate::findings::{Findings, assert_finds, findings, verify};

/// Tables with keys of several kinds, and one without.
const TABLES: &str = "CREATE TABLE account (id int PRIMARY KEY, balance numeric, note text);
    CREATE TABLE entry (account int, at uuid, amount int, PRIMARY KEY (account, at));
    CREATE TABLE person (mail text PRIMARY KEY, name text); CREATE TABLE visit (page text, n int); CREATE TABLE quiet (id int PRIMARY KEY)";

const ROWS: &str = "INSERT INTO account SELECT i, i, 'a' FROM generate_series(1, 20000) i;
    INSERT INTO entry SELECT i % 10, md5(i::text)::uuid, i FROM generate_series(1, 100) i;
    INSERT INTO person SELECT 'm' || i, 'n' FROM generate_series(1, 100) i; INSERT INTO visit SELECT 'p' || i % 7, i % 3 FROM generate_series(1, 50) i;
    INSERT INTO quiet SELECT generate_series(1, 10)";

/// A psql that works on its own until it is dropped.
struct Writer<'a> {
    psql: Child,
    server: &'a Server,
    db: &'static str,
}

impl<'a> Writer<'a> {
    /// Carries out statements again and again, in a transaction each time.
    fn start(server: &'a Server, db: &'static str, statements: &str) -> Self {
        let block =
            format!("DO $$ BEGIN LOOP {statements}; COMMIT; PERFORM pg_sleep(0.005); END LOOP; END $$");
        let mut psql: Command = server.client("psql");
        let psql = psql.stderr(Stdio::null()).args(["-Xq", "-d", db, "-c", &block]).spawn().unwrap();
        Writer { psql, server, db }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // its server goes on otherwise, until it has something to say
        self.server.terminate_backends(self.db, "DO %");
        let _ = self.psql.wait();
    }
}

/// A source and a target that follows it, as soon as the subscription is enabled.
struct Pair {
    source: Server,
    target: Server,
}

impl Pair {
    fn replicating() -> Self {
        let (source, target) = (Server::start(16), Server::start(18));
        for (server, db) in [(&source, "shop"), (&target, "copy")] {
            server.create_db(db);
            server.psql(db, TABLES);
        }
        source.psql("shop", &format!("{ROWS}; CREATE PUBLICATION everything FOR ALL TABLES"));
        let place = format!("host=127.0.0.1 port={} user=postgres dbname=shop", source.port());
        target.psql("copy", &format!("CREATE SUBSCRIPTION s CONNECTION '{place}' PUBLICATION everything"));
        let pair = Pair { source, target };
        wait_until("all tables are copied", || {
            let waiting = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
            (pair.target.psql("copy", waiting) == "0").then_some(())
        });
        pair
    }

    fn uris(&self) -> (String, String) {
        (self.source.uri("shop"), self.target.uri("copy"))
    }

    /// Waits until the target has everything that the source has now.
    fn catch_up(&self) {
        let position = self.source.psql("shop", "SELECT pg_current_wal_lsn()");
        let reached =
            format!("SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn >= '{position}'");
        wait_until("the target has caught up", || (self.source.psql("shop", &reached) != "0").then_some(()));
    }

    /// A comparison that has found differences, and waits for them to settle.
    fn comparing(&self, settle_seconds: &str) -> Running {
        let (from, to) = self.uris();
        let how = [
            "verify",
            "--json",
            "--progress",
            "json",
            "--mode",
            "deep",
            "--values",
            "show",
            "--settle",
            settle_seconds,
        ];
        let mut run = Dbhaul::new(how).args(["--source", &from, "--target", &to]).spawn();
        wait_until("it looks at rows again", || run.stderr_so_far().contains("ROWS AGAIN").then_some(()));
        assert!(!run.has_ended(), "it waits");
        run
    }
}

fn table<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tables = report["tables"].as_array().unwrap();
    tables.iter().find(|table| table["name"] == name).unwrap_or_else(|| panic!("no {name} in {tables:#?}"))
}

/// Changes of rows of each table.
const CHANGES: &str = "UPDATE account SET balance = -id WHERE id IN (3, 4000, 19999); DELETE FROM account WHERE id = 77;
    INSERT INTO account VALUES (30000, 1, 'new'); UPDATE entry SET amount = -1 WHERE amount = 42; DELETE FROM person WHERE mail = 'm8';
    INSERT INTO person VALUES ('m1000', 'n'); INSERT INTO visit VALUES ('p9', 9)";

#[test]
fn rows_on_their_way_settle_and_others_do_not() {
    let pair = Pair::replicating();
    pair.target.psql("copy", "ALTER SUBSCRIPTION s DISABLE");
    pair.source.psql("shop", CHANGES);
    // new rows all the time, and changes of some that differ
    let busy = "INSERT INTO account SELECT max(id) + 1, 0, 'later' FROM account; UPDATE person SET name = 'p' || random() WHERE mail = 'm1000'";
    let writer = Writer::start(&pair.source, "shop", busy);
    let run = pair.comparing("100");
    drop(writer);
    pair.target.psql("copy", "ALTER SUBSCRIPTION s ENABLE");
    let run = run.wait();
    run.assert_code(0);
    let report = run.json();
    assert_eq!(findings(&report), Findings::new());
    assert_eq!(table(&report, "public.quiet")["verdict"], "equal");
    for (name, at_least) in [("account", 5), ("entry", 1), ("person", 2), ("visit", 1)] {
        let table = table(&report, &format!("public.{name}"));
        assert_eq!(table["verdict"], "settled", "{table:#}");
        let settled = &table["rows"]["settled"];
        assert!(settled["count"].as_u64().unwrap() >= at_least, "{table:#}");
        assert_eq!(
            (settled["undecided_count"].as_u64(), settled["differing_count"].as_u64()),
            (Some(0), Some(0))
        );
        assert!(settled["look_count"].as_u64().unwrap() >= 1);
        assert!(settled["left_as_of"].as_str() > report["left"]["as_of"].as_str(), "{table:#}");
        assert!(settled["right_lsn"].is_string(), "{table:#}");
    }

    // rows with plain keys are found by their index, and values of others are told to nobody
    let asked = pair.target.log();
    assert!(asked.contains("id OPERATOR(pg_catalog.=) ANY ('{"), "{asked}");
    assert!(!asked.contains("m1000"), "{asked}");

    // what has been changed on the right alone does not settle, however busy the source is
    pair.catch_up();
    pair.target
        .psql("copy", "UPDATE account SET note = 'b' WHERE id = 5000; DELETE FROM entry WHERE amount = 17");
    let _writer = Writer::start(
        &pair.source,
        "shop",
        "UPDATE account SET balance = balance + 1 WHERE id <= 20; INSERT INTO visit VALUES ('p', 1)",
    );
    let key = pair.source.psql("shop", "SELECT at FROM entry WHERE amount = 17");
    let expected: Findings = [
        "public.account: different 1:1 id=5000 | note: a -> b".to_owned(),
        format!("public.entry: missing 1:0 account=7 at={key}"),
    ]
    .into();
    let (from, to) = pair.uris();
    let found = || {
        let report = verify(&from, &to, &["--mode", "deep", "--values", "show", "--settle", "2"]);
        let (changed, stayed): (Vec<_>, Vec<_>) = findings(&report).into_iter().partition(|line| {
            line.starts_with("public.account: different 1:1 id=") && line.contains("balance: ")
                || line.contains("public.visit")
        });
        (changed, stayed.into_iter().collect::<Findings>())
    };
    let (_, stayed) = found();
    assert_eq!(stayed, expected);
}

/// Two databases that do not follow each other: what changes all the time is not called different, nor equal.
#[test]
fn what_never_stands_still_is_not_verified() {
    let server = Server::start(17);
    for db in ["shop", "copy"] {
        server.create_db(db);
        server.psql(db, &format!("{TABLES}; {ROWS}"));
    }
    let (from, to) = (server.uri("shop"), server.uri("copy"));
    let writer = Writer::start(
        &server,
        "shop",
        "UPDATE account SET balance = random() WHERE id = 7; UPDATE visit SET n = 1000 * random()",
    );
    wait_until("it writes", || {
        (server.psql("shop", "SELECT count(*) FROM account WHERE id = 7 AND balance < 1") == "1")
            .then_some(())
    });
    let deep = ["--mode", "deep", "--values", "show"];
    let looked = verify(&from, &to, &[&deep[..], &["--settle", "1"]].concat());
    for name in ["public.account", "public.visit"] {
        let table = table(&looked, name);
        assert_eq!(table["verdict"], "not-verified", "{table:#}");
        assert!(
            table["reason"].as_str().unwrap().contains("still changing when the time was over"),
            "{table:#}"
        );
    }
    assert_eq!(table(&looked, "public.account")["rows"]["settled"]["undecided_count"], 1);
    // one that stays as it is among those that change makes the table different
    server.psql("copy", "UPDATE account SET note = 'b' WHERE id = 9000");
    let looked = verify(&from, &to, &[&deep[..], &["--settle", "1"]].concat());
    let account = table(&looked, "public.account");
    assert_eq!(account["verdict"], "different", "{account:#}");
    let settled = &account["rows"]["settled"];
    assert_eq!(
        (settled["undecided_count"].as_u64(), settled["differing_count"].as_u64()),
        (Some(1), Some(1))
    );

    // who does not ask to look again is told that the sides were not still
    let told =
        |report: &Value| report["information"].to_string().contains("the server of the left was written to");
    let once = verify(&from, &to, &deep);
    assert!(told(&once), "{once:#}");
    drop(writer);
    wait_until("it has stopped", || {
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        (server.psql("shop", busy) == "0").then_some(())
    });
    let still = verify(&from, &to, &deep);
    assert!(!told(&still), "{still:#}");
    // and looking again changes nothing where nothing changes
    server.psql("shop", "UPDATE account SET balance = 7 WHERE id = 7");
    server.psql("copy", "UPDATE account SET balance = 7 WHERE id = 7; TRUNCATE visit");
    server.psql("shop", "TRUNCATE visit");
    let expected = ["public.account: different 1:1 id=9000 | note: a -> b".to_owned()].into();
    assert_finds("still", &verify(&from, &to, &[&deep[..], &["--settle", "1"]].concat()), &expected);

    for wrong in
        [&["--settle", "1"][..], &["--mode", "digest", "--settle", "1"], &["--mode", "deep", "--settle", "0"]]
    {
        Dbhaul::new(["verify", "--source", &from, "--target", &to]).args(wrong).run().assert_code(2);
    }
    let stored = ["verify", "--store", "/nowhere", "--target", &to, "--mode", "deep", "--settle", "1"];
    Dbhaul::new(stored).run().assert_code(2).assert_stderr_has(&["--settle needs two live databases"]);
}

/// A standby follows its primary as a subscriber its publisher, and takes nothing that would be created to compare
/// definitions.
#[test]
fn a_standby_that_lags_settles_and_is_never_equal_unseen() {
    let mut primary = Server::start(17);
    primary.create_db("shop");
    primary.psql("shop", &format!("{TABLES}; {ROWS}"));
    let standby = primary.standby();
    primary.wait_for(&standby);
    let (from, to) = (primary.uri("shop"), standby.uri("shop"));
    let deep = ["--mode", "schema,deep", "--values", "show"];
    assert_finds("at rest", &verify(&from, &to, &deep), &Findings::new());

    standby.psql("postgres", "SELECT pg_wal_replay_pause()");
    primary.psql("shop", "UPDATE account SET note = 'b' WHERE id = 3; DELETE FROM person WHERE mail = 'm8'");
    let expected = ["public.account: different 1:1 id=3 | note: b -> a", "public.person: extra 0:1 mail=m8"];
    let expected: Findings = expected.map(str::to_owned).into();
    let paused = verify(&from, &to, &[&deep[..], &["--settle", "1"]].concat());
    assert_finds("paused", &paused, &expected);
    let how = ["verify", "--json", "--progress", "json", "--mode", "schema,deep", "--settle", "100"];
    let run = Dbhaul::new(how).args(["--source", &from, "--target", &to]).spawn();
    wait_until("it looks at rows again", || run.stderr_so_far().contains("ROWS AGAIN").then_some(()));
    standby.psql("postgres", "SELECT pg_wal_replay_resume()");
    let run = run.wait();
    run.assert_code(0);
    assert_eq!(table(&run.json(), "public.person")["verdict"], "settled");

    // nothing is created on it to compare definitions; what differs is found all the same
    let other = Server::start(15);
    other.create_db("shop");
    let told =
        |check: &str| format!("CREATE TABLE told (a bool, b bool, c bool, CONSTRAINT k CHECK ({check}))");
    other.psql("shop", &format!("{TABLES}; {ROWS}; {}", told("(a OR b) AND c")));
    primary.psql("shop", &told("a OR (b AND c)"));
    primary.wait_for(&standby);
    let found = findings(&verify(&other.uri("shop"), &to, &["--mode", "schema"]));
    assert!(found.iter().any(|line| line.starts_with("CHECK CONSTRAINT public.k told: ")), "{found:#?}");
}
