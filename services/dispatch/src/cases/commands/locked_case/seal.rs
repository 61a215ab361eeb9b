//! The seal of a locked case: what its data key opens and closes.

use domain::url::CanonicalUrl;
use platform::sealed::{DataKey, Purpose, WrappedKey};
use uuid::Uuid;

use super::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::store::{CaseSeal, open_url};

impl LockedCase {
    /// Sets the seal as it was read; one that this batch has changed stays.
    pub(in crate::cases::commands) fn load_seal(&mut self, seal: CaseSeal) {
        if !self.seal_changed {
            self.seal = Some(seal);
        }
    }

    pub(in crate::cases::commands) fn change_seal(&mut self, seal: CaseSeal) {
        self.seal = Some(seal);
        self.seal_changed = true;
        self.is_changed = true;
    }

    /// The seal, if it must be written.
    pub(in crate::cases::commands) fn changed_seal(&self) -> Option<&CaseSeal> {
        self.seal.as_ref().filter(|_| self.seal_changed)
    }

    /// Seals text under the case's data key. Needs the seal to be loaded.
    pub(in crate::cases::commands) fn seal_text(
        &self,
        cx: &BatchContext<'_>,
        purpose: Purpose,
        row: Uuid,
        text: &str,
    ) -> Result<Vec<u8>, Error> {
        let case_id = self.case.case_id.uuid();
        let (key, _) = self.open_seal(cx)?;
        let sealed = key.seal(purpose, case_id, row, text.as_bytes());
        Ok(sealed.into_bytes())
    }

    /// The text that a provider sent with its answer. Needs the seal to be loaded.
    pub(in crate::cases::commands) fn provider_note(
        &self,
        cx: &BatchContext<'_>,
        n: NoticeIdx,
    ) -> Result<Option<String>, Error> {
        let notice = &self.notices[n];
        let Some(note) = &notice.note else {
            return Ok(None);
        };
        let (key, _) = self.open_seal(cx)?;
        let (case_id, row) = (self.case.case_id.uuid(), notice.id.uuid());
        let opened = key.open(Purpose::Note, case_id, row, note)?;
        Ok(Some(opened.text()?.to_owned()))
    }

    /// The URL of the case. Needs the seal to be loaded.
    pub(in crate::cases::commands) fn case_url(
        &self,
        cx: &BatchContext<'_>,
    ) -> Result<CanonicalUrl, Error> {
        let (key, seal) = self.open_seal(cx)?;
        open_url(
            &key,
            self.case.case_id,
            seal.content_report_id,
            &seal.sealed_content,
        )
    }

    fn open_seal(&self, cx: &BatchContext<'_>) -> Result<(DataKey, &CaseSeal), Error> {
        let case_id = self.case.case_id.uuid();
        let seal = self.seal.as_ref().ok_or(Error::Row {
            table: "case_seal",
            column: "wrapped_key",
            id: case_id,
        })?;
        let wrapped = WrappedKey::parse(seal.wrapped_key.clone())?;
        Ok((cx.deps.keyring.unwrap(case_id, &wrapped)?, seal))
    }
}
