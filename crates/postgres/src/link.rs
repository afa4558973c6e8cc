//! One open connection: the driver's client, the task that drives its socket,
//! and the reason why it ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{AsyncMessage, Client, Connection};

use crate::dial::{Dial, Encryption, Socket};
use crate::error::{Error, Result};
use crate::server_error::ServerError;
use crate::tap::{Tap, TapHandle};

type Driven = Connection<Tap<Socket>, <Encryption as TlsConnect<Tap<Socket>>>::Stream>;

/// How a connection ended: the driver's error, or none for an orderly end.
type End = Option<Arc<Option<tokio_postgres::Error>>>;

/// Warnings (SQLSTATE class 01) that nobody has taken yet, at most [`MAX_WARNINGS`].
type Warnings = Arc<Mutex<Vec<ServerError>>>;

/// More are only logged: whoever wants warnings takes them after each statement.
const MAX_WARNINGS: usize = 256;

/// Of a longer warning only its beginning is kept: the server could fill our memory with them.
const MAX_WARNING_BYTES: usize = 16 << 10;

/// How long an ended connection's reason, and an orderly close, are waited for.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// An open connection. Dropping it closes the socket at once.
pub(crate) struct Link {
    client: Client,
    driver: Driver,
    dial: Dial,
    tap: TapHandle,
    server: String,
    warnings: Warnings,
}

/// The task that moves bytes; aborted when dropped.
struct Driver {
    task: JoinHandle<()>,
    end: watch::Receiver<End>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Starts driving a connection. `server` describes it without secrets.
    pub(crate) fn start(
        client: Client,
        connection: Driven,
        dial: Dial,
        tap: TapHandle,
        server: String,
    ) -> Self {
        let (sender, end) = watch::channel(None);
        let warnings = Warnings::default();
        let task = tokio::spawn(drive(connection, sender, server.clone(), Arc::clone(&warnings)));
        Link { client, driver: Driver { task, end }, dial, tap, server, warnings }
    }

    /// Takes the warnings that came since they were last taken. Those of a statement
    /// are here before its end is.
    pub(crate) fn take_warnings(&self) -> Vec<ServerError> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// How the same server is reached once more.
    pub(crate) fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Where the rows of copies come out.
    pub(crate) fn tap(&self) -> &TapHandle {
        &self.tap
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Our error for the driver's. "Closed" says nothing, so the reason is
    /// fetched from the task that saw the end.
    pub(crate) async fn error(&self, error: tokio_postgres::Error) -> Error {
        if !error.is_closed() {
            return Error::from_driver(&self.server, &error);
        }
        let mut end = self.driver.end.clone();
        let seen = tokio::time::timeout(END_PATIENCE, end.wait_for(Option::is_some)).await;
        let reason = match &seen {
            Ok(Ok(end)) => end.as_ref().map(Arc::clone),
            _ => None,
        };
        match reason.as_deref() {
            Some(Some(cause)) => match Error::from_driver(&self.server, cause) {
                Error::Server(words) => Error::lost(&self.server, words.message.clone(), Some(*words)),
                other => other,
            },
            _ => Error::from_driver(&self.server, &error),
        }
    }

    /// Ends the connection in good order and waits for its end.
    pub(crate) async fn close(self) -> Result<()> {
        let Link { client, mut driver, server, .. } = self;
        drop(client);
        match tokio::time::timeout(END_PATIENCE, &mut driver.task).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::lost(&server, error.to_string(), None)),
            Err(_) => Ok(()), // the server does not let go: dropping the driver closes the socket
        }
    }
}

async fn drive(mut connection: Driven, end: watch::Sender<End>, server: String, warnings: Warnings) {
    let error = loop {
        match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                let notice = ServerError::from_driver(&notice);
                tracing::debug!(%server, sqlstate = %notice.sqlstate, "{}: {}", notice.severity, notice.message);
                keep_warning(&warnings, notice);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    // the reason must be known before the channels of waiting requests close
    end.send_replace(Some(Arc::new(error)));
    drop(connection);
}

fn keep_warning(warnings: &Warnings, notice: ServerError) {
    let mut kept = warnings.lock().unwrap_or_else(PoisonError::into_inner);
    if notice.is_in_class("01") && kept.len() < MAX_WARNINGS {
        kept.push(notice.within(MAX_WARNING_BYTES));
    }
}
