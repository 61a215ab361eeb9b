//! Reads a request's body: checks its media type, its size and that it is complete.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::json;
use crate::problem::ProblemResponse;

const MAX_BODY: usize = 1024 * 1024;

/// A JSON document.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, _: &S) -> Result<Self, ProblemResponse> {
        let body = json_bytes(request).await?;
        json::document(&body).map(Self)
    }
}

/// A JSON document with the SHA-256 of its bytes. Intake and dispatch bind the idempotency key to the digest,
/// so that it also covers the elements that cannot be read and are therefore not forwarded.
pub(crate) struct JsonWithDigest<T> {
    pub(crate) document: T,
    pub(crate) digest: Bytes,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonWithDigest<T> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, _: &S) -> Result<Self, ProblemResponse> {
        let body = json_bytes(request).await?;
        Ok(Self {
            document: json::document(&body)?,
            digest: Bytes::copy_from_slice(&Sha256::digest(&body)),
        })
    }
}

async fn json_bytes(request: Request) -> Result<Bytes, ProblemResponse> {
    check_media_type(request.headers(), "application/json")?;
    bytes(request).await
}

/// The fields of an HTML form.
pub(crate) struct Form(pub(crate) Fields);

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, _: &S) -> Result<Self, ProblemResponse> {
        check_media_type(request.headers(), "application/x-www-form-urlencoded")?;
        let body = bytes(request).await?;
        Ok(Self(Fields::parse(&body)))
    }
}

fn check_media_type(headers: &HeaderMap, expected: &str) -> Result<(), ProblemResponse> {
    let refusal = |code, detail| {
        Err(ProblemResponse::with_status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code,
            detail,
        ))
    };
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let is_utf8 = parameters
        .split(';')
        .map(str::trim)
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"));
    if !essence.trim().eq_ignore_ascii_case(expected) || !is_utf8 {
        return refusal(
            "media_type",
            format!("Send the body as `Content-Type: {expected}`, in UTF-8."),
        );
    }
    let is_encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_encoded {
        return refusal(
            "content_encoding",
            "Send the body without a Content-Encoding.".to_owned(),
        );
    }
    Ok(())
}

async fn bytes(request: Request) -> Result<Bytes, ProblemResponse> {
    let declared_length = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared_length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let body: Body = request.into_body();
    to_bytes(body, MAX_BODY).await.map_err(|error| {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = source {
            if cause.is::<http_body_util::LengthLimitError>() {
                return too_large();
            }
            source = cause.source();
        }
        ProblemResponse::malformed(
            "body_incomplete",
            "The body is incomplete; send the request again.",
        )
    })
}

fn too_large() -> ProblemResponse {
    ProblemResponse::with_status(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The body is larger than 1 MiB; split it into several requests.",
    )
}
