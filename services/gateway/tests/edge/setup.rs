//! A gateway on a free port, with recorders behind it.

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

use crate::backend::Backend;

pub const KEY: &str = "tdh_test.key";
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Gateway {
    pub base: String,
    /// Of the mail door.
    pub mail: SocketAddr,
    pub client: Client,
    pub asked: Arc<Backend>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), gateway::Error>>,
    _owners: DropGuard,
}

pub async fn start() -> Gateway {
    start_with(Config::default()).await
}

pub async fn start_with(config: Config) -> Gateway {
    let asked = Arc::new(Backend::default());
    let owners = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::new(proto::DESCRIPTORS)
        .drain(Duration::ZERO)
        .add_service(IntakeServiceServer::from_arc(Arc::clone(&asked)))
        .add_service(DispatchServiceServer::from_arc(Arc::clone(&asked)));
    tokio::spawn(server.serve(listener, owners.clone()));
    start_before(config, &address, asked, owners).await
}

/// A gateway whose owners are at `address`, if there is anybody.
pub async fn start_before(
    config: Config,
    address: &str,
    asked: Arc<Backend>,
    owners: CancellationToken,
) -> Gateway {
    let channel = platform::grpc::channel(address).unwrap();
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = door.local_addr().unwrap();
    let deps = Deps {
        intake: channel.clone(),
        dispatch: channel,
        mail: Some(door),
        config,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    Gateway {
        running: tokio::spawn(gateway::run(deps, listener, shutdown.clone())),
        base,
        mail,
        client: client(),
        asked,
        shutdown,
        _owners: owners.drop_guard(),
    }
}

fn client() -> Client {
    static RING: Once = Once::new();
    RING.call_once(|| {
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

impl Gateway {
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

/// The document of an answer with this status.
pub async fn json(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let got = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A problem document with this status and code.
pub async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    let got = response.status().as_u16();
    let media_type = response.headers().get("content-type").cloned();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert_eq!(media_type.unwrap(), "application/problem+json", "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["code"], code, "{text}");
    assert_eq!(document["status"], status, "{text}");
    assert_eq!(document["type"], format!("urn:takedown:problem:{code}"));
    assert!(!document["title"].as_str().unwrap().is_empty());
    assert!(!document["detail"].as_str().unwrap().is_empty());
    document
}
