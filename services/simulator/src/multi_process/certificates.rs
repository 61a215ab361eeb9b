//! Certificate authority of one run, and a certificate for each role, for this machine only. The authority's key is never
//! written to disk, so that no further certificate can be issued after the run.

use std::path::Path;

use anyhow::{Context as _, Result};
use platform::tls::{ServiceRole, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::files::write_private;

pub(super) struct RunCa(CertifiedIssuer<'static, KeyPair>);

impl RunCa {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    /// Writes a role's certificate and key, and the CA certificate, into a folder.
    pub(super) fn issue(&self, role: &str, folder: &Path) -> Result<TlsFiles> {
        let role = ServiceRole::parse(role).context("invalid role name")?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.subject_alt_names = vec![SanType::URI(role.uri().try_into()?)];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let files = TlsFiles {
            cert: folder.join(format!("{role}.crt")),
            key: folder.join(format!("{role}.key")),
            ca: folder.join("ca.crt"),
        };
        write_private(&files.cert, &certificate.pem())?;
        write_private(&files.key, &key.serialize_pem())?;
        write_private(&files.ca, &self.0.pem())?;
        Ok(files)
    }
}
