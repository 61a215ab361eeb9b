//! Ed25519 signatures (RFC 8032) and the published formats of their keys.
//!
//! A signature is valid only in its context: the signed bytes start with the context's name between NUL
//! bytes, which no raw message starts with. Verification needs only public keys and is strict.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{KeyId, SealedError};

/// The context of a signature. Each has its own keys.
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

    /// The name in the keyring file and in signed bytes.
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

/// A private key with its context.
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

    /// The seed and the public key, for a library that signs.
    pub(super) fn key_pair(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.key.to_keypair_bytes())
    }

    /// Signs bytes in this signer's context.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.key.sign(&self.context.prefixed(bytes)).to_bytes()
    }

    /// Signs bytes without a context, for external formats that do not allow one: Standard Webhooks `v1a`
    /// (over `{id}.{timestamp}.{body}`) and C2SP signed notes.
    ///
    /// # Errors
    /// `Refused` for bytes that start with NUL, because they could be valid in some context.
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

/// A public key with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub key_id: KeyId,
    pub bytes: [u8; 32],
}

impl PublicKey {
    /// The format of Standard Webhooks: `whpk_` and base64.
    pub fn whpk(&self) -> String {
        format!("whpk_{}", STANDARD.encode(self.bytes))
    }

    /// Parses a `whpk_` key.
    ///
    /// # Errors
    /// `Malformed` if the text is not one.
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

/// Encodes keys as a JSON Web Key Set (RFC 7517, RFC 8037).
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

/// Parses the Ed25519 keys of a JSON Web Key Set; other keys are ignored.
///
/// # Errors
/// `Malformed` if the document is not a key set or an Ed25519 key in it is invalid.
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

/// The public keys of one context, by id.
#[derive(Debug, Clone)]
pub struct Verifier {
    context: SigningContext,
    keys: Vec<(KeyId, VerifyingKey)>,
}

impl Verifier {
    /// # Errors
    /// `Malformed` if a key is not a point on the curve, or is weak.
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

    /// Verifies a signature in this context.
    ///
    /// # Errors
    /// `UnknownKey`, or `Refused` if the signature is not valid for this key, context and bytes.
    pub fn verify(
        &self,
        key_id: &KeyId,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<(), SealedError> {
        self.check(key_id, &self.context.prefixed(bytes), signature)
    }

    /// Verifies a signature of [`Signer::sign_raw`].
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

    /// The key with this id, for a library that verifies.
    pub(super) fn public_key(&self, key_id: &KeyId) -> Option<[u8; 32]> {
        let (_, key) = self.keys.iter().find(|(id, _)| id == key_id)?;
        Some(key.to_bytes())
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
