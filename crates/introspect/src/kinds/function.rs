//! Reads functions, procedures and window functions.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Function, FunctionKind, FunctionSource, ParallelSafety, Volatility};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA, split_option};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    kind: String,
    arguments: String,
    identity_arguments: String,
    argument_types: Vec<String>,
    result: Option<String>,
    language: String,
    source: String,
    library: Option<String>,
    sql_body: Option<String>,
    transforms: Vec<String>,
    volatility: String,
    strict: bool,
    security_definer: bool,
    leakproof: bool,
    parallel: String,
    cost: String,
    rows: String,
    returns_set: bool,
    support: Option<String>,
    settings: Option<Vec<String>>,
    depends_on_extensions: Vec<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("functions", &sql).await? {
        let (header, function) = function(row)?;
        reader.push(header.object("functions", Class::PG_PROC, Body::from(function))?);
    }
    Ok(())
}

/// Functions that a type brings along, such as a range's constructors, depend on
/// it internally and are made with it.
fn query(major: u32) -> String {
    let sql_body = if major >= 14 { "pg_catalog.pg_get_function_sqlbody(p.oid)" } else { "NULL" };
    format!(
        "SELECT p.oid::int8 AS oid, n.nspname AS schema, p.proname AS name,
                pg_catalog.pg_get_userbyid(p.proowner) AS owner, p.proacl::text[] AS acl,
                p.prokind::text AS kind,
                pg_catalog.pg_get_function_arguments(p.oid) AS arguments,
                pg_catalog.pg_get_function_identity_arguments(p.oid) AS identity_arguments,
                ARRAY(SELECT pg_catalog.format_type(a.type, NULL)
                      FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(type, place)
                      ORDER BY a.place) AS argument_types,
                pg_catalog.pg_get_function_result(p.oid) AS result, l.lanname AS language,
                p.prosrc AS source, p.probin AS library, {sql_body} AS sql_body,
                ARRAY(SELECT pg_catalog.format_type(a.type, NULL)
                      FROM pg_catalog.unnest(p.protrftypes) WITH ORDINALITY AS a(type, place)
                      ORDER BY a.place) AS transforms,
                p.provolatile::text AS volatility, p.proisstrict AS strict,
                p.prosecdef AS security_definer, p.proleakproof AS leakproof,
                p.proparallel::text AS parallel, p.procost::text AS cost, p.prorows::text AS rows,
                p.proretset AS returns_set,
                CASE WHEN p.prosupport <> 0 THEN p.prosupport::text END AS support,
                p.proconfig AS settings,
                ARRAY(SELECT e.extname FROM pg_catalog.pg_depend d
                      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                        AND d.deptype = 'x' ORDER BY 1) AS depends_on_extensions
         FROM pg_catalog.pg_proc p
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang
         WHERE p.prokind <> 'a' AND {USER_SCHEMA}
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                           WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                             AND d.objid = p.oid AND d.deptype = 'i')"
    )
}

fn function(row: Row) -> Result<(Header, Function), Error> {
    let header = row.header;
    let default_cost = if matches!(row.language.as_str(), "internal" | "c") { "1" } else { "100" };
    let function = Function {
        kind: match row.kind.as_str() {
            "f" => FunctionKind::Function,
            "p" => FunctionKind::Procedure,
            "w" => FunctionKind::Window,
            other => return Err(header.unexpected("the kind of function", other)),
        },
        arguments: row.arguments,
        identity_arguments: row.identity_arguments,
        argument_types: row.argument_types,
        result: row.result.filter(|_| row.kind != "p"),
        language: row.language,
        source: source(row.source, row.library, row.sql_body),
        transforms: row.transforms,
        volatility: match row.volatility.as_str() {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            "v" => Volatility::Volatile,
            other => return Err(header.unexpected("the volatility", other)),
        },
        strict: row.strict,
        security_definer: row.security_definer,
        leakproof: row.leakproof,
        parallel: parallel_safety(&header, &row.parallel)?,
        cost: Some(row.cost).filter(|cost| cost != default_cost && cost != "0"),
        rows: Some(row.rows).filter(|rows| row.returns_set && rows != "0" && rows != "1000"),
        support: row.support,
        settings: row.settings.unwrap_or_default().iter().map(|setting| split_option(setting)).collect(),
        depends_on_extensions: row.depends_on_extensions,
    };
    Ok((header, function))
}

fn source(text: String, library: Option<String>, sql_body: Option<String>) -> FunctionSource {
    match (sql_body, library.filter(|library| !library.is_empty())) {
        (Some(sql), _) => FunctionSource::SqlBody { sql },
        (None, Some(library)) => FunctionSource::Library { library, symbol: text },
        (None, None) => FunctionSource::Text { text },
    }
}

/// Reads `proparallel`.
pub(super) fn parallel_safety(header: &Header, letter: &str) -> Result<ParallelSafety, Error> {
    match letter {
        "s" => Ok(ParallelSafety::Safe),
        "r" => Ok(ParallelSafety::Restricted),
        "u" => Ok(ParallelSafety::Unsafe),
        other => Err(header.unexpected("the parallel safety", other)),
    }
}
