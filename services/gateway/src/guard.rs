//! What every request passes: rate limits, a bound on work in flight, a time limit, and the headers that go with every
//! answer. Logs the route's template, never the path: paths carry tokens and references.

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
use platform::trace::{Side, Work};

use crate::Rate;
use crate::caller::bearer;
use crate::edge::Edge;
use crate::limits::Standing;
use crate::peer::{Peer, counted};
use crate::problem::Refused;

/// By method, route and status.
static REQUESTS: Timer = Timer::new(
    "http.server.request.duration",
    "How long requests from outside took.",
);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(crate) async fn guard(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let template = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    // Whoever watches the process must see it also when it is busy.
    let mut response = if matches!(template, "/healthz" | "/readyz") {
        next.run(request).await
    } else {
        let work = Work::after(None, Side::Server, format!("{method} {template}"));
        let response = work.scope(limited(&edge, request, next, started)).await;
        let status = response.status().as_u16().to_string();
        work.note("http.response.status_code", &status);
        let labels = [
            ("method", method.as_str()),
            ("route", template),
            ("status", &status),
        ];
        REQUESTS.took(started.elapsed(), &labels);
        response
    };
    always(response.headers_mut(), edge.config.is_tls());
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    if status >= 500 {
        tracing::warn!(http.method = %method, http.route = template, http.status = status, elapsed_ms = elapsed.as_millis() as u64, "a request failed");
    } else {
        tracing::debug!(http.method = %method, http.route = template, http.status = status, elapsed_ms = elapsed.as_millis() as u64, "a request was answered");
    }
    response
}

async fn limited(edge: &Edge, request: Request, next: Next, now: Instant) -> Response {
    let tightest = tightest(edge, &request, now);
    let mut response = if tightest.standing.allowed {
        worked(edge, request, next).await
    } else {
        Refused::from(
            Problem::new(
                Kind::Exhausted,
                "rate_limited",
                "Too many requests; wait as long as Retry-After says, then go on more slowly.",
            )
            .retry_after(tightest.standing.reset),
        )
        .into_response()
    };
    tightest.tell(response.headers_mut());
    response
}

/// Works on the request within the bounds on number and time.
async fn worked(edge: &Edge, request: Request, next: Next) -> Response {
    let Ok(_permit) = edge.in_flight.try_acquire() else {
        let busy = Problem::new(
            Kind::Unavailable,
            "busy",
            "The hotline's edge is busy; send the same request again.",
        );
        return Refused::from(busy.retry_after(Duration::from_secs(1))).into_response();
    };
    match tokio::time::timeout(edge.config.limits.call(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refused::from(
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

/// The limit that is nearest to its end, or has passed it.
struct Tightest {
    name: &'static str,
    rate: Rate,
    standing: Standing,
}

fn tightest(edge: &Edge, request: &Request, now: Instant) -> Tightest {
    let headers = request.headers();
    let address = request
        .extensions()
        .get::<Peer>()
        .map(|peer| counted(*peer, headers, &edge.config.trusted_proxies));
    let by_address = Tightest {
        name: "address",
        rate: edge.by_address.rate(),
        standing: edge.by_address.take(address, now),
    };
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    let Some(token) = token.filter(|_| by_address.standing.allowed) else {
        return by_address;
    };
    let by_credential = Tightest {
        name: "credential",
        rate: edge.by_credential.rate(),
        standing: edge.by_credential.take(token, now),
    };
    if by_credential.standing.remaining <= by_address.standing.remaining {
        by_credential
    } else {
        by_address
    }
}

impl Tightest {
    /// As the IETF's draft "RateLimit header fields for HTTP" has it.
    fn tell(&self, headers: &mut HeaderMap) {
        let (name, Rate { per_second, burst }) = (self.name, self.rate);
        let window = burst.div_ceil(per_second);
        let Standing {
            remaining, reset, ..
        } = self.standing;
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

/// What no answer goes without. A page or an asset may have said something narrower already.
fn always(headers: &mut HeaderMap, tls: bool) {
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

/// A panic ends its request and nothing else. What it said may hold anything, so it is not repeated.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!(alarm = "panic", "a request's handler panicked");
    Refused::from(Problem::of(Kind::Internal)).into_response()
}
