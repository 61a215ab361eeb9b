//! Verifies the signature of the notice on the page as its addressee would: the signature with the published
//! keys, the addressee, and that the signed commitment matches the URL on the page.
//!
//! A page cannot prove its own authenticity, so it also shows everything that is needed to verify the notice
//! without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::enums::SigningPurpose;
use platform::sealed::{KeyId, PublicKey, SigningContext, Verifier, commitment};
use proto::v1;
use serde::Deserialize;

/// The result of the verification, and its inputs.
pub(super) struct SignatureCheck {
    pub(super) status: SignatureStatus,
    pub(super) key_id: String,
    /// The exact signed text.
    pub(super) signed: String,
    /// Standard base64.
    pub(super) signature: String,
    /// Standard base64.
    pub(super) salt: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureStatus {
    Valid,
    Invalid,
    /// The published keys could not be fetched, so the signature was not checked.
    KeysUnavailable,
}

impl SignatureStatus {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Valid => {
                "This page has checked it: the hotline signed this notice, for this company and this address."
            }
            Self::Invalid => {
                "The signature of this notice is not valid. Do not act on it, and inform the hotline."
            }
            Self::KeysUnavailable => {
                "The signature could not be checked just now. Load the page again."
            }
        }
    }
}

/// The fields of the signed text that must match the notice around it.
#[derive(Deserialize)]
struct SignedNotice {
    notice_id: String,
    provider_id: String,
    commitment: String,
    key_id: String,
}

/// `keys` is `None` if the published keys could not be fetched.
pub(super) fn check(notice: &v1::Notice, keys: Option<Vec<v1::SigningKey>>) -> SignatureCheck {
    let status = match keys {
        None => SignatureStatus::KeysUnavailable,
        Some(keys) if verify(notice, &keys).is_some() => SignatureStatus::Valid,
        Some(_) => SignatureStatus::Invalid,
    };
    if status == SignatureStatus::Invalid {
        tracing::error!(alarm = "notice_signature_refused", notice.id = %notice.notice_id, "a notice page shows an invalid signature");
    }
    SignatureCheck {
        status,
        key_id: notice.key_id.clone(),
        signed: String::from_utf8_lossy(&notice.signed).into_owned(),
        signature: STANDARD.encode(&notice.signature),
        salt: STANDARD.encode(&notice.salt),
    }
}

fn verify(notice: &v1::Notice, keys: &[v1::SigningKey]) -> Option<()> {
    let keys = keys
        .iter()
        .filter(|key| key.purpose == SigningPurpose::Notice.wire())
        .map(|key| {
            Some(PublicKey {
                key_id: KeyId::parse(&key.key_id).ok()?,
                bytes: key.public_key.as_ref().try_into().ok()?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    let verifier = Verifier::new(SigningContext::Notice, keys).ok()?;
    let signed: SignedNotice = serde_json::from_slice(&notice.signed).ok()?;
    let key_id = KeyId::parse(&signed.key_id).ok()?;
    verifier
        .verify(&key_id, &notice.signed, &notice.signature)
        .ok()?;
    let salt: [u8; 32] = notice.salt.as_ref().try_into().ok()?;
    let matches = signed.notice_id == notice.notice_id
        && signed.provider_id == notice.provider_id
        && signed.key_id == notice.key_id
        && signed.commitment == hex::encode(commitment(&salt, &notice.url));
    matches.then_some(())
}

#[cfg(test)]
mod tests {
    use domain::enums::SigningPurpose;
    use platform::sealed::Keyring;

    use super::*;

    const URL: &str = "https://img.amber.example/a/1";
    const SALT: [u8; 32] = [9; 32];

    fn notice(keyring: &Keyring) -> v1::Notice {
        let signer = keyring.signer(SigningContext::Notice);
        let statement = serde_json::json!({
            "format": 1, "notice_id": "n", "provider_id": "amber-host",
            "commitment": hex::encode(commitment(&SALT, URL)), "key_id": signer.key_id().as_str(),
        })
        .to_string();
        v1::Notice {
            notice_id: "n".into(),
            provider_id: "amber-host".into(),
            url: URL.into(),
            salt: SALT.to_vec().into(),
            key_id: signer.key_id().to_string(),
            signature: signer.sign(statement.as_bytes()).to_vec().into(),
            signed: statement.into_bytes().into(),
            ..v1::Notice::default()
        }
    }

    fn keys(keyring: &Keyring) -> Vec<v1::SigningKey> {
        let keys = keyring.public_keys(SigningContext::Notice).into_iter();
        keys.map(|key| v1::SigningKey {
            key_id: key.key_id.to_string(),
            public_key: key.bytes.to_vec().into(),
            purpose: SigningPurpose::Notice.wire(),
        })
        .collect()
    }

    #[test]
    fn a_signed_notice_is_valid_and_a_change_to_any_field_makes_it_invalid() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::create(&folder.path().join("keyring.json")).unwrap();
        let other = Keyring::create(&folder.path().join("other.json")).unwrap();
        let status = |notice: &v1::Notice| check(notice, Some(keys(&keyring))).status;
        let good = notice(&keyring);
        assert_eq!(status(&good), SignatureStatus::Valid);
        assert_eq!(check(&good, None).status, SignatureStatus::KeysUnavailable);
        let changes: [fn(&mut v1::Notice); 5] = [
            |notice| notice.provider_id = "other-host".into(),
            |notice| notice.url = "https://img.amber.example/a/2".into(),
            |notice| notice.salt = vec![8; 32].into(),
            |notice| notice.signature = vec![0; 64].into(),
            |notice| notice.notice_id = "m".into(),
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(status(&changed), SignatureStatus::Invalid);
        }
        assert_eq!(status(&notice(&other)), SignatureStatus::Invalid);
    }
}
