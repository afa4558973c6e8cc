//! Where a server is and how to get in.

mod error;
mod keyword_string;
mod keywords;
mod layers;
mod passfile;
mod require_auth;
mod resolve;
mod service;
#[cfg(test)]
mod tests;
mod uri;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dbhaul_catalog::in_one_line;
pub use error::SettingsError;
use passfile::PassFile;
pub(crate) use require_auth::{AuthMethod, RequireAuth};

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name, an address, or a directory with a Unix socket if it begins with `/`.
    pub host: String,
    /// The address to connect to, instead of looking `host` up.
    pub hostaddr: Option<std::net::IpAddr>,
    /// The port, or the number in the socket's name.
    pub port: u16,
}

impl Endpoint {
    /// Whether this is a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `sslmode`: whether to encrypt, and what to check. See PostgreSQL's
/// documentation, "SSL Mode Descriptions".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypt.
    Disable,
    /// Encrypt only if the server refuses otherwise.
    Allow,
    /// Encrypt if the server can.
    Prefer,
    /// Encrypt; check the certificate's issuer only if a root certificate is there.
    Require,
    /// Encrypt and check the certificate's issuer.
    VerifyCa,
    /// Encrypt and check the certificate's issuer and host name.
    VerifyFull,
}

impl SslMode {
    /// The value as libpq writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// `sslnegotiation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslNegotiation {
    /// Ask first, then encrypt.
    Postgres,
    /// Encrypt at once (servers from 17 on).
    Direct,
}

/// A TLS version that `ssl_min_protocol_version` and its fellow may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, the oldest that is spoken.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Everything about encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// `sslmode`.
    pub mode: SslMode,
    /// `sslnegotiation`.
    pub negotiation: SslNegotiation,
    /// `sslrootcert=system`: trust what the operating system trusts.
    pub system_roots: bool,
    /// `sslrootcert`, or `~/.postgresql/root.crt` if that exists.
    pub root_cert: Option<PathBuf>,
    /// `sslcrl`, or `~/.postgresql/root.crl` if that exists.
    pub crl: Option<PathBuf>,
    /// `sslcert`, or `~/.postgresql/postgresql.crt` if that exists.
    pub client_cert: Option<PathBuf>,
    /// `sslkey`, or `~/.postgresql/postgresql.key`.
    pub client_key: Option<PathBuf>,
    /// `sslsni`: tell the server the host name.
    pub sni: bool,
    /// `ssl_min_protocol_version`.
    pub min_version: TlsVersion,
    /// `ssl_max_protocol_version`.
    pub max_version: TlsVersion,
    /// Where a root certificate was looked for in vain, for messages.
    pub(crate) missing_root_cert: Option<PathBuf>,
}

/// `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server can.
    Prefer,
    /// Or fail.
    Require,
}

/// `target_session_attrs`: which servers of a list will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// Any.
    Any,
    /// One that accepts writes by default.
    ReadWrite,
    /// One that does not accept writes by default.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is in recovery.
    Standby,
    /// One in recovery if there is one, else any.
    PreferStandby,
}

/// `load_balance_hosts`: in which order hosts are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadBalanceHosts {
    /// As written.
    Disable,
    /// Shuffled.
    Random,
}

/// TCP keepalives. dbhaul's defaults are tighter than the system's two hours, so
/// that a connection dropped by a NAT on the way is noticed within two minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalives {
    /// `keepalives`: whether to send them.
    pub enabled: bool,
    /// `keepalives_idle`: idle time before the first; 60 s.
    pub idle: Duration,
    /// `keepalives_interval`: time between two; 10 s.
    pub interval: Duration,
    /// `keepalives_count`: how many may be lost; 6.
    pub count: u32,
}

/// Where a server is and how to get in.
///
/// `Debug` and [`describe`](Self::describe) show no secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectSettings {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) user: String,
    pub(crate) role: Option<String>,
    pub(crate) database: String,
    password: Option<String>,
    passfile: PassFile,
    pub(crate) options: Option<String>,
    pub(crate) application_name: String,
    pub(crate) tls: TlsSettings,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) require_auth: RequireAuth,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) tcp_user_timeout: Option<Duration>,
    pub(crate) keepalives: Keepalives,
    pub(crate) target_session_attrs: TargetSessionAttrs,
    pub(crate) load_balance_hosts: LoadBalanceHosts,
    warnings: Vec<String>,
}

impl ConnectSettings {
    /// Resolves a URI or `key=value` string against service files, the
    /// environment, password files and defaults.
    ///
    /// Explicit settings beat the service's, those beat the environment's, and
    /// those beat the defaults. `environment` is asked for libpq's variables and
    /// for `HOME`; pass [`process_environment`] outside tests.
    ///
    /// Defaults are libpq's but for: `application_name` `dbhaul`,
    /// `connect_timeout` 30 s (0 waits for ever) and tighter [`Keepalives`].
    ///
    /// # Errors
    /// Anything that libpq would refuse, and keywords that cannot be honoured.
    pub fn resolve(
        explicit: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        resolve::resolve(explicit.unwrap_or(""), environment)
    }

    /// `host:port/database as user`, with all hosts, without secrets, in one line.
    pub fn describe(&self) -> String {
        self.describe_at(&self.endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(","))
    }

    fn describe_at(&self, hosts: &str) -> String {
        in_one_line(&format!("{hosts}/{} as {}", self.shown_database(), self.acting()))
    }

    /// Like [`describe`](Self::describe), for one of the hosts.
    pub(crate) fn describe_endpoint(&self, endpoint: &Endpoint) -> String {
        self.describe_at(&endpoint.to_string())
    }

    /// Who does things there, for messages.
    fn acting(&self) -> String {
        let user = self.shown_user();
        match &self.role {
            Some(role) => format!("{user} in role {role}"),
            None => user.into_owned(),
        }
    }

    /// The database, for messages. The name of one that was not named is the user's.
    pub fn shown_database(&self) -> Cow<'_, str> {
        if self.database == self.user { self.shown_user() } else { Cow::Borrowed(&self.database) }
    }

    /// The user, for messages. With a colon in it and no password it is likely that somebody has encoded the colon
    /// between the two (`postgres://u%3Apassword@host`): what stands behind it is not shown.
    pub(crate) fn shown_user(&self) -> Cow<'_, str> {
        match self.user.split_once(':') {
            Some((user, _)) if self.password.as_deref().is_none_or(str::is_empty) => {
                Cow::Owned(format!("{user}:***"))
            }
            _ => Cow::Borrowed(&self.user),
        }
    }

    /// The same server and user, another database. The password is looked up anew.
    pub fn with_database(&self, name: &str) -> Self {
        ConnectSettings { database: name.to_owned(), ..self.clone() }
    }

    /// The same settings under another `application_name`.
    pub fn with_application_name(&self, name: &str) -> Self {
        ConnectSettings { application_name: name.to_owned(), ..self.clone() }
    }

    /// The same settings, with every session acting as this role (`SET ROLE`), whoever connects.
    pub fn with_role(&self, role: Option<&str>) -> Self {
        ConnectSettings { role: role.map(str::to_owned), ..self.clone() }
    }

    /// The hosts, in the order written.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The user to connect as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The role that sessions act as, if that is not the user's own.
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// The database to connect to.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Everything about encryption.
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// What a user should know, for example that a password file was ignored.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The password for a host: the given one, or the password file's.
    pub(crate) fn password_for(&self, endpoint: &Endpoint) -> Option<&str> {
        if self.password.is_some() {
            return self.password.as_deref();
        }
        let host = if is_default_socket_directory(&endpoint.host) { "localhost" } else { &endpoint.host };
        self.passfile.find(host, endpoint.port, &self.database, &self.user)
    }
}

impl fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectSettings")
            .field("endpoints", &self.endpoints)
            .field("user", &self.shown_user())
            .field("role", &self.role)
            .field("database", &self.shown_database())
            .field("password", &self.password.as_ref().map(|_| "(redacted)"))
            .field("passfile", &self.passfile)
            .field("tls", &self.tls)
            .field("connect_timeout", &self.connect_timeout)
            .field("target_session_attrs", &self.target_session_attrs)
            .finish_non_exhaustive()
    }
}

/// Looks a variable up in the environment of this process.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Directories where servers of distributions and of PostgreSQL itself put their sockets.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

fn is_default_socket_directory(host: &str) -> bool {
    SOCKET_DIRECTORIES.contains(&host)
}

/// Where to look when no host is given: a socket of that port, else `localhost`.
fn default_host(port: u16) -> String {
    let has_socket = |directory: &&str| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_DIRECTORIES
        .iter()
        .find(|directory| has_socket(directory))
        .map_or("localhost", |found| found)
        .to_owned()
}
