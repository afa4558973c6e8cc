//! What a user asks to leave behind (`-x`, `-O`, `--exclude-table-data`) is no difference, and is named as not
//! compared; all else still is one. The judge of what a copy then has is `pg_dump` with the same options.

use dbhaul_tests::{Dbhaul, Finished, Server};
use tempfile::TempDir;

/// A source and a target with the same roles.
fn servers(from: u16, to: u16) -> (Server, Server) {
    let servers = (Server::start(from), Server::start(to));
    for server in [&servers.0, &servers.1] {
        server.psql("postgres", "CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE eve");
        server.create_db("shop");
    }
    servers
}

fn verify(source: &Server, target: &Server, options: &[&str]) -> Finished {
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    Dbhaul::new(["verify", "--source", &from, "--target", &to]).args(options).run()
}

/// Privileges of every kind, default ones among them.
const GRANTED: &str = r#"
    CREATE EXTENSION hstore; REVOKE EXECUTE ON FUNCTION akeys(hstore) FROM PUBLIC;
    GRANT SELECT ON pg_catalog.pg_authid TO bob; REVOKE EXECUTE ON FUNCTION pg_catalog.now() FROM PUBLIC;
    CREATE TABLE film (id int, title text); GRANT SELECT ON film TO bob; GRANT UPDATE (title) ON film TO eve;
    INSERT INTO film VALUES (1, 'a'); GRANT CREATE ON SCHEMA public TO bob;
    ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT SELECT ON TABLES TO bob;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO bob"#;

#[test]
fn privileges_left_behind_are_no_difference() {
    let (source, target) = servers(16, 18);
    source.psql("shop", GRANTED);
    let (from, to, store) = (source.uri("shop"), target.uri("shop"), TempDir::new().unwrap());
    let store = store.path().to_str().unwrap();
    let done = Dbhaul::new(["migrate", "-x", "--source", &from, "--target", &to]).run();
    done.assert_code(0).assert_says("not compared: privileges, as asked, with default privileges");
    verify(&source, &target, &["-x"]).assert_code(0);
    let all = verify(&source, &target, &[]);
    all.assert_code(4)
        .assert_says("DEFAULT ACL public.\"DEFAULT PRIVILEGES FOR FUNCTIONS\" FOR ROLE postgres: missing");

    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    target.drop_db("shop");
    target.create_db("shop");
    Dbhaul::new(["restore", "-x", "--store", store, "--target", &to]).run().assert_code(0);
    Dbhaul::new(["verify", "-x", "--store", store, "--target", &to]).run().assert_code(0);

    target.psql("shop", "ALTER TABLE film OWNER TO eve; ALTER TABLE film ALTER id SET NOT NULL");
    let verified = verify(&source, &target, &["-x"]);
    verified.assert_code(4).assert_says("schema: ").assert_says("2 differences");
    verified.assert_says("TABLE public.film: owner is \"postgres\" on the left and \"eve\" on the right");
}

/// Objects of alice's, with grants by her and by others to whom she gave the option, and with what she has
/// revoked from herself.
const OWNED: &str = r#"
    CREATE SCHEMA a AUTHORIZATION alice; GRANT USAGE ON SCHEMA a TO bob, eve; SET ROLE alice;
    CREATE TABLE a.film (id int, title text); INSERT INTO a.film VALUES (1, 'a'); CREATE SEQUENCE a.s;
    GRANT SELECT ON a.film TO bob WITH GRANT OPTION; GRANT UPDATE (title) ON a.film TO bob; GRANT ALL ON a.s TO eve;
    CREATE TABLE a.own (id int); REVOKE ALL ON a.own FROM alice; GRANT SELECT ON a.own TO alice, bob;
    CREATE TABLE a.shut (id int); REVOKE ALL ON a.shut FROM alice; CREATE VIEW a.v AS SELECT * FROM a.film;
    GRANT SELECT (id) ON a.v TO alice, PUBLIC; CREATE TABLE a.back (id int); GRANT ALL ON a.back TO postgres;
    CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION a.f() FROM PUBLIC;
    CREATE TYPE a.mood AS ENUM ('x'); GRANT USAGE ON TYPE a.mood TO bob; SELECT lo_create(4242);
    GRANT SELECT ON LARGE OBJECT 4242 TO eve; SET ROLE bob; GRANT SELECT ON a.film TO eve, alice; RESET ROLE;
    ALTER DEFAULT PRIVILEGES FOR ROLE alice REVOKE ALL ON TABLES FROM alice;
    ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT SELECT ON TABLES TO bob; GRANT CREATE ON SCHEMA public TO bob;
    ALTER SCHEMA public OWNER TO alice; GRANT CONNECT ON DATABASE shop TO bob; ALTER DATABASE shop OWNER TO alice"#;

#[test]
fn owners_left_behind_are_no_difference_in_privileges() {
    for major in [16, 18] {
        let (source, target) = servers(major, 18);
        source.psql("shop", OWNED);
        let (from, to, store) = (source.uri("shop"), target.uri("shop"), TempDir::new().unwrap());
        let store = store.path().to_str().unwrap();
        let done = Dbhaul::new(["migrate", "-O", "--source", &from, "--target", &to]).run();
        done.assert_code(0).assert_says("not compared: owners, as asked");
        assert_eq!(target.pg_dump_schema("shop"), copied_without_owners(&source, &target));
        verify(&source, &target, &["-O"]).assert_code(0);
        verify(&source, &target, &[]).assert_code(4);
        Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
        Dbhaul::new(["verify", "-O", "--store", store, "--target", &to]).run().assert_code(0);

        target.psql("shop", CHANGED);
        let verified = verify(&source, &target, &["-O"]);
        verified.assert_code(4).assert_says(&format!("{} differences", DIFFERENCES.len()));
        for difference in DIFFERENCES {
            verified.assert_says(difference);
        }

        target.drop_db("shop");
        let create = ["migrate", "-O", "--create", "--source", &from, "--target", &target.uri("postgres")];
        Dbhaul::new(create).run().assert_code(0);
        verify(&source, &target, &["-O", "--create"]).assert_code(0);
        target.psql("shop", "REVOKE CONNECT ON DATABASE shop FROM bob");
        let verified = verify(&source, &target, &["-O", "--create"]);
        verified.assert_code(4).assert_says("DATABASE shop: privileges: missing on the target: GRANT ");
    }
}

/// Grants more and less than `OWNED` led to, on a target where alice's objects belong to postgres.
const CHANGED: &str = "
    GRANT INSERT ON a.film TO eve; REVOKE SELECT ON a.own FROM bob; GRANT MAINTAIN ON a.v TO bob;
    REVOKE INSERT ON a.shut FROM postgres; GRANT EXECUTE ON FUNCTION a.f() TO PUBLIC;
    REVOKE UPDATE (title) ON a.film FROM bob; REVOKE USAGE ON TYPE a.mood FROM bob;
    ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT UPDATE ON TABLES TO bob;
    GRANT UPDATE ON LARGE OBJECT 4242 TO eve; REVOKE CREATE ON SCHEMA public FROM bob";

const DIFFERENCES: [&str; 10] = [
    "TABLE a.film: privileges: only on the target: GRANT INSERT TO eve",
    "TABLE a.film: privileges of column title: missing on the target: GRANT UPDATE TO bob",
    "TABLE a.own: privileges: missing on the target: GRANT SELECT TO bob",
    "VIEW a.v: privileges: only on the target: GRANT MAINTAIN TO bob",
    "TABLE a.shut: privileges",
    "FUNCTION a.f(): privileges: only on the target: GRANT EXECUTE TO PUBLIC",
    "TYPE a.mood: privileges: missing on the target: GRANT USAGE TO bob",
    "DEFAULT ACL",
    "BLOB \"4242\": privileges: only on the target: GRANT UPDATE TO eve",
    "SCHEMA public: privileges: missing on the target: GRANT CREATE TO bob",
];

/// What `pg_dump --no-owner | psql` makes of the source, as `pg_dump` of the target sees it.
fn copied_without_owners(source: &Server, target: &Server) -> String {
    source.copy_by_pg_dump_with("shop", target, "by hand", &["--no-owner"]);
    target.pg_dump_schema("by hand")
}

#[test]
fn privileges_are_those_under_the_owner_who_takes_over() {
    let (source, target) = servers(18, 18);
    source.psql("shop", OWNED);
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
    target.psql("shop", "CREATE ROLE heir; REASSIGN OWNED BY alice TO heir");
    let verified = verify(&source, &target, &["-O"]);
    verified.assert_code(0);
    target.psql("shop", "GRANT INSERT ON a.shut TO heir");
    verify(&source, &target, &["-O"]).assert_code(4).assert_says("TABLE a.shut: privileges");
}

/// Owners before 17 could do what MAINTAIN allows whatever they had revoked from themselves.
#[test]
fn maintain_stays_with_the_owners_of_older_servers_and_is_said() {
    let (source, target) = servers(16, 18);
    source.psql("shop", OWNED);
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let done = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run();
    done.assert_code(0).assert_says(
        "for information: privilege MAINTAIN, new in PostgreSQL 17, is the owner's on the right only",
    );
    done.assert_says(
        "for: DEFAULT ACL \"DEFAULT PRIVILEGES FOR TABLES\" FOR ROLE alice, TABLE a.own, TABLE a.shut",
    );
    source.copy_by_pg_dump_with("shop", &target, "by hand", &[]);
    assert_eq!(target.pg_dump_schema("shop"), target.pg_dump_schema("by hand"));
    target.psql("shop", "GRANT MAINTAIN ON a.film TO bob");
    let verified = verify(&source, &target, &[]);
    verified
        .assert_code(4)
        .assert_says("TABLE a.film: privileges: only on the target: GRANT MAINTAIN TO bob")
        .assert_says("1 difference");
}

/// To a version without it nothing can carry MAINTAIN, so that it is no difference: it is told.
#[test]
fn maintain_that_an_older_version_does_not_have_is_said() {
    let (source, target) = servers(18, 16);
    source.psql(
        "shop",
        "CREATE TABLE film (id int); GRANT MAINTAIN ON film TO bob; CREATE TABLE own (id int);
         GRANT SELECT ON own TO bob; CREATE EXTENSION pg_stat_statements; GRANT MAINTAIN ON pg_stat_statements TO eve;
         ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT MAINTAIN ON TABLES TO bob",
    );
    target.psql(
        "shop",
        "CREATE TABLE film (id int); CREATE TABLE own (id int); GRANT SELECT ON own TO bob;
         CREATE EXTENSION pg_stat_statements",
    );
    let told = "for information: privilege MAINTAIN, which the right side's version does not have, is given on the \
                left to others than the owners of: ";
    let verified = verify(&source, &target, &[]);
    verified
        .assert_code(0)
        .assert_says(told)
        .assert_says("TABLE public.film")
        .assert_says("VIEW public.pg_stat_statements");
    assert!(!verified.to_string().contains("TABLE public.own"), "{verified}");
    assert!(!verify(&source, &target, &["-x"]).to_string().contains("MAINTAIN"));
}

/// What an extension's script gave is its version's; what somebody has given beside is a difference.
#[test]
fn maintain_on_a_member_of_an_extension_is_compared() {
    let (source, target) = servers(16, 18);
    for server in [&source, &target] {
        server.psql("shop", "CREATE EXTENSION pg_stat_statements");
    }
    verify(&source, &target, &[]).assert_code(0);
    target.psql("shop", "GRANT MAINTAIN ON pg_stat_statements TO eve");
    let verified = verify(&source, &target, &[]);
    let told = "VIEW public.pg_stat_statements: privileges: only on the target: GRANT MAINTAIN TO eve";
    verified.assert_code(4).assert_says(told);
    for server in [&source, &target] {
        server.psql("shop", "GRANT SELECT ON pg_stat_statements TO eve");
    }
    let verified = verify(&source, &target, &[]);
    verified.assert_code(4).assert_says(told);
    target.psql("shop", "REVOKE MAINTAIN ON pg_stat_statements FROM eve");
    verify(&source, &target, &[]).assert_code(0);
}

/// Tables with sequences, and materialized views over them, over views and over each other.
const FILLED: &str = r#"
    CREATE SEQUENCE film_number; CREATE TABLE film (id serial PRIMARY KEY, number int DEFAULT nextval('film_number'));
    CREATE TABLE "Log" (id serial, at date) PARTITION BY RANGE (at);
    CREATE TABLE "Log_1" PARTITION OF "Log" FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE shop (id serial PRIMARY KEY, name text);
    INSERT INTO film (number) SELECT nextval('film_number') FROM generate_series(1, 7);
    INSERT INTO "Log" (at) VALUES ('2020-03-03'); INSERT INTO shop (name) VALUES ('a'), ('b');
    CREATE VIEW films AS SELECT count(*) FROM film; CREATE MATERIALIZED VIEW film_count AS SELECT * FROM films;
    CREATE MATERIALIZED VIEW counted AS SELECT * FROM film_count;
    CREATE MATERIALIZED VIEW days AS SELECT DISTINCT at FROM "Log";
    CREATE MATERIALIZED VIEW shops AS SELECT count(*) FROM shop"#;

#[track_caller]
fn assert_tells(run: &Finished, texts: &[&str]) {
    run.assert_code(0);
    for text in texts {
        run.assert_says(text);
    }
}

/// As with `pg_dump`, a pattern names sequences and materialized views too: not a table's alone.
#[test]
fn rows_left_behind_are_no_difference_nor_what_depends_on_them() {
    let (source, target) = servers(16, 18);
    source.psql("shop", FILLED);
    let (from, to, store) = (source.uri("shop"), target.uri("shop"), TempDir::new().unwrap());
    let store = store.path().to_str().unwrap();
    let less = ["--exclude-table-data", "film*", "--exclude-table-data", "\"Log_1\""];
    let done = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).args(less).run();
    let told = [
        "not compared: rows of tables excluded by film*, \"Log_1\", as asked",
        "not compared: positions of sequences excluded by film*, \"Log_1\", as asked: public.film_id_seq, public.film_number\n",
        "excluded by film*, \"Log_1\", as asked, or read such: public.counted, public.film_count\n",
        "not compared: rows of materialized views that read tables without their rows, and so have others than on \
         the left: public.days\n",
        "sequences: 2 compared, 0 different",
    ];
    assert_tells(&done, &told);
    source.copy_by_pg_dump_with(
        "shop",
        &target,
        "by hand",
        &[&less[..], &["--exclude-table-data", "counted"]].concat(),
    );
    assert_eq!(target.pg_dump_inserts_sorted("shop"), target.pg_dump_inserts_sorted("by hand"));
    assert_eq!(target.sql_digest("shop"), target.sql_digest("by hand"));
    let verified = verify(&source, &target, &less);
    assert_tells(&verified, &told);

    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    target.drop_db("shop");
    target.create_db("shop");
    Dbhaul::new(["restore", "--store", store, "--target", &to]).args(less).run().assert_code(0);
    assert_eq!(target.sql_digest("shop"), target.sql_digest("by hand"));
    Dbhaul::new(["verify", "--store", store, "--target", &to]).args(less).run().assert_code(0);

    for (change, back, difference) in [
        (
            "SELECT setval('shop_id_seq', 9)",
            "SELECT setval('shop_id_seq', 2)",
            "DIFFERENT     public.shop_id_seq",
        ),
        (
            "REFRESH MATERIALIZED VIEW shops WITH NO DATA",
            "REFRESH MATERIALIZED VIEW shops",
            "MATERIALIZED VIEW public.shops: populated is yes on the left and no on the right",
        ),
        (
            "ALTER SEQUENCE film_number CACHE 7",
            "ALTER SEQUENCE film_number CACHE 1",
            "SEQUENCE public.film_number: cache",
        ),
    ] {
        target.psql("shop", change);
        verify(&source, &target, &less).assert_code(4).assert_says(difference);
        target.psql("shop", back);
    }
    verify(&source, &target, &less).assert_code(0);
    verify(&source, &target, &[]).assert_code(4).assert_says("DIFFERENT     public.film_id_seq");
}

/// A pattern for old tables may name what belongs to one that is carried: every run says so.
#[test]
fn positions_and_views_that_a_pattern_names_are_told() {
    let (source, target) = servers(18, 18);
    source.psql(
        "shop",
        "CREATE TABLE log (id serial, t text); CREATE TABLE log_2020 (id serial, t text); CREATE SEQUENCE log_run;
         INSERT INTO log (t) VALUES ('a'), ('b'); INSERT INTO log_2020 (t) VALUES ('c'); SELECT nextval('log_run');
         CREATE MATERIALIZED VIEW log_days AS SELECT 1 AS x; CREATE MATERIALIZED VIEW other AS SELECT * FROM log_days;
         CREATE MATERIALIZED VIEW log_none AS SELECT 1 AS x WITH NO DATA",
    );
    let (from, to, store) = (source.uri("shop"), target.uri("shop"), TempDir::new().unwrap());
    let store = store.path().to_str().unwrap();
    let runs = [
        vec!["dump", "--source", &from, "--store", store],
        vec!["restore", "--store", store, "--target", &to],
        vec!["migrate", "--source", &from, "--target", &to, "--clean", "--if-exists"],
    ];
    for arguments in runs {
        let less = ["--exclude-table-data", "log_*"];
        let run = |more: &[&str]| Dbhaul::new(&arguments).args(less).args(more).run();
        let position = "position of SEQUENCE public.log_id_seq: matched by log_*, although the rows of its table public.log \
                        are not";
        let told = [
            position,
            "position of SEQUENCE public.log_run: matched",
            "rows of MATERIALIZED VIEW public.log_days: matched",
            "rows of MATERIALIZED VIEW public.other: matched",
        ];
        for plan in [run(&["--dry-run"]), run(&["--dry-run", "-v"])] {
            told.iter().for_each(|told| assert_tells(&plan, &[&format!("  leaves out, as asked, {told}")]));
        }
        let done = run(&["--json"]);
        let left_out = done.assert_code(0).json()["left_out_as_asked"].clone();
        let names: Vec<&str> =
            left_out.as_array().into_iter().flatten().filter_map(|one| one["object"].as_str()).collect();
        assert_eq!(
            names,
            [
                "position of SEQUENCE public.log_id_seq",
                "position of SEQUENCE public.log_run",
                "rows of MATERIALIZED VIEW public.log_days",
                "rows of MATERIALIZED VIEW public.other",
            ],
            "{done}"
        );
    }
    let done = Dbhaul::new(["dump", "--source", &from, "--store", store])
        .args(["--exclude-table-data", "log_*"])
        .run();
    assert_tells(&done, &["4 left out, as asked:\n    position of SEQUENCE public.log_id_seq: "]);
    assert_eq!(target.psql("shop", "SELECT nextval('log_id_seq')"), "1");
}

/// A table's name is not its sequence's: without wildcards the position is carried, and compared.
#[test]
fn a_sequence_that_no_pattern_names_is_carried_with_its_position() {
    let (source, target) = servers(18, 18);
    source.psql("shop", FILLED);
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let less = ["--exclude-table-data", "film"];
    let done = Dbhaul::new(["migrate", "--source", &from, "--target", &to]).args(less).run();
    done.assert_code(0).assert_says("sequences: 4 compared, 0 different");
    done.assert_says("have others than on the left: public.film_count, public.counted");
    assert_eq!(target.psql("shop", "SELECT nextval('film_id_seq')"), "8");
    assert_eq!(target.psql("shop", "SELECT * FROM counted"), "0");
    verify(&source, &target, &less).assert_code(4).assert_says("DIFFERENT     public.film_id_seq");
}

/// Patterns without schema mean on the copy what they mean on the source, whose search path it does not have.
#[test]
fn patterns_mean_the_same_on_both_sides() {
    let (source, target) = servers(18, 18);
    source.psql("shop", "CREATE SCHEMA sales; ALTER DATABASE shop SET search_path = sales, public");
    source.psql("shop", FILLED);
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let sides = ["--source", &from, "--target", &to];
    let less = ["--exclude-table-data", "film*"];
    Dbhaul::new(["migrate"]).args(sides).args(less).run().assert_code(0);
    verify(&source, &target, &less).assert_code(0);
    let part = verify(&source, &target, &["-t", "shop"]);
    part.assert_code(0).assert_says("rows: 1 table equal (2 rows)");
    target.psql("shop", "DELETE FROM sales.shop WHERE id = 1");
    verify(&source, &target, &["-t", "shop"]).assert_code(4).assert_says("DIFFERENT     sales.shop");
}

const NOTED: &str = "
    CREATE TABLE film (id int CONSTRAINT c CHECK (id > 0)); COMMENT ON TABLE film IS 'a'; COMMENT ON COLUMN film.id IS 'b';
    COMMENT ON CONSTRAINT c ON film IS 'c'; ALTER TABLE film ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON film;
    COMMENT ON POLICY p ON film IS 'd'; CREATE PUBLICATION pub FOR TABLE film; COMMENT ON PUBLICATION pub IS 'e';
    CREATE SUBSCRIPTION sub CONNECTION 'host=x' PUBLICATION z WITH (connect = false); COMMENT ON SUBSCRIPTION sub IS 'f'";

#[test]
fn whole_kinds_left_behind_are_no_difference() {
    let (source, target) = servers(17, 18);
    source.psql("shop", NOTED);
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let options = ["--no-comments", "--no-policies", "--no-publications", "--no-subscriptions"];
    let told = ["comments", "policies, and whether row security is on", "publications", "subscriptions"];
    let migrate = || Dbhaul::new(["migrate", "--source", &from, "--target", &to]);
    let done = migrate().args(options).run();
    told.iter().for_each(|told| assert_tells(&done, &[&format!("not compared: {told}, as asked")]));
    source.copy_by_pg_dump_with("shop", &target, "by hand", &options);
    assert_eq!(target.pg_dump_schema("shop"), target.pg_dump_schema("by hand"));
    target.psql("shop", "ALTER TABLE film FORCE ROW LEVEL SECURITY");
    verify(&source, &target, &options)
        .assert_code(4)
        .assert_says("1 difference")
        .assert_says("force row security");

    // connections are shown without what may be secret in them
    let other = "host=y port=6543 password=hunter2";
    target.psql(
        "shop",
        &format!("CREATE SUBSCRIPTION sub CONNECTION '{other}' PUBLICATION z WITH (connect = false, streaming = off)"),
    );
    let found = verify(&source, &target, &options[..3]);
    found
        .assert_code(4)
        .assert_says("\"host=x\" on the left and \"host=y port=6543 password=***\" on the right");
    source.psql("shop", "ALTER SUBSCRIPTION sub CONNECTION 'host=y port=6543 password=hunter3'");
    let found = verify(&source, &target, &options[..3]);
    found.assert_code(4).assert_says("\"host=y port=6543 password=***\" on the left and");
    assert!(!found.stdout.contains("hunter"), "{found}");
    source.psql("shop", &format!("ALTER SUBSCRIPTION sub CONNECTION '{other}'"));
    let found = verify(&source, &target, &options[..3]);
    assert!(!found.stdout.contains("SUBSCRIPTION sub"), "{found}");
}

/// Columns and settings that are called as properties are: of tables with parents, columns are compared by name.
#[test]
fn names_are_no_properties_that_were_left_behind() {
    let server = Server::start(18);
    for db in ["shop", "copy"] {
        server.create_db(db);
        server.psql(db, "CREATE TABLE p ()");
    }
    server.psql("postgres", "CREATE ROLE alice; ALTER DATABASE copy OWNER TO alice");
    server.psql(
        "shop",
        "CREATE TABLE c (owner varchar(10) NOT NULL, acl int, comment int, security_labels int, row_security int,
             populated int, \"a.owner\" int) INHERITS (p);
         ALTER DATABASE shop SET app.owner = 'one'; ALTER DATABASE shop SET app.comment = 'one';
         ALTER DATABASE shop SET app.acl = 'one'",
    );
    server.psql("copy", "CREATE TABLE c (owner text, comment text, \"a.owner\" text) INHERITS (p)");
    let (from, to) = (server.uri("shop"), server.uri("copy"));
    let left_behind = ["-O", "-x", "--no-comments", "--no-security-labels", "--no-policies", "--schema-only"];
    let verify = || Dbhaul::new(["verify", "--source", &from, "--target", &to]).args(left_behind);
    let found = verify().arg("--create").run();
    found.assert_code(4);
    for difference in [
        "TABLE public.c: type name of column owner is \"character varying(10)\" on the left and \"text\"",
        "TABLE public.c: column owner: NOT NULL is set on the left only",
        "TABLE public.c: type name of column \"a.owner\" is",
        "TABLE public.c: type name of column comment is",
        "TABLE public.c: column acl integer is only on the left",
        "TABLE public.c: column security_labels integer is only on the left",
        "TABLE public.c: column row_security integer is only on the left",
        "TABLE public.c: column populated integer is only on the left",
        "DATABASE shop: setting app.owner is",
        "DATABASE shop: setting app.comment is",
        "DATABASE shop: setting app.acl is",
    ] {
        found.assert_says(difference);
    }
    let found = verify().run();
    found.assert_code(4).assert_says("for information: DATABASE shop: setting app.owner is");
    // What was left behind is not told either.
    for property in ["owner", "privileges"] {
        assert!(!found.to_string().contains(&format!("DATABASE shop: {property}")), "{found}");
    }
}

/// Privileges on columns of an extension's table, which somebody has given beside those of its script.
#[test]
fn privileges_on_columns_of_members_are_compared() {
    let (source, target) = servers(18, 18);
    for server in [&source, &target] {
        server.psql("shop", "CREATE EXTENSION pg_stat_statements");
    }
    target.psql("shop", "GRANT UPDATE (userid) ON pg_stat_statements TO bob");
    let column = "VIEW public.pg_stat_statements: column userid is nothing on the left and acl";
    verify(&source, &target, &[]).assert_code(4).assert_says(column);
    verify(&source, &target, &["-x"]).assert_code(0);
    source.psql("shop", "GRANT UPDATE (userid) ON pg_stat_statements TO bob");
    verify(&source, &target, &[]).assert_code(0);
    target.drop_db("shop");
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
    target.psql("shop", "REVOKE UPDATE (userid) ON pg_stat_statements FROM bob");
    verify(&source, &target, &[]).assert_code(4);
}

/// Columns are named, also behind one that was dropped, and a partition's trigger is not missing that is switched off.
#[test]
fn what_differs_in_parts_is_named() {
    let (source, target) = (Server::start(15), Server::start(17));
    let sql = "
        CREATE TABLE t (gone int, a int NOT NULL, \"B b\" int NOT NULL); ALTER TABLE t DROP gone;
        CREATE TYPE c AS (gone int, x int); ALTER TYPE c DROP ATTRIBUTE gone; CREATE DOMAIN d AS int CONSTRAINT k CHECK (VALUE > 0);
        CREATE TABLE p (i int) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (i);
        CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER tg AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()";
    for server in [&source, &target] {
        server.create_db("shop");
        server.psql("shop", sql);
    }
    target.psql(
        "shop",
        "COMMENT ON COLUMN t.\"B b\" IS 'x'; ALTER TABLE t ALTER a DROP NOT NULL, ALTER \"B b\" SET DEFAULT 7;
         COMMENT ON COLUMN c.x IS 'y'; COMMENT ON CONSTRAINT k ON DOMAIN d IS 'z'; ALTER DOMAIN d SET NOT NULL;
         ALTER TABLE p11 DISABLE TRIGGER tg",
    );
    source.psql("shop", "ALTER TABLE p2 ENABLE ALWAYS TRIGGER tg");
    let verify =
        || Dbhaul::new(["verify", "--source", &source.uri("shop"), "--target", &target.uri("shop")]).run();
    let said = verify();
    said.assert_code(4).assert_says("schema: 11 objects compared, 8 differences");
    for told in [
        "comment of column \"B b\" is nothing on the left and \"x\" on the right",
        "TABLE public.t: column a: NOT NULL is set on the left only",
        "comment of attribute x is nothing",
        "comment of constraint k is nothing",
        "DOMAIN public.d: NOT NULL is set on the right only",
        "TRIGGER public.p11 tg: enabled on the left and disabled on the right",
        "TRIGGER public.p2 tg: always enabled on the left and enabled on the right",
    ] {
        said.assert_says(told);
    }
    target.psql("shop", "ALTER TABLE p11 ENABLE TRIGGER tg; ALTER TABLE p2 ENABLE ALWAYS TRIGGER tg");
    assert!(!verify().to_string().contains("TRIGGER"));
}
