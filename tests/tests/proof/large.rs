//! A large table in which a few rows differ: how often it is read, how much of it leaves its server, and the memory that
//! takes.

use dbhaul_tests::{Dbhaul, Proxy, Server, wait_until};

use crate::findings::{Findings, assert_finds};

/// Two million rows in the long form, of a third of a gigabyte on each side.
fn row_count() -> u64 {
    if std::env::var_os("DBHAUL_LONG").is_some() { 2_000_000 } else { 100_000 }
}

const FAULTS: &str = "UPDATE fact SET n = n + 1 WHERE id = 17; DELETE FROM fact WHERE id = 50000;
    INSERT INTO fact VALUES (-1, 0, 'new', NULL); UPDATE fact SET note = '' WHERE id = 99999";

/// Rows that scans have read, as the server counts them.
fn scanned_rows(server: &Server, db: &str) -> u64 {
    wait_until("all sessions have ended and been counted", || {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        (server.psql(db, others) == "0").then_some(())
    });
    server.psql(db, "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'fact'").parse().unwrap()
}

#[test]
fn faults_of_a_large_table_are_located_by_two_scans_of_each_side() {
    let start = |major| Server::builder(major).config("autovacuum", "off").start();
    let (left, right) = (start(17), start(18));
    let rows = row_count();
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.create_db(db);
        server.psql(
            db,
            &format!(
                "CREATE TABLE fact (id bigint, n int, filler text, note text);
                 INSERT INTO fact SELECT i, i % 1000, repeat(md5(i::text), 4), NULL FROM generate_series(1, {rows}) i;
                 ALTER TABLE fact ADD PRIMARY KEY (id)"
            ),
        );
    }
    right.psql("copy", FAULTS);
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.psql(db, "SELECT pg_stat_reset()");
    }
    let proxies = [Proxy::before(left.port()), Proxy::before(right.port())];
    let (from, to) = (proxies[0].uri("shop"), proxies[1].uri("copy"));
    let verify = |mode: &str, code| {
        let how =
            ["verify", "--json", "--values", "show", "--mode", mode, "--source", &from, "--target", &to];
        let how = how.into_iter().filter(|word| mode != "schema" || !["--values", "show"].contains(word));
        let run = Dbhaul::new(how.collect::<Vec<_>>()).run();
        run.assert_code(code);
        (run, proxies.each_ref().map(Proxy::passed_bytes))
    };
    let (_, for_definitions) = verify("schema", 0);
    let (run, passed) = verify("schema,deep", 4);
    let expected: Findings = [
        "public.fact: different 1:1 id=17 | n: 17 -> 18",
        "public.fact: missing 1:0 id=50000",
        "public.fact: extra 0:1 id=-1",
        "public.fact: different 1:1 id=99999 | note: NULL -> ",
    ]
    .map(str::to_owned)
    .into();
    assert_finds("four faults", &run.json(), &expected);

    for ((server, db), (before, after)) in
        [(&left, "shop"), (&right, "copy")].into_iter().zip(for_definitions.iter().zip(passed))
    {
        let scans = scanned_rows(server, db) as f64 / rows as f64;
        assert!(scans < 2.1, "{db}: {scans} scans");
        let table_bytes: u64 = server.psql(db, "SELECT pg_relation_size('fact')").parse().unwrap();
        // definitions have been read twice
        let shipped_bytes = after - 2 * before;
        assert!(shipped_bytes < table_bytes / 100, "{db}: {shipped_bytes} of {table_bytes} bytes");
    }
    assert!(run.peak_resident_bytes < 80 << 20, "{} bytes resident", run.peak_resident_bytes);
}
