//! Lookup tags and commitments: how a value is found, or fixed, without being shown.
//!
//! A tag is keyed, so whoever holds the database alone cannot try URLs against it. A commitment is salted for those
//! who hold no key at all; its salt is kept sealed.

use std::fmt;

use sha2::{Digest, Sha256};

use super::keyring::Keyring;
use super::mac::hmac;
use super::{KeyId, frame};

/// What a tag finds. Tags of different purposes never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagPurpose {
    /// A case by its canonical URL.
    Url,
    /// A hash of the material in a list or a report.
    Hash,
    /// A partner's own number for a report.
    Reference,
}

impl TagPurpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Url => b"takedown/tag/1/url",
            Self::Hash => b"takedown/tag/1/hash",
            Self::Reference => b"takedown/tag/1/reference",
        }
    }
}

/// A full-length HMAC-SHA-256 and the index key it was made with.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    pub key_id: KeyId,
    pub bytes: [u8; 32],
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({}, <redacted>)", self.key_id)
    }
}

impl Keyring {
    /// The tags of a value: under the current key first, then under a previous one while keys are rotated.
    pub fn tags(&self, purpose: TagPurpose, value: &[u8]) -> Vec<Tag> {
        self.index
            .all()
            .map(|key| Tag {
                key_id: key.id.clone(),
                bytes: hmac(&key.bytes, &[purpose.label(), value]),
            })
            .collect()
    }
}

/// A salted SHA-256 that fixes a URL for whoever is later shown URL and salt.
pub fn commitment(salt: &[u8; 32], url: &str) -> [u8; 32] {
    Sha256::digest(frame(&[b"takedown/commitment/1", salt, url.as_bytes()])).into()
}
