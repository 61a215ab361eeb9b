//! A locked case in memory, with the pending writes and events that [`CaseBatch::store`] will flush. Changes
//! are made here in order, and each row is written once.
//!
//! [`CaseBatch::store`]: super::case_batch::CaseBatch::store

mod delivery_plan;
mod notices;
mod seal;

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::enums::{ContentStatus, NoticeState, ReviewReason};
use domain::event;
use domain::id::{CaseId, NoticeId, ProviderId, ReviewId};
use domain::wire::timestamp;
use platform::log::NewEvent;
use platform::sealed::Purpose;
use platform::trace;
use proto::v1;
use proto::v1::event::Body;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use crate::Error;
use crate::cases::ladder_progress::LadderRow;
use crate::cases::lifecycle::case::{self, CaseTransition};
use crate::cases::lifecycle::notice::{self, NoticeTransition};
use crate::cases::removal::RemovalRow;
use crate::cases::store::{CaseSeal, DispatchCase, Notice};
use crate::directory::DirectorySnapshot;
use crate::policy::Regime;
use delivery_plan::DeliveryPlan;
pub(super) use notices::{NoticeIdx, Notices};

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

/// Case, episode, regime and due time of an entry on the regulator's list.
pub(super) type RegulatorEntry = (CaseId, i32, String, OffsetDateTime);

pub(super) struct LockedCase {
    case: DispatchCase,
    /// What the database has of the case's progress: a part that is the same is not written.
    stored_ladder: LadderRow,
    stored_removal: RemovalRow,
    notices: Notices,
    seal: Option<CaseSeal>,
    seal_changed: bool,
    /// The event that caused the events emitted from here on.
    cause: Option<Uuid>,
    /// Whether anything must be written.
    is_changed: bool,
    /// The notices whose rows must be written.
    changed_notices: BTreeSet<NoticeIdx>,
    events: Vec<NewEvent>,
    deliveries: DeliveryPlan,
    /// None leaves the scheduled check as it is.
    next_check: Option<NextCheck>,
    regulator_entries: Vec<RegulatorEntry>,
}

impl LockedCase {
    /// A case as it was read, or a new one, whose progress is empty.
    pub(super) fn new(case: DispatchCase) -> Self {
        Self {
            stored_ladder: case.ladder.row().clone(),
            stored_removal: case.removal.row().clone(),
            case,
            notices: Notices::default(),
            seal: None,
            seal_changed: false,
            cause: None,
            is_changed: false,
            changed_notices: BTreeSet::new(),
            events: Vec::new(),
            deliveries: DeliveryPlan::default(),
            next_check: None,
            regulator_entries: Vec::new(),
        }
    }

    pub(super) fn case(&self) -> &DispatchCase {
        &self.case
    }

    /// Mutable access to the case row, which marks it for writing.
    pub(super) fn case_mut(&mut self) -> &mut DispatchCase {
        self.is_changed = true;
        &mut self.case
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    pub(super) fn notice(&self, n: NoticeIdx) -> &Notice {
        &self.notices[n]
    }

    /// Adds a notice that the database has.
    pub(super) fn load_notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Adds a new notice.
    pub(super) fn add_notice(&mut self, notice: Notice) -> NoticeIdx {
        let n = self.notices.push(notice);
        self.notice_mut(n);
        n
    }

    /// The event that causes the events emitted from here on.
    pub(super) fn set_cause(&mut self, cause: Option<Uuid>) {
        self.cause = cause;
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
        self.deliveries.cancel(n);
        self.is_changed = true;
    }

    /// Queues the newest message of this notice for delivery and puts it at the end of its provider's
    /// listing.
    pub(super) fn enqueue(&mut self, n: NoticeIdx) {
        self.deliveries.enqueue(n);
        self.notice_mut(n);
    }

    /// Puts the case on the regulator's list.
    pub(super) fn list_for_regulator(&mut self, due: OffsetDateTime) {
        let case = &self.case;
        let entry = (case.case_id, case.episode, case.regime.clone(), due);
        self.regulator_entries.push(entry);
        self.is_changed = true;
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
                self.case.removal.is_claimed()
                    || self.case.review.is_some()
                    || self.case.resolve_at.is_some()
                    || self.case.ladder.is_paused()
                    || self
                        .current_notices()
                        .any(|n| self.notices[n].state == NoticeState::NeedInformation)
            }
            ContentStatus::Closed => self.case.removal.is_claimed(),
            ContentStatus::Withdrawn => false,
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    pub(super) fn changed_ladder(&self) -> Option<&LadderRow> {
        Some(self.case.ladder.row()).filter(|row| **row != self.stored_ladder)
    }

    pub(super) fn changed_removal(&self) -> Option<&RemovalRow> {
        Some(self.case.removal.row()).filter(|row| **row != self.stored_removal)
    }

    pub(super) fn changed_notices(&self) -> impl Iterator<Item = &Notice> {
        self.changed_notices.iter().map(|n| &self.notices[*n])
    }

    pub(super) fn deliveries(&self) -> &DeliveryPlan {
        &self.deliveries
    }

    pub(super) fn next_check(&self) -> Option<NextCheck> {
        self.next_check
    }

    pub(super) fn regulator_entries(&self) -> &[RegulatorEntry] {
        &self.regulator_entries
    }

    pub(super) fn into_events(self) -> Vec<NewEvent> {
        self.events
    }
}
