//! Police holds: while one lasts, nothing is sent and no rung fires; afterwards the ladder is moved by its
//! length.

use domain::enums::{ContentStatus, NoticeState};
use domain::id::CaseId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::answer::move_past_addressee;
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
            police_hold(case, &batch.cx);
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
            release(case, &batch.cx)?;
        }
    }
    batch.store(conn).await
}

fn police_hold(case: &mut LockedCase, cx: &BatchContext<'_>) {
    let before = case.case().content_status;
    if let CaseTransition::ChangeTo(_) = case.apply_to_case(case::Command::PoliceHold) {
        let row = case.case_mut();
        row.resumes_as = Some(before);
        row.held_since = Some(cx.now);
        for n in case.notices().indices() {
            case.cancel(n);
        }
        case.stop_checks();
    }
}

fn release(case: &mut LockedCase, cx: &BatchContext<'_>) -> Result<(), Error> {
    let CaseTransition::ResumePrevious = case.apply_to_case(case::Command::Release) else {
        return Ok(());
    };
    let row = case.case_mut();
    row.content_status = row.resumes_as.take().unwrap_or(ContentStatus::Online);
    let police_hold_length = row.held_since.take().map(|since| cx.now - since);
    if let Some(length) = police_hold_length.filter(|length| length.is_positive()) {
        // A police hold stops every deadline of the ladder, including those that no pause stops.
        let row = case.case_mut();
        row.ladder.shift(length);
        row.removal.shift(length);
        case.shift_deadlines(length);
    }
    for n in case.notices().indices() {
        if needs_resending(case, n) {
            case.enqueue(n);
        }
    }
    for n in case.current_notices().collect::<Vec<_>>() {
        move_past_addressee(case, cx, n)?;
    }
    case.schedule_check(cx.now);
    Ok(())
}

/// Whether the newest message of a notice may not have arrived. Sending it again under its id does no
/// harm.
fn needs_resending(case: &LockedCase, n: NoticeIdx) -> bool {
    let notice = case.notice(n);
    let is_later_message = matches!(notice.message, Message::Information | Message::Upheld);
    case.may_be_sent(n) && (is_later_message || notice.state != NoticeState::Delivered)
}
