//! The roles of a server.

use std::collections::HashMap;

use dbhaul_catalog::{Membership, MembershipOptions, Password, Role, RoleScope, Roles, Secret};
use dbhaul_postgres::{Flight, Session};
use futures::try_join;
use serde::Deserialize;

use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    name: String,
    superuser: bool,
    inherit: bool,
    create_role: bool,
    create_db: bool,
    login: bool,
    replication: bool,
    bypass_rls: bool,
    connection_limit: i32,
    valid_until: Option<String>,
    password: Option<String>,
    comment: Option<String>,
}

#[derive(Deserialize)]
struct MembershipRow {
    role: String,
    member: String,
    grantor: Option<String>,
    admin: bool,
    inherit: Option<bool>,
    set: Option<bool>,
}

#[derive(Deserialize)]
struct SettingRow {
    oid: u32,
    setting: String,
}

#[derive(Deserialize)]
struct LabelRow {
    oid: u32,
    provider: String,
    label: String,
}

#[derive(Deserialize)]
struct ReadableRow {
    readable: bool,
}

/// The role that `initdb` makes (PostgreSQL src/include/catalog/pg_authid.dat).
const BOOTSTRAP_OID: u32 = 10;

/// Reads all roles of the session's server but the predefined ones, with their
/// memberships and settings. Hashes of passwords are read where `passwords` asks
/// for them and the session's role may; else they are [`Password::Unknown`].
pub async fn read_roles(session: &Session, passwords: bool) -> Result<Roles, Error> {
    let flight = Flight::new(session);
    Box::pin(flight.run(read(&Reader::new(&flight), passwords))).await
}

async fn read(reader: &Reader<'_>, passwords: bool) -> Result<Roles, Error> {
    let ((readable, rows), settings, labels, memberships) = try_join!(
        role_rows(reader, passwords),
        reader.query::<SettingRow>("settings of roles", SETTINGS),
        reader.query::<LabelRow>("security labels of roles", LABELS),
        memberships(reader),
    )?;
    let mut settings_of: HashMap<u32, Vec<String>> = HashMap::new();
    for row in settings {
        settings_of.entry(row.oid).or_default().push(row.setting);
    }
    let mut labels_of: HashMap<u32, Vec<(String, String)>> = HashMap::new();
    for row in labels {
        labels_of.entry(row.oid).or_default().push((row.provider, row.label));
    }
    let role = |row: Row| Role {
        settings: settings_of.remove(&row.oid).unwrap_or_default(),
        security_labels: labels_of.remove(&row.oid).unwrap_or_default(),
        ..role(row, readable)
    };
    Ok(Roles {
        server_version: reader.version(),
        scope: RoleScope::All,
        roles: rows.into_iter().map(role).collect(),
        memberships,
    })
}

/// Whether hashes of passwords may be read, and the roles, with their hashes then.
async fn role_rows(reader: &Reader<'_>, passwords: bool) -> Result<(bool, Vec<Row>), Error> {
    let readable = passwords && may_read_passwords(reader).await?;
    Ok((readable, reader.query("roles", &role_query(readable)).await?))
}

/// `pg_authid` is the superusers', and some providers hide it even from theirs.
async fn may_read_passwords(reader: &Reader<'_>) -> Result<bool, Error> {
    let sql =
        "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT') AS readable";
    let rows: Vec<ReadableRow> = reader.query("privileges on passwords", sql).await?;
    Ok(rows.iter().any(|row| row.readable))
}

fn role_query(passwords: bool) -> String {
    let (password, join) = match passwords {
        true => ("a.rolpassword", "JOIN pg_catalog.pg_authid a ON a.oid = r.oid"),
        false => ("NULL::text", ""),
    };
    format!(
        "SELECT r.oid::int8 AS oid, r.rolname AS name, r.rolsuper AS superuser, r.rolinherit AS inherit,
                r.rolcreaterole AS create_role, r.rolcreatedb AS create_db, r.rolcanlogin AS login,
                r.rolreplication AS replication, r.rolbypassrls AS bypass_rls,
                r.rolconnlimit AS connection_limit, r.rolvaliduntil::text AS valid_until,
                {password} AS password, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
         FROM pg_catalog.pg_roles r {join}
         WHERE r.rolname !~ '^pg_'
         ORDER BY r.rolname"
    )
}

fn role(row: Row, readable: bool) -> Role {
    let password = match row.password {
        Some(hash) => Password::Hash(Secret::new(hash)),
        None if readable => Password::None,
        None => Password::Unknown,
    };
    Role {
        name: row.name,
        is_bootstrap: row.oid == BOOTSTRAP_OID,
        superuser: row.superuser,
        inherit: row.inherit,
        create_role: row.create_role,
        create_db: row.create_db,
        login: row.login,
        replication: row.replication,
        bypass_rls: row.bypass_rls,
        connection_limit: row.connection_limit,
        valid_until: row.valid_until,
        password,
        comment: row.comment,
        security_labels: Vec::new(),
        settings: Vec::new(),
    }
}

const SETTINGS: &str = "
    SELECT s.setrole::int8 AS oid, config.setting
    FROM pg_catalog.pg_db_role_setting s
    CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS config(setting, place)
    WHERE s.setdatabase = 0 AND s.setrole <> 0
    ORDER BY s.setrole, config.place";

const LABELS: &str = "
    SELECT l.objoid::int8 AS oid, l.provider, l.label FROM pg_catalog.pg_shseclabel l
    WHERE l.classoid = 1260
    ORDER BY 1, 2";

/// Grantors are reliable, and memberships have options, since 16.
async fn memberships(reader: &Reader<'_>) -> Result<Vec<Membership>, Error> {
    let (grantor, inherit, set) = match reader.version().major() {
        ..16 => ("NULL::name", "NULL::boolean", "NULL::boolean"),
        16.. => ("b.rolname", "m.inherit_option", "m.set_option"),
    };
    let sql = format!(
        "SELECT g.rolname AS role, u.rolname AS member, {grantor} AS grantor, m.admin_option AS admin,
                {inherit} AS inherit, {set} AS set
         FROM pg_catalog.pg_auth_members m
         JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
         JOIN pg_catalog.pg_roles u ON u.oid = m.member
         LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor AND b.oid <> {BOOTSTRAP_OID}
         WHERE u.rolname !~ '^pg_'
         ORDER BY 1, 2, 3"
    );
    let rows: Vec<MembershipRow> = reader.query("memberships of roles", &sql).await?;
    let options = |row: &MembershipRow| Some(MembershipOptions { inherit: row.inherit?, set: row.set? });
    let membership = |row: MembershipRow| Membership {
        options: options(&row),
        role: row.role,
        member: row.member,
        grantor: row.grantor,
        admin: row.admin,
    };
    Ok(rows.into_iter().map(membership).collect())
}
