//! Apache Kafka as the bus: connections, topics, and the record format.
//!
//! Kafka is only a transport: positions are the log's, cursors are the consumers', and what Kafka loses is
//! read from the log. This module does not decide what an event means or which event comes next.

mod client_log;
mod producer;
mod record;
mod settings;
mod subscription;
mod topic_state;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::ClientConfig;
use tonic::transport::Channel;

use crate::sealed::Keyring;

pub use settings::{BusConfig, BusConfigError, BusKind, BusTls};
pub use topic_state::{PartitionState, TopicState, inspect_topic};
pub use topics::{TopicError, ensure_topics};

pub(crate) use producer::{Delivery, Producer, SendError, SendOutcome};
pub(crate) use record::RecordError;
pub(crate) use subscription::{RecordBatch, Subscription};

/// What carries events between services.
#[derive(Clone, Debug, Default)]
pub enum Bus {
    /// Consumers read the producers' logs in the database.
    #[default]
    Local,
    Kafka(KafkaBus),
}

impl Bus {
    /// The bus as configured. Connects to nothing.
    ///
    /// # Errors
    /// When the configuration is invalid or unsafe; see [`BusConfig::check`].
    pub fn open(config: &BusConfig, keyring: &Arc<Keyring>) -> Result<Self, BusConfigError> {
        match config.kind {
            BusKind::Local => Ok(Self::Local),
            BusKind::Kafka => {
                config.check()?;
                Ok(Self::Kafka(KafkaBus::new(
                    config.clone(),
                    Arc::clone(keyring),
                )))
            }
        }
    }

    /// The channel on which a producer's log is read when Kafka did not deliver an event. Unused on the Local
    /// bus.
    #[must_use]
    pub fn with_log(mut self, producer: &str, channel: Channel) -> Self {
        if let Self::Kafka(bus) = &mut self {
            bus.add_log(producer, channel);
        }
        self
    }

    pub fn kafka(&self) -> Option<&KafkaBus> {
        match self {
            Self::Local => None,
            Self::Kafka(bus) => Some(bus),
        }
    }
}

/// How a role reaches Kafka and the logs of the producers that it consumes.
#[derive(Clone)]
pub struct KafkaBus {
    pub(crate) settings: Arc<BusConfig>,
    keyring: Arc<Keyring>,
    logs: BTreeMap<String, Channel>,
}

impl KafkaBus {
    pub(crate) fn new(settings: BusConfig, keyring: Arc<Keyring>) -> Self {
        Self {
            settings: Arc::new(settings),
            keyring,
            logs: BTreeMap::new(),
        }
    }

    pub(crate) fn add_log(&mut self, producer: &str, channel: Channel) {
        self.logs.insert(producer.to_owned(), channel);
    }

    pub(crate) fn log(&self, producer: &str) -> Option<Channel> {
        self.logs.get(producer).cloned()
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The topic of a producing service.
    pub fn topic(&self, service: &str) -> String {
        self.settings.topic(service)
    }

    /// The settings shared by every client of this role.
    pub(crate) fn client_config(&self) -> ClientConfig {
        self.settings.client_config()
    }
}

impl std::fmt::Debug for KafkaBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBus")
            .field("settings", &self.settings)
            .field("logs", &self.logs.keys())
            .finish_non_exhaustive()
    }
}
