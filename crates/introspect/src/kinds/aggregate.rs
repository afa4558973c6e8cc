//! Reads aggregate functions.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{
    Aggregate, AggregateKind, AggregateState, Body, FinalFunction, FinalModify, MovingState,
};
use serde::Deserialize;

use super::function::parallel_safety;
use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    arguments: String,
    identity_arguments: String,
    argument_types: Vec<String>,
    kind: String,
    parallel: String,
    state: StateRow,
    moving: Option<StateRow>,
    inverse: Option<String>,
    combine: Option<String>,
    serialize: Option<String>,
    deserialize: Option<String>,
    sort_operator: Option<String>,
    support: Option<String>,
}

/// A state of `pg_aggregate`: the plain one or the moving one.
#[derive(Deserialize)]
struct StateRow {
    transition: String,
    type_name: String,
    size_bytes: i32,
    initial: Option<String>,
    final_function: Option<String>,
    extra: bool,
    modify: String,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    for row in reader.query::<Row>("aggregates", &query()).await? {
        let (header, aggregate) = aggregate(row)?;
        reader.push(header.object("aggregates", Class::PG_PROC, Body::from(aggregate))?);
    }
    Ok(())
}

fn query() -> String {
    let state = |prefix: &str| {
        format!(
            "pg_catalog.json_build_object('transition', a.agg{prefix}transfn::text,
                 'type_name', pg_catalog.format_type(a.agg{prefix}transtype, NULL),
                 'size_bytes', a.agg{prefix}transspace, 'initial', a.agg{prefix}initval,
                 'final_function', CASE WHEN a.agg{prefix}finalfn <> 0 THEN a.agg{prefix}finalfn::text END,
                 'extra', a.agg{prefix}finalextra, 'modify', a.agg{prefix}finalmodify::text)"
        )
    };
    format!(
        "SELECT p.oid::int8 AS oid, n.nspname AS schema, p.proname AS name,
                pg_catalog.pg_get_userbyid(p.proowner) AS owner, p.proacl::text[] AS acl,
                CASE WHEN p.pronargs = 0 THEN '*'
                     ELSE pg_catalog.pg_get_function_arguments(p.oid) END AS arguments,
                CASE WHEN p.pronargs = 0 THEN '*'
                     ELSE pg_catalog.pg_get_function_identity_arguments(p.oid) END AS identity_arguments,
                ARRAY(SELECT pg_catalog.format_type(t.type, NULL)
                      FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS t(type, place)
                      ORDER BY t.place) AS argument_types,
                a.aggkind::text AS kind, p.proparallel::text AS parallel, {plain} AS state,
                CASE WHEN a.aggmtransfn <> 0 THEN {moving} END AS moving,
                CASE WHEN a.aggmtransfn <> 0 THEN a.aggminvtransfn::text END AS inverse,
                CASE WHEN a.aggcombinefn <> 0 THEN a.aggcombinefn::text END AS combine,
                CASE WHEN a.aggserialfn <> 0 THEN a.aggserialfn::text END AS serialize,
                CASE WHEN a.aggdeserialfn <> 0 THEN a.aggdeserialfn::text END AS deserialize,
                (SELECT 'OPERATOR(' || pg_catalog.quote_ident(opn.nspname) || '.' || o.oprname || ')'
                 FROM pg_catalog.pg_operator o
                 JOIN pg_catalog.pg_namespace opn ON opn.oid = o.oprnamespace
                 WHERE o.oid = a.aggsortop) AS sort_operator,
                CASE WHEN p.prosupport <> 0 THEN p.prosupport::text END AS support
         FROM pg_catalog.pg_proc p
         JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         WHERE p.prokind = 'a' AND {USER_SCHEMA}",
        plain = state(""),
        moving = state("m"),
    )
}

fn aggregate(row: Row) -> Result<(Header, Aggregate), Error> {
    let header = row.header;
    let moving = match (row.moving, row.inverse) {
        (Some(moving), Some(inverse)) => Some(MovingState { state: state(&header, moving)?, inverse }),
        _ => None,
    };
    let aggregate = Aggregate {
        arguments: row.arguments,
        identity_arguments: row.identity_arguments,
        argument_types: row.argument_types,
        kind: match row.kind.as_str() {
            "n" => AggregateKind::Normal,
            "o" => AggregateKind::OrderedSet,
            "h" => AggregateKind::HypotheticalSet,
            other => return Err(header.unexpected("the kind of aggregate", other)),
        },
        state: state(&header, row.state)?,
        moving,
        combine: row.combine,
        serialize: row.serialize,
        deserialize: row.deserialize,
        sort_operator: row.sort_operator,
        support: row.support,
        parallel: parallel_safety(&header, &row.parallel)?,
    };
    Ok((header, aggregate))
}

fn state(header: &Header, row: StateRow) -> Result<AggregateState, Error> {
    let modify = match row.modify.as_str() {
        "r" => FinalModify::ReadOnly,
        "s" => FinalModify::Shareable,
        "w" => FinalModify::ReadWrite,
        other => return Err(header.unexpected("the final function's effect", other)),
    };
    let extra = row.extra;
    Ok(AggregateState {
        transition: row.transition,
        type_name: row.type_name,
        size_bytes: row.size_bytes,
        initial: row.initial,
        final_function: row.final_function.map(|function| FinalFunction { function, extra, modify }),
    })
}
