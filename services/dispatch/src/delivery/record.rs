//! Records the outcomes of attempts in batches; each row is guarded by the lease under which it was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use fail::fail_point;
use http::StatusCode;
use platform::batch::Command;
use platform::clock::Clock;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::DeliverySettings;
use super::endpoint_slots::{EndpointKey, SlotGuard};
use super::store::{self, RetryRow};
use crate::Error;
use crate::cases::{
    CommandDeps, DeliveredMessage, FailedChannel, record_delivered, record_unreachable,
};
use crate::delivery::breaker::AttemptTally;
use crate::delivery::channels::{DeliveryOutcome, Failure};
use crate::delivery::store::{AttemptRecord, insert_attempts};

/// One attempt that has ended.
pub(super) struct FinishedAttempt {
    /// Occupied until the outcome is recorded.
    pub(super) slot: SlotGuard,
    pub(super) sequence: i32,
    /// Id of the message as its addressee sees it.
    pub(super) message_id: String,
    pub(super) attempt: i32,
    /// Whether an earlier attempt may have arrived.
    pub(super) in_doubt: bool,
    pub(super) claimed_at: OffsetDateTime,
    /// Webhooks only.
    pub(super) endpoint_id: Option<Uuid>,
    pub(super) took: Duration,
    pub(super) outcome: DeliveryOutcome,
    /// HTTP status of the response, where there was one.
    pub(super) status: Option<StatusCode>,
}

impl FinishedAttempt {
    /// The record that the addressee can list.
    fn to_record(&self) -> AttemptRecord {
        let (provider_id, channel) = self.slot.endpoint().clone();
        let notice_id = self.slot.notice_id();
        AttemptRecord {
            provider_id,
            message_id: self.message_id.clone(),
            notice_id: Some(notice_id),
            endpoint_id: self.endpoint_id,
            channel,
            attempt: self.attempt,
            outcome: self.outcome.code().unwrap_or("delivered").to_owned(),
            http_status: self.status.map(|status| status.as_u16().into()),
            started_at: self.claimed_at,
            took_millis: i32::try_from(self.took.as_millis()).unwrap_or(i32::MAX),
        }
    }
}

/// Records a batch of attempts.
pub(super) struct RecordAttempts<'a> {
    pub(super) clock: &'a Clock,
    pub(super) deps: &'a CommandDeps,
    pub(super) settings: &'a DeliverySettings,
}

/// An endpoint whose breaker was closed: the messages that wait for it become due at this time, after the
/// commit.
pub(super) type RecoveredEndpoint = Option<(EndpointKey, OffsetDateTime)>;

impl Command<FinishedAttempt> for RecordAttempts<'_> {
    type Reply = RecoveredEndpoint;
    type Error = Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        items: &[FinishedAttempt],
    ) -> Result<Vec<RecoveredEndpoint>, Error> {
        let now = self.clock.now(conn).await?;
        let leases: Vec<(Uuid, Uuid)> = items.iter().map(|f| f.slot.lease()).collect();
        let ids: Vec<Uuid> = leases.iter().map(|(notice, _)| *notice).collect();
        store::lock_cases(conn, &ids).await?;
        if ignores_leases() {
            let failed = items
                .iter()
                .filter(|f| f.outcome != DeliveryOutcome::Delivered);
            let failed: Vec<Uuid> = failed.map(|f| f.slot.lease().0).collect();
            store::overwrite(conn, &failed, now).await?;
        }
        let leased = store::lock_leased(conn, &leases).await?;
        let mut effects = AttemptEffects::default();
        for finished in items {
            // No row: the lease was lost, and its present holder records the outcome.
            if let Some(row) = leased.get(&finished.slot.lease().0) {
                self.apply(&mut effects, finished, row, now);
            }
        }
        store::remove(conn, &effects.completed).await?;
        store::release(conn, &effects.retries).await?;
        record_delivered(conn, self.deps, now, &effects.delivered).await?;
        record_unreachable(conn, self.deps, now, &effects.unreachable).await?;
        let attempts: Vec<AttemptRecord> = items.iter().map(FinishedAttempt::to_record).collect();
        insert_attempts(conn, &attempts).await?;
        let recovered = self.update_health(conn, items, now).await?;
        Ok(items
            .iter()
            .map(|finished| {
                let endpoint = finished.slot.endpoint();
                recovered
                    .contains(endpoint)
                    .then(|| (endpoint.clone(), now))
            })
            .collect())
    }
}

/// A bug that `./dev crash` must detect: a worker overwrites rows with the state that it has read, although it has lost
/// its lease.
fn ignores_leases() -> bool {
    fail_point!("no-fence", |_| true);
    false
}

/// The writes and commands that a batch of outcomes leads to.
#[derive(Default)]
struct AttemptEffects {
    /// Rows to remove.
    completed: Vec<Uuid>,
    retries: Vec<RetryRow>,
    delivered: Vec<DeliveredMessage>,
    unreachable: Vec<FailedChannel>,
}

impl RecordAttempts<'_> {
    fn apply(
        &self,
        effects: &mut AttemptEffects,
        finished: &FinishedAttempt,
        row: &store::LeasedRow,
        now: OffsetDateTime,
    ) {
        let notice_id = finished.slot.notice_id();
        let id = notice_id.uuid();
        let channel = finished.slot.endpoint().1;
        if row.cancelled {
            // Answered or closed while the attempt was in flight: the delivery is still recorded on the
            // notice.
            if finished.outcome == DeliveryOutcome::Delivered {
                effects.delivered.push(DeliveredMessage {
                    notice_id,
                    channel,
                    attempts: finished.attempt,
                });
            }
            effects.completed.push(id);
            return;
        }
        // The row now holds a newer message or another channel: that one is due, whatever the outcome of this
        // attempt.
        let superseded = row.sequence != finished.sequence || row.channel != channel.as_str();
        let release = |failure: Option<&Failure>, due_at| RetryRow {
            notice_id: id,
            due_at,
            in_doubt: finished.in_doubt || failure.is_none_or(|failure| failure.in_doubt),
            failure: failure.map(|failure| failure.code),
        };
        match &finished.outcome {
            DeliveryOutcome::Delivered => {
                effects.delivered.push(DeliveredMessage {
                    notice_id,
                    channel,
                    attempts: finished.attempt,
                });
                if superseded {
                    effects.retries.push(release(None, now));
                } else {
                    effects.completed.push(id);
                }
            }
            DeliveryOutcome::Unreachable(reason) if !superseded => {
                effects.completed.push(id);
                effects.unreachable.push(FailedChannel {
                    notice_id,
                    channel,
                    reason,
                    attempts: finished.attempt,
                    claimed_at: finished.claimed_at,
                });
            }
            DeliveryOutcome::Failed(failure) if !superseded => {
                let attempts = finished.attempt.max(1).cast_unsigned();
                let delay = self.settings.retry.delay(attempts, failure.retry_after);
                effects.retries.push(release(Some(failure), now + delay));
            }
            DeliveryOutcome::Unreachable(_) | DeliveryOutcome::Failed(_) => {
                effects.retries.push(release(None, now));
            }
        }
    }

    /// Updates the endpoints' health; returns the endpoints whose breaker was closed by this batch.
    async fn update_health(
        &self,
        conn: &mut PgConnection,
        items: &[FinishedAttempt],
        now: OffsetDateTime,
    ) -> Result<Vec<EndpointKey>, Error> {
        let mut tallies: BTreeMap<&EndpointKey, AttemptTally> = BTreeMap::new();
        for finished in items {
            let endpoint = finished.slot.endpoint();
            let tally = tallies.entry(endpoint).or_default();
            match &finished.outcome {
                DeliveryOutcome::Delivered => tally.succeeded += 1,
                DeliveryOutcome::Failed(failure) if failure.endpoint_fault => {
                    tally.failed += 1;
                    let until = failure
                        .retry_after
                        .map(|after| now + after.min(self.settings.retry.longest()));
                    tally.retry_after = tally.retry_after.max(until);
                }
                DeliveryOutcome::Failed(_) | DeliveryOutcome::Unreachable(_) => {}
            }
        }
        let (endpoints, tallies): (Vec<EndpointKey>, Vec<AttemptTally>) = tallies
            .into_iter()
            .map(|(endpoint, tally)| (endpoint.clone(), tally))
            .unzip();
        let before = store::lock_health(conn, &endpoints).await?;
        let settings = self.settings;
        let (mut changed, mut recovered) = (Vec::new(), Vec::new());
        for ((endpoint, tally), before) in endpoints.into_iter().zip(tallies).zip(before) {
            let after = settings.breaker.after(before, &tally, &settings.retry, now);
            if settings.breaker.is_tripped(&before) && !settings.breaker.is_tripped(&after) {
                recovered.push(endpoint.clone());
            }
            if after != before {
                changed.push((endpoint, after));
            }
        }
        store::store_health(conn, &changed).await?;
        Ok(recovered)
    }
}
