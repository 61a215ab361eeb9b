//! Mutual TLS between roles: accepted and refused peers, and rotation of certificates under load.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use platform::grpc::{Access, READY, Server, Transport};
use platform::tls::{ServiceRole, Tls, TlsError, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const DEADLINE: Duration = Duration::from_mins(1);

/// The log output of this test program.
static LOG: LazyLock<CapturedLog> = LazyLock::new(|| {
    let log = CapturedLog::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
});

#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits until a log line contains all of these fragments.
async fn wait_for_log(fragments: &[&str]) {
    let found = || {
        let text = String::from_utf8(LOG.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .any(|line| fragments.iter().all(|fragment| line.contains(fragment)))
    };
    tokio::time::timeout(DEADLINE, async {
        while !found() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&LOG.0.lock().unwrap()).into_owned();
        panic!("no line with {fragments:?} was logged:\n{text}")
    });
}

struct TestAuthority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
struct Issued(String, String);

impl TestAuthority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Without different names, two authorities would differ only by their signatures.
        let name = uuid::Uuid::new_v4().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, uri: &str) -> Issued {
        self.issue_for(uri, 2020, 2090)
    }

    fn issue_for(&self, uri: &str, from: i32, to: i32) -> Issued {
        // The DNS name is for the clients of the library below; roles do not verify it.
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI(uri.try_into().unwrap()));
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued(certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn write_private(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn files(folder: &Path, name: &str, issued: &Issued, ca: &str) -> TlsFiles {
    TlsFiles {
        cert: write_private(folder, &format!("{name}.crt"), &issued.0),
        key: write_private(folder, &format!("{name}.key"), &issued.1),
        ca: write_private(folder, &format!("{name}.ca"), ca),
    }
}

fn role(name: &str) -> ServiceRole {
    ServiceRole::parse(name).unwrap()
}

/// A certificate authority, and a running server with the role `intake`.
struct TlsFixture {
    folder: tempfile::TempDir,
    authority: TestAuthority,
    server: Tls,
    address: SocketAddr,
    _end: DropGuard,
}

async fn fixture() -> TlsFixture {
    LazyLock::force(&LOG);
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let issued = authority.issue("spiffe://takedown/intake");
    let files = files(folder.path(), "intake", &issued, &authority.pem());
    let server = Tls::open(files, &role("intake")).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let access = Access::new(&[("grpc.health.v1.Health/Check", &["gateway", "intake"])]);
    let listener = Transport::MutualTls(server.clone())
        .listener(tcp, &access)
        .unwrap();
    let token = CancellationToken::new();
    let serving = Server::new(tonic_health::pb::FILE_DESCRIPTOR_SET).serve(listener, token.clone());
    tokio::spawn(serving);
    TlsFixture {
        folder,
        authority,
        server,
        address,
        _end: token.drop_guard(),
    }
}

impl TlsFixture {
    /// TLS settings of a role with a certificate of the fixture's authority.
    fn tls(&self, name: &str) -> Tls {
        let issued = self.authority.issue(&role(name).uri());
        self.tls_with(name, &issued)
    }

    fn tls_with(&self, name: &str, issued: &Issued) -> Tls {
        let files = files(self.folder.path(), name, issued, &self.authority.pem());
        Tls::open(files, &role(name)).unwrap()
    }

    fn channel(&self, tls: Tls, to: &str) -> Channel {
        let address = format!("https://{}", self.address);
        Transport::MutualTls(tls).channel(to, &address).unwrap()
    }

    async fn check_health(&self, tls: Tls) -> Result<(), Code> {
        check_health(&self.channel(tls, "intake")).await
    }

    /// True if the server accepts a client that is configured without this crate: the server sends the first
    /// bytes then.
    async fn accepts_client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Issued>,
    ) -> bool {
        self.accepts_client_trusting(&self.authority, versions, certificate)
            .await
    }

    /// As `accepts_client`, for a client that trusts this authority.
    async fn accepts_client_trusting(
        &self,
        trusted: &TestAuthority,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Issued>,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => config.with_no_client_auth(),
            Some(Issued(cert, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let Ok(mut stream) = connected.await else {
            return false;
        };
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        stream.read_u8().await.is_ok()
    }
}

/// True if the handshake failed. The client sees that at once, or by an alert on the new connection, which
/// the library reports with one of several codes.
fn is_connection_failure(outcome: Result<(), Code>) -> bool {
    let codes = [
        Code::Unavailable,
        Code::Unknown,
        Code::Internal,
        Code::Cancelled,
    ];
    outcome.is_err_and(|code| codes.contains(&code))
}

async fn check_health(channel: &Channel) -> Result<(), Code> {
    let request = HealthCheckRequest {
        service: READY.to_owned(),
    };
    let mut health = HealthClient::new(channel.clone());
    let check = health.check(request);
    let response = tokio::time::timeout(DEADLINE, check).await.unwrap();
    response.map(drop).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_a_valid_certificate_may_make_only_the_calls_in_its_table() {
    let fixture = fixture().await;
    assert_eq!(fixture.check_health(fixture.tls("gateway")).await, Ok(()));
    assert_eq!(
        fixture.check_health(fixture.tls("console")).await,
        Err(Code::PermissionDenied)
    );
    wait_for_log(&["peer.role=\"console\"", "Health/Check"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_outside_its_validity_period_is_refused() {
    let fixture = fixture().await;
    let uri = "spiffe://takedown/gateway";
    for (from, to, reason) in [(2020, 2021, "xpired"), (2080, 2090, "ValidYet")] {
        let issued = fixture.authority.issue_for(uri, from, to);
        let tls = fixture.tls_with("gateway", &issued);
        assert!(
            is_connection_failure(fixture.check_health(tls).await),
            "{reason}"
        );
        assert!(
            !fixture.accepts_client(&[&TLS13], Some(&issued)).await,
            "{reason}"
        );
    }
    wait_for_log(&["refused", "xpired"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_role_is_refused() {
    let fixture = fixture().await;
    for uri in ["spiffe://elsewhere/gateway", "https://takedown/gateway"] {
        let issued = fixture.authority.issue(uri);
        assert!(
            !fixture.accepts_client(&[&TLS13], Some(&issued)).await,
            "{uri}"
        );
    }
    wait_for_log(&["refused", "NoRole"]).await;
    let right = fixture.authority.issue("spiffe://takedown/gateway");
    assert!(
        fixture.accepts_client(&[&TLS13], Some(&right)).await,
        "a valid certificate must be accepted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_refused_by_both_sides() {
    let fixture = fixture().await;
    let other = TestAuthority::new();
    let issued = other.issue("spiffe://takedown/gateway");
    assert!(!fixture.accepts_client(&[&TLS13], Some(&issued)).await);
    wait_for_log(&["refused", "UnknownIssuer"]).await;
    // A client that trusts only the other authority refuses this server.
    let files = files(fixture.folder.path(), "stranger", &issued, &other.pem());
    let tls = Tls::open(files, &role("gateway")).unwrap();
    assert_eq!(fixture.check_health(tls).await, Err(Code::Unavailable));
    wait_for_log(&["did not authenticate its role", "UnknownIssuer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_role_than_expected_is_refused() {
    let fixture = fixture().await;
    let channel = fixture.channel(fixture.tls("gateway"), "dispatch");
    assert_eq!(check_health(&channel).await, Err(Code::Unavailable));
    wait_for_log(&[
        "did not authenticate its role",
        "actual: intake, expected: dispatch",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_or_with_an_older_tls_version_is_refused() {
    let fixture = fixture().await;
    assert!(!fixture.accepts_client(&[&TLS13], None).await);
    wait_for_log(&["refused", "peer sent no certificates"]).await;
    let right = fixture.authority.issue("spiffe://takedown/gateway");
    assert!(!fixture.accepts_client(&[&TLS12], Some(&right)).await);
    wait_for_log(&["refused", "peer is incompatible"]).await;

    // Plain text is refused too.
    let mut unencrypted = TcpStream::connect(fixture.address).await.unwrap();
    unencrypted
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut response = Vec::new();
    let _ = unencrypted.read_to_end(&mut response).await;
    assert_ne!(
        response.first(),
        Some(&0),
        "no HTTP/2 frame, at most a TLS alert"
    );
}

#[test]
fn files_that_do_not_match_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let intake = authority.issue("spiffe://takedown/intake");
    let open = |files: TlsFiles| Tls::open(files, &role("intake")).map(drop).unwrap_err();
    let wrong_role = authority.issue("spiffe://takedown/gateway");
    let found = open(files(folder.path(), "a", &wrong_role, &authority.pem()));
    assert!(matches!(found, TlsError::WrongRole { .. }), "{found}");
    let other_key = Issued(intake.0.clone(), wrong_role.1);
    let found = open(files(folder.path(), "b", &other_key, &authority.pem()));
    assert!(matches!(found, TlsError::Mismatch(_)), "{found}");
    let found = open(files(folder.path(), "c", &intake, ""));
    assert!(matches!(found, TlsError::NotPem { .. }), "{found}");

    let readable = files(folder.path(), "d", &intake, &authority.pem());
    std::fs::set_permissions(&readable.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open(readable).to_string().contains("chmod 600"));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_authorities_rotate_under_load_without_an_error() {
    let fixture = Arc::new(fixture().await);
    let client = fixture.tls("gateway");
    let stop = Arc::new(AtomicBool::new(false));
    let (succeeded, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (fixture, client, stop) = (fixture.clone(), client.clone(), stop.clone());
            let (succeeded, failed) = (succeeded.clone(), failed.clone());
            tokio::spawn(async move {
                let open_channel = fixture.channel(client.clone(), "intake");
                while !stop.load(Ordering::Relaxed) {
                    let new_channel = fixture.channel(client.clone(), "intake");
                    for channel in [&open_channel, &open_channel, &new_channel] {
                        match check_health(channel).await {
                            Ok(()) => succeeded.fetch_add(1, Ordering::Relaxed),
                            Err(_) => failed.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                }
            })
        })
        .collect();
    let wait_for_calls = async |calls: u64| {
        let from = succeeded.load(Ordering::Relaxed);
        tokio::time::timeout(DEADLINE, async {
            while succeeded.load(Ordering::Relaxed) < from + calls {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("calls succeed");
    };

    wait_for_calls(100).await;
    let next = TestAuthority::new();
    let both = format!("{}{}", fixture.authority.pem(), next.pem());
    let folder = fixture.folder.path();
    // Trust both authorities, then use certificates of the new one, then trust only the new one.
    for name in ["intake", "gateway"] {
        write_private(folder, &format!("{name}.ca"), &both);
    }
    assert!(fixture.server.reload_if_changed().unwrap() && client.reload_if_changed().unwrap());
    wait_for_calls(100).await;
    for name in ["intake", "gateway"] {
        let issued = next.issue(&role(name).uri());
        write_private(folder, &format!("{name}.crt"), &issued.0);
        // A reload between the two writes finds a mismatch and keeps the current certificate.
        let tls = if name == "intake" {
            &fixture.server
        } else {
            &client
        };
        assert!(matches!(
            tls.reload_if_changed(),
            Err(TlsError::Mismatch(_))
        ));
        write_private(folder, &format!("{name}.key"), &issued.1);
        assert!(tls.reload_if_changed().unwrap());
    }
    wait_for_calls(100).await;
    for name in ["intake", "gateway"] {
        write_private(folder, &format!("{name}.ca"), &next.pem());
    }
    assert!(fixture.server.reload_if_changed().unwrap() && client.reload_if_changed().unwrap());
    assert!(
        !client.reload_if_changed().unwrap(),
        "the files have not changed"
    );
    wait_for_calls(100).await;
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    // The old authority is no longer trusted.
    let old = fixture.authority.issue("spiffe://takedown/gateway");
    let new = next.issue("spiffe://takedown/gateway");
    assert!(
        !fixture
            .accepts_client_trusting(&next, &[&TLS13], Some(&old))
            .await
    );
    assert!(
        fixture
            .accepts_client_trusting(&next, &[&TLS13], Some(&new))
            .await
    );
}
