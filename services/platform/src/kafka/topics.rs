//! The topics: made once by whoever may, and found to be as they must be.
//! Must not change a topic that is there: another number of partitions would be another place for a case.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::util::Timeout;

use super::context::Told;
use super::settings::{BusConfig, BusConfigError};
use crate::log::SHARDS;

const PATIENCE: Duration = Duration::from_secs(30);

/// Brokers' own number of replicas (Kafka, `default.replication.factor`).
const AS_BROKERS_SAY: i32 = -1;

#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error(transparent)]
    Config(#[from] BusConfigError),
    #[error("Kafka at {at} did not answer; check bus.bootstrap and that a broker runs there")]
    Silent {
        at: String,
        #[source]
        source: KafkaError,
    },
    #[error(
        "the topic {0} could not be made: {1}; give this user the right to create it, or create it with 16 partitions"
    )]
    Refused(String, Code),
    #[error(
        "the topic {topic} has {found} partitions instead of 16; events keep their order only with one partition a shard, so delete the topic (nothing is lost: consumers read what is missing from the log) and run this again"
    )]
    Partitions { topic: String, found: usize },
    #[error("the topic {0} was made but did not appear in time; run this again")]
    Absent(String),
}

/// Makes the topics of the producing services where they are missing, and refuses those that do not fit.
pub async fn ensure_topics(config: &BusConfig, services: &[&str]) -> Result<(), TopicError> {
    config.check()?;
    let topics: Vec<String> = services
        .iter()
        .map(|service| config.topic(service))
        .collect();
    let silent = |source| TopicError::Silent {
        at: config.bootstrap.clone(),
        source,
    };
    let admin: AdminClient<Told> =
        AdminClient::from_config_and_context(&config.client(), Told).map_err(silent)?;
    let record_bytes = config.record_bytes.to_string();
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            NewTopic::new(
                topic,
                SHARDS.into(),
                TopicReplication::Fixed(AS_BROKERS_SAY),
            )
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", &record_bytes)
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(Timeout::After(PATIENCE)))
        .operation_timeout(Some(Timeout::After(PATIENCE)));
    for made in admin
        .create_topics(&wanted, &options)
        .await
        .map_err(silent)?
    {
        match made {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicError::Refused(topic, code)),
        }
    }
    for topic in topics {
        check(&admin, config, topic).await?;
    }
    Ok(())
}

async fn check(
    admin: &AdminClient<Told>,
    config: &BusConfig,
    topic: String,
) -> Result<(), TopicError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = partitions(admin, &topic).map_err(|source| TopicError::Silent {
            at: config.bootstrap.clone(),
            source,
        })?;
        if found == SHARDS as usize {
            return Ok(());
        }
        if found > 0 {
            return Err(TopicError::Partitions { topic, found });
        }
        // Brokers hear of a new topic one after the other.
        if tokio::time::Instant::now() >= deadline {
            return Err(TopicError::Absent(topic));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many partitions a broker knows of; 0 where it does not know the topic.
fn partitions(admin: &AdminClient<Told>, topic: &str) -> Result<usize, KafkaError> {
    let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
    Ok(metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic && found.error().is_none())
        .map_or(0, |found| found.partitions().len()))
}
