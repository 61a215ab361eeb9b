//! Between roles: who is let in, who is refused and logged, and certificates that rotate under load.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use platform::grpc::{Access, READY, Server, Transport};
use platform::tls::{Role, Tls, TlsError, TlsFiles};
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

/// Everything that this test binary logs.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits until a line with all of these words is in the log.
async fn logged(words: &[&str]) {
    let found = || {
        let text = String::from_utf8(LOG.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    tokio::time::timeout(DEADLINE, async {
        while !found() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&LOG.0.lock().unwrap()).into_owned();
        panic!("no line with {words:?} was logged, but\n{text}")
    });
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Certificate and key, PEM.
struct Issued(String, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be told apart by their signatures alone.
        let name = uuid::Uuid::new_v4().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, uri: &str) -> Issued {
        self.issue_for(uri, 2020, 2090)
    }

    fn issue_for(&self, uri: &str, from: i32, to: i32) -> Issued {
        // The name is for the library's own clients below; roles do not look at it.
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

fn put(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn files(folder: &Path, name: &str, issued: &Issued, ca: &str) -> TlsFiles {
    TlsFiles {
        cert: put(folder, &format!("{name}.crt"), &issued.0),
        key: put(folder, &format!("{name}.key"), &issued.1),
        ca: put(folder, &format!("{name}.ca"), ca),
    }
}

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

/// A folder, an authority, and a role `intake` that serves with its certificate.
struct Place {
    folder: tempfile::TempDir,
    authority: Authority,
    server: Tls,
    at: SocketAddr,
    _end: DropGuard,
}

async fn place() -> Place {
    LazyLock::force(&LOG);
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let issued = authority.issue("spiffe://takedown/intake");
    let files = files(folder.path(), "intake", &issued, &authority.pem());
    let server = Tls::open(files, &role("intake")).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = tcp.local_addr().unwrap();
    let access = Access::new(&[("grpc.health.v1.Health/Check", &["gateway", "intake"])]);
    let listener = Transport::Proven(server.clone())
        .listener(tcp, &access)
        .unwrap();
    let token = CancellationToken::new();
    let serving = Server::new(tonic_health::pb::FILE_DESCRIPTOR_SET).serve(listener, token.clone());
    tokio::spawn(serving);
    Place {
        folder,
        authority,
        server,
        at,
        _end: token.drop_guard(),
    }
}

impl Place {
    /// A role with a certificate of the place's authority.
    fn tls(&self, name: &str) -> Tls {
        let issued = self.authority.issue(&role(name).uri());
        self.tls_with(name, &issued)
    }

    fn tls_with(&self, name: &str, issued: &Issued) -> Tls {
        let files = files(self.folder.path(), name, issued, &self.authority.pem());
        Tls::open(files, &role(name)).unwrap()
    }

    fn channel(&self, tls: Tls, to: &str) -> Channel {
        let address = format!("https://{}", self.at);
        Transport::Proven(tls).channel(to, &address).unwrap()
    }

    async fn ask(&self, tls: Tls) -> Result<(), Code> {
        ask(&self.channel(tls, "intake")).await
    }

    /// Whether a client of the library itself, set up in another way than ours, is let in: the server speaks first.
    async fn lets_in(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<&Issued>,
    ) -> bool {
        self.lets_in_by(&self.authority, versions, shown).await
    }

    /// The same for a client that believes this authority.
    async fn lets_in_by(
        &self,
        believed: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<&Issued>,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(believed.pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            None => config.with_no_client_auth(),
            Some(Issued(certificate, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.at).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let Ok(mut stream) = connected.await else {
            return false;
        };
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        stream.read_u8().await.is_ok()
    }
}

/// The handshake failed on one side: at once for whoever refuses, by an alert on the new connection for the other, which
/// the library takes for a peer that is away, that speaks something else, or that gave the call up.
fn no_connection(outcome: Result<(), Code>) -> bool {
    let codes = [
        Code::Unavailable,
        Code::Unknown,
        Code::Internal,
        Code::Cancelled,
    ];
    outcome.is_err_and(|code| codes.contains(&code))
}

async fn ask(channel: &Channel) -> Result<(), Code> {
    let request = HealthCheckRequest {
        service: READY.to_owned(),
    };
    let mut health = HealthClient::new(channel.clone());
    let asked = health.check(request);
    let answer = tokio::time::timeout(DEADLINE, asked).await.unwrap();
    answer.map(drop).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_a_true_certificate_is_let_in_and_held_to_the_table() {
    let place = place().await;
    assert_eq!(place.ask(place.tls("gateway")).await, Ok(()));
    assert_eq!(
        place.ask(place.tls("console")).await,
        Err(Code::PermissionDenied)
    );
    logged(&["peer.role=\"console\"", "Health/Check"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_out_of_its_time_is_refused() {
    let place = place().await;
    let uri = "spiffe://takedown/gateway";
    for (from, to, why) in [(2020, 2021, "xpired"), (2080, 2090, "ValidYet")] {
        let issued = place.authority.issue_for(uri, from, to);
        let tls = place.tls_with("gateway", &issued);
        assert!(no_connection(place.ask(tls).await), "{why}");
        assert!(!place.lets_in(&[&TLS13], Some(&issued)).await, "{why}");
    }
    logged(&["refused", "xpired"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_names_no_role_of_ours_is_refused() {
    let place = place().await;
    for uri in ["spiffe://elsewhere/gateway", "https://takedown/gateway"] {
        let issued = place.authority.issue(uri);
        assert!(!place.lets_in(&[&TLS13], Some(&issued)).await, "{uri}");
    }
    logged(&["refused", "NoRole"]).await;
    let right = place.authority.issue("spiffe://takedown/gateway");
    assert!(place.lets_in(&[&TLS13], Some(&right)).await, "the control");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_refused_by_both_sides() {
    let place = place().await;
    let other = Authority::new();
    let issued = other.issue("spiffe://takedown/gateway");
    assert!(!place.lets_in(&[&TLS13], Some(&issued)).await);
    logged(&["refused", "UnknownIssuer"]).await;
    // One that believes only the other authority refuses this server.
    let files = files(place.folder.path(), "stranger", &issued, &other.pem());
    let tls = Tls::open(files, &role("gateway")).unwrap();
    assert_eq!(place.ask(tls).await, Err(Code::Unavailable));
    logged(&["did not prove its role", "UnknownIssuer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_another_role_than_was_meant_is_refused() {
    let place = place().await;
    let channel = place.channel(place.tls("gateway"), "dispatch");
    assert_eq!(ask(&channel).await, Err(Code::Unavailable));
    logged(&["did not prove its role", "is: intake, must: dispatch"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_certificate_or_by_an_older_tls() {
    let place = place().await;
    assert!(!place.lets_in(&[&TLS13], None).await);
    logged(&["refused", "peer sent no certificates"]).await;
    let right = place.authority.issue("spiffe://takedown/gateway");
    assert!(!place.lets_in(&[&TLS12], Some(&right)).await);
    logged(&["refused", "peer is incompatible"]).await;

    // And not in the clear.
    let mut plain = TcpStream::connect(place.at).await.unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert_ne!(
        answer.first(),
        Some(&0),
        "no HTTP/2 frame, at most a TLS alert"
    );
}

#[test]
fn files_that_do_not_fit_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let intake = authority.issue("spiffe://takedown/intake");
    let open = |files: TlsFiles| Tls::open(files, &role("intake")).map(drop).unwrap_err();
    let wrong_role = authority.issue("spiffe://takedown/gateway");
    let found = open(files(folder.path(), "a", &wrong_role, &authority.pem()));
    assert!(matches!(found, TlsError::WrongRole { .. }), "{found}");
    let other_key = Issued(intake.0.clone(), wrong_role.1);
    let found = open(files(folder.path(), "b", &other_key, &authority.pem()));
    assert!(matches!(found, TlsError::Unfit(_)), "{found}");
    let found = open(files(folder.path(), "c", &intake, ""));
    assert!(matches!(found, TlsError::NotPem { .. }), "{found}");

    let readable = files(folder.path(), "d", &intake, &authority.pem());
    std::fs::set_permissions(&readable.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open(readable).to_string().contains("chmod 600"));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_authorities_rotate_under_load_without_an_error() {
    let place = Arc::new(place().await);
    let client = place.tls("gateway");
    let stop = Arc::new(AtomicBool::new(false));
    let (good, bad) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (place, client, stop) = (place.clone(), client.clone(), stop.clone());
            let (good, bad) = (good.clone(), bad.clone());
            tokio::spawn(async move {
                let standing = place.channel(client.clone(), "intake");
                while !stop.load(Ordering::Relaxed) {
                    let fresh = place.channel(client.clone(), "intake");
                    for channel in [&standing, &standing, &fresh] {
                        match ask(channel).await {
                            Ok(()) => good.fetch_add(1, Ordering::Relaxed),
                            Err(_) => bad.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                }
            })
        })
        .collect();
    let more = async |calls: u64| {
        let from = good.load(Ordering::Relaxed);
        tokio::time::timeout(DEADLINE, async {
            while good.load(Ordering::Relaxed) < from + calls {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("calls go on");
    };

    more(100).await;
    let next = Authority::new();
    let both = format!("{}{}", place.authority.pem(), next.pem());
    let folder = place.folder.path();
    // Believe both, then show the new one, then believe it alone.
    for name in ["intake", "gateway"] {
        put(folder, &format!("{name}.ca"), &both);
    }
    assert!(place.server.look().unwrap() && client.look().unwrap());
    more(100).await;
    for name in ["intake", "gateway"] {
        let issued = next.issue(&role(name).uri());
        put(folder, &format!("{name}.crt"), &issued.0);
        // A look between the two files finds what does not fit, and leaves what works.
        let tls = if name == "intake" {
            &place.server
        } else {
            &client
        };
        assert!(matches!(tls.look(), Err(TlsError::Unfit(_))));
        put(folder, &format!("{name}.key"), &issued.1);
        assert!(tls.look().unwrap());
    }
    more(100).await;
    for name in ["intake", "gateway"] {
        put(folder, &format!("{name}.ca"), &next.pem());
    }
    assert!(place.server.look().unwrap() && client.look().unwrap());
    assert!(!client.look().unwrap(), "nothing has changed since");
    more(100).await;
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert_eq!(bad.load(Ordering::Relaxed), 0);
    // The old authority is out.
    let old = place.authority.issue("spiffe://takedown/gateway");
    let new = next.issue("spiffe://takedown/gateway");
    assert!(!place.lets_in_by(&next, &[&TLS13], Some(&old)).await);
    assert!(place.lets_in_by(&next, &[&TLS13], Some(&new)).await);
}
