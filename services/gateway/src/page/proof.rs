//! Whether the notice on the page is the hotline's word, checked as its addressee would check it: the signature by the
//! published keys, the addressee, and that the signed commitment is to the address that the page shows.
//!
//! A page vouches for itself only so far: it also shows what is needed to check the same without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::sealed::{KeyId, PublicKey, SigningContext, Verifier, commitment};
use proto::v1;
use serde::Deserialize;

/// What came of the check, and what it was made with.
pub(super) struct Proof {
    pub(super) verdict: Verdict,
    pub(super) key_id: String,
    /// The signed text, exactly.
    pub(super) signed: String,
    /// Standard base64, as the two below.
    pub(super) signature: String,
    pub(super) salt: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Refused,
    /// The keys are not at hand: that says nothing of the notice.
    NotNow,
}

impl Verdict {
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Holds => {
                "This page has checked it: the hotline signed this notice, for this company and this address."
            }
            Self::Refused => {
                "The signature of this notice does not hold. Do not act on it, and tell the hotline."
            }
            Self::NotNow => "The signature could not be checked just now. Load the page again.",
        }
    }
}

/// The fields of the signed text that stand beside it, too.
#[derive(Deserialize)]
struct Statement {
    notice_id: String,
    provider_id: String,
    commitment: String,
    key_id: String,
}

/// `keys` is `None` where they could not be had.
pub(super) fn of(notice: &v1::Notice, keys: Option<Vec<v1::SigningKey>>) -> Proof {
    let verdict = match keys {
        None => Verdict::NotNow,
        Some(keys) if holds(notice, &keys).is_some() => Verdict::Holds,
        Some(_) => Verdict::Refused,
    };
    if verdict == Verdict::Refused {
        tracing::error!(alarm = "notice_signature_refused", notice.id = %notice.notice_id, "a notice's page shows a signature that does not hold");
    }
    Proof {
        verdict,
        key_id: notice.key_id.clone(),
        signed: String::from_utf8_lossy(&notice.signed).into_owned(),
        signature: STANDARD.encode(&notice.signature),
        salt: STANDARD.encode(&notice.salt),
    }
}

fn holds(notice: &v1::Notice, keys: &[v1::SigningKey]) -> Option<()> {
    let keys = keys
        .iter()
        .filter(|key| key.purpose == SigningContext::Notice.name())
        .map(|key| {
            Some(PublicKey {
                key_id: KeyId::parse(&key.key_id).ok()?,
                bytes: key.public_key.as_ref().try_into().ok()?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    let verifier = Verifier::new(SigningContext::Notice, keys).ok()?;
    let said: Statement = serde_json::from_slice(&notice.signed).ok()?;
    let key_id = KeyId::parse(&said.key_id).ok()?;
    verifier
        .verify(&key_id, &notice.signed, &notice.signature)
        .ok()?;
    let salt: [u8; 32] = notice.salt.as_ref().try_into().ok()?;
    let is_same = said.notice_id == notice.notice_id
        && said.provider_id == notice.provider_id
        && said.key_id == notice.key_id
        && said.commitment == hex::encode(commitment(&salt, &notice.url));
    is_same.then_some(())
}

#[cfg(test)]
mod tests {
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
            purpose: "notice".into(),
        })
        .collect()
    }

    #[test]
    fn a_true_notice_holds_and_nothing_beside_it_may_differ() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::create(&folder.path().join("keyring.json")).unwrap();
        let other = Keyring::create(&folder.path().join("other.json")).unwrap();
        let verdict = |notice: &v1::Notice| of(notice, Some(keys(&keyring))).verdict;
        let good = notice(&keyring);
        assert_eq!(verdict(&good), Verdict::Holds);
        assert_eq!(of(&good, None).verdict, Verdict::NotNow);
        let bad: [fn(&mut v1::Notice); 5] = [
            |notice| notice.provider_id = "other-host".into(),
            |notice| notice.url = "https://img.amber.example/a/2".into(),
            |notice| notice.salt = vec![8; 32].into(),
            |notice| notice.signature = vec![0; 64].into(),
            |notice| notice.notice_id = "m".into(),
        ];
        for change in bad {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(verdict(&changed), Verdict::Refused);
        }
        assert_eq!(verdict(&notice(&other)), Verdict::Refused);
    }
}
