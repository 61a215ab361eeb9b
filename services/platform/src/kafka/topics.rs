//! Creates the topics that are missing and checks the existing ones. An existing topic is never changed: a
//! different number of partitions would move cases to other partitions.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::util::Timeout;

use super::client_log::ClientLogger;
use super::settings::{BusConfig, BusConfigError};
use crate::envelope::SHARDS;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The brokers' own default (Kafka, `default.replication.factor`).
const BROKER_DEFAULT: i32 = -1;

#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error(transparent)]
    Config(#[from] BusConfigError),
    #[error("Kafka at {at} did not answer; check bus.bootstrap and that a broker runs there")]
    Unavailable {
        at: String,
        #[source]
        source: KafkaError,
    },
    #[error(
        "the topic {0} could not be created: {1}; give this user the right to create it, or create it with 16 partitions"
    )]
    Refused(String, Code),
    #[error(
        "the topic {topic} has {found} partitions instead of 16; events keep their order only with one partition per shard, so delete the topic (nothing is lost: consumers read missing events from the log) and run this again"
    )]
    Partitions { topic: String, found: usize },
    #[error("the topic {0} was created but did not appear in time; run this again")]
    Absent(String),
}

/// Creates the missing topics of the producing services.
///
/// # Errors
/// When no broker answers, a topic may not be created, or an existing one has the wrong number of partitions.
pub async fn ensure_topics(config: &BusConfig, services: &[&str]) -> Result<(), TopicError> {
    config.check()?;
    let topics: Vec<String> = services
        .iter()
        .map(|service| config.topic(service))
        .collect();
    let unavailable = |source| TopicError::Unavailable {
        at: config.bootstrap.clone(),
        source,
    };
    let admin: AdminClient<ClientLogger> =
        AdminClient::from_config_and_context(&config.client_config(), ClientLogger)
            .map_err(unavailable)?;
    let record_bytes = config.record_bytes.to_string();
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            NewTopic::new(
                topic,
                SHARDS.into(),
                TopicReplication::Fixed(BROKER_DEFAULT),
            )
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", &record_bytes)
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(Timeout::After(REQUEST_TIMEOUT)))
        .operation_timeout(Some(Timeout::After(REQUEST_TIMEOUT)));
    for result in admin
        .create_topics(&wanted, &options)
        .await
        .map_err(unavailable)?
    {
        match result {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicError::Refused(topic, code)),
        }
    }
    for topic in topics {
        check_partitions(&admin, config, topic).await?;
    }
    Ok(())
}

async fn check_partitions(
    admin: &AdminClient<ClientLogger>,
    config: &BusConfig,
    topic: String,
) -> Result<(), TopicError> {
    let deadline = tokio::time::Instant::now() + REQUEST_TIMEOUT;
    loop {
        let found = partition_count(admin, &topic).map_err(|source| TopicError::Unavailable {
            at: config.bootstrap.clone(),
            source,
        })?;
        if found == SHARDS as usize {
            return Ok(());
        }
        if found > 0 {
            return Err(TopicError::Partitions { topic, found });
        }
        // Brokers learn of a new topic one after the other.
        if tokio::time::Instant::now() >= deadline {
            return Err(TopicError::Absent(topic));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Number of partitions that a broker knows of; 0 when it does not know the topic.
fn partition_count(admin: &AdminClient<ClientLogger>, topic: &str) -> Result<usize, KafkaError> {
    let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    Ok(metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic && found.error().is_none())
        .map_or(0, |found| found.partitions().len()))
}
