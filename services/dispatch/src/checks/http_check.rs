//! One HTTP check of whether a page is still online: HEAD, or GET up to the end of the headers where the host
//! does not support HEAD.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use http::{HeaderMap, StatusCode};
use platform::connector::{Connector, ConnectorError, Request, Response};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::resolver_check::ResolverCheck;
use crate::cases::{CheckOutcome, ResponseMetadata};

/// Checks a URL once. `salt` is the case's: header values that could identify the material are kept as salted
/// digests.
pub(super) async fn check_url(
    connector: &Connector,
    resolver_check: &ResolverCheck,
    url: &Url,
    salt: &[u8; 32],
    timeout: Duration,
) -> CheckOutcome {
    let send = |mut request: Request| {
        request.timeout = Some(timeout);
        connector.send(request)
    };
    let mut result = send(Request::head(url.clone())).await;
    if let Ok(response) = &result
        && matches!(
            response.status,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        )
    {
        result = send(Request::get_headers(url.clone())).await;
    }
    match result {
        Ok(response) => classify(&response, salt),
        Err(ConnectorError::NoSuchName) if resolver_check.is_trusted().await => {
            CheckOutcome::Offline
        }
        // Not reached, refused, or not understood: this proves nothing about the content.
        Err(_) => CheckOutcome::Unknown,
    }
}

fn classify(response: &Response, salt: &[u8; 32]) -> CheckOutcome {
    let status = response.status;
    match status.as_u16() {
        404 | 410 => CheckOutcome::Offline,
        // A host that asks for a password, refuses us, or blocks our country for legal reasons (451, RFC
        // 7725) may still serve the content to others. A redirect is not followed: its target is another URL,
        // with a case of its own or none.
        200..=399 | 401 | 403 | 451 => {
            CheckOutcome::Online(fingerprint(status, &response.headers, salt))
        }
        _ => CheckOutcome::Unknown,
    }
}

fn fingerprint(status: StatusCode, headers: &HeaderMap, salt: &[u8; 32]) -> ResponseMetadata {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A redirect is identified by its target, as a body is by its ETag.
    let identifying_header = if status.is_redirection() {
        LOCATION
    } else {
        ETAG
    };
    let digest = |value: &str| {
        let mut hash = Sha256::new();
        hash.update(salt);
        hash.update(value);
        hex::encode(&hash.finalize()[..16])
    };
    ResponseMetadata {
        status: status.as_u16(),
        length: text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
        etag: text(identifying_header).map(digest),
        content_type: text(CONTENT_TYPE).map(|kind| {
            // Parameters such as a charset change with the server's configuration.
            let kind = kind.split(';').next().unwrap_or_default();
            kind.trim().to_ascii_lowercase()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderValue;

    fn response(status: u16, headers: &[(HeaderName, &'static str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn the_status_decides_between_online_offline_and_unknown() {
        for status in [404, 410] {
            let outcome = classify(&response(status, &[]), &[0; 32]);
            assert_eq!(outcome, CheckOutcome::Offline);
        }
        for status in [200, 206, 301, 302, 401, 403, 451] {
            let outcome = classify(&response(status, &[]), &[0; 32]);
            assert!(matches!(outcome, CheckOutcome::Online(_)), "{status}");
        }
        for status in [400, 408, 429, 500, 502, 503] {
            let outcome = classify(&response(status, &[]), &[0; 32]);
            assert_eq!(outcome, CheckOutcome::Unknown);
        }
    }

    #[test]
    fn a_fingerprint_contains_the_etag_only_as_a_salted_digest() {
        let headers = [
            (CONTENT_LENGTH, "120"),
            (ETAG, "\"d41d8cd98f\""),
            (CONTENT_TYPE, "Image/PNG; q=1"),
        ];
        let metadata = |salt| match classify(&response(200, &headers), &salt) {
            CheckOutcome::Online(metadata) => metadata,
            other => panic!("{other:?}"),
        };
        let first = metadata([1; 32]);
        assert_eq!(first, metadata([1; 32]));
        assert_eq!(
            (first.length, first.content_type.as_deref()),
            (Some(120), Some("image/png"))
        );
        let etag = first.etag.unwrap();
        assert!(!etag.contains("d41d8"));
        assert_ne!(Some(etag), metadata([2; 32]).etag, "salted per case");
    }
}
