//! A producer's log in another process, read with `ReadLog` one call at a time. Keeps no position and applies
//! nothing: the cursors are the consumer's.

use std::time::Duration;

use proto::v1::log_service_client::LogServiceClient;
use proto::v1::read_log_response::Part;
use proto::v1::{LogBounds, LogEvent, ReadLogRequest};
use time::OffsetDateTime;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use super::Error;
use crate::log::{CALLER, Envelope, Head};

/// Time limit for a whole response; a page is small.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Events that exceed Kafka's record size must still fit.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// A page ends once it has this many bytes, even below the event limit.
const ENOUGH_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct RemoteLog {
    client: LogServiceClient<Channel>,
    consumer: &'static str,
    producer: &'static str,
}

/// The result of one call.
pub(super) struct LogPage {
    pub(super) head: Head,
    /// Id of the event at the requested `after` position, if it is still kept.
    pub(super) after_event_id: Option<Uuid>,
    pub(super) events: Vec<Envelope>,
}

impl RemoteLog {
    pub(super) fn new(channel: Channel, consumer: &'static str, producer: &'static str) -> Self {
        Self {
            client: LogServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            consumer,
            producer,
        }
    }

    /// Reads up to `limit` events after a position, and the bounds of the shard.
    ///
    /// # Errors
    /// `LogUnavailable` with the gRPC code, also after the time limit.
    pub(super) async fn read(&self, shard: i16, after: i64, limit: u32) -> Result<LogPage, Error> {
        match tokio::time::timeout(READ_TIMEOUT, self.call(shard, after, limit)).await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(status)) => Err(self.unavailable(&status)),
            Err(_) => Err(self.unavailable(&Status::deadline_exceeded(""))),
        }
    }

    async fn call(&self, shard: i16, after: i64, limit: u32) -> Result<LogPage, Status> {
        let mut request = Request::new(ReadLogRequest {
            shard: shard as u32,
            after,
            limit,
        });
        request
            .metadata_mut()
            .insert(CALLER, MetadataValue::from_static(self.consumer));
        let mut response = self.client.clone().read_log(request).await?.into_inner();
        let Some(Part::Bounds(bounds)) = response.message().await?.and_then(|m| m.part) else {
            return Err(Status::internal(
                "the response does not begin with the log bounds",
            ));
        };
        let mut page = empty_page(shard, &bounds)?;
        let mut bytes = 0;
        while bytes < ENOUGH_BYTES
            && let Some(Part::Event(event)) = response.message().await?.and_then(|m| m.part)
        {
            bytes += event.payload.len();
            page.events.push(self.envelope(shard, event)?);
        }
        Ok(page)
    }

    fn envelope(&self, shard: i16, event: LogEvent) -> Result<Envelope, Status> {
        let at = event.occurred_at.unwrap_or_default();
        let occurred_at = OffsetDateTime::from_unix_timestamp(at.seconds)
            .map_err(|_| malformed())?
            + time::Duration::nanoseconds(at.nanos.into());
        Ok(Envelope {
            producer: self.producer.to_owned(),
            shard,
            position: event.position,
            id: parse_id(&event.event_id)?.ok_or_else(malformed)?,
            case_id: parse_id(&event.case_id)?.ok_or_else(malformed)?,
            kind: event.kind,
            caused_by: parse_id(&event.caused_by)?,
            occurred_at,
            traceparent: Some(event.traceparent).filter(|t| !t.is_empty()),
            payload: event.payload,
        })
    }

    fn unavailable(&self, status: &Status) -> Error {
        Error::LogUnavailable {
            producer: self.producer,
            code: status.code(),
        }
    }
}

fn empty_page(shard: i16, bounds: &LogBounds) -> Result<LogPage, Status> {
    Ok(LogPage {
        head: Head {
            shard,
            position: bounds.head,
            event_id: parse_id(&bounds.head_event_id)?,
            floor: bounds.floor,
        },
        after_event_id: parse_id(&bounds.after_event_id)?,
        events: Vec::new(),
    })
}

fn parse_id(text: &str) -> Result<Option<Uuid>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| malformed())
}

fn malformed() -> Status {
    Status::internal("a field of the response is malformed")
}
