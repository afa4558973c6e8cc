//! Databases to move.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Server, places};

/// A database that tests move from one server to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fixture {
    /// The DVD rental shop; in the directory of test data beside the checkout.
    Pagila,
    /// The music shop with quoted mixed-case names; in the directory of test data beside the checkout.
    Chinook,
    /// This project's own sample shop, about 200 MB at scale 1.
    SampleShop {
        /// The fraction of the full volume.
        scale: f64,
    },
    /// TPC-H with keys, foreign keys and further indexes.
    TpcH {
        /// The scale factor: 1 is about 1 GB of text.
        scale: f64,
    },
}

impl Fixture {
    /// The fixtures of which every file is on this machine, small ones first. What is missing is said on
    /// standard error, by name.
    pub fn available() -> Vec<Self> {
        let all = [Self::Chinook, Self::Pagila, Self::SampleShop { scale: 0.02 }, Self::TpcH { scale: 0.1 }];
        all.into_iter()
            .filter(|fixture| match fixture.test_data() {
                Some(file) if !file.exists() => {
                    eprintln!("{fixture:?} is left out: {} does not exist", file.display());
                    false
                }
                _ => true,
            })
            .collect()
    }

    /// Creates the database `db` on a server and fills it.
    ///
    /// # Panics
    /// When a file of it is missing or a statement fails.
    pub fn load(self, server: &Server, db: &str) {
        self.prepare_target(server);
        server.create_db(db);
        match self {
            Self::Pagila | Self::Chinook => {
                let file = self.test_data().expect("these two are files");
                assert!(file.exists(), "{} does not exist: set DBHAUL_TEST_DATA", file.display());
                server.psql_file(db, &file, &[]);
            }
            Self::SampleShop { scale } => {
                server.psql_file(db, &sample_shop("create.sql"), &[("scale", &scale.to_string())]);
            }
            Self::TpcH { scale } => load_tpch(server, db, scale),
        }
    }

    /// Creates on a server what the fixture expects of the cluster rather than of the database: roles.
    pub fn prepare_target(self, server: &Server) {
        if let Self::SampleShop { .. } = self {
            server.psql_file("postgres", &sample_shop("roles.sql"), &[]);
        }
    }

    fn test_data(self) -> Option<PathBuf> {
        let name = match self {
            Self::Pagila => "pagila-15.sql",
            Self::Chinook => "chinook-1.4.5.sql",
            Self::SampleShop { .. } | Self::TpcH { .. } => return None,
        };
        Some(places::test_data().join(name))
    }
}

/// The script of one object of every kind, in the directory of test data beside the checkout; where it
/// is missing, that is said on standard error.
pub fn object_kinds() -> Option<PathBuf> {
    let file = places::test_data().join("object-kinds.sql");
    if !file.exists() {
        eprintln!("left out: {} does not exist", file.display());
    }
    file.exists().then_some(file)
}

fn sample_shop(script: &str) -> PathBuf {
    places::workspace().join("scripts/sample-shop").join(script)
}

fn load_tpch(server: &Server, db: &str, scale: f64) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    server.psql_file(db, &fixtures.join("tpch-tables.sql"), &[]);
    let dir = tpch_data(scale);
    for table in ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"] {
        let file = dir.join(format!("{table}.csv"));
        server.psql(db, &format!("\\copy {table} FROM '{}' (FORMAT csv, HEADER true)", file.display()));
    }
    server.psql_file(db, &fixtures.join("tpch-keys.sql"), &[]);
}

/// The directory of generated rows, made once per scale and kept.
fn tpch_data(scale: f64) -> PathBuf {
    let parent = places::cache().join("tpch");
    std::fs::create_dir_all(&parent).expect("the cache is writable");
    let dir = parent.join(scale.to_string());
    let lock = File::create(parent.join(format!("{scale}.lock"))).expect("the cache is writable");
    lock.lock().expect("the cache supports locks");
    if !dir.exists() {
        let unfinished = parent.join(format!("{scale}.new"));
        let _ = std::fs::remove_dir_all(&unfinished);
        std::fs::create_dir(&unfinished).expect("the cache is writable");
        let mut generator = Command::new(places::python_tool("tpchgen-cli"));
        places::run(generator.args(["csv", "-s", &scale.to_string(), "-o"]).arg(&unfinished));
        std::fs::rename(&unfinished, &dir).expect("both lie in the same directory");
    }
    dir
}
