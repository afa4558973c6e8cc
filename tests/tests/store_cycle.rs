//! The whole life of a store, plain and encrypted, on each kind of place: made, three backups with changes between them,
//! checked at each level, thinned out, pruned, checked again, restored and compared. What each step asks of the place is
//! counted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use dbhaul_tests::{Dbhaul, Finished, Garage, Moto, S3Directory, Server, age_program};
use tempfile::TempDir;

const SHOP: &str = "
    CREATE TABLE buyer (id int PRIMARY KEY, name text);
    INSERT INTO buyer SELECT i, 'buyer ' || i FROM generate_series(1, 100) i;
    CREATE TABLE sale (id int PRIMARY KEY, buyer int REFERENCES buyer, note text);
    INSERT INTO sale SELECT i, i % 100 + 1, md5(i::text) || md5((-i)::text) FROM generate_series(1, 20000) i;
    CREATE SEQUENCE numbers START 7;
    SELECT lo_from_bytea(4711, 'abc')";

/// What happens in the shop before each backup.
const DAYS: [&str; 3] = [
    "SELECT nextval('numbers')",
    "UPDATE sale SET note = 'returned' WHERE id BETWEEN 500 AND 600; SELECT nextval('numbers')",
    "INSERT INTO sale SELECT i, 1, md5(i::text) FROM generate_series(20001, 20500) i; DELETE FROM sale WHERE id < 50;
     SELECT lo_put(4711, 1, 'xyz')",
];

/// Where the store lies.
enum Place {
    Directory(TempDir),
    S3(S3Directory),
    Moto(Moto),
    /// And by how many hours its clock is ahead.
    Garage(Garage, Cell<u32>),
}

impl Place {
    fn s3() -> Self {
        let s3 = S3Directory::start();
        s3.create_bucket("bucket");
        Place::S3(s3)
    }

    fn moto() -> Self {
        let moto = Moto::start();
        moto.create_bucket("bucket");
        Place::Moto(moto)
    }

    fn garage() -> Self {
        let garage = Garage::start();
        garage.create_bucket("bucket");
        Place::Garage(garage, Cell::new(0))
    }

    fn on(&self, run: Dbhaul) -> Dbhaul {
        let endpoint = match self {
            Place::Directory(directory) => return run.arg(directory.path().join("store")),
            Place::S3(s3) => s3.endpoint(),
            Place::Moto(moto) => moto.endpoint(),
            Place::Garage(garage, _) => garage.endpoint(),
        };
        run.arg(endpoint.store_url("bucket", "store")).envs(endpoint.env())
    }

    /// Lets the packs and marks that are there be old.
    fn age(&self) {
        let store = match self {
            Place::Directory(directory) => directory.path().join("store"),
            Place::S3(s3) => s3.root().join("bucket/store"),
            Place::Moto(moto) => return moto.age("/packs/|/trash/marked-"),
            // as if so much time had gone by
            Place::Garage(garage, ahead) => {
                ahead.set(ahead.get() + 2);
                return garage.set_ahead(ahead.get());
            }
        };
        ["packs", "trash"].iter().for_each(|below| age(&store.join(below)));
    }

    /// How often each kind of request was made since the last call, where the place tells.
    fn requests(&self) -> Option<BTreeMap<String, usize>> {
        let Place::S3(s3) = self else { return None };
        let mut counts = BTreeMap::new();
        s3.take_requests().iter().for_each(|request| *counts.entry(kind_of(request)).or_default() += 1);
        Some(counts)
    }
}

/// `GET backups`, `LIST backups`, `PUT repo.json`: the method, and the first part of the key.
fn kind_of(request: &str) -> String {
    let (method, uri) = request.split_once(' ').unwrap();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix="));
    let key = match prefix {
        Some(prefix) => prefix.replace("%2F", "/"),
        None => path.trim_start_matches("/bucket").trim_start_matches('/').to_owned(),
    };
    let first = key.trim_start_matches("store").trim_start_matches('/').split('/').next().unwrap_or_default();
    let method = if prefix.is_some() { "LIST" } else { method };
    format!("{method} {first}").trim_end().to_owned()
}

/// A server with the shop, a store, and what opens it.
struct World {
    server: Server,
    place: Place,
    keys: TempDir,
    is_encrypted: bool,
}

impl World {
    fn new(place: Place, is_encrypted: bool) -> Self {
        let server = Server::start(18);
        server.create_db("shop");
        server.psql("shop", SHOP);
        let world = World { server, place, keys: TempDir::new().unwrap(), is_encrypted };
        match is_encrypted {
            true => {
                let recipient = keygen(&world.key("me.txt"));
                let writer = world.key("writer.json").display().to_string();
                let init =
                    ["store", "init", "--recipient", &recipient, "--writer-key-out", &writer, "--store"];
                world.place.on(Dbhaul::new(init)).run().assert_code(0);
            }
            false => {
                _ = world
                    .place
                    .on(Dbhaul::new(["store", "init", "--unencrypted", "--store"]))
                    .run()
                    .assert_code(0)
            }
        }
        world
    }

    fn key(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    /// A command that needs no more than a writer has.
    fn write(&self, arguments: &[&str]) -> Finished {
        self.run(arguments, ("--writer-key", "writer.json"))
    }

    /// A command that reads rows.
    fn read(&self, arguments: &[&str]) -> Finished {
        self.run(arguments, ("--identity-file", "me.txt"))
    }

    fn run(&self, arguments: &[&str], (option, key): (&str, &str)) -> Finished {
        let run = self.place.on(Dbhaul::new(arguments.iter().copied()).arg("--store"));
        let run = if self.is_encrypted { run.arg(option).arg(self.key(key)) } else { run };
        run.run()
    }

    /// The digest of everything in a database's rows, by the server alone.
    fn contents(&self, database: &str) -> String {
        let rows = "SELECT (SELECT count(*) || '/' || sum(hashtextextended(t::text, 0)) FROM buyer t),
             (SELECT count(*) || '/' || sum(hashtextextended(t::text, 0)) FROM sale t),
             (SELECT last_value FROM numbers), lo_get(4711)";
        self.server.psql(database, rows)
    }

    fn dump(&self) -> String {
        let source = self.server.uri("shop");
        let run = self.write(&["dump", "--json", "--source", &source]);
        run.assert_code(0).json()["backup"].as_str().unwrap().to_owned()
    }

    /// Restores into a new database; what is in it then.
    fn restored(&self, backup: &str) -> String {
        self.server.create_db("copy");
        let target = self.server.uri("copy");
        self.read(&["restore", "--backup", backup, "--target", &target]).assert_code(0);
        let contents = self.contents("copy");
        self.server.drop_db("copy");
        contents
    }

    /// What no backup needs any more is marked, and removed by the next one. What is younger than an hour is not: it may be
    /// of a dump that has yet to commit.
    fn prune(&self, count: &mut impl FnMut(&'static str, &World)) {
        let prune = |more: &[&str]| {
            self.write(&[&["backup", "prune", "--json"][..], more].concat()).assert_code(0).json()
        };
        let young = prune(&[]);
        assert!(young["young"]["count"].as_u64().unwrap() > 0, "{young}");
        count("prune of nothing", self);
        self.place.age();
        let marked = prune(&[]);
        assert_eq!(marked["marked"], young["young"], "{marked}");
        count("prune that marks", self);
        self.place.age();
        let removed = prune(&["--grace-hours", "0"]);
        assert_eq!(removed["removed"], marked["marked"], "{removed}");
        count("prune that removes", self);
        let nothing = prune(&["--dry-run"]);
        let left =
            ["young", "marked", "waiting", "removed"].map(|what| nothing[what]["count"].as_u64().unwrap());
        assert_eq!(left, [0; 4], "{nothing}");
        assert_eq!(nothing["used"], young["used"], "{nothing}");
    }

    /// After most of a table has changed and older backups were forgotten, little of the first packs is needed. A repack
    /// copies that into new packs, so that prunes remove the old ones.
    fn repack(&self, count: &mut impl FnMut(&'static str, &World)) {
        self.server.psql("shop", "UPDATE sale SET note = md5(note) WHERE id > 3000");
        let (backup, contents) = (self.dump(), self.contents("shop"));
        self.write(&["backup", "forget", "--keep-last", "1"]).assert_code(0);
        if self.is_encrypted {
            let refused = self.write(&["backup", "prune", "--repack"]);
            refused
                .assert_code(1)
                .assert_stderr_has(&["cannot be read with a writer key", "--identity-file"]);
        }
        let prune = |more: &[&str]| {
            let run = self.read(&[&["backup", "prune", "--repack", "--json"][..], more].concat());
            run.assert_code(0).json()
        };
        let foretold = prune(&["--dry-run"]);
        self.place.requests();
        let repacked = prune(&[]);
        count("repack", self);
        assert!(foretold["repacked"]["sparse"]["count"].as_u64().unwrap() > 0, "{foretold}");
        assert!(foretold["repacked"]["freed_bytes"].as_u64().unwrap() > 0, "{foretold}");
        for same in ["sparse", "live_bytes", "freed_bytes", "backup_count"] {
            assert_eq!(repacked["repacked"][same], foretold["repacked"][same], "{same}");
        }
        let marked = repacked["marked"]["count"].as_u64().unwrap();
        assert!(marked >= repacked["repacked"]["sparse"]["count"].as_u64().unwrap(), "{repacked}");
        self.read(&["backup", "check", "--level", "2"]).assert_code(0);
        assert_eq!(self.restored(&backup), contents);
        self.place.age();
        let removed = prune(&["--grace-hours", "0"]);
        assert_eq!(removed["removed"]["count"].as_u64(), Some(marked), "{removed}");
        assert_eq!(removed["repacked"]["sparse"]["count"], 0, "{removed}");
        let target = self.server.uri("postgres");
        self.read(&["backup", "check", "--level", "3", "--target", &target]).assert_code(0);
        assert_eq!(self.restored(&backup), contents);
        // the next one finds its chunks where they are now
        let dump =
            self.write(&["dump", "--json", "--source", &self.server.uri("shop")]).assert_code(0).json();
        let uploaded = dump["totals"]["uploaded_bytes"].as_u64().unwrap();
        assert!(uploaded * 10 < dump["totals"]["pack_bytes"].as_u64().unwrap(), "{dump}");
    }

    fn check_all(&self) {
        for level in ["0", "1", "2"] {
            self.read(&["backup", "check", "--all", "--level", level]).assert_code(0);
        }
        let target = self.server.uri("postgres");
        self.read(&["backup", "check", "--level", "3", "--target", &target]).assert_code(0);
    }
}

/// Lets files be of the day before.
fn age(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
            continue;
        }
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    }
}

/// Makes a private key with age's own tool; returns what may encrypt to it.
fn keygen(file: &Path) -> String {
    let made = Command::new(age_program("age-keygen")).arg("-o").arg(file).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

/// Lives through all of it; returns the requests of each step, where the place tells.
fn live(place: Place, is_encrypted: bool) -> Vec<(&'static str, BTreeMap<String, usize>)> {
    let world = World::new(place, is_encrypted);
    let mut steps = Vec::new();
    let mut count = |step, world: &World| steps.extend(world.place.requests().map(|counts| (step, counts)));
    count("init", &world);
    let mut backups = Vec::new();
    for (day, name) in DAYS.iter().zip(["first dump", "second dump", "third dump"]) {
        world.server.psql("shop", day);
        backups.push((world.dump(), world.contents("shop")));
        count(name, &world);
    }
    for (level, name) in [("0", "check 0"), ("1", "check 1"), ("2", "check 2")] {
        world.read(&["backup", "check", "--level", level]).assert_code(0);
        count(name, &world);
    }
    world.check_all();
    for (backup, contents) in &backups {
        assert_eq!(&world.restored(backup), contents);
    }
    world.place.requests();
    world.write(&["backup", "list"]).assert_code(0);
    count("list", &world);
    let forgotten = world.write(&["backup", "forget", "--keep-last", "2", "--json"]);
    forgotten.assert_code(0);
    count("forget", &world);
    world.prune(&mut count);
    world.check_all();
    let kept = world.write(&["backup", "list", "--json"]).assert_code(0).json();
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "{kept}");
    for (backup, contents) in &backups[1..] {
        assert_eq!(&world.restored(backup), contents);
    }
    world.place.requests();
    let target = world.server.uri("shop");
    world.read(&["verify", "--target", &target]).assert_code(0);
    count("verify", &world);
    world.repack(&mut count);
    steps
}

#[test]
fn plain_in_a_directory() {
    live(Place::Directory(TempDir::new().unwrap()), false);
}

#[test]
fn encrypted_in_a_directory() {
    live(Place::Directory(TempDir::new().unwrap()), true);
}

/// On moto, and in the long form of the tests on Garage.
#[test]
fn plain_on_servers_of_others() {
    live(Place::moto(), false);
    if std::env::var_os("DBHAUL_LONG").is_some() {
        live(Place::garage(), false);
    }
}

#[test]
fn encrypted_on_servers_of_others() {
    live(Place::moto(), true);
    if std::env::var_os("DBHAUL_LONG").is_some() {
        live(Place::garage(), true);
    }
}

/// A step, how many requests it makes at most, and how often it writes what.
type Bound<'a> = (&'a str, usize, &'a [(&'a str, usize)]);

/// Asserts what each step asks at most, where a slow machine may renew a lease once more, and how often it writes what.
#[track_caller]
fn assert_requests(steps: &[(&str, BTreeMap<String, usize>)], expected: &[Bound<'_>]) {
    let names: Vec<&str> = expected.iter().map(|(step, ..)| *step).collect();
    assert_eq!(steps.iter().map(|(step, _)| *step).collect::<Vec<_>>(), names);
    for ((step, counts), (_, most, writes)) in steps.iter().zip(expected) {
        let asked: usize = counts.values().sum();
        assert!(asked <= *most, "{step}: {asked} requests: {counts:#?}");
        let is_write = |kind: &&String| !kind.ends_with(" sessions") && !kind.ends_with(" trash");
        let is_write = |kind: &&String| {
            is_write(kind) && ["PUT", "DELETE", "POST"].iter().any(|verb| kind.starts_with(verb))
        };
        let written = counts.keys().filter(is_write).map(|kind| (kind.as_str(), counts[kind]));
        assert_eq!(written.collect::<Vec<_>>(), *writes, "{step}");
    }
}

#[test]
fn plain_on_s3_with_so_many_requests() {
    let dump: &[(&str, usize)] = &[("PUT backups", 1), ("PUT packs", 2)];
    let report: &[(&str, usize)] = &[("PUT reports", 1)];
    assert_requests(
        &live(Place::s3(), false),
        &[
            ("init", 7, &[("PUT repo.json", 1)]),
            ("first dump", 33, dump),
            ("second dump", 39, dump),
            ("third dump", 41, dump),
            ("check 0", 13, report),
            ("check 1", 16, report),
            ("check 2", 16, report),
            ("list", 17, &[]),
            ("forget", 21, &[("DELETE backups", 1)]),
            ("prune of nothing", 19, &[]),
            ("prune that marks", 19, &[]),
            ("prune that removes", 30, &[("POST", 2)]),
            ("verify", 15, &[]),
            ("repack", 60, &[("PUT backups", 1), ("PUT packs", 2)]),
        ],
    );
}

/// Those of keys, and of planner statistics, which lie in packs of their own.
#[test]
fn encrypted_on_s3_with_so_many_requests() {
    let dump: &[(&str, usize)] = &[("PUT backups", 1), ("PUT packs", 3)];
    let report: &[(&str, usize)] = &[("PUT reports", 1)];
    assert_requests(
        &live(Place::s3(), true),
        &[
            ("init", 10, &[("PUT keys", 1), ("PUT repo.json", 1)]),
            ("first dump", 35, dump),
            ("second dump", 39, dump),
            ("third dump", 39, dump),
            ("check 0", 16, report),
            ("check 1", 20, report),
            ("check 2", 22, report),
            ("list", 17, &[]),
            ("forget", 21, &[("DELETE backups", 1)]),
            ("prune of nothing", 19, &[]),
            ("prune that marks", 19, &[]),
            ("prune that removes", 30, &[("POST", 2)]),
            ("verify", 19, &[]),
            ("repack", 60, &[("PUT backups", 1), ("PUT packs", 2)]),
        ],
    );
}
