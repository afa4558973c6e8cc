//! What a database that `--create` makes gets last: its limit of connections, and settings that would stop the load.
//!
//! All other settings are in force from the beginning, as with `pg_restore --create`: materialized views, CHECK constraints
//! and functions may depend on them (`default_text_search_config`, `app.tenant`).

use std::collections::BTreeSet;

use dbhaul_catalog::{
    Catalog, Database, DatabaseStatement, Target, database_statements, quote_identifier, without_values,
};
use dbhaul_postgres::{ConnectSettings, Error, Probe, ServerVersion, Session, SessionRole};

use crate::{Context, NamedReason, PipelineError, WriteOptions};

/// Settings that stop a load: transactions that are read-only, and sessions that cannot begin because the server lacks a
/// library.
const LATE: [&str; 3] =
    ["default_transaction_read_only", "session_preload_libraries", "local_preload_libraries"];

/// Those that keep sessions from beginning. A server takes any name of a library, and then refuses connections.
const LIBRARIES: [&str; 2] = ["session_preload_libraries", "local_preload_libraries"];

/// Why such a setting of a role is left to the user: only that role's sessions would show whether it works.
const NOT_TRIED: &str = "whether the target has the libraries cannot be tried for the sessions of a role; set it where it has them";

/// What a comparison says of them, which comes before.
pub(crate) const SET_LAST: &str =
    "settings and the limit of connections of the database itself, which are set after the comparison";

/// Settings to be set last, each with its statement.
struct Late<'a> {
    role: Option<&'a str>,
    name: &'a str,
    sql: String,
}

/// `CREATE DATABASE`, and the statements that come before the load.
pub(super) fn early(
    options: &WriteOptions,
    catalog: &Catalog,
    version: ServerVersion,
) -> (Option<DatabaseStatement>, Vec<DatabaseStatement>) {
    let mut database = Database { connection_limit: -1, ..catalog.database.clone() };
    database.settings.retain(|(_, setting)| !is_late(name_of(setting)));
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
    Late { role: role.as_deref(), name: name_of(setting), sql: sql.unwrap_or_default() }
}

impl Late<'_> {
    fn is_untried(&self) -> bool {
        self.role.is_some() && LIBRARIES.contains(&self.name)
    }

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

fn is_late(name: &str) -> bool {
    LATE.contains(&name)
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
    let has_settings = catalog.database.settings.iter().any(|(_, setting)| is_late(name_of(setting)));
    if !options.create || limit == -1 && !has_settings {
        return Ok(Vec::new());
    }
    let name = quote_identifier(&catalog.database.name);
    let object = format!("DATABASE {name}");
    if !is_complete {
        let reason = "its limit of connections and settings that would stop a load are set when --resume has completed the run";
        return Ok(vec![NamedReason { object, reason: reason.to_owned() }]);
    }
    let setting = |source| PipelineError::server("cannot set the properties of the new database", source);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(setting)?;
    let mut refused = Vec::new();
    for late in late(catalog, session.version()) {
        if !has_settings {
            break;
        }
        if !is_late(late.name) {
            // set since the beginning, or refused and named then: once more, so that all stand in the source's order
            match session.batch(&format!("{}; {}", late.reset_sql(&name), late.sql)).await {
                Err(error) if !is_refusal(&error) => return Err(setting(error)),
                _ => continue,
            }
        }
        let statement = without_values(&late.sql);
        if late.is_untried() {
            refused.push(NamedReason { object: object.clone(), reason: format!("{statement}: {NOT_TRIED}") });
            continue;
        }
        let was_refused = set(&session, &late.sql, &object, &statement).await.map_err(setting)?;
        if was_refused.is_none() && LIBRARIES.contains(&late.name) {
            refused.extend(
                take_back_if_unusable(&session, target, (&late, &name), context).await.map_err(setting)?,
            );
        }
        refused.extend(was_refused);
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

/// Connects anew with a setting in force; where that fails, nobody could, and the setting is taken back.
async fn take_back_if_unusable(
    session: &Session,
    target: &ConnectSettings,
    (late, name): (&Late<'_>, &str),
    context: &Context,
) -> Result<Option<NamedReason>, Error> {
    match Session::connect(target, SessionRole::Loader, &context.cancel).await {
        Ok(trial) => trial.close().await.map(|()| None),
        Err(error) if is_refusal(&error) => {
            session.execute(&late.reset_sql(name)).await?;
            let statement = without_values(&late.sql);
            let reason = format!("{statement}: nobody could connect to the database: {error}");
            Ok(Some(NamedReason { object: format!("DATABASE {name}"), reason }))
        }
        Err(error) => Err(error),
    }
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
        // whether one can be given to a role that is not there is seen when it is
        if !setting.is_untried() && setting.role.is_some_and(|role| coming.contains(role)) {
            continue;
        }
        let why = match setting.is_untried() {
            true => Some(NOT_TRIED.to_owned()),
            false => setting_refusal(&session, &setting, &name).await.map_err(asking)?,
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
