//! Reads operator families with their loose members.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, FunctionMember, OperatorFamily, OperatorMember};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
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
    format!(
        "(SELECT pg_catalog.json_agg(pg_catalog.json_build_object('strategy', m.amopstrategy,
                     'operator', m.amopopr::pg_catalog.regoperator::text,
                     'sort_family', pg_catalog.quote_ident(sn.nspname) || '.'
                         || pg_catalog.quote_ident(sf.opfname))
                     ORDER BY m.amopstrategy, m.oid)
          FROM pg_catalog.pg_amop m
          JOIN pg_catalog.pg_depend d ON d.objid = m.oid
              AND d.classid = 'pg_catalog.pg_amop'::pg_catalog.regclass
          LEFT JOIN pg_catalog.pg_opfamily sf ON sf.oid = m.amopsortfamily
          LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = sf.opfnamespace
          WHERE d.refclassid = 'pg_catalog.{class}'::pg_catalog.regclass AND d.refobjid = {owner}.oid)
             AS operators,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('number', m.amprocnum,
                     'left_type', pg_catalog.format_type(m.amproclefttype, NULL),
                     'right_type', pg_catalog.format_type(m.amprocrighttype, NULL),
                     'function', m.amproc::pg_catalog.regprocedure::text)
                     ORDER BY m.amprocnum, m.oid)
          FROM pg_catalog.pg_amproc m
          JOIN pg_catalog.pg_depend d ON d.objid = m.oid
              AND d.classid = 'pg_catalog.pg_amproc'::pg_catalog.regclass
          WHERE d.refclassid = 'pg_catalog.{class}'::pg_catalog.regclass AND d.refobjid = {owner}.oid)
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
         WHERE {USER_SCHEMA}",
        members = members("pg_opfamily", "f"),
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
