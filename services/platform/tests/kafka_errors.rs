//! How the producer handles broker errors: `published_to` never passes a record that was not acknowledged, no
//! record is lost, and only permanently rejected records are skipped. Uses librdkafka's mock cluster, which
//! returns errors on request.

mod support;

use std::time::Duration;

use platform::log::{self, NewEvent};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::kafka::{KafkaFixture, PRODUCER, config, raw};
use support::{event, number, until};
use uuid::Uuid;

type Cluster = MockCluster<'static, DefaultProducerContext>;

struct MockKafkaFixture {
    cluster: Cluster,
    kafka: KafkaFixture,
    bootstrap: String,
}

async fn fixture(change: impl FnOnce(&mut platform::bus::BusConfig)) -> MockKafkaFixture {
    let cluster = MockCluster::new(3).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let mut config = config(bootstrap.clone());
    config.delivery_timeout_millis = 2_000;
    change(&mut config);
    cluster
        .create_topic(&config.topic(PRODUCER), 16, 3)
        .unwrap();
    MockKafkaFixture {
        kafka: KafkaFixture::with_topics_of(config).await,
        cluster,
        bootstrap,
    }
}

impl MockKafkaFixture {
    /// The numbers of a case in the topic, without duplicates.
    async fn published(&self, case: Uuid) -> Vec<i64> {
        let (bootstrap, topic) = (self.bootstrap.clone(), self.kafka.topic());
        let found = tokio::task::spawn_blocking(move || raw::read_all(&bootstrap, &topic))
            .await
            .unwrap();
        let records = found.get(&i32::from(log::shard_of(case)));
        let numbers = records
            .into_iter()
            .flatten()
            .map(|m: &OwnedMessage| number(m.payload().unwrap()));
        numbers.fold(Vec::new(), |mut unique, n| {
            if !unique.contains(&n) {
                unique.push(n);
            }
            unique
        })
    }

    /// Number of records in the topic, including duplicates.
    async fn records(&self) -> usize {
        let (bootstrap, topic) = (self.bootstrap.clone(), self.kafka.topic());
        let found = tokio::task::spawn_blocking(move || raw::read_all(&bootstrap, &topic));
        found.await.unwrap().values().map(Vec::len).sum()
    }

    async fn until_published(&self) {
        until("all events are published", async || {
            self.kafka.unpublished().await == 0
        })
        .await;
    }
}

fn numbers(case: Uuid, range: std::ops::RangeInclusive<i64>) -> Vec<NewEvent> {
    range.map(|n| event(case, n)).collect()
}

#[tokio::test]
async fn transient_errors_are_retried_until_every_record_is_published_in_order() {
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
    ] {
        let s = fixture(|_| {}).await;
        let case = Uuid::new_v4();
        s.cluster
            .request_errors(RDKafkaApiKey::Produce, &[error; 3]);
        s.kafka.append(&numbers(case, 1..=50)).await;
        s.until_published().await;
        assert!(s.published(case).await.into_iter().eq(1..=50), "{error:?}");
    }
}

#[tokio::test]
async fn leader_changes_and_broker_failures_lose_no_record() {
    let s = fixture(|_| {}).await;
    let case = Uuid::new_v4();
    let (topic, partition) = (s.kafka.topic(), i32::from(log::shard_of(case)));
    for leader in [1, 2, 3, 1] {
        s.cluster
            .partition_leader(&topic, partition, Some(leader))
            .unwrap();
        let from = s
            .kafka
            .count(&s.kafka.producer_pool, "select count(*) from event")
            .await;
        s.kafka.append(&numbers(case, from + 1..=from + 20)).await;
        s.until_published().await;
    }
    for broker in 1..=3 {
        s.cluster.broker_down(broker).unwrap();
    }
    s.kafka.append(&numbers(case, 81..=100)).await;
    until("positioned, but not published", async || {
        s.kafka.unpublished().await == 20
    })
    .await;
    for broker in 1..=3 {
        s.cluster.broker_up(broker).unwrap();
    }
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=100));
}

#[tokio::test]
async fn a_record_whose_acknowledgement_is_late_is_sent_again() {
    let s = fixture(|config| config.delivery_timeout_millis = 1_000).await;
    let case = Uuid::new_v4();
    s.kafka.append(&numbers(case, 1..=5)).await;
    s.until_published().await;
    // Written at once, acknowledged after the timeout.
    for broker in 1..=3 {
        s.cluster
            .broker_round_trip_time(broker, Duration::from_secs(3))
            .unwrap();
    }
    let since = tokio::time::Instant::now();
    s.kafka.append(&numbers(case, 6..=10)).await;
    until("every delivery has timed out", async || {
        since.elapsed() > Duration::from_secs(3)
    })
    .await;
    assert_eq!(
        s.kafka.unpublished().await,
        5,
        "nothing was acknowledged in time"
    );
    for broker in 1..=3 {
        s.cluster
            .broker_round_trip_time(broker, Duration::ZERO)
            .unwrap();
    }
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=10));
    assert!(
        s.records().await > 10,
        "the records had been written, and were sent again"
    );
}

#[tokio::test]
async fn a_full_queue_delays_publishing_and_loses_no_record() {
    let s = fixture(|config| config.queue_records = 10).await;
    for broker in 1..=3 {
        s.cluster.broker_down(broker).unwrap();
    }
    let case = Uuid::new_v4();
    s.kafka.append(&numbers(case, 1..=200)).await;
    until("positioned, but not published", async || {
        s.kafka.unpublished().await == 200
    })
    .await;
    for broker in 1..=3 {
        s.cluster.broker_up(broker).unwrap();
    }
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=200));
}

#[tokio::test]
async fn a_producer_with_a_fatal_error_is_replaced_and_loses_no_record() {
    let s = fixture(|_| {}).await;
    let case = Uuid::new_v4();
    // Without a producer id an idempotent producer fails permanently.
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    s.cluster
        .request_errors(RDKafkaApiKey::InitProducerId, &[fatal]);
    s.kafka.append(&numbers(case, 1..=50)).await;
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=50));
}

#[tokio::test]
async fn only_a_record_that_is_rejected_on_its_own_is_skipped() {
    let s = fixture(|_| {}).await;
    let case = Uuid::new_v4();
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // The whole batch is rejected because of one record; sent singly, each is accepted.
    s.cluster
        .request_errors(RDKafkaApiKey::Produce, &[too_large]);
    s.kafka.append(&numbers(case, 1..=30)).await;
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=30));
    // Rejected in a batch and again on its own: this record is at fault.
    s.cluster
        .request_errors(RDKafkaApiKey::Produce, &[too_large, too_large]);
    s.kafka.append(&numbers(case, 31..=40)).await;
    s.until_published().await;
    let expected = (1..=30).chain(32..=40);
    assert!(s.published(case).await.into_iter().eq(expected));
}
