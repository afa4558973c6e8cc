//! From keywords to [`ConnectSettings`]: defaults, lists, numbers, names.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::SettingsError;
use super::layers::Layers;
use super::passfile::PassFile;
use super::{
    ChannelBinding, ConnectSettings, Endpoint, Keepalives, LoadBalanceHosts, RequireAuth, SslMode,
    SslNegotiation, TargetSessionAttrs, TlsSettings, TlsVersion, default_host,
};

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECT_TIMEOUT_SECONDS: u32 = 30;

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn resolve(
    explicit: &str,
    environment: Environment<'_>,
) -> Result<ConnectSettings, SettingsError> {
    let layers = Layers::collect(explicit, environment)?;
    let user = match layers.get("user") {
        Some(user) => user.to_owned(),
        None => system_user(environment).ok_or(SettingsError::NoUser)?,
    };
    let (passfile, warning) = match password_file(&layers, environment) {
        Some(path) if layers.get("password").is_none() => PassFile::read(&path),
        _ => (PassFile::default(), None),
    };
    let application_name = layers.get("application_name").or_else(|| layers.get("fallback_application_name"));
    Ok(ConnectSettings {
        endpoints: endpoints(&layers)?,
        database: layers.get("dbname").unwrap_or(&user).to_owned(),
        user,
        role: None,
        password: layers.get("password").map(str::to_owned),
        passfile,
        options: layers.get("options").map(str::to_owned),
        application_name: application_name.unwrap_or("dbhaul").to_owned(),
        tls: tls(&layers, environment)?,
        channel_binding: choice(&layers, "channel_binding", CHANNEL_BINDINGS, ChannelBinding::Prefer)?,
        require_auth: RequireAuth::parse(layers.get("require_auth").unwrap_or_default())?,
        connect_timeout: connect_timeout(&layers)?,
        tcp_user_timeout: tcp_user_timeout(&layers)?,
        keepalives: keepalives(&layers)?,
        target_session_attrs: choice(&layers, "target_session_attrs", TARGETS, TargetSessionAttrs::Any)?,
        load_balance_hosts: choice(&layers, "load_balance_hosts", BALANCINGS, LoadBalanceHosts::Disable)?,
        warnings: warning.into_iter().collect(),
    })
}

const CHANNEL_BINDINGS: &[(&str, ChannelBinding)] = &[
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

const TARGETS: &[(&str, TargetSessionAttrs)] = &[
    ("any", TargetSessionAttrs::Any),
    ("read-write", TargetSessionAttrs::ReadWrite),
    ("read-only", TargetSessionAttrs::ReadOnly),
    ("primary", TargetSessionAttrs::Primary),
    ("standby", TargetSessionAttrs::Standby),
    ("prefer-standby", TargetSessionAttrs::PreferStandby),
];

const BALANCINGS: &[(&str, LoadBalanceHosts)] =
    &[("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];

const MODES: &[(&str, SslMode)] = &[
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

const NEGOTIATIONS: &[(&str, SslNegotiation)] =
    &[("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];

// Older versions are not spoken: as a minimum they mean 1.2.
const MIN_VERSIONS: &[(&str, TlsVersion)] = &[
    ("TLSv1", TlsVersion::V1_2),
    ("TLSv1.1", TlsVersion::V1_2),
    ("TLSv1.2", TlsVersion::V1_2),
    ("TLSv1.3", TlsVersion::V1_3),
];

const MAX_VERSIONS: &[(&str, TlsVersion)] = &[("TLSv1.2", TlsVersion::V1_2), ("TLSv1.3", TlsVersion::V1_3)];

fn choice<T: Copy>(
    layers: &Layers,
    keyword: &'static str,
    choices: &[(&str, T)],
    default: T,
) -> Result<T, SettingsError> {
    let Some(value) = layers.get(keyword) else { return Ok(default) };
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        SettingsError::InvalidValue { keyword, expected: format!("one of {names}") }
    })
}

fn number(layers: &Layers, keyword: &'static str) -> Result<Option<u32>, SettingsError> {
    let Some(value) = layers.get(keyword) else { return Ok(None) };
    match value.trim().parse::<i32>() {
        // libpq takes negative numbers for "the default"
        Ok(number) => Ok(u32::try_from(number).ok()),
        Err(_) => Err(SettingsError::InvalidValue { keyword, expected: "a whole number".to_owned() }),
    }
}

fn connect_timeout(layers: &Layers) -> Result<Option<Duration>, SettingsError> {
    let seconds = number(layers, "connect_timeout")?.unwrap_or(DEFAULT_CONNECT_TIMEOUT_SECONDS);
    // 0 waits for ever; 1 is too short to be meant, libpq rounds it up too
    Ok((seconds > 0).then(|| Duration::from_secs(u64::from(seconds.max(2)))))
}

fn tcp_user_timeout(layers: &Layers) -> Result<Option<Duration>, SettingsError> {
    let milliseconds = number(layers, "tcp_user_timeout")?.filter(|milliseconds| *milliseconds > 0);
    Ok(milliseconds.map(|milliseconds| Duration::from_millis(u64::from(milliseconds))))
}

fn keepalives(layers: &Layers) -> Result<Keepalives, SettingsError> {
    let seconds = |keyword, default: u32| -> Result<Duration, SettingsError> {
        let seconds = number(layers, keyword)?.filter(|seconds| *seconds > 0).unwrap_or(default);
        Ok(Duration::from_secs(u64::from(seconds)))
    };
    Ok(Keepalives {
        enabled: number(layers, "keepalives")? != Some(0),
        idle: seconds("keepalives_idle", 60)?,
        interval: seconds("keepalives_interval", 10)?,
        count: number(layers, "keepalives_count")?.filter(|count| *count > 0).unwrap_or(6),
    })
}

fn list<'a>(layers: &'a Layers, keyword: &'static str) -> Vec<&'a str> {
    layers.get(keyword).map_or_else(Vec::new, |text| text.split(',').map(str::trim).collect())
}

fn endpoints(layers: &Layers) -> Result<Vec<Endpoint>, SettingsError> {
    let hosts = list(layers, "host");
    let addresses = list(layers, "hostaddr");
    let ports = list(layers, "port");
    let count = hosts.len().max(addresses.len()).max(1);
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(SettingsError::CountMismatch {
            keyword: "hostaddr",
            hosts: hosts.len(),
            others: addresses.len(),
        });
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(SettingsError::CountMismatch { keyword: "port", hosts: count, others: ports.len() });
    }
    let nth = |list: &[&str], index: usize| {
        list.get(index).copied().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut endpoints = Vec::with_capacity(count);
    for index in 0..count {
        let port = port(nth(&ports, if ports.len() == 1 { 0 } else { index }).as_deref())?;
        let hostaddr = address(nth(&addresses, index).as_deref())?;
        let host = nth(&hosts, index).or_else(|| hostaddr.map(|address| address.to_string()));
        endpoints.push(Endpoint { host: host.unwrap_or_else(|| default_host(port)), hostaddr, port });
    }
    Ok(endpoints)
}

fn port(text: Option<&str>) -> Result<u16, SettingsError> {
    let Some(text) = text else { return Ok(DEFAULT_PORT) };
    text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| SettingsError::InvalidValue {
        keyword: "port",
        expected: "a port number from 1 to 65535".to_owned(),
    })
}

fn address(text: Option<&str>) -> Result<Option<IpAddr>, SettingsError> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| SettingsError::InvalidValue {
        keyword: "hostaddr",
        expected: "an IP address".to_owned(),
    })
}

fn home(environment: Environment<'_>) -> Option<PathBuf> {
    environment("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn password_file(layers: &Layers, environment: Environment<'_>) -> Option<PathBuf> {
    layers.get("passfile").map(PathBuf::from).or_else(|| home(environment).map(|home| home.join(".pgpass")))
}

fn tls(layers: &Layers, environment: Environment<'_>) -> Result<TlsSettings, SettingsError> {
    let system_roots = layers.get("sslrootcert") == Some("system");
    let default_mode = if system_roots { SslMode::VerifyFull } else { SslMode::Prefer };
    let mode = choice(layers, "sslmode", MODES, default_mode)?;
    if system_roots && mode != SslMode::VerifyFull {
        let problem =
            format!("sslmode={} is too weak for sslrootcert=system: use verify-full", mode.as_str());
        return Err(SettingsError::Contradiction { problem });
    }
    let negotiation = choice(layers, "sslnegotiation", NEGOTIATIONS, SslNegotiation::Postgres)?;
    if negotiation == SslNegotiation::Direct && mode < SslMode::Require {
        let problem = format!("sslmode={} is too weak for sslnegotiation=direct: use require", mode.as_str());
        return Err(SettingsError::Contradiction { problem });
    }
    let in_home = |name: &str| home(environment).map(|home| home.join(".postgresql").join(name));
    let given_or = |keyword, name: &str| {
        let given = layers.get(keyword).map(PathBuf::from);
        given.or_else(|| in_home(name).filter(|path| path.exists()))
    };
    let root_cert = if system_roots { None } else { given_or("sslrootcert", "root.crt") };
    let certificate = choice(layers, "sslcertmode", &[("disable", false), ("allow", true)], true)?;
    let client_cert = if certificate { given_or("sslcert", "postgresql.crt") } else { None };
    let client_key = layers.get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key"));
    Ok(TlsSettings {
        mode,
        negotiation,
        system_roots,
        missing_root_cert: if root_cert.is_none() && !system_roots { in_home("root.crt") } else { None },
        root_cert,
        crl: given_or("sslcrl", "root.crl"),
        client_key: client_key.filter(|_| client_cert.is_some()),
        client_cert,
        sni: choice(layers, "sslsni", &[("0", false), ("1", true)], true)?,
        min_version: choice(layers, "ssl_min_protocol_version", MIN_VERSIONS, TlsVersion::V1_2)?,
        max_version: choice(layers, "ssl_max_protocol_version", MAX_VERSIONS, TlsVersion::V1_3)?,
    })
}

/// The name of the operating system's user, as libpq's default.
fn system_user(environment: Environment<'_>) -> Option<String> {
    let from_environment = || environment("USER").or_else(|| environment("LOGNAME"));
    user_of_process().or_else(from_environment).filter(|user| !user.is_empty())
}

#[cfg(unix)]
fn user_of_process() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .find(|fields| fields.get(2) == Some(&uid.as_str()))
        .and_then(|fields| fields.first().map(|name| (*name).to_owned()))
}

#[cfg(not(unix))]
fn user_of_process() -> Option<String> {
    None
}
