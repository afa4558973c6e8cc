//! The one crate that speaks to a PostgreSQL server.
//!
//! [`ConnectSettings`] says where a server is and how to get in: a URI or a
//! `key=value` string, then a service file, then libpq's environment, then
//! defaults, password files included. [`Session`] is one connection whose
//! settings are *pinned*: every setting that shapes text or may kill a long
//! query is set, read back in a second transaction, and a mismatch is an error,
//! so what a session reads is the same on every server. A [`CopyOut`] streams
//! `COPY ... TO STDOUT` with back-pressure; a [`CopyIn`] feeds `COPY ... FROM
//! STDIN`: dropping it aborts, only [`CopyIn::finish`] completes it.
//!
//! Queries that do not need each other's answers go out together in a [`Flight`],
//! so that a far server costs as many round trips as there are questions that
//! need an answer first.
//!
//! A [`SnapshotHolder`] is a session that does nothing but hold an exported
//! transaction snapshot open, with a heartbeat, so that any number of other
//! sessions can see the database as of that instant. [`Probe`] finds out what a
//! role may do by trying it in a transaction that is rolled back.
//!
//! Every operation watches the [`CancellationToken`](tokio_util::sync::CancellationToken)
//! that its session was opened with: on cancellation a cancel request goes to
//! the server and the operation ends as [`Error::Cancelled`], unless it turned
//! out to have succeeded. [`Error::class`] says whether trying again can help.
//!
//! This crate does not know what a table or a backup is; nobody else knows
//! tokio-postgres.
//!
//! ```no_run
//! # async fn example() -> Result<(), dbhaul_postgres::Error> {
//! use dbhaul_postgres::{ConnectSettings, Session, SessionRole, process_environment};
//! use tokio_util::sync::CancellationToken;
//!
//! let settings = ConnectSettings::resolve(Some("postgres://db.example/shop"), &process_environment)?;
//! let session = Session::connect(&settings, SessionRole::Reader, &CancellationToken::new()).await?;
//! let tables = session.query_strings("SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'r'").await?;
//! session.close().await?;
//! # drop(tables); Ok(())
//! # }
//! ```

mod cancel;
mod collations;
mod connect;
mod copy_in;
mod copy_out;
mod dial;
mod error;
mod flight;
mod held;
mod json;
mod link;
mod outgoing;
mod pins;
mod probe;
mod search_path;
mod server_error;
mod session;
mod settings;
mod side;
mod snapshot;
mod statements;
mod tap;
mod tls;
mod wire;

pub use collations::CollationVersion;
pub use connect::{ConnectError, ConnectFailure, HostFailure};
pub use copy_in::CopyIn;
pub use copy_out::CopyOut;
pub use dbhaul_catalog::{ServerVersion, quote_identifier, quote_literal};
pub use error::{Error, ErrorClass, Result};
pub use flight::Flight;
pub use pins::{SessionRole, text_settings};
pub use probe::{AvailableExtension, Capabilities, LockCapacity, Offer, Probe, UnreadableTable};
pub use search_path::search_path_sql;
pub use server_error::ServerError;
pub use session::{ResultColumn, Session, SessionOptions};
pub use settings::{
    ChannelBinding, ConnectSettings, Endpoint, Keepalives, LoadBalanceHosts, SettingsError, SslMode,
    SslNegotiation, TargetSessionAttrs, TlsSettings, TlsVersion, process_environment,
};
pub use side::{connect_directly, is_same_database};
pub use snapshot::{SnapshotHolder, SnapshotInfo};
pub use statements::FailedStatement;
pub use wire::WireError;
