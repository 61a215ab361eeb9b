//! A gateway on a free port, with a recording backend.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use gateway::{Config, Deps};
use platform::grpc::Server;
use proto::v1::dispatch_service_server::DispatchServiceServer;
use proto::v1::intake_service_server::IntakeServiceServer;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backend::RecordingBackend;

pub const KEY: &str = "tdh_test.key";
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct TestGateway {
    pub base: String,
    /// Address for inbound mail.
    pub mail: SocketAddr,
    pub client: Client,
    pub backend: Arc<RecordingBackend>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), gateway::Error>>,
    _backend_shutdown: DropGuard,
}

pub async fn start() -> TestGateway {
    start_with(Config::default()).await
}

pub async fn start_with(config: Config) -> TestGateway {
    let backend = Arc::new(RecordingBackend::default());
    let backend_shutdown = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::new(proto::DESCRIPTORS)
        .drain(Duration::ZERO)
        .add_service(IntakeServiceServer::from_arc(Arc::clone(&backend)))
        .add_service(DispatchServiceServer::from_arc(Arc::clone(&backend)));
    tokio::spawn(server.serve(listener, backend_shutdown.clone()));
    start_in_front_of(config, &address, backend, backend_shutdown).await
}

/// A gateway in front of a backend at `address`, which need not be running.
pub async fn start_in_front_of(
    config: Config,
    address: &str,
    backend: Arc<RecordingBackend>,
    backend_shutdown: CancellationToken,
) -> TestGateway {
    let channel = platform::grpc::channel(address).unwrap();
    let mail_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = mail_listener.local_addr().unwrap();
    let deps = Deps {
        intake: channel.clone(),
        dispatch: channel,
        mail: Some(mail_listener),
        config,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    TestGateway {
        running: tokio::spawn(gateway::run(deps, listener, shutdown.clone())),
        base,
        mail,
        client: client(),
        backend,
        shutdown,
        _backend_shutdown: backend_shutdown.drop_guard(),
    }
}

fn client() -> Client {
    static INSTALL_CRYPTO: Once = Once::new();
    INSTALL_CRYPTO.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

impl TestGateway {
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request with a provider's key.
    pub fn keyed(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(KEY)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.keyed("GET", path).send().await.unwrap()
    }
}

/// Expects this status; returns the JSON body.
pub async fn json(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let actual = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(actual, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Expects this status and a problem document with this code; returns the document.
pub async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    let actual = response.status().as_u16();
    let media_type = response.headers().get("content-type").cloned();
    let text = response.text().await.unwrap();
    assert_eq!(actual, status, "{text}");
    assert_eq!(media_type.unwrap(), "application/problem+json", "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["code"], code, "{text}");
    assert_eq!(document["status"], status, "{text}");
    assert_eq!(document["type"], format!("urn:takedown:problem:{code}"));
    assert!(!document["title"].as_str().unwrap().is_empty());
    assert!(!document["detail"].as_str().unwrap().is_empty());
    document
}
