//! The database itself.

use dbhaul_catalog::{Database, parse_acl};
use serde::Deserialize;

use crate::Error;
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
    let rows: Vec<Row> = reader.query("database", &query(reader.version().major())).await?;
    let labels: Vec<LabelRow> = reader.query("security labels of the database", LABELS).await?;
    let settings: Vec<SettingRow> = reader.query("settings of the database", SETTINGS).await?;
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
    format!(
        "SELECT d.datname AS name, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
                pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
                d.datcollate AS collate, d.datctype AS ctype,
                CASE {provider} WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS locale_provider,
                {locale} AS locale, {rules} AS icu_rules, {version} AS collation_version,
                t.spcname AS tablespace, d.datconnlimit AS connection_limit, d.datistemplate AS is_template,
                d.datacl::text[] AS acl, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment
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
