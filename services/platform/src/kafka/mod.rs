//! Apache Kafka as the bus: connections, topics, and the form of a record.
//!
//! Kafka carries events and keeps nothing that matters: positions are the log's, cursors are the consumers', and what
//! Kafka loses is read from the log. Must not decide what an event means, which was passed, or which comes next.

mod context;
mod producer;
mod record;
mod settings;
mod subscription;
mod survey;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::ClientConfig;
use tonic::transport::Channel;

use crate::sealed::Keyring;

pub use settings::{BusConfig, BusConfigError, Kind, Tls};
pub use survey::{Seat, Survey, survey};
pub use topics::{TopicError, ensure_topics};

pub(crate) use producer::{Delivery, NotSent, Outcome, Producer};
pub(crate) use record::Refused;
pub(crate) use subscription::{Batch, Subscription};

/// How a role reaches Kafka, and the logs of those it hears.
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

    /// What every client of this role is set up with.
    pub(crate) fn client(&self) -> ClientConfig {
        self.settings.client()
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
