//! Lookup tags and commitments: they find a value, or commit to it, without revealing it.
//!
//! A tag is keyed, so URLs cannot be tested against it with the database alone. A commitment is salted,
//! because it is given to people without a key; its salt is stored sealed.

use std::fmt;

use sha2::{Digest, Sha256};

use super::keyring::Keyring;
use super::{KeyId, frame, hmac};

/// What a tag identifies. Tags of different purposes never match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagPurpose {
    /// A case by its canonical URL.
    Url,
    /// A hash of the material, of a hash list or a report.
    Hash,
    /// The reference of a report, or a partner's own id of it.
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

/// An HMAC-SHA-256, and the id of the index key it was computed with.
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
    /// The tags of a value: with the current key first, then with a previous one while keys are rotated.
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

/// A salted SHA-256 commitment to a URL. It can be checked with the URL and the salt.
pub fn commitment(salt: &[u8; 32], url: &str) -> [u8; 32] {
    Sha256::digest(frame(&[b"takedown/commitment/1", salt, url.as_bytes()])).into()
}
