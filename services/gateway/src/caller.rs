//! What a caller sends to identify itself: a bearer credential, and a key that makes a repeat safe. Read
//! here; checked by intake and dispatch.

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use platform::error::{Kind, Problem};
use tonic::metadata::{Ascii, MetadataValue};

use crate::problem::ProblemResponse;

/// The longest key or token that is forwarded, in bytes. Every key that intake and dispatch issue is shorter.
const MAX_TOKEN: usize = 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A `Bearer …` credential, forwarded as received. Never logged.
#[derive(Clone)]
pub(crate) struct Credential(MetadataValue<Ascii>);

impl Credential {
    pub(crate) fn header(&self) -> MetadataValue<Ascii> {
        self.0.clone()
    }

    /// For telling callers apart. Must not be stored.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_encoded_bytes()
    }

    /// `None` without an `Authorization` header.
    ///
    /// # Errors
    ///
    /// `credential_malformed` unless the header is exactly one bearer credential of at most [`MAX_TOKEN`]
    /// bytes.
    fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ProblemResponse> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let header = value
            .to_str()
            .ok()
            .filter(|_| values.next().is_none())
            .and_then(bearer)
            .filter(|token| token.len() <= MAX_TOKEN)
            .and_then(|token| MetadataValue::try_from(format!("Bearer {token}")).ok());
        match header {
            Some(mut header) => {
                header.set_sensitive(true);
                Ok(Some(Self(header)))
            }
            None => Err(Problem::new(
                Kind::Unauthenticated,
                "credential_malformed",
                "Send one header `Authorization: Bearer KEY` with the key that the hotline gave you.",
            )
            .into()),
        }
    }
}

/// The token of `Bearer TOKEN`. The scheme is compared without regard to case (RFC 9110 section 11.1).
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// For routes that require a credential.
pub(crate) struct RequiredCredential(pub(crate) Credential);

impl<S: Sync> FromRequestParts<S> for RequiredCredential {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        Credential::from_headers(&parts.headers)?
            .map(Self)
            .ok_or_else(|| {
                Problem::new(
                    Kind::Unauthenticated,
                    "credential_missing",
                    "Send your key as `Authorization: Bearer tdh_…`.",
                )
                .into()
            })
    }
}

/// For routes that accept a credential and do not require one.
pub(crate) struct OptionalCredential(pub(crate) Option<Credential>);

impl<S: Sync> FromRequestParts<S> for OptionalCredential {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        Credential::from_headers(&parts.headers).map(Self)
    }
}

/// The `Idempotency-Key` header; empty if it is absent.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(Self(String::new()));
        };
        value
            .to_str()
            .ok()
            .map(str::trim)
            .filter(|key| values.next().is_none() && (1..=128).contains(&key.len()))
            .map(|key| Self(key.to_owned()))
            .ok_or_else(|| {
                ProblemResponse::malformed(
                    "idempotency_key_malformed",
                    "Send at most one Idempotency-Key, of 1 to 128 printable ASCII characters.",
                )
            })
    }
}
