//! What is sealed, signed or issued holds in its own place and nowhere else.

use platform::sealed::{
    BusRecord, KeyId, Keyring, MacPurpose, PublicKey, Purpose, SealedError, SigningContext,
    TagPurpose, Verifier, WrappedKey, commitment, random,
};
use serde_json::Value;
use uuid::Uuid;

const CASE: Uuid = Uuid::from_u128(1);
const ROW: Uuid = Uuid::from_u128(2);
const OTHER: Uuid = Uuid::from_u128(3);

fn fixed_json() -> Value {
    let all: Value = serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap();
    all["keyring"].clone()
}

fn keyring() -> Keyring {
    Keyring::parse(&fixed_json().to_string()).unwrap()
}

#[test]
fn nothing_that_was_moved_or_altered_opens() {
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
    refused(key.open(Purpose::Spelling, CASE, ROW, &sealed));
    refused(key.open(Purpose::Url, OTHER, ROW, &sealed));
    refused(key.open(Purpose::Url, CASE, OTHER, &sealed));
    refused(other_key.open(Purpose::Url, CASE, ROW, &sealed));
    let bytes = sealed.clone().into_bytes();
    for place in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        assert!(
            key.open(Purpose::Url, CASE, ROW, &altered).is_err(),
            "byte {place}"
        );
        assert!(
            key.open(Purpose::Url, CASE, ROW, &bytes[..place]).is_err(),
            "cut at {place}"
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
    assert_eq!(
        keyring.rewrap(OTHER, &wrapped).unwrap_err(),
        SealedError::Refused
    );
    assert_ne!(
        sealed,
        key.seal(Purpose::Url, CASE, ROW, b"value"),
        "nonces are fresh"
    );
}

#[test]
fn a_value_of_an_outside_party_opens_in_its_own_row_only() {
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
fn destroying_an_epochs_key_destroys_what_was_under_it() {
    let keyring = keyring();
    let (_, wrapped) = keyring.new_data_key(CASE);
    let mut json = fixed_json();
    json["epochs"]["current"] = "e-1".into();
    json["epochs"]["keys"].as_array_mut().unwrap().remove(0);
    let shredded = Keyring::parse(&json.to_string()).unwrap();
    let gone = KeyId::parse("e-2").unwrap();
    assert_eq!(
        shredded.unwrap(CASE, &wrapped).unwrap_err(),
        SealedError::UnknownKey(gone)
    );
    assert!(WrappedKey::parse(b"\x01\x03e-2".to_vec()).is_err());
}

#[test]
fn keyed_hashes_differ_by_purpose_and_by_where_a_field_ends() {
    let keyring = keyring();
    let mac = keyring.mac(MacPurpose::Link, &[b"ab", b"c"]);
    assert!(keyring.mac_holds(MacPurpose::Link, &[b"ab", b"c"], &mac));
    assert!(!keyring.mac_holds(MacPurpose::Link, &[b"a", b"bc"], &mac));
    assert!(!keyring.mac_holds(MacPurpose::Link, &[b"ab", b"c", b""], &mac));
    assert!(!keyring.mac_holds(MacPurpose::Body, &[b"ab", b"c"], &mac));
    assert!(!keyring.mac_holds(MacPurpose::Link, &[b"ab", b"c"], &mac[..31]));
    let tags = |purpose| keyring.tags(purpose, b"x").remove(0).bytes;
    assert_ne!(tags(TagPurpose::Url), tags(TagPurpose::Hash));
    let salt = random();
    assert_ne!(commitment(&salt, "a"), commitment(&random(), "a"));
}

#[test]
fn a_record_of_the_bus_is_bound_to_every_one_of_its_fields() {
    let keyring = keyring();
    let true_record = BusRecord {
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
    let mac = keyring.bus_mac(&true_record).unwrap();
    let forged = [
        BusRecord {
            shard: 2,
            ..true_record
        },
        BusRecord {
            position: 3,
            ..true_record
        },
        BusRecord {
            event_id: OTHER,
            ..true_record
        },
        BusRecord {
            kind: "Kinds",
            ..true_record
        },
        BusRecord {
            caused_by: Some(OTHER),
            ..true_record
        },
        BusRecord {
            occurred_at: time::OffsetDateTime::UNIX_EPOCH + time::Duration::NANOSECOND,
            ..true_record
        },
        BusRecord {
            case_id: OTHER,
            ..true_record
        },
        BusRecord {
            payload: b"payloa",
            ..true_record
        },
    ];
    for record in forged {
        assert_eq!(keyring.check_bus(&record, &mac), Err(SealedError::Refused));
    }
    let other_service = BusRecord {
        service: "ledger",
        ..true_record
    };
    assert!(matches!(
        keyring.check_bus(&other_service, &mac),
        Err(SealedError::UnknownKey(_))
    ));
    let nobody = BusRecord {
        service: "nobody",
        ..true_record
    };
    assert_eq!(keyring.bus_mac(&nobody), Err(SealedError::UnknownService));
}

#[test]
fn a_signature_is_refused_out_of_context_by_another_key_or_for_other_bytes() {
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
    let sealed = key.seal(Purpose::Url, CASE, ROW, b"plain-words");
    let opened = key.open(Purpose::Url, CASE, ROW, &sealed).unwrap();
    let signer = keyring.signer(SigningContext::Notice);
    let shown = format!("{keyring:?} {key:?} {sealed:?} {opened:?} {signer:?} {wrapped:?}");
    assert!(!shown.contains("plain-words"));
    for ring in ["index", "provider", "body"] {
        let secret = fixed_json()[ring]["keys"][0]["key"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(!shown.contains(&secret));
    }
    assert!(shown.contains("Key(i-2, <redacted>)"), "{shown}");
}
