//! Fingerprints of responses, by which the same page is recognised again. They contain nothing that a page
//! could be found by.

use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Status and headers of a response, with the ETag as a salted digest. Contains no content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ResponseMetadata {
    pub status: u16,
    pub length: Option<u64>,
    pub etag: Option<String>,
    pub content_type: Option<String>,
}

/// Shows the status only: the rest could identify the material.
impl std::fmt::Debug for ResponseMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResponseMetadata({})", self.status)
    }
}

/// The fingerprint of a response while the URL was online.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub status: i32,
    /// Content-Length, in bytes.
    pub length: Option<i64>,
    /// A digest of the ETag.
    pub etag: Option<String>,
    pub content_type: Option<String>,
}

/// Digest of a fingerprint: of status, length, ETag and type.
#[derive(Clone, PartialEq, Eq)]
pub struct FingerprintDigest(String);

impl FingerprintDigest {
    pub fn from_fingerprint(fingerprint: &Fingerprint) -> Self {
        let length = fingerprint.length.map(|length| length.to_string());
        let or_dash = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let line = format!(
            "{} {} {} {}",
            fingerprint.status,
            or_dash(&length),
            or_dash(&fingerprint.etag),
            or_dash(&fingerprint.content_type)
        );
        Self(hex::encode(&Sha256::digest(line)[..16]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FingerprintDigest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 32 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(())
        }
    }
}

impl Fingerprint {
    /// The fingerprint as it is stored. An ETag is often a hash of the material, so only a digest of it is kept.
    pub(super) fn from_response(page: &ResponseMetadata) -> Self {
        Self {
            status: i32::from(page.status),
            length: page.length.and_then(|length| i64::try_from(length).ok()),
            etag: page
                .etag
                .as_ref()
                .map(|etag| hex::encode(&Sha256::digest(etag.as_bytes())[..16])),
            content_type: page
                .content_type
                .as_ref()
                .map(|kind| kind.chars().filter(|c| !c.is_control()).take(100).collect()),
        }
    }
}
