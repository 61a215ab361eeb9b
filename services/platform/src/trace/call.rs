//! Calls between roles: the caller's traceparent goes with the call, and the callee works within it.

use std::task::{Context as Poller, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower::{Layer, Service};

use super::{HEADER, Side, Work, current};
use crate::metrics::Timer;

/// By method and code.
static CALLS: Timer = Timer::new("rpc.server.duration", "How long calls took.");

/// Sends the trace of the work that is being done here along with a call.
pub fn put(metadata: &mut MetadataMap) {
    if let Some(value) = current().and_then(|text| text.parse().ok()) {
        metadata.insert(HEADER, value);
    }
}

/// Each call is a piece of work, named by its method; health and reflection are not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced(inner)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Traced<S>(S);

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let method = path.strip_prefix('/').unwrap_or(path);
        if !method.starts_with("takedown.") {
            return Box::pin(self.0.call(request));
        }
        let header = request.headers().get(HEADER);
        let traceparent = header.and_then(|value| value.to_str().ok());
        let work = Work::after(traceparent, Side::Server, method);
        work.note("rpc.system", "grpc");
        let method = method.to_owned();
        let began = Instant::now();
        let serving = self.0.call(request);
        Box::pin(async move {
            let answer = work.scope(serving).await;
            // A refusal before the first message has its code among the headers (gRPC over HTTP/2, "Responses").
            let code = answer.as_ref().ok().and_then(|answer| {
                let code = answer.headers().get("grpc-status")?;
                code.to_str().ok()
            });
            let code = code.unwrap_or("0");
            work.note("rpc.grpc.status_code", code);
            CALLS.took(began.elapsed(), &[("method", &method), ("code", code)]);
            answer
        })
    }
}
