//! Sealed values: AES-256-GCM under a data key for each case, which is itself wrapped by the key of its epoch.
//!
//! The associated data binds a value to its purpose, case, row and key (NIST SP 800-38D, section 8.2.2: nonces are
//! random, and one key seals far fewer than 2^32 values). What was moved elsewhere does not open.

use std::fmt;

use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mac::hmac;
use super::secret::{Parts, SecretKey};
use super::{KeyId, SealedError, frame, random};

/// What a sealed value is. A value opens only as what it was sealed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The canonical URL.
    Url,
    /// The URL as it was written by whoever reported it.
    Spelling,
    /// The salt of a commitment to a URL.
    Salt,
    /// A hash of the material.
    Hash,
    /// A number or name by which a partner knows its own report.
    Reference,
    /// Free words of a person.
    Note,
    /// Where an outside party receives calls.
    Endpoint,
    /// Whom to reach at an outside party.
    Contact,
    /// A credential shared with an outside party.
    Secret,
    /// What an outside party answered.
    Answer,
    /// A whole document, such as a signed message kept to be sent.
    Document,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Url => b"url",
            Self::Spelling => b"spelling",
            Self::Salt => b"salt",
            Self::Hash => b"hash",
            Self::Reference => b"reference",
            Self::Note => b"note",
            Self::Endpoint => b"endpoint",
            Self::Contact => b"contact",
            Self::Secret => b"secret",
            Self::Answer => b"answer",
            Self::Document => b"document",
        }
    }
}

/// A value that only its key, in its place, opens. The bytes describe themselves and go into the database as they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Sealed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed(<{} bytes>)", self.0.len())
    }
}

/// A plaintext that came out of a sealed value: wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Opened(Vec<u8>);

impl Opened {
    pub(super) fn new(plaintext: Vec<u8>) -> Self {
        Self(plaintext)
    }

    /// The plaintext as text.
    ///
    /// # Errors
    /// `SealedError::Malformed` when it is not UTF-8.
    pub fn text(&self) -> Result<&str, SealedError> {
        std::str::from_utf8(&self.0).map_err(|_| SealedError::Malformed)
    }

    /// The plaintext as exactly `N` bytes, for salts and keys.
    ///
    /// # Errors
    /// `SealedError::Malformed` when it has another length.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], SealedError> {
        self.0
            .as_slice()
            .try_into()
            .map_err(|_| SealedError::Malformed)
    }
}

impl std::ops::Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(<redacted>)")
    }
}

/// A case's data key as it is stored and sent: encrypted by an epoch's key and bound to the case.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl WrappedKey {
    /// # Errors
    /// `Malformed` or `UnknownFormat` when these bytes are no wrapped key. Authenticity is checked by unwrapping.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, SealedError> {
        let bytes = bytes.into();
        let key_id = Parts::of(&bytes)?.key_id;
        Ok(Self { key_id, bytes })
    }

    /// The epoch under which the key is wrapped.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({})", self.key_id)
    }
}

/// The random 256-bit key of one case. Its id is derived from it, so it stays the same when it is wrapped anew.
#[derive(Clone)]
pub struct DataKey(SecretKey);

impl DataKey {
    pub(super) fn fresh() -> Self {
        Self::from_bytes(random())
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        let digest = hmac(&bytes, &[b"takedown/data-key-id/1"]);
        let id = KeyId(format!("d{}", hex::encode(&digest[..8])));
        Self(SecretKey { id, bytes })
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0.bytes
    }

    pub fn id(&self) -> &KeyId {
        &self.0.id
    }

    /// The salt of the case's commitments: whoever holds the key can open them, nobody else can try URLs against them.
    pub fn salt(&self) -> [u8; 32] {
        hmac(&self.0.bytes, &[b"takedown/commitment-salt/1"])
    }

    /// Seals a value of the case. `row_id` is the row that holds it (the report, or the case itself).
    pub fn seal(&self, purpose: Purpose, case_id: Uuid, row_id: Uuid, plaintext: &[u8]) -> Sealed {
        let place = place(b"case", purpose, case_id.as_bytes(), row_id);
        Sealed(self.0.encrypt(&place, plaintext))
    }

    /// Opens a value in the place where it was found.
    ///
    /// # Errors
    /// `Refused` when the value was made for another purpose, case, row or key, or was altered.
    pub fn open(
        &self,
        purpose: Purpose,
        case_id: Uuid,
        row_id: Uuid,
        sealed: impl AsRef<[u8]>,
    ) -> Result<Opened, SealedError> {
        let parts = Parts::of(sealed.as_ref())?;
        if parts.key_id != self.0.id {
            return Err(SealedError::Refused);
        }
        let place = place(b"case", purpose, case_id.as_bytes(), row_id);
        self.0.decrypt(&place, &parts)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The place of a value as bytes; the format and key id are added by the key itself.
pub(super) fn place(kind: &[u8], purpose: Purpose, owner: &[u8], row_id: Uuid) -> Vec<u8> {
    frame(&[kind, purpose.label(), owner, row_id.as_bytes()])
}
