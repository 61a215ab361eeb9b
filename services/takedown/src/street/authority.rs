//! The street's own certificate authority: names and addresses on the street are served over TLS, and only whoever
//! was given this authority believes them. Made afresh for each run; its key is never written down.

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

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for every host of the street.
    key: KeyPair,
    /// For clients that send no name: every address on the street.
    addresses: Arc<CertifiedKey>,
    names: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Authority {
    /// An authority for any name, and for these addresses.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Result<Arc<Self>> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.subject_alt_names = addresses.into_iter().map(SanType::IpAddress).collect();
        let addresses = certified(&issuer, &key, &params)?;
        let names = Mutex::default();
        Ok(Arc::new(Self {
            issuer,
            key,
            addresses,
            names,
        }))
    }

    /// The authority's certificate, in PEM, for whoever shall believe the street.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Names(Arc::clone(self))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn named(&self, name: &str) -> Result<Arc<CertifiedKey>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Ok(Arc::clone(known));
        }
        let params = CertificateParams::new(vec![name.to_owned()])?;
        let made = certified(&self.issuer, &self.key, &params)?;
        names.insert(name.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

fn certified(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    key: &KeyPair,
    params: &CertificateParams,
) -> Result<Arc<CertifiedKey>> {
    let certificate = params.signed_by(key, issuer)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = ring::sign::any_supported_type(&private).context("reading the street's key")?;
    Ok(Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        signing,
    )))
}

/// Finds the certificate for the name that a client asks for.
struct Names(Arc<Authority>);

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.0.named(name).ok(),
            None => Some(Arc::clone(&self.0.addresses)),
        }
    }
}
