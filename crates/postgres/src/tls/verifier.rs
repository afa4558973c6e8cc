//! Checks a server's certificate as far as `sslmode` asks for it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::Parsed;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: `prefer`, `allow`, and `require` without a root certificate.
    Nothing,
    /// That a trusted authority signed it.
    Issuer,
    /// And that it is this host's.
    IssuerAndName,
}

/// The verifier of one connector.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    inner: Option<Arc<WebPkiServerVerifier>>,
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn trusting_all(provider: &CryptoProvider) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Verifier { check: Check::Nothing, inner: None, trusted: Vec::new(), algorithms }
    }

    pub(super) fn checking(
        check: Check,
        inner: Arc<WebPkiServerVerifier>,
        trusted: Vec<CertificateDer<'static>>,
        provider: &CryptoProvider,
    ) -> Self {
        Verifier {
            check,
            inner: Some(inner),
            trusted,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn check_name(&self, certificate: &Parsed, host: &ServerName<'_>) -> Result<(), Error> {
        match self.check {
            Check::IssuerAndName => certificate.check_name(host),
            Check::Nothing | Check::Issuer => Ok(()),
        }
    }

    /// A certificate of version 1 cannot be an authority's, so its issuer must be
    /// among the trusted themselves.
    fn check_version_1(&self, certificate: &Parsed, now: UnixTime) -> Result<(), Error> {
        certificate.check_validity(now)?;
        let issuers = self.trusted.iter().filter_map(|der| Parsed::parse(der).ok());
        for issuer in issuers.filter(|issuer| certificate.is_issued_in_name_of(issuer)) {
            issuer.check_validity(now)?;
            if self.is_signed_by(certificate, &issuer) {
                return Ok(());
            }
        }
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn is_signed_by(&self, certificate: &Parsed, issuer: &Parsed) -> bool {
        let Some((key_algorithm, key)) = issuer.public_key() else { return false };
        let Some((signature_algorithm, message, signature)) = certificate.signature() else { return false };
        self.algorithms.all.iter().any(|algorithm| {
            *algorithm.signature_alg_id() == *signature_algorithm
                && *algorithm.public_key_alg_id() == *key_algorithm
                && algorithm.verify_signature(&key, &message, &signature).is_ok()
        })
    }

    /// The handshake's signature under a version 1 certificate, which webpki does not read.
    fn check_handshake_of_version_1(
        &self,
        message: &[u8],
        certificate: &Parsed,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let bad = || Error::InvalidCertificate(CertificateError::BadSignature);
        let (key_algorithm, key) = certificate.public_key().ok_or_else(bad)?;
        let schemes = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
        let mut algorithms = schemes.flat_map(|(_, algorithms)| algorithms.iter());
        let is_valid = algorithms.any(|algorithm| {
            *algorithm.public_key_alg_id() == *key_algorithm
                && algorithm.verify_signature(&key, message, signed.signature()).is_ok()
        });
        if is_valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad()) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let certificate = Parsed::parse(end_entity)?;
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            // a self-signed certificate that is its own root
            certificate.check_validity(now)?;
        } else if certificate.is_version_1() {
            self.check_version_1(&certificate, now)?;
        } else {
            match inner.verify_server_cert(end_entity, intermediates, host, ocsp_response, now) {
                // the name is checked last, and below it is checked as libpq does
                Ok(_)
                | Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                )) => {}
                Err(error) => return Err(error),
            }
        }
        self.check_name(&certificate, host)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Parsed::parse(der)?;
        if certificate.is_version_1() {
            return self.check_handshake_of_version_1(message, &certificate, signed);
        }
        verify_tls12_signature(message, der, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Parsed::parse(der)?;
        if certificate.is_version_1() {
            return self.check_handshake_of_version_1(message, &certificate, signed);
        }
        verify_tls13_signature(message, der, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
