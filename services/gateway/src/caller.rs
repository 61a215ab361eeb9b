//! What a caller shows: a bearer credential, and a key that makes a repeat safe. Read here, judged by their owners.

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use platform::error::{Kind, Problem};
use tonic::metadata::{Ascii, MetadataValue};

use crate::problem::Refused;

/// The longest key or token, in bytes: no owner gives out a longer one, and what they could not be sent they cannot judge.
const MAX_TOKEN: usize = 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// `Bearer …`, forwarded as it came. Never shown.
#[derive(Clone)]
pub(crate) struct Credential(MetadataValue<Ascii>);

impl Credential {
    pub(crate) fn header(&self) -> MetadataValue<Ascii> {
        self.0.clone()
    }

    /// For telling callers apart; not to be kept.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_encoded_bytes()
    }

    /// None where there is no header; an error where it is not one bearer credential.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Refused> {
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

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A caller that must name itself.
pub(crate) struct Named(pub(crate) Credential);

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Credential::of(&parts.headers)?.map(Self).ok_or_else(|| {
            Problem::new(
                Kind::Unauthenticated,
                "credential_missing",
                "Send your key as `Authorization: Bearer tdh_…`.",
            )
            .into()
        })
    }
}

/// A caller that may name itself.
pub(crate) struct Anybody(pub(crate) Option<Credential>);

impl<S: Sync> FromRequestParts<S> for Anybody {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Credential::of(&parts.headers).map(Self)
    }
}

/// The `Idempotency-Key` header; empty where there is none.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
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
                Refused::malformed(
                    "idempotency_key_malformed",
                    "Send at most one Idempotency-Key, of 1 to 128 printable ASCII characters.",
                )
            })
    }
}
