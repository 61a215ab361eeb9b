//! What a broker can answer, and what a producer makes of it: nothing is passed that was not acknowledged, nothing is
//! lost, and only what Kafka refuses for good is skipped. By librdkafka's mock cluster, which errs on request.

mod support;

use std::time::Duration;

use platform::log::{self, NewEvent};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::kafka::{PRODUCER, World, config, raw};
use support::{event, number, until};
use uuid::Uuid;

type Cluster = MockCluster<'static, DefaultProducerContext>;

struct Scene {
    cluster: Cluster,
    world: World,
    bootstrap: String,
}

async fn scene(change: impl FnOnce(&mut platform::bus::BusConfig)) -> Scene {
    let cluster = MockCluster::new(3).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let mut config = config(bootstrap.clone());
    config.delivery_timeout_millis = 2_000;
    change(&mut config);
    cluster
        .create_topic(&config.topic(PRODUCER), 16, 3)
        .unwrap();
    Scene {
        world: World::on(config).await,
        cluster,
        bootstrap,
    }
}

impl Scene {
    /// The numbers that the topic holds of a case, as they first appear.
    async fn published(&self, case: Uuid) -> Vec<i64> {
        let (bootstrap, topic) = (self.bootstrap.clone(), self.world.topic());
        let found = tokio::task::spawn_blocking(move || raw::read_all(&bootstrap, &topic))
            .await
            .unwrap();
        let records = found.get(&i32::from(log::shard_of(case)));
        let numbers = records
            .into_iter()
            .flatten()
            .map(|m: &OwnedMessage| number(m.payload().unwrap()));
        numbers.fold(Vec::new(), |mut seen, n| {
            if !seen.contains(&n) {
                seen.push(n);
            }
            seen
        })
    }

    /// How many records the topic holds, duplicates included.
    async fn records(&self) -> usize {
        let (bootstrap, topic) = (self.bootstrap.clone(), self.world.topic());
        let found = tokio::task::spawn_blocking(move || raw::read_all(&bootstrap, &topic));
        found.await.unwrap().values().map(Vec::len).sum()
    }

    async fn until_published(&self) {
        until("everything is published", async || {
            self.world.unpublished().await == 0
        })
        .await;
    }
}

fn numbers(case: Uuid, range: std::ops::RangeInclusive<i64>) -> Vec<NewEvent> {
    range.map(|n| event(case, n)).collect()
}

#[tokio::test]
async fn errors_that_pass_are_tried_again_until_every_record_is_there_in_order() {
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
    ] {
        let s = scene(|_| {}).await;
        let case = Uuid::new_v4();
        s.cluster
            .request_errors(RDKafkaApiKey::Produce, &[error; 3]);
        s.world.append(&numbers(case, 1..=50)).await;
        s.until_published().await;
        assert!(s.published(case).await.into_iter().eq(1..=50), "{error:?}");
    }
}

#[tokio::test]
async fn a_leader_that_moves_and_brokers_that_go_lose_nothing() {
    let s = scene(|_| {}).await;
    let case = Uuid::new_v4();
    let (topic, partition) = (s.world.topic(), i32::from(log::shard_of(case)));
    for leader in [1, 2, 3, 1] {
        s.cluster
            .partition_leader(&topic, partition, Some(leader))
            .unwrap();
        let from = s
            .world
            .count(&s.world.origin, "select count(*) from event")
            .await;
        s.world.append(&numbers(case, from + 1..=from + 20)).await;
        s.until_published().await;
    }
    for broker in 1..=3 {
        s.cluster.broker_down(broker).unwrap();
    }
    s.world.append(&numbers(case, 81..=100)).await;
    until("stamped, and not published", async || {
        s.world.unpublished().await == 20
    })
    .await;
    for broker in 1..=3 {
        s.cluster.broker_up(broker).unwrap();
    }
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=100));
}

#[tokio::test]
async fn an_acknowledgement_that_comes_too_late_is_none_and_the_record_is_sent_again() {
    let s = scene(|config| config.delivery_timeout_millis = 1_000).await;
    let case = Uuid::new_v4();
    s.world.append(&numbers(case, 1..=5)).await;
    s.until_published().await;
    // Written at once, answered when nobody waits any more.
    for broker in 1..=3 {
        s.cluster
            .broker_round_trip_time(broker, Duration::from_secs(3))
            .unwrap();
    }
    let since = tokio::time::Instant::now();
    s.world.append(&numbers(case, 6..=10)).await;
    until("every delivery is given up", async || {
        since.elapsed() > Duration::from_secs(3)
    })
    .await;
    assert_eq!(
        s.world.unpublished().await,
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
        "they had been written, and were sent again"
    );
}

#[tokio::test]
async fn a_full_queue_holds_publishing_back_and_loses_nothing() {
    let s = scene(|config| config.queue_records = 10).await;
    for broker in 1..=3 {
        s.cluster.broker_down(broker).unwrap();
    }
    let case = Uuid::new_v4();
    s.world.append(&numbers(case, 1..=200)).await;
    until("stamped, and not published", async || {
        s.world.unpublished().await == 200
    })
    .await;
    for broker in 1..=3 {
        s.cluster.broker_up(broker).unwrap();
    }
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=200));
}

#[tokio::test]
async fn a_producer_that_is_beyond_help_is_replaced_and_loses_nothing() {
    let s = scene(|_| {}).await;
    let case = Uuid::new_v4();
    // Without a producer id an idempotent producer gives up for ever.
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    s.cluster
        .request_errors(RDKafkaApiKey::InitProducerId, &[refused]);
    s.world.append(&numbers(case, 1..=50)).await;
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=50));
}

#[tokio::test]
async fn only_what_is_refused_for_good_when_alone_is_skipped() {
    let s = scene(|_| {}).await;
    let case = Uuid::new_v4();
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // The whole batch is refused because of one in it; alone, each of them is taken.
    s.cluster
        .request_errors(RDKafkaApiKey::Produce, &[too_large]);
    s.world.append(&numbers(case, 1..=30)).await;
    s.until_published().await;
    assert!(s.published(case).await.into_iter().eq(1..=30));
    // Refused in company and again alone: it is at fault itself.
    s.cluster
        .request_errors(RDKafkaApiKey::Produce, &[too_large, too_large]);
    s.world.append(&numbers(case, 31..=40)).await;
    s.until_published().await;
    let expected = (1..=30).chain(32..=40);
    assert!(s.published(case).await.into_iter().eq(expected));
}
