//! Which kinds come first where no dependency says so.

/// The place of the privileges of schemas: who grants on what is in a schema must
/// be allowed into it.
pub(crate) const SCHEMA_ACL: u8 = 53;

/// The place of a TOC kind among others, after the priorities of
/// src/bin/pg_dump/pg_dump_sort.c. Kinds not listed come with the tables.
pub(crate) fn priority(kind: &str) -> u8 {
    match kind {
        "SCHEMA" => 1,
        "PROCEDURAL LANGUAGE" => 2,
        "COLLATION" => 3,
        "TRANSFORM" => 4,
        "EXTENSION" => 5,
        "SHELL TYPE" | "TYPE" | "DOMAIN" => 6,
        "CAST" => 7,
        "FUNCTION" | "PROCEDURE" => 8,
        "AGGREGATE" => 9,
        "ACCESS METHOD" => 10,
        "OPERATOR" => 11,
        "OPERATOR FAMILY" | "OPERATOR CLASS" => 12,
        "CONVERSION" => 13,
        "TEXT SEARCH PARSER" => 14,
        "TEXT SEARCH TEMPLATE" => 15,
        "TEXT SEARCH DICTIONARY" => 16,
        "TEXT SEARCH CONFIGURATION" => 17,
        "FOREIGN DATA WRAPPER" => 18,
        "SERVER" | "USER MAPPING" => 19,
        "TABLE ATTACH" => 21,
        "DEFAULT" => 22,
        "BLOB" => 23,
        "TABLE DATA" => 30,
        "SEQUENCE SET" => 31,
        "BLOBS" => 32,
        "CONSTRAINT" | "CHECK CONSTRAINT" => 40,
        "INDEX" => 41,
        "INDEX ATTACH" => 42,
        "STATISTICS" => 43,
        "RULE" => 44,
        "TRIGGER" => 45,
        "FK CONSTRAINT" => 46,
        "POLICY" | "ROW SECURITY" => 47,
        "PUBLICATION" => 48,
        "PUBLICATION TABLE" => 49,
        "PUBLICATION TABLES IN SCHEMA" => 50,
        "SUBSCRIPTION" => 51,
        "DEFAULT ACL" => 52,
        "ACL" => SCHEMA_ACL + 1,
        "EVENT TRIGGER" => 55,
        "MATERIALIZED VIEW DATA" => 56,
        _ => 20,
    }
}
