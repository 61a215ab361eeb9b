//! An event as consumers receive it, whatever carries it, and the shard that it is in.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

/// Number of shards of every log. Fixed: a case's shard is written into its events.
pub const SHARDS: i16 = 16;

/// An event as a consumer receives it, on either bus.
#[derive(Clone)]
pub struct Envelope {
    /// Name of the producing service.
    pub producer: String,
    pub shard: i16,
    /// Dense from 1 within (producer, shard).
    pub position: i64,
    pub id: Uuid,
    pub case_id: Uuid,
    pub kind: String,
    pub caused_by: Option<Uuid>,
    pub occurred_at: OffsetDateTime,
    /// W3C Trace Context of the command that caused it.
    pub traceparent: Option<String>,
    pub payload: Bytes,
}

/// Identifies the event; never shows its payload.
impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{} {} {}",
            self.producer, self.shard, self.position, self.kind, self.id
        )
    }
}

/// The shard of a case: the low four bits of the first byte of SHA-256 over the 16 bytes of its id. It never
/// changes, and is easy to compute in any language.
pub fn shard_of(case_id: Uuid) -> i16 {
    i16::from(Sha256::digest(case_id.as_bytes())[0] & 0x0f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First byte of `printf <hex> | xxd -r -p | sha256sum`, low nibble.
    #[test]
    fn the_shard_of_a_case_never_changes() {
        let vectors = [
            ("00000000-0000-0000-0000-000000000000", 7),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", 10),
            ("018f2b6e-5f3a-7c11-9a5e-0123456789ab", 10),
        ];
        for (case, shard) in vectors {
            assert_eq!(shard_of(case.parse().unwrap()), shard, "{case}");
        }
    }

    #[test]
    fn cases_are_spread_evenly_over_all_shards() {
        let mut counts = [0_u32; SHARDS as usize];
        for n in 0..16_000_u128 {
            counts[shard_of(Uuid::from_u128(n)) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| (800..1200).contains(&count)),
            "{counts:?}"
        );
    }
}
