//! Whether sessions in a database that `--create` is going to make may write.

use dbhaul_importer::Blocker;
use dbhaul_postgres::{ConnectSettings, Session};

use crate::{PipelineError, WriteOptions};

/// What sessions of this role begin with in a database for which nothing is set: what is set for the role, else what
/// holds here, unless that is set for this database.
const IS_READ_ONLY: &str = "
    WITH found AS (
      SELECT s.setdatabase, lower(split_part(c.setting, '=', 2)) IN ('on', 'true', 'yes', '1') AS is_on
      FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS c(setting)
      WHERE lower(split_part(c.setting, '=', 1)) = 'default_transaction_read_only'
        AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
        AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())))
    SELECT coalesce(
      (SELECT bool_or(is_on) FROM found WHERE setdatabase = 0),
      NOT EXISTS (SELECT FROM found) AND
        (SELECT reset_val = 'on' FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'))";

/// Fails, before anything is created, if sessions there were to read only and nobody said that they may write all the
/// same.
pub(super) async fn check_writable(
    session: &Session,
    target: &ConnectSettings,
    options: &WriteOptions,
) -> Result<(), PipelineError> {
    if options.allow_read_only {
        return Ok(());
    }
    let asking = |source| PipelineError::server("cannot ask the target", source);
    let found = session.query_strings(IS_READ_ONLY).await.map_err(asking)?;
    match found.first().is_some_and(|found| found == "t") {
        false => Ok(()),
        true => Err(PipelineError::Request {
            problem: format!("nothing can be written to a new database on {}", target.describe()),
            help: Blocker::ReadOnly.to_string(),
        }),
    }
}
