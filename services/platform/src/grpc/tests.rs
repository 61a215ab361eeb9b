//! The server, tested by calls over loopback.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tonic::client::Grpc;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tower::ServiceExt as _;

use super::*;
use crate::error::{Kind, Problem};

const SET: &[u8] = tonic_health::pb::FILE_DESCRIPTOR_SET;

/// A service that panics in each call.
#[derive(Clone)]
struct PanickingService;

impl NamedService for PanickingService {
    const NAME: &'static str = "test.Broken";
}

impl tower::Service<http::Request<Body>> for PanickingService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert!(request.uri().path().is_empty(), "panics on every path");
        ready(Ok(http::Response::new(Body::empty())))
    }
}

/// A service that never responds.
#[derive(Clone)]
struct PendingService;

impl NamedService for PendingService {
    const NAME: &'static str = "test.Stuck";
}

impl tower::Service<http::Request<Body>> for PendingService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

/// A service whose stream ends as if the reader had received a malformed frame.
#[derive(Clone)]
struct TruncatedService;

impl NamedService for TruncatedService {
    const NAME: &'static str = "test.Spoilt";
}

impl tower::Service<http::Request<Body>> for TruncatedService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let mut trailers = http::HeaderMap::new();
        let end = tonic::Status::internal("Unexpected EOF decoding stream.");
        end.add_header(&mut trailers).unwrap();
        let frames = [
            hyper::body::Frame::data(bytes::Bytes::from_static(&[0; 5])),
            hyper::body::Frame::trailers(trailers),
        ];
        let frames = futures::stream::iter(frames.map(Ok::<_, Infallible>));
        let mut response = http::Response::new(Body::new(http_body_util::StreamBody::new(frames)));
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", grpc);
        ready(Ok(response))
    }
}

/// Sends these bytes as the frames of a call, and returns the error in the response headers.
async fn send_frames(channel: &Channel, path: &str, frames: &'static [u8]) -> Problem {
    let body = Body::new(http_body_util::Full::new(bytes::Bytes::from_static(frames)));
    let request = http::Request::post(path.to_owned())
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = channel.clone().oneshot(request).await.unwrap();
    Problem::from(tonic::Status::from_header_map(response.headers()).expect("an error status"))
}

type ServerTask = tokio::task::JoinHandle<Result<(), GrpcError>>;

async fn start(server: Server) -> (Channel, CancellationToken, ServerTask) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(server.serve(listener, shutdown.clone()));
    (
        channel(&format!("http://{address}")).unwrap(),
        shutdown,
        running,
    )
}

async fn status(channel: &Channel, service: &str) -> i32 {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    HealthClient::new(channel.clone())
        .check(request)
        .await
        .unwrap()
        .into_inner()
        .status
}

#[tokio::test]
async fn liveness_and_readiness_are_independent() {
    let available = Arc::new(AtomicBool::new(false));
    let checked = available.clone();
    let check: ReadinessCheck = Arc::new(move || {
        let available = checked.load(Ordering::Relaxed);
        Box::pin(async move { available })
    });
    let server = Server::new(SET).add_service(PendingService);
    let (channel, shutdown, server) = start(server.ready_while(check)).await;
    let (serving, not_serving) = (1, 2);
    assert_eq!(status(&channel, "").await, serving);
    for name in [READY, "test.Stuck"] {
        assert_eq!(status(&channel, name).await, not_serving, "{name}");
    }
    available.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(10), async {
        for name in [READY, "test.Stuck"] {
            while status(&channel, name).await != serving {
                tokio::task::yield_now().await;
            }
        }
    })
    .await
    .expect("ready once the dependency is available");
    let unknown = HealthCheckRequest {
        service: "test.Absent".into(),
    };
    let unknown = HealthClient::new(channel.clone()).check(unknown).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
    shutdown.cancel();
    drop(channel);
    server.await.unwrap().unwrap();
}

/// The services that a server names by reflection, asked in one version of the protocol.
macro_rules! reflected_services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new($channel);
        let requests = tokio_stream::once(request);
        let mut responses = client
            .server_reflection_info(requests)
            .await
            .unwrap()
            .into_inner();
        let response = responses.message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
            panic!("{response:?}");
        };
        let names = list.service.into_iter().map(|service| service.name);
        names.collect::<std::collections::BTreeSet<_>>()
    }};
}

#[tokio::test]
async fn reflection_names_the_services_of_the_server_in_both_versions() {
    let (channel, _shutdown, _server) = start(Server::new(SET).add_service(PendingService)).await;
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "test.Stuck",
    ];
    let expected = expected.map(str::to_owned).into();
    assert_eq!(reflected_services!(v1, channel.clone()), expected);
    assert_eq!(reflected_services!(v1alpha, channel), expected);
}

#[tokio::test]
async fn a_panic_ends_one_call_and_not_the_process() {
    let (channel, _shutdown, _server) = start(Server::new(SET).add_service(PanickingService)).await;
    let mut grpc = Grpc::new(channel.clone());
    for _ in 0..2 {
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let path = http::uri::PathAndQuery::from_static("/test.Broken/Call");
        let refused = grpc
            .unary(
                tonic::Request::new(HealthCheckRequest::default()),
                path,
                codec,
            )
            .await
            .unwrap_err();
        let problem = Problem::from(refused);
        assert_eq!((problem.kind, &*problem.code), (Kind::Internal, "internal"));
    }
    assert_eq!(status(&channel, "").await, 1);
}

#[tokio::test]
async fn errors_of_the_library_have_a_stable_code() {
    let (channel, _shutdown, _server) = start(Server::new(SET)).await;
    let mut grpc = Grpc::new(channel.clone());

    grpc.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let unknown_path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Nothing");
    let unknown = grpc
        .unary(
            tonic::Request::new(HealthCheckRequest::default()),
            unknown_path,
            codec,
        )
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::Unimplemented);
    assert_eq!(Problem::from(unknown).code, "unknown_method");

    let check = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    grpc.ready().await.unwrap();
    // Field 1 is a number instead of text.
    let codec = ProstCodec::<HealthCheckResponse, HealthCheckResponse>::default();
    let malformed = grpc
        .unary(
            tonic::Request::new(HealthCheckResponse { status: 7 }),
            check.clone(),
            codec,
        )
        .await
        .unwrap_err();
    let problem = Problem::from(malformed);
    assert_eq!(
        (problem.kind, &*problem.code),
        (Kind::Invalid, "malformed_message")
    );

    grpc.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let large = HealthCheckRequest {
        service: "x".repeat(MAX_MESSAGE + 1),
    };
    let refused = grpc
        .unary(tonic::Request::new(large), check, codec)
        .await
        .unwrap_err();
    let problem = Problem::from(refused);
    assert_eq!(
        (problem.kind, &*problem.code),
        (Kind::Invalid, "message_too_large")
    );
}

#[tokio::test]
async fn malformed_frames_are_errors_of_the_caller() {
    let (channel, _shutdown, _server) = start(Server::new(SET).add_service(TruncatedService)).await;
    let check = "/grpc.health.v1.Health/Check";
    for (case, frames) in [
        ("no message", &[][..]),
        ("a compressed message without an encoding", &[1, 0, 0, 0, 0]),
        ("an unknown flag", &[7, 0, 0, 0, 0]),
        ("a truncated message", &[0, 0, 0, 0, 9, 1]),
        ("a truncated header", &[0, 0]),
    ] {
        let problem = send_frames(&channel, check, frames).await;
        assert_eq!(
            (problem.kind, &*problem.code),
            (Kind::Invalid, "malformed_message"),
            "{case}"
        );
    }

    // In the middle of a stream the trailers contain the error.
    let request = http::Request::post("/test.Spoilt/Call").body(Body::empty());
    let response = channel.clone().oneshot(request.unwrap()).await.unwrap();
    let end = response.into_body().collect().await.unwrap();
    let status = tonic::Status::from_header_map(end.trailers().unwrap()).unwrap();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert_eq!(Problem::from(status).code, "malformed_message");
}

#[tokio::test]
async fn exceeded_limits_are_errors_with_a_code() {
    let mut server = Server::new(SET).add_service(PendingService);
    server.call_timeout = Duration::from_millis(200);
    server.in_flight = 1;
    let (channel, _shutdown, _server) = start(server).await;
    let calls = (0..4).map(|_| send_frames(&channel, "/test.Stuck/Call", &[]));
    let mut problems: Vec<_> = futures::future::join_all(calls)
        .await
        .into_iter()
        .map(|problem| (problem.code.into_owned(), problem.kind))
        .collect();
    problems.sort_by(|left, right| left.0.cmp(&right.0));
    let busy = ("too_many_calls".to_owned(), Kind::Exhausted);
    let late = ("timed_out".to_owned(), Kind::Unavailable);
    assert_eq!(problems, [late, busy.clone(), busy.clone(), busy]);
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_block_the_shutdown() {
    let limit = Duration::from_millis(100);
    let (channel, shutdown, server) = start(Server::new(SET).drain(limit)).await;
    let mut health = HealthClient::new(channel);
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
