//! Protection of values at rest and on the wire: sealing, lookup tags, keyed hashes, signatures and staff tokens.
//!
//! Every sealed value, tag and signature names its format and its key, so that keys can be rotated and formats can
//! change without guessing. Bytes that travel into a MAC, a digest or associated data are always length-prefixed
//! (`frame`), so that no two different lists of fields give the same bytes.
//!
//! This module must not know what a value means, must not do I/O beyond the keyring's own file, and must not show
//! a key or a plaintext in `Debug`, `Display` or an error.

mod aead;
mod keyfile;
mod keyring;
mod mac;
mod secret;
mod signing;
mod tag;
mod token;

use std::fmt;

use crate::error::{Kind, Problem};

pub use aead::{DataKey, Opened, Purpose, Sealed, WrappedKey};
pub use keyfile::KeyringError;
pub use keyring::Keyring;
pub use mac::{BusMac, BusRecord, MacPurpose, RowPurpose};
pub use signing::{PublicKey, Signature, Signer, SigningContext, Verifier, jwks, parse_jwks};
pub use tag::{Tag, TagPurpose, commitment};
pub use token::{MAX_TOKEN_LIFE, StaffClaims, StaffTokenIssuer, StaffTokenVerifier, TokenError};

/// The format version that is written today, as the first byte of every sealed value and wrapped key.
const FORMAT: u8 = 1;

/// The name of a key: 1 to 32 characters of `a-z`, `0-9` and `-`. It is public and stable for the life of the key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// # Errors
    /// `SealedError::Malformed` when the text is no key id.
    pub fn parse(text: &str) -> Result<Self, SealedError> {
        let fits = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
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

/// Why sealed bytes, a tag or a signature were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    #[error("the bytes have none of the known forms")]
    Malformed,
    #[error("the format version {0} is unknown")]
    UnknownFormat(u8),
    #[error("the key {0} is not in the keyring")]
    UnknownKey(KeyId),
    #[error("the keyring has no bus key for this service")]
    UnknownService,
    /// The cryptographic check failed: altered bytes, or true bytes in another place than they were made for.
    #[error("the value is not authentic here")]
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
    /// Whatever does not open was written or moved by somebody else, or its key is gone: never the caller's fault.
    fn from(error: SealedError) -> Self {
        Self::new(
            Kind::Internal,
            error.code(),
            "A protected value could not be opened; the operators can see why.",
        )
    }
}

/// Fresh bytes from the system's generator: for salts, nonces, tokens and keys.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // A process without randomness can do nothing safely, and on Linux the call cannot fail after boot.
    getrandom::fill(&mut bytes).expect("the system's random generator answers");
    bytes
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    left.ct_eq(right).into()
}

/// The parts one after the other, each behind its length (8 bytes, big endian).
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
