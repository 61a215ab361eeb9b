//! Signed notes and the checkpoints in them (C2SP signed-note and tlog-checkpoint), so that tools which know nothing
//! of this system can check them. Must not read a clock or a database.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::sealed::{PublicKey, SealedError, Signature, Signer, SigningContext, Verifier};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// The specification's number of plain Ed25519 signatures.
const ED25519: u8 = 1;

/// What a checkpoint says: this tree, of this size, had this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("the note has not the form of a signed checkpoint")]
    Malformed,
    #[error("the note speaks of another log")]
    OtherOrigin,
    #[error("the note is signed by none of the trusted keys")]
    Unsigned,
}

/// Whether the specification lets this be the name of a key.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl Statement {
    /// Origin, size and root, each on its line: what is signed, the last line's end included.
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let statement = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: STANDARD.decode(root).ok()?.try_into().ok()?,
        };
        // One spelling: neither further lines nor a size such as `+7` or `007`.
        (statement.text() == text).then_some(statement)
    }
}

/// A note of this statement, signed by this key under the origin's name.
///
/// # Errors
/// `Refused` when the origin begins with NUL.
pub fn sign(statement: &Statement, signer: &Signer) -> Result<String, SealedError> {
    let text = statement.text();
    let signature = signer.sign_raw(text.as_bytes())?;
    let mut bytes = key_hash(&statement.origin, &signer.public_key().bytes).to_vec();
    bytes.extend_from_slice(&signature);
    let signature = STANDARD.encode(bytes);
    Ok(format!("{text}\n— {} {signature}\n", statement.origin))
}

/// Keys that are trusted to sign for one origin. Signatures of others are passed over.
#[derive(Debug, Clone)]
pub struct Trust {
    origin: String,
    keys: Vec<([u8; 4], PublicKey)>,
    verifier: Verifier,
}

impl Trust {
    /// # Errors
    /// `Malformed` when a key is none.
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

    /// What the note says, if it may be believed.
    pub fn open(&self, note: &str) -> Result<Statement, NoteError> {
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = format!("{text}\n");
        let statement = Statement::parse(&text).ok_or(NoteError::Malformed)?;
        if statement.origin != self.origin {
            return Err(NoteError::OtherOrigin);
        }
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        for line in lines.split('\n') {
            let (name, hash, signature) = signature(line).ok_or(NoteError::Malformed)?;
            let known = self.keys.iter().find(|(known, _)| *known == hash);
            let Some((_, key)) = known.filter(|_| name == self.origin) else {
                continue;
            };
            // A signature that names a trusted key and does not hold spoils the note, says the specification.
            return self
                .verifier
                .verify_raw(&key.key_id, text.as_bytes(), &signature)
                .map(|()| statement)
                .map_err(|_| NoteError::Unsigned);
        }
        Err(NoteError::Unsigned)
    }
}

/// A key as other tools are told of it: name, hash, and the key itself.
pub fn vkey(name: &str, key: &PublicKey) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(&key.bytes);
    let hash = hex::encode(key_hash(name, &key.bytes));
    format!("{name}+{hash}+{}", STANDARD.encode(bytes))
}

/// The first four bytes of SHA-256 over name, line end, number of the algorithm, and key.
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

/// `— name base64(key hash, signature)`.
fn signature(line: &str) -> Option<(&str, [u8; 4], Signature)> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (hash, signature) = bytes.split_first_chunk()?;
    // Signatures of other algorithms have other lengths and are nobody's that we know.
    let signature = signature.try_into().unwrap_or([0; 64]);
    is_key_name(name).then_some((name, *hash, signature))
}

#[cfg(test)]
mod tests {
    use platform::sealed::KeyId;

    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`, made by another program.
    #[test]
    fn names_keys_and_signatures_as_other_tools_do() {
        let encoded = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let bytes = STANDARD.decode(encoded).unwrap();
        let key = PublicKey {
            key_id: KeyId::parse("example").unwrap(),
            bytes: bytes[1..].try_into().unwrap(),
        };
        let name = "PeterNeumann";
        assert_eq!(vkey(name, &key), format!("{name}+c74f20a3+{encoded}"));

        let line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let (signer, hash, signature) = signature(line).unwrap();
        assert_eq!((signer, hash), (name, key_hash(name, &key.bytes)));
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let verifier = Verifier::new(SigningContext::Checkpoint, [key.clone()]).unwrap();
        assert_eq!(
            verifier.verify_raw(&key.key_id, text.as_bytes(), &signature),
            Ok(())
        );
    }

    #[test]
    fn a_statement_has_one_spelling() {
        let statement = Statement {
            origin: "log.example".into(),
            size: 7,
            root: [1; 32],
        };
        let text = statement.text();
        assert_eq!(Statement::parse(&text), Some(statement));
        for bad in [
            text.replace("\n7\n", "\n07\n"),
            text.replace("\n7\n", "\n+7\n"),
            text.replace("\n7\n", "\n-7\n"),
            format!("{text}more\n"),
            text.trim_end().to_owned(),
            String::new(),
        ] {
            assert_eq!(Statement::parse(&bad), None, "{bad:?}");
        }
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(!is_key_name(bad));
        }
    }
}
