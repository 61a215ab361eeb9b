//! Police holds: nothing leaves and nothing fires while one lasts, and the ladder is moved by its length.

use domain::id::CaseId;
use domain::word::{LiveState, NoticeState};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use super::dossier::{Context, Dossier};
use super::work::Work;
use crate::Error;
use crate::lifecycle::{Message, case};

/// A case to hold or to release, and the event that asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub case_id: CaseId,
    pub cause: Option<Uuid>,
}

pub async fn hold(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    held: &[Held],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, held.iter().map(|h| h.case_id)).await?;
    for item in held {
        if let Some(dossier) = work.dossiers.get_mut(&item.case_id) {
            dossier.cause = item.cause;
            dossier.hold(&work.cx);
        }
    }
    work.store(conn).await
}

pub async fn release(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    released: &[Held],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, released.iter().map(|h| h.case_id)).await?;
    for item in released {
        if let Some(dossier) = work.dossiers.get_mut(&item.case_id) {
            dossier.cause = item.cause;
            dossier.release(&work.cx)?;
        }
    }
    work.store(conn).await
}

impl Dossier {
    pub(super) fn hold(&mut self, cx: &Context<'_>) {
        let before = self.case.live;
        if let case::Outcome::To(_) = self.put_case(case::Command::Hold) {
            let case = self.case_mut();
            case.resumes = Some(before);
            case.held_since = Some(cx.now);
            for n in 0..self.notices.len() {
                self.cancel(n);
            }
            self.look_no_more();
        }
    }

    pub(super) fn release(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let case::Outcome::Back = self.put_case(case::Command::Release) else {
            return Ok(());
        };
        let case = self.case_mut();
        case.live = case.resumes.take().unwrap_or(LiveState::Up);
        let held = case.held_since.take().map(|since| cx.now - since);
        if let Some(length) = held.filter(|length| length.is_positive()) {
            // A hold stops every clock of the ladder, also those that a provider's word cannot.
            let case = self.case_mut();
            case.episode_at = case.episode_at.map(|at| at + length);
            case.claim_until = case.claim_until.map(|until| until + length);
            if let Some(pause) = &mut case.pause {
                pause.since += length;
                pause.until += length;
            }
            self.shift(length);
        }
        for n in 0..self.notices.len() {
            if self.is_owed(n) {
                self.enqueue(n);
            }
        }
        for n in self.current().collect::<Vec<_>>() {
            self.follow_answer(cx, n)?;
        }
        self.look_at(cx.now);
        Ok(())
    }

    /// Whether the newest message of a notice may not have arrived. Sending one again under its id does no harm.
    fn is_owed(&self, n: usize) -> bool {
        let notice = &self.notices[n];
        let news = matches!(notice.message, Message::Information | Message::Upheld);
        self.may_leave(n) && (news || notice.state != NoticeState::Delivered)
    }
}
