//! The `[bus]` table of a role's configuration. It is parsed and validated here only.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

/// The table `[bus]` of a role's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    pub kind: BusKind,
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Required when a broker is not on loopback.
    pub tls: Option<BusTls>,
    /// Client name shown in the brokers' logs.
    pub client_id: String,
    /// Stable instance name of this process within its role (static membership): after a restart it resumes
    /// its partitions at once. Two processes of a role must not share a name. Without it, a process joins the
    /// group as a new member and leaves it at shutdown.
    pub instance: Option<String>,
    /// Topics are `PREFIX.SERVICE.v1`, consumer groups `PREFIX.CONSUMER.PRODUCER`.
    pub topic_prefix: String,
    /// Milliseconds after which an unacknowledged record counts as undelivered and is sent again.
    pub delivery_timeout_millis: u32,
    /// Maximum record size in bytes, as configured on the topics. A larger event is skipped with an alarm and
    /// read from the log.
    pub record_bytes: u32,
    /// Maximum number of records queued in memory; publishing waits when the queue is full.
    pub queue_records: u32,
    /// Interval in milliseconds at which cursors are compared with the heads of the logs. A loss is detected
    /// within 1.25 times this.
    pub compare_millis: u32,
    /// Milliseconds without a heartbeat after which the group reassigns a process's partitions.
    pub session_timeout_millis: u32,
    /// Maximum milliseconds for processing one batch; see `max.poll.interval.ms`.
    pub poll_interval_millis: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// Consumers read the producers' logs in the database.
    #[default]
    Local,
    Kafka,
}

/// PEM files, read when a client is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusTls {
    /// Certificate authorities for the brokers' certificates.
    pub ca: PathBuf,
    /// Our client certificate; its subject is the user in Kafka's ACLs.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            kind: BusKind::Local,
            bootstrap: "127.0.0.1:9092".into(),
            tls: None,
            client_id: "takedown".into(),
            instance: None,
            topic_prefix: "takedown".into(),
            delivery_timeout_millis: 30_000,
            record_bytes: 1_000_000,
            queue_records: 20_000,
            compare_millis: 20_000,
            session_timeout_millis: 10_000,
            poll_interval_millis: 300_000,
        }
    }
}

/// Why a bus configuration is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusConfigError {
    #[error("bus.bootstrap names no broker; give host:port, or several separated by commas")]
    NoBroker,
    #[error(
        "bus.bootstrap names `{0}`, which is not on this machine, and bus.tls is not set; Kafka without TLS is allowed on loopback only"
    )]
    PlaintextBeyondLoopback(String),
    #[error("bus.{0} may contain only letters, digits, dots, hyphens and underscores")]
    InvalidName(&'static str),
    #[error("bus.{0} must not be 0")]
    Zero(&'static str),
}

impl BusConfig {
    /// Checks the configuration; connects to nothing.
    ///
    /// # Errors
    /// When a value is invalid, or a connection would be unsafe.
    pub fn check(&self) -> Result<(), BusConfigError> {
        let brokers: Vec<&str> = self.brokers().collect();
        if brokers.is_empty() {
            return Err(BusConfigError::NoBroker);
        }
        if self.tls.is_none()
            && let Some(remote) = brokers.into_iter().find(|broker| !is_loopback(broker))
        {
            return Err(BusConfigError::PlaintextBeyondLoopback(remote.to_owned()));
        }
        let instance = self.instance.as_deref().unwrap_or("none");
        for (field, name) in [
            ("topic_prefix", &*self.topic_prefix),
            ("instance", instance),
        ] {
            if !is_valid_name(name) {
                return Err(BusConfigError::InvalidName(field));
            }
        }
        for (field, value) in [
            ("delivery_timeout_millis", self.delivery_timeout_millis),
            ("record_bytes", self.record_bytes),
            ("queue_records", self.queue_records),
            ("compare_millis", self.compare_millis),
            ("session_timeout_millis", self.session_timeout_millis),
            ("poll_interval_millis", self.poll_interval_millis),
        ] {
            if value == 0 {
                return Err(BusConfigError::Zero(field));
            }
        }
        Ok(())
    }

    pub fn topic(&self, service: &str) -> String {
        format!("{}.{service}.v1", self.topic_prefix)
    }

    pub fn group(&self, consumer: &str, producer: &str) -> String {
        format!("{}.{consumer}.{producer}", self.topic_prefix)
    }

    pub(crate) fn compare_interval(&self) -> Duration {
        Duration::from_millis(self.compare_millis.into())
    }

    fn brokers(&self) -> impl Iterator<Item = &str> {
        self.bootstrap
            .split(',')
            .map(str::trim)
            .filter(|broker| !broker.is_empty())
    }

    /// The settings of a client of this bus.
    pub fn client_config(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            // A returning broker is found within a second; a hanging one is given up after ten.
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.timeout.ms", "10000")
            .set("socket.keepalive.enable", "true")
            // A topic that was created again is noticed soon.
            .set("topic.metadata.refresh.interval.ms", "5000");
        match &self.tls {
            None => client.set("security.protocol", "plaintext"),
            Some(tls) => client
                .set("security.protocol", "ssl")
                .set("ssl.endpoint.identification.algorithm", "https")
                .set("ssl.ca.location", tls.ca.to_string_lossy())
                .set(
                    "ssl.certificate.location",
                    tls.certificate.to_string_lossy(),
                )
                .set("ssl.key.location", tls.key.to_string_lossy()),
        };
        client
    }
}

fn is_loopback(broker: &str) -> bool {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka_at(bootstrap: &str) -> BusConfig {
        BusConfig {
            kind: BusKind::Kafka,
            bootstrap: bootstrap.into(),
            ..BusConfig::default()
        }
    }

    #[test]
    fn kafka_without_tls_is_accepted_on_loopback_only() {
        for local in [
            "127.0.0.1:9092",
            "localhost:9092, [::1]:9093",
            "127.9.9.9:1",
        ] {
            assert_eq!(kafka_at(local).check(), Ok(()), "{local}");
        }
        for remote in [
            "kafka:9092",
            "127.0.0.1:9092,10.0.0.1:9092",
            "localhost.example:9092",
            "[2001:db8::1]:9092",
        ] {
            let refused = kafka_at(remote).check();
            assert!(
                matches!(refused, Err(BusConfigError::PlaintextBeyondLoopback(_))),
                "{remote}: {refused:?}"
            );
            let tls = BusTls {
                ca: "ca.pem".into(),
                certificate: "us.pem".into(),
                key: "us.key".into(),
            };
            let with_tls = BusConfig {
                tls: Some(tls),
                ..kafka_at(remote)
            };
            assert_eq!(with_tls.check(), Ok(()), "{remote}");
        }
        assert_eq!(kafka_at(" , ").check(), Err(BusConfigError::NoBroker));
    }

    #[test]
    fn an_error_in_the_bus_table_names_its_key() {
        for (text, key) in [
            ("kind = \"carrier pigeon\"", "kind"),
            ("bootstraps = \"x\"", "bootstraps"),
            ("tls = { ca = \"a\" }", "certificate"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let error = crate::config::load::<BusConfig>(Some(file.path()), "TAKEDOWN_NOWHERE");
            let error = error.unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let with_space = BusConfig {
            topic_prefix: "take down".into(),
            ..kafka_at("127.0.0.1:1")
        };
        assert_eq!(
            with_space.check(),
            Err(BusConfigError::InvalidName("topic_prefix"))
        );
    }
}
