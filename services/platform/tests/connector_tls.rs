//! TLS to other hosts: the certificate must be valid for the URL's host, and there is no fallback to plain
//! text.

mod host;

use std::sync::Arc;

use host::{TestHost, mapped, url};
use platform::connector::{ConnectorError, Policy, Request};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A host with a certificate for `name` that is valid until the end of `year`.
async fn tls_host(ca: &CertifiedIssuer<'static, KeyPair>, name: &str, year: i32) -> TestHost {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    TestHost::start(move |stream, host| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while host.read_request(&mut stream).await {
                let response = b"HTTP/1.1 204 No Content\r\n\r\n";
                stream.write_all(response).await.unwrap();
            }
        }
    })
    .await
}

fn trusting(certificate: &CertificateDer<'static>) -> Policy {
    Policy {
        ca: vec![certificate.clone()],
        ..Policy::default()
    }
}

#[tokio::test]
async fn a_host_with_a_valid_certificate_is_reached_and_its_connection_reused() {
    let ca = authority();
    let host = tls_host(&ca, "a.test", 2090).await;
    let mut policy = Policy::default();
    policy.trust_pem(ca.pem().as_bytes()).unwrap();
    let connector = mapped(&host, policy);
    for at in [
        "https://a.test/",
        "https://a.test./",
        "https://A.TEST:8443/",
    ] {
        let response = connector.send(Request::head(url(at))).await.unwrap();
        assert_eq!(response.status.as_u16(), 204);
    }
    assert_eq!(host.connections(), 2, "one for each port");
}

#[tokio::test]
async fn a_certificate_for_another_name_of_an_unknown_authority_or_expired_is_refused() {
    let (ca, unknown) = (authority(), authority());
    for (issuer, name, year) in [
        (&ca, "b.test", 2090),
        (&unknown, "a.test", 2090),
        (&ca, "a.test", 2021),
    ] {
        let host = tls_host(issuer, name, year).await;
        let connector = mapped(&host, trusting(ca.der()));
        let failed = connector
            .send(Request::head(url("https://a.test/")))
            .await
            .unwrap_err();
        assert_eq!(failed, ConnectorError::TlsFailed, "{name} {year}");
        assert!(host.requests().is_empty(), "no request was sent");
    }
}

#[tokio::test]
async fn no_request_is_sent_in_plain_text_to_a_host_without_tls() {
    let host = TestHost::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut request = Request::head(url("https://a.test/"));
    request.timeout = Some(std::time::Duration::from_secs(1));
    assert!(
        mapped(&host, Policy::default())
            .send(request)
            .await
            .is_err()
    );
    assert!(host.requests().is_empty());
}
