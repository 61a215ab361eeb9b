//! Certificate, key and authorities of a process, from files that are read again while it runs. Files that do
//! not match are ignored until the next check, so that valid certificates stay in use.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::TlsError;
use super::identity::ServiceRole;
use super::verify::{AnyRoleVerifier, ExpectedRoleVerifier};

/// Interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
const HTTP2: &[u8] = b"h2";

/// The PEM files of a process.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Its certificate, followed by intermediate authorities.
    pub cert: PathBuf,
    /// Its private key, not readable by other users.
    pub key: PathBuf,
    /// The authorities that it trusts; two during a rotation.
    pub ca: PathBuf,
}

/// The current certificate, key and authorities of a process. Clones share them.
#[derive(Clone)]
pub struct Tls {
    files: Arc<TlsFiles>,
    current: Arc<RwLock<Arc<TlsMaterial>>>,
}

/// The contents of the files at one time.
struct TlsMaterial {
    digest: [u8; 32],
    role: ServiceRole,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files for a process of this role.
    ///
    /// # Errors
    /// If a file cannot be used, or the certificate is for another role.
    pub fn open(files: TlsFiles, role: &ServiceRole) -> Result<Self, TlsError> {
        let set = TlsMaterial::read(&files)?;
        set.is_for(role)?;
        Ok(Self {
            files: Arc::new(files),
            current: Arc::new(RwLock::new(Arc::new(set))),
        })
    }

    pub fn role(&self) -> ServiceRole {
        self.current().role.clone()
    }

    /// Reads the files again. Returns true if they have changed and are used from now on.
    ///
    /// # Errors
    /// If a file cannot be used; the current certificates stay in use.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let before = self.current();
        let set = TlsMaterial::read(&self.files)?;
        if set.digest == before.digest {
            return Ok(false);
        }
        set.is_for(&before.role)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        Ok(true)
    }

    /// Checks the files every five seconds until the shutdown.
    pub async fn watch(self, shutdown: CancellationToken) {
        let mut failing = false;
        while !shutdown.is_cancelled() {
            shutdown
                .run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL))
                .await;
            match self.reload_if_changed() {
                Ok(changed) => {
                    if changed {
                        tracing::info!(tls.role = %self.role(), "new certificates are in use");
                    }
                    failing = false;
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(
                        alarm = "certificates_unfit",
                        tls.role = %self.role(),
                        %error,
                        "new certificates cannot be used; the current ones stay in use"
                    );
                }
                Err(_) => {}
            }
        }
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().server)
    }

    /// The configuration of a connection to this role.
    pub(super) fn client(&self, role: &ServiceRole) -> Result<ClientConfig, TlsError> {
        let set = self.current();
        let provider = Arc::new(ring::default_provider());
        let verifier = ExpectedRoleVerifier {
            role: role.clone(),
            roots: Arc::clone(&set.roots),
            algorithms: provider.signature_verification_algorithms,
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Mismatch)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(set.chain.clone(), set.key.clone_key())
            .map_err(TlsError::Mismatch)?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        // Every connection must authenticate with a certificate.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn current(&self) -> Arc<TlsMaterial> {
        // The lock protects only a pointer, so a panic cannot leave it inconsistent.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({})", self.role())
    }
}

impl TlsMaterial {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let cert = read(&files.cert)?;
        check_private(&files.key)?;
        let key = Zeroizing::new(read(&files.key)?);
        let ca = read(&files.ca)?;
        let digest = [&cert, &*key, &ca]
            .into_iter()
            .fold(Sha256::new(), |all, part| {
                all.chain_update(Sha256::digest(part))
            });

        let chain = certificates(&files.cert, &cert)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::NotPem {
            path: files.key.clone(),
            what: "a private key",
        })?;
        let invalid_authorities = |why: String| TlsError::Authorities {
            path: files.ca.clone(),
            why,
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.ca, &ca)? {
            roots
                .add(root)
                .map_err(|error| invalid_authorities(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let clients = AnyRoleVerifier {
            chain: WebPkiClientVerifier::builder_with_provider(
                Arc::clone(&roots),
                Arc::clone(&provider),
            )
            .build()
            .map_err(|error| invalid_authorities(error.to_string()))?,
        };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Mismatch)?
            .with_client_cert_verifier(Arc::new(clients))
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(TlsError::Mismatch)?;
        server.alpn_protocols = vec![HTTP2.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self {
            digest: digest.finalize().into(),
            // `certificates` refuses a file without a certificate.
            role: ServiceRole::from_certificate(&chain[0])?,
            chain,
            key,
            roots,
            server: Arc::new(server),
        })
    }

    fn is_for(&self, role: &ServiceRole) -> Result<(), TlsError> {
        if self.role == *role {
            return Ok(());
        }
        Err(TlsError::WrongRole {
            actual: self.role.clone(),
            expected: role.clone(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn check_private(path: &Path) -> Result<(), TlsError> {
    let mode = fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .permissions()
        .mode();
    // The group may read it, because Kubernetes mounts secrets readable by the pod's group.
    if mode & 0o007 != 0 {
        return Err(TlsError::OpenKey(path.to_owned()));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> TlsError {
    TlsError::Unreadable {
        path: path.to_owned(),
        kind: error.kind(),
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| TlsError::NotPem {
            path: path.to_owned(),
            what: "a certificate",
        })
}
