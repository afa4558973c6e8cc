//! Reads subscriptions, which are shared objects: those of this database.

use dbhaul_catalog::kinds::{Body, Subscription, SubscriptionDefinition};
use dbhaul_catalog::{Class, Secret};
use serde::Deserialize;

use crate::Error;
use crate::header::Header;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Access {
    readable: bool,
    identifiable: bool,
}

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    definition: DefinitionRow,
}

#[derive(Deserialize)]
struct DefinitionRow {
    connection: Secret,
    server: Option<String>,
    publications: Vec<String>,
    slot_name: Option<String>,
    binary: bool,
    streaming: String,
    two_phase: bool,
    disable_on_error: bool,
    password_required: bool,
    run_as_owner: bool,
    failover: bool,
    synchronous_commit: String,
    origin: String,
    retain_dead_tuples: bool,
    max_retention_ms: i32,
    wal_receiver_timeout: String,
}

/// A definition holds a connection string, so only superusers may read it; that
/// there is one may be seen by all where the server lets them.
const ACCESS: &str = "
    SELECT pg_catalog.has_column_privilege(c.oid, 'subconninfo', 'SELECT') AS readable,
           pg_catalog.has_column_privilege(c.oid, 'oid', 'SELECT')
               AND pg_catalog.has_column_privilege(c.oid, 'subname', 'SELECT')
               AND pg_catalog.has_column_privilege(c.oid, 'subowner', 'SELECT')
               AND pg_catalog.has_column_privilege(c.oid, 'subdbid', 'SELECT') AS identifiable
    FROM pg_catalog.pg_class c
    WHERE c.oid = 'pg_catalog.pg_subscription'::pg_catalog.regclass";

const IDENTITY: &str = "
    SELECT s.oid::int8 AS oid, s.subname AS name, pg_catalog.pg_get_userbyid(s.subowner) AS owner";

const OF_THIS_DATABASE: &str = "
    FROM pg_catalog.pg_subscription s
    JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
    WHERE d.datname = pg_catalog.current_database()";

/// The view runs with its owner's rights and names the subscriptions of every
/// database; on a server that hides the rest, all of them may be this one's.
const ANYWHERE: &str = "
    SELECT v.subid::int8 AS oid, v.subname AS name
    FROM pg_catalog.pg_stat_subscription v
    GROUP BY v.subid, v.subname";

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let access = reader.query::<Access>("access to subscriptions", ACCESS).await?;
    if access.iter().any(|access| access.readable) {
        return read_definitions(reader).await;
    }
    let identifiable = access.iter().any(|access| access.identifiable);
    let sql = if identifiable { format!("{IDENTITY} {OF_THIS_DATABASE}") } else { ANYWHERE.to_owned() };
    for header in reader.query::<Header>("subscriptions", &sql).await? {
        tracing::warn!(subscription = header.name, "the definition of a subscription may not be read");
        push(reader, header, None)?;
    }
    Ok(())
}

async fn read_definitions(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("subscriptions", &sql).await? {
        let definition = row.definition;
        let definition = SubscriptionDefinition {
            connection: definition.connection,
            server: definition.server,
            publications: definition.publications,
            slot_name: definition.slot_name,
            binary: definition.binary,
            streaming: match definition.streaming.as_str() {
                "f" | "false" => "off".to_owned(),
                "t" | "true" => "on".to_owned(),
                "p" => "parallel".to_owned(),
                other => return Err(row.header.unexpected("the streaming mode", other)),
            },
            two_phase: definition.two_phase,
            disable_on_error: definition.disable_on_error,
            password_required: definition.password_required,
            run_as_owner: definition.run_as_owner,
            failover: definition.failover,
            synchronous_commit: definition.synchronous_commit,
            origin: definition.origin,
            retain_dead_tuples: definition.retain_dead_tuples,
            max_retention_ms: definition.max_retention_ms,
            // the server's own, as pg_dump reads it
            wal_receiver_timeout: Some(definition.wal_receiver_timeout).filter(|value| value != "-1"),
        };
        push(reader, row.header, Some(definition))?;
    }
    Ok(())
}

fn push(
    reader: &mut Reader<'_>,
    header: Header,
    definition: Option<SubscriptionDefinition>,
) -> Result<(), Error> {
    let body = Body::from(Subscription { definition });
    reader.push(header.object("subscriptions", Class::PG_SUBSCRIPTION, body)?);
    Ok(())
}

/// What a version does not have reads as the value that means the same.
fn query(major: u32) -> String {
    let since = |version: u32, column: &'static str, before: &'static str| {
        if major >= version { column } else { before }
    };
    format!(
        "{IDENTITY}, COALESCE(s.subconninfo, '') AS connection, {server} AS server, s.subpublications AS publications,
                s.subslotname AS slot_name, {binary} AS binary, {streaming} AS streaming,
                {two_phase} AS two_phase, {disable} AS disable_on_error, {password} AS password_required,
                {owner} AS run_as_owner, {failover} AS failover, s.subsynccommit AS synchronous_commit,
                {origin} AS origin, {retain} AS retain_dead_tuples, {retention} AS max_retention_ms,
                {timeout} AS wal_receiver_timeout
         {OF_THIS_DATABASE}",
        binary = since(14, "s.subbinary", "false"),
        streaming = since(14, "s.substream::text", "'f'"),
        two_phase = since(15, "s.subtwophasestate <> 'd'", "false"),
        disable = since(15, "s.subdisableonerr", "false"),
        password = since(16, "s.subpasswordrequired", "true"),
        owner = since(16, "s.subrunasowner", "true"),
        failover = since(17, "s.subfailover", "false"),
        origin = since(16, "s.suborigin", "'any'"),
        server = since(
            19,
            "(SELECT f.srvname FROM pg_catalog.pg_foreign_server f WHERE f.oid = s.subserver)",
            "NULL"
        ),
        retain = since(19, "s.subretaindeadtuples", "false"),
        retention = since(19, "s.submaxretention", "0"),
        timeout = since(19, "s.subwalrcvtimeout", "'-1'"),
    )
}
