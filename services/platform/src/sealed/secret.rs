//! The secret keys themselves, and the one byte form of whatever they encrypt.
//!
//! Format (1 byte), length of the key id (1), key id, nonce (12), ciphertext with its tag (16). Format and key id are
//! part of the associated data, so neither can be exchanged.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use zeroize::Zeroize as _;

use super::aead::Opened;
use super::{FORMAT, KeyId, SealedError, frame, random};

const NONCE: usize = 12;
const AEAD_TAG: usize = 16;

/// 256 secret bits with a name. Wiped when dropped.
#[derive(Clone)]
pub(super) struct SecretKey {
    pub(super) id: KeyId,
    pub(super) bytes: [u8; 32],
}

impl SecretKey {
    /// Encrypts for a place; the answer names the format and this key.
    pub(super) fn encrypt(&self, place: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE>();
        let aad = self.associated(place);
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

    pub(super) fn decrypt(&self, place: &[u8], parts: &Parts<'_>) -> Result<Opened, SealedError> {
        let aad = self.associated(place);
        self.cipher()
            .decrypt(
                &Nonce::from(parts.nonce),
                Payload {
                    msg: parts.ciphertext,
                    aad: &aad,
                },
            )
            .map(Opened::new)
            .map_err(|_| SealedError::Refused)
    }

    fn associated(&self, place: &[u8]) -> Vec<u8> {
        frame(&[&[FORMAT], self.id.as_str().as_bytes(), place])
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

/// The one byte form, taken apart.
pub(super) struct Parts<'a> {
    pub(super) key_id: KeyId,
    nonce: [u8; NONCE],
    ciphertext: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, SealedError> {
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
