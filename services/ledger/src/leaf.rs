//! What a leaf commits to. Must not be changed for leaves that were written: another list of fields is another format.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::merkle::{self, Hash};

/// What new leaves commit to.
pub const FORMAT: i16 = 2;

/// An event at its place in the tree, as far as the leaf commits to it.
#[derive(Debug, Clone, Copy)]
pub struct Committed<'a> {
    pub index: u64,
    pub event_id: Uuid,
    pub producer: &'a str,
    pub shard: i16,
    pub position: i64,
    pub kind: &'a str,
    pub case_id: Uuid,
    /// To the microsecond, which is what is kept.
    pub occurred_at: OffsetDateTime,
    pub caused_by: Option<Uuid>,
    pub salt: &'a [u8],
    pub payload: &'a [u8],
    /// To the microsecond; none in a leaf of format 1, which does not commit to it.
    pub heard_at: Option<OffsetDateTime>,
}

impl Committed<'_> {
    /// The leaf's hash. Its data is SHA-256 over the fields, each behind its length (8 bytes, big endian): because of
    /// the salt a leaf tells nothing of its event to whoever does not have the body. Because of the index, a leaf
    /// that was put elsewhere is known by itself.
    pub fn leaf_hash(&self) -> Hash {
        let micros = |at: OffsetDateTime| (at.unix_timestamp_nanos() / 1000).to_be_bytes();
        let heard_at = self.heard_at.map(micros);
        let name: &[u8] = match heard_at {
            None => b"takedown-leaf-1",
            Some(_) => b"takedown-leaf-2",
        };
        let parts: [&[u8]; 12] = [
            name,
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
            .chain(heard_at.as_ref().map(<[u8; 16]>::as_slice))
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

    fn leaf() -> Committed<'static> {
        Committed {
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
            heard_at: None,
        }
    }

    fn heard() -> Committed<'static> {
        Committed {
            heard_at: Some(datetime!(2025-03-01 12:00:01 UTC)),
            ..leaf()
        }
    }

    /// Computed apart from this code, by a dozen lines of Python: a leaf that was written stays valid for ever.
    #[test]
    fn the_formats_never_change() {
        assert_eq!(
            hex::encode(leaf().leaf_hash()),
            "ebddff0affed6c1fe1412856225fc5f3bdfb5dedfd9de2188310829918e32580"
        );
        assert_eq!(
            hex::encode(heard().leaf_hash()),
            "d556207160050f3a632b78c8d817af2b8810387c594092ddf2f71ccddccf1afd"
        );
    }

    #[test]
    fn every_field_counts() {
        let one = heard();
        let others = [
            Committed { index: 4, ..one },
            Committed {
                event_id: Uuid::from_u128(3),
                ..one
            },
            Committed {
                producer: "intak",
                ..one
            },
            Committed { shard: 5, ..one },
            Committed { position: 6, ..one },
            Committed {
                kind: "ReportWithdrawn",
                ..one
            },
            Committed {
                case_id: Uuid::from_u128(4),
                ..one
            },
            Committed {
                occurred_at: datetime!(2025-03-01 12:00:00.000002 UTC),
                ..one
            },
            Committed {
                caused_by: Some(Uuid::nil()),
                ..one
            },
            Committed {
                salt: &[8; 32],
                ..one
            },
            Committed {
                payload: b"payloae",
                ..one
            },
            Committed {
                heard_at: Some(datetime!(2025-03-01 12:00:01.000001 UTC)),
                ..one
            },
            leaf(),
        ];
        for other in others {
            assert_ne!(other.leaf_hash(), one.leaf_hash(), "{other:?}");
        }
    }
}
