//! Fingerprints of responses, by which the same page is recognised again. They contain nothing that a page
//! could be found by.

use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::row::RowReader;

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

/// Reads a column of several digests.
pub(super) fn read_digests(
    r: &RowReader<'_>,
    column: &'static str,
) -> Result<Vec<FingerprintDigest>, Error> {
    let digests: Vec<String> = r.get(column)?;
    digests
        .iter()
        .map(|digest| digest.parse().map_err(|()| r.damaged(column)))
        .collect()
}

/// The fingerprint in the columns `online_*`, if there is one.
pub(super) fn online(r: &RowReader<'_>) -> Result<Option<Fingerprint>, Error> {
    let status: Option<i32> = r.get("online_status")?;
    let Some(status) = status else {
        return Ok(None);
    };
    Ok(Some(Fingerprint {
        status,
        length: r.get("online_length")?,
        etag: r.get("online_etag")?,
        content_type: r.get("online_type")?,
    }))
}
