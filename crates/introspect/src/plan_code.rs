//! Tables of which no query can be planned without running what others have written.

use std::collections::BTreeSet;

use dbhaul_postgres::Flight;
use serde::Deserialize;

use crate::Error;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    is_of_others: bool,
}

/// Tables, by `pg_class` OID, of which the server runs or looks into users' functions to plan any query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanCode {
    /// Those where some of these are of others than the current role and superusers: no query may be planned.
    pub of_others: BTreeSet<u32>,
    /// The others. Their functions are trusted, and may name something that an empty search path does not find.
    pub trusted: BTreeSet<u32>,
}

/// Tables with an index or extended statistics whose expressions or predicates use a function, by itself or
/// below an operator, and whether somebody can change one who is neither a superuser nor the current role: to plan any
/// query on them, the server computes what is constant in these (PostgreSQL src/backend/optimizer/util/plancat.c,
/// `get_relation_info`, and src/backend/utils/cache/relcache.c, `RelationGetIndexExpressions`). What stands in
/// constraints, keys of partitions, generated columns, defaults and policies is not computed for a query on one
/// table `ONLY` that names no such column, with the settings that readers pin.
///
/// - An extension vouches for nothing: its owner may add functions to it, and the owner of a database may install
///   some. The functions of those that a superuser has installed are the superuser's.
/// - Functions of the language `internal` (12 in pg_language.dat) are the server's own, such as the constructors of
///   a user's range type.
/// - What a role owns itself does not count, unless it is acting for a session's: that may be taken back.
/// - Types need not be looked at: input and output functions are a superuser's, and a domain's constraints are not
///   checked in a plan (src/backend/optimizer/util/clauses.c, `eval_const_expressions_mutator`).
const QUERY: &str = "
    SELECT e.relid::int8 AS oid,
           bool_or(NOT COALESCE(r.rolsuper, false)
             AND NOT COALESCE(r.rolname = current_user AND current_user = session_user, false)) AS is_of_others
    FROM (SELECT i.indrelid AS relid, 'pg_catalog.pg_class'::pg_catalog.regclass AS classid, i.indexrelid AS objid
          FROM pg_catalog.pg_index i WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
          UNION ALL
          SELECT s.stxrelid, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid
          FROM pg_catalog.pg_statistic_ext s) e
      JOIN pg_catalog.pg_depend d ON d.classid = e.classid AND d.objid = e.objid
      LEFT JOIN pg_catalog.pg_operator o
        ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
      JOIN pg_catalog.pg_proc f
        ON f.oid = CASE d.refclassid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN d.refobjid ELSE o.oprcode END
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = f.proowner
    WHERE f.prolang <> 12
    GROUP BY e.relid";

/// What planning a query would run, table by table. Asks how things are now, for so they are planned.
///
/// # Errors
/// [`Error::Query`].
pub async fn plan_code(flight: &Flight<'_>) -> Result<PlanCode, Error> {
    let rows: Vec<Row> = flight
        .query_json(QUERY)
        .await
        .map_err(|source| Error::Query { what: "functions that plans would run", source })?;
    let mut found = PlanCode::default();
    for Row { oid, is_of_others } in rows {
        let tables = if is_of_others { &mut found.of_others } else { &mut found.trusted };
        tables.insert(oid);
    }
    Ok(found)
}
