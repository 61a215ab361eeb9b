//! A producer's log as a consumer in another process reads it: `ReadLog`, one call at a time.
//! Must not keep a place, and must not apply: cursors are the consumer's.

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

/// For a whole answer; a page is small.
const PATIENCE: Duration = Duration::from_secs(20);
/// An event that Kafka would not take must still fit.
const LARGEST: usize = 64 * 1024 * 1024;

/// A page with this many bytes is long enough, whatever the limit.
const ENOUGH: usize = 4 * 1024 * 1024;

pub(super) struct RemoteLog {
    client: LogServiceClient<Channel>,
    consumer: &'static str,
    producer: &'static str,
}

/// What one call brought.
pub(super) struct Page {
    pub(super) head: Head,
    /// Id of the event at the position asked after, where it is kept.
    pub(super) at: Option<Uuid>,
    pub(super) events: Vec<Envelope>,
}

impl RemoteLog {
    pub(super) fn new(channel: Channel, consumer: &'static str, producer: &'static str) -> Self {
        Self {
            client: LogServiceClient::new(channel).max_decoding_message_size(LARGEST),
            consumer,
            producer,
        }
    }

    /// Up to `limit` events after a position, and where the shard begins and ends.
    pub(super) async fn read(&self, shard: i16, after: i64, limit: u32) -> Result<Page, Error> {
        match tokio::time::timeout(PATIENCE, self.call(shard, after, limit)).await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(status)) => Err(self.unread(&status)),
            Err(_) => Err(self.unread(&Status::deadline_exceeded(""))),
        }
    }

    async fn call(&self, shard: i16, after: i64, limit: u32) -> Result<Page, Status> {
        let mut request = Request::new(ReadLogRequest {
            shard: shard as u32,
            after,
            limit,
        });
        request
            .metadata_mut()
            .insert(CALLER, MetadataValue::from_static(self.consumer));
        let mut answer = self.client.clone().read_log(request).await?.into_inner();
        let Some(Part::Bounds(bounds)) = answer.message().await?.and_then(|m| m.part) else {
            return Err(Status::internal(
                "the answer does not begin with its bounds",
            ));
        };
        let mut page = opened(shard, &bounds)?;
        let mut bytes = 0;
        while bytes < ENOUGH
            && let Some(Part::Event(said)) = answer.message().await?.and_then(|m| m.part)
        {
            bytes += said.payload.len();
            page.events.push(self.envelope(shard, said)?);
        }
        Ok(page)
    }

    fn envelope(&self, shard: i16, said: LogEvent) -> Result<Envelope, Status> {
        let at = said.occurred_at.unwrap_or_default();
        let occurred_at = OffsetDateTime::from_unix_timestamp(at.seconds)
            .map_err(|_| malformed())?
            + time::Duration::nanoseconds(at.nanos.into());
        Ok(Envelope {
            producer: self.producer.to_owned(),
            shard,
            position: said.position,
            id: id(&said.event_id)?.ok_or_else(malformed)?,
            case_id: id(&said.case_id)?.ok_or_else(malformed)?,
            kind: said.kind,
            caused_by: id(&said.caused_by)?,
            occurred_at,
            traceparent: Some(said.traceparent).filter(|t| !t.is_empty()),
            payload: said.payload,
        })
    }

    fn unread(&self, status: &Status) -> Error {
        Error::Unread {
            producer: self.producer,
            code: status.code(),
        }
    }
}

fn opened(shard: i16, bounds: &LogBounds) -> Result<Page, Status> {
    Ok(Page {
        head: Head {
            shard,
            position: bounds.head,
            event_id: id(&bounds.head_event_id)?,
            floor: bounds.floor,
        },
        at: id(&bounds.after_event_id)?,
        events: Vec::new(),
    })
}

fn id(text: &str) -> Result<Option<Uuid>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| malformed())
}

fn malformed() -> Status {
    Status::internal("a field of the answer is malformed")
}
