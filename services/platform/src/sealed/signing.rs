//! Ed25519 signatures (RFC 8032) and the published form of their keys.
//!
//! A signature holds only in the context it was made for: the signed bytes begin with the context's name, between
//! NULs, which no text we sign raw begins with. Verification needs public keys alone and is strict.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde_json::{Value, json};

use super::{KeyId, SealedError};

/// What a signature is a word for. Each has its own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SigningContext {
    Notice,
    Proof,
    StaffToken,
    Checkpoint,
}

impl SigningContext {
    pub const ALL: [Self; 4] = [
        Self::Notice,
        Self::Proof,
        Self::StaffToken,
        Self::Checkpoint,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Proof => "proof",
            Self::StaffToken => "staff_token",
            Self::Checkpoint => "checkpoint",
        }
    }

    fn prefixed(self, bytes: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(bytes.len() + 32);
        message.extend_from_slice(b"\0takedown/1/");
        message.extend_from_slice(self.name().as_bytes());
        message.push(0);
        message.extend_from_slice(bytes);
        message
    }
}

/// An Ed25519 signature, 64 bytes.
pub type Signature = [u8; 64];

/// A private key and the context in which it speaks.
#[derive(Clone)]
pub struct Signer {
    context: SigningContext,
    key_id: KeyId,
    key: SigningKey,
}

impl Signer {
    pub(super) fn new(context: SigningContext, key_id: KeyId, seed: &[u8; 32]) -> Self {
        Self {
            context,
            key_id,
            key: SigningKey::from_bytes(seed),
        }
    }

    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    pub fn context(&self) -> SigningContext {
        self.context
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            key_id: self.key_id.clone(),
            bytes: self.key.verifying_key().to_bytes(),
        }
    }

    /// Signs bytes as a word of this signer's context.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.key.sign(&self.context.prefixed(bytes)).to_bytes()
    }

    /// Signs bytes exactly as they are, for outside formats that leave no room for a context: Standard Webhooks
    /// `v1a` (over `{id}.{timestamp}.{body}`) and signed notes.
    ///
    /// # Errors
    /// `Refused` for bytes that begin with NUL: they could be read as a word of some context.
    pub fn sign_raw(&self, bytes: &[u8]) -> Result<Signature, SealedError> {
        if bytes.first() == Some(&0) {
            return Err(SealedError::Refused);
        }
        Ok(self.key.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Signer({}, {}, <redacted>)",
            self.context.name(),
            self.key_id
        )
    }
}

/// A public key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub key_id: KeyId,
    pub bytes: [u8; 32],
}

impl PublicKey {
    /// The form of Standard Webhooks: `whpk_` and base64.
    pub fn whpk(&self) -> String {
        format!("whpk_{}", STANDARD.encode(self.bytes))
    }

    /// # Errors
    /// `Malformed` when the text is no `whpk_` key.
    pub fn from_whpk(key_id: KeyId, text: &str) -> Result<Self, SealedError> {
        let encoded = text.strip_prefix("whpk_").ok_or(SealedError::Malformed)?;
        Self::decoded(key_id, STANDARD.decode(encoded))
    }

    fn decoded(
        key_id: KeyId,
        decoded: Result<Vec<u8>, base64::DecodeError>,
    ) -> Result<Self, SealedError> {
        let bytes = decoded
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(SealedError::Malformed)?;
        Ok(Self { key_id, bytes })
    }
}

/// Keys as a JSON Web Key Set (RFC 7517, RFC 8037) for a well-known path.
pub fn jwks(keys: &[PublicKey]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": key.key_id.as_str(), "x": URL_SAFE_NO_PAD.encode(key.bytes),
            })
        })
        .collect();
    json!({ "keys": keys })
}

/// The Ed25519 keys of a JSON Web Key Set; keys of other kinds are passed over.
///
/// # Errors
/// `Malformed` when the document is no key set or an Ed25519 key in it is broken.
pub fn parse_jwks(document: &Value) -> Result<Vec<PublicKey>, SealedError> {
    let keys = document["keys"].as_array().ok_or(SealedError::Malformed)?;
    keys.iter()
        .filter(|key| key["kty"] == "OKP" && key["crv"] == "Ed25519")
        .map(|key| {
            let kid = key["kid"].as_str().ok_or(SealedError::Malformed)?;
            let x = key["x"].as_str().ok_or(SealedError::Malformed)?;
            PublicKey::decoded(KeyId::parse(kid)?, URL_SAFE_NO_PAD.decode(x))
        })
        .collect()
}

/// Public keys by id, for one context.
#[derive(Debug, Clone)]
pub struct Verifier {
    context: SigningContext,
    keys: Vec<(KeyId, VerifyingKey)>,
}

impl Verifier {
    /// # Errors
    /// `Malformed` when a key is no point on the curve, or a weak one.
    pub fn new(
        context: SigningContext,
        keys: impl IntoIterator<Item = PublicKey>,
    ) -> Result<Self, SealedError> {
        let keys = keys
            .into_iter()
            .map(|key| match VerifyingKey::from_bytes(&key.bytes) {
                Ok(point) if !point.is_weak() => Ok((key.key_id, point)),
                _ => Err(SealedError::Malformed),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { context, keys })
    }

    /// # Errors
    /// `UnknownKey`, or `Refused` when this signature is not this key's word, in this context, for these bytes.
    pub fn verify(
        &self,
        key_id: &KeyId,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<(), SealedError> {
        self.check(key_id, &self.context.prefixed(bytes), signature)
    }

    /// The counterpart of [`Signer::sign_raw`].
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify_raw(
        &self,
        key_id: &KeyId,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<(), SealedError> {
        if bytes.first() == Some(&0) {
            return Err(SealedError::Refused);
        }
        self.check(key_id, bytes, signature)
    }

    pub fn context(&self) -> SigningContext {
        self.context
    }

    /// The ids under which signatures are accepted.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(|(id, _)| id)
    }

    fn check(&self, key_id: &KeyId, message: &[u8], signature: &[u8]) -> Result<(), SealedError> {
        let (_, key) = self
            .keys
            .iter()
            .find(|(id, _)| id == key_id)
            .ok_or_else(|| SealedError::UnknownKey(key_id.clone()))?;
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| SealedError::Refused)?;
        key.verify_strict(message, &signature)
            .map_err(|_| SealedError::Refused)
    }
}
