//! Sealed values: AES-256-GCM with a data key for each case, which is wrapped by the key of its retention
//! epoch.
//!
//! The associated data binds a value to its purpose, case, row and key, so that a value that was moved does
//! not open. Nonces are random; one key seals far fewer than 2^32 values (NIST SP 800-38D section 8.2.2).

use std::fmt;

use uuid::Uuid;

use super::secret::{SealedParts, SecretKey, UnsealedValue};
use super::{KeyId, SealedError, frame, hmac, random};

/// The purpose of a sealed value. A value opens only for the purpose that it was sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The canonical URL of a case, as an encoded `CaseContent` or as text.
    Url,
    /// The URL as it was reported.
    ReportedUrl,
    /// The salt of a commitment to a URL.
    Salt,
    /// A hash of the material.
    Hash,
    /// A partner's own id of a report.
    Reference,
    /// Free text written by a person.
    Note,
    /// The URL of a provider's webhook endpoint.
    Endpoint,
    /// The mailbox of a provider.
    Contact,
    /// A secret shared with a provider.
    Secret,
    /// A provider's answer.
    Answer,
    /// A document, such as a signed message to be sent.
    Document,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Url => b"url",
            Self::ReportedUrl => b"reported_url",
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

/// A sealed value. Its bytes contain the format and the key id, and are stored as they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The bytes for the database.
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

/// A case's data key in the form that is stored and sent: encrypted with an epoch's key and bound to the
/// case.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl WrappedKey {
    /// # Errors
    /// `Malformed` or `UnknownFormat` if the bytes are not a wrapped key. [`super::Keyring::unwrap`] checks
    /// authenticity.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, SealedError> {
        let bytes = bytes.into();
        let key_id = SealedParts::parse(&bytes)?.key_id;
        Ok(Self { key_id, bytes })
    }

    /// The epoch whose key wraps it.
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

/// The random 256-bit key of one case. Its id is derived from it.
#[derive(Clone)]
pub struct DataKey(SecretKey);

impl DataKey {
    pub(super) fn generate() -> Self {
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

    /// The salt of the case's commitments. Without the key, URLs cannot be tested against a commitment.
    pub fn salt(&self) -> [u8; 32] {
        hmac(&self.0.bytes, &[b"takedown/commitment-salt/1"])
    }

    /// Seals a value of the case. `row_id` is the id of the row that stores it (the report, or the case
    /// itself).
    pub fn seal(&self, purpose: Purpose, case_id: Uuid, row_id: Uuid, plaintext: &[u8]) -> Sealed {
        let context = context(b"case", purpose, case_id.as_bytes(), row_id);
        Sealed(self.0.encrypt(&context, plaintext))
    }

    /// Opens a value.
    ///
    /// # Errors
    /// `Refused` if the value was sealed for another purpose, case, row or key, or was changed.
    pub fn open(
        &self,
        purpose: Purpose,
        case_id: Uuid,
        row_id: Uuid,
        sealed: impl AsRef<[u8]>,
    ) -> Result<UnsealedValue, SealedError> {
        let parts = SealedParts::parse(sealed.as_ref())?;
        if parts.key_id != self.0.id {
            return Err(SealedError::Refused);
        }
        let context = context(b"case", purpose, case_id.as_bytes(), row_id);
        self.0.decrypt(&context, &parts)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The context of a value, for the associated data; the key adds the format and its id.
pub(super) fn context(kind: &[u8], purpose: Purpose, owner: &[u8], row_id: Uuid) -> Vec<u8> {
    frame(&[kind, purpose.label(), owner, row_id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The purposes that the comments of the published files name, as in: purpose `note`.
    fn published_purposes() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        let info = set.file.iter().filter_map(|f| f.source_code_info.as_ref());
        info.flat_map(|info| &info.location)
            .map(|location| {
                let parts = location.leading_comments().split_whitespace();
                parts.collect::<Vec<_>>().join(" ")
            })
            .flat_map(|comment| {
                let named = comment.split("purpose `").skip(1);
                let labels = named.filter_map(|rest| rest.split('`').next());
                labels.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }

    /// A service that opens a value by its published description needs the exact label, which is part of the
    /// associated data.
    #[test]
    fn the_published_files_name_the_purposes_by_their_labels() {
        let labels = [Purpose::Url, Purpose::Note]
            .map(|purpose| String::from_utf8(purpose.label().to_vec()).unwrap());
        assert_eq!(published_purposes(), BTreeSet::from(labels));
    }
}
