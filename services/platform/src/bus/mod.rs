//! Consuming other services' events: exactly once in effect, in order for each case.
//!
//! A [`Consumer`] follows a producer's log by position and applies each batch in the transaction that
//! advances its cursor. An event that cannot be applied is parked together with the later events of its case;
//! all other cases continue. If a log does not match its cursor, the consumer stops with an alarm instead of
//! guessing. A [`Bus`] selects the source of events: the log in the same database, or Kafka with the log as
//! fallback for whatever Kafka lost.
//!
//! This module does not know what an event means. It writes nothing into a producer's schema except a
//! consumer's reported position, and that on the Local bus only.

mod consumer;
mod cursor;
mod cursor_check;
mod gap_recovery;
mod kafka;
mod local;
mod one_by_one;
mod parked;
mod parked_service;
mod parking;
mod remote;
mod replay_request;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::batch::ErrorClass;
use crate::error::Problem;
use crate::log::Envelope;

pub use crate::kafka::{
    Bus, BusConfig, BusConfigError, BusKind, BusTls, KafkaBus, PartitionState, TopicError,
    TopicState, ensure_topics, inspect_topic,
};
pub use consumer::Consumer;
pub use parked::{Approval, ParkedEvent, discard, list_parked, replay};
pub use parked_service::ParkedServer;
pub use replay_request::{ReplayStatus, replay_status, request_replay};

/// How a service applies the events that it receives.
pub trait EventHandler: Send + Sync + 'static {
    /// Applies a batch on the transaction that advances the cursor. The batch may span several shards; each
    /// shard is in order, so a case's events are in order. Events that the service does not use are skipped
    /// without an error. May be called again with the same events after a rollback, and with a single event.
    fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// Handled according to its SQLSTATE ([`ErrorClass::from_sqlx`]).
    #[error("the database returned an error")]
    Db(#[from] sqlx::Error),
    /// This event can never be applied (it does not decode, or it violates an invariant), so it is parked.
    /// The reason is a fixed phrase and contains nothing of the event.
    #[error("event {event} cannot be applied: {reason}")]
    Unprocessable { event: Uuid, reason: &'static str },
    /// Something that the service needs is not available now (a key, a lock): the whole batch is tried again.
    #[error("try again later: {0}")]
    RetryLater(&'static str),
}

impl HandlerError {
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            Self::Db(error) => ErrorClass::from_sqlx(error),
            Self::Unprocessable { .. } => ErrorClass::Item,
            Self::RetryLater(_) => ErrorClass::WholeBatch,
        }
    }

    /// The text for `parked_event.reason`.
    fn reason(&self) -> String {
        match self {
            Self::Db(error) => {
                let code = error
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code);
                format!("SQLSTATE {}", code.as_deref().unwrap_or("unknown"))
            }
            Self::Unprocessable { reason, .. } | Self::RetryLater(reason) => (*reason).to_owned(),
        }
    }
}

/// Why a consumer could not continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database returned an error")]
    Db(#[from] sqlx::Error),
    #[error("the batch must be retried later: {0}")]
    RetryLater(&'static str),
    /// The log has no event at a position between the cursor and its head.
    #[error("{producer}/{shard} has no event at position {position}")]
    Gap {
        producer: &'static str,
        shard: i16,
        position: i64,
    },
    /// The producer's log could not be read.
    #[error("the log of {producer} could not be read: {code}")]
    LogUnavailable {
        producer: &'static str,
        code: tonic::Code,
    },
    /// The client library rejected its settings, or failed permanently.
    #[error("the Kafka client failed")]
    Bus(#[from] rdkafka::error::KafkaError),
    /// No channel to the producer's log is configured.
    #[error("there is no channel to the log of {0}")]
    NoLogChannel(&'static str),
    /// The log is not the one that the cursor was advanced with.
    #[error("{producer}/{shard} does not match the cursor at {position}: {why}")]
    RestoredBackup {
        producer: &'static str,
        shard: i16,
        position: i64,
        why: &'static str,
    },
    /// The cursor is not where this consumer left it: another process took the shard over.
    #[error("the cursor of {producer}/{shard} moved while it was locked")]
    CursorLost { producer: &'static str, shard: i16 },
}

impl Error {
    /// Whether a retry may succeed; otherwise the consumer stops with an alarm.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Db(_)
            | Self::RetryLater(_)
            | Self::LogUnavailable { .. }
            | Self::Bus(_)
            | Self::CursorLost { .. } => true,
            Self::Gap { .. } | Self::RestoredBackup { .. } | Self::NoLogChannel(_) => false,
        }
    }
}

impl From<HandlerError> for Error {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Db(error) => Self::Db(error),
            HandlerError::Unprocessable { reason, .. } | HandlerError::RetryLater(reason) => {
                Self::RetryLater(reason)
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(error) => error.into(),
            Error::RetryLater(_) | Error::CursorLost { .. } => {
                Self::from_kind(crate::error::Kind::Unavailable)
            }
            Error::LogUnavailable { producer, code } => Self::new(
                crate::error::Kind::Unavailable,
                "log_unavailable",
                format!(
                    "The log of {producer} could not be read ({code}); it will be tried again."
                ),
            ),
            Error::Bus(_) => Self::new(
                crate::error::Kind::Unavailable,
                "bus_unavailable",
                "Kafka returned an error; events are read from the logs meanwhile.",
            ),
            Error::NoLogChannel(producer) => Self::new(
                crate::error::Kind::Internal,
                "log_channel_missing",
                format!("This role has no connection configured to the log of {producer}."),
            ),
            Error::Gap { .. } | Error::RestoredBackup { .. } => Self::new(
                crate::error::Kind::Internal,
                "log_mismatch",
                "An event log does not match the cursor of its consumer; see the alarm and its runbook.",
            ),
        }
    }
}
