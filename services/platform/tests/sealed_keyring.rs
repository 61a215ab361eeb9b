//! The keyring file: created once, readable only by its owner, and refused if it is malformed.

use std::os::unix::fs::PermissionsExt as _;

use platform::sealed::{Keyring, KeyringError, Purpose, SigningContext, TagPurpose};
use serde_json::Value;
use uuid::Uuid;

const CASE: Uuid = Uuid::from_u128(1);
const ROW: Uuid = Uuid::from_u128(2);

fn vectors_keyring_json() -> Value {
    let all: Value = serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap();
    all["keyring"].clone()
}

#[test]
fn a_keyring_is_created_once_is_readable_only_by_its_owner_and_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let created = Keyring::create(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (key, wrapped) = created.new_data_key(CASE);
    let sealed = key.seal(Purpose::Url, CASE, ROW, b"https://a.example/");
    let opened = Keyring::open(&path)
        .unwrap()
        .unwrap(CASE, &wrapped)
        .unwrap();
    let opened = opened.open(Purpose::Url, CASE, ROW, &sealed).unwrap();
    assert_eq!(opened.text().unwrap(), "https://a.example/");

    assert!(matches!(
        Keyring::create(&path),
        Err(KeyringError::Exists(_))
    ));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the draft file is removed"
    );
    let set_mode = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o440);
    Keyring::open(&path).expect("readable by the group, as Kubernetes mounts secrets");
    for mode in [0o604, 0o660, 0o444] {
        set_mode(mode);
        let refused = Keyring::open(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
}

#[test]
fn two_keyrings_have_different_keys() {
    let folder = tempfile::tempdir().unwrap();
    let one = Keyring::create(&folder.path().join("one")).unwrap();
    let two = Keyring::create(&folder.path().join("two")).unwrap();
    assert_ne!(one.epoch(), two.epoch());
    assert_ne!(
        one.tags(TagPurpose::Url, b"x"),
        two.tags(TagPurpose::Url, b"x")
    );
    assert_ne!(
        one.public_keys(SigningContext::Notice),
        two.public_keys(SigningContext::Notice)
    );
}

#[test]
fn a_malformed_keyring_is_refused_without_showing_a_key() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("format", |json| json["format"] = 2.into()),
        ("current", |json| json["index"]["current"] = "i-9".into()),
        ("32 bytes", |json| {
            json["index"]["keys"][0]["key"] = "c2VjcmV0".into();
        }),
        ("32 bytes", |json| {
            json["index"]["keys"][0]["key"] = "secret!".into();
        }),
        ("key id", |json| {
            json["index"]["keys"][0]["id"] = "I 2".into();
        }),
        ("same id", |json| {
            json["provider"]["keys"][0]["id"] = "i-2".into();
        }),
        ("signing context", |json| {
            drop(json["signing"].as_object_mut().unwrap().remove("proof"));
        }),
        ("unknown signing", |json| {
            json["signing"]["other"] = json["provider"].clone();
        }),
        ("fields", |json| json["extra"] = 1.into()),
    ];
    for (expected, change) in changes {
        let mut json = vectors_keyring_json();
        change(&mut json);
        let refused = Keyring::parse(&json.to_string()).unwrap_err();
        assert!(
            refused.to_string().contains(expected),
            "{refused} does not contain {expected}"
        );
        assert!(!format!("{refused:?}").contains("secret"));
    }
    let mut three = vectors_keyring_json();
    let third = serde_json::json!({"id": "s-3", "key": three["provider"]["keys"][0]["key"]});
    three["signing"]["notice"]["keys"]
        .as_array_mut()
        .unwrap()
        .push(third);
    assert!(
        Keyring::parse(&three.to_string()).is_err(),
        "a signing context has at most two keys"
    );
}
