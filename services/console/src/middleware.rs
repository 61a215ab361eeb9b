//! What every request passes: the check of its origin, the limit on concurrent requests, error pages, and security
//! headers. Logs the route's template and never the path, because paths contain references.

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
use platform::trace::{Side, Span};

use crate::edge::Edge;
use crate::error_response::FailedRequest;
use crate::page_error::PageError;

const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) async fn handle(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let failed = FailedRequest::new(&method, request.uri(), request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let template = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = Span::child_of(None, Side::Server, format!("{method} {template}"));
    let mut response = span
        .scope(async {
            let response = admit(&edge, request, next).await;
            failed.render(&edge, response).await
        })
        .await;
    span.set_attribute("http.response.status_code", response.status().as_u16());
    add_headers(response.headers_mut(), edge.is_secure);
    let (status, elapsed_ms) = (
        response.status().as_u16(),
        started.elapsed().as_millis() as u64,
    );
    if status >= 500 {
        tracing::warn!(http.method = %method, http.route = template, http.status = status, elapsed_ms, "a request failed");
    } else {
        tracing::debug!(http.method = %method, http.route = template, http.status = status, elapsed_ms, "a request was answered");
    }
    response
}

async fn admit(edge: &Edge, request: Request, next: Next) -> Response {
    if !request.method().is_safe() && !is_same_origin(request.headers()) {
        return PageError::new(Kind::Forbidden, "other_site").into_response();
    }
    let Ok(_permit) = edge.in_flight.try_acquire() else {
        let busy = Problem::new(Kind::Unavailable, "busy", "")
            .retry_after(std::time::Duration::from_secs(1));
        return PageError::from(busy).into_response();
    };
    next.run(request).await
}

/// A browser sends a request's origin in `Sec-Fetch-Site` or in `Origin`. Where it sends neither, the form token and the
/// cookie's `SameSite` attribute still protect.
fn is_same_origin(headers: &HeaderMap) -> bool {
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

/// Headers of every response. An asset has set its own cache time already.
fn add_headers(headers: &mut HeaderMap, is_secure: bool) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // `no-referrer` would also hide the origin of our own forms.
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
    if is_secure {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_same_origin(&headers)
    }

    #[test]
    fn only_our_own_pages_may_change_anything() {
        let host = ("host", "console.example:7400");
        assert!(is_accepted(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(is_accepted(&[
            host,
            ("origin", "https://console.example:7400")
        ]));
        assert!(!is_accepted(&[host, ("sec-fetch-site", "same-site")]));
        assert!(!is_accepted(&[host, ("sec-fetch-site", "none")]));
        assert!(!is_accepted(&[host, ("origin", "https://other.example")]));
        assert!(!is_accepted(&[host, ("origin", "null")]));
    }
}
