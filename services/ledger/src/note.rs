//! Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint), which other tools can verify too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::sealed::{PublicKey, SealedError, Signature, Signer, SigningContext, Verifier};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// Signature type of Ed25519 (C2SP signed-note).
const ED25519: u8 = 1;

/// The signed content of a checkpoint: the log `origin` had this root hash at this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointBody {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a note is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("the note is not a signed checkpoint")]
    Malformed,
    #[error("the note is of another log")]
    OtherOrigin,
    #[error("the note has no valid signature of a trusted key")]
    Unsigned,
}

/// True if the text is a valid key name (C2SP signed-note).
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl CheckpointBody {
    /// The signed text: origin, size and root, each on its own line, including the last line feed.
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let body = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: STANDARD.decode(root).ok()?.try_into().ok()?,
        };
        // Only one form is valid: no extension lines, and no size such as `+7` or `007`.
        (body.text() == text).then_some(body)
    }
}

/// Signs a checkpoint with this key, under the name of the origin.
///
/// # Errors
/// `Refused` if the origin starts with NUL.
pub fn sign(body: &CheckpointBody, signer: &Signer) -> Result<String, SealedError> {
    let text = body.text();
    let signature = signer.sign_raw(text.as_bytes())?;
    let mut bytes = key_hash(&body.origin, &signer.public_key().bytes).to_vec();
    bytes.extend_from_slice(&signature);
    let signature = STANDARD.encode(bytes);
    Ok(format!("{text}\n— {} {signature}\n", body.origin))
}

/// The keys that are trusted to sign for one origin. Signatures of other keys are ignored.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    origin: String,
    keys: Vec<([u8; 4], PublicKey)>,
    verifier: Verifier,
}

impl TrustedKeys {
    /// # Errors
    /// `Malformed` if a key is invalid.
    pub fn new(origin: &str, keys: Vec<PublicKey>) -> Result<Self, SealedError> {
        Ok(Self {
            origin: origin.to_owned(),
            verifier: Verifier::new(SigningContext::Checkpoint, keys.iter().cloned())?,
            keys: keys
                .into_iter()
                .map(|key| (key_hash(origin, &key.bytes), key))
                .collect(),
        })
    }

    /// Verifies a note and returns its checkpoint.
    ///
    /// # Errors
    /// The reason why the note is not valid.
    pub fn verify(&self, note: &str) -> Result<CheckpointBody, NoteError> {
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = format!("{text}\n");
        let body = CheckpointBody::parse(&text).ok_or(NoteError::Malformed)?;
        if body.origin != self.origin {
            return Err(NoteError::OtherOrigin);
        }
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        for line in lines.split('\n') {
            let (name, hash, signature) = parse_signature(line).ok_or(NoteError::Malformed)?;
            let known = self.keys.iter().find(|(known, _)| *known == hash);
            let Some((_, key)) = known.filter(|_| name == self.origin) else {
                continue;
            };
            // An invalid signature of a trusted key makes the note invalid (C2SP signed-note).
            return self
                .verifier
                .verify_raw(&key.key_id, text.as_bytes(), &signature)
                .map(|()| body)
                .map_err(|_| NoteError::Unsigned);
        }
        Err(NoteError::Unsigned)
    }
}

/// Key hash (C2SP signed-note): the first four bytes of SHA-256 over name, line feed, signature type and key.
fn key_hash(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key)
        .finalize()
        .into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// Parses a signature line: `— name base64(key hash, signature)`.
fn parse_signature(line: &str) -> Option<(&str, [u8; 4], Signature)> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (hash, signature) = bytes.split_first_chunk()?;
    // Signatures of other types have other lengths and belong to no trusted key.
    let signature = signature.try_into().unwrap_or([0; 64]);
    is_key_name(name).then_some((name, *hash, signature))
}

#[cfg(test)]
mod tests {
    use platform::sealed::KeyId;

    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`.
    #[test]
    fn key_hashes_and_signatures_are_those_of_other_tools() {
        // The key as Go writes it: `PeterNeumann+c74f20a3+<signature type and key>`.
        let bytes = STANDARD
            .decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
            .unwrap();
        let key = PublicKey {
            key_id: KeyId::parse("example").unwrap(),
            bytes: bytes[1..].try_into().unwrap(),
        };
        let name = "PeterNeumann";
        assert_eq!(hex::encode(key_hash(name, &key.bytes)), "c74f20a3");

        let line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let (signer, hash, signature) = parse_signature(line).unwrap();
        assert_eq!((signer, hash), (name, key_hash(name, &key.bytes)));
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let verifier = Verifier::new(SigningContext::Checkpoint, [key.clone()]).unwrap();
        assert_eq!(
            verifier.verify_raw(&key.key_id, text.as_bytes(), &signature),
            Ok(())
        );
    }

    #[test]
    fn a_checkpoint_has_only_one_valid_form() {
        let body = CheckpointBody {
            origin: "log.example".into(),
            size: 7,
            root: [1; 32],
        };
        let text = body.text();
        assert_eq!(CheckpointBody::parse(&text), Some(body));
        for invalid in [
            text.replace("\n7\n", "\n07\n"),
            text.replace("\n7\n", "\n+7\n"),
            text.replace("\n7\n", "\n-7\n"),
            format!("{text}more\n"),
            text.trim_end().to_owned(),
            String::new(),
        ] {
            assert_eq!(CheckpointBody::parse(&invalid), None, "{invalid:?}");
        }
        for invalid in ["", "a b", "a+b", "a\nb"] {
            assert!(!is_key_name(invalid));
        }
    }
}
