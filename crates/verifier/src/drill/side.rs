//! The two sides of a drill-down, live or stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbhaul_postgres::{
    self as postgres, ConnectSettings, Session, SessionOptions, SessionRole, SnapshotHolder, SnapshotInfo,
};
use tokio_util::sync::CancellationToken;

use super::groups::Groups;
use super::matching::RowRef;
use super::queried::{Queried, tid};
use super::repair::RawValues;
use super::streamed::{StoredRows, Streamed, Text};
use super::wanted::Wanted;
use super::{DrillError, DrillTask, LiveRows, RowValues};
use crate::Reading;
use crate::digest::PINS;

/// One side.
#[derive(Debug)]
pub struct DrillSide {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Live { settings: Box<ConnectSettings>, holder: Arc<SnapshotHolder>, session: Option<Session> },
    Stored(Arc<dyn StoredRows>),
    Unread,
}

impl DrillSide {
    /// A database that is read under the holder's snapshot, by one session.
    pub fn live(settings: &ConnectSettings, holder: &Arc<SnapshotHolder>) -> Self {
        let (settings, holder) = (Box::new(settings.clone()), Arc::clone(holder));
        DrillSide { kind: Kind::Live { settings, holder, session: None } }
    }

    /// Rows that are stored as COPY text.
    pub fn stored(rows: Arc<dyn StoredRows>) -> Self {
        DrillSide { kind: Kind::Stored(rows) }
    }

    /// A side whose rows are not there to be read.
    pub fn unread() -> Self {
        DrillSide { kind: Kind::Unread }
    }

    /// The same database as it is now, under a new snapshot of its own; `None` of a side that does not change.
    pub(super) async fn renewed(&self, cancel: &CancellationToken) -> Result<Option<Renewed>, DrillError> {
        let Kind::Live { settings, .. } = &self.kind else { return Ok(None) };
        let holder = Arc::new(Box::pin(SnapshotHolder::open(settings, cancel)).await?);
        Ok(Some(Renewed { side: DrillSide::live(settings, &holder), holder }))
    }

    /// Makes ready to read a table, in a transaction of its own: it keeps a lock on the table.
    pub(super) async fn reader<'a>(
        &mut self,
        task: &'a DrillTask,
        rows: Option<&'a LiveRows>,
        key: &'a [usize],
        cancel: &CancellationToken,
    ) -> Result<TableReader<'a>, DrillError> {
        let spec = &task.spec;
        match (&mut self.kind, rows) {
            (Kind::Live { settings, holder, session }, Some(rows)) => {
                let session = match session.take() {
                    Some(session) => session,
                    None => Box::pin(connect(settings, cancel)).await?,
                };
                holder.import_into(&session).await?;
                Ok(match (&rows.table, rows.reading) {
                    (Some(table), Reading::Copy) => {
                        TableReader::Streamed(Streamed::new(Text::Copied { session, table }, spec, key))
                    }
                    _ => TableReader::Queried(Queried { session, rows, spec, key, is_spoiled: false }),
                })
            }
            (Kind::Stored(stored), _) => {
                let (rows, table, cancel) = (Arc::clone(stored), &task.name, cancel.clone());
                let text = Text::Stored { rows, table, cancel };
                Ok(TableReader::Streamed(Streamed::new(text, spec, key)))
            }
            _ => Err(DrillError::Rows("its rows cannot be read any more".to_owned())),
        }
    }

    /// Takes back the session of a reader.
    pub(super) fn keep(&mut self, ended: Option<Session>) {
        if let Kind::Live { session, .. } = &mut self.kind {
            *session = ended;
        }
    }

    /// Closes the session.
    pub(super) async fn close(&mut self) {
        if let Kind::Live { session, .. } = &mut self.kind
            && let Some(session) = session.take()
        {
            // everything it was asked has been answered
            let _ = session.close().await;
        }
    }
}

async fn connect(settings: &ConnectSettings, cancel: &CancellationToken) -> Result<Session, postgres::Error> {
    // a row that is known is found by its place, without another scan
    let pins =
        [PINS[0], PINS[1], ("enable_tidscan", "on")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = SessionOptions { role: SessionRole::Reader, extra_pins: pins.to_vec() };
    Session::connect(settings, options, cancel).await
}

/// A live side under a later snapshot.
pub(super) struct Renewed {
    pub(super) side: DrillSide,
    holder: Arc<SnapshotHolder>,
}

impl Renewed {
    /// What is known of the snapshot.
    pub(super) fn info(&self) -> &SnapshotInfo {
        self.holder.info()
    }

    /// Lets the snapshot go.
    pub(super) async fn release(self) {
        let Renewed { mut side, holder } = self;
        side.close().await;
        drop(side);
        if let Ok(holder) = Arc::try_unwrap(holder) {
            // everything it was asked has been answered
            let _ = holder.release().await;
        }
    }
}

/// A table of one side.
pub(super) enum TableReader<'a> {
    Queried(Queried<'a>),
    Streamed(Streamed<'a>),
}

impl TableReader<'_> {
    pub(super) async fn groups(&mut self) -> Result<Groups, DrillError> {
        match self {
            TableReader::Queried(table) => Box::pin(table.groups()).await,
            TableReader::Streamed(table) => Box::pin(table.groups()).await,
        }
    }

    pub(super) async fn refs(&mut self, wanted: Wanted<'_>) -> Result<Vec<RowRef>, DrillError> {
        match self {
            TableReader::Queried(table) => Box::pin(table.refs(wanted)).await,
            TableReader::Streamed(table) => Box::pin(table.refs(wanted)).await,
        }
    }

    pub(super) async fn values(&self, rows: &[RowRef], needs_text: bool) -> Result<RowValues, DrillError> {
        match self {
            _ if rows.is_empty() => Ok(RowValues::new()),
            TableReader::Queried(table) => Box::pin(table.values(rows, needs_text)).await,
            TableReader::Streamed(table) => Box::pin(table.values(rows)).await,
        }
    }

    /// The values of a column in these rows, by the hashes of the rows' keys; nothing where rows cannot be asked for by
    /// values.
    pub(super) async fn first_values(
        &self,
        rows: &[RowRef],
        column: usize,
    ) -> Result<BTreeMap<u64, String>, DrillError> {
        match self {
            TableReader::Queried(table) if table.rows.has_tids => table.first_values(rows, column).await,
            _ => Ok(BTreeMap::new()),
        }
    }

    /// The values of these rows as they are, as many as fit.
    pub(super) async fn raw_values(&mut self, rows: &[RowRef]) -> Result<RawValues, DrillError> {
        match self {
            _ if rows.is_empty() => Ok(RawValues::new()),
            TableReader::Queried(table) => Box::pin(table.raw_values(rows)).await,
            TableReader::Streamed(table) => Box::pin(table.raw_values(rows)).await,
        }
    }

    /// Where a row lies, in words for a person.
    pub(super) fn at(&self, row: RowRef) -> Option<String> {
        match self {
            TableReader::Queried(table) => table.rows.has_tids.then(|| tid(row.place)),
            TableReader::Streamed(_) => Some(format!("row {}", row.place + 1)),
        }
    }

    /// Ends the transaction.
    pub(super) async fn finish(self) -> Result<Option<Session>, DrillError> {
        let (session, is_spoiled) = match self {
            TableReader::Queried(Queried { session, is_spoiled, .. }) => (session, is_spoiled),
            TableReader::Streamed(Streamed { text: Text::Copied { session, .. }, is_spoiled, .. }) => {
                (session, is_spoiled)
            }
            TableReader::Streamed(_) => return Ok(None),
        };
        match is_spoiled {
            true => session.rollback().await?,
            false => session.commit().await?,
        }
        Ok(Some(session))
    }
}
