//! Reads operators.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Operator};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    operator: Operator,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let other = |column: &str| {
        format!(
            "(SELECT 'OPERATOR(' || pg_catalog.quote_ident(pn.nspname) || '.' || p.oprname || ')'
              FROM pg_catalog.pg_operator p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.oprnamespace
              WHERE p.oid = o.{column})"
        )
    };
    let function =
        |column: &str| format!("CASE WHEN o.{column} <> 0 THEN o.{column}::pg_catalog.regproc::text END");
    let side =
        |column: &str| format!("CASE WHEN o.{column} <> 0 THEN pg_catalog.format_type(o.{column}, NULL) END");
    let sql = format!(
        "SELECT o.oid::int8 AS oid, n.nspname AS schema, o.oprname AS name,
                pg_catalog.pg_get_userbyid(o.oprowner) AS owner, {code} AS function,
                {left} AS left_type, {right} AS right_type, {commutator} AS commutator,
                {negator} AS negator, o.oprcanmerge AS merges, o.oprcanhash AS hashes,
                {restrict} AS restrict, {join} AS join
         FROM pg_catalog.pg_operator o
         JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
         WHERE {USER_SCHEMA}",
        code = function("oprcode"),
        left = side("oprleft"),
        right = side("oprright"),
        commutator = other("oprcom"),
        negator = other("oprnegate"),
        restrict = function("oprrest"),
        join = function("oprjoin"),
    );
    for row in reader.query::<Row>("operators", &sql).await? {
        reader.push(row.header.object("operators", Class::PG_OPERATOR, Body::from(row.operator))?);
    }
    Ok(())
}
