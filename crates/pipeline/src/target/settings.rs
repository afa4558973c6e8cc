//! What a database that `--create` makes gets last: its settings and its limit of connections.
//!
//! In force while a run loads, they would stop it: transactions that are read-only by default, a library that the
//! target lacks, fewer connections than jobs. Custom settings (`app.tenant`) stop nothing, and CHECK
//! constraints and functions may read them, so that the database has these from the beginning.

use std::collections::BTreeSet;

use dbhaul_catalog::{
    Catalog, Database, DatabaseStatement, Target, database_statements, quote_identifier, quote_literal,
    without_values,
};
use dbhaul_postgres::{ConnectSettings, Error, Probe, ServerVersion, Session, SessionRole};

use crate::{Context, NamedReason, PipelineError, WriteOptions};

/// Settings that name libraries which a server loads when somebody connects, each with where it looks for them. It
/// takes any name, and then refuses every connection where it cannot load one.
const LIBRARIES: [(&str, &str); 2] =
    [("session_preload_libraries", ""), ("local_preload_libraries", "$libdir/plugins/")];

/// Settings to be set last, each with its statement.
struct Late<'a> {
    role: Option<&'a str>,
    name: &'a str,
    value: &'a str,
    sql: String,
}

/// `CREATE DATABASE`, and the statements that come before the load.
pub(super) fn early(
    options: &WriteOptions,
    catalog: &Catalog,
    version: ServerVersion,
) -> (Option<DatabaseStatement>, Vec<DatabaseStatement>) {
    let mut database = Database { connection_limit: -1, ..catalog.database.clone() };
    database.settings.retain(|(_, setting)| is_custom(name_of(setting)));
    if !options.privileges {
        database.acl = None;
    }
    let mut statements = database_statements(&database, &Target { version }).into_iter();
    let create = statements.next();
    let is_owner = |statement: &DatabaseStatement| statement.properties.iter().any(|it| it == "owner");
    (create, statements.filter(|statement| options.set_owners || !is_owner(statement)).collect())
}

fn late(catalog: &Catalog, version: ServerVersion) -> Vec<Late<'_>> {
    let settings = catalog.database.settings.iter();
    settings.map(|(role, setting)| of_setting(catalog, role, setting, version)).collect()
}

fn of_setting<'a>(
    catalog: &'a Catalog,
    role: &'a Option<String>,
    setting: &'a str,
    version: ServerVersion,
) -> Late<'a> {
    let only = Database { settings: vec![(role.clone(), setting.to_owned())], ..catalog.database.clone() };
    let sql = database_statements(&only, &Target { version }).pop().map(|last| last.sql);
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    Late { role: role.as_deref(), name, value, sql: sql.unwrap_or_default() }
}

impl Late<'_> {
    fn reset_sql(&self, database: &str) -> String {
        let setting = quote_identifier(self.name);
        match self.role {
            None => format!("ALTER DATABASE {database} RESET {setting}"),
            Some(role) => {
                format!("ALTER ROLE {} IN DATABASE {database} RESET {setting}", quote_identifier(role))
            }
        }
    }
}

fn name_of(setting: &str) -> &str {
    setting.split_once('=').map_or(setting, |(name, _)| name)
}

fn is_custom(name: &str) -> bool {
    name.contains('.')
}

/// Whether an error is the server's answer to a statement, and not the end of the session or of patience.
pub(super) fn is_refusal(error: &Error) -> bool {
    error.server_error().is_some()
        && !error.is_transient()
        && !error.is_cancelled()
        && !error.is_connection_lost()
}

/// The last step with `--create`: settings and the limit of connections, once the run `is_complete`. Returns what
/// could not be set.
pub(crate) async fn finish_database(
    target: &ConnectSettings,
    options: &WriteOptions,
    (catalog, is_complete): (&Catalog, bool),
    context: &Context,
) -> Result<Vec<NamedReason>, PipelineError> {
    let limit = catalog.database.connection_limit;
    let has_settings = catalog.database.settings.iter().any(|(_, setting)| !is_custom(name_of(setting)));
    if !options.create || limit == -1 && !has_settings {
        return Ok(Vec::new());
    }
    let name = quote_identifier(&catalog.database.name);
    let object = format!("DATABASE {name}");
    if !is_complete {
        context.progress.warning(format!(
            "{object} gets its settings and its limit of connections when --resume has completed the run"
        ));
        return Ok(Vec::new());
    }
    let setting = |source| PipelineError::server("cannot set the properties of the new database", source);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(setting)?;
    let mut refused = Vec::new();
    for late in late(catalog, session.version()) {
        if is_custom(late.name) {
            // set since the beginning, or refused and named then: once more, so that all stand in the source's order
            match session.batch(&format!("{}; {}", late.reset_sql(&name), late.sql)).await {
                Err(error) if !is_refusal(&error) => return Err(setting(error)),
                _ => continue,
            }
        }
        let statement = without_values(&late.sql);
        if let Some(why) = library_refusal(target, &late, context).await.map_err(setting)? {
            refused.push(NamedReason { object: object.clone(), reason: format!("{statement}: {why}") });
            continue;
        }
        refused.extend(set(&session, &late.sql, &object, &statement).await.map_err(setting)?);
    }
    if limit != -1 {
        let sql = format!("ALTER DATABASE {name} CONNECTION LIMIT = {limit}");
        refused.extend(set(&session, &sql, &object, &sql).await.map_err(setting)?);
    }
    session.close().await.map_err(setting)?;
    Ok(refused)
}

async fn set(session: &Session, sql: &str, object: &str, shown: &str) -> Result<Option<NamedReason>, Error> {
    match session.execute(sql).await {
        Ok(_) => Ok(None),
        Err(error) if is_refusal(&error) => {
            Ok(Some(NamedReason { object: object.to_owned(), reason: format!("{shown}: {error}") }))
        }
        Err(error) => Err(error),
    }
}

/// Why nobody could connect any more if a setting were in force, if so: a library that the server cannot load. That
/// may end a session, so each is tried in one of its own.
async fn library_refusal(
    target: &ConnectSettings,
    late: &Late<'_>,
    context: &Context,
) -> Result<Option<String>, Error> {
    let Some((_, place)) = LIBRARIES.iter().find(|(name, _)| *name == late.name) else { return Ok(None) };
    for library in late.value.split(',').map(|library| library.trim().trim_matches('"')) {
        if library.is_empty() {
            continue;
        }
        let place = if library.contains('/') { "" } else { place };
        let load = format!("LOAD {}", quote_literal(&format!("{place}{library}")));
        let session = Session::connect(target, SessionRole::Loader, &context.cancel).await?;
        match session.execute(&load).await {
            Ok(_) => session.close().await?,
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => match error.server_error() {
                // who may not load it alone may not name it to the server either, which says so itself
                Some(refusal) if refusal.sqlstate == "42501" => {}
                Some(refusal) => {
                    return Ok(Some(format!("nobody could connect to the database: {}", refusal.message)));
                }
                None => return Err(error),
            },
        }
    }
    Ok(None)
}

/// What of the database that is still to be created the target will refuse: its owner and its settings; `coming`
/// are roles that are created before it.
pub(crate) async fn refused_properties(
    target: &ConnectSettings,
    options: &WriteOptions,
    catalog: &Catalog,
    coming: &BTreeSet<String>,
    context: &Context,
) -> Result<Vec<NamedReason>, PipelineError> {
    let asking = |source| PipelineError::server("cannot ask the target", source);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(asking)?;
    let database = &catalog.database;
    let name = quote_identifier(&database.name);
    let object = format!("DATABASE {name}");
    let mut refused = Vec::new();
    if options.set_owners && !coming.contains(&database.owner) {
        let refusal = Probe::new(&session).refusal_to_set_role(&database.owner).await.map_err(asking)?;
        let owner = quote_identifier(&database.owner);
        let reason = refusal.map(|why| format!("ALTER DATABASE {name} OWNER TO {owner}: {}", why.message));
        refused.extend(reason.map(|reason| NamedReason { object: object.clone(), reason }));
    }
    for (role, setting) in &database.settings {
        let setting = of_setting(catalog, role, setting, session.version());
        if setting.role.is_some_and(|role| coming.contains(role)) {
            continue;
        }
        let why = match library_refusal(target, &setting, context).await.map_err(asking)? {
            Some(why) => Some(why),
            None => setting_refusal(&session, &setting, &name).await.map_err(asking)?,
        };
        let reason = why.map(|why| format!("{}: {why}", without_values(&setting.sql)));
        refused.extend(reason.map(|reason| NamedReason { object: object.clone(), reason }));
    }
    session.close().await.map_err(asking)?;
    Ok(refused)
}

/// A server judges a setting of a role as it does one of a database, and everybody may give himself one: that is
/// taken back.
async fn setting_refusal(
    session: &Session,
    setting: &Late<'_>,
    database: &str,
) -> Result<Option<String>, Error> {
    let (beginning, trial) = match setting.role.map(quote_identifier) {
        Some(role) => (format!("ALTER ROLE {role} IN DATABASE {database} "), format!("ALTER ROLE {role} ")),
        None => (format!("ALTER DATABASE {database} "), "ALTER ROLE CURRENT_USER ".to_owned()),
    };
    let Some(set) = setting.sql.strip_prefix(&beginning) else { return Ok(None) };
    let refusal = Probe::new(session).refusal(&format!("{trial}{set}")).await?;
    Ok(refusal.map(|refusal| refusal.message))
}
