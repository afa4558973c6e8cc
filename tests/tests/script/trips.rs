//! Databases that travel as scripts.

use std::path::Path;

use dbhaul_tests::{Dbhaul, Fixture, Original, Server};
use tempfile::TempDir;

/// How a whole script ends.
pub(crate) const COMPLETE: &str = "-- PostgreSQL database dump complete\n--";

/// A script in a file of its own.
pub(crate) fn dump_to(server: &Server, db: &str, file: &Path, options: &[&str]) {
    let run = Dbhaul::new(["dump", "--source", &server.uri(db), "--format", "sql", "--file"]);
    run.arg(file).args(options).run().assert_code(0);
    assert!(std::fs::read_to_string(file).unwrap().trim_end().ends_with(COMPLETE));
}

/// The database `load` makes, through a script into a server of each major.
pub(crate) fn round_trips(load: impl Fn(&Server, &str), majors: &[(u16, u16)]) {
    let files = TempDir::new().unwrap();
    let script = files.path().join("script.sql");
    for &(from, to) in majors {
        let (source, target) = (Server::start(from), Server::start(to));
        for server in [&source, &target] {
            Fixture::EveryKind.prepare_target(server);
        }
        load(&source, "Moved here");
        dump_to(&source, "Moved here", &script, &[]);
        target.create_db("copy");
        target.psql_file("copy", &script, &[]);
        let original = Original::new(&source, "Moved here", &target);
        original.assert_equals("copy");
        original.assert_source_unchanged();
    }
}
