//! Reads domains with their constraints.

use dbhaul_catalog::kinds::{Body, Domain, DomainConstraint};
use dbhaul_catalog::{Class, quote_literal};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    base_type: String,
    collation: Option<String>,
    default_expression: Option<String>,
    default_text: Option<String>,
    not_null: bool,
    not_null_name: Option<String>,
    not_null_comment: Option<String>,
    constraints: Option<Vec<DomainConstraint>>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    for row in reader.query::<Row>("domains", &query()).await? {
        let domain = Domain {
            base_type: row.base_type,
            collation: row.collation,
            default: row.default_expression.or_else(|| row.default_text.as_deref().map(quote_literal)),
            not_null: row.not_null,
            not_null_name: row.not_null_name,
            not_null_comment: row.not_null_comment,
            constraints: row.constraints.unwrap_or_default(),
        };
        reader.push(row.header.object("domains", Class::PG_TYPE, Body::from(domain))?);
    }
    Ok(())
}

/// Constraints of type `n` appear in version 17. One has a name of its own where
/// the server would choose another, or where that is also the name of another constraint.
fn query() -> String {
    format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name,
                pg_catalog.pg_get_userbyid(t.typowner) AS owner, t.typacl::text[] AS acl,
                pg_catalog.format_type(t.typbasetype, t.typtypmod) AS base_type,
                (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.collname)
                 FROM pg_catalog.pg_collation c
                 JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace
                 WHERE c.oid = t.typcollation AND t.typcollation <> b.typcollation) AS collation,
                pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::pg_catalog.regclass)
                    AS default_expression,
                t.typdefault AS default_text, t.typnotnull AS not_null,
                CASE WHEN nn.conname <> t.typname || '_not_null' OR EXISTS (
                  SELECT FROM pg_catalog.pg_constraint other WHERE other.conname = nn.conname
                    AND other.connamespace = nn.connamespace AND other.oid <> nn.oid) THEN nn.conname END
                    AS not_null_name,
                pg_catalog.obj_description(nn.oid, 'pg_constraint') AS not_null_comment,
                (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c.conname,
                            'definition', pg_catalog.pg_get_constraintdef(c.oid),
                            'validated', c.convalidated,
                            'comment', pg_catalog.obj_description(c.oid, 'pg_constraint'))
                            ORDER BY c.conname)
                 FROM pg_catalog.pg_constraint c
                 WHERE c.contypid = t.oid AND c.contype = 'c') AS constraints
         FROM pg_catalog.pg_type t
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
         LEFT JOIN pg_catalog.pg_constraint nn ON nn.contypid = t.oid AND nn.contype = 'n'
         WHERE t.typtype = 'd' AND {USER_SCHEMA}"
    )
}
