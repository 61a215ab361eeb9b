//! Test vectors: stored rows, tokens and published signatures must stay valid when the code changes.

use platform::principal::{Role, Roles};
use platform::sealed::{
    BusMac, BusRecord, KeyId, Keyring, MacPurpose, PublicKey, Purpose, SigningContext, StaffClaims,
    StaffTokenIssuer, StaffTokenVerifier, TagPurpose, WrappedKey, commitment, jwks, parse_jwks,
};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

struct Vectors(Value, Keyring);

impl Vectors {
    fn load() -> Self {
        let all: Value = serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap();
        let keyring = Keyring::parse(&all["keyring"].to_string()).unwrap();
        Self(all, keyring)
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).unwrap().as_str().unwrap()
    }

    fn bytes(&self, pointer: &str) -> Vec<u8> {
        hex::decode(self.text(pointer)).unwrap()
    }

    fn id(&self, pointer: &str) -> Uuid {
        self.text(pointer).parse().unwrap()
    }
}

#[test]
fn tags_match_the_vectors_for_the_current_and_the_previous_key() {
    let vectors = Vectors::load();
    let url = vectors.text("/url").as_bytes();
    let mut tags = Vec::new();
    for (purpose, name) in [
        (TagPurpose::Url, "url"),
        (TagPurpose::Hash, "hash"),
        (TagPurpose::Reference, "reference"),
    ] {
        tags.extend(vectors.1.tags(purpose, url).into_iter().map(|tag| {
            serde_json::json!({
                "purpose": name, "key_id": tag.key_id.as_str(), "tag": hex::encode(tag.bytes)
            })
        }));
    }
    assert_eq!(Value::from(tags), vectors.0["tags"]);
}

#[test]
fn commitments_match_the_vectors() {
    let vectors = Vectors::load();
    let salt = vectors.bytes("/commitment/salt").try_into().unwrap();
    let computed = commitment(&salt, vectors.text("/url"));
    assert_eq!(hex::encode(computed), vectors.text("/commitment/digest"));
}

#[test]
fn a_data_key_of_a_previous_epoch_and_a_value_sealed_with_it_open() {
    let vectors = Vectors::load();
    let (case, row) = (vectors.id("/case_id"), vectors.id("/row_id"));
    let wrapped = WrappedKey::parse(vectors.bytes("/wrapped_key")).unwrap();
    assert_eq!(wrapped.key_id().as_str(), "e-1");
    let key = vectors.1.unwrap(case, &wrapped).unwrap();
    assert_eq!(key.id().as_str(), vectors.text("/data_key_id"));
    let opened = key.open(Purpose::Url, case, row, vectors.bytes("/sealed"));
    assert_eq!(opened.unwrap().text().unwrap(), vectors.text("/url"));
}

#[test]
fn a_value_of_a_provider_opens() {
    let vectors = Vectors::load();
    let opened = vectors
        .1
        .open_provider(
            Purpose::Endpoint,
            vectors.text("/provider/id"),
            vectors.id("/row_id"),
            vectors.bytes("/provider/sealed"),
        )
        .unwrap();
    assert_eq!(opened.text().unwrap(), vectors.text("/provider/plaintext"));
}

#[test]
fn macs_match_the_vectors_also_for_the_previous_key() {
    let vectors = Vectors::load();
    let fields: [&[u8]; 2] = [b"notice", b"host-a"];
    let computed = vectors.1.mac(MacPurpose::Link, &fields);
    assert_eq!(hex::encode(computed), vectors.text("/link_mac/mac"));
    let previous = vectors.bytes("/link_mac/previous");
    assert!(vectors.1.verify_mac(MacPurpose::Link, &fields, &previous));
    let body = vectors.1.mac(MacPurpose::Body, &[b"body"]);
    assert_eq!(hex::encode(body), vectors.text("/body_mac"));
}

#[test]
fn the_mac_of_a_bus_record_matches_the_vector() {
    let vectors = Vectors::load();
    let payload = vectors.bytes("/bus_mac/payload");
    let record = BusRecord {
        service: vectors.text("/bus_mac/service"),
        shard: 7,
        position: 42,
        event_id: vectors.id("/event_id"),
        kind: vectors.text("/bus_mac/kind"),
        case_id: vectors.id("/case_id"),
        caused_by: Some(vectors.id("/bus_mac/caused_by")),
        occurred_at: time::OffsetDateTime::from_unix_timestamp_nanos(
            vectors
                .0
                .pointer("/bus_mac/occurred_at_nanos")
                .unwrap()
                .as_i64()
                .unwrap()
                .into(),
        )
        .unwrap(),
        payload: &payload,
    };
    let mac = BusMac {
        key_id: KeyId::parse("b-intake").unwrap(),
        bytes: vectors.bytes("/bus_mac/mac").try_into().unwrap(),
    };
    assert_eq!(vectors.1.bus_mac(&record).unwrap(), mac);
    vectors.1.verify_bus_mac(&record, &mac).unwrap();
}

#[test]
fn signatures_match_the_vectors() {
    let vectors = Vectors::load();
    let computed: Vec<Value> = SigningContext::ALL
        .into_iter()
        .map(|context| {
            let signer = vectors.1.signer(context);
            let signature = signer.sign(b"words");
            let verifier = vectors.1.verifier(context);
            verifier
                .verify(signer.key_id(), b"words", &signature)
                .unwrap();
            serde_json::json!({
                "context": context.name(), "key_id": signer.key_id().as_str(),
                "signature": hex::encode(signature),
            })
        })
        .collect();
    assert_eq!(Value::from(computed), vectors.0["signatures"]);
}

#[test]
fn webhook_signatures_follow_standard_webhooks() {
    use base64::Engine as _;
    let vectors = Vectors::load();
    let signer = vectors.1.signer(SigningContext::Notice);
    let message = vectors.text("/webhook/message").as_bytes();
    let signature = signer.sign_raw(message).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(signature);
    assert_eq!(encoded, vectors.text("/webhook/signature"));
    let published = vectors.text("/webhook/public_key");
    assert_eq!(signer.public_key().whpk(), published);
    let read = PublicKey::from_whpk(signer.key_id().clone(), published).unwrap();
    assert_eq!(read, signer.public_key());
    let verifier = vectors.1.verifier(SigningContext::Notice);
    verifier
        .verify_raw(signer.key_id(), message, &signature)
        .unwrap();
}

#[test]
fn published_keys_are_read_back() {
    let keys = Vectors::load().1.public_keys(SigningContext::Notice);
    let ids: Vec<_> = keys.iter().map(|key| key.key_id.as_str()).collect();
    assert_eq!(ids, ["s-notice-2", "s-notice-1"]);
    assert_eq!(parse_jwks(&jwks(&keys)).unwrap(), keys);
}

#[test]
fn the_staff_token_matches_the_vector() {
    let vectors = Vectors::load();
    let at = vectors.0["staff_token"]["issued_at"].as_i64().unwrap();
    let issued_at = OffsetDateTime::from_unix_timestamp(at).unwrap();
    let claims = StaffClaims {
        subject: vectors.id("/staff_token/subject"),
        name: vectors.text("/staff_token/name").to_owned(),
        roles: Roles::from_iter([Role::Analyst, Role::Supervisor]),
        session: vectors.id("/staff_token/session"),
        audience: vectors.text("/staff_token/audience").to_owned(),
        issued_at,
        expires_at: issued_at + Duration::seconds(60),
    };
    let issuer = StaffTokenIssuer::new(vectors.1.signer(SigningContext::StaffToken)).unwrap();
    let token = issuer.issue(&claims).unwrap();
    assert_eq!(token, vectors.text("/staff_token/token"));
    let verifier = vectors.1.verifier(SigningContext::StaffToken);
    let verifier = StaffTokenVerifier::new(verifier, "dispatch").unwrap();
    assert_eq!(verifier.verify(&token, issued_at).unwrap(), claims);
}
