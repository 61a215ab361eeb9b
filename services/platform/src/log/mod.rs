//! The event log of a service: a transactional outbox with dense positions.
//!
//! An event is appended in the transaction that makes it true, under the lock of its case row; a relay gives it a
//! position after commit; consumers read by position. Reading by `seq`, by time or by transaction id loses events,
//! because a lower number may commit after a higher one was read: nothing here offers that.
//!
//! This module must not know what an event means: `kind` and `payload` are opaque.

mod append;
mod grants;
mod hint;
mod holding;
mod publish;
mod published;
mod read;
mod relay;
mod retention;
mod serve;
mod shards;
mod signs;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{self, MigrationSet};

pub use append::append;
pub use grants::GRANTS;
pub use hint::{Ear, Hint};
pub use read::{Head, LogReader, heads, read};
pub(crate) use read::{envelope, heads_sql, read_sql};
pub use relay::Relay;
pub use retention::{Kept, keep};
pub use serve::LogServer;
pub(crate) use serve::{CALLER, timestamp};
pub use signs::SIGNS;

/// Number of shards of every log. Fixed: a case's shard is written into its events.
pub const SHARDS: i16 = 16;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The tables of the log, of cursors and of parked events: run into a service's schema before its own migrations.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "platform",
    migrator: &MIGRATOR,
};

/// An event to append.
pub struct NewEvent {
    pub id: Uuid,
    pub case_id: Uuid,
    /// Its name in the protobuf schema, for example `CaseActionable`.
    pub kind: &'static str,
    pub caused_by: Option<Uuid>,
    pub occurred_at: OffsetDateTime,
    /// The trace in which it was caused ([`crate::trace::of`]).
    pub traceparent: Option<String>,
    pub payload: Vec<u8>,
}

/// An event as a consumer receives it, whatever bus carried it.
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

/// Prints which event it is; never its payload.
impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{} {} {}",
            self.producer, self.shard, self.position, self.kind, self.id
        )
    }
}

/// The shard of a case: the low four bits of the first byte of SHA-256 over the 16 bytes of its id.
/// Stable for ever, and easy to compute in any language.
pub fn shard_of(case_id: Uuid) -> i16 {
    i16::from(Sha256::digest(case_id.as_bytes())[0] & 0x0f)
}

/// The schema of a service, fit to be spliced into SQL (schemas cannot be bind parameters).
///
/// # Panics
/// When it is no plain identifier: names of services are constants of the program.
pub(crate) fn schema(service: &'static str) -> &'static str {
    assert!(
        db::identifier(service).is_ok(),
        "`{service}` is not the name of a schema"
    );
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First byte of `printf <hex> | xxd -r -p | sha256sum`, low nibble.
    #[test]
    fn a_case_keeps_its_shard() {
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
    fn cases_spread_over_all_shards() {
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
    #[should_panic(expected = "is not the name of a schema")]
    fn a_schema_is_an_identifier() {
        schema("intake; drop table event");
    }
}
