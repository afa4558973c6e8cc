//! To a server of an older major: refused unless asked for, and then everything that the older one does not
//! know is named before the run and in its report, and every row that has a place there arrives.

use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Server};

fn newer(major: u16) -> Server {
    let server = Server::start(major);
    server.psql("postgres", "CREATE ROLE reader");
    server.create_db("shop");
    let mut sql = "CREATE TABLE film (id int PRIMARY KEY, title text, rate numeric(6,2));
         INSERT INTO film SELECT i, 'film ' || i, i / 7.0 FROM generate_series(1, 2000) i;
         CREATE INDEX film_title ON film (title);
         CREATE VIEW cheap AS SELECT * FROM film WHERE rate < 10;
         CREATE TYPE span AS RANGE (SUBTYPE = float8);
         CREATE TABLE spans (s span); INSERT INTO spans VALUES ('[1,2)');
         CREATE FUNCTION plain(int) RETURNS int LANGUAGE sql AS 'SELECT $1';"
        .to_owned();
    if major >= 15 {
        sql.push_str(
            "CREATE TABLE once (a int UNIQUE NULLS NOT DISTINCT, b int); INSERT INTO once VALUES (NULL, 1), (2, 2);
             CREATE UNIQUE INDEX once_b ON once (b) NULLS NOT DISTINCT WHERE b > 0;
             CREATE VIEW asking WITH (security_invoker) AS SELECT * FROM film;
             CREATE FUNCTION standard(a int) RETURNS int LANGUAGE sql RETURN a + 1;
             CREATE FUNCTION atomic(a int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM film WHERE id < a; END;
             CREATE TABLE packed (a text COMPRESSION pglz); INSERT INTO packed VALUES (repeat('x', 10000));
             CREATE UNLOGGED SEQUENCE quick;",
        );
    }
    if major >= 17 {
        sql.push_str("GRANT MAINTAIN, SELECT ON film TO reader; CREATE FUNCTION late() RETURNS int LANGUAGE sql SET transaction_timeout TO '5s' AS 'SELECT 1';");
    }
    if major >= 18 {
        sql.push_str(
            "CREATE TABLE sums (a int, b int, total int GENERATED ALWAYS AS (a + b) VIRTUAL); INSERT INTO sums VALUES (1, 2), (3, 4);
             CREATE TABLE loose (a int CONSTRAINT positive CHECK (a > 0) NOT ENFORCED, b int, CONSTRAINT named NOT NULL a); INSERT INTO loose VALUES (-1, NULL);
             ALTER TABLE loose ADD CONSTRAINT late NOT NULL b NOT VALID; COMMENT ON CONSTRAINT named ON loose IS 'named';
             CREATE TABLE hard (a int NOT NULL NO INHERIT); CREATE TABLE soft () INHERITS (hard); INSERT INTO soft VALUES (NULL);
             CREATE EXTENSION btree_gist;
             CREATE TABLE stay (id int, during int4range, PRIMARY KEY (id, during WITHOUT OVERLAPS)); INSERT INTO stay VALUES (1, '[1,5)');
             CREATE TABLE tuned (a int) WITH (autovacuum_vacuum_max_threshold = 1000); INSERT INTO tuned VALUES (1);",
        );
    }
    server.psql("shop", &sql);
    server
}

#[test]
fn it_is_refused_unless_asked_for() {
    let (source, target) = (newer(16), Server::start(15));
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let sides = ["--source", from.as_str(), "--target", to.as_str()];
    let preflight = Dbhaul::new(["preflight"]).args(sides).run();
    preflight.assert_code(5);
    preflight.assert_says("--allow-downgrade");
    Dbhaul::new(["migrate"])
        .args(sides)
        .run()
        .assert_code(1)
        .assert_stderr_has(&["older than", "--allow-downgrade"]);
}

#[test]
fn every_loss_is_named_and_every_row_arrives() {
    let checks: [(u16, u16, &[&str]); 3] = [
        (
            18,
            16,
            &[
                "TABLE public.sums: column total is generated STORED instead of VIRTUAL",
                "NOT ENFORCED",
                "CONSTRAINT public.loose named: left out: PostgreSQL 16 has no names of NOT NULL constraints",
                "TABLE public.loose: column b without its NOT NULL, which is not valid",
                "stay_pkey",
                "autovacuum_vacuum_max_threshold",
                "no MAINTAIN for reader",
                "created without SET transaction_timeout",
            ],
        ),
        (17, 15, &["no MAINTAIN for reader", "created without SET transaction_timeout"]),
        (
            15,
            13,
            &[
                "once_a_key: created without NULLS NOT DISTINCT",
                "once_b: created without NULLS NOT DISTINCT",
                "VIEW public.asking: left out",
                "FUNCTION public.standard(integer): its body is kept as text",
                "FUNCTION public.atomic(integer): its body is kept as text",
                "column a without COMPRESSION pglz",
                "quick: logged",
                "multirange",
            ],
        ),
    ];
    for (from, to, losses) in checks {
        let (source, target) = (newer(from), Server::start(to));
        target.psql("postgres", "CREATE ROLE reader");
        target.create_db("shop");
        let (source_uri, target_uri) = (source.uri("shop"), target.uri("shop"));
        let sides = ["--source", source_uri.as_str(), "--target", target_uri.as_str(), "--allow-downgrade"];
        let preflight = Dbhaul::new(["preflight"]).args(sides).run();
        preflight.assert_code(0);
        let migrated = Dbhaul::new(["migrate"]).args(sides).run();
        migrated.assert_code(3);
        for loss in losses {
            assert!(
                preflight.stdout.contains(loss),
                "{from} to {to}: preflight does not say {loss}\n{preflight}"
            );
            assert!(
                migrated.stdout.contains(loss),
                "{from} to {to}: the report does not say {loss}\n{migrated}"
            );
            migrated.assert_stderr_has(&[loss]);
        }
        assert_eq!(rows(&target), rows(&source), "{from} to {to}");
    }
}

/// Count and digest of every table.
fn rows(server: &Server) -> String {
    let tables = server.psql("shop", "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1");
    let digest = |table: &str| {
        server.psql(
            "shop",
            &format!("SELECT '{table}', count(*), sum(hashtextextended(t::text, 0)) FROM {table} t"),
        )
    };
    tables.lines().map(digest).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_kind_goes_down_with_a_list() {
    for (from, to) in [(19, 17), (18, 16), (16, 13)] {
        let source = Server::builder(from).config("wal_level", "logical").start();
        let target = Server::builder(to).config("wal_level", "logical").start();
        for server in [&source, &target] {
            server.psql("postgres", "CREATE ROLE kinds_owner SUPERUSER; CREATE ROLE \"Kinds Reader\"");
        }
        source.create_db("kinds");
        source.psql_file("kinds", &PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/kinds.sql"), &[]);
        source.psql("kinds", "INSERT INTO k.published VALUES (1, 'x'), (2, NULL)");
        target.create_db("kinds");
        let run = Dbhaul::new([
            "migrate",
            "--allow-downgrade",
            "--source",
            &source.uri("kinds"),
            "--target",
            &target.uri("kinds"),
        ])
        .run();
        run.assert_code(3);
        run.assert_says(match from {
            19 => "DEFAULT PRIVILEGES FOR LARGE OBJECTS",
            18 => "COLLATION k.built_in",
            _ => "COLLATION k.ruled",
        });
        assert_eq!(target.psql("kinds", "SELECT count(*), sum(c) FROM k.published"), "2|5");
    }
}
