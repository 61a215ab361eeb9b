//! A record is taken only as its producer made it, and only where.

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

/// The same headers with one of them changed, or without it.
fn with(headers: &OwnedHeaders, key: &str, value: Option<&str>) -> OwnedHeaders {
    let mut changed = OwnedHeaders::new();
    for header in headers.iter() {
        let kept = std::str::from_utf8(header.value.unwrap()).unwrap();
        let value = if header.key == key { value } else { Some(kept) };
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
fn an_event_comes_back_as_it_was_sent() {
    let (keys, sent) = (keyring(), event());
    let headers = headers(&sent, &keys).unwrap();
    let got = read("intake", &keys, &message(headers, 5, b"payload")).unwrap();
    assert_eq!(format!("{got:?}"), format!("{sent:?}"));
    assert_eq!(
        (
            got.case_id,
            got.caused_by,
            got.occurred_at,
            got.traceparent,
            got.payload
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
fn nothing_of_an_event_can_be_changed_or_moved() {
    let (keys, sent) = (keyring(), event());
    let made = headers(&sent, &keys).unwrap();
    let refused = |headers: &OwnedHeaders, partition, payload: &[u8], producer| {
        read(
            producer,
            &keys,
            &message(headers.clone(), partition, payload),
        )
        .unwrap_err()
    };
    assert_eq!(refused(&made, 5, b"other", "intake"), Refused::Forged);
    assert_eq!(refused(&made, 5, b"payload", "dispatch"), Refused::Forged);
    assert_eq!(
        refused(&made, 6, b"payload", "intake"),
        Refused::Malformed("ce_shard")
    );
    let moved = with(&made, "ce_shard", Some("6"));
    assert_eq!(refused(&moved, 6, b"payload", "intake"), Refused::Forged);
    for (key, value) in [
        ("ce_id", "00000000-0000-0000-0000-000000000009"),
        ("ce_type", "takedown.v1.CaseActionable"),
        ("ce_time", "2025-01-01T12:00:01Z"),
        ("ce_subject", "00000000-0000-0000-0000-000000000009"),
        ("ce_position", "43"),
        ("ce_causedby", "00000000-0000-0000-0000-000000000009"),
    ] {
        let changed = with(&made, key, Some(value));
        assert_eq!(
            refused(&changed, 5, b"payload", "intake"),
            Refused::Forged,
            "{key}"
        );
    }
    let orphan = with(&made, "ce_causedby", None);
    assert_eq!(refused(&orphan, 5, b"payload", "intake"), Refused::Forged);
    let strange = keyring();
    let foreign = headers(&sent, &strange).unwrap();
    assert_eq!(refused(&foreign, 5, b"payload", "intake"), Refused::Forged);
}

#[test]
fn garbage_is_named_for_what_it_is() {
    let keys = keyring();
    let made = headers(&event(), &keys).unwrap();
    let refused = |headers: OwnedHeaders| {
        read("intake", &keys, &message(headers, 5, b"payload")).unwrap_err()
    };
    assert_eq!(refused(OwnedHeaders::new()), Refused::Missing("ce_shard"));
    assert_eq!(
        refused(with(&made, "ce_mac", None)),
        Refused::Missing("ce_mac")
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
        let Refused::Malformed(named) = refused(with(&made, key, Some(value))) else {
            panic!("{key}={value} was not found malformed");
        };
        assert_eq!(named, key);
    }
    let doubled = made.insert(Header {
        key: "ce_position",
        value: Some("42"),
    });
    assert_eq!(refused(doubled), Refused::Twice("ce_position"));
}
