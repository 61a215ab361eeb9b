//! Every refused call has a stable code, also where the library refused it before a handler ran.
//!
//! tonic answers a message that does not decode with INTERNAL, and one that is too large with
//! OUT_OF_RANGE; both are the caller's to mend, and are said so here.

use std::any::Any;
use std::task::{Context, Poll};

use futures::future::{FutureExt, Map};
use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tower_http::catch_panic::ResponseForPanic;

use crate::error::{CODE, Kind, Problem};

#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalLayer;

impl<S> Layer<S> for RefusalLayer {
    type Service = Refusal<S>;

    fn layer(&self, inner: S) -> Refusal<S> {
        Refusal(inner)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Refusal<S>(S);

impl<S, B> Service<Request<Body>> for Refusal<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future =
        Map<S::Future, fn(Result<Response<B>, S::Error>) -> Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request).map(|result| {
            result.map(|mut response| {
                name(&mut response);
                response
            })
        })
    }
}

/// Gives a refusal that carries no code of ours one.
fn name<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    if headers.contains_key(CODE) {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    match (status.code(), status.message()) {
        (Code::Ok, _) => {}
        // Clients find out by this code what a server does not speak; it must stay as it is.
        (Code::Unimplemented, _) => {
            headers.insert(CODE, HeaderValue::from_static("unknown_method"));
        }
        (code, message) => {
            let problem = named(code, message, &status);
            // Header values are made of ASCII codes and percent-encoded text: they always fit.
            let _ = Status::from(problem).add_header(headers);
        }
    }
}

fn named(code: Code, message: &str, status: &Status) -> Problem {
    match code {
        Code::Internal if message.contains("failed to decode") => Problem::new(
            Kind::Invalid,
            "malformed_message",
            "The message does not decode; build it from the published protobuf files.",
        ),
        Code::OutOfRange => Problem::new(
            Kind::Invalid,
            "message_too_large",
            "The message is too large; send fewer items in one call.",
        ),
        Code::ResourceExhausted => Problem::new(
            Kind::Exhausted,
            "too_many_calls",
            "Too many calls at once on this connection; wait for some of them to end.",
        ),
        Code::Cancelled | Code::DeadlineExceeded => Problem::new(
            Kind::Unavailable,
            "timed_out",
            "This took too long; send the same request again.",
        ),
        _ => Problem::from(status),
    }
}

/// What a caller gets for a handler that panicked. The place is in the log, by the panic hook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panicked;

impl ResponseForPanic for Panicked {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send>) -> Response<Body> {
        Status::from(Problem::of(Kind::Internal)).into_http()
    }
}
