//! `LogService`: serves a producer's log to its registered consumers, by position only. Other callers get no
//! information, not even where the log ends.
//!
//! Of `proto`, platform knows only this service, `ParkedService` and the gauge readings of a role.

use std::pin::Pin;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use prost_types::Timestamp;
use proto::v1::log_service_server::{LogService, LogServiceServer};
use proto::v1::read_log_response::Part;
use proto::v1::{LogBounds, LogEvent, ReadLogRequest, ReadLogResponse};
use sqlx::PgPool;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Envelope, LogReader, SHARDS};
use crate::error::{Kind, Problem};
use crate::tls::Connection;

/// Events read from the database at a time.
const PAGE_EVENTS: i64 = 200;
/// Metadata key in which a caller on plain loopback names itself.
pub(crate) const CALLER: &str = "takedown-caller";

/// Serves one service's log.
#[derive(Clone)]
pub struct LogServer {
    pool: PgPool,
    service: &'static str,
    readers: &'static [&'static str],
}

impl LogServer {
    /// `readers` are the registered consumers; all others are refused.
    pub fn new(
        pool: PgPool,
        service: &'static str,
        readers: &'static [&'static str],
    ) -> LogServiceServer<Self> {
        LogServiceServer::new(Self {
            pool,
            service,
            readers,
        })
    }

    fn authorized_reader(
        &self,
        request: &Request<ReadLogRequest>,
    ) -> Result<&'static str, Problem> {
        let caller = caller(request).ok_or_else(|| Problem::from_kind(Kind::Unauthenticated))?;
        self.readers
            .iter()
            .copied()
            .find(|reader| *reader == caller)
            .ok_or_else(|| {
                Problem::new(
                    Kind::Forbidden,
                    "reader_not_registered",
                    "Only registered consumers may read this log.",
                )
            })
    }

    async fn open(&self, request: &Request<ReadLogRequest>) -> Result<LogReader, Problem> {
        let reader = self.authorized_reader(request)?;
        let ReadLogRequest { shard, after, .. } = *request.get_ref();
        let shard = i16::try_from(shard)
            .ok()
            .filter(|shard| *shard < SHARDS)
            .ok_or_else(|| Problem::from_kind(Kind::Invalid).field("shard"))?;
        if after < 0 {
            return Err(Problem::from_kind(Kind::Invalid).field("after"));
        }
        let log = LogReader::open(self.pool.clone(), self.service, shard, after).await?;
        if after <= log.head().position {
            record_position(&self.pool, reader, shard, after).await?;
        }
        Ok(log)
    }
}

type EventStream = Pin<Box<dyn Stream<Item = Result<ReadLogResponse, Status>> + Send>>;

#[tonic::async_trait]
impl LogService for LogServer {
    type ReadLogStream = EventStream;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let log = self.open(&request).await?;
        let first = part(Part::Bounds(bounds(&log)));
        let rest = stream::try_unfold((log, i64::from(request.get_ref().limit)), page)
            .map_ok(|events| stream::iter(events.into_iter().map(Ok)))
            .try_flatten();
        Ok(Response::new(
            stream::once(async { Ok(first) }).chain(rest).boxed(),
        ))
    }
}

/// The next page of a response; None at the end of the log or at the limit.
async fn page(
    (mut log, left): (LogReader, i64),
) -> Result<Option<(Vec<ReadLogResponse>, (LogReader, i64))>, Status> {
    let events = log
        .page(left.min(PAGE_EVENTS))
        .await
        .map_err(|error| Status::from(Problem::from(error)))?;
    if events.is_empty() {
        return Ok(None);
    }
    let left = left - events.len() as i64;
    let messages = events
        .into_iter()
        .map(|e| part(Part::Event(event(e))))
        .collect();
    Ok(Some((messages, (log, left))))
}

/// The role in the connection's certificate, or the name in the metadata where both ends are on this machine
/// and no certificate was required.
fn caller<T>(request: &Request<T>) -> Option<String> {
    let connection: &Connection = request.extensions().get()?;
    if let Some(role) = &connection.caller {
        return Some(role.to_string());
    }
    let loopback = connection.address.is_some_and(|at| at.ip().is_loopback());
    if !loopback {
        return None;
    }
    let name = request.metadata().get(CALLER)?.to_str().ok()?;
    Some(name.to_owned())
}

/// Records a consumer's position for retention.
async fn record_position(
    pool: &PgPool,
    consumer: &str,
    shard: i16,
    position: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- record_position
        insert into log_consumer as c (consumer, shard, position) values ($1, $2, $3)
        on conflict (consumer, shard) do update set position = excluded.position
        where c.position <> excluded.position",
    )
    .bind(consumer)
    .bind(shard)
    .bind(position)
    .execute(pool)
    .await?;
    Ok(())
}

fn bounds(log: &LogReader) -> LogBounds {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    LogBounds {
        floor: log.head().floor,
        head: log.head().position,
        head_event_id: text(log.head().event_id),
        after_event_id: text(log.after_event_id()),
    }
}

fn event(event: Envelope) -> LogEvent {
    LogEvent {
        position: event.position,
        event_id: event.id.to_string(),
        case_id: event.case_id.to_string(),
        kind: event.kind,
        caused_by: event.caused_by.map(|id| id.to_string()).unwrap_or_default(),
        occurred_at: Some(timestamp(event.occurred_at)),
        traceparent: event.traceparent.unwrap_or_default(),
        payload: event.payload,
    }
}

/// A moment on the wire.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: at.nanosecond() as i32,
    }
}

fn part(part: Part) -> ReadLogResponse {
    ReadLogResponse { part: Some(part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ServiceRole;

    #[test]
    fn an_unauthenticated_name_is_accepted_on_loopback_only() {
        let caller_of = |at: Option<&str>, authenticated: Option<&str>| {
            let mut request = Request::new(());
            request
                .metadata_mut()
                .insert(CALLER, "ledger".parse().unwrap());
            request.extensions_mut().insert(Connection {
                caller: authenticated.map(|role| ServiceRole::parse(role).unwrap()),
                address: at.map(|at| at.parse().unwrap()),
            });
            caller(&request)
        };
        assert_eq!(
            caller_of(Some("127.0.0.1:1"), None).as_deref(),
            Some("ledger")
        );
        assert_eq!(caller_of(Some("192.0.2.1:1"), None), None);
        assert_eq!(caller_of(None, None), None);
        for at in ["127.0.0.1:1", "192.0.2.1:1"] {
            assert_eq!(
                caller_of(Some(at), Some("intake")).as_deref(),
                Some("intake")
            );
        }
        let mut unknown = Request::new(());
        unknown
            .metadata_mut()
            .insert(CALLER, "ledger".parse().unwrap());
        assert_eq!(caller(&unknown), None);
    }
}
