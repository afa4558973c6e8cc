//! The harness itself: what the other tests rely on.

use dbhaul_tests::{Authority, Encoding, Fixture, MAJORS, Moto, S3Directory, Server, Validity};

#[test]
fn server_of_each_major_starts() {
    for major in MAJORS {
        let server = Server::start(major);
        let version: u32 = server.psql("postgres", "SHOW server_version_num").parse().unwrap();
        assert_eq!(version / 10_000, u32::from(major));
        assert_eq!(server.psql("postgres", "SHOW server_encoding"), "UTF8");
        assert_eq!(server.psql("postgres", "SHOW wal_level"), "logical");
    }
}

#[test]
fn servers_of_one_major_are_different_systems() {
    let (one, two) = (Server::start(17), Server::start(17));
    let identifier = "SELECT system_identifier FROM pg_control_system()";
    assert_ne!(one.psql("postgres", identifier), two.psql("postgres", identifier));
    assert_ne!(one.port(), two.port());
}

#[test]
fn server_goes_with_its_directory() {
    let server = Server::start(18);
    let dir = server.socket_dir().to_path_buf();
    assert!(dir.join("data/PG_VERSION").exists());
    drop(server);
    assert!(!dir.exists());
}

/// What a server of this harness says of what was sent to it, when it goes.
fn judged(server: Server) -> Result<(), String> {
    let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server)));
    gone.map_err(|panic| panic.downcast_ref::<String>().expect("it says why").clone())
}

#[test]
fn server_that_goes_tells_of_names_without_schemas() {
    let say = |server: &Server, client: &str, messages: &[&str]| {
        let mut psql = server.client("psql");
        psql.env("PGAPPNAME", client).args(["-XqAt", "-d", "postgres"]);
        for message in messages {
            psql.args(["-c", message]);
        }
        psql.output().unwrap();
    };
    let opening = ["SET search_path = ''", "SET a.b = 1", "SET a.b = 1", "BEGIN"];
    let path = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, public', true)";
    let fine = ["SELECT 1 + 1", path, "SELECT 1 OPERATOR(pg_catalog.+) 1", "COMMIT", "SELECT\n1 + 1"];
    let server = Server::start(18);
    say(&server, "dbhaul", &[&opening[..], &fine].concat());
    say(&server, "psql", &["SELECT 1 + 1"]);
    assert_eq!(judged(server), Ok(()));
    let planted: [&[&str]; 2] = [
        &["SET search_path = ''", "SELECT\n1 + 1"],
        &[&opening[..], &[path, "SELECT pg_catalog.lower(x) + absent(x) FROM s.t"]].concat(),
    ];
    for messages in planted {
        let server = Server::start(18);
        say(&server, "dbhaul hold x", messages);
        let found = judged(server).unwrap_err();
        assert!(found.contains("without a schema: operator +"), "{found}");
    }
    let silent = Server::builder(18).config("log_statement", "none").start();
    assert!(judged(silent).unwrap_err().contains("does not log"));
}

/// What outlives its test is never judged.
#[test]
fn no_test_keeps_a_server_for_ever() {
    let mut directories = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // in two parts, so that they are not found here
                for (one, other) in
                    [("Once", "Lock"), ("Lazy", "Lock"), ("Box::", "leak"), ("mem::", "forget")]
                {
                    assert!(!text.contains(&format!("{one}{other}")), "{one}{other} in {}", path.display());
                }
            }
        }
    }
}

#[test]
fn data_survives_restart_and_crash() {
    let mut server = Server::start(16);
    server.create_db("kept");
    server.psql("kept", "CREATE TABLE t (i int); INSERT INTO t VALUES (1); CHECKPOINT");
    server.restart();
    server.crash();
    assert_eq!(server.psql("kept", "SELECT i FROM t"), "1");
}

#[test]
fn cluster_takes_the_encoding_asked_for() {
    for encoding in [Encoding::Latin1, Encoding::SqlAscii] {
        let server = Server::builder(15).encoding(encoding).start();
        assert_eq!(server.psql("postgres", "SHOW server_encoding"), encoding.name());
    }
}

#[test]
fn digest_sees_one_changed_row() {
    let server = Server::start(18);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE t AS SELECT i, 'x' || i AS v FROM generate_series(1, 1000) i");
    server.psql("shop", "CREATE TABLE untouched (v text)");
    let before = server.sql_digest("shop");
    server.psql("shop", "UPDATE t SET v = 'y' WHERE i = 500");
    let after = server.sql_digest("shop");
    assert_ne!(before["public.t"], after["public.t"]);
    assert_eq!(before["public.untouched"], "0:0");
    assert_eq!(before["public.untouched"], after["public.untouched"]);
}

#[test]
fn digest_sees_sequences_and_large_objects() {
    let server = Server::start(13);
    server.create_db("shop");
    server.psql("shop", "CREATE SEQUENCE s; SELECT lo_from_bytea(4711, 'one')");
    let before = server.sql_digest("shop");
    server.psql("shop", "SELECT nextval('s'), nextval('s'); SELECT lo_put(4711, 0, 'two')");
    let after = server.sql_digest("shop");
    assert_ne!(before["sequence public.s"], after["sequence public.s"]);
    assert_ne!(before["large object 4711"], after["large object 4711"]);
}

#[test]
fn pg_dump_of_the_same_schema_twice_is_the_same() {
    let server = Server::start(17);
    server.create_db("one");
    server.psql("one", "CREATE TABLE t (i int PRIMARY KEY)");
    let dump = server.pg_dump_schema("one");
    assert!(dump.contains("CREATE TABLE public.t"), "{dump}");
    assert_eq!(dump, server.pg_dump_schema("one"));
}

#[test]
fn terminated_backends_are_counted() {
    let server = Server::start(18);
    assert_eq!(server.terminate_backends("postgres", "no such query%"), 0);
}

#[test]
fn password_is_asked_for_over_tcp() {
    let server = Server::builder(14).scram().start();
    let connect = |user: &str| {
        let mut psql = server.client("psql");
        psql.args(["-XqAtw", "-c", "SELECT 1", "-d", &server.uri_as(user, "postgres")]);
        psql.output().unwrap().status.success()
    };
    assert!(connect(&format!("postgres:{}", Server::PASSWORD)));
    assert!(!connect("postgres:wrong"));
}

#[test]
fn tls_is_verified() {
    let authority = Authority::new();
    let current = authority.server(&["localhost"], Validity::Current);
    let server = Server::builder(18).tls(&current).start();
    assert!(tls_is_accepted(&server, authority.certificate()));
    assert!(!tls_is_accepted(&server, Authority::new().certificate()));

    let expired = authority.server(&["localhost"], Validity::Expired);
    let server = Server::builder(13).tls(&expired).start();
    assert!(!tls_is_accepted(&server, authority.certificate()));
}

/// Asks openssl, because the clients that the tests install are built without TLS.
fn tls_is_accepted(server: &Server, root: &std::path::Path) -> bool {
    let output = std::process::Command::new("openssl")
        .args(["s_client", "-starttls", "postgres", "-verify_return_error", "-verify_hostname", "localhost"])
        .args(["-connect", &format!("127.0.0.1:{}", server.port()), "-CAfile"])
        .arg(root)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).contains("Verify return code: 0 (ok)") && output.status.success()
}

#[test]
fn moto_makes_buckets() {
    let moto = Moto::start();
    moto.create_bucket("backups");
    assert!(
        moto.endpoint()
            .store_url("backups", "shop")
            .starts_with("s3://backups/shop?endpoint=http://127.0.0.1:")
    );
}

#[test]
fn s3_directory_refuses_strangers() {
    use std::io::{Read, Write};
    let server = S3Directory::start();
    let bucket = server.create_bucket("backups");
    std::fs::write(bucket.join("object"), "payload").unwrap();
    let address = server.endpoint().url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    write!(stream, "GET /backups/object HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn small_fixtures_load_on_the_oldest_and_the_newest() {
    for major in [13, 18] {
        let server = Server::start(major);
        for (number, fixture) in Fixture::OWN.into_iter().enumerate() {
            let fixture =
                if let Fixture::TpcH { .. } = fixture { Fixture::TpcH { scale: 0.01 } } else { fixture };
            // Kept: a database that has subscriptions is not dropped.
            let db = format!("loaded_{number}");
            fixture.load(&server, &db);
            let tables = "SELECT count(*) FROM pg_stat_user_tables";
            assert!(server.psql(&db, tables).parse::<u32>().unwrap() >= 8, "{fixture:?} on {major}");
        }
    }
}

#[test]
fn sample_shop_survives_pg_dump() {
    let (source, target) = (Server::start(13), Server::start(18));
    let shop = Fixture::SampleShop { scale: 0.01 };
    shop.load(&source, "shop");
    shop.prepare_target(&target);
    source.copy_by_pg_dump("shop", &target, "copy");
    assert_eq!(source.sql_digest("shop"), target.sql_digest("copy"));
    assert!(source.sql_digest("shop").len() > 40);
    assert_eq!(source.pg_dump_inserts_sorted("shop"), target.pg_dump_inserts_sorted("copy"));
}

#[test]
fn sample_shop_is_the_same_every_time() {
    let (one, two) = (Server::start(15), Server::start(18));
    let shop = Fixture::SampleShop { scale: 0.01 };
    shop.load(&one, "shop");
    shop.load(&two, "shop");
    let (one, two) = (one.sql_digest("shop"), two.sql_digest("shop"));
    // Tables that only newer servers have, or have more columns of, differ.
    let differing: Vec<&String> = one.keys().filter(|name| one[*name] != two[*name]).collect();
    assert!(differing.is_empty(), "{differing:?}");
}
