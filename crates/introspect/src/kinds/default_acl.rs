//! Reads default privileges.

use dbhaul_catalog::kinds::{Body, DefaultAcl, DefaultAclType};
use dbhaul_catalog::{Acl, Class, parse_acl};
use serde::Deserialize;

use crate::Error;
use crate::header::Header;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    object_type: String,
    privileges: Vec<String>,
    base: Vec<String>,
}

/// The object's name is the type as `pg_restore -l` shows it, its owner the
/// role whose new objects are meant.
const QUERY: &str = r#"
    SELECT d.oid::int8 AS oid, n.nspname AS schema, 'DEFAULT PRIVILEGES' AS name,
           pg_catalog.pg_get_userbyid(d.defaclrole) AS owner, d.defaclobjtype::text AS object_type,
           d.defaclacl::text[] AS privileges,
           CASE WHEN d.defaclnamespace = 0 THEN pg_catalog.acldefault(
                    CASE WHEN d.defaclobjtype = 'S' THEN 's'::"char" ELSE d.defaclobjtype END,
                    d.defaclrole)::text[]
                ELSE '{}'::text[] END AS base
    FROM pg_catalog.pg_default_acl d
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace"#;

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    for row in reader.query::<Row>("default privileges", QUERY).await? {
        let object_type = object_type(&row)?;
        let parse = |items: &[String]| -> Result<Acl, Error> {
            parse_acl(items).map_err(|source| Error::Acl { what: "default privileges", source })
        };
        let (acl, base) = (parse(&row.privileges)?, parse(&row.base)?);
        let mut header = row.header;
        let body = DefaultAcl {
            role: header.owner.as_ref().map(String::from).unwrap_or_default(),
            object_type,
            revoked: base.iter().filter(|item| !acl.contains(item)).cloned().collect(),
            granted: acl.iter().filter(|item| !base.contains(item)).cloned().collect(),
        };
        header.name = format!("DEFAULT PRIVILEGES FOR {}", object_type.keyword());
        reader.push(header.object("default privileges", Class::PG_DEFAULT_ACL, Body::from(body))?);
    }
    Ok(())
}

fn object_type(row: &Row) -> Result<DefaultAclType, Error> {
    Ok(match row.object_type.as_str() {
        "r" => DefaultAclType::Tables,
        "S" => DefaultAclType::Sequences,
        "f" => DefaultAclType::Functions,
        "T" => DefaultAclType::Types,
        "n" => DefaultAclType::Schemas,
        "L" => DefaultAclType::LargeObjects,
        other => return Err(row.header.unexpected("the type of object", other)),
    })
}
