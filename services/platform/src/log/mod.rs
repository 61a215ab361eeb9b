//! The event log of a service: a transactional outbox with dense positions.
//!
//! An event is appended in the transaction that makes it true, under the lock of its case row. A relay
//! assigns its position after commit, and consumers read by position. Reading by `seq`, by time or by
//! transaction id would lose events, because a lower number may commit after a higher one was read; this
//! module offers no such read.
//!
//! The log does not know what an event means: `kind` and `payload` are opaque.

mod append;
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

use sqlx::migrate::Migrator;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{self, MigrationSet};

pub use crate::envelope::{Envelope, SHARDS, shard_of};
pub use append::append;
pub use grants::GRANTS;
pub use read::{Head, LogReader, heads, read};
pub(crate) use read::{envelope, heads_sql, read_sql};
pub use relay::Relay;
pub use retention::{RetentionReport, maintain_partitions};
pub use serve::LogServer;
pub(crate) use serve::{CALLER, timestamp};
pub use wakeup::{LogWakeups, Wakeup, WakeupListener};

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

    #[test]
    #[should_panic(expected = "is not a schema name")]
    fn only_a_simple_identifier_is_accepted_as_a_schema() {
        schema("intake; drop table event");
    }
}
