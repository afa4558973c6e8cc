//! From settings to an open connection: hosts, addresses, attempts, reasons.

mod failure;
mod startup;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use failure::{ConnectError, ConnectFailure, HostFailure};
pub(crate) use startup::Startup;
use tokio_postgres::config as driver;
use tokio_postgres::{Config, SimpleQueryMessage};

use crate::dial::Dial;
use crate::error::{self, Error, Result};
use crate::link::Link;
use crate::pins::EMPTY_PATH;
use crate::server_error::ServerError;
use crate::settings::{
    ChannelBinding, ConnectSettings, Endpoint, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs,
};
use crate::tap::TapHandle;
use crate::tls::{self, Connector};
use crate::wire::WireError;

/// Tries every host until one lets us in.
pub(crate) async fn open(settings: &ConnectSettings, startup: &Startup) -> Result<Link> {
    let connector = tls::connector(settings.tls())?;
    let wanted = match settings.target_session_attrs {
        TargetSessionAttrs::PreferStandby => vec![TargetSessionAttrs::Standby, TargetSessionAttrs::Any],
        one => vec![one],
    };
    let mut failures = Vec::new();
    for wanted in wanted {
        for endpoint in ordered(settings) {
            match open_endpoint((settings, startup), endpoint, &connector, wanted).await {
                Ok(link) => return Ok(link),
                Err(mut more) => failures.append(&mut more),
            }
        }
    }
    failures.dedup();
    failures.iter_mut().for_each(|failure| failure.failure.hide_user(settings));
    let warnings = settings.warnings().to_vec();
    Err(ConnectError { target: settings.describe(), failures, warnings }.into())
}

fn ordered(settings: &ConnectSettings) -> Vec<&Endpoint> {
    let mut endpoints: Vec<&Endpoint> = settings.endpoints().iter().collect();
    if settings.load_balance_hosts == LoadBalanceHosts::Random {
        shuffle(&mut endpoints);
    }
    endpoints
}

/// An order that differs from run to run; spreading load needs no better randomness.
fn shuffle<T>(items: &mut [T]) {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    for last in (1..items.len()).rev() {
        let other = usize::try_from(state.hash_one(last) % (last as u64 + 1)).unwrap_or(0);
        items.swap(last, other);
    }
}

async fn open_endpoint(
    (settings, startup): (&ConnectSettings, &Startup),
    endpoint: &Endpoint,
    connector: &Connector,
    wanted: TargetSessionAttrs,
) -> std::result::Result<Link, Vec<HostFailure>> {
    let addresses = match addresses(settings, endpoint).await {
        Ok(addresses) => addresses,
        Err(failure) => return Err(vec![HostFailure { host: endpoint.to_string(), failure }]),
    };
    let is_ipv6_only = addresses.iter().all(|address| address.is_some_and(|address| address.is_ipv6()));
    let mut failures = Vec::new();
    for address in &addresses {
        let host = match address {
            Some(address) if addresses.len() > 1 => format!("{endpoint} ({address})"),
            _ => endpoint.to_string(),
        };
        match open_address((settings, startup), endpoint, *address, connector, wanted).await {
            Ok(link) => return Ok(link),
            Err(failure) => {
                let failure = if is_ipv6_only { name_ipv6(failure) } else { failure };
                // the other addresses of one server would give the same answer
                let is_final = failure.server_error().is_some();
                failures.push(HostFailure { host, failure });
                if is_final {
                    break;
                }
            }
        }
    }
    Err(failures)
}

/// Many machines have no way to an IPv6 address, and the system's words do not say that it is one.
fn name_ipv6(failure: ConnectFailure) -> ConnectFailure {
    match failure {
        ConnectFailure::Unreachable(reason) => ConnectFailure::Unreachable(format!(
            "{reason}; the host has only IPv6 addresses: if this machine has no IPv6, use the provider's \
             IPv4 address or its pooler in session mode"
        )),
        other => other,
    }
}

/// The addresses of a host; one `None` for a Unix socket.
async fn addresses(
    settings: &ConnectSettings,
    endpoint: &Endpoint,
) -> std::result::Result<Vec<Option<IpAddr>>, ConnectFailure> {
    if endpoint.is_socket() {
        return Ok(vec![None]);
    }
    if let Some(address) = endpoint.hostaddr {
        return Ok(vec![Some(address)]);
    }
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let found = within(settings.connect_timeout, lookup).await?;
    let found = found.map_err(|error| ConnectFailure::UnknownHost(error.to_string()))?;
    let mut addresses: Vec<Option<IpAddr>> = found.map(|address: SocketAddr| Some(address.ip())).collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(ConnectFailure::UnknownHost("it has no address".to_owned()));
    }
    if settings.load_balance_hosts == LoadBalanceHosts::Random {
        shuffle(&mut addresses);
    }
    Ok(addresses)
}

async fn within<T>(
    limit: Option<Duration>,
    future: impl Future<Output = T>,
) -> std::result::Result<T, ConnectFailure> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| ConnectFailure::Timeout(limit)),
        None => Ok(future.await),
    }
}

/// Tries one address with and without TLS, as the mode says.
async fn open_address(
    (settings, startup): (&ConnectSettings, &Startup),
    endpoint: &Endpoint,
    address: Option<IpAddr>,
    connector: &Connector,
    wanted: TargetSessionAttrs,
) -> std::result::Result<Link, ConnectFailure> {
    use driver::SslMode as Driver;
    let modes: &[Driver] = match settings.tls().mode {
        _ if endpoint.is_socket() => &[Driver::Disable],
        SslMode::Disable => &[Driver::Disable],
        SslMode::Allow => &[Driver::Disable, Driver::Require],
        SslMode::Prefer => &[Driver::Prefer, Driver::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Driver::Require],
    };
    let mut first_failure = None;
    for mode in modes {
        let config = driver_config((settings, startup), endpoint, *mode);
        let asks_for_tls = *mode != Driver::Disable && settings.tls().negotiation == SslNegotiation::Postgres;
        let dial = Dial::new(settings, endpoint, address, connector, asks_for_tls);
        let attempt = open_once(settings, endpoint, &config, dial, wanted);
        let failure = match within(settings.connect_timeout, attempt).await {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(failure)) | Err(failure) => failure,
        };
        if !other_mode_may_help(&failure) {
            return Err(first_failure.unwrap_or(failure));
        }
        first_failure.get_or_insert(failure);
    }
    Err(first_failure.unwrap_or(ConnectFailure::NoTls))
}

/// Whether the server may decide otherwise with, or without, encryption:
/// `pg_hba.conf` may demand either, and a handshake may fail.
fn other_mode_may_help(failure: &ConnectFailure) -> bool {
    match failure {
        ConnectFailure::Tls(_) => true,
        ConnectFailure::Auth(error) => error.sqlstate == "28000",
        _ => false,
    }
}

async fn open_once(
    settings: &ConnectSettings,
    endpoint: &Endpoint,
    config: &Config,
    dial: Dial,
    wanted: TargetSessionAttrs,
) -> std::result::Result<Link, ConnectFailure> {
    let tap = TapHandle::default();
    let socket = dial.socket(tap.clone()).await.map_err(|error| io_failure(&error, endpoint))?;
    let encryption = dial.encryption().map_err(|error| ConnectFailure::Tls(error.to_string()))?;
    let opened = config.connect_raw(socket, encryption).await;
    let (client, connection) = opened.map_err(|error| failure_of(&error, endpoint))?;
    let server = settings.describe_endpoint(endpoint);
    let link = Link::start(client, connection, dial, tap, server);
    check_kind(&link, wanted).await?;
    Ok(link)
}

async fn check_kind(link: &Link, wanted: TargetSessionAttrs) -> std::result::Result<(), ConnectFailure> {
    if wanted == TargetSessionAttrs::Any {
        return Ok(());
    }
    let sql = format!(
        "{EMPTY_PATH}; SELECT pg_catalog.pg_is_in_recovery(), \
         pg_catalog.current_setting('transaction_read_only')"
    );
    let answer = match link.client().simple_query(&sql).await {
        Ok(answer) => answer,
        Err(error) => return Err(kind_failure(link.error(error).await)),
    };
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?, row.get(1)?)),
        _ => None,
    });
    let Some((is_standby, is_read_only)) = row.map(|(recovery, access)| (recovery == "t", access == "on"))
    else {
        return Err(ConnectFailure::Protocol("the server's kind cannot be read".to_owned()));
    };
    let (fits, name) = match wanted {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => (true, "any"),
        TargetSessionAttrs::ReadWrite => (!is_read_only, "read-write"),
        TargetSessionAttrs::ReadOnly => (is_read_only, "read-only"),
        TargetSessionAttrs::Primary => (!is_standby, "primary"),
        TargetSessionAttrs::Standby => (is_standby, "standby"),
    };
    if fits { Ok(()) } else { Err(ConnectFailure::WrongKind { wanted: name }) }
}

/// Why a server does not say what kind it is of.
fn kind_failure(error: Error) -> ConnectFailure {
    match error.server_error() {
        Some(refusal) => ConnectFailure::Rejected(Box::new(refusal.clone())),
        None => ConnectFailure::Protocol(error.to_string()),
    }
}

fn driver_config(
    (settings, startup): (&ConnectSettings, &Startup),
    endpoint: &Endpoint,
    mode: driver::SslMode,
) -> Config {
    let mut config = Config::new();
    config.user(&settings.user).dbname(&settings.database);
    if let Some(password) = settings.password_for(endpoint) {
        config.password(password);
    }
    if let Some(options) = startup.options(settings.options.as_deref()) {
        config.options(options);
    }
    config.application_name(&settings.application_name).ssl_mode(mode);
    config.ssl_negotiation(match settings.tls().negotiation {
        SslNegotiation::Postgres => driver::SslNegotiation::Postgres,
        SslNegotiation::Direct => driver::SslNegotiation::Direct,
    });
    config.channel_binding(match settings.channel_binding {
        ChannelBinding::Disable => driver::ChannelBinding::Disable,
        ChannelBinding::Prefer => driver::ChannelBinding::Prefer,
        ChannelBinding::Require => driver::ChannelBinding::Require,
    });
    config
}

fn failure_of(error: &tokio_postgres::Error, endpoint: &Endpoint) -> ConnectFailure {
    if let Some(db_error) = error.as_db_error() {
        return refusal(ServerError::from_driver(db_error));
    }
    if let Some(refused) = error::io_source(error).and_then(WireError::find) {
        return ConnectFailure::Wire(refused.clone());
    }
    // the driver keeps the kind of an error to itself, but not its words
    let words = error.to_string();
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if words.contains("TLS") {
        return if cause.contains("does not support TLS") {
            ConnectFailure::NoTls
        } else {
            ConnectFailure::Tls(tls::explain(error, &endpoint.host))
        };
    }
    if cause.contains("password missing") {
        return ConnectFailure::NoPassword;
    }
    if words.contains("authentication") {
        return ConnectFailure::AuthProtocol(cause);
    }
    match error::io_source(error) {
        Some(io) => io_failure(io, endpoint),
        None if error.is_closed() => {
            ConnectFailure::Unreachable("the server closed the connection during the login".to_owned())
        }
        None => ConnectFailure::Protocol(error::describe_chain(error)),
    }
}

fn refusal(error: ServerError) -> ConnectFailure {
    let error = Box::new(error);
    match error.sqlstate.as_str() {
        "28000" | "28P01" => ConnectFailure::Auth(error),
        "3D000" => ConnectFailure::NoDatabase(error),
        "53300" => ConnectFailure::TooManyConnections(error),
        "57P03" => ConnectFailure::NotReady(error),
        _ => ConnectFailure::Rejected(error),
    }
}

fn io_failure(io: &io::Error, endpoint: &Endpoint) -> ConnectFailure {
    match io.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::NotFound if endpoint.is_socket() => {
            let path = format!("{}/.s.PGSQL.{}", endpoint.host, endpoint.port);
            ConnectFailure::Unreachable(format!("there is no socket {path}: is the server running?"))
        }
        io::ErrorKind::UnexpectedEof => {
            ConnectFailure::Unreachable("the server closed the connection during the login".to_owned())
        }
        _ => match tls::explain_io(io, &endpoint.host) {
            Some(reason) => ConnectFailure::Tls(reason),
            None => ConnectFailure::Unreachable(io.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
