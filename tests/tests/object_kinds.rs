//! One object of nearly every kind, from every major: through a store to itself, and straight to the newest.

use dbhaul_tests::{Dbhaul, Fixture, MAJORS, Original, Server};
use tempfile::TempDir;

#[test]
fn to_itself_and_to_the_newest() {
    let newest = Server::start(19);
    Fixture::EveryKind.prepare_target(&newest);
    for major in MAJORS {
        let server = Server::start(major);
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
