//! Handshake errors in words that say what to do.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// Explains a driver error that came out of a handshake with this host.
pub(crate) fn explain(error: &tokio_postgres::Error, host: &str) -> String {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return explain_tls(tls, host);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return explain_io(io, host).unwrap_or_else(|| explain_broken(io));
        }
        next = cause.source();
    }
    crate::error::describe_chain(error)
}

/// Explains an I/O error if it wraps a TLS error.
pub(crate) fn explain_io(io: &io::Error, host: &str) -> Option<String> {
    io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).map(|tls| explain_tls(tls, host))
}

fn explain_broken(io: &io::Error) -> String {
    match io.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection during the handshake".to_owned(),
        _ => io.to_string(),
    }
}

fn explain_tls(error: &rustls::Error, host: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(problem) => explain_certificate(problem, host),
        rustls::Error::AlertReceived(alert) => {
            format!("the server refused the handshake ({alert:?}); it may want another client certificate")
        }
        other => other.to_string(),
    }
}

fn explain_certificate(problem: &CertificateError, host: &str) -> String {
    match problem {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("the certificate of {host} expired {} ago", age(*not_after, *time))
        }
        CertificateError::Expired => format!("the certificate of {host} has expired"),
        CertificateError::NotValidYetContext { time, not_before } => {
            format!(
                "the certificate of {host} becomes valid in {}: check this machine's clock",
                age(*time, *not_before)
            )
        }
        CertificateError::NotValidYet => {
            format!("the certificate of {host} is not valid yet: check this machine's clock")
        }
        CertificateError::UnknownIssuer => format!(
            "the certificate of {host} is signed by an authority that is not trusted; \
             give the authority's certificate with sslrootcert"
        ),
        CertificateError::BadSignature => format!(
            "the certificate of {host} is not signed by the authority that is trusted, though that has the \
             same name, so it is not trusted; give the right authority's certificate with sslrootcert"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = if presented.is_empty() { "no host".to_owned() } else { presented.join(", ") };
            format!(
                "the certificate is not for {host} but for {names}; connect by that name, \
                 or use sslmode=verify-ca to check the authority only"
            )
        }
        CertificateError::NotValidForName => format!("the certificate is not for {host}"),
        CertificateError::Revoked => format!("the certificate of {host} has been revoked"),
        other => format!("the certificate of {host} cannot be accepted: {other}"),
    }
}

fn age(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let length = Duration::from_secs(seconds);
    match length.as_secs() / 86_400 {
        0 => format!("{} minutes", length.as_secs() / 60),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
