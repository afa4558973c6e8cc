//! The database itself.

use dbhaul_catalog::{Database, Given, parse_acl};
use futures::try_join;
use serde::Deserialize;

use crate::Error;
use crate::header::FIRST_USER_OID;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    name: String,
    owner: String,
    encoding: String,
    collate: String,
    ctype: String,
    locale_provider: String,
    locale: Option<String>,
    icu_rules: Option<String>,
    collation_version: Option<String>,
    tablespace: String,
    connection_limit: i32,
    is_template: bool,
    acl: Option<Vec<String>>,
    comment: Option<String>,
    has_new_public: bool,
    has_given_plpgsql: bool,
}

#[derive(Deserialize)]
struct LabelRow {
    provider: String,
    label: String,
}

#[derive(Deserialize)]
struct SettingRow {
    role: Option<String>,
    setting: String,
}

pub(crate) async fn read(reader: &Reader<'_>) -> Result<Database, Error> {
    let query = query(reader.version().major());
    let (rows, labels, settings) = try_join!(
        reader.query::<Row>("database", &query),
        reader.query::<LabelRow>("security labels of the database", LABELS),
        reader.query::<SettingRow>("settings of the database", SETTINGS),
    )?;
    let Some(row) = rows.into_iter().next() else { return Ok(Database::default()) };
    let acl = row.acl.as_deref().map(parse_acl).transpose();
    Ok(Database {
        acl: acl.map_err(|source| Error::Acl { what: "the database", source })?,
        name: row.name,
        owner: row.owner,
        encoding: row.encoding,
        collate: row.collate,
        ctype: row.ctype,
        locale_provider: row.locale_provider,
        locale: row.locale,
        icu_rules: row.icu_rules,
        collation_version: row.collation_version,
        tablespace: Some(row.tablespace).filter(|name| name != "pg_default"),
        connection_limit: row.connection_limit,
        is_template: row.is_template,
        comment: row.comment,
        security_labels: labels.into_iter().map(|row| (row.provider, row.label)).collect(),
        settings: settings.into_iter().map(|row| (row.role, row.setting)).collect(),
        given: Given { public: row.has_new_public, plpgsql: Some(row.has_given_plpgsql) },
    })
}

/// Providers other than libc and the collation version are there since 15, ICU
/// rules since 16; 17 renamed the locale.
fn query(major: u32) -> String {
    let (provider, locale, rules, version) = match major {
        ..15 => ("'c'", "NULL::text", "NULL::text", "NULL::text"),
        15 => ("d.datlocprovider", "d.daticulocale", "NULL::text", "d.datcollversion"),
        16 => ("d.datlocprovider", "d.daticulocale", "d.daticurules", "d.datcollversion"),
        17.. => ("d.datlocprovider", "d.datlocale", "d.daticurules", "d.datcollversion"),
    };
    // the one that `initdb` has made all else for
    let owner_of_public = if major >= 15 { "'pg_database_owner'" } else { "pg_catalog.pg_get_userbyid(10)" };
    format!(
        "SELECT d.datname AS name, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
                pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
                d.datcollate AS collate, d.datctype AS ctype,
                CASE {provider} WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS locale_provider,
                {locale} AS locale, {rules} AS icu_rules, {version} AS collation_version,
                t.spcname AS tablespace, d.datconnlimit AS connection_limit, d.datistemplate AS is_template,
                d.datacl::text[] AS acl, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
                EXISTS (SELECT FROM pg_catalog.pg_namespace n
                        JOIN pg_catalog.pg_init_privs i ON i.objoid = n.oid AND i.objsubid = 0
                         AND i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                        WHERE n.nspname = 'public' AND n.oid < {FIRST_USER_OID}
                          AND pg_catalog.pg_get_userbyid(n.nspowner) = {owner_of_public}
                          AND n.nspacl::text[] @> i.initprivs::text[] AND n.nspacl::text[] <@ i.initprivs::text[]
                          AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'standard public schema'
                          AND NOT EXISTS (SELECT FROM pg_catalog.pg_seclabel l
                                          WHERE l.objoid = n.oid AND l.classoid = i.classoid)) AS has_new_public,
                EXISTS (SELECT FROM pg_catalog.pg_extension x
                        WHERE x.extname = 'plpgsql' AND x.oid < {FIRST_USER_OID}) AS has_given_plpgsql
         FROM pg_catalog.pg_database d
         JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
         WHERE d.datname = pg_catalog.current_database()"
    )
}

const LABELS: &str = "
    SELECT l.provider, l.label FROM pg_catalog.pg_shseclabel l
    JOIN pg_catalog.pg_database d ON d.oid = l.objoid
    WHERE l.classoid = 1262 AND d.datname = pg_catalog.current_database()
    ORDER BY l.provider";

const SETTINGS: &str = "
    SELECT r.rolname AS role, setting
    FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
    CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS config(setting, place)
    WHERE d.datname = pg_catalog.current_database()
    ORDER BY r.rolname NULLS FIRST, place";
