//! One object of nearly every kind, from every major: through a store to itself, and straight to the newest.

use std::collections::BTreeSet;

use dbhaul_catalog::QUOTED_SINCE;
use dbhaul_tests::{Dbhaul, Fixture, MAJORS, Original, Server};
use tempfile::TempDir;

#[test]
fn to_itself_and_to_the_newest() {
    let newest = Server::start(19);
    Fixture::EveryKind.prepare_target(&newest);
    for major in MAJORS {
        let server = Server::start(major);
        let new_there: BTreeSet<String> =
            quoted_words(&newest).difference(&quoted_words(&server)).cloned().collect();
        let known = QUOTED_SINCE.iter().filter(|(_, since)| *since > u32::from(major));
        assert_eq!(known.map(|(word, _)| (*word).to_owned()).collect::<BTreeSet<_>>(), new_there, "{major}");
        Fixture::EveryKind.load(&server, "kinds");
        through_a_store(&server);
        Fixture::EveryKind.name_roles_for(&server, &newest);
        let original = Original::new(&server, "kinds", &newest);
        let copy = format!("from_{major}");
        newest.create_db(&copy);
        let uris = (server.uri("kinds"), newest.uri(&copy));
        Dbhaul::new(["migrate", "--source", &uris.0, "--target", &uris.1]).run().assert_code(0);
        original.assert_equals(&copy);
    }
}

/// The words that a server quotes where they are names.
fn quoted_words(server: &Server) -> BTreeSet<String> {
    let words = "SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'";
    server.psql("postgres", words).lines().map(str::to_owned).collect()
}

fn through_a_store(server: &Server) {
    let original = Original::new(server, "kinds", server);
    server.create_db("copy");
    let directory = TempDir::new().unwrap();
    let store = directory.path().to_str().unwrap();
    let uris = (server.uri("kinds"), server.uri("copy"));
    Dbhaul::new(["dump", "--source", &uris.0, "--store", store]).run().assert_code(0);
    Dbhaul::new(["restore", "--target", &uris.1, "--store", store]).run().assert_code(0);
    original.assert_equals("copy");
}
