//! Encryption: from [`TlsSettings`] to a connector, and handshake errors in words.

mod certificate;
mod explain;
mod verifier;

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use crate::settings::{SettingsError, SslMode, SslNegotiation, TlsSettings, TlsVersion};
pub(crate) use explain::{explain, explain_io};
use verifier::{Check, Verifier};

/// What the driver encrypts with.
pub(crate) type Connector = tokio_postgres_rustls::MakeRustlsConnect;

/// Builds the connector, reading the files that the settings name.
pub(crate) fn connector(settings: &TlsSettings) -> Result<Connector, SettingsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let is_used = settings.mode != SslMode::Disable;
    let verifier = if is_used { verifier(settings, &provider)? } else { Verifier::trusting_all(&provider) };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings)?)
        .map_err(|error| contradiction(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match settings.client_cert.as_deref().filter(|_| is_used) {
        Some(file) => {
            let (chain, key) = client_certificate(settings, file)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| file_error("sslcert", file, error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = settings.sni;
    if settings.negotiation == SslNegotiation::Direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(Connector::new(config))
}

fn versions(settings: &TlsSettings) -> Result<Vec<&'static SupportedProtocolVersion>, SettingsError> {
    let all = [(TlsVersion::V1_2, &version::TLS12), (TlsVersion::V1_3, &version::TLS13)];
    let range = settings.min_version..=settings.max_version;
    let chosen: Vec<_> =
        all.into_iter().filter(|(version, _)| range.contains(version)).map(|(_, v)| v).collect();
    if chosen.is_empty() {
        return Err(contradiction("ssl_min_protocol_version is above ssl_max_protocol_version".to_owned()));
    }
    Ok(chosen)
}

/// As libpq: `require` checks the issuer too once a root certificate is there.
fn verifier(
    settings: &TlsSettings,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Verifier, SettingsError> {
    let check = match settings.mode {
        SslMode::VerifyFull => Check::IssuerAndName,
        SslMode::VerifyCa => Check::Issuer,
        _ if settings.root_cert.is_some() => Check::Issuer,
        _ => return Ok(Verifier::trusting_all(provider)),
    };
    let trusted = trusted_certificates(settings)?;
    let mut roots = RootCertStore::empty();
    for certificate in &trusted {
        // an unusable one among the system's must not spoil the rest
        if let Err(error) = roots.add(certificate.clone()) {
            tracing::debug!(%error, "a root certificate was left out");
        }
    }
    let name = settings.root_cert.as_deref().unwrap_or(Path::new("system"));
    let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if let Some(file) = &settings.crl {
        let lists: Vec<CertificateRevocationListDer<'static>> = read_pem("sslcrl", file)?;
        builder = builder.with_crls(lists).allow_unknown_revocation_status();
    }
    let inner = builder.build().map_err(|error| file_error("sslrootcert", name, error))?;
    Ok(Verifier::checking(check, inner, trusted, provider))
}

fn trusted_certificates(settings: &TlsSettings) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    if settings.system_roots {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            let problem = "the operating system has no certificate authorities".to_owned();
            return Err(SettingsError::File { keyword: "sslrootcert", file: "system".into(), problem });
        }
        return Ok(found.certs);
    }
    if let Some(file) = &settings.root_cert {
        return read_pem("sslrootcert", file);
    }
    let looked_at = settings.missing_root_cert.as_ref();
    Err(SettingsError::NoRootCertificate {
        mode: settings.mode.as_str(),
        looked_at: looked_at.map(|file| format!(" ({} does not exist)", file.display())).unwrap_or_default(),
    })
}

fn client_certificate(
    settings: &TlsSettings,
    file: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SettingsError> {
    let chain = read_pem("sslcert", file)?;
    let Some(key_file) = &settings.client_key else {
        return Err(contradiction("sslcert needs a private key: give sslkey too".to_owned()));
    };
    check_key_permissions(key_file)?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| file_error("sslkey", key_file, error))?;
    Ok((chain, key))
}

/// Every item of one kind in a PEM file; none is an error.
fn read_pem<T: PemObject>(keyword: &'static str, file: &Path) -> Result<Vec<T>, SettingsError> {
    let items = T::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<T>, _>>);
    let items = items.map_err(|error| file_error(keyword, file, error))?;
    if items.is_empty() {
        return Err(file_error(keyword, file, "it holds nothing of this kind in PEM form"));
    }
    Ok(items)
}

/// As libpq: a key must not be open to others; one of root may be open to a group.
#[cfg(unix)]
fn check_key_permissions(file: &Path) -> Result<(), SettingsError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).map_err(|error| file_error("sslkey", file, error))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        let problem =
            "others may read it; permissions must be u=rw (0600) or less, or u=rw,g=r (0640) if root owns it";
        return Err(file_error("sslkey", file, problem));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_key_permissions(_file: &Path) -> Result<(), SettingsError> {
    Ok(())
}

fn file_error(keyword: &'static str, file: &Path, problem: impl ToString) -> SettingsError {
    SettingsError::File { keyword, file: file.to_owned(), problem: problem.to_string() }
}

fn contradiction(problem: String) -> SettingsError {
    SettingsError::Contradiction { problem }
}
