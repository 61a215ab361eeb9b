//! An event as a Kafka record: CloudEvents 1.0 in binary mode, with the producer's MAC.
//!
//! (CloudEvents, Kafka protocol binding, section 3.2: attributes are headers `ce_*`, the data is the value.)
//! A record without a valid MAC is rejected here and never becomes an [`Envelope`].

use bytes::Bytes;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::envelope::{Envelope, SHARDS};
use crate::sealed::{BusMac, BusRecord, KeyId, Keyring, SealedError};

/// Prefix of the event kind: CloudEvents requires types that no other organisation uses.
const TYPE_PREFIX: &str = "takedown.v1.";
const CONTENT_TYPE: &str = "application/protobuf";

/// Why a record is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("it has no event headers, or an invalid partition")]
    NoHeaders,
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} occurs twice")]
    Duplicate(&'static str),
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    #[error("its MAC is invalid")]
    InvalidMac,
}

/// The headers of an event, including the producer's MAC.
pub(super) fn headers(event: &Envelope, keyring: &Keyring) -> Result<OwnedHeaders, SealedError> {
    let mac = keyring.bus_mac(&mac_input(event))?;
    let text = |headers: OwnedHeaders, key: &str, value: &str| {
        headers.insert(Header {
            key,
            value: Some(value),
        })
    };
    let time = event
        .occurred_at
        .format(&Rfc3339)
        .map_err(|_| SealedError::Malformed)?;
    let mut headers = OwnedHeaders::new_with_capacity(12);
    headers = text(headers, "ce_specversion", "1.0");
    headers = text(headers, "ce_id", &event.id.to_string());
    headers = text(headers, "ce_source", &source(&event.producer));
    headers = text(headers, "ce_type", &format!("{TYPE_PREFIX}{}", event.kind));
    headers = text(headers, "ce_time", &time);
    headers = text(headers, "ce_subject", &event.case_id.to_string());
    headers = text(headers, "ce_shard", &event.shard.to_string());
    headers = text(headers, "ce_position", &event.position.to_string());
    if let Some(cause) = event.caused_by {
        headers = text(headers, "ce_causedby", &cause.to_string());
    }
    let encoded_mac = format!("{}:{}", mac.key_id, hex::encode(mac.bytes));
    headers = text(headers, "ce_mac", &encoded_mac);
    headers = text(headers, "content-type", CONTENT_TYPE);
    if let Some(trace) = &event.traceparent {
        headers = text(headers, "traceparent", trace);
    }
    Ok(headers)
}

/// Reads the event of a record of `producer`'s topic and verifies its MAC, which covers the partition.
pub(super) fn read(
    producer: &str,
    keyring: &Keyring,
    message: &impl Message,
) -> Result<Envelope, RecordError> {
    let headers = EventHeaders::from_message(message)?;
    let shard = i16::try_from(message.partition())
        .ok()
        .filter(|shard| (0..SHARDS).contains(shard))
        .ok_or(RecordError::NoHeaders)?;
    if required(headers.shard, "ce_shard")? != shard.to_string() {
        return Err(RecordError::Malformed("ce_shard"));
    }
    let kind = required(headers.kind, "ce_type")?
        .strip_prefix(TYPE_PREFIX)
        .ok_or(RecordError::Malformed("ce_type"))?;
    let time = required(headers.time, "ce_time")?;
    let envelope = Envelope {
        producer: producer.to_owned(),
        shard,
        position: required(headers.position, "ce_position")?
            .parse()
            .ok()
            .filter(|position| *position > 0)
            .ok_or(RecordError::Malformed("ce_position"))?,
        id: parse_id(required(headers.id, "ce_id")?, "ce_id")?,
        case_id: parse_id(required(headers.case, "ce_subject")?, "ce_subject")?,
        kind: kind.to_owned(),
        caused_by: headers
            .cause
            .map(|text| parse_id(text, "ce_causedby"))
            .transpose()?,
        occurred_at: OffsetDateTime::parse(time, &Rfc3339)
            .map_err(|_| RecordError::Malformed("ce_time"))?,
        traceparent: headers.trace.filter(|t| t.len() <= 128).map(str::to_owned),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    };
    let mac = parse_mac(required(headers.mac, "ce_mac")?)?;
    keyring
        .verify_bus_mac(&mac_input(&envelope), &mac)
        .map_err(|_| RecordError::InvalidMac)?;
    Ok(envelope)
}

/// The input of the MAC. The trace is not covered: it has no effect besides telemetry.
fn mac_input(event: &Envelope) -> BusRecord<'_> {
    BusRecord {
        service: &event.producer,
        shard: event.shard,
        position: event.position,
        event_id: event.id,
        kind: &event.kind,
        case_id: event.case_id,
        caused_by: event.caused_by,
        occurred_at: event.occurred_at,
        payload: &event.payload,
    }
}

fn source(service: &str) -> String {
    format!("/takedown/{service}")
}

/// The headers used, each at most once.
#[derive(Default)]
struct EventHeaders<'a> {
    id: Option<&'a str>,
    kind: Option<&'a str>,
    time: Option<&'a str>,
    case: Option<&'a str>,
    shard: Option<&'a str>,
    position: Option<&'a str>,
    cause: Option<&'a str>,
    mac: Option<&'a str>,
    trace: Option<&'a str>,
}

impl<'a> EventHeaders<'a> {
    fn from_message(message: &'a impl Message) -> Result<Self, RecordError> {
        let mut found = Self::default();
        let headers = message.headers().ok_or(RecordError::NoHeaders)?;
        for header in headers.iter() {
            let (slot, name) = match header.key {
                "ce_id" => (&mut found.id, "ce_id"),
                "ce_type" => (&mut found.kind, "ce_type"),
                "ce_time" => (&mut found.time, "ce_time"),
                "ce_subject" => (&mut found.case, "ce_subject"),
                "ce_shard" => (&mut found.shard, "ce_shard"),
                "ce_position" => (&mut found.position, "ce_position"),
                "ce_causedby" => (&mut found.cause, "ce_causedby"),
                "ce_mac" => (&mut found.mac, "ce_mac"),
                "traceparent" => (&mut found.trace, "traceparent"),
                _ => continue,
            };
            let value = std::str::from_utf8(header.value.unwrap_or_default())
                .map_err(|_| RecordError::Malformed(name))?;
            if slot.replace(value).is_some() {
                return Err(RecordError::Duplicate(name));
            }
        }
        Ok(found)
    }
}

fn required<'a>(value: Option<&'a str>, name: &'static str) -> Result<&'a str, RecordError> {
    value.ok_or(RecordError::Missing(name))
}

fn parse_id(text: &str, name: &'static str) -> Result<Uuid, RecordError> {
    text.parse().map_err(|_| RecordError::Malformed(name))
}

fn parse_mac(text: &str) -> Result<BusMac, RecordError> {
    let malformed = RecordError::Malformed("ce_mac");
    let (key, hex) = text.split_once(':').ok_or(malformed)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex, &mut bytes).map_err(|_| malformed)?;
    Ok(BusMac {
        key_id: KeyId::parse(key).map_err(|_| malformed)?,
        bytes,
    })
}

#[cfg(test)]
mod tests;
