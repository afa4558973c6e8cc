use super::commands::creates;
use super::{StatementProblem, Token, TokenKind, check, check_single, tokens};
use crate::EntryKind;

#[track_caller]
fn single(sql: &str) {
    assert_eq!(check_single(sql), Ok(()), "{sql}");
}

#[track_caller]
fn refused(sql: &str, problem: StatementProblem) {
    assert_eq!(check_single(sql), Err(problem), "{sql}");
}

#[test]
fn one_statement_may_hold_semicolons_where_they_end_nothing() {
    for sql in [
        "SELECT 'a; COMMIT; b'",
        "SELECT E'a\\'; COMMIT; b'",
        "SELECT \"a; COMMIT\"\"; b\"",
        "SELECT $$a; COMMIT$$, $x$ $$; COMMIT; $y$ $x$",
        "SELECT 1 -- ; COMMIT",
        "SELECT 1 /* ; /* COMMIT; */ ; */ + 1",
        "SELECT U&'a\\0041; COMMIT', U&\"a\\0041; b\", B'1', X'f', N'x;'",
        "SELECT typE'a;'",
        "SELECT a$b FROM t$1",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
        "CREATE FUNCTION f(a int DEFAULT CASE WHEN true THEN 1 END) RETURNS int BEGIN ATOMIC SELECT $1; END",
        "CREATE PROCEDURE p() BEGIN ATOMIC\n SELECT (CASE WHEN a THEN 1 END) AS x;\nEND",
        "CREATE RULE r AS ON INSERT TO t DO INSTEAD ( INSERT INTO u VALUES (1);\n INSERT INTO v VALUES (2);\n)",
        "SELECT 1.5e3, 0x1F, '\\', 'größe;', größe FROM t",
        "SELECT a <@ b, c -> 'd', e::text[], $1, $23",
    ] {
        single(sql);
    }
}

#[test]
fn what_ends_a_statement_before_its_end_is_found() {
    for sql in [
        "SELECT 1; COMMIT; CREATE TABLE t()",
        "SELECT 1;",
        "SELECT '\\'; COMMIT; --'",
        "SELECT E'a'; COMMIT; --'",
        "SELECT typE'\\'; COMMIT; --'",
        "SELECT $a$ $b$ ; $a$; COMMIT",
        "SELECT 1 -- x\n; COMMIT",
        "SELECT 1 -- x\r; COMMIT",
        "SELECT 1 /* /* */ */ ; COMMIT",
        "SELECT 1 +--+\n1; COMMIT",
        "SELECT U&'\\'; COMMIT; --'",
        "SELECT \"a\\\"; COMMIT; --\"",
        "SELECT a$b$; COMMIT; --$b$",
        "SELECT (1; COMMIT)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; COMMIT",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET x TO begin AS 'select 1'; COMMIT; end",
        "CREATE FUNCTION f(a int DEFAULT begin) RETURNS int LANGUAGE sql AS ''; COMMIT; end",
        "CREATE VIEW v AS SELECT 1 AS begin; COMMIT; end",
        "CREATE RULE r AS ON INSERT TO t DO NOTHING; COMMIT",
        "CREATE RULE r AS ON INSERT TO t DO (INSERT INTO u VALUES (1)); COMMIT",
        "SELECT 1 AS begin atomic; COMMIT; end",
        "CREATE VIEW v AS SELECT x.begin atomic; COMMIT; end",
    ] {
        refused(sql, StatementProblem::Several);
    }
}

#[test]
fn backslashes_and_what_has_no_end_are_found() {
    refused("SELECT 1 \\! touch x", StatementProblem::Backslash);
    refused("SELECT 1\n\\! touch x", StatementProblem::Backslash);
    for sql in [
        "SELECT 'a",
        "SELECT E'a\\'",
        "SELECT \"a",
        "SELECT $x$ a $y$",
        "SELECT 1 /* /* */",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;",
    ] {
        refused(sql, StatementProblem::Unended);
    }
    for sql in ["SELECT E'a'\n'\\'; COMMIT; --'", "SELECT 1$a$; COMMIT; --$a$", "SELECT $1$a$; COMMIT; --$a$"]
    {
        refused(sql, StatementProblem::Ambiguous);
    }
}

#[test]
fn default_privileges_are_dropped_by_several_statements() {
    let drop = |object: &str| {
        let command = "ALTER DEFAULT PRIVILEGES FOR ROLE o".to_owned();
        super::drop_statements(&crate::DropStatement { command, object: object.to_owned() }, true)
    };
    let both =
        "REVOKE ALL ON TABLES FROM \"a;b\"; ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT ALL ON TABLES TO c";
    let expected = [
        "ALTER DEFAULT PRIVILEGES FOR ROLE o REVOKE ALL ON TABLES FROM \"a;b\"",
        "ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT ALL ON TABLES TO c",
    ];
    assert_eq!(drop(both).unwrap(), expected);
    assert_eq!(drop("REVOKE ALL ON TABLES FROM a; COMMIT"), Err(StatementProblem::Several));
}

#[test]
fn tokens_are_told_apart() {
    let found = tokens("Create \"a\"\"b\"(1.5, E'x\\'', $q$;$q$) -- end").unwrap();
    let found: Vec<(TokenKind, &str)> = found.iter().map(|Token { kind, text }| (*kind, *text)).collect();
    let expected = [
        (TokenKind::Word, "Create"),
        (TokenKind::QuotedName, "\"a\"\"b\""),
        (TokenKind::Symbol, "("),
        (TokenKind::Number, "1.5"),
        (TokenKind::Symbol, ","),
        (TokenKind::Text, "E'x\\''"),
        (TokenKind::Symbol, ","),
        (TokenKind::Text, "$q$;$q$"),
        (TokenKind::Symbol, ")"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_kind_has_its_commands_and_no_others() {
    let is_allowed = |kind: EntryKind, sql: &str| check(sql, |words| creates(kind, words)).is_ok();
    assert!(is_allowed(EntryKind::View, "CREATE VIEW s.v AS SELECT 1"));
    assert!(is_allowed(EntryKind::Trigger, "/* x */ create constraint TRIGGER t AFTER INSERT ON s.t"));
    assert!(is_allowed(EntryKind::Acl, "ALTER FUNCTION pg_catalog.f() OWNER TO a"));
    for sql in [
        "DO $$ BEGIN END $$",
        "COMMIT",
        "END",
        "PREPARE TRANSACTION 'x'",
        "SET session_replication_role TO replica",
        "COPY s.t TO PROGRAM 'touch x'",
        "ALTER SYSTEM SET archive_command TO 'touch x'",
        "ALTER ROLE a SUPERUSER",
        "CREATE ROLE a",
        "GRANT a TO b",
        "CREATE DATABASE x",
        "LOAD 'x'",
        "VACUUM",
        "\"CREATE\" VIEW s.v",
        "'CREATE VIEW'",
        "",
        "-- CREATE VIEW",
        "CALL s.p()",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN ANALYZE SELECT 1",
        "INSERT INTO s.t VALUES (1)",
        "TRUNCATE s.t",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
    ] {
        for kind in [
            EntryKind::View,
            EntryKind::Index,
            EntryKind::Trigger,
            EntryKind::Rule,
            EntryKind::Table,
            EntryKind::Statistics,
            EntryKind::Comment,
            EntryKind::TableData,
            EntryKind::Database,
        ] {
            assert!(!is_allowed(kind, sql), "{kind}: {sql}");
        }
    }
}
