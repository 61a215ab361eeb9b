//! A request's body: of the right type, not too large, and whole.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::json;
use crate::problem::Refused;

const MAX_BODY: usize = 1024 * 1024;

/// A JSON document of this form.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let body = json_bytes(request).await?;
        json::document(&body).map(Self)
    }
}

/// A JSON document of this form, with the SHA-256 of how it was written. Its owner binds an idempotency key to that: what
/// we cannot read, and so do not send on, is part of what the key stands for.
pub(crate) struct Digested<T> {
    pub(crate) document: T,
    pub(crate) digest: Bytes,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Digested<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let body = json_bytes(request).await?;
        Ok(Self {
            document: json::document(&body)?,
            digest: Bytes::copy_from_slice(&Sha256::digest(&body)),
        })
    }
}

async fn json_bytes(request: Request) -> Result<Bytes, Refused> {
    media_type(request.headers(), "application/json")?;
    bytes(request).await
}

/// The fields of a page's form.
pub(crate) struct Form(pub(crate) Fields);

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        media_type(request.headers(), "application/x-www-form-urlencoded")?;
        let body = bytes(request).await?;
        Ok(Self(Fields::parse(&body)))
    }
}

fn media_type(headers: &HeaderMap, wanted: &str) -> Result<(), Refused> {
    let wrong = |code, detail| {
        Err(Refused::with_status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code,
            detail,
        ))
    };
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (essence, parameters) = given.split_once(';').unwrap_or((given, ""));
    let utf8 = parameters
        .split(';')
        .map(str::trim)
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"));
    if !essence.trim().eq_ignore_ascii_case(wanted) || !utf8 {
        return wrong(
            "media_type",
            format!("Send the body as `Content-Type: {wanted}`, in UTF-8."),
        );
    }
    let encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return wrong(
            "content_encoding",
            "Send the body as it is, without a Content-Encoding.".to_owned(),
        );
    }
    Ok(())
}

async fn bytes(request: Request) -> Result<Bytes, Refused> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
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
        Refused::malformed(
            "body_incomplete",
            "The body ended before it was whole; send the request again.",
        )
    })
}

fn too_large() -> Refused {
    Refused::with_status(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The body is larger than 1 MiB; send it in parts.",
    )
}
