//! Certificate authority of the simulated hosts. It is created for each run, only clients that are given its certificate
//! trust it, and its key is never written to disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for every simulated host.
    key: KeyPair,
    /// Certificate for all addresses, for clients that send no server name.
    addresses: Arc<CertifiedKey>,
    names: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl TestCa {
    /// Issues certificates for any name, and one for these addresses.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Result<Arc<Self>> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.subject_alt_names = addresses.into_iter().map(SanType::IpAddress).collect();
        let addresses = issue(&issuer, &key, &params)?;
        let names = Mutex::default();
        Ok(Arc::new(Self {
            issuer,
            key,
            addresses,
            names,
        }))
    }

    /// The CA certificate in PEM, for clients that should trust the simulated hosts.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SniResolver(Arc::clone(self))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn certificate_for(&self, name: &str) -> Result<Arc<CertifiedKey>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Ok(Arc::clone(known));
        }
        let params = CertificateParams::new(vec![name.to_owned()])?;
        let issued = issue(&self.issuer, &self.key, &params)?;
        names.insert(name.to_owned(), Arc::clone(&issued));
        Ok(issued)
    }
}

fn issue(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    key: &KeyPair,
    params: &CertificateParams,
) -> Result<Arc<CertifiedKey>> {
    let certificate = params.signed_by(key, issuer)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = ring::sign::any_supported_type(&private).context("loading the hosts' TLS key")?;
    Ok(Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        signing,
    )))
}

/// Selects the certificate by the server name of the TLS handshake (RFC 6066 section 3).
struct SniResolver(Arc<TestCa>);

impl std::fmt::Debug for SniResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SniResolver")
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.0.certificate_for(name).ok(),
            None => Some(Arc::clone(&self.0.addresses)),
        }
    }
}
