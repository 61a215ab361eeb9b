//! An event as a Kafka record: CloudEvents 1.0 in binary mode, with the producer's MAC.
//!
//! (CloudEvents, Kafka protocol binding, section 3.2: attributes are headers `ce_*`, the data is the value.) Whatever
//! has no true MAC is refused here and never becomes an [`Envelope`].

use bytes::Bytes;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::log::{Envelope, SHARDS};
use crate::sealed::{BusMac, BusRecord, KeyId, Keyring, SealedError};

/// Before the name of the event: CloudEvents asks for types that nobody else uses.
const TYPE: &str = "takedown.v1.";
const CONTENT: &str = "application/protobuf";

/// Why a record is not taken for the producer's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it has no headers of an event")]
    NoEvent,
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} is there twice")]
    Twice(&'static str),
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    #[error("its MAC does not hold")]
    Forged,
}

/// The headers of an event, with the producer's word for it.
pub(super) fn headers(event: &Envelope, keyring: &Keyring) -> Result<OwnedHeaders, SealedError> {
    let mac = keyring.bus_mac(&vouched(event))?;
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
    headers = text(headers, "ce_type", &format!("{TYPE}{}", event.kind));
    headers = text(headers, "ce_time", &time);
    headers = text(headers, "ce_subject", &event.case_id.to_string());
    headers = text(headers, "ce_shard", &event.shard.to_string());
    headers = text(headers, "ce_position", &event.position.to_string());
    if let Some(cause) = event.caused_by {
        headers = text(headers, "ce_causedby", &cause.to_string());
    }
    let word = format!("{}:{}", mac.key_id, hex::encode(mac.bytes));
    headers = text(headers, "ce_mac", &word);
    headers = text(headers, "content-type", CONTENT);
    if let Some(trace) = &event.traceparent {
        headers = text(headers, "traceparent", trace);
    }
    Ok(headers)
}

/// The event that a record of `producer`'s topic carries, if the producer vouches for it in this partition.
pub(super) fn read(
    producer: &str,
    keyring: &Keyring,
    message: &impl Message,
) -> Result<Envelope, Refused> {
    let found = Found::of(message)?;
    let shard = i16::try_from(message.partition())
        .ok()
        .filter(|shard| (0..SHARDS).contains(shard))
        .ok_or(Refused::NoEvent)?;
    if required(found.shard, "ce_shard")? != shard.to_string() {
        return Err(Refused::Malformed("ce_shard"));
    }
    let kind = required(found.kind, "ce_type")?
        .strip_prefix(TYPE)
        .ok_or(Refused::Malformed("ce_type"))?;
    let time = required(found.time, "ce_time")?;
    let envelope = Envelope {
        producer: producer.to_owned(),
        shard,
        position: required(found.position, "ce_position")?
            .parse()
            .ok()
            .filter(|position| *position > 0)
            .ok_or(Refused::Malformed("ce_position"))?,
        id: id(required(found.id, "ce_id")?, "ce_id")?,
        case_id: id(required(found.case, "ce_subject")?, "ce_subject")?,
        kind: kind.to_owned(),
        caused_by: found
            .cause
            .map(|text| id(text, "ce_causedby"))
            .transpose()?,
        occurred_at: OffsetDateTime::parse(time, &Rfc3339)
            .map_err(|_| Refused::Malformed("ce_time"))?,
        traceparent: found.trace.filter(|t| t.len() <= 128).map(str::to_owned),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    };
    let mac = word(required(found.mac, "ce_mac")?)?;
    keyring
        .check_bus(&vouched(&envelope), &mac)
        .map_err(|_| Refused::Forged)?;
    Ok(envelope)
}

/// What the MAC is over. The trace is not: it only says where to look.
fn vouched(event: &Envelope) -> BusRecord<'_> {
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

/// The headers that matter, each at most once.
#[derive(Default)]
struct Found<'a> {
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

impl<'a> Found<'a> {
    fn of(message: &'a impl Message) -> Result<Self, Refused> {
        let mut found = Self::default();
        let headers = message.headers().ok_or(Refused::NoEvent)?;
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
                .map_err(|_| Refused::Malformed(name))?;
            if slot.replace(value).is_some() {
                return Err(Refused::Twice(name));
            }
        }
        Ok(found)
    }
}

fn required<'a>(value: Option<&'a str>, name: &'static str) -> Result<&'a str, Refused> {
    value.ok_or(Refused::Missing(name))
}

fn id(text: &str, name: &'static str) -> Result<Uuid, Refused> {
    text.parse().map_err(|_| Refused::Malformed(name))
}

fn word(text: &str) -> Result<BusMac, Refused> {
    let malformed = Refused::Malformed("ce_mac");
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
