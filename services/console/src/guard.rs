//! What every request passes: the origin of what changes something, a bound on work in flight, and the headers that go
//! with every answer. Logs the route's template, never the path: paths carry references.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::error::{Kind, Problem};
use platform::trace::{Side, Work};

use crate::edge::Edge;
use crate::refused::Refused;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) async fn guard(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let template = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let work = Work::after(None, Side::Server, format!("{method} {template}"));
    let mut response = work.scope(admitted(&edge, request, next)).await;
    work.note("http.response.status_code", response.status().as_u16());
    always(response.headers_mut(), edge.secure);
    let (status, elapsed_ms) = (
        response.status().as_u16(),
        started.elapsed().as_millis() as u64,
    );
    if status >= 500 {
        tracing::warn!(http.method = %method, http.route = template, http.status = status, elapsed_ms, "a page failed");
    } else {
        tracing::debug!(http.method = %method, http.route = template, http.status = status, elapsed_ms, "a page was answered");
    }
    response
}

async fn admitted(edge: &Edge, request: Request, next: Next) -> Response {
    if !request.method().is_safe() && !is_own(request.headers()) {
        return Refused::from(Problem::new(
            Kind::Forbidden,
            "other_site",
            "This request came from another site and was refused; open the console and do it there.",
        ))
        .into_response();
    }
    let Ok(_permit) = edge.in_flight.try_acquire() else {
        return Refused::from(
            Problem::new(
                Kind::Unavailable,
                "busy",
                "The console is busy; load the page again in a moment.",
            )
            .retry_after(std::time::Duration::from_secs(1)),
        )
        .into_response();
    };
    next.run(request).await
}

/// A browser says where a request comes from: by `Sec-Fetch-Site`, or by `Origin`. Where it says neither, the form's
/// token and the cookie's `SameSite` still stand.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text(&HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let Some(origin) = text(&ORIGIN) else {
        return true;
    };
    let host = text(&HOST).unwrap_or("");
    origin
        .split_once("://")
        .is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
}

/// What no answer goes without. An asset may have said already how long it keeps.
fn always(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` a browser would also hide the origin of our own forms.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if secure {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_own(&headers)
    }

    #[test]
    fn only_our_own_pages_may_change_anything() {
        let host = ("host", "console.example:7400");
        assert!(from(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(from(&[host, ("origin", "https://console.example:7400")]));
        assert!(!from(&[host, ("sec-fetch-site", "same-site")]));
        assert!(!from(&[host, ("sec-fetch-site", "none")]));
        assert!(!from(&[host, ("origin", "https://other.example")]));
        assert!(!from(&[host, ("origin", "null")]));
    }
}
