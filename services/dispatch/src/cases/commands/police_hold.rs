//! Police holds: while one lasts, nothing is sent and no rung fires; afterwards the ladder is moved by its
//! length.

use domain::enums::{ContentStatus, NoticeState};
use domain::id::CaseId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::lifecycle::Message;
use crate::cases::lifecycle::case::{self, CaseTransition};

/// A case to hold, release or withdraw, and the event that requires it.
#[derive(Debug, Clone, Copy)]
pub struct CaseInstruction {
    pub case_id: CaseId,
    pub cause: Option<Uuid>,
}

pub async fn place_police_holds(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    instructions: &[CaseInstruction],
) -> Result<(), Error> {
    let mut batch =
        CaseBatch::load(conn, deps, now, instructions.iter().map(|h| h.case_id)).await?;
    for instruction in instructions {
        if let Some(case) = batch.cases.get_mut(&instruction.case_id) {
            case.set_cause(instruction.cause);
            case.police_hold(&batch.cx);
        }
    }
    batch.store(conn).await
}

pub async fn release_cases(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    instructions: &[CaseInstruction],
) -> Result<(), Error> {
    let mut batch =
        CaseBatch::load(conn, deps, now, instructions.iter().map(|h| h.case_id)).await?;
    for instruction in instructions {
        if let Some(case) = batch.cases.get_mut(&instruction.case_id) {
            case.set_cause(instruction.cause);
            case.release(&batch.cx)?;
        }
    }
    batch.store(conn).await
}

impl LockedCase {
    pub(super) fn police_hold(&mut self, cx: &BatchContext<'_>) {
        let before = self.case().content_status;
        if let CaseTransition::ChangeTo(_) = self.apply_to_case(case::Command::PoliceHold) {
            let case = self.case_mut();
            case.resumes_as = Some(before);
            case.held_since = Some(cx.now);
            for n in self.notices().indices() {
                self.cancel(n);
            }
            self.stop_checks();
        }
    }

    pub(super) fn release(&mut self, cx: &BatchContext<'_>) -> Result<(), Error> {
        let CaseTransition::ResumePrevious = self.apply_to_case(case::Command::Release) else {
            return Ok(());
        };
        let case = self.case_mut();
        case.content_status = case.resumes_as.take().unwrap_or(ContentStatus::Online);
        let police_hold_length = case.held_since.take().map(|since| cx.now - since);
        if let Some(length) = police_hold_length.filter(|length| length.is_positive()) {
            // A police hold stops every deadline of the ladder, including those that no pause stops.
            let case = self.case_mut();
            case.ladder.shift(length);
            case.removal.shift(length);
            self.shift_deadlines(length);
        }
        for n in self.notices().indices() {
            if self.needs_resending(n) {
                self.enqueue(n);
            }
        }
        for n in self.current_notices().collect::<Vec<_>>() {
            self.move_past_addressee(cx, n)?;
        }
        self.schedule_check(cx.now);
        Ok(())
    }

    /// Whether the newest message of a notice may not have arrived. Sending it again under its id does no
    /// harm.
    fn needs_resending(&self, n: NoticeIdx) -> bool {
        let notice = self.notice(n);
        let is_later_message = matches!(notice.message, Message::Information | Message::Upheld);
        self.may_be_sent(n) && (is_later_message || notice.state != NoticeState::Delivered)
    }
}
