//! Keyed hashes: HMAC-SHA-256 (RFC 2104) at full length, with a label for each use.
//!
//! A MAC made for one use never holds for another, also under one key, because the label is its first field.

use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::keyring::{Keyring, Ring};
use super::{FORMAT, KeyId, SealedError, equal, frame};

/// What a keyed hash is for; the keys of what goes out by mail are one ring, told apart by their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacPurpose {
    /// A link sent by mail: whoever shows it was sent it.
    Link,
    /// The body of an idempotent request, so that a repeated key with another body is found.
    Body,
    /// The address that a mail of ours comes back to when it cannot be delivered.
    MailReturn,
    /// The address that a mail of ours is answered to.
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

/// A row that decides who may come in: what its service vouches for, so that one written by SQL is nobody's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPurpose {
    /// A provider's key: whose it is and what it may do.
    ProviderKey,
    /// A partner's key: whose it is, by which channel and how much.
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

/// A record of the bus, as its producer vouches for it.
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

/// A producer's word for a record, and the key it was given under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusMac {
    pub key_id: KeyId,
    pub bytes: [u8; 32],
}

impl Keyring {
    /// The keyed hash of these fields, under the current key of the purpose.
    pub fn mac(&self, purpose: MacPurpose, fields: &[&[u8]]) -> [u8; 32] {
        mac_of(
            &self.mac_ring(purpose).current().bytes,
            purpose.label(),
            fields,
        )
    }

    /// Whether the keyed hash is true, under the current key or one that is being rotated out. Constant time.
    pub fn mac_holds(&self, purpose: MacPurpose, fields: &[&[u8]], mac: &[u8]) -> bool {
        self.mac_ring(purpose)
            .all()
            .any(|key| equal(&mac_of(&key.bytes, purpose.label(), fields), mac))
    }

    /// As [`Self::mac`], cut to its first 128 bits (RFC 2104 section 5) for where there is no room for more.
    pub fn short_mac(&self, purpose: MacPurpose, fields: &[&[u8]]) -> [u8; 16] {
        shortened(&self.mac(purpose, fields))
    }

    /// As [`Self::mac_holds`], of a [`Self::short_mac`].
    pub fn short_mac_holds(&self, purpose: MacPurpose, fields: &[&[u8]], mac: &[u8; 16]) -> bool {
        self.mac_ring(purpose).all().any(|key| {
            let whole = mac_of(&key.bytes, purpose.label(), fields);
            equal(&shortened(&whole), mac)
        })
    }

    /// Vouches for the fields of a row. The answer is kept in the row; it names its format and key: format (1 byte),
    /// length of the key id (1), key id, MAC (32).
    pub fn vouch(&self, purpose: RowPurpose, fields: &[&[u8]]) -> Vec<u8> {
        let key = self.provider.current();
        let id = key.id.as_str().as_bytes();
        let mut bytes = vec![FORMAT, id.len() as u8];
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&row_mac(&key.bytes, purpose, fields));
        bytes
    }

    /// # Errors
    /// `Refused` when the row's fields are not those that were vouched for, `Malformed`, `UnknownFormat` or `UnknownKey`.
    pub fn check_row(
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
        if equal(&row_mac(&key.bytes, purpose, fields), mac) {
            Ok(())
        } else {
            Err(SealedError::Refused)
        }
    }

    /// # Errors
    /// `UnknownService` when the keyring holds no bus key for the service.
    pub fn bus_mac(&self, record: &BusRecord<'_>) -> Result<BusMac, SealedError> {
        let key = self.bus_ring(record.service)?.current();
        Ok(BusMac {
            key_id: key.id.clone(),
            bytes: bus_mac_of(&key.bytes, record),
        })
    }

    /// # Errors
    /// `UnknownService`, `UnknownKey`, or `Refused` when the MAC does not hold for this record.
    pub fn check_bus(&self, record: &BusRecord<'_>, mac: &BusMac) -> Result<(), SealedError> {
        let key = self.bus_ring(record.service)?.find(&mac.key_id)?;
        if equal(&bus_mac_of(&key.bytes, record), &mac.bytes) {
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

pub(super) fn hmac(key: &[u8; 32], fields: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(&frame(fields));
    mac.finalize().into_bytes().into()
}

fn shortened(mac: &[u8; 32]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&mac[..16]);
    short
}

fn mac_of(key: &[u8; 32], label: &[u8], fields: &[&[u8]]) -> [u8; 32] {
    // The fields are framed by themselves, so that their number is bound too.
    hmac(key, &[label, &frame(fields)])
}

/// Under a key of its own, drawn from the one that seals endpoints: one key is for one algorithm.
fn row_mac(key: &[u8; 32], purpose: RowPurpose, fields: &[&[u8]]) -> [u8; 32] {
    let own = hmac(key, &[b"takedown/row-key/1"]);
    mac_of(&own, purpose.label(), fields)
}

fn bus_mac_of(key: &[u8; 32], record: &BusRecord<'_>) -> [u8; 32] {
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
            // No cause is the empty field, which no id is.
            record
                .caused_by
                .as_ref()
                .map_or(&[], |id| &id.as_bytes()[..]),
            &record.occurred_at.unix_timestamp_nanos().to_be_bytes(),
            record.payload,
        ],
    )
}
