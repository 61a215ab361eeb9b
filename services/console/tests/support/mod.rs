//! The services in a test: a real gRPC server that answers by method name, and an HTTP client that keeps its cookies.
#![allow(dead_code, reason = "no test uses all of it")]

pub mod data;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use console::{Config, Deps};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

type Handler = Box<dyn Fn(&[u8], Option<&str>) -> Result<Vec<u8>, Status> + Send + Sync>;

/// A method and the message of one call.
type ReceivedCall = (String, Vec<u8>);

/// Answers calls by `Service/Method`. A method without a handler is unavailable, as if its service were down.
#[derive(Clone, Default)]
pub struct FakeServices {
    handlers: Arc<Mutex<HashMap<&'static str, Arc<Handler>>>>,
    received: Arc<Mutex<Vec<ReceivedCall>>>,
}

impl FakeServices {
    /// Sets the handler of a method; its second argument is the caller's token.
    pub fn on<Q: Message + Default, A: Message>(
        &self,
        method: &'static str,
        handler: impl Fn(Q, Option<&str>) -> Result<A, Status> + Send + Sync + 'static,
    ) {
        let handler: Handler = Box::new(move |bytes, token| {
            let request = Q::decode(bytes).map_err(|e| Status::invalid_argument(e.to_string()))?;
            Ok(handler(request, token)?.encode_to_vec())
        });
        self.handlers
            .lock()
            .unwrap()
            .insert(method, Arc::new(handler));
    }

    /// Makes all methods of a service unavailable.
    pub fn stop(&self, service: &str) {
        let mut handlers = self.handlers.lock().unwrap();
        handlers.retain(|method, _| !method.starts_with(service));
    }

    /// The requests of this method so far.
    pub fn received<Q: Message + Default>(&self, method: &str) -> Vec<Q> {
        let received = self.received.lock().unwrap();
        let requests = received.iter().filter(|(name, _)| name == method);
        requests
            .map(|(_, bytes)| Q::decode(&bytes[..]).unwrap())
            .collect()
    }

    async fn respond(
        self,
        request: http::Request<axum::body::Body>,
    ) -> http::Response<tonic::body::Body> {
        let path = request.uri().path().to_owned();
        let method = path.trim_start_matches("/takedown.v1.").to_owned();
        let token = request.headers().get("authorization").and_then(|value| {
            value
                .to_str()
                .ok()?
                .strip_prefix("Bearer ")
                .map(str::to_owned)
        });
        let body = request.into_body().collect().await.unwrap().to_bytes();
        // A gRPC message follows a flag and its length (5 octets).
        let message = body.get(5..).unwrap_or_default().to_vec();
        let handler = self.handlers.lock().unwrap().get(method.as_str()).cloned();
        self.received
            .lock()
            .unwrap()
            .push((method, message.clone()));
        let response = match handler {
            Some(handler) => handler(&message, token.as_deref()),
            None => Err(Status::unavailable("down")),
        };
        match response {
            Ok(message) => {
                let mut framed = BytesMut::with_capacity(message.len() + 5);
                framed.put_u8(0);
                framed.put_u32(message.len() as u32);
                framed.extend_from_slice(&message);
                let trailers = http::HeaderMap::from_iter([(
                    http::HeaderName::from_static("grpc-status"),
                    http::HeaderValue::from_static("0"),
                )]);
                let body = Full::<Bytes>::new(framed.freeze())
                    .with_trailers(async move { Some(Ok(trailers)) });
                http::Response::builder()
                    .header("content-type", "application/grpc")
                    .body(tonic::body::Body::new(body))
                    .unwrap()
            }
            Err(status) => status.into_http(),
        }
    }

    async fn serve(&self, shutdown: CancellationToken) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let services = self.clone();
        let router = axum::Router::new().fallback(move |request| services.clone().respond(request));
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_routes(tonic::service::Routes::from(router))
                .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned()),
        );
        address
    }
}

/// A console over these services, and a browser's HTTP client.
pub struct TestConsole {
    pub services: FakeServices,
    pub base: String,
    pub browser: reqwest::Client,
    pub shutdown: CancellationToken,
    pub running: tokio::task::JoinHandle<Result<(), console::Error>>,
}

impl TestConsole {
    /// Without a sign-in.
    pub async fn start() -> Self {
        Self::with_config(Config {
            refresh_ms: 100,
            ..Config::default()
        })
        .await
    }

    pub async fn with_config(config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let services = FakeServices::default();
        data::set_all_handlers(&services);
        let shutdown = CancellationToken::new();
        let address = services.serve(shutdown.clone()).await;
        let channel: Channel = platform::grpc::channel(&format!("http://{address}")).unwrap();
        let deps = Deps {
            intake: channel.clone(),
            verification: channel.clone(),
            dispatch: channel.clone(),
            ledger: channel,
            config,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let running = tokio::spawn(console::run(deps, listener, shutdown.clone()));
        Self {
            services,
            base,
            browser: browser(),
            shutdown,
            running,
        }
    }

    /// As [`TestConsole::start`], with a supervisor and analyst signed in.
    pub async fn signed_in() -> Self {
        let console = Self::start().await;
        let response = console
            .post("/sign-in", &[("name", "sam"), ("password", data::PASSWORD)])
            .await;
        assert_eq!(response.status(), 303);
        console
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.browser.get(format!("{}{path}", self.base));
        request.send().await.unwrap()
    }

    /// The HTML of a page that must be served.
    pub async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let request = self.browser.post(format!("{}{path}", self.base));
        request.form(form).send().await.unwrap()
    }

    /// Sends a form with the token that pages put into it.
    pub async fn send(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let page = self.page("/cases").await;
        let token = hidden_value(&page, "form_token");
        let mut form = form.to_vec();
        form.push(("form_token", &token));
        self.post(path, &form).await
    }
}

pub fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// The value of a page's hidden field.
pub fn hidden_value(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let from = page.find(&start).expect("the field is on the page") + start.len();
    page[from..].split('"').next().unwrap().to_owned()
}

pub fn location(response: &reqwest::Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}
