//! Staff tokens identify a member of staff for at most one minute and are verified with a public key, without
//! a call.
//!
//! They are PASETO v4.public tokens: the claims as JSON, and the id of the key in the footer. A token is a
//! credential: it is never shown or logged.

use std::fmt;

use pasetors::Public;
use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::KeyId;
use super::signing::{Signer, SigningContext, Verifier};
use crate::error::{Kind, Problem};
use crate::principal::{Principal, Roles};

/// Longest lifetime of a token: a revoked account has no access after this time.
pub const MAX_TOKEN_LIFE: Duration = Duration::seconds(60);

/// Largest clock difference between issuer and verifier that is accepted for a token that is not valid yet.
const MAX_SKEW: Duration = Duration::seconds(5);

/// Longest token, in bytes; longer ones are refused before decoding.
const MAX_TOKEN: usize = 2048;
/// Longest name or audience, in bytes.
const MAX_NAME: usize = 200;

/// Why a token was not issued or is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the staff token is malformed")]
    Malformed,
    #[error("the staff token is not authentic")]
    Forged,
    #[error("the staff token is for another audience")]
    OtherAudience,
    #[error("the staff token has expired")]
    Expired,
    #[error("the staff token is not valid yet")]
    NotYetValid,
    #[error("these claims cannot be issued")]
    NotIssuable,
}

impl TokenError {
    /// A stable code for callers.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Forged => "token_forged",
            Self::OtherAudience => "token_other_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::NotIssuable => "token_not_issuable",
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let detail = match error {
            TokenError::Expired => {
                "The session's token has expired; sign in again if this error repeats."
            }
            _ => "The token is not valid here; sign in again.",
        };
        Self::new(Kind::Unauthenticated, error.code(), detail)
    }
}

/// The claims of a token, under their registered names where there is one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffClaims {
    #[serde(rename = "sub")]
    pub subject: Uuid,
    pub name: String,
    pub roles: Roles,
    #[serde(rename = "sid")]
    pub session: Uuid,
    #[serde(rename = "aud")]
    pub audience: String,
    #[serde(rename = "iat", with = "time::serde::rfc3339")]
    pub issued_at: OffsetDateTime,
    #[serde(rename = "exp", with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// The part of a token that is read before its signature is verified.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFooter {
    kid: String,
}

impl StaffClaims {
    /// The principal that the token authenticates.
    pub fn principal(&self) -> Principal {
        Principal::Staff {
            subject: self.subject,
            name: self.name.clone(),
            roles: self.roles.clone(),
            session: self.session,
        }
    }
}

impl fmt::Debug for StaffClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaffClaims({}, {})", self.subject, self.audience)
    }
}

/// Issues tokens. Only the service that owns the sessions has an issuer.
#[derive(Debug, Clone)]
pub struct StaffTokenIssuer(Signer);

impl StaffTokenIssuer {
    /// `None` if the signer has another context.
    pub fn new(signer: Signer) -> Option<Self> {
        (signer.context() == SigningContext::StaffToken).then_some(Self(signer))
    }

    /// Issues a token.
    ///
    /// # Errors
    /// `NotIssuable` if the lifetime is not positive or exceeds [`MAX_TOKEN_LIFE`], or the name or the
    /// audience is empty or too long.
    pub fn issue(&self, claims: &StaffClaims) -> Result<String, TokenError> {
        let is_valid = |text: &str| (1..=MAX_NAME).contains(&text.len());
        let lifetime = claims.expires_at - claims.issued_at;
        let lifetime_is_valid = lifetime.is_positive() && lifetime <= MAX_TOKEN_LIFE;
        if !lifetime_is_valid || !is_valid(&claims.name) || !is_valid(&claims.audience) {
            return Err(TokenError::NotIssuable);
        }
        let footer = TokenFooter {
            kid: self.0.key_id().as_str().to_owned(),
        };
        let signed = || -> Option<String> {
            let payload = serde_json::to_vec(claims).ok()?;
            let footer = serde_json::to_vec(&footer).ok()?;
            let key = AsymmetricSecretKey::<V4>::from(self.0.key_pair().as_slice()).ok()?;
            PublicToken::sign(&key, &payload, Some(&footer), None).ok()
        };
        signed().ok_or(TokenError::NotIssuable)
    }
}

/// Verifies tokens with public keys.
#[derive(Debug, Clone)]
pub struct StaffTokenVerifier {
    verifier: Verifier,
    audience: String,
}

impl StaffTokenVerifier {
    /// `None` if the verifier has another context.
    pub fn new(verifier: Verifier, audience: &str) -> Option<Self> {
        (verifier.context() == SigningContext::StaffToken).then(|| Self {
            verifier,
            audience: audience.to_owned(),
        })
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// The reason why the token is not valid for this audience at this time.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<StaffClaims, TokenError> {
        let claims = self.authenticate(token)?;
        if claims.audience != self.audience {
            return Err(TokenError::OtherAudience);
        }
        if claims.issued_at - now > MAX_SKEW {
            return Err(TokenError::NotYetValid);
        }
        // The lifetime is checked again, in case the issuer is faulty.
        if now >= claims.expires_at || claims.expires_at - claims.issued_at > MAX_TOKEN_LIFE {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// The claims of a token that is signed with one of the keys.
    fn authenticate(&self, token: &str) -> Result<StaffClaims, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let untrusted =
            UntrustedToken::<Public, V4>::try_from(token).map_err(|_| TokenError::Malformed)?;
        let footer: TokenFooter = serde_json::from_slice(untrusted.untrusted_footer())
            .map_err(|_| TokenError::Malformed)?;
        let key_id = KeyId::parse(&footer.kid).map_err(|_| TokenError::Malformed)?;
        let key = self
            .verifier
            .public_key(&key_id)
            .ok_or(TokenError::Forged)?;
        let key = AsymmetricPublicKey::<V4>::from(&key).map_err(|_| TokenError::Forged)?;
        let trusted =
            PublicToken::verify(&key, &untrusted, None, None).map_err(|_| TokenError::Forged)?;
        serde_json::from_str(trusted.payload()).map_err(|_| TokenError::Malformed)
    }
}
