//! Privileges that extensions and `initdb` gave, and where the server's own
//! objects differ from them.

use std::collections::HashMap;

use dbhaul_catalog::kinds::UndeclaredColumn;
use dbhaul_catalog::{Acl, Class, InitialAcl, Object, ObjectId, SystemPrivileges, parse_acl};
use serde::Deserialize;

use crate::Error;
use crate::depends::{Dependencies, address};
use crate::header::FIRST_USER_OID;
use crate::reader::Reader;

#[derive(Deserialize)]
struct InitialRow {
    class: u32,
    oid: u32,
    column: Option<String>,
    acl: Vec<String>,
}

#[derive(Deserialize)]
struct SystemRow {
    address: String,
    column: Option<String>,
    owner: String,
    initial_owner: Option<String>,
    acl: Option<Vec<String>>,
    initial: Option<Vec<String>>,
}

/// What members of extensions had when their extension was made.
pub(crate) struct InitialPrivileges(Vec<InitialRow>);

pub(crate) async fn read_initial(reader: &Reader<'_>) -> Result<InitialPrivileges, Error> {
    let sql = "SELECT p.classoid::int8 AS class, p.objoid::int8 AS oid, a.attname AS column,
                      p.initprivs::text[] AS acl
               FROM pg_catalog.pg_init_privs p
               LEFT JOIN pg_catalog.pg_attribute a ON p.classoid = 1259 AND p.objsubid <> 0
                    AND a.attrelid = p.objoid AND a.attnum = p.objsubid
               WHERE p.privtype = 'e'
               ORDER BY 1, 2, 3";
    reader.query("initial privileges", sql).await.map(InitialPrivileges)
}

impl InitialPrivileges {
    /// Those of objects that are in the model.
    pub(crate) fn of(self, dependencies: &Dependencies) -> Result<Vec<InitialAcl>, Error> {
        let mut initial = Vec::new();
        for row in self.0 {
            let object: ObjectId = address(row.class, row.oid);
            if dependencies.has(object) {
                initial.push(InitialAcl { object, column: row.column, acl: acl(&row.acl)? });
            }
        }
        Ok(initial)
    }
}

/// Columns that no statement declares, by their relation.
type UndeclaredColumns = HashMap<ObjectId, Vec<UndeclaredColumn>>;

#[derive(Deserialize)]
struct UndeclaredRow {
    relation: u32,
    name: String,
    acl: Vec<String>,
}

/// Privileges on columns that no statement declares, which the readers of relations leave out: the system's
/// columns, and all that a sequence has.
pub(crate) async fn read_undeclared_columns(reader: &Reader<'_>) -> Result<UndeclaredColumns, Error> {
    let sql = format!(
        "SELECT a.attrelid::int8 AS relation, a.attname AS name, a.attacl::text[] AS acl
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND c.oid >= {FIRST_USER_OID}
           AND (a.attnum < 0 AND c.relkind IN ('r', 'p', 'f', 'm') OR c.relkind = 'S')
         ORDER BY a.attrelid, a.attname"
    );
    let mut columns = UndeclaredColumns::new();
    for row in reader.query::<UndeclaredRow>("privileges of columns", &sql).await? {
        let acl = parse_acl(&row.acl).map_err(|source| Error::Acl { what: "columns", source })?;
        let column = UndeclaredColumn { name: row.name, acl: Some(acl) };
        columns.entry(ObjectId::new(Class::PG_CLASS, row.relation)).or_default().push(column);
    }
    Ok(columns)
}

/// Gives relations their undeclared columns.
pub(crate) fn add_undeclared_columns(objects: &mut [Object], mut columns: UndeclaredColumns) {
    if columns.is_empty() {
        return;
    }
    for object in objects {
        for column in columns.remove(&object.id).unwrap_or_default() {
            object.body.add_undeclared_column(column);
        }
    }
}

/// Objects of the server's own whose privileges are not those of `initdb`.
pub(crate) async fn read_system(reader: &Reader<'_>) -> Result<Vec<SystemPrivileges>, Error> {
    let rows: Vec<SystemRow> = reader.query("privileges of system objects", &system_query()).await?;
    rows.into_iter()
        .map(|row| {
            Ok(SystemPrivileges {
                address: row.address,
                column: row.column,
                owner: row.owner,
                initial_owner: row.initial_owner,
                acl: row.acl.as_deref().map(acl).transpose()?,
                initial: row.initial.as_deref().map(acl).transpose()?,
            })
        })
        .collect()
}

/// The role that `initdb` makes and that owns all it makes
/// (PostgreSQL src/include/catalog/pg_authid.dat).
const BOOTSTRAP_ROLE: u32 = 10;

fn acl(items: &[String]) -> Result<Acl, Error> {
    parse_acl(items).map_err(|source| Error::Acl { what: "system objects", source })
}

/// One arm for each catalog whose system rows have privileges. `GRANT` knows an
/// aggregate by the plain list of its arguments' types.
fn system_query() -> String {
    let arm = |class: &str, alias: &str, owner: &str, acl: &str, address: &str, more: &str| {
        format!(
            "SELECT {address} AS address, NULL::text AS column,
                    pg_catalog.pg_get_userbyid({alias}.{owner}) AS owner,
                    CASE WHEN {alias}.{owner} <> {BOOTSTRAP_ROLE} THEN pg_catalog.pg_get_userbyid({BOOTSTRAP_ROLE}) END
                        AS initial_owner,
                    {alias}.{acl}::text[] AS acl, p.initprivs::text[] AS initial
             FROM pg_catalog.{class} {alias}
             LEFT JOIN pg_catalog.pg_init_privs p ON p.classoid = 'pg_catalog.{class}'::pg_catalog.regclass
                  AND p.objoid = {alias}.oid AND p.objsubid = 0
             WHERE {alias}.oid < {FIRST_USER_OID} {more}
                   AND ({alias}.{acl} IS DISTINCT FROM p.initprivs OR {alias}.{owner} <> {BOOTSTRAP_ROLE})"
        )
    };
    [
        arm(
            "pg_proc",
            "f",
            "proowner",
            "proacl",
            "CASE f.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END
             || pg_catalog.quote_ident(f.pronamespace::pg_catalog.regnamespace::text) || '.'
             || pg_catalog.quote_ident(f.proname) || '('
             || CASE f.prokind WHEN 'a' THEN (
                    SELECT COALESCE(pg_catalog.string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.place), '')
                    FROM pg_catalog.unnest(f.proargtypes) WITH ORDINALITY AS a(type, place))
                ELSE pg_catalog.pg_get_function_identity_arguments(f.oid) END || ')'",
            "",
        ),
        arm(
            "pg_class",
            "c",
            "relowner",
            "relacl",
            "CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
             || c.relnamespace::pg_catalog.regnamespace::text || '.' || pg_catalog.quote_ident(c.relname)",
            &format!("AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f') {}", unlike_initdb("c", "rel", 'r', "SELECT")),
        ),
        arm(
            "pg_type",
            "t",
            "typowner",
            "typacl",
            "'TYPE ' || t.typnamespace::pg_catalog.regnamespace::text || '.' || pg_catalog.quote_ident(t.typname)",
            // An array goes with what it is of.
            "AND t.typrelid = 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)",
        ),
        arm(
            "pg_namespace",
            "n",
            "nspowner",
            "nspacl",
            "'SCHEMA ' || pg_catalog.quote_ident(n.nspname)",
            &format!("AND n.nspname IN ('pg_catalog', 'information_schema') {}", unlike_initdb("n", "nsp", 'n', "USAGE")),
        ),
        arm("pg_language", "l", "lanowner", "lanacl", "'LANGUAGE ' || pg_catalog.quote_ident(l.lanname)", ""),
        column_arm(),
    ]
    .join("\nUNION ALL\n")
        + "\nORDER BY 1, 2"
}

/// `initdb` makes `information_schema` after it has written down the privileges of all
/// else: what everybody may do there is no change, though `pg_init_privs` lacks it.
fn unlike_initdb(alias: &str, prefix: &str, kind: char, privilege: &str) -> String {
    let schema = if kind == 'n' { "n.oid" } else { "c.relnamespace" };
    format!(
        "AND NOT ({schema} = 'information_schema'::pg_catalog.regnamespace AND p.initprivs IS NULL
              AND {alias}.{prefix}owner = {BOOTSTRAP_ROLE} AND {alias}.{prefix}acl::text[] = (pg_catalog.acldefault('{kind}', {alias}.{prefix}owner)
                  || pg_catalog.makeaclitem(0, {alias}.{prefix}owner, '{privilege}', false))::text[])"
    )
}

fn column_arm() -> String {
    format!(
        "SELECT 'TABLE ' || c.relnamespace::pg_catalog.regnamespace::text || '.' || pg_catalog.quote_ident(c.relname),
                a.attname::text, pg_catalog.pg_get_userbyid(c.relowner),
                CASE WHEN c.relowner <> {BOOTSTRAP_ROLE} THEN pg_catalog.pg_get_userbyid({BOOTSTRAP_ROLE}) END, a.attacl::text[], p.initprivs::text[]
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         LEFT JOIN pg_catalog.pg_init_privs p ON p.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
              AND p.objoid = c.oid AND p.objsubid = a.attnum
         WHERE c.oid < {FIRST_USER_OID} AND a.attacl IS DISTINCT FROM p.initprivs"
    )
}
