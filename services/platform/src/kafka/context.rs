//! What the client library has to tell of itself. Must not pass on its words at a level that people are woken by:
//! whoever called it sees what failed.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Told;

impl ClientContext for Told {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(kafka.facility = facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, "{reason}");
    }
}

impl ConsumerContext for Told {}
