//! Servers, databases and roles with other settings hold the same: no difference is found.

use dbhaul_tests::Server;

use crate::findings::{Findings, assert_finds, verify};

/// A row of each type whose text a setting shapes, and definitions with such constants.
const SHAPED: &str = "CREATE SCHEMA app; CREATE SCHEMA other;
    CREATE TYPE app.mood AS ENUM ('sad', 'happy');
    CREATE TABLE app.shaped (id int PRIMARY KEY, ts timestamp, tz timestamptz, d date, i interval, m money, b bytea, f4 float4, f8 float8,
        x xml, r tstzrange, dr daterange, p point, c app.mood, a timestamptz[], fa float8[], ba bytea[], n name, t text, k regclass, j jsonb);
    INSERT INTO app.shaped SELECT i, '2026-02-03 04:05:06.7', '2026-02-03 04:05:06.7+02', '2026-02-03', '1 year 2 mons -3 days 04:05:06.7',
        '-1234.56', '\\x00ff27', 1.0 / i::float4, 1.0 / i::float8, '<a b=\"1\">x</a>', '[2026-02-03 04:05:06+02,)', '[2026-02-03,2026-03-02)',
        point(1.0 / i, -1.0 / i), 'sad', ARRAY['2026-02-03 04:05:06.7+02'::timestamptz, NULL], ARRAY[1.0 / i::float8], ARRAY['\\x00ff27'::bytea], 'n', U&'\\00E9' || i,
        'app.shaped', '{\"a\": 1.50}' FROM generate_series(1, 50) i;
    CREATE TABLE app.constants (d date DEFAULT '2026-02-03', ts timestamptz DEFAULT '2026-02-03 04:05:06+02', i interval DEFAULT '1 year 2 mons 3 days',
        m money DEFAULT '1234.56'::numeric::money, b bytea DEFAULT '\\x00ff', f float8 DEFAULT 0.1, r float4 DEFAULT '0.1'::float4, t text DEFAULT E'a\\\\b',
        c app.mood DEFAULT 'sad', CONSTRAINT k CHECK (d > '2001-02-03'::date AND ts > '2001-02-03 04:05:06+00'::timestamptz AND i < '90 days'::interval AND f < 1e-7::float8));
    CREATE TABLE app.parts (d timestamptz, f float8) PARTITION BY RANGE (d);
    CREATE TABLE app.part PARTITION OF app.parts FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-07-01 00:00+00');
    CREATE TABLE app.float_parts (f float8) PARTITION BY LIST (f); CREATE TABLE app.float_part PARTITION OF app.float_parts FOR VALUES IN (0.1, 1e-7);
    INSERT INTO app.parts VALUES ('2026-02-03 04:05:06+02', 0.1);
    CREATE INDEX ON app.constants (d) WHERE d > '2020-01-02'::date;
    CREATE VIEW app.v AS SELECT id, ts + interval '1 mon 1 day' AS later, '2026-02-03'::date AS d, 0.1::float8 AS f, '\\x00ff'::bytea AS b FROM app.shaped;
    CREATE FUNCTION app.f(d date DEFAULT '2026-02-03', i interval DEFAULT '1 mon', f float8 DEFAULT 0.1) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE other.shaped (id int); CREATE FUNCTION other.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''other''';
    CREATE INDEX ON app.shaped (lower(t)); CREATE SEQUENCE app.s; SELECT setval('app.s', 7)";

/// Values of settings that shape text, each for the database, the role or the role in the database.
const ODD: [(&str, &str); 16] = [
    ("DateStyle", "German, DMY"),
    ("TimeZone", "America/St_Johns"),
    ("IntervalStyle", "sql_standard"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("search_path", "other, pg_catalog"),
    ("lc_monetary", "C.UTF-8"),
    ("lc_numeric", "C.UTF-8"),
    ("client_encoding", "LATIN1"),
    ("xmlbinary", "hex"),
    ("xmloption", "document"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "on"),
    ("default_transaction_read_only", "off"),
    ("statement_timeout", "1h"),
    ("row_security", "off"),
];

#[test]
fn no_setting_makes_a_difference() {
    let (left, right) = (Server::start(15), Server::start(18));
    for (server, db) in [(&left, "shop"), (&right, "copy")] {
        server.create_db(db);
        server.psql(db, SHAPED);
    }
    let (was, is) = (left.uri("shop"), right.uri("copy"));
    for scope in ["DATABASE copy", "ROLE postgres", "ROLE postgres IN DATABASE copy"] {
        for (name, value) in ODD {
            let value = if name == "search_path" { value.to_owned() } else { format!("'{value}'") };
            right.psql("postgres", &format!("ALTER {scope} SET {name} = {value}"));
        }
        for (from, to) in [(&was, &is), (&is, &was)] {
            for options in [&["--mode", "schema,deep"][..], &["--no-scratch"]] {
                assert_finds(scope, &verify(from, to, options), &Findings::new());
            }
        }
        right.psql("postgres", &format!("ALTER {scope} RESET ALL"));
    }
}

/// Other defaults of the cluster, in other locales and encodings.
#[test]
fn no_locale_makes_a_difference() {
    let (left, right) = (Server::start(17), Server::start(18));
    left.psql("postgres", "CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
    for (db, locale) in [
        ("icu", "LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk' LOCALE 'C'"),
        ("built_in", "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"),
        ("utf8", "LOCALE 'C.UTF-8'"),
    ] {
        right.psql("postgres", &format!("CREATE DATABASE {db} TEMPLATE template0 ENCODING 'UTF8' {locale}"));
    }
    left.psql("shop", SHAPED);
    for db in ["icu", "built_in", "utf8"] {
        right.psql(db, SHAPED);
        for (from, to) in [(left.uri("shop"), right.uri(db)), (right.uri(db), left.uri("shop"))] {
            assert_finds(db, &verify(&from, &to, &["--mode", "schema,deep"]), &Findings::new());
        }
    }
}
