//! Reads operator families with their loose members, and what users have added to the server's own.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, FunctionMember, OperatorFamily, OperatorMember};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    access_method: String,
    operators: Option<Vec<OperatorMember>>,
    functions: Option<Vec<FunctionMember>>,
}

/// Two scalar subqueries, `operators` and `functions`: the members that depend
/// on the operator class or family `owner` of the catalog `class`. A member of
/// a class depends on the class, a loose one on the family.
pub(super) fn members(class: &str, owner: &str) -> String {
    let of_owner = |catalog: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_depend d
                     WHERE d.objid = m.oid AND d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
                       AND d.refclassid = 'pg_catalog.{class}'::pg_catalog.regclass
                       AND d.refobjid = {owner}.oid)"
        )
    };
    lists(&of_owner("pg_amop"), &of_owner("pg_amproc"))
}

/// As [`members`]: what users have added to the server's own family `f`. Nothing depends on what `initdb` made,
/// so these are the members that no class has, without those that an extension has brought.
fn added_members() -> String {
    lists(&format!("m.amopfamily = f.oid AND {}", added(&OPERATORS)), &format!("m.amprocfamily = f.oid AND {}", added(&FUNCTIONS)))
}

/// A catalog of members, that of what they are, and their columns with this and the types.
struct Members {
    catalog: &'static str,
    of: &'static str,
    column: &'static str,
    types: &'static str,
}

const OPERATORS: Members = Members {
    catalog: "pg_amop",
    of: "pg_operator",
    column: "amopopr",
    types: "m.amoplefttype, m.amoprighttype",
};
const FUNCTIONS: Members = Members {
    catalog: "pg_amproc",
    of: "pg_proc",
    column: "amproc",
    types: "m.amproclefttype, m.amprocrighttype",
};

/// Whether a user has added the member `m`.
fn added(Members { catalog, of, column, types }: &Members) -> String {
    format!(
        "m.oid >= {FIRST_USER_OID} AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             WHERE d.objid = m.oid AND d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
               AND d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass)
         AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             WHERE d.deptype = 'e'
               AND (d.classid = 'pg_catalog.{of}'::pg_catalog.regclass AND d.objid = m.{column}
                    OR d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid IN ({types})))"
    )
}

/// The operators and functions for which these conditions on `m` hold.
fn lists(operators: &str, functions: &str) -> String {
    format!(
        "(SELECT pg_catalog.json_agg(pg_catalog.json_build_object('strategy', m.amopstrategy,
                     'operator', m.amopopr::pg_catalog.regoperator::text,
                     'sort_family', pg_catalog.quote_ident(sn.nspname) || '.'
                         || pg_catalog.quote_ident(sf.opfname))
                     ORDER BY m.amopstrategy, m.oid)
          FROM pg_catalog.pg_amop m
          LEFT JOIN pg_catalog.pg_opfamily sf ON sf.oid = m.amopsortfamily
          LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = sf.opfnamespace
          WHERE {operators})
             AS operators,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('number', m.amprocnum,
                     'left_type', pg_catalog.format_type(m.amproclefttype, NULL),
                     'right_type', pg_catalog.format_type(m.amprocrighttype, NULL),
                     'function', m.amproc::pg_catalog.regprocedure::text)
                     ORDER BY m.amprocnum, m.oid)
          FROM pg_catalog.pg_amproc m
          WHERE {functions})
             AS functions"
    )
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT f.oid::int8 AS oid, n.nspname AS schema, f.opfname AS name,
                pg_catalog.pg_get_userbyid(f.opfowner) AS owner, a.amname AS access_method, {members}
         FROM pg_catalog.pg_opfamily f
         JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
         JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
         WHERE {USER_SCHEMA}
         UNION ALL
         SELECT f.oid::int8, n.nspname, f.opfname, NULL, a.amname, {added_members}
         FROM pg_catalog.pg_opfamily f
         JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
         JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
         WHERE f.oid < {FIRST_USER_OID}
           AND (EXISTS (SELECT FROM pg_catalog.pg_amop m WHERE m.amopfamily = f.oid AND {operators})
                OR EXISTS (SELECT FROM pg_catalog.pg_amproc m WHERE m.amprocfamily = f.oid AND {functions}))",
        members = members("pg_opfamily", "f"),
        added_members = added_members(),
        operators = added(&OPERATORS),
        functions = added(&FUNCTIONS),
    );
    for row in reader.query::<Row>("operator families", &sql).await? {
        let family = OperatorFamily {
            access_method: row.access_method,
            operators: row.operators.unwrap_or_default(),
            functions: row.functions.unwrap_or_default(),
        };
        let body = Body::from(family);
        reader.push(row.header.object("operator families", Class::PG_OPFAMILY, body)?);
    }
    Ok(())
}
