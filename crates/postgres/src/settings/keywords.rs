//! Every connection keyword that libpq knows, and what becomes of it here.

/// What dbhaul does with a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// It is used.
    Used,
    /// It has no effect here, and leaving it out changes nothing that matters.
    Ignored,
    /// Only these values are possible.
    Only(&'static [&'static str]),
    /// It cannot be honoured, and doing without it may surprise: an error.
    Unsupported(&'static str),
    /// Like `Unsupported`, but harmless when it merely lies in the environment.
    UnsupportedIfAsked(&'static str),
}

/// A keyword, its environment variable and its support.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) support: Support,
}

const fn used(name: &'static str, variable: &'static str) -> Keyword {
    Keyword { name, variable: Some(variable), support: Support::Used }
}

const fn used_without_variable(name: &'static str) -> Keyword {
    Keyword { name, variable: None, support: Support::Used }
}

const fn other(name: &'static str, variable: Option<&'static str>, support: Support) -> Keyword {
    Keyword { name, variable, support }
}

const NO_GSS: Support = Support::UnsupportedIfAsked("GSSAPI is not supported");
const NO_OAUTH: Support = Support::Unsupported("OAuth is not supported");

/// Source: PostgreSQL 18, src/interfaces/libpq/fe-connect.c, `PQconninfoOptions`.
pub(super) const KEYWORDS: &[Keyword] = &[
    used("service", "PGSERVICE"),
    used("servicefile", "PGSERVICEFILE"),
    used("user", "PGUSER"),
    used("password", "PGPASSWORD"),
    used("passfile", "PGPASSFILE"),
    used("require_auth", "PGREQUIREAUTH"),
    used("channel_binding", "PGCHANNELBINDING"),
    used("connect_timeout", "PGCONNECT_TIMEOUT"),
    used("dbname", "PGDATABASE"),
    used("host", "PGHOST"),
    used("hostaddr", "PGHOSTADDR"),
    used("port", "PGPORT"),
    used("options", "PGOPTIONS"),
    used("application_name", "PGAPPNAME"),
    used_without_variable("fallback_application_name"),
    used_without_variable("keepalives"),
    used_without_variable("keepalives_idle"),
    used_without_variable("keepalives_interval"),
    used_without_variable("keepalives_count"),
    used_without_variable("tcp_user_timeout"),
    used("sslmode", "PGSSLMODE"),
    used("sslnegotiation", "PGSSLNEGOTIATION"),
    used("sslcert", "PGSSLCERT"),
    used("sslkey", "PGSSLKEY"),
    used("sslcertmode", "PGSSLCERTMODE"),
    used("sslrootcert", "PGSSLROOTCERT"),
    used("sslcrl", "PGSSLCRL"),
    used("sslsni", "PGSSLSNI"),
    used("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    used("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    used("target_session_attrs", "PGTARGETSESSIONATTRS"),
    used("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    other("client_encoding", Some("PGCLIENTENCODING"), Support::Ignored),
    other("sslcompression", Some("PGSSLCOMPRESSION"), Support::Ignored),
    other("authtype", None, Support::Ignored),
    other("tty", None, Support::Ignored),
    other("replication", None, Support::Only(&["false", "no", "off", "0"])),
    other("gssencmode", Some("PGGSSENCMODE"), Support::Only(&["disable", "prefer"])),
    other("gssdelegation", Some("PGGSSDELEGATION"), Support::Only(&["0"])),
    other("min_protocol_version", Some("PGMINPROTOCOLVERSION"), Support::Only(&["3.0"])),
    other("max_protocol_version", Some("PGMAXPROTOCOLVERSION"), Support::Only(&["3.0", "3.2", "latest"])),
    other("krbsrvname", Some("PGKRBSRVNAME"), NO_GSS),
    other("gsslib", Some("PGGSSLIB"), NO_GSS),
    other(
        "sslpassword",
        None,
        Support::Unsupported("encrypted keys are not supported: decrypt the key file first"),
    ),
    other("sslcrldir", Some("PGSSLCRLDIR"), Support::Unsupported("give one file with sslcrl instead")),
    other("sslkeylogfile", None, Support::Unsupported("keys are never logged")),
    other("requirepeer", Some("PGREQUIREPEER"), Support::Unsupported("the peer of a socket is not checked")),
    other("scram_client_key", None, Support::Unsupported("give a password instead")),
    other("scram_server_key", None, Support::Unsupported("give a password instead")),
    other("oauth_issuer", None, NO_OAUTH),
    other("oauth_client_id", None, NO_OAUTH),
    other("oauth_client_secret", None, NO_OAUTH),
    other("oauth_scope", None, NO_OAUTH),
];

/// Finds a keyword by its exact name.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// More changes than these make another word of a keyword.
const MAX_TYPING_ERRORS: usize = 2;

/// The keyword that was meant by a misspelt one.
pub(super) fn similar(name: &str) -> Option<&'static str> {
    let distances = KEYWORDS.iter().map(|keyword| (strsim::osa_distance(keyword.name, name), keyword.name));
    let nearest = distances.min().filter(|(distance, _)| *distance <= MAX_TYPING_ERRORS);
    nearest.map(|(_, keyword)| keyword)
}
