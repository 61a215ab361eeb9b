//! What checks saw, and what follows. One answer is not proof: N of M, over time.

use domain::word::{LiveState, ReviewReason};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::dossier::{Context, Dossier};
use super::work::Work;
use super::{Fingerprint, Outcome, ProbeSeen, Rules};
use crate::Error;
use crate::store::{Mark, Seen};

/// A new report of what was removed is looked into so many times as long as a claim, where the place cannot be reached.
const PATIENCE: i32 = 4;

/// So many pages that were called gone are remembered: a place may be served by several machines, each with a mark of
/// its own.
const GONE_PRINTS: usize = 16;

/// Records checks, in order, and sets the next one of each case. Cases that need no more checks lose theirs.
pub async fn record_probes(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    seen: &[ProbeSeen],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, seen.iter().map(|s| s.case_id)).await?;
    let back: Vec<_> = seen
        .iter()
        .filter(|s| matches!(s.outcome, Outcome::Up(_)))
        .map(|s| s.case_id)
        .filter(|id| {
            work.dossiers
                .get(id)
                .is_some_and(|d| !matches!(d.case.live, LiveState::Up | LiveState::Exhausted))
        })
        .collect();
    work.load_seals(conn, back).await?;
    for check in seen {
        if let Some(dossier) = work.dossiers.get_mut(&check.case_id) {
            dossier.looked(&work.cx, check)?;
        }
    }
    work.store(conn).await
}

impl Dossier {
    fn looked(&mut self, cx: &Context<'_>, check: &ProbeSeen) -> Result<(), Error> {
        match self.case.live {
            LiveState::Up | LiveState::Exhausted => {
                let outcome = self.by_word(&check.outcome);
                self.looked_at_open(cx, outcome, check.since)
            }
            LiveState::Gone | LiveState::Watched | LiveState::Closed => {
                let outcome = self.by_word(&check.outcome);
                self.looked_at_gone(cx, outcome)
            }
            LiveState::Held | LiveState::Withdrawn => {
                self.look_no_more();
                Ok(())
            }
        }
    }

    fn looked_at_open(
        &mut self,
        cx: &Context<'_>,
        outcome: &Outcome,
        since: OffsetDateTime,
    ) -> Result<(), Error> {
        let bounds = &cx.rules.policy.probe;
        let claimed = self.case.claim_since.is_some();
        match outcome {
            Outcome::Unknown => {
                let after = if claimed {
                    bounds.every
                } else {
                    self.open_interval(cx)
                };
                self.look_at(cx.now + after);
                return Ok(());
            }
            Outcome::Gone => {
                self.case_mut().checks += 1;
                self.case_mut().agreed += 1;
            }
            Outcome::Up(print) if claimed => {
                let changed = self.case.seen.is_some() && !self.looks_as_before(print);
                if changed {
                    self.put_in_question(Some(print));
                }
                let case = self.case_mut();
                case.checks += 1;
                case.changed += i32::from(changed);
            }
            Outcome::Up(print) => {
                // Nobody claims otherwise: a single miss before it was a hiccup, and this is what it looks like.
                let case = self.case_mut();
                case.checks = 0;
                case.agreed = 0;
                case.seen = Some(seen(print));
                self.look_at(cx.now + self.open_interval(cx));
                return Ok(());
            }
        }
        if self.case.agreed >= bounds.agree {
            self.confirm(cx);
        } else if claimed && self.case.checks >= bounds.of {
            if self.case.changed > 0 && self.case.changed + self.case.agreed == self.case.checks {
                self.ask_about_change(cx)?;
            } else {
                self.refute(cx, since);
            }
        } else {
            self.look_at(cx.now + bounds.every);
        }
        Ok(())
    }

    fn looked_at_gone(&mut self, cx: &Context<'_>, outcome: &Outcome) -> Result<(), Error> {
        let bounds = &cx.rules.policy.probe;
        // A report says that it is back: one look that finds nothing does not outweigh it.
        let reported = self.case.claim_since.is_some();
        match outcome {
            Outcome::Up(print) if self.looks_as_before(print) => return self.reappear(cx),
            Outcome::Up(print) => {
                self.put_in_question(Some(print));
                self.forget_claim();
                self.next_watch(cx);
                return self.ask_review(cx, ReviewReason::ReappearedChanged, None, None);
            }
            Outcome::Unknown if self.case.live != LiveState::Closed && !reported => {
                self.look_at(cx.now + bounds.every);
                return Ok(());
            }
            Outcome::Gone | Outcome::Unknown if !reported => {
                self.next_watch(cx);
                return Ok(());
            }
            Outcome::Gone => self.case_mut().agreed += 1,
            Outcome::Unknown => {}
        }
        let case = self.case_mut();
        case.checks += 1;
        let (agreed, checks) = (case.agreed, case.checks);
        if agreed >= bounds.agree {
            self.forget_claim();
            self.resume_watch(cx);
        } else if checks >= bounds.of * PATIENCE {
            // Nobody can tell from here; a person may.
            self.put_in_question(None);
            self.forget_claim();
            self.resume_watch(cx);
            return self.ask_review(cx, ReviewReason::ReappearedChanged, None, None);
        } else {
            self.look_at(cx.now + bounds.every);
        }
        Ok(())
    }

    /// Back to the schedule of the watch, which a report had interrupted.
    fn resume_watch(&mut self, cx: &Context<'_>) {
        let confirmed = self.case.confirmed_at.unwrap_or(cx.now);
        match cx.rules.policy.watch_at(self.case.watch_step, confirmed) {
            Some(at) if self.case.live == LiveState::Watched => self.look_at(at.max(cx.now)),
            _ => self.next_watch(cx),
        }
    }

    /// Sets the next look of the watch, or closes the case after the last.
    fn next_watch(&mut self, cx: &Context<'_>) {
        if self.case.live == LiveState::Closed {
            self.look_no_more();
            return;
        }
        let confirmed = self.case.confirmed_at.unwrap_or(cx.now);
        let case = self.case_mut();
        case.watch_step += 1;
        match cx.rules.policy.watch_at(case.watch_step, confirmed) {
            Some(at) => self.look_at(at.max(cx.now)),
            // An open question keeps the case open; looks go on at the pace of what is up.
            None if self.case.review.is_some() => {
                self.look_at(cx.now + cx.rules.policy.probe.open);
            }
            None => self.close(cx, proto::v1::CloseReason::Removed),
        }
    }

    /// What a look found, by what people have said: a page that one of them called gone is not asked about again. Where it
    /// tells neither length nor mark it may be another after all, and a new report that it is back outweighs that.
    fn by_word<'o>(&self, outcome: &'o Outcome) -> &'o Outcome {
        let Outcome::Up(print) = outcome else {
            return outcome;
        };
        let open = matches!(self.case.live, LiveState::Up | LiveState::Exhausted);
        let reported = self.case.claim_since.is_some() && !open;
        let tells = print.length.is_some() || print.etag.is_some();
        let called_gone = self.case.gone_prints.contains(&Mark::of(&seen(print)));
        if called_gone && !self.looks_as_before(print) && (tells || !reported) {
            &Outcome::Gone
        } else {
            outcome
        }
    }

    /// A person is to say of this page whether it is the material. While a question about a page is open it stays the one
    /// that it was asked for: whatever shows up meanwhile is not what they answer.
    fn put_in_question(&mut self, print: Option<&Fingerprint>) {
        let open = self.case.review.as_ref();
        if !open.is_some_and(|(_, reason)| reason.is_about_page()) {
            self.case_mut().asked_print = print.map(|print| Mark::of(&seen(print)));
        }
    }

    /// What a person said of the page that they were asked about is remembered.
    pub(super) fn heed_word(&mut self, gone: bool) {
        let case = self.case_mut();
        let Some(mark) = case.asked_print.take() else {
            return;
        };
        case.gone_prints.retain(|other| *other != mark);
        if gone {
            case.gone_prints.push(mark);
            let over = case.gone_prints.len().saturating_sub(GONE_PRINTS);
            case.gone_prints.drain(..over);
        }
    }

    /// Whether length, ETag and type are those that were seen while it was up. What was not told on either side tells
    /// nothing; what was never seen is not known to be the same.
    fn looks_as_before(&self, print: &Fingerprint) -> bool {
        let now = seen(print);
        let differs = |before: &Option<String>, now: &Option<String>| matches!((before, now), (Some(before), Some(now)) if before != now);
        self.case.seen.as_ref().is_some_and(|before| {
            let longer =
                matches!((before.length, now.length), (Some(before), Some(now)) if before != now);
            !longer
                && !differs(&before.etag, &now.etag)
                && !differs(&before.content_type, &now.content_type)
        })
    }
}

/// An ETag is often a hash of the material: only its digest is kept.
fn seen(print: &Fingerprint) -> Seen {
    Seen {
        status: i32::from(print.status),
        length: print.length.and_then(|length| i64::try_from(length).ok()),
        etag: print
            .etag
            .as_ref()
            .map(|etag| hex::encode(&Sha256::digest(etag.as_bytes())[..16])),
        content_type: print
            .content_type
            .as_ref()
            .map(|kind| kind.chars().filter(|c| !c.is_control()).take(100).collect()),
    }
}
