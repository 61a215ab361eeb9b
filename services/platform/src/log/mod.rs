//! The event log of a service: a transactional outbox with dense positions.
//!
//! An event is appended in the transaction that makes it true, under the lock of its case row. A relay
//! assigns its position after commit, and consumers read by position. Reading by `seq`, by time or by
//! transaction id would lose events, because a lower number may commit after a higher one was read; this
//! module offers no such read.
//!
//! The log does not know what an event means: `kind` and `payload` are opaque.

mod append;
mod gauges;
mod grants;
mod owned_shards;
mod positions;
mod publish;
mod read;
mod relay;
mod retention;
mod serve;
mod shards;
mod wakeup;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{self, MigrationSet};

pub use append::append;
pub use gauges::GAUGES;
pub use grants::GRANTS;
pub use read::{Head, LogReader, heads, read};
pub(crate) use read::{envelope, heads_sql, read_sql};
pub use relay::Relay;
pub use retention::{RetentionReport, maintain_partitions};
pub use serve::LogServer;
pub(crate) use serve::{CALLER, timestamp};
pub use wakeup::{LogWakeups, Wakeup, WakeupListener};

/// Number of shards of every log. Fixed: a case's shard is written into its events.
pub const SHARDS: i16 = 16;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Tables of the log, of cursors and of parked events: migrated into a service's schema before its own
/// migrations.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "platform",
    migrator: &MIGRATOR,
};

/// An event to append.
pub struct NewEvent {
    pub id: Uuid,
    pub case_id: Uuid,
    /// Name of the event in the protobuf schema, for example `CaseActionable`.
    pub kind: &'static str,
    pub caused_by: Option<Uuid>,
    pub occurred_at: OffsetDateTime,
    /// W3C traceparent of its cause ([`crate::trace::traceparent_of`]).
    pub traceparent: Option<String>,
    pub payload: Vec<u8>,
}

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

/// The schema of a service, safe to interpolate into SQL (a schema cannot be a bind parameter).
///
/// # Panics
/// When it is not a plain identifier: service names are constants of the program.
pub(crate) fn schema(service: &'static str) -> &'static str {
    assert!(
        db::identifier(service).is_ok(),
        "`{service}` is not a schema name"
    );
    service
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

    #[test]
    #[should_panic(expected = "is not a schema name")]
    fn only_a_simple_identifier_is_accepted_as_a_schema() {
        schema("intake; drop table event");
    }
}
