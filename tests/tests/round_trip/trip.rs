//! One database on its way from one server to another, by every road.

use dbhaul_tests::{Dbhaul, Fixture, Moto, Original, S3Directory, S3Endpoint, Server};
use tempfile::TempDir;

/// The database on the source; its name must be quoted everywhere it is used.
const SOURCE: &str = "Moved here";

/// An S3 server; both kinds are used, for they read the standard differently.
enum Bucket {
    Moto(Moto),
    Directory(S3Directory),
}

impl Bucket {
    /// moto for small databases: it keeps everything in memory, at the speed of Python.
    fn start(fixture: Fixture) -> Self {
        match fixture {
            Fixture::SampleShop { .. } | Fixture::TpcH { .. } => Self::Directory(S3Directory::start()),
            _ => Self::Moto(Moto::start()),
        }
    }

    fn endpoint(&self) -> &S3Endpoint {
        match self {
            Self::Moto(server) => server.endpoint(),
            Self::Directory(server) => server.endpoint(),
        }
    }

    /// The URL of a store in a new bucket.
    fn store(&self) -> String {
        match self {
            Self::Moto(server) => server.create_bucket("backups"),
            Self::Directory(server) => drop(server.create_bucket("backups")),
        }
        self.endpoint().store_url("backups", "nightly/shop")
    }
}

/// A source with the database, and a target.
struct Trip {
    fixture: Fixture,
    source: Server,
    target: Server,
}

impl Trip {
    fn new(fixture: Fixture, from: u16, to: u16) -> Self {
        let (source, target) = (Server::start(from), Server::start(to));
        fixture.load(&source, SOURCE);
        fixture.prepare_target(&target);
        Self { fixture, source, target }
    }

    fn migrate(&self, original: &Original<'_>) {
        self.target.create_db("migrated");
        let (source, target) = (self.source.uri(SOURCE), self.target.uri("migrated"));
        Dbhaul::new(["migrate", "--source", &source, "--target", &target]).run().assert_code(0);
        self.judge(original, "migrated");
        Dbhaul::new(["verify", "--source", &source, "--target", &target]).run().assert_code(0);
    }

    /// Through a store, into a database named `copy`.
    fn dump_and_restore(&self, original: &Original<'_>, store: &str, copy: &str, env: &[(&str, String)]) {
        self.target.create_db(copy);
        let (source, target) = (self.source.uri(SOURCE), self.target.uri(copy));
        let dbhaul = |arguments: &[&str]| {
            let env = env.iter().map(|(name, value)| (*name, value));
            Dbhaul::new(arguments).args(["--store", store]).envs(env).run().assert_code(0);
        };
        dbhaul(&["dump", "--source", &source]);
        dbhaul(&["restore", "--backup", "latest", "--target", &target]);
        self.judge(original, copy);
        dbhaul(&["verify", "--backup", "latest", "--target", &target]);
    }

    fn judge(&self, original: &Original<'_>, copy: &str) {
        original.assert_equals(copy);
        if !matches!(self.fixture, Fixture::TpcH { .. }) {
            original.assert_inserts_equal(copy);
        }
    }
}

pub(crate) fn round_trip(fixture: Fixture, from: u16, to: u16) {
    let trip = Trip::new(fixture, from, to);
    let original = Original::new(&trip.source, SOURCE, &trip.target);
    trip.migrate(&original);
    let directory = TempDir::new().unwrap();
    trip.dump_and_restore(&original, directory.path().to_str().unwrap(), "from_directory", &[]);
    let bucket = Bucket::start(fixture);
    trip.dump_and_restore(&original, &bucket.store(), "from_bucket", &bucket.endpoint().env());
    original.assert_source_unchanged();
}
