//! Reads base types.

use dbhaul_catalog::kinds::{BaseType, Body};
use dbhaul_catalog::{Class, quote_literal};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    length: i32,
    input: String,
    output: String,
    receive: Option<String>,
    send: Option<String>,
    modifier_input: Option<String>,
    modifier_output: Option<String>,
    analyze: Option<String>,
    subscript: Option<String>,
    collatable: bool,
    default_expression: Option<String>,
    default_text: Option<String>,
    element: Option<String>,
    category: String,
    preferred: bool,
    delimiter: String,
    alignment: String,
    storage: String,
    by_value: bool,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("base types", &sql).await? {
        let (header, base) = base_type(row)?;
        reader.push(header.object("base types", Class::PG_TYPE, Body::from(base))?);
    }
    Ok(())
}

/// Array types come with their elements' types.
fn query(major: u32) -> String {
    let function =
        |column: &str| format!("CASE WHEN t.{column} <> 0 THEN t.{column}::pg_catalog.regproc::text END");
    let subscript = if major >= 14 { function("typsubscript") } else { "NULL".to_owned() };
    format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name,
                pg_catalog.pg_get_userbyid(t.typowner) AS owner, t.typacl::text[] AS acl,
                t.typlen AS length, t.typinput::text AS input, t.typoutput::text AS output,
                {receive} AS receive, {send} AS send, {modin} AS modifier_input,
                {modout} AS modifier_output, {analyze} AS analyze, {subscript} AS subscript,
                t.typcollation <> 0 AS collatable,
                pg_catalog.pg_get_expr(t.typdefaultbin, 0) AS default_expression,
                t.typdefault AS default_text,
                CASE WHEN t.typelem <> 0 THEN pg_catalog.format_type(t.typelem, NULL) END AS element,
                t.typcategory::text AS category, t.typispreferred AS preferred,
                t.typdelim::text AS delimiter, t.typalign::text AS alignment,
                t.typstorage::text AS storage, t.typbyval AS by_value
         FROM pg_catalog.pg_type t
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype = 'b' AND {USER_SCHEMA}
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)",
        receive = function("typreceive"),
        send = function("typsend"),
        modin = function("typmodin"),
        modout = function("typmodout"),
        analyze = function("typanalyze"),
    )
}

fn base_type(row: Row) -> Result<(Header, BaseType), Error> {
    let header = row.header;
    let alignment = match row.alignment.as_str() {
        "c" => "char",
        "s" => "int2",
        "i" => "int4",
        "d" => "double",
        other => return Err(header.unexpected("the alignment", other)),
    };
    let storage = match row.storage.as_str() {
        "p" => "plain",
        "e" => "external",
        "x" => "extended",
        "m" => "main",
        other => return Err(header.unexpected("the storage", other)),
    };
    let base = BaseType {
        length: row.length,
        input: row.input,
        output: row.output,
        receive: row.receive,
        send: row.send,
        modifier_input: row.modifier_input,
        modifier_output: row.modifier_output,
        analyze: row.analyze,
        subscript: row.subscript,
        collatable: row.collatable,
        default: row.default_expression.or_else(|| row.default_text.as_deref().map(quote_literal)),
        element: row.element,
        category: row.category,
        preferred: row.preferred,
        delimiter: row.delimiter,
        alignment: alignment.to_owned(),
        storage: storage.to_owned(),
        by_value: row.by_value,
    };
    Ok((header, base))
}
