//! Answers of staff to providers' questions.

use domain::enums::NoticeState;
use domain::id::NoticeId;
use platform::error::{Kind, Problem};
use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use crate::Error;
use crate::cases::lifecycle::Message;
use crate::cases::lifecycle::notice::{Command, NoticeTransition};

/// Text of staff for one notice.
#[derive(Clone)]
pub struct SuppliedInformation {
    pub notice_id: NoticeId,
    pub text: String,
}

/// Sends each text as a further message about its notice and resumes its deadlines.
pub async fn supply_information(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    supplied: &[SuppliedInformation],
) -> Result<Vec<Result<NoticeState, Problem>>, Error> {
    let ids: Vec<NoticeId> = supplied
        .iter()
        .map(|information| information.notice_id)
        .collect();
    let (mut batch, cases) = CaseBatch::load_by_notices(conn, deps, now, &ids).await?;
    batch.load_seals(conn, cases.values().copied()).await?;
    let mut replies = Vec::with_capacity(supplied.len());
    for information in supplied {
        let Some((cx, case, n)) = batch.find(&cases, information.notice_id) else {
            replies.push(Err(Error::not_found("notice").into()));
            continue;
        };
        match case.apply(n, Command::Inform) {
            NoticeTransition::ChangeTo(_) => {
                let row = information.notice_id.uuid();
                let sealed = case.seal_text(cx, Purpose::Answer, row, &information.text)?;
                case.send_message(n, Message::Information, Some(sealed));
                case.resume_unless_paused(cx);
                replies.push(Ok(case.notice(n).state));
            }
            NoticeTransition::RecordOnly
            | NoticeTransition::NoChange
            | NoticeTransition::Ended
            | NoticeTransition::Refused => {
                replies.push(Err(Problem::new(
                    Kind::FailedPrecondition,
                    "no_open_question",
                    "The provider has no open question about this notice; read it again.",
                )
                .field("notice_id")));
            }
        }
    }
    batch.store(conn).await?;
    Ok(replies)
}
