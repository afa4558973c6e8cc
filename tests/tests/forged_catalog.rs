//! A store whose catalog was forged: what it holds instead of a definition is neither run nor written.
//!
//! The seal of a manifest is no secret, so whoever may write to a store can make a catalog say anything.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use dbhaul_archive::{
    ChunkCodec, ChunkSealer, Document, Manifest, PackBuilder, PackKind, PackReader, PackSummary, json_pieces,
    keys, read_document,
};
use dbhaul_tests::{Dbhaul, Server};
use serde_json::Value;
use tempfile::TempDir;

/// One object of each kind whose definition a catalog holds as text, each with a mark of its own.
const SOURCE: &str = "
    CREATE SCHEMA s;
    CREATE TABLE s.t (a int DEFAULT 1001, b text CHECK (b <> 'mark two'));
    INSERT INTO s.t VALUES (1, 'one');
    CREATE VIEW s.mark_view AS SELECT 'mark three'::text AS x;
    CREATE INDEX mark_index ON s.t (a);
    CREATE FUNCTION s.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER mark_trigger BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.touch();
    CREATE RULE mark_rule AS ON DELETE TO s.t DO NOTHING;
    CREATE STATISTICS s.mark_statistics ON a, b FROM s.t;
    CREATE FUNCTION s.mark_function(mark_argument int DEFAULT 5) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE POLICY mark_policy ON s.t USING (b <> 'mark four');
    CREATE DOMAIN s.mark_domain AS int CHECK (value <> 77077);
    CREATE MATERIALIZED VIEW s.mark_filled AS SELECT 'mark five'::text AS x;
    CREATE TYPE s.mark_type AS (field int);
    CREATE TABLE s.parted (a int) PARTITION BY RANGE (a);
    CREATE TABLE s.mark_part PARTITION OF s.parted FOR VALUES FROM (3003) TO (4004);
    ALTER TABLE s.t ENABLE ROW LEVEL SECURITY";

/// What stands in a catalog, what the forger puts in its place, and which object is named.
const ATTEMPTS: [(&str, &str, &str); 18] = [
    ("'mark three'::text", "1; COMMIT; CREATE TABLE public.smuggled (); SELECT 2", "mark_view"),
    ("'mark three'::text", "1 \\! touch /tmp/smuggled\n", "mark_view"),
    ("'mark three'::text", "E'\\''; COMMIT; CREATE TABLE public.smuggled (); --'", "mark_view"),
    (
        "'mark three'::text",
        "x.begin atomic FROM t x; COMMIT; CREATE TABLE public.smuggled (); end",
        "mark_view",
    ),
    ("'mark five'::text", "1 -- \r; COMMIT; CREATE TABLE public.smuggled ()", "mark_filled"),
    (
        "CREATE INDEX mark_index ON s.t USING btree (a)",
        "DO $$ BEGIN CREATE TABLE public.smuggled (); END $$",
        "mark_index",
    ),
    ("CREATE INDEX mark_index ON s.t USING btree (a)", "COMMIT", "mark_index"),
    (
        "CREATE TRIGGER mark_trigger BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.touch()",
        "COPY s.t TO PROGRAM 'touch /tmp/smuggled'",
        "mark_trigger",
    ),
    (
        "CREATE STATISTICS s.mark_statistics ON a, b FROM s.t",
        "PREPARE TRANSACTION 'smuggled'",
        "mark_statistics",
    ),
    (
        "mark_argument integer DEFAULT 5",
        ") RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMIT; CREATE TABLE public.smuggled (); --",
        "mark_function",
    ),
    ("1001", "1); COMMIT; CREATE TABLE public.smuggled (); --", "t"),
    ("'mark two'::text", "''); COMMIT; CREATE TABLE public.smuggled (); --", "t"),
    ("'mark four'::text", "''); COMMIT; CREATE TABLE public.smuggled (); --", "mark_policy"),
    ("77077", "1); END; CREATE TABLE public.smuggled (); --", "mark_domain"),
    (
        "\n    ON DELETE TO s.t DO NOTHING",
        " ON DELETE TO s.t DO NOTHING; ABORT; CREATE TABLE public.smuggled ()",
        "mark_rule",
    ),
    // a bound is executed, whatever it does
    ("FROM (3003)", "FROM (pg_catalog.lo_create(3003)::int)", "mark_part"),
    ("FROM (3003)", "FROM (\"lo_create\"(3003))", "mark_part"),
    (
        "CREATE INDEX mark_index ON s.t USING btree (a)",
        "alter table s.parted attach partition s.t for values from (pg_catalog.lo_create(1)::int) to (9)",
        "mark_index",
    ),
];

/// A directory store with one backup, to be forged and put back.
struct Store {
    dir: TempDir,
    manifest: PathBuf,
    genuine: Vec<u8>,
}

impl Store {
    fn of(source: &Server) -> Store {
        let dir = TempDir::new().unwrap();
        let store = dir.path().to_str().unwrap();
        Dbhaul::new(["dump", "--source", &source.uri("shop"), "--store", store]).run().assert_code(0);
        let manifest = only_file(&only_file(&dir.path().join("backups")));
        let genuine = fs::read(&manifest).unwrap();
        Store { dir, manifest, genuine }
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// Replaces a text wherever it stands in catalog and table of contents; returns whether it stood in both.
    fn forge(&self, from: &str, to: &str) -> bool {
        let key = self.manifest.strip_prefix(self.dir.path()).unwrap().to_str().unwrap();
        let mut manifest = Manifest::from_bytes(key, &self.genuine).unwrap();
        let mut pack = PackBuilder::new(PackKind::Meta);
        let mut sealer = ChunkSealer::new(1).unwrap();
        let mut forged = Vec::new();
        let mut is_in_both = true;
        for (name, document) in [("catalog", &manifest.catalog), ("toc", &manifest.toc)] {
            let stored = document.pieces.iter().map(|place| {
                let bytes = fs::read(self.dir.path().join(keys::pack(place.pack))).unwrap();
                PackReader::open(place.pack, bytes.into()).unwrap().stored(place).unwrap()
            });
            let mut value: Value =
                read_document(&ChunkCodec::plain(), name, document, stored.collect()).unwrap();
            is_in_both &= replace(&mut value, from, to);
            let pieces = json_pieces(name, &value).unwrap();
            forged
                .push(pieces.iter().map(|piece| pack.add(&sealer.seal(piece).unwrap())).collect::<Vec<_>>());
        }
        let pack = pack.finish();
        let path = self.dir.path().join(pack.key());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &pack.bytes).unwrap();
        let document = |entries: &Vec<_>| -> Document {
            Document::new(
                entries.iter().map(|entry: &dbhaul_archive::PackEntry| entry.place(pack.id)).collect(),
            )
        };
        (manifest.catalog, manifest.toc) = (document(&forged[0]), document(&forged[1]));
        manifest.packs.push(PackSummary {
            id: pack.id,
            bytes: pack.bytes.len() as u64,
            kind: PackKind::Meta,
        });
        manifest.packs.sort_by_key(|pack| pack.id);
        manifest.totals = manifest.computed_totals();
        fs::write(&self.manifest, manifest.to_bytes().unwrap()).unwrap();
        is_in_both
    }
}

fn only_file(dir: &Path) -> PathBuf {
    let mut entries = fs::read_dir(dir).unwrap();
    let only = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "{} holds more than one", dir.display());
    only
}

/// Replaces a text in every string; whether it was found.
fn replace(value: &mut Value, from: &str, to: &str) -> bool {
    match value {
        Value::String(text) if text.contains(from) => {
            *text = text.replace(from, to);
            true
        }
        Value::Array(values) => {
            values.iter_mut().fold(false, |found, value| replace(value, from, to) | found)
        }
        Value::Object(values) => {
            values.values_mut().fold(false, |found, value| replace(value, from, to) | found)
        }
        _ => false,
    }
}

#[test]
fn what_is_smuggled_into_a_catalog_is_refused_by_name() {
    let (source, target) = (Server::start(17), Server::start(18));
    source.create_db("shop");
    target.create_db("shop");
    source.psql("shop", SOURCE);
    let store = Store::of(&source);
    let into = target.uri("shop");
    let before = target.pg_dump_schema("shop");
    for (from, to, object) in ATTEMPTS {
        assert!(store.forge(from, to), "{from} stands nowhere");
        let restore = || Dbhaul::new(["restore", "--store", store.path(), "--target", &into]);
        for run in [restore().arg("--dry-run").run(), restore().run()] {
            run.assert_code(1).assert_says(object).assert_says("is refused: ");
        }
        let export = Dbhaul::new(["backup", "export", "--store", store.path()]).run();
        export.assert_code(1).assert_says(object).assert_says("cannot be written as SQL");
        assert!(!export.stdout.contains("smuggled"), "{export}");
        assert_eq!(target.pg_dump_schema("shop"), before, "{to} left something");
    }
    fs::write(&store.manifest, &store.genuine).unwrap();
    Dbhaul::new(["restore", "--store", store.path(), "--target", &into]).run().assert_code(0);
    compared_with_a_forger(&store, &target);
}

/// What a comparison with a forged catalog creates for a moment calls no function of those that the target has.
fn compared_with_a_forger(store: &Store, target: &Server) {
    target.psql(
        "shop",
        "CREATE FUNCTION public.canary(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             'BEGIN RAISE LOG ''CANARY''; RETURN $1; END';
         CREATE ROLE owner;
         ALTER FUNCTION public.canary OWNER TO owner;
         CREATE DOMAIN public.number AS int CHECK (public.canary(1) = 1);
         CREATE TABLE public.referred (a int PRIMARY KEY);
         CREATE INDEX ON public.referred (a) WHERE public.canary(1) = 1;
         SELECT '{1}'::public._number",
    );
    let since = target.log().len();
    let rule = "CREATE RULE mark_rule AS\n    ON DELETE TO s.t DO NOTHING";
    for (from, to) in [
        (rule, "CREATE INDEX mark_rule ON s.t (a) WHERE public.canary(1) = 1"),
        ("CHECK ((b <> 'mark two'::text))", "FOREIGN KEY (a) REFERENCES public.referred(a)"),
        ("'mark three'::text", "'{1}'::public._number"),
        ("'mark three'::text", "(SELECT '{1}' = NULL::public.number[])"),
    ] {
        assert!(store.forge(from, to), "{from} stands nowhere");
        Dbhaul::new(["verify", "--store", store.path(), "--target", &target.uri("shop")])
            .run()
            .assert_code(4);
        assert!(!target.log()[since..].contains("CANARY"), "{to}");
    }
}

/// An object that was there before is not dropped by a forged store either, and nothing else is.
#[test]
fn a_forged_catalog_drops_nothing() {
    let (source, target) = (Server::start(17), Server::start(18));
    source.create_db("shop");
    target.create_db("shop");
    source.psql("shop", SOURCE);
    target.psql("shop", "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (9)");
    let store = Store::of(&source);
    assert!(store.forge("'mark three'::text", "1; COMMIT; DROP TABLE s.t; SELECT 1"));
    let into = target.uri("shop");
    let clean = ["restore", "--store", store.path(), "--target", &into, "--clean", "--if-exists"];
    Dbhaul::new(clean).run().assert_code(1).assert_says("mark_view");
    assert_eq!(target.psql("shop", "SELECT a FROM s.t"), "9");
}
