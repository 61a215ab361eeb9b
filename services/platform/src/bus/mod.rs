//! Hearing other services' events: exactly once in effect, in order for each case.
//!
//! A [`Consumer`] follows a producer's log by position and applies each batch in the transaction that moves its
//! cursor. What cannot be applied is parked with its case; everything else flows. It never guesses: a log that does
//! not fit its cursor stops it with an alarm. A [`Bus`] says what feeds it: the log in the same database, or Kafka with
//! the log behind it for whatever Kafka lost.
//!
//! Must not know what an event means, and must not write into a producer's schema, but for saying how far it is (on
//! the Local bus alone).

mod asked;
mod consumer;
mod cursor;
mod fit;
mod kafka;
mod local;
mod mend;
mod one_by_one;
mod parked;
mod parked_service;
mod parking;
mod remote;

use std::sync::Arc;

use sqlx::PgConnection;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::batch::Class;
use crate::error::Problem;
use crate::log::Envelope;
use crate::sealed::Keyring;

pub use crate::kafka::{
    BusConfig, BusConfigError, KafkaBus, Kind, Seat, Survey, Tls, TopicError, ensure_topics, survey,
};
pub use asked::{Asked, ask_replay, asked};
pub use consumer::Consumer;
pub use parked::{Approval, Parked, discard, list, replay};
pub use parked_service::ParkedServer;

/// What carries events between services.
#[derive(Clone, Debug, Default)]
pub enum Bus {
    /// Consumers read the producers' logs in the database.
    #[default]
    Local,
    Kafka(KafkaBus),
}

impl Bus {
    /// The bus as it is configured; refused where that would be wrong or unsafe. Connects to nothing.
    pub fn open(config: &BusConfig, keyring: &Arc<Keyring>) -> Result<Self, BusConfigError> {
        match config.kind {
            Kind::Local => Ok(Self::Local),
            Kind::Kafka => {
                config.check()?;
                Ok(Self::Kafka(KafkaBus::new(
                    config.clone(),
                    Arc::clone(keyring),
                )))
            }
        }
    }

    /// Where a producer's log is read when Kafka did not bring it. Unused on the Local bus.
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

/// What a service does with the events it hears.
pub trait Heed: Send + Sync + 'static {
    /// Applies a batch (several shards, each in order, a case's events in order) on the transaction that moves the
    /// cursor. Events that the service does not heed are passed over without an error. May be called again with the
    /// same events after a rollback, and with a single one.
    fn heed(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> impl Future<Output = Result<(), HeedError>> + Send;
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum HeedError {
    /// Dealt with by its SQLSTATE.
    #[error("the database refused")]
    Db(#[from] sqlx::Error),
    /// This event can never be applied (it does not decode, it breaks an invariant): it is parked. The reason is a
    /// fixed phrase, so that it can hold nothing of the event.
    #[error("event {event} cannot be applied: {reason}")]
    Rotten { event: Uuid, reason: &'static str },
    /// Something that the service needs is not there now (a key, a lock): the whole batch is tried again.
    #[error("not now: {0}")]
    Later(&'static str),
}

impl HeedError {
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Db(error) => Class::of(error),
            Self::Rotten { .. } => Class::Item,
            Self::Later(_) => Class::Whole,
        }
    }

    /// What stands in `parked_event.reason`.
    fn reason(&self) -> String {
        match self {
            Self::Db(error) => {
                let code = error
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code);
                format!("SQLSTATE {}", code.as_deref().unwrap_or("unknown"))
            }
            Self::Rotten { reason, .. } | Self::Later(reason) => (*reason).to_owned(),
        }
    }
}

/// Why a consumer could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database refused")]
    Db(#[from] sqlx::Error),
    #[error("the batch must wait: {0}")]
    Later(&'static str),
    /// The log lacks a position between the cursor and its head.
    #[error("{producer}/{shard} has no event at position {position}")]
    Gap {
        producer: &'static str,
        shard: i16,
        position: i64,
    },
    /// The producer does not let its log be read now.
    #[error("the log of {producer} could not be read: {code}")]
    Unread {
        producer: &'static str,
        code: tonic::Code,
    },
    /// The client library refused: its settings, or Kafka for good.
    #[error("the bus failed")]
    Bus(#[from] rdkafka::error::KafkaError),
    /// Set up without a way to the producer's log.
    #[error("there is no channel to the log of {0}")]
    NoLog(&'static str),
    /// The log is not the one that the cursor was made with.
    #[error("{producer}/{shard} does not fit the cursor at {position}: {why}")]
    RestoredBackup {
        producer: &'static str,
        shard: i16,
        position: i64,
        why: &'static str,
    },
    /// People must look: the consumer's own rows are not as it left them.
    #[error("the cursor of {producer}/{shard} moved while it was locked")]
    CursorLost { producer: &'static str, shard: i16 },
}

impl Error {
    /// Whether trying again may help; otherwise the consumer stops with an alarm.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Db(_)
            | Self::Later(_)
            | Self::Unread { .. }
            | Self::Bus(_)
            | Self::CursorLost { .. } => true,
            Self::Gap { .. } | Self::RestoredBackup { .. } | Self::NoLog(_) => false,
        }
    }
}

impl From<HeedError> for Error {
    fn from(error: HeedError) -> Self {
        match error {
            HeedError::Db(error) => Self::Db(error),
            HeedError::Rotten { reason, .. } | HeedError::Later(reason) => Self::Later(reason),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(error) => error.into(),
            Error::Later(_) | Error::CursorLost { .. } => Self::of(crate::error::Kind::Unavailable),
            Error::Unread { producer, code } => Self::new(
                crate::error::Kind::Unavailable,
                "log_unread",
                format!(
                    "The log of {producer} could not be read ({code}); the bus goes on without it."
                ),
            ),
            Error::Bus(_) => Self::new(
                crate::error::Kind::Unavailable,
                "bus_unavailable",
                "Kafka did not answer as it should; events are read from the logs meanwhile.",
            ),
            Error::NoLog(producer) => Self::new(
                crate::error::Kind::Internal,
                "log_channel_missing",
                format!("This role was not told where the log of {producer} is read."),
            ),
            Error::Gap { .. } | Error::RestoredBackup { .. } => Self::new(
                crate::error::Kind::Internal,
                "log_mismatch",
                "An event log does not fit the cursor that reads it; see the alarm and its runbook.",
            ),
        }
    }
}
