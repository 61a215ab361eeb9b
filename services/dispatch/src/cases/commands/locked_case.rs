//! A locked case in memory, with the pending writes and events that [`CaseBatch::store`] will flush. Changes
//! are made here in order, and each row is written once.
//!
//! [`CaseBatch::store`]: super::case_batch::CaseBatch::store

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::enums::{ContentStatus, NoticeState, ReviewReason};
use domain::event;
use domain::id::{CaseId, NoticeId, ProviderId, ReviewId};
use domain::wire::timestamp;
use platform::log::NewEvent;
use platform::sealed::{DataKey, Purpose, WrappedKey};
use platform::trace;
use proto::v1;
use proto::v1::event::Body;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::notices::{NoticeIdx, Notices};
use crate::Error;
use crate::cases::lifecycle::case::{self, CaseTransition};
use crate::cases::lifecycle::notice::{self, NoticeTransition};
use crate::cases::store::{CaseSeal, DispatchCase, Notice};
use crate::directory::DirectorySnapshot;
use crate::policy::Regime;

/// What every case of a batch shares.
pub(super) struct BatchContext<'a> {
    pub(super) deps: &'a CommandDeps,
    pub(super) directory: Arc<DirectorySnapshot>,
    pub(super) now: OffsetDateTime,
}

/// When the URL is checked next.
#[derive(Clone, Copy)]
pub(super) enum NextCheck {
    At(OffsetDateTime),
    Never,
}

pub(super) struct LockedCase {
    pub(super) case: DispatchCase,
    pub(super) notices: Notices,
    pub(super) seal: Option<CaseSeal>,
    pub(super) seal_changed: bool,
    /// The event that caused the events emitted from here on.
    pub(super) cause: Option<Uuid>,
    /// Whether anything must be written.
    pub(super) is_changed: bool,
    /// Indices of the notices whose rows must be written.
    pub(super) changed_notices: BTreeSet<NoticeIdx>,
    /// Indices of the notices that get a new position in their provider's listing.
    pub(super) relisted: BTreeSet<NoticeIdx>,
    pub(super) events: Vec<NewEvent>,
    /// Indices of the notices whose newest message is to be delivered.
    pub(super) enqueued: BTreeSet<NoticeIdx>,
    /// Notices whose pending delivery is dropped.
    pub(super) cancelled: BTreeSet<NoticeId>,
    /// None leaves the scheduled check as it is.
    pub(super) next_check: Option<NextCheck>,
    /// Case, episode, regime and due time of each entry on the regulator's list.
    pub(super) regulator_entries: Vec<(CaseId, i32, String, OffsetDateTime)>,
}

impl LockedCase {
    pub(super) fn new(case: DispatchCase) -> Self {
        Self {
            case,
            notices: Notices::default(),
            seal: None,
            seal_changed: false,
            cause: None,
            is_changed: false,
            changed_notices: BTreeSet::new(),
            relisted: BTreeSet::new(),
            events: Vec::new(),
            enqueued: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            next_check: None,
            regulator_entries: Vec::new(),
        }
    }

    /// Mutable access to the case row, which marks it for writing.
    pub(super) fn case_mut(&mut self) -> &mut DispatchCase {
        self.is_changed = true;
        &mut self.case
    }

    /// Mutable access to a notice, which marks it for writing.
    pub(super) fn notice_mut(&mut self, n: NoticeIdx) -> &mut Notice {
        self.is_changed = true;
        self.changed_notices.insert(n);
        &mut self.notices[n]
    }

    /// Applies a command to a notice and changes its state if the lifecycle allows it.
    pub(super) fn apply(&mut self, n: NoticeIdx, command: notice::Command) -> NoticeTransition {
        let transition = notice::apply(self.notices[n].state, command);
        if let NoticeTransition::ChangeTo(state) = transition {
            self.notice_mut(n).state = state;
        }
        transition
    }

    /// Applies a command to the case and changes its content status if the lifecycle allows it.
    pub(super) fn apply_to_case(&mut self, command: case::Command) -> CaseTransition {
        let transition = case::apply(self.case.content_status, command);
        if let CaseTransition::ChangeTo(content_status) = transition {
            self.case_mut().content_status = content_status;
        }
        transition
    }

    /// Adds an event to the ones that the batch appends.
    pub(super) fn emit(&mut self, cx: &BatchContext<'_>, body: Body) {
        self.is_changed = true;
        self.events.push(NewEvent {
            id: Uuid::now_v7(),
            case_id: self.case.case_id.uuid(),
            kind: event::name(&body),
            caused_by: self.cause,
            occurred_at: cx.now,
            traceparent: trace::traceparent_of(self.cause),
            payload: event::encode(body),
        });
    }

    pub(super) fn notice_key(&self, n: NoticeIdx) -> v1::NoticeKey {
        let notice = &self.notices[n];
        v1::NoticeKey {
            notice_id: notice.id.to_string(),
            provider_id: notice.provider_id.to_string(),
            episode: notice.episode.cast_unsigned(),
            step: notice.step.cast_unsigned(),
            rung: notice.rung.wire(),
        }
    }

    pub(super) fn regime<'p>(&self, cx: &'p BatchContext<'_>) -> &'p Regime {
        cx.deps.policy.regime(&self.case.regime)
    }

    /// Indices of the notices of the current episode, by step.
    pub(super) fn current_notices(&self) -> impl Iterator<Item = NoticeIdx> + '_ {
        let episode = self.case.episode;
        self.notices
            .indices()
            .filter(move |n| self.notices[*n].episode == episode)
    }

    /// Indices of the newest notice to each provider in the current episode, in the order of their first
    /// notices.
    pub(super) fn newest_by_provider(&self) -> Vec<NoticeIdx> {
        let mut newest: Vec<NoticeIdx> = Vec::new();
        for n in self.current_notices() {
            let same_provider =
                |m: &&mut NoticeIdx| self.notices[**m].provider_id == self.notices[n].provider_id;
            match newest.iter_mut().find(same_provider) {
                Some(older) => *older = n,
                None => newest.push(n),
            }
        }
        newest
    }

    /// The index of the newest notice to a provider in the current episode.
    pub(super) fn newest_notice_to(&self, provider: &ProviderId) -> Option<NoticeIdx> {
        self.current_notices()
            .filter(|n| self.notices[*n].provider_id == *provider)
            .last()
    }

    /// Whether a notice went to this provider in the current episode.
    pub(super) fn is_notified(&self, provider: &ProviderId) -> bool {
        self.newest_notice_to(provider).is_some()
    }

    /// Drops the pending delivery of this notice.
    pub(super) fn cancel(&mut self, n: NoticeIdx) {
        self.enqueued.remove(&n);
        self.cancelled.insert(self.notices[n].id);
        self.is_changed = true;
    }

    /// Queues the newest message of this notice for delivery and puts it at the end of its provider's
    /// listing.
    pub(super) fn enqueue(&mut self, n: NoticeIdx) {
        self.cancelled.remove(&self.notices[n].id);
        self.enqueued.insert(n);
        self.relisted.insert(n);
        self.notice_mut(n);
    }

    pub(super) fn schedule_check(&mut self, at: OffsetDateTime) {
        self.next_check = Some(NextCheck::At(at));
        self.is_changed = true;
    }

    pub(super) fn stop_checks(&mut self) {
        self.next_check = Some(NextCheck::Never);
        self.is_changed = true;
    }

    /// Requests a review from verification, unless one is open already. A note needs the seal to be loaded.
    pub(super) fn request_review(
        &mut self,
        cx: &BatchContext<'_>,
        reason: ReviewReason,
        notice: Option<NoticeId>,
        note: Option<&str>,
    ) -> Result<(), Error> {
        if self.case.review.is_some() {
            return Ok(());
        }
        let review = ReviewId::new(Uuid::new_v4());
        let sealed_note = match note {
            Some(note) => self.seal_text(cx, Purpose::Note, review.uuid(), note)?,
            None => Vec::new(),
        };
        self.case_mut().review = Some((review, reason));
        self.emit(
            cx,
            Body::ReviewRequested(v1::ReviewRequested {
                review_id: review.to_string(),
                reason: reason.wire(),
                notice_id: notice.map(|id| id.to_string()).unwrap_or_default(),
                sealed_note: sealed_note.into(),
            }),
        );
        Ok(())
    }

    /// Seals text under the case's data key. Needs the seal to be loaded.
    pub(super) fn seal_text(
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
    pub(super) fn provider_note(
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
    pub(super) fn case_url(
        &self,
        cx: &BatchContext<'_>,
    ) -> Result<domain::url::CanonicalUrl, Error> {
        let (key, seal) = self.open_seal(cx)?;
        crate::cases::store::open_url(
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

    /// Emits `NoticeSent`.
    pub(super) fn emit_sent(&mut self, cx: &BatchContext<'_>, n: NoticeIdx, attempts: i32) {
        let body = Body::NoticeSent(v1::NoticeSent {
            notice: Some(self.notice_key(n)),
            channel: self.notices[n].channel.wire(),
            sent_at: Some(timestamp(cx.now)),
            attempts: attempts.cast_unsigned(),
        });
        self.emit(cx, body);
    }

    /// Whether work is still to come for this case: a delivery, a timer, a check or a review.
    pub(super) fn is_unsettled(&self) -> bool {
        match self.case.content_status {
            ContentStatus::Online
            | ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held => true,
            ContentStatus::Exhausted => {
                self.case.claim_since.is_some()
                    || self.case.review.is_some()
                    || self.case.resolve_at.is_some()
                    || self.case.pause.is_some()
                    || self
                        .current_notices()
                        .any(|n| self.notices[n].state == NoticeState::NeedInformation)
            }
            ContentStatus::Closed => self.case.claim_since.is_some(),
            ContentStatus::Withdrawn => false,
        }
    }
}
