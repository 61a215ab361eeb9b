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
use super::clocks::turns;
use super::dossier::{Context, Dossier};
use super::episode::bit;
use super::work::Work;
use crate::Error;
use crate::lifecycle::{case, notice};
use crate::policy::When;

/// Ends pauses and fires rungs that are due in these cases.
pub async fn fire_due(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    cases: &[CaseId],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, cases.iter().copied()).await?;
    for dossier in work.dossiers.values_mut() {
        if dossier.case.due_at.is_none_or(|due| due > now) {
            continue;
        }
        dossier.touched = true;
        if dossier.case.pause.is_some_and(|pause| pause.until <= now) {
            dossier.end_pause(&work.cx);
        }
        dossier.fire_what_is_due(&work.cx);
    }
    work.store(conn).await
}

impl Dossier {
    pub(super) fn fire_what_is_due(&mut self, cx: &Context<'_>) {
        while let Some((due, n)) = self.next_rung(cx) {
            if due > cx.now {
                break;
            }
            self.fire(cx, n, due);
        }
    }

    /// Fires one rung of the ladder; tells whether it reached anybody. One that finds nobody leaves only its mark.
    pub(super) fn fire(&mut self, cx: &Context<'_>, n: usize, due: OffsetDateTime) -> bool {
        let rule = self.regime(cx).ladder[n].clone();
        self.mark_fired(cx, n);
        let fired = match rule.rung {
            Rung::Remind => self.remind(cx, n, due),
            Rung::NextContact => self.next_contact(cx, rule.when, due),
            Rung::Upstream | Rung::Registrar => self.further_up(cx, rule.rung, due),
            Rung::Regulator | Rung::Supervisor => self.hand_over(cx, rule.rung, due),
            // No policy has it: it is what opens an episode.
            Rung::Host => false,
        };
        if fired {
            self.case_mut().last_rung = Some(rule.rung);
            if turns(rule.rung) {
                self.case_mut().hurried_to = None;
            }
        }
        let rungs = self.regime(cx).ladder.len();
        if (0..rungs).all(|n| self.has_fired(cx, n))
            && let case::Outcome::To(_) = self.put_case(case::Command::Exhaust)
        {
            let next = cx.now + cx.rules.policy.probe.exhausted;
            if self.case.claim_since.is_none() {
                self.look_at(next);
            }
        }
        fired
    }

    /// Fires rungs of this kind ahead of their time until one reaches somebody. `false` when none does.
    pub(super) fn pull_forward(&mut self, cx: &Context<'_>, rung: Rung) -> bool {
        (0..self.regime(cx).ladder.len()).any(|n| {
            self.case.live == LiveState::Up
                && self.regime(cx).ladder[n].rung == rung
                && !self.has_fired(cx, n)
                && self.fire(cx, n, cx.now)
        })
    }

    fn waits(&self, n: usize, when: When) -> bool {
        let notice = &self.notices[n];
        notice::is_open(notice.state)
            && !notice::is_asking(notice.state)
            && (when == When::Unremoved || !self.has_answered(&notice.provider_id))
    }

    /// Whether a provider has said anything in this episode, to whichever step.
    pub(super) fn has_answered(&self, provider: &ProviderId) -> bool {
        self.current().any(|n| {
            self.notices[n].provider_id == *provider && self.notices[n].acknowledged_at.is_some()
        })
    }

    /// The ladder's first reminder goes to whoever has had none yet, the second to whoever had less than two: that a
    /// false claim was answered by one spares nobody else theirs.
    fn remind(&mut self, cx: &Context<'_>, n: usize, due: OffsetDateTime) -> bool {
        let ladder = &self.regime(cx).ladder;
        let when = ladder[n].when;
        let nth = ladder[..n]
            .iter()
            .filter(|r| r.rung == Rung::Remind)
            .count();
        let mut fired = false;
        for n in self.branches() {
            if self.waits(n, when) && self.reminders(&self.notices[n].provider_id) <= nth {
                fired |= self.remind_one(cx, n, due);
            }
        }
        fired
    }

    /// How often a provider was reminded in this episode.
    fn reminders(&self, provider: &ProviderId) -> usize {
        self.current()
            .filter(|n| {
                let notice = &self.notices[*n];
                notice.rung == Rung::Remind && notice.provider_id == *provider
            })
            .count()
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
