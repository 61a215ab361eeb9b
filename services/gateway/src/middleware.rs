//! Applied to every request: rate limits, a limit on requests in flight, a timeout, and the headers of every
//! response. Logs the route's template and never the path, because paths contain tokens and references.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::error::{Kind, Problem};
use platform::metrics::Timer;
use platform::trace::{Side, Span};

use crate::Rate;
use crate::caller::bearer;
use crate::edge::Edge;
use crate::peer::{Peer, rate_limit_key};
use crate::problem::ProblemResponse;
use crate::rate_limiter::RateLimitStatus;

/// By method, route and status.
static REQUESTS: Timer = Timer::new("http.server.request.duration", "Duration of HTTP requests.");

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(crate) async fn apply(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let template = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    // Health checks are not limited, so that a busy process still answers them.
    let mut response = if matches!(template, "/healthz" | "/readyz") {
        next.run(request).await
    } else {
        let span = Span::child_of(None, Side::Server, format!("{method} {template}"));
        let response = span
            .scope(rate_limited(&edge, request, next, started))
            .await;
        let status = response.status().as_u16().to_string();
        span.set_attribute("http.response.status_code", &status);
        let labels = [
            ("method", method.as_str()),
            ("route", template),
            ("status", &status),
        ];
        REQUESTS.record(started.elapsed(), &labels);
        response
    };
    set_common_headers(response.headers_mut(), edge.config.is_tls());
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    if status >= 500 {
        tracing::warn!(http.method = %method, http.route = template, http.status = status, elapsed_ms = elapsed.as_millis() as u64, "request failed");
    } else {
        tracing::debug!(http.method = %method, http.route = template, http.status = status, elapsed_ms = elapsed.as_millis() as u64, "request answered");
    }
    response
}

async fn rate_limited(edge: &Edge, request: Request, next: Next, now: Instant) -> Response {
    let tightest = tightest_limit(edge, &request, now);
    let mut response = if tightest.status.allowed {
        run_within_limits(edge, request, next).await
    } else {
        ProblemResponse::from(
            Problem::new(
                Kind::Exhausted,
                "rate_limited",
                "Too many requests; wait for the time in Retry-After, then send requests more slowly.",
            )
            .retry_after(tightest.status.reset),
        )
        .into_response()
    };
    tightest.write_headers(response.headers_mut());
    response
}

/// Runs the handler within the limits on requests in flight and on time.
async fn run_within_limits(edge: &Edge, request: Request, next: Next) -> Response {
    let Ok(_permit) = edge.in_flight.try_acquire() else {
        let busy = Problem::new(
            Kind::Unavailable,
            "busy",
            "The hotline's gateway is busy; send the same request again.",
        );
        return ProblemResponse::from(busy.retry_after(Duration::from_secs(1))).into_response();
    };
    match tokio::time::timeout(edge.config.limits.request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => ProblemResponse::from(
            Problem::new(
                Kind::Unavailable,
                "timeout",
                "This took too long; send the same request again, with the same Idempotency-Key.",
            )
            .retry_after(Duration::from_secs(1)),
        )
        .into_response(),
    }
}

/// The rate limit that is closest to being exceeded, or is exceeded.
struct TightestLimit {
    name: &'static str,
    rate: Rate,
    status: RateLimitStatus,
}

fn tightest_limit(edge: &Edge, request: &Request, now: Instant) -> TightestLimit {
    let headers = request.headers();
    let address = request
        .extensions()
        .get::<Peer>()
        .map(|peer| rate_limit_key(*peer, headers, &edge.config.trusted_proxies));
    let by_address = TightestLimit {
        name: "address",
        rate: edge.address_limiter.rate(),
        status: edge.address_limiter.take(address, now),
    };
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    let Some(token) = token.filter(|_| by_address.status.allowed) else {
        return by_address;
    };
    let by_credential = TightestLimit {
        name: "credential",
        rate: edge.credential_limiter.rate(),
        status: edge.credential_limiter.take(token, now),
    };
    if by_credential.status.remaining <= by_address.status.remaining {
        by_credential
    } else {
        by_address
    }
}

impl TightestLimit {
    /// Writes the header fields of the IETF draft "RateLimit header fields for HTTP".
    fn write_headers(&self, headers: &mut HeaderMap) {
        let (name, Rate { per_second, burst }) = (self.name, self.rate);
        let window = burst.div_ceil(per_second);
        let RateLimitStatus {
            remaining, reset, ..
        } = self.status;
        let reset = reset.as_secs() + u64::from(reset.subsec_nanos() > 0);
        for (header, value) in [
            (
                RATE_LIMIT_POLICY,
                format!("\"{name}\";q={burst};w={window}"),
            ),
            (RATE_LIMIT, format!("\"{name}\";r={remaining};t={reset}")),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(header, value);
            }
        }
    }
}

/// Sets the headers of every response. A page or an asset may have set its own cache and content policy
/// already.
fn set_common_headers(headers: &mut HeaderMap, tls: bool) {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in [
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if tls {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

/// Answers a request whose handler panicked. The panic's message is dropped, because it may contain anything.
pub(crate) fn panic_response(_: Box<dyn Any + Send>) -> Response {
    tracing::error!(alarm = "panic", "request handler panicked");
    ProblemResponse::from(Problem::from_kind(Kind::Internal)).into_response()
}
