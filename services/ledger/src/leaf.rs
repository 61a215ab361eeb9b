//! The commitment of a leaf to its event. A format never changes once leaves of it are recorded: another list
//! of fields needs another format.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::merkle::{self, Hash};

/// Format of new leaves.
pub const FORMAT: i16 = 2;

/// The fields that a leaf commits to.
#[derive(Debug, Clone, Copy)]
pub struct LeafFields<'a> {
    pub index: u64,
    pub event_id: Uuid,
    pub producer: &'a str,
    pub shard: i16,
    pub position: i64,
    pub kind: &'a str,
    pub case_id: Uuid,
    /// Microseconds, the precision that is stored.
    pub occurred_at: OffsetDateTime,
    pub caused_by: Option<Uuid>,
    pub salt: &'a [u8],
    pub payload: &'a [u8],
    /// Microseconds. `None` in a leaf of format 1, which does not commit to it.
    pub recorded_at: Option<OffsetDateTime>,
}

impl LeafFields<'_> {
    /// The hash of the leaf. Its data is SHA-256 over the fields, each preceded by its length (8 bytes,
    /// big-endian). Because of the salt, a leaf reveals nothing about its event without the event itself.
    /// Because of the index, a leaf that was moved can be detected.
    pub fn leaf_hash(&self) -> Hash {
        let micros = |at: OffsetDateTime| (at.unix_timestamp_nanos() / 1000).to_be_bytes();
        let recorded_at = self.recorded_at.map(micros);
        let format_name: &[u8] = match recorded_at {
            None => b"takedown-leaf-1",
            Some(_) => b"takedown-leaf-2",
        };
        let parts: [&[u8]; 12] = [
            format_name,
            &self.index.to_be_bytes(),
            self.event_id.as_bytes(),
            self.producer.as_bytes(),
            &self.shard.to_be_bytes(),
            &self.position.to_be_bytes(),
            self.kind.as_bytes(),
            self.case_id.as_bytes(),
            &micros(self.occurred_at),
            self.caused_by.as_ref().map_or(&[], |id| id.as_bytes()),
            self.salt,
            self.payload,
        ];
        let mut commitment = Sha256::new();
        for part in parts
            .into_iter()
            .chain(recorded_at.as_ref().map(<[u8; 16]>::as_slice))
        {
            commitment.update((part.len() as u64).to_be_bytes());
            commitment.update(part);
        }
        merkle::leaf_hash(&commitment.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn format_1() -> LeafFields<'static> {
        LeafFields {
            index: 3,
            event_id: Uuid::from_u128(1),
            producer: "intake",
            shard: 4,
            position: 5,
            kind: "ReportReceived",
            case_id: Uuid::from_u128(2),
            occurred_at: datetime!(2025-03-01 12:00:00.000001 UTC),
            caused_by: None,
            salt: &[9; 32],
            payload: b"payload",
            recorded_at: None,
        }
    }

    fn format_2() -> LeafFields<'static> {
        LeafFields {
            recorded_at: Some(datetime!(2025-03-01 12:00:01 UTC)),
            ..format_1()
        }
    }

    /// The hashes were computed by a separate Python program.
    #[test]
    fn the_formats_never_change() {
        assert_eq!(
            hex::encode(format_1().leaf_hash()),
            "ebddff0affed6c1fe1412856225fc5f3bdfb5dedfd9de2188310829918e32580"
        );
        assert_eq!(
            hex::encode(format_2().leaf_hash()),
            "d556207160050f3a632b78c8d817af2b8810387c594092ddf2f71ccddccf1afd"
        );
    }

    #[test]
    fn every_field_changes_the_hash() {
        let original = format_2();
        let changed = [
            LeafFields {
                index: 4,
                ..original
            },
            LeafFields {
                event_id: Uuid::from_u128(3),
                ..original
            },
            LeafFields {
                producer: "intak",
                ..original
            },
            LeafFields {
                shard: 5,
                ..original
            },
            LeafFields {
                position: 6,
                ..original
            },
            LeafFields {
                kind: "ReportWithdrawn",
                ..original
            },
            LeafFields {
                case_id: Uuid::from_u128(4),
                ..original
            },
            LeafFields {
                occurred_at: datetime!(2025-03-01 12:00:00.000002 UTC),
                ..original
            },
            LeafFields {
                caused_by: Some(Uuid::nil()),
                ..original
            },
            LeafFields {
                salt: &[8; 32],
                ..original
            },
            LeafFields {
                payload: b"payloae",
                ..original
            },
            LeafFields {
                recorded_at: Some(datetime!(2025-03-01 12:00:01.000001 UTC)),
                ..original
            },
            format_1(),
        ];
        for fields in changed {
            assert_ne!(fields.leaf_hash(), original.leaf_hash(), "{fields:?}");
        }
    }
}
