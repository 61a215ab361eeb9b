//! The Kafka bus: consumes records, with the producer's log as fallback for whatever Kafka lost.
//!
//! A record is only a fast way to an event of the log. Events that are missing, expired or were never
//! delivered are read from the log, so consuming continues, more slowly, without Kafka. A Kafka offset is
//! stored only after the cursors of all events before it are committed, and a shard with a gap does not delay
//! the others.

use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, Feed};
use super::gap_recovery::GapTracker;
use super::local::{FIRST_RETRY_PAUSE, MAX_RETRY_PAUSE, REPLAY_POLL};
use super::remote::RemoteLog;
use super::{Error, EventHandler};
use crate::kafka::{KafkaBus, RecordBatch, Subscription};

/// Interval of the duties besides records: requested replays and gap recovery.
const TICK: Duration = Duration::from_millis(50);

impl<H: EventHandler> Consumer<H> {
    pub(super) async fn run_on_kafka(
        &self,
        bus: &KafkaBus,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let channel = bus
            .log(self.store.producer)
            .ok_or(Error::NoLogChannel(self.store.producer))?;
        let log = RemoteLog::new(channel, self.store.consumer, self.store.producer);
        let mut gaps = GapTracker::new(bus.settings.compare_interval());
        self.register_until(shutdown).await;
        while !shutdown.is_cancelled() {
            let subscription = Subscription::open(bus, self.store.consumer, self.store.producer)?;
            let outcome = self.consume(&subscription, &log, &mut gaps, shutdown).await;
            subscription.close().await;
            match outcome {
                Err(Error::Bus(error)) => {
                    // The library cannot recover such a client (for example one fenced by another with the
                    // same instance id).
                    tracing::error!(
                        alarm = "subscription_lost",
                        bus.consumer = self.store.consumer,
                        bus.producer = self.store.producer,
                        %error,
                        "the Kafka client failed permanently; joining the consumer group again"
                    );
                    let pause = tokio::time::sleep(Duration::from_secs(1));
                    shutdown.run_until_cancelled(pause).await;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn register_until(&self, shutdown: &CancellationToken) {
        let mut retry = FIRST_RETRY_PAUSE;
        while !shutdown.is_cancelled()
            && let Err(error) = self.register().await
        {
            self.log_retry(error, "could not create the cursors");
            let pause = tokio::time::sleep(retry);
            shutdown.run_until_cancelled(pause).await;
            retry = (retry * 2).min(MAX_RETRY_PAUSE);
        }
    }

    async fn consume(
        &self,
        subscription: &Subscription,
        log: &RemoteLog,
        gaps: &mut GapTracker,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut replay_polled_at = Instant::now();
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                records = subscription.next_batch(self.batch) => match records {
                    Ok(batch) => self.apply_records(subscription, &batch, gaps, shutdown).await?,
                    Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
                    // No broker, no such topic, or expelled from the group: either passes, or gap recovery
                    // reads the events from the log.
                    Err(error) => {
                        tracing::debug!(bus.producer = self.store.producer, %error, "no records available");
                        tick.tick().await;
                    }
                },
                _ = tick.tick() => {}
            }
            if replay_polled_at.elapsed() >= REPLAY_POLL {
                replay_polled_at = Instant::now();
                if let Err(error) = self.run_requested_replay().await {
                    self.log_retry(error, "could not run a requested replay");
                }
            }
            self.recover_gaps(log, gaps).await?;
        }
        Ok(())
    }

    /// Applies the batch, retrying as often as necessary, then stores its offsets.
    async fn apply_records(
        &self,
        subscription: &Subscription,
        batch: &RecordBatch,
        gaps: &mut GapTracker,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let mut retry = FIRST_RETRY_PAUSE;
        while !shutdown.is_cancelled() {
            match self.apply(Feed::Received(&batch.events)).await {
                Ok(result) => {
                    gaps.note_batch(&result, &batch.events);
                    subscription.store_offsets(batch);
                    if result.processed > 0 {
                        self.applied.notify();
                    }
                    break;
                }
                Err(error) if error.is_transient() => {
                    self.log_retry(error, "could not apply a batch");
                    let waiting = subscription.pause_for(retry);
                    shutdown.run_until_cancelled(waiting).await;
                    retry = (retry * 2).min(MAX_RETRY_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
