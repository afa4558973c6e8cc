//! Whether a server is the one on which a snapshot is held.

use dbhaul_catalog::{in_one_line, quote_identifier};
use dbhaul_postgres::{ConnectSettings, Error, Session, SessionRole, SnapshotInfo};

use crate::{Context, PipelineError};

/// What tells a database, and the start of its server, from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The database.
    database: String,
    /// `system_identifier` of the cluster; absent where the provider hides it.
    system_identifier: Option<String>,
    /// `pg_postmaster_start_time()`, in UTC.
    started_at: String,
    /// `host:port/database as user`.
    described: String,
}

impl Origin {
    /// Asks a server what it is.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub(crate) async fn ask(source: &ConnectSettings, context: &Context) -> Result<Self, PipelineError> {
        let asking = |error| PipelineError::server("cannot read when the source was started", error);
        let session = Session::connect(source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
        let started_at = "SELECT pg_catalog.pg_postmaster_start_time() AT TIME ZONE 'UTC'";
        let started_at = session.query_one_text(started_at).await.map_err(asking)?.unwrap_or_default();
        let identifier = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
        let system_identifier = match session.query_one_text(identifier).await {
            Ok(identifier) => identifier,
            Err(Error::Server(_)) => None,
            Err(error) => return Err(asking(error)),
        };
        let database = session.database().to_owned();
        session.close().await.map_err(asking)?;
        Ok(Origin { database, system_identifier, started_at, described: source.describe() })
    }

    /// Why a snapshot that was taken on the server `described` then is held elsewhere, if it is; else it is
    /// held here or nowhere. A start at another time is that of another server of the cluster, such as a
    /// standby, or one that ended all that was held: then it has to be given as it was given before.
    pub(crate) fn strangeness(&self, then: &SnapshotInfo, described: &str) -> Option<String> {
        if self.database != then.database {
            let name = |database: &str| in_one_line(&quote_identifier(database));
            return Some(format!("it is database {}, not {}", name(&self.database), name(&then.database)));
        }
        match (&self.system_identifier, &then.system_identifier) {
            (Some(now), Some(then)) if now != then => {
                return Some(format!("it is of cluster {now}, not {then}"));
            }
            _ => {}
        }
        let is_another = self.started_at != then.started_at && self.described != described;
        is_another.then(|| "it is another server, or was started again since".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::ServerVersion;
    use dbhaul_postgres::SnapshotInfo;

    use super::Origin;

    fn then() -> SnapshotInfo {
        SnapshotInfo {
            id: "1-1".to_owned(),
            transactions: "1:1:".to_owned(),
            lsn: None,
            system_identifier: Some("7".to_owned()),
            timeline: None,
            started_at: "monday".to_owned(),
            taken_at: "tuesday".to_owned(),
            is_standby: false,
            version: ServerVersion(180_000),
            database: "shop".to_owned(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Origin), expected: Option<&str>) {
        let mut origin = Origin {
            database: "shop".to_owned(),
            system_identifier: Some("7".to_owned()),
            started_at: "monday".to_owned(),
            described: "old:5432/shop as app".to_owned(),
        };
        change(&mut origin);
        let told = origin.strangeness(&then(), "old:5432/shop as app");
        assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn a_snapshot_is_held_by_one_server() {
        check(|_| {}, None);
        check(|origin| origin.database = "My shop".to_owned(), Some("database \"My shop\", not shop"));
        check(|origin| origin.system_identifier = Some("8".to_owned()), Some("cluster 8, not 7"));
        check(|origin| origin.system_identifier = None, None);
        check(|origin| origin.described = "10.0.0.1:5432/shop as me".to_owned(), None);
        check(|origin| origin.started_at = "sunday".to_owned(), None);
        let is_standby = |origin: &mut Origin| {
            origin.described = "standby:5432/shop as app".to_owned();
            origin.started_at = "sunday".to_owned();
        };
        check(is_standby, Some("another server"));
    }
}
