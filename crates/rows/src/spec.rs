//! How the columns of a table take part in its row digest, here and on a server.
//!
//! The SQL names everything with its schema, operators too: it may be run under a search path of the
//! database's, whose owner may have put operators of their own there.

use serde::{Deserialize, Serialize};

use crate::binary_text::{LONG_BYTEA_MARK, LONGEST_HEX_BYTEA_BYTES};
use crate::hasher::RowHasher;
use crate::{FIELD_DELIMITER, ROW_TERMINATOR, RowsError};

/// Version of the digest's definition: sentinel, chaining and text forms. Values of different versions do not compare.
pub const DIGEST_VERSION: u32 = 1;

/// What is hashed in the place of NULL: long enough that no value is it by chance.
pub const NULL_MARK: &str = "dbhaul:NULL:4d0f6a52c1e94b7f8a3be65d19c7d208";

/// How the text of one column is obtained on a server so that it is what COPY prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestKind {
    /// `c::text`; for types whose cast to text is their output function.
    Cast,
    /// `c::text` of a bytea, unless that would exceed what a server can hold: then `sha256:` and the
    /// hash in hex. No such value can be in a backup, where it is the same as [`DigestKind::Cast`].
    #[serde(rename(serialize = "cast"), skip_deserializing)]
    Bytea,
    /// `concat(c)`, which calls the output function of any type; the safe form.
    Output,
    /// The type `"char"`, which prints a byte >= 0x80 as itself before 15 and as `\ooo` from 15 on.
    /// Both sides hash `\ooo`. (With [`TextForm::Utf8Hex`] it is treated as [`DigestKind::Output`], so
    /// there such a byte compares unequal between a server before 15 and one from 15 on.)
    Char,
    /// `c::text` of a `pg_lsn` or of an array of them, without the zeros that 19 puts behind the slash
    /// (`0/00000000`, before 19 `0/0`).
    Lsn,
}

impl DigestKind {
    /// The kind for a base type (domains resolved), by its name as `format_type` prints it with an empty
    /// `search_path` (`integer`, `"char"`, `integer[]`, `public.mood`) or its `pg_type.typname` if it
    /// stands in `pg_catalog` (`int4`, `char`, `_int4`).
    ///
    /// All that are not known to be safe to cast take [`DigestKind::Output`]. Not on the list on
    /// purpose: bpchar, name, bool, inet and cidr, whose cast to text is not their output function,
    /// and xml, whose output may drop its declaration.
    #[must_use]
    pub fn for_base_type(type_name: &str) -> Self {
        if matches!(type_name, "char" | "\"char\"") {
            return Self::Char;
        }
        if type_name == "bytea" {
            return Self::Bytea;
        }
        if matches!(type_name, "pg_lsn" | "pg_lsn[]" | "_pg_lsn") {
            return Self::Lsn;
        }
        let element =
            type_name.strip_suffix("[]").or_else(|| type_name.strip_prefix('_')).unwrap_or(type_name);
        if CAST_IS_OUTPUT.contains(&element) { Self::Cast } else { Self::Output }
    }
}

/// Built-in types whose cast to text calls their output function or changes nothing, by both names.
const CAST_IS_OUTPUT: &[&str] = &[
    "int2",
    "smallint",
    "int4",
    "integer",
    "int8",
    "bigint",
    "oid",
    "float4",
    "real",
    "float8",
    "double precision",
    "numeric",
    "text",
    "varchar",
    "character varying",
    "date",
    "time",
    "time without time zone",
    "timetz",
    "time with time zone",
    "timestamp",
    "timestamp without time zone",
    "timestamptz",
    "timestamp with time zone",
    "interval",
    "uuid",
    "bytea",
    "json",
    "jsonb",
    "bit",
    "\"bit\"",
    "varbit",
    "bit varying",
    "macaddr",
    "macaddr8",
    "tsvector",
    "tsquery",
];

/// One column of a COPY, in the order of the COPY's column list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestColumn {
    /// The column's name, not quoted.
    pub name: String,
    /// How its text is obtained.
    pub kind: DigestKind,
}

impl DigestColumn {
    /// A column of the base type `type_name`; see [`DigestKind::for_base_type`] for the spelling.
    #[must_use]
    pub fn new(name: impl Into<String>, type_name: &str) -> Self {
        Self { name: name.into(), kind: DigestKind::for_base_type(type_name) }
    }
}

/// Which bytes of a value's text are hashed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextForm {
    /// The bytes as the server holds them: databases in UTF8 and SQL_ASCII.
    #[default]
    Raw,
    /// The lower-case hex digits of the text in UTF-8: databases in any other encoding, and the form to
    /// choose where two databases of different encodings are compared. The COPY must run with
    /// `client_encoding` UTF8.
    Utf8Hex,
}

impl TextForm {
    /// The form for a database, by the name of its encoding (`pg_encoding_to_char`).
    #[must_use]
    pub fn for_server_encoding(encoding: &str) -> Self {
        if ["UTF8", "SQL_ASCII"].iter().any(|name| encoding.eq_ignore_ascii_case(name)) {
            Self::Raw
        } else {
            Self::Utf8Hex
        }
    }
}

/// How the rows of one table are hashed.
///
/// A row's hash is chained through the seed: `h1 = hash(c1, 0)`, `hN = hash(cN, h(N-1))`, with
/// [`NULL_MARK`] for NULL. A row without columns has the hash 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestSpec {
    /// The columns, in the order of the COPY.
    pub columns: Vec<DigestColumn>,
    /// Which bytes are hashed.
    pub text_form: TextForm,
}

impl DigestSpec {
    /// A spec over columns in COPY order.
    #[must_use]
    pub fn new(columns: Vec<DigestColumn>, text_form: TextForm) -> Self {
        Self { columns, text_form }
    }

    /// The hash of one row of COPY text, with or without its line feed.
    ///
    /// # Errors
    /// [`RowsError::ColumnCount`] and [`RowsError::BadEscape`], with row 1.
    pub fn hash_row(&self, row: &[u8]) -> Result<u64, RowsError> {
        let row = row.strip_suffix(&[ROW_TERMINATOR]).unwrap_or(row);
        let mut hasher = RowHasher::new(self);
        let mut start = 0;
        for (at, byte) in row.iter().enumerate() {
            match *byte {
                b'\\' => hasher.mark_escaped(),
                FIELD_DELIMITER => {
                    hasher.field(&row[start..], at - start)?;
                    start = at + 1;
                }
                _ => {}
            }
        }
        hasher.end_row(&row[start..], row.len() - start)
    }

    /// The SQL expression (bigint) of one row's hash; `0` for a table without columns.
    #[must_use]
    pub fn sql_row_hash(&self) -> String {
        self.sql_hash_of(&(0..self.columns.len()).collect::<Vec<_>>(), 0)
    }

    /// The SQL expression (bigint) of the hash of some columns, chained from `seed`.
    ///
    /// `columns` are indexes into [`Self::columns`]; those out of range are left out. Used for the
    /// key buckets of a drill-down.
    #[must_use]
    pub fn sql_hash_of(&self, columns: &[usize], seed: i64) -> String {
        columns.iter().filter_map(|index| self.columns.get(*index)).fold(
            format!("'{seed}'::pg_catalog.int8"),
            |seed, column| {
                let text = sql_hashed_text(column, self.text_form);
                format!(
                    "pg_catalog.hashtextextended(COALESCE({text}, '{NULL_MARK}') COLLATE pg_catalog.\"C\", {seed})"
                )
            },
        )
    }

    /// The SQL expression (bigint) of the hash of one column's value by itself; NULL where the column is.
    #[must_use]
    pub fn sql_value_hash(&self, column: usize) -> Option<String> {
        let text = sql_hashed_text(self.columns.get(column)?, self.text_form);
        Some(format!("pg_catalog.hashtextextended({text} COLLATE pg_catalog.\"C\", '0'::pg_catalog.int8)"))
    }

    /// The SQL expression (integer) of how many bytes the text of a value has, in UTF-8 if that is what is hashed.
    #[must_use]
    pub fn sql_value_bytes(&self, column: usize) -> Option<String> {
        let text = sql_hashed_text(self.columns.get(column)?, self.text_form);
        Some(match self.text_form {
            TextForm::Raw => format!("pg_catalog.octet_length({text})"),
            TextForm::Utf8Hex => format!("pg_catalog.octet_length({text}) OPERATOR(pg_catalog./) 2"),
        })
    }

    /// The SQL expression (text) of the first characters of a value, as `COPY` prints it.
    #[must_use]
    pub fn sql_value_front(&self, column: usize, characters: u32) -> Option<String> {
        let text = sql_value_text(self.columns.get(column)?, self.text_form);
        Some(format!("pg_catalog.\"left\"({text}, {characters})"))
    }

    /// The SQL aggregate (numeric) whose value is [`RowDigest::sum`](crate::RowDigest::sum).
    #[must_use]
    pub fn sql_expression(&self) -> String {
        format!("COALESCE(pg_catalog.sum({}), 0)", self.sql_row_hash())
    }

    /// The query that returns one row `count int8, sum text` for the rows of one relation itself.
    ///
    /// `relation` is a quoted, qualified name. Join the two with `:` to parse a
    /// [`RowDigest`](crate::RowDigest). The session must have its text settings pinned.
    #[must_use]
    pub fn sql_query(&self, relation: &str) -> String {
        format!(
            "SELECT pg_catalog.count(*)::pg_catalog.int8 AS count, {}::pg_catalog.text AS sum FROM ONLY {relation}",
            self.sql_expression()
        )
    }
}

/// The SQL text of a column as it is hashed, NULL where the column is.
fn sql_hashed_text(column: &DigestColumn, form: TextForm) -> String {
    let text = sql_value_text(column, form);
    match form {
        TextForm::Raw => text,
        TextForm::Utf8Hex => {
            format!("pg_catalog.encode(pg_catalog.convert_to({text}, 'UTF8'), 'hex')")
        }
    }
}

/// The SQL text of a column before it is brought into another encoding.
fn sql_value_text(column: &DigestColumn, form: TextForm) -> String {
    let name = quote_identifier(&column.name);
    match (form, column.kind) {
        (TextForm::Raw, DigestKind::Bytea) => sql_bytea_text(&name),
        (TextForm::Raw, DigestKind::Char) => sql_char_text(&name),
        (_, DigestKind::Cast | DigestKind::Bytea) => format!("{name}::pg_catalog.text"),
        (_, DigestKind::Output | DigestKind::Char) => sql_output_text(&name),
        (_, DigestKind::Lsn) => sql_lsn_text(&name),
    }
}

/// The output function's text of any column. `IS DISTINCT FROM NULL`, because `IS NOT NULL` is false
/// for a composite value with a NULL inside; PostgreSQL turns it into a plain null test, so no `=`
/// operator is needed (`parse_expr.c`, `make_nulltest_from_distinct`).
fn sql_output_text(name: &str) -> String {
    format!("CASE WHEN {name} IS DISTINCT FROM NULL THEN pg_catalog.concat({name}) END")
}

/// The text of a bytea, or what stands for one that is too long for text. Its length is read without its bytes.
fn sql_bytea_text(name: &str) -> String {
    format!(
        "CASE WHEN pg_catalog.octet_length({name}) OPERATOR(pg_catalog.>) {LONGEST_HEX_BYTEA_BYTES} \
         THEN pg_catalog.concat('{LONG_BYTEA_MARK}', pg_catalog.encode(pg_catalog.sha256({name}), 'hex')) \
         ELSE {name}::pg_catalog.text END"
    )
}

/// The text of a `"char"` column as servers from 15 on print it. The cast to int4 is signed.
fn sql_char_text(name: &str) -> String {
    let byte = format!("({name}::pg_catalog.int4 OPERATOR(pg_catalog.+) 256)");
    let (by, rest) = ("OPERATOR(pg_catalog./)", "OPERATOR(pg_catalog.%)");
    format!(
        "CASE WHEN {name}::pg_catalog.int4 OPERATOR(pg_catalog.<) 0 THEN pg_catalog.concat(pg_catalog.chr(92), \
         {byte} {by} 64, {byte} {by} 8 {rest} 8, {byte} {rest} 8) \
         WHEN {name} IS DISTINCT FROM NULL THEN pg_catalog.concat({name}) END"
    )
}

/// The text of a `pg_lsn` column as servers before 19 print it.
fn sql_lsn_text(name: &str) -> String {
    format!("pg_catalog.regexp_replace({name}::pg_catalog.text, '/0+([0-9A-F])', '/\\1', 'g')")
}

/// Brings the text of a `pg_lsn`, or of an array of them, into the form that servers before 19 print.
pub(crate) fn shorten_lsn(text: &mut Vec<u8>) {
    let mut kept = Vec::with_capacity(text.len());
    let mut after_slash = false;
    for (at, &byte) in text.iter().enumerate() {
        let is_padding = after_slash && byte == b'0' && text.get(at + 1).is_some_and(u8::is_ascii_hexdigit);
        if !is_padding {
            kept.push(byte);
            after_slash = byte == b'/';
        }
    }
    *text = kept;
}

/// An identifier in double quotes, always.
fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
