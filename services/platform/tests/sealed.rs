//! Sealed values, MACs and signatures are valid only in their own context.

use platform::sealed::{
    BusRecord, KeyId, Keyring, MacPurpose, PublicKey, Purpose, SealedError, SigningContext,
    TagPurpose, Verifier, WrappedKey, commitment, random,
};
use serde_json::Value;
use uuid::Uuid;

const CASE: Uuid = Uuid::from_u128(1);
const ROW: Uuid = Uuid::from_u128(2);
const OTHER: Uuid = Uuid::from_u128(3);

fn vectors_keyring_json() -> Value {
    let all: Value = serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap();
    all["keyring"].clone()
}

fn keyring() -> Keyring {
    Keyring::parse(&vectors_keyring_json().to_string()).unwrap()
}

#[test]
fn a_moved_or_changed_value_does_not_open() {
    let keyring = keyring();
    let (key, wrapped) = keyring.new_data_key(CASE);
    let (other_key, _) = keyring.new_data_key(CASE);
    let sealed = key.seal(Purpose::Url, CASE, ROW, b"value");
    assert_eq!(
        &*key.open(Purpose::Url, CASE, ROW, &sealed).unwrap(),
        b"value"
    );
    let refused =
        |opened: Result<_, SealedError>| assert_eq!(opened.unwrap_err(), SealedError::Refused);
    refused(key.open(Purpose::ReportedUrl, CASE, ROW, &sealed));
    refused(key.open(Purpose::Url, OTHER, ROW, &sealed));
    refused(key.open(Purpose::Url, CASE, OTHER, &sealed));
    refused(other_key.open(Purpose::Url, CASE, ROW, &sealed));
    let bytes = sealed.clone().into_bytes();
    for index in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[index] ^= 1;
        assert!(
            key.open(Purpose::Url, CASE, ROW, &altered).is_err(),
            "byte {index}"
        );
        assert!(
            key.open(Purpose::Url, CASE, ROW, &bytes[..index]).is_err(),
            "truncated at {index}"
        );
    }
    assert_eq!(
        key.open(Purpose::Url, CASE, ROW, [9, 9]).unwrap_err(),
        SealedError::UnknownFormat(9)
    );
    assert_eq!(
        keyring.unwrap(OTHER, &wrapped).unwrap_err(),
        SealedError::Refused
    );
    assert_ne!(
        sealed,
        key.seal(Purpose::Url, CASE, ROW, b"value"),
        "nonces are random"
    );
}

#[test]
fn a_value_of_a_provider_opens_only_in_its_own_row() {
    let keyring = keyring();
    let sealed = keyring.seal_provider(Purpose::Endpoint, "host-a", ROW, b"https://in.example/");
    let open =
        |purpose, provider: &str, row| keyring.open_provider(purpose, provider, row, &sealed);
    assert_eq!(
        &*open(Purpose::Endpoint, "host-a", ROW).unwrap(),
        b"https://in.example/"
    );
    assert_eq!(
        open(Purpose::Contact, "host-a", ROW).unwrap_err(),
        SealedError::Refused
    );
    assert_eq!(
        open(Purpose::Endpoint, "host-b", ROW).unwrap_err(),
        SealedError::Refused
    );
    assert_eq!(
        open(Purpose::Endpoint, "host-a", OTHER).unwrap_err(),
        SealedError::Refused
    );
}

#[test]
fn destroying_the_key_of_an_epoch_destroys_its_data_keys() {
    let keyring = keyring();
    let (_, wrapped) = keyring.new_data_key(CASE);
    let mut json = vectors_keyring_json();
    json["epochs"]["current"] = "e-1".into();
    json["epochs"]["keys"].as_array_mut().unwrap().remove(0);
    let without_epoch = Keyring::parse(&json.to_string()).unwrap();
    let destroyed = KeyId::parse("e-2").unwrap();
    assert_eq!(
        without_epoch.unwrap(CASE, &wrapped).unwrap_err(),
        SealedError::UnknownKey(destroyed)
    );
    assert!(WrappedKey::parse(b"\x01\x03e-2".to_vec()).is_err());
}

#[test]
fn macs_depend_on_the_purpose_and_on_field_boundaries() {
    let keyring = keyring();
    let mac = keyring.mac(MacPurpose::Link, &[b"ab", b"c"]);
    assert!(keyring.verify_mac(MacPurpose::Link, &[b"ab", b"c"], &mac));
    assert!(!keyring.verify_mac(MacPurpose::Link, &[b"a", b"bc"], &mac));
    assert!(!keyring.verify_mac(MacPurpose::Link, &[b"ab", b"c", b""], &mac));
    assert!(!keyring.verify_mac(MacPurpose::Body, &[b"ab", b"c"], &mac));
    assert!(!keyring.verify_mac(MacPurpose::Link, &[b"ab", b"c"], &mac[..31]));
    let tags = |purpose| keyring.tags(purpose, b"x").remove(0).bytes;
    assert_ne!(tags(TagPurpose::Url), tags(TagPurpose::Hash));
    let salt = random();
    assert_ne!(commitment(&salt, "a"), commitment(&random(), "a"));
}

#[test]
fn the_mac_of_a_bus_record_depends_on_every_field() {
    let keyring = keyring();
    let record = BusRecord {
        service: "intake",
        shard: 1,
        position: 2,
        event_id: ROW,
        kind: "Kind",
        case_id: CASE,
        caused_by: None,
        occurred_at: time::OffsetDateTime::UNIX_EPOCH,
        payload: b"payload",
    };
    let mac = keyring.bus_mac(&record).unwrap();
    let changed = [
        BusRecord { shard: 2, ..record },
        BusRecord {
            position: 3,
            ..record
        },
        BusRecord {
            event_id: OTHER,
            ..record
        },
        BusRecord {
            kind: "Kinds",
            ..record
        },
        BusRecord {
            caused_by: Some(OTHER),
            ..record
        },
        BusRecord {
            occurred_at: time::OffsetDateTime::UNIX_EPOCH + time::Duration::NANOSECOND,
            ..record
        },
        BusRecord {
            case_id: OTHER,
            ..record
        },
        BusRecord {
            payload: b"payloa",
            ..record
        },
    ];
    for forged in changed {
        assert_eq!(
            keyring.verify_bus_mac(&forged, &mac),
            Err(SealedError::Refused)
        );
    }
    let other_service = BusRecord {
        service: "ledger",
        ..record
    };
    assert!(matches!(
        keyring.verify_bus_mac(&other_service, &mac),
        Err(SealedError::UnknownKey(_))
    ));
    let unknown_service = BusRecord {
        service: "unknown",
        ..record
    };
    assert_eq!(
        keyring.bus_mac(&unknown_service),
        Err(SealedError::UnknownService)
    );
}

#[test]
fn a_signature_is_refused_in_another_context_for_another_key_or_for_other_bytes() {
    let keyring = keyring();
    let signer = keyring.signer(SigningContext::Notice);
    let signature = signer.sign(b"words");
    let verifier = keyring.verifier(SigningContext::Notice);
    let id = signer.key_id();
    assert_eq!(
        verifier.verify(id, b"other", &signature),
        Err(SealedError::Refused)
    );
    assert_eq!(
        verifier.verify(id, b"words", &signature[..63]),
        Err(SealedError::Refused)
    );
    assert_eq!(
        verifier.verify_raw(id, b"words", &signature),
        Err(SealedError::Refused)
    );
    let previous = KeyId::parse("s-notice-1").unwrap();
    assert_eq!(
        verifier.verify(&previous, b"words", &signature),
        Err(SealedError::Refused)
    );
    let unknown = KeyId::parse("s-proof").unwrap();
    assert_eq!(
        verifier.verify(&unknown, b"words", &signature),
        Err(SealedError::UnknownKey(unknown.clone()))
    );
    let same_key_other_context =
        Verifier::new(SigningContext::Proof, [signer.public_key()]).unwrap();
    assert_eq!(
        same_key_other_context.verify(id, b"words", &signature),
        Err(SealedError::Refused)
    );

    assert_eq!(
        signer.sign_raw(b"\0takedown/1/notice\0words"),
        Err(SealedError::Refused)
    );
    let weak = PublicKey {
        key_id: unknown,
        bytes: [0; 32],
    };
    assert!(Verifier::new(SigningContext::Proof, [weak]).is_err());
}

#[test]
fn debug_shows_no_key_and_no_plaintext() {
    let keyring = keyring();
    let (key, wrapped) = keyring.new_data_key(CASE);
    let sealed = key.seal(Purpose::Url, CASE, ROW, b"secret-text");
    let opened = key.open(Purpose::Url, CASE, ROW, &sealed).unwrap();
    let signer = keyring.signer(SigningContext::Notice);
    let shown = format!("{keyring:?} {key:?} {sealed:?} {opened:?} {signer:?} {wrapped:?}");
    assert!(!shown.contains("secret-text"));
    for ring in ["index", "provider", "body"] {
        let secret = vectors_keyring_json()[ring]["keys"][0]["key"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(!shown.contains(&secret));
    }
    assert!(shown.contains("Key(i-2, <redacted>)"), "{shown}");
}
