//! The ladder: what each rung does, and firing those that are due.
//! Never early, and in the transaction of its event; whoever asks has read the clock.

use std::collections::HashMap;

use domain::id::{CaseId, ProviderId};
use domain::wire::timestamp;
use domain::word::{LiveState, NoticeState, Rung};
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Rules;
use super::dossier::{Context, Dossier};
use super::episode::bit;
use super::work::Work;
use crate::Error;
use crate::lifecycle::{case, notice};
use crate::policy::When;

/// Ends pauses and fires rungs that are due in these cases; tells how many cases had something due.
pub async fn fire_due(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    cases: &[CaseId],
) -> Result<usize, Error> {
    let mut work = Work::load(conn, rules, now, cases.iter().copied()).await?;
    let mut fired = 0;
    for dossier in work.dossiers.values_mut() {
        if dossier.case.due_at.is_none_or(|due| due > now) {
            continue;
        }
        fired += 1;
        dossier.touched = true;
        if dossier.case.pause.is_some_and(|pause| pause.until <= now) {
            dossier.end_pause(&work.cx);
        }
        while let Some((due, n)) = dossier.next_rung(&work.cx) {
            if due > now {
                break;
            }
            dossier.fire(&work.cx, n, due);
        }
    }
    work.store(conn).await?;
    Ok(fired)
}

impl Dossier {
    /// Fires one rung of the ladder. A rung that finds nobody is skipped and leaves no trace but its bit.
    pub(super) fn fire(&mut self, cx: &Context<'_>, n: usize, due: OffsetDateTime) {
        let rule = self.regime(cx).ladder[n].clone();
        self.case_mut().rungs_fired |= 1 << n;
        let fired = match rule.rung {
            Rung::Remind => self.remind(cx, rule.when, due),
            Rung::NextContact => self.next_contact(cx, rule.when, due),
            Rung::Upstream | Rung::Registrar => self.further_up(cx, rule.rung, due),
            Rung::Regulator | Rung::Supervisor => self.hand_over(cx, rule.rung, due),
            // No policy has it: it is what opens an episode.
            Rung::Host => false,
        };
        if fired {
            self.case_mut().last_rung = Some(rule.rung);
        }
        let rungs = self.regime(cx).ladder.len();
        if (0..rungs).all(|n| self.has_fired(n))
            && let case::Outcome::To(_) = self.put_case(case::Command::Exhaust)
        {
            let next = cx.now + cx.rules.policy.probe.exhausted;
            if self.case.claim_since.is_none() {
                self.look_at(next);
            }
        }
    }

    /// Fires the first rung of this kind that is left, ahead of its time. `false` when none is left.
    pub(super) fn pull_forward(&mut self, cx: &Context<'_>, rung: Rung) -> bool {
        let left = (0..self.regime(cx).ladder.len())
            .find(|n| !self.has_fired(*n) && self.regime(cx).ladder[*n].rung == rung);
        match left {
            Some(n) if self.case.live == LiveState::Up => {
                self.fire(cx, n, cx.now);
                true
            }
            _ => false,
        }
    }

    fn waits(&self, n: usize, when: When) -> bool {
        let notice = &self.notices[n];
        notice::is_open(notice.state)
            && !notice::is_asking(notice.state)
            && (when == When::Unremoved || !self.has_answered(&notice.provider_id))
    }

    /// Whether a provider has said anything in this episode, to whichever step.
    fn has_answered(&self, provider: &ProviderId) -> bool {
        self.current().any(|n| {
            self.notices[n].provider_id == *provider && self.notices[n].acknowledged_at.is_some()
        })
    }

    fn remind(&mut self, cx: &Context<'_>, when: When, due: OffsetDateTime) -> bool {
        let mut fired = false;
        for n in self.branches() {
            if self.waits(n, when) {
                fired |= self.remind_one(cx, n, due);
            }
        }
        fired
    }

    /// A new step to the same provider by the same channel.
    pub(super) fn remind_one(&mut self, cx: &Context<'_>, n: usize, due: OffsetDateTime) -> bool {
        let Some(provider) = cx.directory.get(&self.notices[n].provider_id).cloned() else {
            return false;
        };
        let channel = self.notices[n].channel;
        let next = self.open_step(cx, &provider, Rung::Remind, Some(channel));
        self.escalate(cx, n, Rung::Remind, Some(next), due);
        true
    }

    fn next_contact(&mut self, cx: &Context<'_>, when: When, due: OffsetDateTime) -> bool {
        let mut fired = false;
        for n in self.branches() {
            if !self.waits(n, when) {
                continue;
            }
            let id = self.notices[n].provider_id.clone();
            let Some(provider) = cx.directory.get(&id).cloned() else {
                continue;
            };
            let tried = self.tried(&id);
            let Some(channel) = provider
                .channels()
                .into_iter()
                .find(|channel| tried & bit(*channel) == 0)
            else {
                continue;
            };
            let next = self.open_step(cx, &provider, Rung::NextContact, Some(channel));
            self.escalate(cx, n, Rung::NextContact, Some(next), due);
            fired = true;
        }
        fired
    }

    /// Channels that were used with a provider in this episode.
    pub(super) fn tried(&self, provider: &ProviderId) -> i16 {
        self.current()
            .filter(|n| self.notices[*n].provider_id == *provider)
            .fold(0, |tried, n| tried | self.notices[n].tried)
    }

    /// The regulator's list, or a supervisor: nobody is sent anything, and what was sent stays owed.
    fn hand_over(&mut self, cx: &Context<'_>, rung: Rung, due: OffsetDateTime) -> bool {
        if rung == Rung::Regulator {
            let entry = (
                self.case.case_id,
                self.case.episode,
                self.case.regime.clone(),
                due,
            );
            self.listed.push(entry);
        } else {
            self.case_mut().flagged_at = Some(cx.now);
        }
        let left: Vec<usize> = self
            .branches()
            .into_iter()
            .filter(|n| {
                notice::is_open(self.notices[*n].state)
                    || self.notices[*n].state == NoticeState::Escalated
            })
            .collect();
        let Some(last) = left
            .last()
            .copied()
            .or_else(|| self.branches().last().copied())
        else {
            self.say_escalated(cx, None, rung, None, due);
            return true;
        };
        for n in left.into_iter().filter(|n| *n != last) {
            // One event tells of the case; the other branches only take the state.
            self.put(n, notice::Command::Escalate);
            self.notice_mut(n).escalated_to = Some(rung);
        }
        self.escalate(cx, last, rung, None, due);
        true
    }

    /// The ladder goes past a notice.
    pub(super) fn escalate(
        &mut self,
        cx: &Context<'_>,
        n: usize,
        rung: Rung,
        next: Option<usize>,
        due: OffsetDateTime,
    ) {
        match self.put(n, notice::Command::Escalate) {
            notice::Outcome::To(_) | notice::Outcome::Record => {}
            notice::Outcome::Repeat | notice::Outcome::Over | notice::Outcome::Refused => return,
        }
        self.notice_mut(n).escalated_to = Some(rung);
        if matches!(rung, Rung::Remind | Rung::NextContact) {
            // The same addressee has a newer step: that one goes out.
            self.cancel(n);
        }
        self.say_escalated(cx, Some(n), rung, next, due);
    }

    fn say_escalated(
        &mut self,
        cx: &Context<'_>,
        notice: Option<usize>,
        rung: Rung,
        next: Option<usize>,
        due: OffsetDateTime,
    ) {
        let next = next.map(|next| &self.notices[next]);
        let body = Body::NoticeEscalated(v1::NoticeEscalated {
            notice: notice.map(|n| self.key(n)),
            rung: rung.wire(),
            next_notice_id: next.map(|n| n.id.to_string()).unwrap_or_default(),
            next_provider_id: next.map(|n| n.provider_id.to_string()).unwrap_or_default(),
            due_at: Some(timestamp(due)),
            fired_at: Some(timestamp(cx.now)),
        });
        self.say(cx, body);
    }
}

/// The next rung of each of these cases, for whoever watches them. Reads without a lock.
pub async fn next_rungs(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    cases: &[CaseId],
) -> Result<HashMap<CaseId, (Rung, OffsetDateTime)>, Error> {
    let ids: Vec<uuid::Uuid> = cases.iter().map(|id| id.uuid()).collect();
    let cx = Context {
        rules,
        directory: rules.directory.current(conn).await?,
        now,
    };
    Ok(crate::store::cases(conn, &ids)
        .await?
        .into_iter()
        .filter_map(|case| {
            let dossier = Dossier::new(case);
            let (at, n) = dossier.next_rung(&cx)?;
            let rung = dossier.regime(&cx).ladder[n].rung;
            Some((dossier.case.case_id, (rung, at)))
        })
        .collect())
}
