//! Owners in a test: a real gRPC server that answers by method name, and a browser that keeps its cookies.
#![allow(dead_code, reason = "each test takes what it needs")]

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

type Answer = Box<dyn Fn(&[u8], Option<&str>) -> Result<Vec<u8>, Status> + Send + Sync>;

/// A method and what it was asked.
type Heard = (String, Vec<u8>);

/// Answers by `Service/Method`. What has no answer is unavailable, as a role that is down.
#[derive(Clone, Default)]
pub struct Owners {
    answers: Arc<Mutex<HashMap<&'static str, Arc<Answer>>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Owners {
    /// Answers a method; the second argument is the caller's token.
    pub fn on<Q: Message + Default, A: Message>(
        &self,
        method: &'static str,
        answer: impl Fn(Q, Option<&str>) -> Result<A, Status> + Send + Sync + 'static,
    ) {
        let answer: Answer = Box::new(move |bytes, token| {
            let question = Q::decode(bytes).map_err(|e| Status::invalid_argument(e.to_string()))?;
            Ok(answer(question, token)?.encode_to_vec())
        });
        self.answers
            .lock()
            .unwrap()
            .insert(method, Arc::new(answer));
    }

    /// A role that is down.
    pub fn down(&self, service: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|method, _| !method.starts_with(service));
    }

    /// Every question of this kind so far.
    pub fn heard<Q: Message + Default>(&self, method: &str) -> Vec<Q> {
        let heard = self.heard.lock().unwrap();
        let of = heard.iter().filter(|(name, _)| name == method);
        of.map(|(_, bytes)| Q::decode(&bytes[..]).unwrap())
            .collect()
    }

    async fn answer(
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
        // A gRPC message has a flag and its length before it.
        let question = body.get(5..).unwrap_or_default().to_vec();
        let answer = self.answers.lock().unwrap().get(method.as_str()).cloned();
        self.heard.lock().unwrap().push((method, question.clone()));
        let answered = match answer {
            Some(answer) => answer(&question, token.as_deref()),
            None => Err(Status::unavailable("down")),
        };
        match answered {
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
        let owners = self.clone();
        let router = axum::Router::new().fallback(move |request| owners.clone().answer(request));
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_routes(tonic::service::Routes::from(router))
                .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned()),
        );
        address
    }
}

/// A console over these owners, and somebody in front of it.
pub struct Desk {
    pub owners: Owners,
    pub base: String,
    pub browser: reqwest::Client,
    pub shutdown: CancellationToken,
    pub running: tokio::task::JoinHandle<Result<(), console::Error>>,
}

impl Desk {
    pub async fn open() -> Self {
        Self::with(Config {
            refresh_ms: 100,
            ..Config::default()
        })
        .await
    }

    pub async fn with(config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let owners = Owners::default();
        data::fill(&owners);
        let shutdown = CancellationToken::new();
        let address = owners.serve(shutdown.clone()).await;
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
            owners,
            base,
            browser: browser(),
            shutdown,
            running,
        }
    }

    /// As [`Desk::open`], with somebody signed in.
    pub async fn signed_in() -> Self {
        let desk = Self::open().await;
        let answer = desk
            .post("/sign-in", &[("name", "sam"), ("password", data::PASSWORD)])
            .await;
        assert_eq!(answer.status(), 303);
        desk
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.browser.get(format!("{}{path}", self.base));
        request.send().await.unwrap()
    }

    /// The page's text, which must be there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let request = self.browser.post(format!("{}{path}", self.base));
        request.form(form).send().await.unwrap()
    }

    /// A form as the page has it, with its token.
    pub async fn send(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let page = self.page("/cases").await;
        let token = hidden(&page, "form_token");
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
pub fn hidden(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let from = page.find(&mark).expect("the field is on the page") + mark.len();
    page[from..].split('"').next().unwrap().to_owned()
}

pub fn location(answer: &reqwest::Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}
