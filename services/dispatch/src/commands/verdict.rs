//! Second looks of verification: the verdict stands, or it is taken back.

use domain::id::{CaseId, NoticeId, ReviewId};
use domain::word::{LiveState, NoticeState, ReviewReason};
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use super::dossier::{Context, Dossier};
use super::episode::{addressees, can_be_looked_up};
use super::hold::Held;
use super::work::Work;
use crate::lifecycle::{Message, case, notice};
use crate::{Error, delivery};

/// A verdict that stands after a second look.
#[derive(Debug, Clone, Copy)]
pub struct Upheld {
    pub case_id: CaseId,
    pub review_id: ReviewId,
    /// What a changed page shows is not the material.
    pub gone: bool,
    pub cause: Option<Uuid>,
}

/// The verdict stands: what waited for that goes on.
pub async fn uphold(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    upheld: &[Upheld],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, upheld.iter().map(|u| u.case_id)).await?;
    work.load_seals(conn, upheld.iter().map(|u| u.case_id))
        .await?;
    for item in upheld {
        if let Some(dossier) = work.dossiers.get_mut(&item.case_id) {
            dossier.cause = item.cause;
            dossier.uphold(&work.cx, item.review_id, item.gone)?;
        }
    }
    work.store(conn).await
}

/// The verdict is taken back: whoever was told hears it, and nothing else leaves any more.
pub async fn withdraw(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    withdrawn: &[Held],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, withdrawn.iter().map(|w| w.case_id)).await?;
    // What is under way may arrive: it is owed a retraction like what has arrived.
    let queued: Vec<NoticeId> = work
        .dossiers
        .values()
        .flat_map(|d| d.notices.iter().filter(|n| n.sent_at.is_none()))
        .map(|notice| notice.id)
        .collect();
    let in_doubt = delivery::cancel(conn, &queued).await?;
    for item in withdrawn {
        if let Some(dossier) = work.dossiers.get_mut(&item.case_id) {
            dossier.cause = item.cause;
            dossier.withdraw(&work.cx, &in_doubt);
        }
    }
    work.store(conn).await
}

impl Dossier {
    pub(super) fn uphold(
        &mut self,
        cx: &Context<'_>,
        review: ReviewId,
        gone: bool,
    ) -> Result<(), Error> {
        let reason = match self.case.review {
            Some((open, reason)) if open == review => reason,
            Some(_) | None => return Ok(()),
        };
        self.case_mut().review = None;
        if reason.is_about_page() {
            self.heed_word(gone);
        }
        match reason {
            ReviewReason::Disputed => {
                for n in self.current().collect::<Vec<_>>() {
                    if let notice::Outcome::To(_) = self.put(n, notice::Command::Uphold) {
                        self.send_message(n, Message::Upheld, None);
                    }
                }
                self.resume_when_answered(cx);
            }
            ReviewReason::Soft404 => {
                if matches!(self.case.live, LiveState::Up | LiveState::Exhausted) {
                    if gone {
                        // On a person's word, not on what looks had counted so far.
                        self.forget_claim();
                        self.confirm(cx);
                    } else {
                        self.refute(cx, cx.now);
                    }
                }
            }
            // Nothing is back: the watch goes on.
            ReviewReason::ReappearedChanged if gone => {}
            ReviewReason::ReappearedChanged => self.reappear(cx)?,
            ReviewReason::NoContact => self.find_again(cx)?,
            // A hidden service has nobody to tell: the regulator and a supervisor are all there is.
            ReviewReason::Onion => self.give_up(cx),
            // Somebody has read it. What it asked for was done where it belongs.
            ReviewReason::Replied => {}
        }
        self.ask_what_waited(cx)
    }

    /// One question is open at a time: a dispute that came during another is asked now.
    fn ask_what_waited(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let disputed = self
            .current()
            .find(|n| self.notices[*n].state == NoticeState::Disputed);
        let Some(n) = disputed else {
            return Ok(());
        };
        let note = self.note(cx, n)?;
        let id = self.notices[n].id;
        self.ask_review(cx, ReviewReason::Disputed, Some(id), note.as_deref())
    }

    /// Somebody may have put the host into the directory meanwhile.
    fn find_again(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        if !matches!(self.case.live, LiveState::Up | LiveState::Exhausted) {
            return Ok(());
        }
        let url = self.url(cx)?;
        let found = cx
            .directory
            .by_url(&url)
            .map(|provider| addressees(cx, provider))
            .unwrap_or_default()
            .into_iter()
            .filter(|provider| !self.is_noticed(&provider.id))
            .collect::<Vec<_>>();
        if !found.is_empty() {
            self.dispatch(cx, &found);
        } else if can_be_looked_up(cx, &url) {
            // Or its network: what is known of addresses may have grown too.
            self.case_mut().resolve_at = Some(cx.now);
        } else {
            self.give_up(cx);
        }
        Ok(())
    }

    /// Nobody is left to tell: what is left of the ladder fires now, in its order.
    pub(super) fn give_up(&mut self, cx: &Context<'_>) {
        for n in 0..self.regime(cx).ladder.len() {
            if self.case.live == LiveState::Up && !self.has_fired(cx, n) {
                self.fire(cx, n, cx.now);
            }
        }
    }

    pub(super) fn withdraw(&mut self, cx: &Context<'_>, in_doubt: &[NoticeId]) {
        let case::Outcome::To(_) = self.put_case(case::Command::Withdraw) else {
            return;
        };
        let told = self.told(in_doubt);
        for n in 0..self.notices.len() {
            self.cancel(n);
            if let notice::Outcome::To(_) = self.put(n, notice::Command::Withdraw) {
                let body = Body::NoticeWithdrawn(v1::NoticeWithdrawn {
                    notice: Some(self.key(n)),
                    reason: "verdict_withdrawn".to_owned(),
                });
                self.say(cx, body);
            }
        }
        for n in told {
            self.send_message(n, Message::Retraction, None);
        }
        self.forget_claim();
        let case = self.case_mut();
        case.pause = None;
        case.review = None;
        // What was not the material by one verdict may be it by the next.
        case.asked_print = None;
        case.gone_prints.clear();
        case.resolve_at = None;
        case.resumes = None;
        case.held_since = None;
        self.close(cx, v1::CloseReason::VerdictWithdrawn);
    }

    /// The newest notice to each provider that was told, or may have been.
    fn told(&self, in_doubt: &[NoticeId]) -> Vec<usize> {
        let mut told: Vec<usize> = Vec::new();
        for (n, notice) in self.notices.iter().enumerate() {
            let reached = notice.sent_at.is_some() || in_doubt.contains(&notice.id);
            if !reached || notice.state == NoticeState::Withdrawn {
                continue;
            }
            let same = |t: &&mut usize| self.notices[**t].provider_id == notice.provider_id;
            match told.iter_mut().find(same) {
                Some(newest) => *newest = n,
                None => told.push(n),
            }
        }
        told
    }
}
