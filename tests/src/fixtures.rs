//! Databases to move.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Server, places};

/// A database that tests move from one server to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fixture {
    /// A chain of film rental shops: partitions, full text, views over views, triggers; 52,000 rows.
    Cinema,
    /// A music shop whose every name must be quoted; 17,000 rows.
    Music,
    /// One of nearly each kind of object, with rows.
    EveryKind,
    /// The DVD rental shop that many know, made by others; in the directory that `DBHAUL_TEST_DATA` names.
    Pagila,
    /// The music shop that many know, made by others; in the directory that `DBHAUL_TEST_DATA` names.
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
    /// The project's own fixtures, small ones first.
    pub const OWN: [Self; 5] = [
        Self::Music,
        Self::EveryKind,
        Self::Cinema,
        Self::SampleShop { scale: 0.02 },
        Self::TpcH { scale: 0.1 },
    ];

    /// Creates the database `db` on a server and fills it.
    ///
    /// # Panics
    /// When a file of it is missing or a statement fails.
    pub fn load(self, server: &Server, db: &str) {
        self.prepare_target(server);
        server.create_db(db);
        match self {
            Self::Cinema => server.psql_file(db, &own("cinema.sql"), &[]),
            Self::Music => server.psql_file(db, &own("music.sql"), &[]),
            Self::EveryKind => every_kind(server, db, "every-kind.sql"),
            Self::Pagila => server.psql_file(db, &others_data("pagila-15.sql"), &[]),
            Self::Chinook => server.psql_file(db, &others_data("chinook-1.4.5.sql"), &[]),
            Self::SampleShop { scale } => {
                server.psql_file(db, &sample_shop("create.sql"), &[("scale", &scale.to_string())]);
            }
            Self::TpcH { scale } => load_tpch(server, db, scale),
        }
    }

    /// Creates on a server what the fixture expects of the cluster rather than of the database: roles.
    pub fn prepare_target(self, server: &Server) {
        match self {
            Self::SampleShop { .. } => server.psql_file("postgres", &sample_shop("roles.sql"), &[]),
            Self::EveryKind => every_kind(server, "postgres", "every-kind-roles.sql"),
            _ => {}
        }
    }

    /// Gives roles on a server names that a newer one takes too: from 19 on none holds a line break.
    pub fn name_roles_for(self, server: &Server, target: &Server) {
        if matches!(self, Self::EveryKind) && server.major() < 19 && target.major() >= 19 {
            let rename = format!("ALTER ROLE {ROLE_ON_TWO_LINES} RENAME TO {ROLE_ON_ONE_LINE}");
            server.psql("postgres", &rename);
        }
    }
}

const ROLE_ON_TWO_LINES: &str = "\"Role \"\"of\"\"\ntwo lines\"";
const ROLE_ON_ONE_LINE: &str = "\"Role \"\"of\"\" two lines\"";

/// Runs a script of the fixture of every kind, with the names of roles that the server takes.
fn every_kind(server: &Server, db: &str, name: &str) {
    if server.major() < 19 {
        return server.psql_file(db, &own(name), &[]);
    }
    let script = std::fs::read_to_string(own(name)).expect("a fixture can be read");
    let file = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
    let script = script.replace(ROLE_ON_TWO_LINES, ROLE_ON_ONE_LINE);
    // what it includes lies beside it, and not beside the copy
    let lines = script.lines().map(|line| match line.strip_prefix("\\ir ") {
        Some(name) => format!("\\i '{}'\n", own(name).display()),
        None => format!("{line}\n"),
    });
    let script: String = lines.collect();
    std::fs::write(file.path(), script).expect("the temporary directory is writable");
    server.psql_file(db, file.path(), &[]);
}

/// A file of the databases that others have made, which are no part of this project. Only the tests of
/// `foreign_data` use it, which are built where there are some.
///
/// # Panics
/// If `DBHAUL_TEST_DATA` does not name a directory that holds the file.
pub fn others_data(name: &str) -> PathBuf {
    let dir = std::env::var_os("DBHAUL_TEST_DATA").expect("DBHAUL_TEST_DATA names a directory of databases");
    let file = places::workspace().join(dir).join(name);
    assert!(file.exists(), "{} does not exist: is DBHAUL_TEST_DATA right?", file.display());
    file
}

fn own(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(script)
}

fn sample_shop(script: &str) -> PathBuf {
    places::workspace().join("scripts/sample-shop").join(script)
}

fn load_tpch(server: &Server, db: &str, scale: f64) {
    server.psql_file(db, &own("tpch-tables.sql"), &[]);
    let dir = tpch_data(scale);
    for table in ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"] {
        let file = dir.join(format!("{table}.csv"));
        server.psql(db, &format!("\\copy {table} FROM '{}' (FORMAT csv, HEADER true)", file.display()));
    }
    server.psql_file(db, &own("tpch-keys.sql"), &[]);
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
