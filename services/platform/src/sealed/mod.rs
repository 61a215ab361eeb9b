//! Protection of stored and transmitted values: sealing, lookup tags, MACs, signatures and staff tokens.
//!
//! Every sealed value, tag and signature names its format and its key, so that keys and formats can change.
//! The input of a MAC, a hash or associated data is always length-prefixed (`frame`), so that different lists
//! of fields never result in the same bytes.
//!
//! The only I/O is the keyring file. `Debug`, `Display` and errors never show a key or a plaintext.

mod aead;
mod keyfile;
mod keyring;
mod mac;
mod secret;
mod signing;
mod tag;
mod token;

use std::fmt;

use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Kind, Problem};

pub use aead::{DataKey, Purpose, Sealed, WrappedKey};
pub use keyfile::KeyringError;
pub use keyring::Keyring;
pub use mac::{BusMac, BusRecord, MacPurpose, RowPurpose};
pub use secret::UnsealedValue;
pub use signing::{PublicKey, Signature, Signer, SigningContext, Verifier, jwks, parse_jwks};
pub use tag::{Tag, TagPurpose, commitment};
pub use token::{MAX_TOKEN_LIFE, StaffClaims, StaffTokenIssuer, StaffTokenVerifier, TokenError};

/// The current format version, the first byte of every sealed value and wrapped key.
const FORMAT: u8 = 1;

/// The id of a key: 1 to 32 characters of `a-z`, `0-9` and `-`. It is public and never changes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// # Errors
    /// `SealedError::Malformed` if the text is not a key id.
    pub fn parse(text: &str) -> Result<Self, SealedError> {
        let is_valid = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(SealedError::Malformed)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a sealed value, a MAC or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    #[error("the bytes are malformed")]
    Malformed,
    #[error("the format version {0} is unknown")]
    UnknownFormat(u8),
    #[error("the key {0} is not in the keyring")]
    UnknownKey(KeyId),
    #[error("the keyring has no bus key for this service")]
    UnknownService,
    /// The cryptographic check failed: the bytes were changed, or belong to another context.
    #[error("the value is not authentic in this context")]
    Refused,
}

impl SealedError {
    /// A stable code for callers and alarms.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "sealed_malformed",
            Self::UnknownFormat(_) => "sealed_unknown_format",
            Self::UnknownKey(_) => "sealed_unknown_key",
            Self::UnknownService => "sealed_unknown_service",
            Self::Refused => "sealed_refused",
        }
    }
}

impl From<SealedError> for Problem {
    /// A value that cannot be opened was changed or moved, or its key was destroyed: an internal error.
    fn from(error: SealedError) -> Self {
        Self::new(
            Kind::Internal,
            error.code(),
            "A protected value could not be opened; the operators can find the reason in the log.",
        )
    }
}

/// Bytes from the system's random generator, for salts, nonces, tokens and keys.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness nothing is secure; on Linux the call cannot fail after boot.
    getrandom::fill(&mut bytes).expect("the system's random generator is available");
    bytes
}

/// Compares two secrets in constant time.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    left.ct_eq(right).into()
}

/// HMAC-SHA-256 (RFC 2104) of the fields.
fn hmac(key: &[u8; 32], fields: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(&frame(fields));
    mac.finalize().into_bytes().into()
}

/// Concatenates the parts, each preceded by its length (8 bytes, big-endian).
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
