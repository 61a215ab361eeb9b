//! A locked case with its notices, and what is to be written and said about it. Changes are made here in memory, in
//! order, and written once.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::event;
use domain::id::{CaseId, NoticeId, ProviderId, ReviewId};
use domain::wire::timestamp;
use domain::word::{LiveState, NoticeState, ReviewReason};
use platform::log::NewEvent;
use platform::sealed::{DataKey, Purpose, WrappedKey};
use platform::trace;
use proto::v1;
use proto::v1::event::Body;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use crate::Error;
use crate::directory::Snapshot;
use crate::lifecycle::{case, notice};
use crate::policy::Regime;
use crate::store::{CaseFile, CaseSeal, Notice};

/// What is the same for every case of a batch.
pub(super) struct Context<'a> {
    pub(super) rules: &'a Rules,
    pub(super) directory: Arc<Snapshot>,
    pub(super) now: OffsetDateTime,
}

/// When the place is looked at next.
#[derive(Clone, Copy)]
pub(super) enum Look {
    At(OffsetDateTime),
    Never,
}

pub(super) struct Dossier {
    pub(super) case: CaseFile,
    pub(super) notices: Vec<Notice>,
    pub(super) seal: Option<CaseSeal>,
    pub(super) seal_changed: bool,
    /// The event that led to what is said now.
    pub(super) cause: Option<Uuid>,
    pub(super) touched: bool,
    pub(super) changed: BTreeSet<usize>,
    /// Notices that their provider's listing shows anew.
    pub(super) announced: BTreeSet<usize>,
    pub(super) events: Vec<NewEvent>,
    /// Notices whose newest message goes out.
    pub(super) enqueued: BTreeSet<usize>,
    pub(super) cancelled: BTreeSet<NoticeId>,
    pub(super) look: Option<Look>,
    pub(super) listed: Vec<(CaseId, i32, String, OffsetDateTime)>,
}

impl Dossier {
    pub(super) fn new(case: CaseFile) -> Self {
        Self {
            case,
            notices: Vec::new(),
            seal: None,
            seal_changed: false,
            cause: None,
            touched: false,
            changed: BTreeSet::new(),
            announced: BTreeSet::new(),
            events: Vec::new(),
            enqueued: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            look: None,
            listed: Vec::new(),
        }
    }

    /// The case, to be changed.
    pub(super) fn case_mut(&mut self) -> &mut CaseFile {
        self.touched = true;
        &mut self.case
    }

    /// A notice, to be changed.
    pub(super) fn notice_mut(&mut self, n: usize) -> &mut Notice {
        self.touched = true;
        self.changed.insert(n);
        &mut self.notices[n]
    }

    pub(super) fn index(&self, id: NoticeId) -> Option<usize> {
        self.notices.iter().position(|notice| notice.id == id)
    }

    /// Puts a command to a notice; its state is changed where the lifecycle says so.
    pub(super) fn put(&mut self, n: usize, command: notice::Command) -> notice::Outcome {
        let outcome = notice::apply(self.notices[n].state, command);
        if let notice::Outcome::To(state) = outcome {
            self.notice_mut(n).state = state;
        }
        outcome
    }

    /// Puts a command to the case; its state is changed where the lifecycle says so.
    pub(super) fn put_case(&mut self, command: case::Command) -> case::Outcome {
        let outcome = case::apply(self.case.live, command);
        if let case::Outcome::To(live) = outcome {
            self.case_mut().live = live;
        }
        outcome
    }

    pub(super) fn say(&mut self, cx: &Context<'_>, body: Body) {
        self.touched = true;
        self.events.push(NewEvent {
            id: Uuid::now_v7(),
            case_id: self.case.case_id.uuid(),
            kind: event::name(&body),
            caused_by: self.cause,
            occurred_at: cx.now,
            traceparent: trace::of(self.cause),
            payload: event::encode(body),
        });
    }

    pub(super) fn key(&self, n: usize) -> v1::NoticeKey {
        let notice = &self.notices[n];
        v1::NoticeKey {
            notice_id: notice.id.to_string(),
            provider_id: notice.provider_id.to_string(),
            episode: notice.episode.cast_unsigned(),
            step: notice.step.cast_unsigned(),
            rung: notice.rung.wire(),
        }
    }

    pub(super) fn regime<'p>(&self, cx: &'p Context<'_>) -> &'p Regime {
        cx.rules.policy.regime(&self.case.regime)
    }

    /// Indices of the notices of the present episode, by step.
    pub(super) fn current(&self) -> impl Iterator<Item = usize> + '_ {
        let episode = self.case.episode;
        (0..self.notices.len()).filter(move |n| self.notices[*n].episode == episode)
    }

    /// The newest notice to each provider of the present episode, in the order of their first.
    pub(super) fn branches(&self) -> Vec<usize> {
        let mut branches: Vec<usize> = Vec::new();
        for n in self.current() {
            let same =
                |b: &&mut usize| self.notices[**b].provider_id == self.notices[n].provider_id;
            match branches.iter_mut().find(same) {
                Some(branch) => *branch = n,
                None => branches.push(n),
            }
        }
        branches
    }

    /// The newest notice to a provider in the present episode.
    pub(super) fn branch_of(&self, provider: &ProviderId) -> Option<usize> {
        self.current()
            .filter(|n| self.notices[*n].provider_id == *provider)
            .last()
    }

    pub(super) fn is_noticed(&self, provider: &ProviderId) -> bool {
        self.branch_of(provider).is_some()
    }

    /// No attempt is made for this notice any more.
    pub(super) fn cancel(&mut self, n: usize) {
        self.enqueued.remove(&n);
        self.cancelled.insert(self.notices[n].id);
        self.touched = true;
    }

    /// The newest message of this notice goes out, and its provider's listing shows it.
    pub(super) fn enqueue(&mut self, n: usize) {
        self.cancelled.remove(&self.notices[n].id);
        self.enqueued.insert(n);
        self.announced.insert(n);
        self.notice_mut(n);
    }

    pub(super) fn look_at(&mut self, at: OffsetDateTime) {
        self.look = Some(Look::At(at));
        self.touched = true;
    }

    pub(super) fn look_no_more(&mut self) {
        self.look = Some(Look::Never);
        self.touched = true;
    }

    /// Asks verification, unless a question is open already.
    pub(super) fn ask_review(
        &mut self,
        cx: &Context<'_>,
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
        self.say(
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

    /// Seals words under the case's data key. Needs the seal to be loaded.
    pub(super) fn seal_text(
        &self,
        cx: &Context<'_>,
        purpose: Purpose,
        row: Uuid,
        text: &str,
    ) -> Result<Vec<u8>, Error> {
        let case_id = self.case.case_id.uuid();
        let (key, _) = self.opened(cx)?;
        let sealed = key.seal(purpose, case_id, row, text.as_bytes());
        Ok(sealed.into_bytes())
    }

    /// What a provider wrote with its answer. Needs the seal to be loaded.
    pub(super) fn note(&self, cx: &Context<'_>, n: usize) -> Result<Option<String>, Error> {
        let notice = &self.notices[n];
        let Some(note) = &notice.note else {
            return Ok(None);
        };
        let (key, _) = self.opened(cx)?;
        let (case_id, row) = (self.case.case_id.uuid(), notice.id.uuid());
        let opened = key.open(Purpose::Note, case_id, row, note)?;
        Ok(Some(opened.text()?.to_owned()))
    }

    /// The URL of the case. Needs the seal to be loaded.
    pub(super) fn url(&self, cx: &Context<'_>) -> Result<domain::url::CanonicalUrl, Error> {
        let (key, seal) = self.opened(cx)?;
        crate::store::open_url(
            &key,
            self.case.case_id,
            seal.item_report_id,
            &seal.sealed_item,
        )
    }

    fn opened(&self, cx: &Context<'_>) -> Result<(DataKey, &CaseSeal), Error> {
        let case_id = self.case.case_id.uuid();
        let seal = self.seal.as_ref().ok_or(Error::Row {
            table: "case_seal",
            column: "wrapped_key",
            id: case_id,
        })?;
        let wrapped = WrappedKey::parse(seal.wrapped_key.clone())?;
        Ok((cx.rules.keyring.unwrap(case_id, &wrapped)?, seal))
    }

    /// Says that a notice was handed over.
    pub(super) fn say_sent(&mut self, cx: &Context<'_>, n: usize, attempts: i32) {
        let body = Body::NoticeSent(v1::NoticeSent {
            notice: Some(self.key(n)),
            channel: self.notices[n].channel.wire(),
            sent_at: Some(timestamp(cx.now)),
            attempts: attempts.cast_unsigned(),
        });
        self.say(cx, body);
    }

    /// Whether anything of this case is still to come.
    pub(super) fn is_unsettled(&self) -> bool {
        match self.case.live {
            LiveState::Up | LiveState::Gone | LiveState::Watched | LiveState::Held => true,
            LiveState::Exhausted => {
                self.case.claim_since.is_some()
                    || self.case.review.is_some()
                    || self.case.resolve_at.is_some()
                    || self.case.pause.is_some()
                    || self
                        .current()
                        .any(|n| self.notices[n].state == NoticeState::NeedInformation)
            }
            LiveState::Closed => self.case.claim_since.is_some(),
            LiveState::Withdrawn => false,
        }
    }
}
