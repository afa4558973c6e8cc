//! The row digest: what a `Cutter` makes of COPY text and what the server makes of its rows are one value.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};

use dbhaul_rows::{
    Chunk, CutParameters, Cutter, DigestColumn, DigestSpec, FieldIter, RowDigest, TextForm, escape_field,
    split_rows,
};
use dbhaul_tests::{Encoding, MAJORS, Server};

/// A table of many types, with the values that print in surprising ways. `(-128)::int4::"char"` is the byte 0x80.
const KINDS: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'it''s, "fine"');
CREATE DOMAIN flag AS bool;
CREATE DOMAIN padded AS char(5);
CREATE DOMAIN padded_again AS padded;
CREATE DOMAIN net AS inet;
CREATE DOMAIN counted AS int4;
CREATE TYPE pair AS (a int4, b bool, c char(3), d text);
CREATE TABLE kinds (
    i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, n numeric, n2 numeric(10,2), m money,
    t text, v varchar(200), bp char(5), ch "char", nm name, b bool,
    d date, tm time, tmz timetz, ts timestamp, tsz timestamptz, iv interval,
    u uuid, ba bytea, j json, jb jsonb, x xml, i inet, c cidr, mac macaddr, mac8 macaddr8,
    bi bit(5), vb varbit, tv tsvector, tq tsquery, lsn pg_lsn, ti tid, rc regclass,
    pt point, pl polygon, ir int4range, tr tsrange,
    e mood, fl flag, pd padded, pda padded_again, nt net, ct counted, co pair,
    ai int4[], at text[], ab bool[], abp char(3)[], aco pair[], ac "char"[], "Odd ""name""	é" text, alsn pg_lsn[]
);
INSERT INTO kinds (i4) VALUES (NULL);
INSERT INTO kinds VALUES (
    -32768, -2147483648, -9223372036854775808, 4294967295, 'NaN', '-Infinity', 'NaN', -0.10, -1234.5,
    '', '', '', '', '', false,
    '-infinity', '24:00', '00:00-15:59', '4714-11-24 00:00:00 BC', 'infinity', '-178000000 years 1 mon -3 days 04:05:06.789',
    '00000000-0000-0000-0000-000000000000', '', 'null', 'null', '', '10.0.0.1/32', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
    '00000', '', '', '', '0/0', '(0,1)', 'pg_catalog.pg_class',
    '(NaN,-0)', '((0,0),(1,1e300))', 'empty', '(,)',
    'sad', false, '', '', '::1', -1, ROW(NULL, NULL, NULL, NULL),
    '{}', '{}', '{}', '{}', '{}', '{}', '');
INSERT INTO kinds VALUES (
    1, 2, 3, 4, 0.1, 1e-308, 123456789012345678901234567890.123456789, 99999999.99, 92233720368547758.07,
    E'tab\tline\nreturn\rback\\slash \\N \\. \x08\x0b\x0c quote'' "double"', E'\\N', 'ab ', (-128)::int4::"char", 'Name', true,
    '0044-03-15 BC', '23:59:59.999999', '12:00+05:30', '2026-03-01'::timestamp - '1 microsecond'::interval, '2026-03-29 01:30:00+00', '1 year 2 mons -3 days',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff5c6e0a', '{"b": 1,  "a": [1, null]}', '{"b": 1,  "a": [1, null]}', '<a b="c">é</a>', '192.168.1.5/24', '::ffff:1.2.3.0/120', '08:00:2b:01:02:04', '08:00:2b:01:02:03:04:06',
    '10101', '1', 'a:1 b:2A,3', 'a & !b <-> c', '16/B374D848', '(4294967295,65535)', NULL,
    '(1.5,2.5)', '((1,2),(3,4),(5,6))', '[1,5)', '["2026-01-01 00:00",)',
    'it''s, "fine"', true, 'xy', 'z', '10.1.2.3/8', 5, ROW(1, true, 'ab', E'a,b "c"\n'),
    '{1,NULL,-3}', E'{"",NULL,"NULL","a\\\\b","tab\there",é}', '{t,f,NULL}', '{a,"b "}', ARRAY[ROW(1, false, 'x', NULL)::pair, NULL], ARRAY['a', 'b']::"char"[], 'odd');
INSERT INTO kinds (t, v, ch, bp, nm, b, co) VALUES
    ('Zwölf Boxkämpfer 😀 漢字', 'ÿ', (-1)::int4::"char", 'é', 'né', NULL, ROW(NULL, false, NULL, '')),
    (repeat('0123456789é', 20000), repeat(E'\n', 200), '\', '     ', '\', true, NULL),
    ('\', '\\', '1', '\', 'x', false, ROW(0, NULL, '', '\'));
INSERT INTO kinds (t, v, ch, bp, nm, b, co) SELECT t, v, ch, bp, nm, b, co FROM kinds WHERE t = '\';
UPDATE kinds SET alsn = '{0/0,0/1,NULL,16/B374D848,A0/100,FFFFFFFF/FFFFFFFF}' WHERE nm = 'Name';
"#;

/// psql with the settings that shape text pinned, as every session of dbhaul has them.
fn psql(server: &Server, client_encoding: &str, statements: &[&str]) -> Command {
    let mut psql = server.client("psql");
    psql.env("PGCLIENTENCODING", client_encoding).env(
        "PGOPTIONS",
        "-c extra_float_digits=3 -c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c bytea_output=hex \
         -c lc_monetary=C -c xmlbinary=base64",
    );
    psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", "SET search_path = ''"]);
    for statement in statements {
        psql.args(["-c", statement]);
    }
    psql
}

fn output(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(command: Command) -> String {
    String::from_utf8(output(command)).unwrap()
}

/// How the columns of `public.<table>` are hashed, read from the catalog as dbhaul reads it.
fn spec(server: &Server, table: &str, form: TextForm) -> DigestSpec {
    let sql = format!(
        "WITH RECURSIVE base AS (
           SELECT a.attnum, a.attname, t.oid, t.typtype, t.typbasetype FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = 'public.{table}'::regclass AND a.attnum > 0
           UNION ALL
           SELECT b.attnum, b.attname, t.oid, t.typtype, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typbasetype
            WHERE b.typtype = 'd')
         SELECT json_build_array(attname, format_type(oid, -1)) FROM base WHERE typtype <> 'd' ORDER BY attnum"
    );
    let rows = text(psql(server, "UTF8", &[&sql]));
    let columns = rows.lines().map(|row| {
        let (name, type_name): (String, String) = serde_json::from_str(row).unwrap();
        DigestColumn::new(name, &type_name)
    });
    DigestSpec::new(columns.collect(), form)
}

/// The digest that the server computes with each spec.
fn server_digests(server: &Server, table: &str, specs: &[DigestSpec]) -> Vec<RowDigest> {
    let queries: Vec<String> =
        specs.iter().map(|spec| spec.sql_query(&format!("public.{table}")) + ";\n").collect();
    // By file: the query of a wide table is longer than an argument may be.
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(queries.concat().as_bytes()).unwrap();
    let mut psql = psql(server, "UTF8", &[]);
    psql.arg("-f").arg(script.path());
    let rows = text(psql);
    rows.lines().map(|row| row.replace('|', ":").parse().unwrap()).collect()
}

fn copy_out(server: &Server, table: &str, client_encoding: &str) -> Vec<u8> {
    output(psql(server, client_encoding, &[&format!("COPY public.{table} TO STDOUT")]))
}

/// The digest of COPY text.
fn digest(copy: &[u8], spec: &DigestSpec) -> RowDigest {
    let mut cutter = Cutter::new(CutParameters::default(), spec).unwrap();
    let mut chunks: Vec<Chunk> = Vec::new();
    copy.chunks(1000).for_each(|piece| cutter.push(piece, &mut chunks).unwrap());
    chunks.extend(cutter.finish().unwrap());
    chunks.iter().map(|chunk| chunk.digest).collect()
}

/// One column of COPY text.
fn column(copy: &[u8], index: usize) -> Vec<u8> {
    let fields = split_rows(copy).map(|row| FieldIter::new(row).nth(index).unwrap());
    fields.flat_map(|field| [field, b"\n"].concat()).collect()
}

/// Asserts that both sides agree on each column by itself and on the table; returns the digests by column.
fn check(server: &Server, table: &str, form: TextForm, client_encoding: &str) -> Vec<(String, RowDigest)> {
    let spec = spec(server, table, form);
    let mut specs: Vec<DigestSpec> =
        spec.columns.iter().map(|column| DigestSpec::new(vec![column.clone()], form)).collect();
    specs.push(spec);
    let copy = copy_out(server, table, client_encoding);
    let expected = server_digests(server, table, &specs);
    assert_eq!(expected.len(), specs.len());
    let mut digests = Vec::new();
    for (index, (spec, expected)) in specs.iter().zip(expected).enumerate() {
        let whole = index + 1 == specs.len();
        let found = if whole { digest(&copy, spec) } else { digest(&column(&copy, index), spec) };
        let name = if whole { "the table" } else { &spec.columns[0].name };
        assert_eq!(found, expected, "{name} on {}", server.major());
        digests.push((name.to_owned(), found));
    }
    digests
}

#[test]
fn both_sides_agree_on_every_type_and_every_major() {
    let mut of_first = None;
    for major in MAJORS {
        let server = Server::start(major);
        server.psql("postgres", KINDS);
        let digests = check(&server, "kinds", TextForm::Raw, "UTF8");
        assert!(digests.len() > 50 && digests.iter().all(|(_, digest)| digest.row_count == 7));
        assert_eq!(
            *of_first.get_or_insert_with(|| digests.clone()),
            digests,
            "{major} against {}",
            MAJORS[0]
        );
    }
}

#[test]
fn a_value_of_another_encoding_is_hashed_as_hex_of_utf8() {
    let latin = Server::builder(16).encoding(Encoding::Latin1).start();
    let utf8 = Server::start(16);
    for server in [&latin, &utf8] {
        let sql = r"CREATE TABLE t (a text, b char(4), c bool, d text[]);
                    INSERT INTO t VALUES ('Größe' || chr(9), 'é', true, '{ÿ,NULL}'), (NULL, '', NULL, NULL)";
        output(psql(server, "UTF8", &["SET search_path = public", sql]));
    }
    assert_eq!(TextForm::for_server_encoding("LATIN1"), TextForm::Utf8Hex);
    let digests = check(&latin, "t", TextForm::Utf8Hex, "UTF8");
    assert_eq!(digests, check(&utf8, "t", TextForm::Utf8Hex, "UTF8"));
}

#[test]
fn bytes_of_no_encoding_are_hashed_as_they_are() {
    let server = Server::builder(17).encoding(Encoding::SqlAscii).start();
    assert_eq!(TextForm::for_server_encoding("SQL_ASCII"), TextForm::Raw);
    output(psql(
        &server,
        "SQL_ASCII",
        &[
            r"CREATE TABLE public.t (a text, b bytea)",
            r"INSERT INTO public.t VALUES (E'\xff\xfe\t\x80', '\xff'), ('', NULL)",
        ],
    ));
    check(&server, "t", TextForm::Raw, "SQL_ASCII");
}

#[test]
fn rows_without_columns_and_rows_of_1600_columns_are_counted_and_hashed() {
    for major in [MAJORS[0], MAJORS[6]] {
        let server = Server::start(major);
        let names: Vec<String> = (0..1600).map(|n| format!("c{n} bool")).collect();
        server.psql(
            "postgres",
            &format!(
                "CREATE TABLE none (); INSERT INTO none SELECT FROM generate_series(1, 3);
                 CREATE TABLE wide ({}); INSERT INTO wide (c0, c1599) VALUES (true, false), (NULL, true)",
                names.join(", ")
            ),
        );
        let none = DigestSpec::default();
        let found = digest(&copy_out(&server, "none", "UTF8"), &none);
        assert_eq!(found, RowDigest { row_count: 3, sum: 0 });
        assert_eq!(server_digests(&server, "none", &[none]), [found]);
        let wide = spec(&server, "wide", TextForm::Raw);
        let found = digest(&copy_out(&server, "wide", "UTF8"), &wide);
        assert_eq!(server_digests(&server, "wide", &[wide]), [found]);
    }
}

#[test]
fn rows_escaped_here_are_read_there_and_come_back_the_same() {
    let server = Server::start(18);
    server.psql("postgres", "CREATE TABLE t (a text, b bytea)");
    let mut copy = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2000 {
        let mut value = String::new();
        for _ in 0..random % 20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value.push(
                ['\t', '\n', '\r', '\\', 'N', '.', '\u{8}', '\u{b}', '\u{c}', 'x', 'é', '😀', '\u{1}']
                    [(random >> 40) as usize % 13],
            );
        }
        escape_field((random >> 33 & 7 != 0).then_some(value.as_bytes()), &mut copy);
        copy.push(b'\t');
        escape_field(Some(format!("\\x{}", "5c".repeat(value.len())).as_bytes()), &mut copy);
        copy.push(b'\n');
        random = random.rotate_left(7) ^ 0x5555;
    }
    let mut child =
        psql(&server, "UTF8", &["COPY public.t FROM STDIN"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&copy).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(copy_out(&server, "t", "UTF8"), copy);
    check(&server, "t", TextForm::Raw, "UTF8");
}
