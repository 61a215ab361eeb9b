//! The hotline's public keys: the published key set (RFC 7517, RFC 8037), and the webhook key of Standard Webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

/// What precedes the signed bytes of a notice, so that a signature for another purpose is not valid for a notice.
const NOTICE_CONTEXT: &[u8] = b"\0takedown/1/notice\0";

/// The keys that sign notices, by id.
#[derive(Debug, Clone, Default)]
pub struct HotlineKeys(Vec<(String, VerifyingKey)>);

/// A published key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hotline published a key that is not an Ed25519 key")]
pub struct KeyError;

/// Why the signature of a notice is not accepted.
pub(crate) enum SignatureError {
    UnknownKey,
    Invalid,
}

impl HotlineKeys {
    /// Parses a key set. Keys of other types are ignored.
    ///
    /// # Errors
    /// The document is not a key set, or an Ed25519 key in it is invalid.
    pub fn parse(document: &Value) -> Result<Self, KeyError> {
        let keys = document["keys"].as_array().ok_or(KeyError)?;
        keys.iter()
            .filter(|key| key["kty"] == "OKP" && key["crv"] == "Ed25519")
            .map(|key| {
                let id = key["kid"].as_str().ok_or(KeyError)?;
                let x = key["x"].as_str().ok_or(KeyError)?;
                let bytes = URL_SAFE_NO_PAD.decode(x).map_err(|_| KeyError)?;
                Ok((id.to_owned(), public_key(&bytes)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn verify(
        &self,
        key_id: &str,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let (_, key) = self
            .0
            .iter()
            .find(|(id, _)| id == key_id)
            .ok_or(SignatureError::UnknownKey)?;
        if is_signed_by(key, &[NOTICE_CONTEXT, signed].concat(), signature) {
            Ok(())
        } else {
            Err(SignatureError::Invalid)
        }
    }
}

/// The key that signs webhooks, from the preferences of the provider: `whpk_` and base64.
#[derive(Debug, Clone)]
pub struct WebhookKey(VerifyingKey);

impl WebhookKey {
    /// # Errors
    /// The text is not such a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.strip_prefix("whpk_").ok_or(KeyError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError)?;
        public_key(&bytes).map(Self)
    }

    pub(crate) fn is_valid(&self, signed: &[u8], signature: &[u8]) -> bool {
        is_signed_by(&self.0, signed, signature)
    }
}

/// A weak key, for which many signatures of many messages are valid, is refused.
fn public_key(bytes: &[u8]) -> Result<VerifyingKey, KeyError> {
    let bytes = bytes.try_into().map_err(|_| KeyError)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError)?;
    if key.is_weak() {
        Err(KeyError)
    } else {
        Ok(key)
    }
}

fn is_signed_by(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_key_types_are_ignored_and_weak_keys_are_refused() {
        let key_set = |x: &[u8; 32]| {
            let ours = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": URL_SAFE_NO_PAD.encode(x) });
            json!({ "keys": [{ "kty": "RSA", "kid": "b" }, ours] })
        };
        let base_point = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        let keys = HotlineKeys::parse(&key_set(base_point.as_bytes())).unwrap();
        assert_eq!(keys.0, [("a".to_owned(), base_point)]);
        let mut neutral_element = [0; 32];
        neutral_element[0] = 1;
        assert_eq!(
            HotlineKeys::parse(&key_set(&neutral_element)).err(),
            Some(KeyError)
        );
        assert_eq!(HotlineKeys::parse(&json!({})).err(), Some(KeyError));
    }
}
