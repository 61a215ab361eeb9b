//! Being fed by Kafka, with the producer's log behind it for whatever Kafka lost.
//!
//! A record is only a quick way to an event of the log. What is missing, what Kafka forgot and what it never brought is
//! read from the log; so the loop goes on, slower, without Kafka. Must not move a Kafka offset before the cursors of
//! what lies before it are committed, and must not hold up a healthy shard for a broken one.

use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, Feed};
use super::local::{ASKED, FIRST_RETRY, SLOWEST_RETRY};
use super::mend::Watch;
use super::remote::RemoteLog;
use super::{Error, Heed};
use crate::kafka::{Batch, KafkaBus, Subscription};

/// Duties besides records are looked at this often.
const TICK: Duration = Duration::from_millis(50);

impl<H: Heed> Consumer<H> {
    pub(super) async fn run_on_kafka(
        &self,
        bus: &KafkaBus,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let channel = bus
            .log(self.reader.producer)
            .ok_or(Error::NoLog(self.reader.producer))?;
        let log = RemoteLog::new(channel, self.reader.consumer, self.reader.producer);
        let mut watch = Watch::new(bus.settings.compare_every());
        self.register_until(shutdown).await;
        while !shutdown.is_cancelled() {
            let subscription = Subscription::open(bus, self.reader.consumer, self.reader.producer)?;
            let outcome = self.hear(&subscription, &log, &mut watch, shutdown).await;
            subscription.close().await;
            match outcome {
                Err(Error::Bus(error)) => {
                    // The library gives such a client no way back (fenced by its namesake, for example).
                    tracing::error!(
                        alarm = "subscription_lost",
                        bus.consumer = self.reader.consumer,
                        bus.producer = self.reader.producer,
                        %error,
                        "taking a new seat in the group"
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
        let mut retry = FIRST_RETRY;
        while !shutdown.is_cancelled()
            && let Err(error) = self.register().await
        {
            self.told_of(error, "could not make the cursors");
            let pause = tokio::time::sleep(retry);
            shutdown.run_until_cancelled(pause).await;
            retry = (retry * 2).min(SLOWEST_RETRY);
        }
    }

    async fn hear(
        &self,
        subscription: &Subscription,
        log: &RemoteLog,
        watch: &mut Watch,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = Instant::now();
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                came = subscription.next(self.batch) => match came {
                    Ok(batch) => self.take(subscription, &batch, watch, shutdown).await?,
                    Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
                    // No broker, no such topic, too long away from the group: it passes or is mended from the log.
                    Err(error) => {
                        tracing::debug!(bus.producer = self.reader.producer, %error, "no records now");
                        tick.tick().await;
                    }
                },
                _ = tick.tick() => {}
            }
            if look.elapsed() >= ASKED {
                look = Instant::now();
                if let Err(error) = self.replay_asked().await {
                    self.told_of(error, "could not replay what was asked for");
                }
            }
            self.attend(log, watch).await?;
        }
        Ok(())
    }

    /// Applies what came, however often that must be tried, then lets Kafka know.
    async fn take(
        &self,
        subscription: &Subscription,
        batch: &Batch,
        watch: &mut Watch,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let mut retry = FIRST_RETRY;
        while !shutdown.is_cancelled() {
            match self.apply(Feed::Came(&batch.events)).await {
                Ok(applied) => {
                    watch.came(&applied, &batch.events);
                    subscription.passed(batch);
                    if applied.passed > 0 {
                        self.applied.ring();
                    }
                    break;
                }
                Err(error) if error.is_passing() => {
                    self.told_of(error, "could not apply a batch");
                    let waiting = subscription.wait(retry);
                    shutdown.run_until_cancelled(waiting).await;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
