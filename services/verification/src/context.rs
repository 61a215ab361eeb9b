//! What every command needs besides the rows: the keys, the settings, and the approved lists and rules.
//! Must not hold a database connection or a time.

use std::sync::Arc;

use domain::enums::HashKind;
use domain::hash::Hash;
use domain::id::{CaseId, ReportId};
use domain::url::CanonicalUrl;
use platform::sealed::{
    DataKey, Keyring, Purpose, SealedError, Signer, SigningContext, WrappedKey,
};
use prost::Message;
use proto::v1;
use uuid::Uuid;

use crate::case::{Case, HashKinds};
use crate::config::Config;
use crate::matching::MatchIndexCache;

pub(crate) struct CommandContext {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) config: Config,
    pub(crate) proof_signer: Signer,
    pub(crate) match_index: MatchIndexCache,
}

impl CommandContext {
    pub(crate) fn new(keyring: Arc<Keyring>, config: Config) -> Self {
        Self {
            proof_signer: keyring.signer(SigningContext::Proof),
            match_index: MatchIndexCache::new(Arc::clone(&keyring)),
            keyring,
            config,
        }
    }

    /// Opens the content of the case's first report.
    pub(crate) fn open(&self, case: &Case) -> Result<OpenedContent, SealedError> {
        self.open_content(
            case.id,
            case.first_report.id,
            &case.first_report.wrapped_key,
            &case.first_report.sealed_content,
        )
    }

    /// Opens the URL and the hashes of a report. They are in memory only for the lifetime of the returned
    /// value.
    pub(crate) fn open_content(
        &self,
        case: CaseId,
        report: ReportId,
        wrapped_key: &[u8],
        sealed_content: &[u8],
    ) -> Result<OpenedContent, SealedError> {
        let key = self.key(case, wrapped_key)?;
        let opened = key.open(Purpose::Url, case.uuid(), report.uuid(), sealed_content)?;
        let content = v1::CaseContent::decode(&*opened).map_err(|_| SealedError::Malformed)?;
        let url = CanonicalUrl::from_stored(&content.url).map_err(|_| SealedError::Malformed)?;
        let hashes = content
            .hashes
            .iter()
            .map(parse_hash)
            .collect::<Option<Vec<_>>>()
            .ok_or(SealedError::Malformed)?;
        Ok(OpenedContent { key, url, hashes })
    }

    /// Seals what a person wrote with the case's key, bound to the row or event that stores it.
    pub(crate) fn seal_note(
        &self,
        case: &Case,
        row: Uuid,
        note: &str,
    ) -> Result<Vec<u8>, SealedError> {
        let key = self.key(case.id, &case.first_report.wrapped_key)?;
        let sealed = key.seal(Purpose::Note, case.id.uuid(), row, note.as_bytes());
        Ok(sealed.into_bytes())
    }

    pub(crate) fn key(&self, case: CaseId, wrapped_key: &[u8]) -> Result<DataKey, SealedError> {
        self.keyring
            .unwrap(case.uuid(), &WrappedKey::parse(wrapped_key)?)
    }
}

/// A report's content in the clear.
pub(crate) struct OpenedContent {
    pub(crate) key: DataKey,
    pub(crate) url: CanonicalUrl,
    pub(crate) hashes: Vec<Hash>,
}

impl OpenedContent {
    pub(crate) fn hash_kinds(&self) -> HashKinds {
        let mut kinds = HashKinds::default();
        for hash in &self.hashes {
            kinds.add(hash.kind());
        }
        kinds
    }
}

fn parse_hash(wire: &v1::Hash) -> Option<Hash> {
    Hash::parse(HashKind::from_wire(wire.kind).ok()?, &wire.value).ok()
}
