//! What webpki does not tell about a certificate: validity, common name, and
//! whether it names hosts at all. libpq accepts certificates that webpki does
//! not: version 1, no subject alternative name, self-signed ones as their own root.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// A parsed certificate.
pub(super) struct Parsed(Certificate);

impl Parsed {
    pub(super) fn parse(der: &CertificateDer<'_>) -> Result<Self, Error> {
        let parsed = Certificate::from_der(der)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        Ok(Parsed(parsed))
    }

    pub(super) fn is_version_1(&self) -> bool {
        self.0.tbs_certificate.version == x509_cert::Version::V1
    }

    pub(super) fn check_validity(&self, now: UnixTime) -> Result<(), Error> {
        let validity = &self.0.tbs_certificate.validity;
        let not_before = UnixTime::since_unix_epoch(validity.not_before.to_unix_duration());
        let not_after = UnixTime::since_unix_epoch(validity.not_after.to_unix_duration());
        let problem = if now < not_before {
            CertificateError::NotValidYetContext { time: now, not_before }
        } else if now > not_after {
            CertificateError::ExpiredContext { time: now, not_after }
        } else {
            return Ok(());
        };
        Err(Error::InvalidCertificate(problem))
    }

    /// The key as (algorithm identifier without its tag, bits), as verification
    /// algorithms of webpki name them.
    pub(super) fn public_key(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let info = &self.0.tbs_certificate.subject_public_key_info;
        Some((untagged(info.algorithm.to_der().ok()?)?, info.subject_public_key.as_bytes()?.to_vec()))
    }

    /// The algorithm, message and bits of the issuer's signature.
    pub(super) fn signature(&self) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let algorithm = untagged(self.0.signature_algorithm.to_der().ok()?)?;
        let message = self.0.tbs_certificate.to_der().ok()?;
        Some((algorithm, message, self.0.signature.as_bytes()?.to_vec()))
    }

    /// Whether this certificate's issuer is that one's subject.
    pub(super) fn is_issued_in_name_of(&self, issuer: &Parsed) -> bool {
        self.0.tbs_certificate.issuer == issuer.0.tbs_certificate.subject
    }

    /// Checks the host as libpq does: alternative names if there are any of its
    /// kind, else the common name.
    ///
    /// Source: PostgreSQL, src/interfaces/libpq/fe-secure-openssl.c,
    /// `pgtls_verify_peer_name_matches_certificate_guts`.
    pub(super) fn check_name(&self, host: &ServerName<'_>) -> Result<(), Error> {
        let (hosts, addresses) = self.alternative_names();
        let wanted = host.to_str();
        let matches = match host {
            ServerName::IpAddress(address) => {
                let wanted: IpAddr = (*address).into();
                addresses.contains(&wanted)
                    || (addresses.is_empty() && hosts.is_empty() && self.common_name_is(&wanted.to_string()))
            }
            _ if !hosts.is_empty() => hosts.iter().any(|pattern| host_matches(pattern, &wanted)),
            _ => addresses.is_empty() && self.common_name().is_some_and(|name| host_matches(&name, &wanted)),
        };
        if matches {
            return Ok(());
        }
        let mut presented = hosts;
        presented.extend(addresses.iter().map(IpAddr::to_string));
        if presented.is_empty() {
            presented.extend(self.common_name());
        }
        let expected = host.to_owned();
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }))
    }

    fn common_name_is(&self, wanted: &str) -> bool {
        self.common_name().as_deref() == Some(wanted)
    }

    fn common_name(&self) -> Option<String> {
        let mut names = self.0.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
        let value = &names.rfind(|attribute| attribute.oid == COMMON_NAME)?.value;
        let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned());
        let printable = || value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned());
        let teletex = || value.decode_as::<TeletexStringRef<'_>>().map(|text| text.as_str().to_owned());
        let ia5 = || value.decode_as::<Ia5StringRef<'_>>().map(|text| text.as_str().to_owned());
        utf8.or_else(|_| printable()).or_else(|_| teletex()).or_else(|_| ia5()).ok()
    }

    fn alternative_names(&self) -> (Vec<String>, Vec<IpAddr>) {
        let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
        let Ok(Some((_, names))) = self.0.tbs_certificate.get::<SubjectAltName>() else {
            return (hosts, addresses);
        };
        for name in names.0 {
            match name {
                GeneralName::DnsName(host) => hosts.push(host.as_str().to_owned()),
                GeneralName::IpAddress(bytes) => addresses.extend(address_of(bytes.as_bytes())),
                _ => {}
            }
        }
        (hosts, addresses)
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A leading `*` stands for one label.
fn host_matches(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && *rest == suffix[1..])
        }
        _ => pattern == host,
    }
}

/// The content of a DER sequence, without its tag and length.
fn untagged(der: Vec<u8>) -> Option<Vec<u8>> {
    let first = *der.get(1)?;
    let header = if first & 0x80 == 0 { 2 } else { 2 + usize::from(first & 0x7f) };
    der.get(header..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(host_matches("*.example.com", "db.Example.com"));
        assert!(host_matches("db.example.com", "DB.example.com"));
        assert!(!host_matches("*.example.com", "a.b.example.com"));
        assert!(!host_matches("*.example.com", "example.com"));
        assert!(!host_matches("*", "db"));
    }
}
