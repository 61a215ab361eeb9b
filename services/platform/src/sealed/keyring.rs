//! The keyring: all secret keys of the installation, by purpose, each with its id.
//!
//! It is stored outside the database and its backups, so that neither alone reveals anything. Symmetric keys
//! never leave it: callers seal, tag and sign through it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::aead::{DataKey, Purpose, Sealed, WrappedKey, context};
use super::secret::{Ring, SealedParts, UnsealedValue};
use super::signing::{PublicKey, Signer, SigningContext, Verifier};
use super::{KeyId, SealedError, frame};

/// All secret keys. `Debug` shows only ids; keys are zeroed on drop.
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
    /// The epoch that wraps new data keys.
    pub fn epoch(&self) -> &KeyId {
        &self.epochs.current().id
    }

    /// Creates a random data key for a case, and its wrapped form.
    pub fn new_data_key(&self, case_id: Uuid) -> (DataKey, WrappedKey) {
        let key = DataKey::generate();
        let wrapped = self.wrap(case_id, &key);
        (key, wrapped)
    }

    /// Unwraps the data key of a case.
    ///
    /// # Errors
    /// `UnknownKey` if the epoch's key was destroyed, `Refused` if the key belongs to another case or was
    /// changed.
    pub fn unwrap(&self, case_id: Uuid, wrapped: &WrappedKey) -> Result<DataKey, SealedError> {
        let parts = SealedParts::parse(wrapped.as_bytes())?;
        let epoch = self.epochs.find(&parts.key_id)?;
        let bytes = epoch.decrypt(&wrap_context(case_id), &parts)?;
        Ok(DataKey::from_bytes(bytes.array()?))
    }

    /// Seals a value of a provider (an endpoint, a contact, a secret). `row_id` is the id of the row that
    /// stores it.
    pub fn seal_provider(
        &self,
        purpose: Purpose,
        provider_id: &str,
        row_id: Uuid,
        plaintext: &[u8],
    ) -> Sealed {
        let context = context(b"provider", purpose, provider_id.as_bytes(), row_id);
        self.provider.current().encrypt(&context, plaintext).into()
    }

    /// Opens a value of a provider.
    ///
    /// # Errors
    /// `Refused` if the value was sealed for another purpose, provider or row, or was changed; `UnknownKey`.
    pub fn open_provider(
        &self,
        purpose: Purpose,
        provider_id: &str,
        row_id: Uuid,
        sealed: impl AsRef<[u8]>,
    ) -> Result<UnsealedValue, SealedError> {
        let parts = SealedParts::parse(sealed.as_ref())?;
        let context = context(b"provider", purpose, provider_id.as_bytes(), row_id);
        self.provider.find(&parts.key_id)?.decrypt(&context, &parts)
    }

    /// The current signing key of a context.
    pub fn signer(&self, context: SigningContext) -> Signer {
        let key = self.signing[&context].current();
        Signer::new(context, key.id.clone(), &key.bytes)
    }

    /// The public keys of a context: the current one first, then the previous or next one.
    pub fn public_keys(&self, context: SigningContext) -> Vec<PublicKey> {
        self.signing[&context]
            .all()
            .map(|key| Signer::new(context, key.id.clone(), &key.bytes).public_key())
            .collect()
    }

    /// A verifier for signatures of the context's keys.
    pub fn verifier(&self, context: SigningContext) -> Verifier {
        Verifier::new(context, self.public_keys(context))
            .expect("public keys computed from secret ones are points of the prime-order group")
    }

    pub(super) fn bus_ring(&self, service: &str) -> Result<&Ring, SealedError> {
        self.bus.get(service).ok_or(SealedError::UnknownService)
    }

    fn wrap(&self, case_id: Uuid, key: &DataKey) -> WrappedKey {
        let epoch = self.epochs.current();
        let bytes = epoch.encrypt(&wrap_context(case_id), key.secret());
        WrappedKey::parse(bytes).expect("an encoded value can be parsed")
    }
}

fn wrap_context(case_id: Uuid) -> Vec<u8> {
    frame(&[b"data-key", case_id.as_bytes()])
}
