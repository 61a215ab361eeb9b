//! Traces calls between roles: the caller sends its traceparent, and the callee continues the trace.

use std::task::{Context as Poller, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower::{Layer, Service};

use super::{HEADER, Side, Span, current_traceparent};
use crate::metrics::Timer;

/// Labels: method, code.
static CALLS: Timer = Timer::new("rpc.server.duration", "Duration of served calls.");

/// Adds the current traceparent to an outgoing call.
pub fn inject(metadata: &mut MetadataMap) {
    if let Some(value) = current_traceparent().and_then(|text| text.parse().ok()) {
        metadata.insert(HEADER, value);
    }
}

/// Creates a server span for each call, named by its method, except for health checks and reflection.
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
        let span = Span::child_of(traceparent, Side::Server, method);
        span.set_attribute("rpc.system", "grpc");
        let method = method.to_owned();
        let started = Instant::now();
        let serving = self.0.call(request);
        Box::pin(async move {
            let response = span.scope(serving).await;
            // A refusal before the first message carries its code in the headers (gRPC over HTTP/2,
            // "Responses").
            let code = response.as_ref().ok().and_then(|response| {
                let code = response.headers().get("grpc-status")?;
                code.to_str().ok()
            });
            let code = code.unwrap_or("0");
            span.set_attribute("rpc.grpc.status_code", code);
            CALLS.record(started.elapsed(), &[("method", &method), ("code", code)]);
            response
        })
    }
}
