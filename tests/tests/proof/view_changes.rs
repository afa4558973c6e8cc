//! Changes of views and materialized views.

use crate::objects::Change;

/// See [`Change`].
pub(crate) const VIEWS: &[Change] = &[
    (
        13,
        "view_query",
        "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t",
        "CREATE OR REPLACE VIEW v AS SELECT a FROM t WHERE a > 0",
        &["VIEW $s.v: body.definition"],
    ),
    (
        13,
        "view_columns",
        "CREATE VIEW v AS SELECT 1 AS a",
        "ALTER VIEW v RENAME a TO b",
        &["VIEW $s.v: body.columns.0.name", "VIEW $s.v: body.definition"],
    ),
    (
        13,
        "view_barrier",
        "CREATE VIEW v AS SELECT 1 AS a",
        "ALTER VIEW v SET (security_barrier = true)",
        &["VIEW $s.v: body.options"],
    ),
    (
        15,
        "view_invoker",
        "CREATE VIEW v AS SELECT 1 AS a",
        "ALTER VIEW v SET (security_invoker = true)",
        &["VIEW $s.v: body.options"],
    ),
    (
        13,
        "view_check_option",
        "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t WHERE a > 0 WITH LOCAL CHECK OPTION",
        "ALTER VIEW v SET (check_option = cascaded)",
        &["VIEW $s.v: body.check_option"],
    ),
    (
        13,
        "view_default",
        "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t",
        "ALTER VIEW v ALTER a SET DEFAULT 7",
        &["DEFAULT $s.a v: extra"],
    ),
    (
        13,
        "view_elsewhere",
        "CREATE TABLE t (a int); CREATE SCHEMA $s2; CREATE TABLE $s2.t (a int); CREATE VIEW v AS SELECT a FROM t",
        "CREATE OR REPLACE VIEW v AS SELECT a FROM $s2.t",
        &["VIEW $s.v: body.definition"],
    ),
    (13, "view_owner", "CREATE VIEW v AS SELECT 1 AS a", "ALTER VIEW v OWNER TO one", &["VIEW $s.v: owner"]),
    (
        13,
        "view_grant",
        "CREATE VIEW v AS SELECT 1 AS a; GRANT SELECT ON v TO one",
        "REVOKE SELECT ON v FROM one",
        &["VIEW $s.v: acl"],
    ),
    (
        13,
        "view_comment",
        "CREATE VIEW v AS SELECT 1 AS a",
        "COMMENT ON VIEW v IS 'x'",
        &["VIEW $s.v: comment"],
    ),
    (13, "view_missing", "CREATE VIEW v AS SELECT 1 AS a", "DROP VIEW v", &["VIEW $s.v: missing"]),
    (
        13,
        "view_trigger",
        "CREATE VIEW v AS SELECT 1 AS a; CREATE TRIGGER g INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION fire()",
        "DROP TRIGGER g ON v",
        &["TRIGGER $s.g v: missing"],
    ),
    (
        13,
        "stored_query",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
        "DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT 2 AS a",
        &["MATERIALIZED VIEW $s.m: body.definition"],
    ),
    (
        13,
        "stored_index",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE INDEX i ON m (a)",
        "DROP INDEX i",
        &["INDEX $s.i: missing"],
    ),
    (
        13,
        "stored_option",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
        "ALTER MATERIALIZED VIEW m SET (fillfactor = 50)",
        &["MATERIALIZED VIEW $s.m: body.options"],
    ),
];
