//! A record is accepted only as its producer made it, and only in its own topic and partition.

use rdkafka::message::{OwnedMessage, Timestamp};

use super::*;

fn keyring() -> Keyring {
    let dir = tempfile::tempdir().unwrap();
    Keyring::create(&dir.path().join("keyring.json")).unwrap()
}

fn event() -> Envelope {
    Envelope {
        producer: "intake".into(),
        shard: 5,
        position: 42,
        id: Uuid::from_u128(1),
        case_id: Uuid::from_u128(2),
        kind: "ReportReceived".into(),
        caused_by: Some(Uuid::from_u128(3)),
        occurred_at: time::macros::datetime!(2025-01-01 12:00:00.123456 UTC),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        payload: Bytes::from_static(b"payload"),
    }
}

fn message(headers: OwnedHeaders, partition: i32, payload: &[u8]) -> OwnedMessage {
    let (topic, time) = ("takedown.intake.v1".to_owned(), Timestamp::NotAvailable);
    OwnedMessage::new(
        Some(payload.to_vec()),
        None,
        topic,
        time,
        partition,
        0,
        Some(headers),
    )
}

/// The same headers with one of them changed or removed.
fn with(headers: &OwnedHeaders, key: &str, value: Option<&str>) -> OwnedHeaders {
    let mut changed = OwnedHeaders::new();
    for header in headers.iter() {
        let original = std::str::from_utf8(header.value.unwrap()).unwrap();
        let value = if header.key == key {
            value
        } else {
            Some(original)
        };
        if let Some(value) = value {
            changed = changed.insert(Header {
                key: header.key,
                value: Some(value),
            });
        }
    }
    changed
}

#[test]
fn a_record_round_trips_an_event() {
    let (keys, sent) = (keyring(), event());
    let headers = headers(&sent, &keys).unwrap();
    let received = read("intake", &keys, &message(headers, 5, b"payload")).unwrap();
    assert_eq!(format!("{received:?}"), format!("{sent:?}"));
    assert_eq!(
        (
            received.case_id,
            received.caused_by,
            received.occurred_at,
            received.traceparent,
            received.payload
        ),
        (
            sent.case_id,
            sent.caused_by,
            sent.occurred_at,
            sent.traceparent,
            sent.payload
        )
    );
}

#[test]
fn a_record_that_was_changed_or_moved_is_rejected() {
    let (keys, sent) = (keyring(), event());
    let valid = headers(&sent, &keys).unwrap();
    let rejected = |headers: &OwnedHeaders, partition, payload: &[u8], producer| {
        read(
            producer,
            &keys,
            &message(headers.clone(), partition, payload),
        )
        .unwrap_err()
    };
    assert_eq!(
        rejected(&valid, 5, b"other", "intake"),
        RecordError::InvalidMac
    );
    assert_eq!(
        rejected(&valid, 5, b"payload", "dispatch"),
        RecordError::InvalidMac
    );
    assert_eq!(
        rejected(&valid, 6, b"payload", "intake"),
        RecordError::Malformed("ce_shard")
    );
    let moved = with(&valid, "ce_shard", Some("6"));
    assert_eq!(
        rejected(&moved, 6, b"payload", "intake"),
        RecordError::InvalidMac
    );
    for (key, value) in [
        ("ce_id", "00000000-0000-0000-0000-000000000009"),
        ("ce_type", "takedown.v1.CaseActionable"),
        ("ce_time", "2025-01-01T12:00:01Z"),
        ("ce_subject", "00000000-0000-0000-0000-000000000009"),
        ("ce_position", "43"),
        ("ce_causedby", "00000000-0000-0000-0000-000000000009"),
    ] {
        let changed = with(&valid, key, Some(value));
        assert_eq!(
            rejected(&changed, 5, b"payload", "intake"),
            RecordError::InvalidMac,
            "{key}"
        );
    }
    let without_cause = with(&valid, "ce_causedby", None);
    assert_eq!(
        rejected(&without_cause, 5, b"payload", "intake"),
        RecordError::InvalidMac
    );
    let other_keys = keyring();
    let foreign = headers(&sent, &other_keys).unwrap();
    assert_eq!(
        rejected(&foreign, 5, b"payload", "intake"),
        RecordError::InvalidMac
    );
}

#[test]
fn a_malformed_record_is_rejected_with_its_fault() {
    let keys = keyring();
    let valid = headers(&event(), &keys).unwrap();
    let rejected = |headers: OwnedHeaders| {
        read("intake", &keys, &message(headers, 5, b"payload")).unwrap_err()
    };
    assert_eq!(
        rejected(OwnedHeaders::new()),
        RecordError::Missing("ce_shard")
    );
    assert_eq!(
        rejected(with(&valid, "ce_mac", None)),
        RecordError::Missing("ce_mac")
    );
    for (key, value) in [
        ("ce_mac", "b1:00"),
        ("ce_mac", "nothing"),
        ("ce_position", "0"),
        ("ce_position", "many"),
        ("ce_type", "ReportReceived"),
        ("ce_time", "noon"),
        ("ce_id", "1"),
    ] {
        let RecordError::Malformed(named) = rejected(with(&valid, key, Some(value))) else {
            panic!("{key}={value} was not reported as malformed");
        };
        assert_eq!(named, key);
    }
    let doubled = valid.insert(Header {
        key: "ce_position",
        value: Some("42"),
    });
    assert_eq!(rejected(doubled), RecordError::Duplicate("ce_position"));
}
