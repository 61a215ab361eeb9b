//! TLS towards other hosts: the URL's host is verified, by trusted authorities, in time, with no way down.

mod host;

use std::sync::Arc;

use host::{Host, mapped, url};
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

/// A host that shows a certificate for `name`, valid to the end of a year, and answers over TLS.
async fn tls_host(ca: &CertifiedIssuer<'static, KeyPair>, name: &str, year: i32) -> Host {
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
    Host::start(move |stream, host| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while host.hear(&mut stream).await {
                let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                stream.write_all(answer).await.unwrap();
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
async fn a_host_with_the_right_certificate_is_reached_and_kept() {
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
async fn another_name_an_unknown_authority_and_an_expired_certificate_are_refused() {
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
        assert!(
            host.requests().is_empty(),
            "not a byte of a request was sent"
        );
    }
}

#[tokio::test]
async fn a_host_that_speaks_no_tls_is_not_spoken_to_in_the_clear() {
    let host = Host::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut request = Request::head(url("https://a.test/"));
    request.within = Some(std::time::Duration::from_secs(1));
    assert!(
        mapped(&host, Policy::default())
            .send(request)
            .await
            .is_err()
    );
    assert!(host.requests().is_empty());
}
