//! The keyring: every secret key of the installation, by use, each with its id.
//!
//! It lies outside the database and its backups, so that neither alone opens anything. It must not hand out a
//! symmetric key: callers seal, tag and sign through it.

use std::collections::BTreeMap;
use std::path::Path;

use uuid::Uuid;

use super::aead::{DataKey, Opened, Purpose, Sealed, WrappedKey, place};
use super::keyfile::{self, KeyringError};
use super::secret::{Parts, SecretKey};
use super::signing::{PublicKey, Signer, SigningContext, Verifier};
use super::{KeyId, SealedError, frame};

/// Keys of one use: one makes new values, the others still open what they made.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    current: usize,
    keys: Vec<SecretKey>,
}

impl Ring {
    /// A ring whose current key is the named one; `None` when it is not among the keys.
    pub(super) fn new(current: &KeyId, keys: Vec<SecretKey>) -> Option<Self> {
        let current = keys.iter().position(|key| key.id == *current)?;
        Some(Self { current, keys })
    }

    pub(super) fn current(&self) -> &SecretKey {
        &self.keys[self.current]
    }

    /// The current key first, then the others in the order of the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &SecretKey> {
        let others = self.keys.iter().enumerate();
        let others = others.filter(|(place, _)| *place != self.current);
        std::iter::once(self.current()).chain(others.map(|(_, key)| key))
    }

    pub(super) fn find(&self, id: &KeyId) -> Result<&SecretKey, SealedError> {
        self.keys
            .iter()
            .find(|key| key.id == *id)
            .ok_or_else(|| SealedError::UnknownKey(id.clone()))
    }
}

/// All secret keys. `Debug` shows ids only; keys are wiped when it is dropped.
#[derive(Debug, Clone)]
pub struct Keyring {
    pub(super) epochs: Ring,
    pub(super) index: Ring,
    pub(super) provider: Ring,
    pub(super) link: Ring,
    pub(super) body: Ring,
    pub(super) bus: BTreeMap<String, Ring>,
    pub(super) signing: BTreeMap<SigningContext, Ring>,
}

impl Keyring {
    /// Creates a file of fresh keys that only its owner may read, and opens it.
    ///
    /// # Errors
    /// `Exists` when there is a file already (it is never overwritten), `Io` when it cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        keyfile::create(path)?;
        Self::open(path)
    }

    /// # Errors
    /// `Permissions` when others may read the file or its group write it, `Io`, or `Malformed`.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        keyfile::open(path)
    }

    /// Reads a keyring from its JSON form.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong and never the text itself.
    pub fn parse(json: &str) -> Result<Self, KeyringError> {
        keyfile::parse(json)
    }

    /// The epoch that wraps new data keys.
    pub fn epoch(&self) -> &KeyId {
        &self.epochs.current().id
    }

    /// A new random key for a case, and the form in which it is stored and sent.
    pub fn new_data_key(&self, case_id: Uuid) -> (DataKey, WrappedKey) {
        let key = DataKey::fresh();
        let wrapped = self.wrap(case_id, &key);
        (key, wrapped)
    }

    /// # Errors
    /// `UnknownKey` when the epoch was destroyed, `Refused` when the key belongs to another case or was altered.
    pub fn unwrap(&self, case_id: Uuid, wrapped: &WrappedKey) -> Result<DataKey, SealedError> {
        let parts = Parts::of(wrapped.as_bytes())?;
        let epoch = self.epochs.find(&parts.key_id)?;
        let bytes = epoch.decrypt(&wrap_place(case_id), &parts)?;
        Ok(DataKey::from_bytes(bytes.array()?))
    }

    /// The same data key under the current epoch.
    ///
    /// # Errors
    /// As [`Keyring::unwrap`].
    pub fn rewrap(&self, case_id: Uuid, wrapped: &WrappedKey) -> Result<WrappedKey, SealedError> {
        Ok(self.wrap(case_id, &self.unwrap(case_id, wrapped)?))
    }

    /// Seals a value of an outside party (an endpoint, a contact, a secret) for its row.
    pub fn seal_provider(
        &self,
        purpose: Purpose,
        provider_id: &str,
        row_id: Uuid,
        plaintext: &[u8],
    ) -> Sealed {
        let place = place(b"provider", purpose, provider_id.as_bytes(), row_id);
        self.provider.current().encrypt(&place, plaintext).into()
    }

    /// # Errors
    /// `Refused` when the value was made for another purpose, provider or row, or was altered; `UnknownKey`.
    pub fn open_provider(
        &self,
        purpose: Purpose,
        provider_id: &str,
        row_id: Uuid,
        sealed: impl AsRef<[u8]>,
    ) -> Result<Opened, SealedError> {
        let parts = Parts::of(sealed.as_ref())?;
        let place = place(b"provider", purpose, provider_id.as_bytes(), row_id);
        self.provider.find(&parts.key_id)?.decrypt(&place, &parts)
    }

    /// The current signing key of a context.
    pub fn signer(&self, context: SigningContext) -> Signer {
        let key = self.signing[&context].current();
        Signer::new(context, key.id.clone(), &key.bytes)
    }

    /// The public keys of a context: the current first, then the one before or after it.
    pub fn public_keys(&self, context: SigningContext) -> Vec<PublicKey> {
        self.signing[&context]
            .all()
            .map(|key| Signer::new(context, key.id.clone(), &key.bytes).public_key())
            .collect()
    }

    /// Accepts what the context's keys have signed.
    pub fn verifier(&self, context: SigningContext) -> Verifier {
        Verifier::new(context, self.public_keys(context))
            .expect("public keys computed from secret ones are points of the prime-order group")
    }

    pub(super) fn bus_ring(&self, service: &str) -> Result<&Ring, SealedError> {
        self.bus.get(service).ok_or(SealedError::UnknownService)
    }

    fn wrap(&self, case_id: Uuid, key: &DataKey) -> WrappedKey {
        let epoch = self.epochs.current();
        let bytes = epoch.encrypt(&wrap_place(case_id), key.secret());
        WrappedKey::parse(bytes).expect("what was just written in the one byte form is in it")
    }
}

fn wrap_place(case_id: Uuid) -> Vec<u8> {
    frame(&[b"data-key", case_id.as_bytes()])
}
