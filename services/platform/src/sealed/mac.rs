//! Message authentication codes: HMAC-SHA-256 (RFC 2104) with a label for each purpose.
//!
//! The label is the first field, so a MAC for one purpose is never valid for another, even with the same key.

use time::OffsetDateTime;
use uuid::Uuid;

use super::keyring::Keyring;
use super::secret::Ring;
use super::{FORMAT, KeyId, SealedError, constant_time_eq, frame, hmac};

/// The purpose of a MAC. The purposes related to mail share one ring and differ by their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacPurpose {
    /// The link in a notice mail, which authenticates its addressee.
    Link,
    /// The body of an idempotent request, to detect a repeated key with another body.
    Body,
    /// The return address of a notice mail, for delivery reports.
    MailReturn,
    /// The reply address of a notice mail.
    MailReply,
}

impl MacPurpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Link => b"takedown/link/1",
            Self::Body => b"takedown/body/1",
            Self::MailReturn => b"takedown/mail-return/1",
            Self::MailReply => b"takedown/mail-reply/1",
        }
    }
}

/// A row that grants access. Its MAC proves that its service wrote it: a row inserted by SQL grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPurpose {
    /// A provider's key: its owner and its scopes.
    ProviderKey,
    /// A partner's key: its owner, report channel and quota.
    PartnerKey,
}

impl RowPurpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::ProviderKey => b"takedown/row/1/provider-key",
            Self::PartnerKey => b"takedown/row/1/partner-key",
        }
    }
}

/// The fields of a bus record that its producer authenticates.
#[derive(Clone, Copy)]
pub struct BusRecord<'a> {
    pub service: &'a str,
    pub shard: i16,
    pub position: i64,
    pub event_id: Uuid,
    pub kind: &'a str,
    pub case_id: Uuid,
    pub caused_by: Option<Uuid>,
    pub occurred_at: OffsetDateTime,
    pub payload: &'a [u8],
}

/// The MAC of a bus record, and the key that it was computed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusMac {
    pub key_id: KeyId,
    pub bytes: [u8; 32],
}

impl Keyring {
    /// The MAC of these fields with the current key of the purpose.
    pub fn mac(&self, purpose: MacPurpose, fields: &[&[u8]]) -> [u8; 32] {
        compute_mac(
            &self.mac_ring(purpose).current().bytes,
            purpose.label(),
            fields,
        )
    }

    /// True if the MAC is valid for the current key or one that is being rotated out. Constant time.
    pub fn verify_mac(&self, purpose: MacPurpose, fields: &[&[u8]], mac: &[u8]) -> bool {
        self.mac_ring(purpose)
            .all()
            .any(|key| constant_time_eq(&compute_mac(&key.bytes, purpose.label(), fields), mac))
    }

    /// As [`Self::mac`], truncated to 128 bits (RFC 2104 section 5), for values of limited length.
    pub fn short_mac(&self, purpose: MacPurpose, fields: &[&[u8]]) -> [u8; 16] {
        truncate(&self.mac(purpose, fields))
    }

    /// As [`Self::verify_mac`], for a [`Self::short_mac`].
    pub fn verify_short_mac(&self, purpose: MacPurpose, fields: &[&[u8]], mac: &[u8; 16]) -> bool {
        self.mac_ring(purpose).all().any(|key| {
            let full = compute_mac(&key.bytes, purpose.label(), fields);
            constant_time_eq(&truncate(&full), mac)
        })
    }

    /// Authenticates the fields of a row. The result is stored in the row: format (1 byte), length of the key
    /// id (1), key id, MAC (32).
    pub fn make_row_mac(&self, purpose: RowPurpose, fields: &[&[u8]]) -> Vec<u8> {
        let key = self.provider.current();
        let id = key.id.as_str().as_bytes();
        let mut bytes = vec![FORMAT, id.len() as u8];
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&compute_row_mac(&key.bytes, purpose, fields));
        bytes
    }

    /// Verifies the fields of a row.
    ///
    /// # Errors
    /// `Refused` if the fields were changed, `Malformed`, `UnknownFormat` or `UnknownKey`.
    pub fn verify_row(
        &self,
        purpose: RowPurpose,
        fields: &[&[u8]],
        vouched: &[u8],
    ) -> Result<(), SealedError> {
        let (&[format, length], rest) = vouched
            .split_first_chunk::<2>()
            .ok_or(SealedError::Malformed)?;
        if format != FORMAT {
            return Err(SealedError::UnknownFormat(format));
        }
        let (id, mac) = rest
            .split_at_checked(length.into())
            .ok_or(SealedError::Malformed)?;
        let id = std::str::from_utf8(id).map_err(|_| SealedError::Malformed)?;
        let key = self.provider.find(&KeyId::parse(id)?)?;
        if constant_time_eq(&compute_row_mac(&key.bytes, purpose, fields), mac) {
            Ok(())
        } else {
            Err(SealedError::Refused)
        }
    }

    /// The MAC of a bus record with the current key of its producer.
    ///
    /// # Errors
    /// `UnknownService` if the keyring has no bus key for the service.
    pub fn bus_mac(&self, record: &BusRecord<'_>) -> Result<BusMac, SealedError> {
        let key = self.bus_ring(record.service)?.current();
        Ok(BusMac {
            key_id: key.id.clone(),
            bytes: compute_bus_mac(&key.bytes, record),
        })
    }

    /// Verifies the MAC of a bus record.
    ///
    /// # Errors
    /// `UnknownService`, `UnknownKey`, or `Refused` if the MAC is not valid for this record.
    pub fn verify_bus_mac(&self, record: &BusRecord<'_>, mac: &BusMac) -> Result<(), SealedError> {
        let key = self.bus_ring(record.service)?.find(&mac.key_id)?;
        if constant_time_eq(&compute_bus_mac(&key.bytes, record), &mac.bytes) {
            Ok(())
        } else {
            Err(SealedError::Refused)
        }
    }

    fn mac_ring(&self, purpose: MacPurpose) -> &Ring {
        match purpose {
            MacPurpose::Link | MacPurpose::MailReturn | MacPurpose::MailReply => &self.link,
            MacPurpose::Body => &self.body,
        }
    }
}

fn truncate(mac: &[u8; 32]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&mac[..16]);
    short
}

fn compute_mac(key: &[u8; 32], label: &[u8], fields: &[&[u8]]) -> [u8; 32] {
    // The fields are framed separately, so that their number is authenticated too.
    hmac(key, &[label, &frame(fields)])
}

/// Uses a key derived from the one that seals endpoints, because a key is used with one algorithm only.
fn compute_row_mac(key: &[u8; 32], purpose: RowPurpose, fields: &[&[u8]]) -> [u8; 32] {
    let row_key = hmac(key, &[b"takedown/row-key/1"]);
    compute_mac(&row_key, purpose.label(), fields)
}

fn compute_bus_mac(key: &[u8; 32], record: &BusRecord<'_>) -> [u8; 32] {
    hmac(
        key,
        &[
            b"takedown/bus/1",
            record.service.as_bytes(),
            &record.shard.to_be_bytes(),
            &record.position.to_be_bytes(),
            record.event_id.as_bytes(),
            record.kind.as_bytes(),
            record.case_id.as_bytes(),
            // No cause is an empty field, which differs from every id.
            record
                .caused_by
                .as_ref()
                .map_or(&[], |id| &id.as_bytes()[..]),
            &record.occurred_at.unix_timestamp_nanos().to_be_bytes(),
            record.payload,
        ],
    )
}
