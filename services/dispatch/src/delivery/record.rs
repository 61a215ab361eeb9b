//! Recording what came of attempts: in batches, each row guarded by the lease under which it was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use platform::batch::Command;
use platform::clock::Clock;
use platform::plant::{self, Plant};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::DeliverySettings;
use super::lanes::{Lane, Ticket};
use super::store::{self, Again};
use crate::Error;
use crate::breaker::Seen;
use crate::channels::{Failure, Outcome};
use crate::commands::{Delivered, Rules, Unreachable, record_delivered, record_unreachable};
use crate::store::{Attempt, put_attempts};

/// One attempt that is over.
pub(super) struct Finished {
    /// Until it is recorded it counts as under way.
    pub(super) ticket: Ticket,
    pub(super) sequence: i32,
    /// Of the message that went out, as its addressee sees it.
    pub(super) message_id: String,
    pub(super) attempt: i32,
    /// Before this attempt.
    pub(super) in_doubt: bool,
    pub(super) claimed_at: OffsetDateTime,
    /// Of a webhook.
    pub(super) endpoint_id: Option<Uuid>,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
    /// Of an answer over HTTP.
    pub(super) status: Option<StatusCode>,
}

impl Finished {
    /// As its addressee may look at it.
    fn to_look_at(&self) -> Attempt {
        let (provider_id, channel) = self.ticket.lane().clone();
        let notice_id = self.ticket.notice_id();
        Attempt {
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

/// Writes what came of a batch of attempts.
pub(super) struct Record<'a> {
    pub(super) clock: &'a Clock,
    pub(super) rules: &'a Rules,
    pub(super) settings: &'a DeliverySettings,
}

/// An endpoint that had failed and answers again: what waits for it is to be woken, after the commit.
pub(super) type Recovered = Option<(Lane, OffsetDateTime)>;

impl Command<Finished> for Record<'_> {
    type Reply = Recovered;
    type Error = Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        items: &[Finished],
    ) -> Result<Vec<Recovered>, Error> {
        let now = self.clock.now(conn).await?;
        let leases: Vec<(Uuid, Uuid)> = items.iter().map(|f| f.ticket.lease()).collect();
        let ids: Vec<Uuid> = leases.iter().map(|(notice, _)| *notice).collect();
        store::lock_cases(conn, &ids).await?;
        if plant::is(Plant::NoFence) {
            let failed = items.iter().filter(|f| f.outcome != Outcome::Delivered);
            let failed: Vec<Uuid> = failed.map(|f| f.ticket.lease().0).collect();
            store::overwrite(conn, &failed, now).await?;
        }
        let held = store::lock_held(conn, &leases).await?;
        let mut ends = Ends::default();
        for finished in items {
            // No row: the lease was lost, and whoever has it now records.
            if let Some(held) = held.get(&finished.ticket.lease().0) {
                self.end(&mut ends, finished, held, now);
            }
        }
        store::remove(conn, &ends.over).await?;
        store::release(conn, &ends.again).await?;
        record_delivered(conn, self.rules, now, &ends.delivered).await?;
        record_unreachable(conn, self.rules, now, &ends.unreachable).await?;
        let attempts: Vec<Attempt> = items.iter().map(Finished::to_look_at).collect();
        put_attempts(conn, &attempts).await?;
        let recovered = self.health(conn, items, now).await?;
        Ok(items
            .iter()
            .map(|finished| {
                let lane = finished.ticket.lane();
                recovered.contains(lane).then(|| (lane.clone(), now))
            })
            .collect())
    }
}

/// What a batch comes to.
#[derive(Default)]
struct Ends {
    /// Rows that have done their work.
    over: Vec<Uuid>,
    again: Vec<Again>,
    delivered: Vec<Delivered>,
    unreachable: Vec<Unreachable>,
}

impl Record<'_> {
    fn end(&self, ends: &mut Ends, finished: &Finished, held: &store::Held, now: OffsetDateTime) {
        let notice_id = finished.ticket.notice_id();
        let id = notice_id.uuid();
        let channel = finished.ticket.lane().1;
        if held.cancelled {
            // Answered, or at its end, while it was on its way: that it arrived all the same stamps its clock.
            if finished.outcome == Outcome::Delivered {
                ends.delivered.push(Delivered {
                    notice_id,
                    channel,
                    attempts: finished.attempt,
                });
            }
            ends.over.push(id);
            return;
        }
        // A newer message has taken the row, or it goes another way now: it is due, whatever came of the earlier one.
        let superseded = held.sequence != finished.sequence || held.channel != channel.as_str();
        let release = |failure: Option<&Failure>, due_at| Again {
            notice_id: id,
            due_at,
            in_doubt: finished.in_doubt || failure.is_none_or(|failure| failure.in_doubt),
            failure: failure.map(|failure| failure.code),
        };
        match &finished.outcome {
            Outcome::Delivered => {
                ends.delivered.push(Delivered {
                    notice_id,
                    channel,
                    attempts: finished.attempt,
                });
                if superseded {
                    ends.again.push(release(None, now));
                } else {
                    ends.over.push(id);
                }
            }
            Outcome::Unreachable(reason) if !superseded => {
                ends.over.push(id);
                ends.unreachable.push(Unreachable {
                    notice_id,
                    channel,
                    reason,
                    attempts: finished.attempt,
                    claimed_at: finished.claimed_at,
                });
            }
            Outcome::Failed(failure) if !superseded => {
                let attempts = finished.attempt.max(1).cast_unsigned();
                let wait = self.settings.retry.after(attempts, failure.retry_after);
                ends.again.push(release(Some(failure), now + wait));
            }
            Outcome::Unreachable(_) | Outcome::Failed(_) => ends.again.push(release(None, now)),
        }
    }

    /// Updates how the endpoints answer; returns those whose breaker was closed by this batch.
    async fn health(
        &self,
        conn: &mut PgConnection,
        items: &[Finished],
        now: OffsetDateTime,
    ) -> Result<Vec<Lane>, Error> {
        let mut seen: BTreeMap<&Lane, Seen> = BTreeMap::new();
        for finished in items {
            let lane = finished.ticket.lane();
            let seen = seen.entry(lane).or_default();
            match &finished.outcome {
                Outcome::Delivered => seen.good += 1,
                Outcome::Failed(failure) if failure.endpoint => {
                    seen.failed += 1;
                    let asked = failure
                        .retry_after
                        .map(|after| now + after.min(self.settings.retry.longest()));
                    seen.asked_until = seen.asked_until.max(asked);
                }
                Outcome::Failed(_) | Outcome::Unreachable(_) => {}
            }
        }
        let (lanes, seen): (Vec<Lane>, Vec<Seen>) = seen
            .into_iter()
            .map(|(lane, seen)| (lane.clone(), seen))
            .unzip();
        let before = store::lock_health(conn, &lanes).await?;
        let settings = self.settings;
        let (mut changed, mut recovered) = (Vec::new(), Vec::new());
        for ((lane, seen), before) in lanes.into_iter().zip(seen).zip(before) {
            let after = settings.breaker.after(before, &seen, &settings.retry, now);
            if settings.breaker.is_tripped(&before) && !settings.breaker.is_tripped(&after) {
                recovered.push(lane.clone());
            }
            if after != before {
                changed.push((lane, after));
            }
        }
        store::put_health(conn, &changed).await?;
        Ok(recovered)
    }
}
