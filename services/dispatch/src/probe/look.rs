//! One look: HEAD, and GET up to the end of the headers where HEAD is not taken.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use http::{HeaderMap, StatusCode};
use platform::connector::{Connector, ConnectorError, Request, Response};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::control::Control;
use crate::commands::{Fingerprint, Outcome};

/// Looks once. `salt` is the case's: what could tell of the material is kept as a salted digest.
pub(super) async fn look(
    connector: &Connector,
    control: &Control,
    url: &Url,
    salt: &[u8; 32],
    within: Duration,
) -> Outcome {
    let ask = |mut request: Request| {
        request.within = Some(within);
        connector.send(request)
    };
    let mut answer = ask(Request::head(url.clone())).await;
    if let Ok(response) = &answer
        && matches!(
            response.status,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        )
    {
        answer = ask(Request::get_headers(url.clone())).await;
    }
    match answer {
        Ok(response) => judge(&response, salt),
        // The name is not there any more, where the resolver can be believed.
        Err(ConnectorError::NoSuchName) if control.holds().await => Outcome::Gone,
        // Not reached, refused, or not understood: that says nothing of what is there.
        Err(_) => Outcome::Unknown,
    }
}

fn judge(response: &Response, salt: &[u8; 32]) -> Outcome {
    let status = response.status;
    match status.as_u16() {
        404 | 410 => Outcome::Gone,
        // Who asks for a password, refuses us, or withholds it from our country for legal reasons (RFC 7725) may still
        // show it to others. A redirect is not followed: where it leads
        // is another place, with a case of its own or none.
        200..=399 | 401 | 403 | 451 => Outcome::Up(fingerprint(status, &response.headers, salt)),
        _ => Outcome::Unknown,
    }
}

fn fingerprint(status: StatusCode, headers: &HeaderMap, salt: &[u8; 32]) -> Fingerprint {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // Where it leads tells a redirect from another as an ETag tells a body.
    let mark = if status.is_redirection() {
        LOCATION
    } else {
        ETAG
    };
    let digest = |mark: &str| {
        let mut hash = Sha256::new();
        hash.update(salt);
        hash.update(mark);
        hex::encode(&hash.finalize()[..16])
    };
    Fingerprint {
        status: status.as_u16(),
        length: text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
        etag: text(mark).map(digest),
        content_type: text(CONTENT_TYPE).map(|kind| {
            // Parameters such as a charset come and go with configuration.
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

    fn answer(status: u16, headers: &[(HeaderName, &'static str)]) -> Response {
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
    fn answers_are_told_apart() {
        for status in [404, 410] {
            assert_eq!(judge(&answer(status, &[]), &[0; 32]), Outcome::Gone);
        }
        for status in [200, 206, 301, 302, 401, 403, 451] {
            let outcome = judge(&answer(status, &[]), &[0; 32]);
            assert!(matches!(outcome, Outcome::Up(_)), "{status}");
        }
        for status in [400, 408, 429, 500, 502, 503] {
            assert_eq!(judge(&answer(status, &[]), &[0; 32]), Outcome::Unknown);
        }
    }

    #[test]
    fn a_fingerprint_holds_no_mark_of_the_material() {
        let headers = [
            (CONTENT_LENGTH, "120"),
            (ETAG, "\"d41d8cd98f\""),
            (CONTENT_TYPE, "Image/PNG; q=1"),
        ];
        let print = |salt| match judge(&answer(200, &headers), &salt) {
            Outcome::Up(print) => print,
            other => panic!("{other:?}"),
        };
        let one = print([1; 32]);
        assert_eq!(one, print([1; 32]));
        assert_eq!(
            (one.length, one.content_type.as_deref()),
            (Some(120), Some("image/png"))
        );
        let etag = one.etag.unwrap();
        assert!(!etag.contains("d41d8"));
        assert_ne!(Some(etag), print([2; 32]).etag, "salted by the case");
    }
}
