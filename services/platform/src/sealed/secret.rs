//! Secret keys, rings of them, and the encoding of the values that they encrypt.
//!
//! The encoding is: format (1 byte), length of the key id (1), key id, nonce (12), ciphertext with its tag
//! (16). Format and key id are part of the associated data, so neither can be replaced.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{FORMAT, KeyId, SealedError, frame, random};

const NONCE: usize = 12;
const AEAD_TAG: usize = 16;

/// A 256-bit key with its id. Zeroed on drop.
#[derive(Clone)]
pub(super) struct SecretKey {
    pub(super) id: KeyId,
    pub(super) bytes: [u8; 32],
}

impl SecretKey {
    /// Encrypts for a context; the result contains the format and the id of this key.
    pub(super) fn encrypt(&self, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE>();
        let aad = self.associated_data(context);
        let ciphertext = self
            .cipher()
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: plaintext,
                    aad: &aad,
                },
            )
            // AES-GCM refuses only plaintexts above 64 GiB.
            .expect("a plaintext in memory is below the limit of AES-GCM");
        let id = self.id.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(2 + id.len() + NONCE + ciphertext.len());
        bytes.push(FORMAT);
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&ciphertext);
        bytes
    }

    pub(super) fn decrypt(
        &self,
        context: &[u8],
        parts: &SealedParts<'_>,
    ) -> Result<UnsealedValue, SealedError> {
        let aad = self.associated_data(context);
        self.cipher()
            .decrypt(
                &Nonce::from(parts.nonce),
                Payload {
                    msg: parts.ciphertext,
                    aad: &aad,
                },
            )
            .map(UnsealedValue)
            .map_err(|_| SealedError::Refused)
    }

    fn associated_data(&self, context: &[u8]) -> Vec<u8> {
        frame(&[&[FORMAT], self.id.as_str().as_bytes(), context])
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.bytes))
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, <redacted>)", self.id)
    }
}

/// The keys of one purpose: the current one seals new values, the others open existing ones.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    current: usize,
    keys: Vec<SecretKey>,
}

impl Ring {
    /// `None` if the current key is not among the keys.
    pub(super) fn new(current: &KeyId, keys: Vec<SecretKey>) -> Option<Self> {
        let current = keys.iter().position(|key| key.id == *current)?;
        Some(Self { current, keys })
    }

    pub(super) fn current(&self) -> &SecretKey {
        &self.keys[self.current]
    }

    /// The current key first, then the others in the order of the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &SecretKey> {
        let others = self.keys.iter().enumerate();
        let others = others.filter(|(index, _)| *index != self.current);
        std::iter::once(self.current()).chain(others.map(|(_, key)| key))
    }

    pub(super) fn find(&self, id: &KeyId) -> Result<&SecretKey, SealedError> {
        self.keys
            .iter()
            .find(|key| key.id == *id)
            .ok_or_else(|| SealedError::UnknownKey(id.clone()))
    }
}

/// The parts of an encoded value.
pub(super) struct SealedParts<'a> {
    pub(super) key_id: KeyId,
    nonce: [u8; NONCE],
    ciphertext: &'a [u8],
}

impl<'a> SealedParts<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, SealedError> {
        let (&format, rest) = bytes.split_first().ok_or(SealedError::Malformed)?;
        if format != FORMAT {
            return Err(SealedError::UnknownFormat(format));
        }
        let (&length, rest) = rest.split_first().ok_or(SealedError::Malformed)?;
        let (id, rest) = rest
            .split_at_checked(length.into())
            .ok_or(SealedError::Malformed)?;
        let id = std::str::from_utf8(id).map_err(|_| SealedError::Malformed)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE>()
            .ok_or(SealedError::Malformed)?;
        if ciphertext.len() < AEAD_TAG {
            return Err(SealedError::Malformed);
        }
        Ok(Self {
            key_id: KeyId::parse(id)?,
            nonce: *nonce,
            ciphertext,
        })
    }
}

/// The plaintext of a sealed value. Zeroed on drop and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct UnsealedValue(Vec<u8>);

impl UnsealedValue {
    /// The plaintext as text.
    ///
    /// # Errors
    /// `SealedError::Malformed` if it is not UTF-8.
    pub fn text(&self) -> Result<&str, SealedError> {
        std::str::from_utf8(&self.0).map_err(|_| SealedError::Malformed)
    }

    /// The plaintext as exactly `N` bytes, for salts and keys.
    ///
    /// # Errors
    /// `SealedError::Malformed` if it has another length.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], SealedError> {
        self.0
            .as_slice()
            .try_into()
            .map_err(|_| SealedError::Malformed)
    }
}

impl std::ops::Deref for UnsealedValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for UnsealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsealedValue(<redacted>)")
    }
}
