//! The hotline's answer to a provider's question.

use domain::id::NoticeId;
use domain::word::NoticeState;
use platform::error::{Kind, Problem};
use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Rules;
use super::work::Work;
use crate::Error;
use crate::lifecycle::Message;
use crate::lifecycle::notice::{Command, Outcome};

/// Words of staff for one notice.
#[derive(Clone)]
pub struct Supply {
    pub notice_id: NoticeId,
    pub text: String,
}

/// Sends the words as a further message about each notice and lets its clock go on.
pub async fn supply(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    items: &[Supply],
) -> Result<Vec<Result<NoticeState, Problem>>, Error> {
    let ids: Vec<NoticeId> = items.iter().map(|item| item.notice_id).collect();
    let (mut work, cases) = Work::load_by_notices(conn, rules, now, &ids).await?;
    work.load_seals(conn, cases.values().copied()).await?;
    let mut replies = Vec::with_capacity(items.len());
    for item in items {
        let Some((cx, dossier, n)) = work.find(&cases, item.notice_id) else {
            replies.push(Err(Error::not_found("notice").into()));
            continue;
        };
        match dossier.put(n, Command::Inform) {
            Outcome::To(_) => {
                let row = item.notice_id.uuid();
                let sealed = dossier.seal_text(cx, Purpose::Answer, row, &item.text)?;
                dossier.send_message(n, Message::Information, Some(sealed));
                dossier.resume_when_answered(cx);
                replies.push(Ok(dossier.notices[n].state));
            }
            Outcome::Record | Outcome::Repeat | Outcome::Over | Outcome::Refused => {
                replies.push(Err(Problem::new(
                    Kind::FailedPrecondition,
                    "no_open_question",
                    "The provider has no open question about this notice; read it again.",
                )
                .field("notice_id")));
            }
        }
    }
    work.store(conn).await?;
    Ok(replies)
}
