//! Certificates made for a test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// When a certificate holds good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now, and for many years.
    Current,
    /// Until some day in the past.
    Expired,
}

/// A certificate authority whose files live as long as it, or a certificate it issued, does.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
    dir: Arc<TempDir>,
}

/// A certificate with its key, as PEM files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    _dir: Arc<TempDir>,
}

impl Authority {
    /// Makes a new authority that nobody trusts yet.
    pub fn new() -> Self {
        let dir = Arc::new(TempDir::new().expect("the temporary directory is writable"));
        let mut params = parameters(&[], "dbhaul tests", Validity::Current);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = dir.path().join("ca.crt");
        let signed = params.self_signed(&key).expect("the parameters are valid");
        std::fs::write(&certificate, signed.pem()).expect("the directory is ours");
        Self { issuer: Issuer::new(params, key), certificate, dir }
    }

    /// The authority's certificate, for `sslrootcert`.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Issues a certificate of a server for these DNS names and addresses.
    pub fn server(&self, names: &[&str], validity: Validity) -> CertificateFiles {
        let mut params = parameters(names, names.first().unwrap_or(&"server"), validity);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        self.issue(&params, "server")
    }

    /// Issues a certificate of a client, whose common name is a role.
    pub fn client(&self, role: &str) -> CertificateFiles {
        let mut params = parameters(&[], role, Validity::Current);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        self.issue(&params, role)
    }

    fn issue(&self, params: &CertificateParams, name: &str) -> CertificateFiles {
        use std::os::unix::fs::PermissionsExt;
        let pair = KeyPair::generate().expect("ring makes keys");
        let signed = params.signed_by(&pair, &self.issuer).expect("the parameters are valid");
        let (certificate, key) =
            (self.dir.path().join(format!("{name}.crt")), self.dir.path().join(format!("{name}.key")));
        std::fs::write(&certificate, signed.pem()).expect("the directory is ours");
        std::fs::write(&key, pair.serialize_pem()).expect("the directory is ours");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
        CertificateFiles { certificate, key, _dir: Arc::clone(&self.dir) }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn parameters(names: &[&str], common_name: &str, validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are ASCII");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = match validity {
        Validity::Current => rcgen::date_time_ymd(2120, 1, 1),
        Validity::Expired => rcgen::date_time_ymd(2021, 1, 1),
    };
    params
}
