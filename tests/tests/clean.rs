//! `--clean --if-exists` over what an earlier run made, and policies of roles that the target lacks.

use dbhaul_tests::{Dbhaul, Server};

/// The parent's index is named so that it would be dropped after its partition's.
const PARTITIONED: &str = "
    CREATE TABLE p (a int, CONSTRAINT a_key UNIQUE (a)) PARTITION BY RANGE (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
    CREATE INDEX a_idx ON p (a);
    INSERT INTO p VALUES (1), (2)";

#[test]
fn partitioned_indexes_are_dropped_with_their_parents() {
    let source = Server::start(16);
    source.create_db("shop");
    source.psql("shop", PARTITIONED);
    let target = Server::start(18);
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let migrate = ["migrate", "--source", &from, "--target", &to];
    Dbhaul::new(migrate).run().assert_code(0);
    Dbhaul::new(migrate).args(["--clean", "--if-exists"]).run().assert_code(0);
    assert_eq!(target.sql_digest("shop"), source.sql_digest("shop"));
}

#[test]
fn a_policy_of_a_role_that_is_not_there_is_skipped_by_name() {
    let source = Server::start(18);
    source.create_db("shop");
    source.psql(
        "shop",
        "CREATE ROLE auditor; CREATE TABLE sale (id int); INSERT INTO sale VALUES (1);
         ALTER TABLE sale ENABLE ROW LEVEL SECURITY;
         CREATE POLICY only_auditors ON sale TO auditor USING (true)",
    );
    let target = Server::start(18);
    target.create_db("shop");
    let run =
        Dbhaul::new(["migrate", "--source", &source.uri("shop"), "--target", &target.uri("shop")]).run();
    run.assert_code(3);
    assert!(run.stdout.contains("only_auditors") && run.stdout.contains("auditor"), "{run}");
    assert_eq!(target.sql_digest("shop"), source.sql_digest("shop"));
}
