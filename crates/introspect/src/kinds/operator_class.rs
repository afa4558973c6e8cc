//! Reads operator classes.

use dbhaul_catalog::kinds::{Body, FunctionMember, OperatorClass, OperatorMember};
use dbhaul_catalog::{Class, QualifiedName};
use serde::Deserialize;

use super::operator_family::members;
use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    access_method: String,
    default: bool,
    type_name: String,
    storage_type: Option<String>,
    family_schema: String,
    family_name: String,
    operators: Option<Vec<OperatorMember>>,
    functions: Option<Vec<FunctionMember>>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.opcname AS name,
                pg_catalog.pg_get_userbyid(c.opcowner) AS owner, a.amname AS access_method,
                c.opcdefault AS default, pg_catalog.format_type(c.opcintype, NULL) AS type_name,
                CASE WHEN c.opckeytype <> 0 THEN pg_catalog.format_type(c.opckeytype, NULL) END
                    AS storage_type,
                fn.nspname AS family_schema, f.opfname AS family_name, {members}
         FROM pg_catalog.pg_opclass c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.opcnamespace
         JOIN pg_catalog.pg_am a ON a.oid = c.opcmethod
         JOIN pg_catalog.pg_opfamily f ON f.oid = c.opcfamily
         JOIN pg_catalog.pg_namespace fn ON fn.oid = f.opfnamespace
         WHERE {USER_SCHEMA}",
        members = members("pg_opclass", "c"),
    );
    for row in reader.query::<Row>("operator classes", &sql).await? {
        let class = OperatorClass {
            access_method: row.access_method,
            default: row.default,
            type_name: row.type_name,
            storage_type: row.storage_type,
            family: QualifiedName::new(row.family_schema, row.family_name),
            operators: row.operators.unwrap_or_default(),
            functions: row.functions.unwrap_or_default(),
        };
        let body = Body::from(class);
        reader.push(row.header.object("operator classes", Class::PG_OPCLASS, body)?);
    }
    Ok(())
}
