//! What every command needs besides the rows: keys, settings, and the approved lists and rules.
//! Must not hold a connection or the time.

use std::sync::Arc;

use domain::hash::Hash;
use domain::id::{CaseId, ReportId};
use domain::url::CanonicalUrl;
use domain::word::HashKind;
use platform::sealed::{
    DataKey, Keyring, Purpose, SealedError, Signer, SigningContext, WrappedKey,
};
use prost::Message;
use proto::v1;
use uuid::Uuid;

use crate::case::{Case, HashKinds};
use crate::config::Config;
use crate::matching::Library;

pub(crate) struct Means {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) config: Config,
    pub(crate) proofs: Signer,
    pub(crate) library: Library,
}

impl Means {
    pub(crate) fn new(keyring: Arc<Keyring>, config: Config) -> Self {
        Self {
            proofs: keyring.signer(SigningContext::Proof),
            library: Library::new(Arc::clone(&keyring)),
            keyring,
            config,
        }
    }

    /// Opens what the case's first report brought.
    pub(crate) fn open(&self, case: &Case) -> Result<OpenItem, SealedError> {
        self.open_item(
            case.id,
            case.item.report,
            &case.item.wrapped_key,
            &case.item.sealed,
        )
    }

    /// Opens a report's URL and hashes. They are in memory only for as long as the answer lives.
    pub(crate) fn open_item(
        &self,
        case: CaseId,
        report: ReportId,
        wrapped_key: &[u8],
        sealed: &[u8],
    ) -> Result<OpenItem, SealedError> {
        let key = self.key(case, wrapped_key)?;
        let opened = key.open(Purpose::Url, case.uuid(), report.uuid(), sealed)?;
        let item = v1::SealedItem::decode(&*opened).map_err(|_| SealedError::Malformed)?;
        let url = CanonicalUrl::from_stored(&item.url).map_err(|_| SealedError::Malformed)?;
        let hashes = item
            .hashes
            .iter()
            .map(hash)
            .collect::<Option<Vec<_>>>()
            .ok_or(SealedError::Malformed)?;
        Ok(OpenItem { key, url, hashes })
    }

    /// Seals a person's words under the case's key, bound to the row or event that has them.
    pub(crate) fn seal_note(
        &self,
        case: &Case,
        row: Uuid,
        words: &str,
    ) -> Result<Vec<u8>, SealedError> {
        let key = self.key(case.id, &case.item.wrapped_key)?;
        let sealed = key.seal(Purpose::Note, case.id.uuid(), row, words.as_bytes());
        Ok(sealed.into_bytes())
    }

    pub(crate) fn key(&self, case: CaseId, wrapped_key: &[u8]) -> Result<DataKey, SealedError> {
        self.keyring
            .unwrap(case.uuid(), &WrappedKey::parse(wrapped_key)?)
    }
}

/// What a sealed item holds.
pub(crate) struct OpenItem {
    pub(crate) key: DataKey,
    pub(crate) url: CanonicalUrl,
    pub(crate) hashes: Vec<Hash>,
}

impl OpenItem {
    pub(crate) fn kinds(&self) -> HashKinds {
        let mut kinds = HashKinds::default();
        for hash in &self.hashes {
            kinds.add(hash.kind());
        }
        kinds
    }
}

fn hash(wire: &v1::Hash) -> Option<Hash> {
    Hash::parse(HashKind::from_wire(wire.kind).ok()?, &wire.value).ok()
}
