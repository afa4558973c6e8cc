//! Small databases whose definitions are hard to write down for another server: each is moved, between the
//! majors where it once failed, and must arrive as it was or be told of in advance.

use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, Finished, Original, Server};
use tempfile::TempDir;

/// Two servers that cases are moved between.
struct Pair {
    source: Server,
    target: Server,
}

fn case(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases").join(format!("{name}.sql"))
}

fn without_quotes(text: &str) -> String {
    text.replace('"', "")
}

impl Pair {
    fn new((from, to): (u16, u16)) -> Self {
        Pair { source: Server::start(from), target: Server::start(to) }
    }

    fn load(&self, name: &str) {
        self.source.create_db(name);
        self.source.psql_file(name, &case(name), &[]);
        self.target.create_db(name);
    }

    /// Moves a case that `preflight` calls ready; every row must be there afterwards.
    fn moves(&self, name: &str, code: i32) -> Moved<'_> {
        self.load(name);
        let (from, to) = (self.source.uri(name), self.target.uri(name));
        let sides = ["--source", from.as_str(), "--target", to.as_str()];
        let preflight = Dbhaul::new(["preflight"]).args(sides).run();
        preflight.assert_code(0);
        let run = Dbhaul::new(["migrate"]).args(sides).run();
        let majors = (self.source.major(), self.target.major());
        assert_eq!(run.code, Some(code), "{name} {majors:?}: {run}");
        assert_eq!(self.rows(&self.target, name), self.rows(&self.source, name), "{name} {majors:?}");
        Moved { pair: self, name: name.to_owned(), preflight, run }
    }

    /// What every table holds. Names are quoted by some majors alone.
    fn rows(&self, server: &Server, db: &str) -> Vec<String> {
        let digests = server.sql_digest(db);
        let mut rows: Vec<String> =
            digests.iter().map(|(name, digest)| without_quotes(&format!("{name} {digest}"))).collect();
        rows.sort();
        rows
    }
}

struct Moved<'a> {
    pair: &'a Pair,
    name: String,
    preflight: Finished,
    run: Finished,
}

impl Moved<'_> {
    /// `pg_dump` must find on the target what it finds on the source, or what it would have made there itself.
    #[track_caller]
    fn is_what_pg_dump_makes(&self) -> &Self {
        Original::new(&self.pair.source, &self.name, &self.pair.target).assert_equals(&self.name);
        self
    }

    /// A query must find the same on both sides, but for quotes.
    #[track_caller]
    fn agrees_on(&self, sql: &str) -> &Self {
        let found = |server: &Server| without_quotes(&server.psql(&self.name, sql));
        let wanted = found(&self.pair.source);
        assert!(!wanted.is_empty(), "{}: nothing to compare", self.name);
        assert_eq!(found(&self.pair.target), wanted, "{}", self.name);
        self
    }

    /// A query on the target.
    #[track_caller]
    fn finds(&self, sql: &str, expected: &str) -> &Self {
        assert_eq!(self.pair.target.psql(&self.name, sql), expected, "{}: {sql}", self.name);
        self
    }

    /// Said before the run, by it, and in its report.
    #[track_caller]
    fn told(&self, text: &str) -> &Self {
        assert!(self.preflight.stdout.contains(text), "not foretold: {text}\n{}", self.preflight);
        self.run.assert_says(text);
        self
    }
}

/// What names there are, without anything that majors print differently.
const NAMES: &str = "
    SELECT translate(x::text, '\"\\', '') FROM (
    SELECT proname::text, prokind::text, proargnames::text, proargmodes::text, proargtypes::oid[]::regtype[]::text, prorettype::regtype::text
      FROM pg_proc p WHERE pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND deptype = 'i')
    UNION ALL SELECT relname, relkind::text, array_agg(attname::text ORDER BY attnum)::text, NULL, array_agg(atttypid::regtype ORDER BY attnum)::text, NULL
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0
      WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' GROUP BY c.oid, relname, relkind
    UNION ALL SELECT conname, contype::text, NULL, NULL, NULL, NULL FROM pg_constraint WHERE contype <> 'n'
      AND connamespace::regnamespace::text !~ '^(pg_|information_schema)'
    UNION ALL SELECT tgname, 't', tgrelid::regclass::text, NULL, NULL, NULL FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT polname, 'y', polrelid::regclass::text, NULL, NULL, NULL FROM pg_policy
    UNION ALL SELECT rulename, 'u', ev_class::regclass::text, NULL, NULL, NULL FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT stxname, 's', NULL, NULL, NULL, NULL FROM pg_statistic_ext) x
    ORDER BY 1";

/// Comments, by what they are on.
const COMMENTS: &str = "
    SELECT replace(pg_describe_object(classoid, objoid, objsubid), '\"', ''), description FROM pg_description
    WHERE objoid >= 16384 AND classoid <> 'pg_largeobject'::regclass ORDER BY 1, 2";

#[test]
fn names_that_became_keywords_in_16_and_17() {
    let cases = [
        "f05-keyword-parameter-names",
        "f06-system-user-keyword-refused",
        "r02-argument-named-json",
        "r04-system-user-in-keys",
        "words",
    ];
    for majors in [(13, 16), (14, 17), (15, 18)] {
        let pair = Pair::new(majors);
        for name in cases {
            pair.moves(name, 0).agrees_on(NAMES);
        }
    }
}

#[test]
fn names_that_became_keywords_in_17() {
    for majors in [(16, 17), (16, 18)] {
        let pair = Pair::new(majors);
        for name in ["f05b-keyword-names-from-16", "r02-argument-named-json", "words-16"] {
            pair.moves(name, 0).agrees_on(NAMES);
        }
    }
    Pair::new((13, 18)).moves("words-unreserved", 0).agrees_on(NAMES);
}

/// A script does not know who will read it, and a backup may be read years later.
#[test]
fn scripts_and_backups_for_a_newer_server() {
    let pair = Pair::new((15, 18));
    let files = TempDir::new().unwrap();
    let (script, store) = (files.path().join("script.sql"), files.path().join("store"));
    for name in ["f06-system-user-keyword-refused", "words", "f10-unlogged-partitioned-fk", "not-null-names"]
    {
        pair.load(name);
        let from = pair.source.uri(name);
        Dbhaul::new(["dump", "--source", &from, "--format", "sql", "--file"])
            .arg(&script)
            .run()
            .assert_code(if name.starts_with("f10") { 3 } else { 0 });
        pair.target.psql_file(name, &script, &[]);
        Dbhaul::new(["dump", "--source", &from, "--store"]).arg(&store).run().assert_code(0);
        let restored = format!("{name} restored");
        pair.target.create_db(&restored);
        let to = pair.target.uri(&restored);
        let is_adapted = name.starts_with("f10");
        let restore = Dbhaul::new(["restore", "--target", &to, "--store"]).arg(&store).run();
        restore.assert_code(if is_adapted { 3 } else { 0 });
        for copy in [name, restored.as_str()] {
            assert_eq!(pair.rows(&pair.target, copy), pair.rows(&pair.source, name), "{copy}");
            let found = |server: &Server, db: &str| without_quotes(&server.psql(db, NAMES));
            assert_eq!(found(&pair.target, copy), found(&pair.source, name), "{copy}");
        }
        std::fs::remove_dir_all(&store).unwrap();
    }
}

/// A script is for the source's major and all newer ones, or up to one: what is changed for it is told.
#[test]
fn what_a_script_changes_is_told() {
    const PERSISTENCE: &str = "SELECT relname, relpersistence FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384 ORDER BY 1";
    let pair = Pair::new((17, 17));
    let files = TempDir::new().unwrap();
    let (script, store) = (files.path().join("script.sql"), files.path().join("store"));
    let written = |args: &[&str], code: i32| {
        let run = Dbhaul::new(args).arg("--file").arg(&script).run();
        run.assert_code(code);
        (run, std::fs::read_to_string(&script).unwrap())
    };
    for (name, object) in
        [("unlogged", "TABLE public.up: logged"), ("late-column", "TABLE public.c: made with")]
    {
        pair.source.create_db(name);
        if name == "unlogged" {
            pair.source.psql_file(name, &case(name), &[]);
        } else {
            pair.source.psql(
                name,
                "CREATE TABLE p (a int, b text); CREATE TABLE c (z text) INHERITS (p);
                 ALTER TABLE p ADD COLUMN late int; CREATE TABLE holds (x c)",
            );
        }
        let from = pair.source.uri(name);
        let dump = ["dump", "--source", &from, "--format", "sql"];
        let (run, text) = written(&dump, 3);
        run.assert_stderr_has(&["will be changed:", object]).assert_says("skipped");
        assert!(
            text.contains(&format!("\n-- CHANGED: {object}")),
            "{name}: {}",
            &text[..2000.min(text.len())]
        );
        assert!(text.contains("\n-- For PostgreSQL 17 or newer\n"));
        Dbhaul::new(["dump", "--source", &from, "--store"]).arg(&store).run().assert_code(0);
        let stored = store.to_str().unwrap();
        let (run, exported) = written(&["backup", "export", "--store", stored], 3);
        run.assert_stderr_has(&[object]);
        assert!(exported.contains(&format!("\n-- CHANGED: {object}")), "{name}");
        std::fs::remove_dir_all(&store).unwrap();
        if name == "unlogged" {
            let (_, text) = written(&[&dump[..], &["--target-version", "17"]].concat(), 0);
            assert!(text.contains("\n-- For PostgreSQL 17\n") && !text.contains("-- CHANGED"));
            pair.target.create_db(name);
            pair.target.psql_file(name, &script, &[]);
            assert_eq!(pair.target.psql(name, PERSISTENCE), pair.source.psql(name, PERSISTENCE));
        }
    }
    let from = pair.source.uri("unlogged");
    for major in ["16", "99"] {
        let run =
            Dbhaul::new(["dump", "--source", &from, "--format", "sql", "--target-version", major]).run();
        run.assert_code(1).assert_stderr_has(&["--target-version a major from 17 to"]);
    }
}

#[test]
fn what_names_an_index_comes_after_it() {
    for majors in [(13, 13), (18, 18)] {
        let pair = Pair::new(majors);
        pair.moves("names-of-indexes", 0).is_what_pg_dump_makes();
        let files = TempDir::new().unwrap();
        let (script, db) = (files.path().join("script.sql"), "names by script");
        let dump = Dbhaul::new(["dump", "--source", &pair.source.uri("names-of-indexes"), "--format", "sql"]);
        dump.arg("--file").arg(&script).run().assert_code(0);
        pair.target.create_db(db);
        pair.target.psql_file(db, &script, &[]);
    }
}

#[test]
fn comments_on_whatever_can_have_one() {
    for majors in [(13, 13), (14, 18), (17, 17), (18, 18)] {
        let pair = Pair::new(majors);
        let moved = pair.moves("comments", 0);
        moved.is_what_pg_dump_makes().agrees_on(COMMENTS);
        if majors.0 >= 17 {
            for name in ["f04-comment-on-domain-not-null", "comments-on-domains"] {
                pair.moves(name, 0).is_what_pg_dump_makes().agrees_on(COMMENTS);
            }
        }
        if majors.0 >= 18 {
            pair.moves("comments-on-not-null", 0).is_what_pg_dump_makes().agrees_on(COMMENTS);
        }
    }
    let pair = Pair::new((17, 18));
    for name in ["f04-comment-on-domain-not-null", "comments-on-domains"] {
        pair.moves(name, 0).agrees_on(COMMENTS);
    }
}

/// Which columns may not be NULL, and what else a column has.
const COLUMNS: &str = "
    SELECT attrelid::regclass::text, attname, attnotnull, attislocal, attinhcount, pg_get_expr(adbin, adrelid)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p', 'f')
      AND relnamespace = 'public'::regnamespace
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped ORDER BY 1, 2";

/// Which constraints there are, and of what sort.
const CONSTRAINTS: &str = "
    SELECT conrelid::regclass::text,
        -- the copies for partitions that are referred to get names by the major
        CASE WHEN contype = 'f' AND conparentid <> 0 THEN confrelid::regclass::text ELSE conname END, contype, convalidated, conislocal, coninhcount,
        CASE WHEN contype = 'c' THEN connoinherit END -- of no meaning for others
    FROM pg_constraint WHERE conrelid >= 16384 AND contype <> 'n' ORDER BY 1, 2";

#[test]
fn whose_an_inherited_not_null_is() {
    for majors in [(13, 13), (13, 18), (17, 18), (18, 18)] {
        let pair = Pair::new(majors);
        for name in ["r11-not-null-of-a-child", "r12-key-on-an-inherited-column", "inherited-not-null"] {
            pair.moves(name, 0).agrees_on(COLUMNS);
        }
        pair.moves("not-valid-parents", 0).agrees_on(COLUMNS).agrees_on(CONSTRAINTS).agrees_on(COMMENTS);
    }
}

#[test]
fn a_child_may_be_valid_where_its_parent_is_not() {
    let pair = Pair::new((18, 18));
    pair.moves("not-valid-root-18", 0).agrees_on(
        "SELECT conrelid::regclass::text, conname, contype, coninhcount, convalidated FROM pg_constraint
         WHERE conrelid >= 16384 ORDER BY 1, 2",
    );
    for name in ["r07-child-valid-parent-not", "not-valid-parents-18"] {
        let moved = pair.moves(name, 0);
        moved.agrees_on(COLUMNS).agrees_on(COMMENTS);
        moved.agrees_on(&CONSTRAINTS.replace(" AND contype <> 'n'", ""));
    }
}

#[test]
fn a_child_may_do_without_its_parents_not_null() {
    Pair::new((13, 17)).moves("parent-drops-not-null", 0).agrees_on(COLUMNS);
    let pair = Pair::new((17, 18));
    let moved = pair.moves("parent-drops-not-null", 3);
    moved.told("children do not inherit NOT NULL of column a on PostgreSQL 18, since public.nc does without");
    moved.agrees_on(COLUMNS);
    let moved = pair.moves("key-of-a-parent", 3);
    moved
        .told("column a becomes NOT NULL, as the primary key of its parent public.m4 wants on PostgreSQL 18");
    moved.run.assert_says("of 1 difference in definitions below, 1 from what was skipped or failed");
}

/// `LIKE ... INCLUDING IDENTITY` makes them `bigint`, and `ALTER SEQUENCE` whatever one likes.
#[test]
fn sequences_of_identity_columns_keep_their_types() {
    for majors in [(13, 13), (13, 18), (18, 18)] {
        let pair = Pair::new(majors);
        let moved = pair.moves("identity-sequence-types", 0);
        moved.is_what_pg_dump_makes().agrees_on(
            "SELECT seqrelid::regclass::text, seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle
             FROM pg_sequence ORDER BY 1",
        );
        moved.agrees_on("SELECT last_value, is_called FROM i_a_seq UNION ALL SELECT last_value, is_called FROM down_a_seq");
    }
}

#[test]
fn a_not_null_gives_way_to_a_constraint_of_its_name() {
    for majors in [(13, 18), (17, 18)] {
        let pair = Pair::new(majors);
        let told = "its NOT NULL of column i will be named t2_i_not_null1";
        let moved = pair.moves("f11-check-named-like-not-null", 0);
        moved.told(told).agrees_on(COLUMNS).agrees_on(CONSTRAINTS);
        let moved = pair.moves("not-null-names", 0);
        moved.told(told).agrees_on(COLUMNS).agrees_on(CONSTRAINTS);
        // constraint triggers are constraints too
        moved.told("its NOT NULL of column i will be named ct_i_not_null1");
        moved.told("its NOT NULL of column j will be named ct_j_not_null2");
        moved.told("TABLE public.ctp1: its NOT NULL of column a will be named ctp1_a_not_null1");
    }
    for majors in [(13, 17), (16, 18)] {
        let pair = Pair::new(majors);
        pair.moves("not-null-names", 0).agrees_on(COLUMNS);
        let moved = pair.moves("not-null-names-of-domains", 0);
        moved.told("DOMAIN public.d: its NOT NULL will be named d_not_null1");
    }
    Pair::new((16, 16)).moves("not-null-names", 0).is_what_pg_dump_makes();
}

#[test]
fn an_unlogged_partitioned_table_becomes_logged_in_18() {
    const LOGGED: &str = "SELECT string_agg(relname || relpersistence::text, ' ' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384 AND relnamespace = 'public'::regnamespace";
    for majors in [(13, 18), (17, 18)] {
        let pair = Pair::new(majors);
        let moved = pair.moves("f09-unlogged-partitioned", 3);
        moved.told("TABLE public.up: logged, since partitioned tables cannot be UNLOGGED on PostgreSQL 18");
        moved.finds(LOGGED, "upp up1u");
        let moved = pair.moves("f10-unlogged-partitioned-fk", 3);
        moved.told("TABLE public.ref: logged, since a foreign key of public.up").agrees_on(CONSTRAINTS);
        moved.finds(LOGGED, "refp upp up1u");
        let moved = pair.moves("unlogged", 3);
        moved.told("TABLE public.far: logged, since a foreign key of public.ref").agrees_on(CONSTRAINTS);
        moved.finds(LOGGED, "childu farp otheru refp upp up1p up11u up2u");
    }
    for majors in [(13, 13), (15, 17)] {
        let pair = Pair::new(majors);
        for name in ["f09-unlogged-partitioned", "f10-unlogged-partitioned-fk", "unlogged"] {
            pair.moves(name, 0).agrees_on(LOGGED);
        }
    }
}

#[test]
fn loops_are_taken_apart() {
    for majors in [(13, 13), (14, 18), (18, 18)] {
        let pair = Pair::new(majors);
        pair.moves("f12-domain-over-view-rowtype-cycle", 0).is_what_pg_dump_makes();
        pair.moves("loops-taken-apart", 0).agrees_on(NAMES).agrees_on(COLUMNS).agrees_on(CONSTRAINTS);
        if majors.0 >= 14 {
            pair.moves("loops-through-bodies", 0).agrees_on(NAMES).finds("SELECT public.ping(3)", "0");
        }
    }
}

#[test]
fn a_script_cleans_an_empty_database_and_a_full_one() {
    for major in [13, 18] {
        let pair = Pair::new((major, major));
        for server in [&pair.source, &pair.target] {
            server.psql("postgres", "CREATE ROLE kinds_owner SUPERUSER; CREATE ROLE \"Kinds Reader\"");
        }
        let files = TempDir::new().unwrap();
        let script = files.path().join("script.sql");
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let own = ["f28-script-clean-19407", "loops-taken-apart", "comments", "words"].map(case);
        let others = ["kinds.sql", "relations.sql", "loops.sql"].map(|name| root.join(name));
        for (number, file) in own.into_iter().chain(others).enumerate() {
            if major > 15 && file.ends_with("words.sql") {
                continue; // it names things by words that are none here any more
            }
            let db = format!("clean_{number}");
            pair.source.create_db(&db);
            pair.source.psql_file(&db, &file, &[]);
            forget_subscriptions(&pair.source, &db);
            // To drop a subscription takes its publisher.
            let options = ["--format", "sql", "--clean", "--if-exists", "--no-subscriptions", "--file"];
            let dump = Dbhaul::new(["dump", "--source", &pair.source.uri(&db)]).args(options);
            dump.arg(&script).run().assert_code(0);
            pair.target.create_db(&db);
            for _ in ["empty", "full"] {
                pair.target.psql_file(&db, &script, &[]);
                Original::new(&pair.source, &db, &pair.target).assert_equals(&db);
            }
        }
    }
}

/// Takes subscriptions out of a database whose publishers there never were.
fn forget_subscriptions(server: &Server, db: &str) {
    let sql = "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for name in server.psql(db, sql).lines() {
        let name = format!("\"{}\"", name.replace('"', "\"\""));
        server.psql(db, &format!("ALTER SUBSCRIPTION {name} DISABLE"));
        server.psql(db, &format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"));
        server.psql(db, &format!("DROP SUBSCRIPTION {name}"));
    }
}

const FIELDS: &str = "
    SELECT relname, array_agg(attname ORDER BY attnum) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' AND relnamespace = 'public'::regnamespace
    WHERE attnum > 0 AND NOT attisdropped AND relname <> 'unused' GROUP BY 1 ORDER BY 1";

#[test]
fn fields_keep_their_order() {
    for majors in [(13, 13), (16, 18), (18, 18)] {
        let pair = Pair::new(majors);
        for name in ["f25-inherit-other-column-order", "field-order-exact"] {
            pair.moves(name, 0).agrees_on(FIELDS).agrees_on(COLUMNS);
        }
        for name in ["f03-composite-of-inherited-table", "field-order"] {
            let moved = pair.moves(name, 3);
            moved.told("TABLE public.inh: made with all columns as its own and then made to inherit");
            moved.agrees_on(FIELDS);
            moved.finds("SELECT (h).x || (h).q || (h).late FROM holds", "XQL");
        }
    }
}

/// `pg_dump | psql` swaps the fields of such values, whose text stays the same.
#[test]
fn swapped_fields_are_not_equal() {
    let pair = Pair::new((18, 18));
    let name = "f03-composite-of-inherited-table";
    pair.load(name);
    pair.source.copy_by_pg_dump(name, &pair.target, "swapped");
    let (left, right) = (pair.source.uri(name), pair.target.uri("swapped"));
    let verify = Dbhaul::new(["verify", "--source", &left, "--target", &right]).run();
    verify.assert_code(4);
    verify.assert_says(
        "TABLE public.inh: field order is \"(x, q, late)\" on the left and \"(x, late, q)\" on the right",
    );
}
