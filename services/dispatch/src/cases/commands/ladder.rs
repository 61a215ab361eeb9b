//! The ladder: what each rung does, and firing rungs that are due. A rung never fires early, and fires in the
//! transaction that appends its event; the caller has read the time.

use std::collections::HashMap;

use domain::enums::{ContentStatus, NoticeState, Rung};
use domain::id::{CaseId, ProviderId};
use domain::wire::timestamp;
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::lifecycle::ChannelSet;
use crate::cases::lifecycle::case::{self, CaseTransition};
use crate::cases::lifecycle::notice::{self, NoticeTransition};
use crate::policy::{RungCondition, RungIdx, RungRule};

/// Ends pauses and fires rungs that are due in these cases.
pub async fn fire_due_rungs(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    cases: &[CaseId],
) -> Result<(), Error> {
    let mut batch = CaseBatch::load(conn, deps, now, cases.iter().copied()).await?;
    for case in batch.cases.values_mut() {
        if case.case().due_at.is_none_or(|due| due > now) {
            continue;
        }
        if case
            .case()
            .ladder
            .paused_until()
            .is_some_and(|until| until <= now)
        {
            case.end_pause(&batch.cx);
        }
        // The derived columns are written even if nothing fires: the timer was due.
        case.case_mut();
        case.fire_due(&batch.cx);
    }
    batch.store(conn).await
}

impl LockedCase {
    pub(super) fn fire_due(&mut self, cx: &BatchContext<'_>) {
        while let Some((due, rung)) = self.next_rung(cx) {
            if due > cx.now {
                break;
            }
            self.fire(cx, rung, due);
        }
    }

    /// Fires one rung of the ladder; returns whether it reached anyone. A rung that reaches no one is only
    /// recorded as fired.
    pub(super) fn fire(
        &mut self,
        cx: &BatchContext<'_>,
        rung: RungIdx,
        due: OffsetDateTime,
    ) -> bool {
        let ladder = &self.regime(cx).ladder;
        let rule = ladder[rung].clone();
        let is_remind = |rule: &&RungRule| rule.rung == Rung::Remind;
        let earlier_reminders = ladder.before(rung).iter().filter(is_remind).count();
        self.case_mut().ladder.record_fired(ladder, rung);
        let fired = match rule.rung {
            Rung::Remind => self.remind(cx, rule.when, earlier_reminders, due),
            Rung::NextContact => self.next_contact(cx, rule.when, due),
            Rung::Upstream | Rung::Registrar => self.escalate_upstream(cx, rule.rung, due),
            Rung::Regulator | Rung::Supervisor => self.escalate_to_authority(cx, rule.rung, due),
            // No policy contains it: it opens an episode.
            Rung::Host => false,
        };
        if fired {
            self.case_mut().ladder.record_reached(rule.rung);
        }
        if self.case().ladder.have_all_fired(ladder)
            && let CaseTransition::ChangeTo(_) = self.apply_to_case(case::Command::Exhaust)
        {
            let next = cx.now + cx.deps.policy.checks.exhausted_interval;
            if !self.case().removal.is_claimed() {
                self.schedule_check(next);
            }
        }
        fired
    }

    /// Fires rungs of this kind early until one reaches a provider. Returns `false` if none does.
    pub(super) fn fire_early(&mut self, cx: &BatchContext<'_>, rung: Rung) -> bool {
        let ladder = &self.regime(cx).ladder;
        ladder.indices().any(|candidate| {
            self.case().content_status == ContentStatus::Online
                && ladder[candidate].rung == rung
                && !self.case().ladder.has_fired(ladder, candidate)
                && self.fire(cx, candidate, cx.now)
        })
    }

    /// Fires the remaining rungs of the ladder now, in order, because no provider is left to notify.
    pub(super) fn fire_remaining_rungs(&mut self, cx: &BatchContext<'_>) {
        let ladder = &self.regime(cx).ladder;
        for rung in ladder.indices() {
            let has_fired = self.case().ladder.has_fired(ladder, rung);
            if self.case().content_status == ContentStatus::Online && !has_fired {
                self.fire(cx, rung, cx.now);
            }
        }
    }

    /// Whether a rung with this condition applies to the notice.
    fn awaits_provider(&self, n: NoticeIdx, when: RungCondition) -> bool {
        let notice = self.notice(n);
        notice::is_open(notice.state)
            && !notice::pauses_ladder(notice.state)
            && (when == RungCondition::Unremoved || !self.has_answered(&notice.provider_id))
    }

    /// Whether a provider has answered any step of this episode.
    pub(super) fn has_answered(&self, provider: &ProviderId) -> bool {
        self.current_notices().any(|n| {
            self.notice(n).provider_id == *provider && self.notice(n).acknowledged_at.is_some()
        })
    }

    /// Reminds the providers that had at most as many reminders as the ladder has before this rung. A reminder
    /// sent after a false claim counts only for its own provider.
    fn remind(
        &mut self,
        cx: &BatchContext<'_>,
        when: RungCondition,
        earlier_reminders: usize,
        due: OffsetDateTime,
    ) -> bool {
        let mut fired = false;
        for n in self.newest_by_provider() {
            let had = self.reminders(&self.notice(n).provider_id);
            if self.awaits_provider(n, when) && had <= earlier_reminders {
                fired |= self.remind_provider(cx, n, due);
            }
        }
        fired
    }

    /// Number of reminders to a provider in this episode.
    fn reminders(&self, provider: &ProviderId) -> usize {
        self.current_notices()
            .filter(|n| {
                let notice = self.notice(*n);
                notice.rung == Rung::Remind && notice.provider_id == *provider
            })
            .count()
    }

    /// Opens a step to the same provider by the same delivery channel.
    pub(super) fn remind_provider(
        &mut self,
        cx: &BatchContext<'_>,
        n: NoticeIdx,
        due: OffsetDateTime,
    ) -> bool {
        let Some(provider) = cx.directory.get(&self.notice(n).provider_id).cloned() else {
            return false;
        };
        let channel = self.notice(n).channel;
        let next = self.open_step(cx, &provider, Rung::Remind, Some(channel));
        self.escalate(cx, n, Rung::Remind, Some(next), due);
        true
    }

    /// Opens a step to the same provider by a delivery channel that was not used in this episode.
    fn next_contact(
        &mut self,
        cx: &BatchContext<'_>,
        when: RungCondition,
        due: OffsetDateTime,
    ) -> bool {
        let mut fired = false;
        for n in self.newest_by_provider() {
            if !self.awaits_provider(n, when) {
                continue;
            }
            let id = self.notice(n).provider_id.clone();
            let Some(provider) = cx.directory.get(&id).cloned() else {
                continue;
            };
            let channels_tried = self.channels_tried_with(&id);
            let Some(channel) = provider
                .channels()
                .into_iter()
                .find(|channel| !channels_tried.contains(*channel))
            else {
                continue;
            };
            let next = self.open_step(cx, &provider, Rung::NextContact, Some(channel));
            self.escalate(cx, n, Rung::NextContact, Some(next), due);
            fired = true;
        }
        fired
    }

    /// The delivery channels that were used with a provider in this episode.
    pub(super) fn channels_tried_with(&self, provider: &ProviderId) -> ChannelSet {
        self.current_notices()
            .filter(|n| self.notice(*n).provider_id == *provider)
            .map(|n| self.notice(n).channels_tried)
            .fold(ChannelSet::default(), ChannelSet::union)
    }

    /// Puts the case on the regulator's list, or flags it for a supervisor. No notice is opened, and the open
    /// ones stay due.
    fn escalate_to_authority(
        &mut self,
        cx: &BatchContext<'_>,
        rung: Rung,
        due: OffsetDateTime,
    ) -> bool {
        if rung == Rung::Regulator {
            self.list_for_regulator(due);
        } else {
            self.case_mut().ladder.flag_for_supervisor(cx.now);
        }
        let pending: Vec<NoticeIdx> = self
            .newest_by_provider()
            .into_iter()
            .filter(|n| {
                notice::is_open(self.notice(*n).state)
                    || self.notice(*n).state == NoticeState::Escalated
            })
            .collect();
        let Some(last) = pending
            .last()
            .copied()
            .or_else(|| self.newest_by_provider().last().copied())
        else {
            self.emit_escalated(cx, None, rung, None, due);
            return true;
        };
        for n in pending.into_iter().filter(|n| *n != last) {
            // One event covers the case; the other notices only change their state.
            self.apply(n, notice::Command::Escalate);
            self.notice_mut(n).escalated_to = Some(rung);
        }
        self.escalate(cx, last, rung, None, due);
        true
    }

    /// Escalates past a notice.
    pub(super) fn escalate(
        &mut self,
        cx: &BatchContext<'_>,
        n: NoticeIdx,
        rung: Rung,
        next: Option<NoticeIdx>,
        due: OffsetDateTime,
    ) {
        match self.apply(n, notice::Command::Escalate) {
            NoticeTransition::ChangeTo(_) | NoticeTransition::RecordOnly => {}
            NoticeTransition::NoChange | NoticeTransition::Ended | NoticeTransition::Refused => {
                return;
            }
        }
        self.notice_mut(n).escalated_to = Some(rung);
        if matches!(rung, Rung::Remind | Rung::NextContact) {
            // The same addressee has a newer step, which is sent instead.
            self.cancel(n);
        }
        self.emit_escalated(cx, Some(n), rung, next, due);
    }

    fn emit_escalated(
        &mut self,
        cx: &BatchContext<'_>,
        notice: Option<NoticeIdx>,
        rung: Rung,
        next: Option<NoticeIdx>,
        due: OffsetDateTime,
    ) {
        let next = next.map(|next| self.notice(next));
        let body = Body::NoticeEscalated(v1::NoticeEscalated {
            notice: notice.map(|n| self.notice_key(n)),
            rung: rung.wire(),
            next_notice_id: next.map(|n| n.id.to_string()).unwrap_or_default(),
            next_provider_id: next.map(|n| n.provider_id.to_string()).unwrap_or_default(),
            due_at: Some(timestamp(due)),
            fired_at: Some(timestamp(cx.now)),
        });
        self.emit(cx, body);
    }
}

/// The next rung of each of these cases, for display. Reads without a lock.
pub async fn next_rungs(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    cases: &[CaseId],
) -> Result<HashMap<CaseId, (Rung, OffsetDateTime)>, Error> {
    let ids: Vec<uuid::Uuid> = cases.iter().map(|id| id.uuid()).collect();
    let cx = BatchContext {
        deps,
        directory: deps.directory.current(conn).await?,
        now,
    };
    Ok(crate::cases::store::cases(conn, &ids)
        .await?
        .into_iter()
        .filter_map(|case| {
            let case = LockedCase::new(case);
            let (at, rung) = case.next_rung(&cx)?;
            let rung = case.regime(&cx).ladder[rung].rung;
            Some((case.case().case_id, (rung, at)))
        })
        .collect())
}
