//! Mail received in response to notices sent by mail. An automatic reply is not an answer and stops no
//! deadline; it shows that no person has read the notice yet, so the next contact is notified sooner than
//! after silence.

use domain::enums::{ContentStatus, DeliveryChannel, MailKind, ReviewReason};
use domain::id::NoticeId;
use domain::url::DomainName;
use domain::wire::timestamp;
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::lifecycle::notice::{self, Command, NoticeTransition};

/// One mail to an address that we issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMail {
    pub notice_id: NoticeId,
    /// Sequence number of the message that it responds to.
    pub sequence: i32,
    pub kind: MailKind,
    /// Domain of the sender's address, if it is a valid name.
    pub from: Option<DomainName>,
    /// Enhanced status code (RFC 3463) of a delivery report.
    pub status: Option<String>,
}

/// Records received mail. The first of each kind counts for a notice; a repeat changes nothing.
pub async fn record_inbound_mail(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    mails: &[InboundMail],
) -> Result<(), Error> {
    let ids: Vec<NoticeId> = mails.iter().map(|mail| mail.notice_id).collect();
    let (mut batch, cases) = CaseBatch::load_by_notices(conn, deps, now, &ids).await?;
    let with_note = mails
        .iter()
        .filter(|mail| mail.kind == MailKind::Reply)
        .filter_map(|mail| cases.get(&mail.notice_id).copied());
    batch.load_seals(conn, with_note).await?;
    for mail in mails {
        if let Some((cx, case, n)) = batch.find(&cases, mail.notice_id) {
            receive_mail(case, cx, n, mail)?;
        }
    }
    batch.store(conn).await
}

fn receive_mail(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    mail: &InboundMail,
) -> Result<(), Error> {
    let notice = case.notice(n);
    // A bounce of an older message, or of a notice that another delivery channel took over, has no
    // effect.
    let is_stale = notice.sequence != mail.sequence || notice.channel != DeliveryChannel::Email;
    if mail.kind == MailKind::Bounced && is_stale {
        return Ok(());
    }
    let notice = case.notice_mut(n);
    let first_received_at = match mail.kind {
        MailKind::Bounced => &mut notice.returned_at,
        MailKind::Delayed => &mut notice.delayed_at,
        MailKind::Automatic => &mut notice.auto_replied_at,
        MailKind::Reply => &mut notice.replied_at,
    };
    if first_received_at.is_some() {
        return Ok(());
    }
    *first_received_at = Some(cx.now);
    let body = Body::MailReceived(v1::MailReceived {
        notice: Some(case.notice_key(n)),
        kind: mail.kind.wire(),
        from_domain: mail
            .from
            .as_ref()
            .map(|from| from.reveal().to_owned())
            .unwrap_or_default(),
        status: mail.status.clone().unwrap_or_default(),
        received_at: Some(timestamp(cx.now)),
    });
    case.emit(cx, body);
    match mail.kind {
        MailKind::Bounced => handle_bounce(case, cx, n),
        MailKind::Delayed => {}
        MailKind::Automatic => expedite_next_contact(case, cx, n),
        MailKind::Reply => request_reading(case, cx, n, mail)?,
    }
    Ok(())
}

/// Treats a bounce as a permanent refusal by the relay.
fn handle_bounce(case: &mut LockedCase, cx: &BatchContext<'_>, n: NoticeIdx) {
    if case.notice(n).sequence == 1 {
        match case.apply(n, Command::Return) {
            NoticeTransition::ChangeTo(_) | NoticeTransition::RecordOnly => {}
            NoticeTransition::NoChange | NoticeTransition::Ended | NoticeTransition::Refused => {
                return;
            }
        }
        case.notice_mut(n).delivered_at = None;
        let delivered = case.notices().iter().any(|n| n.delivered_at.is_some());
        if !delivered {
            case.case_mut().delivered_at = None;
        }
    }
    case.notice_mut(n).last_failure = Some(RETURNED.to_owned());
    case.reroute(cx, n, DeliveryChannel::Email, RETURNED);
}

/// Brings the next contact forward after an automatic reply; the addressee still owes an answer. Once per
/// addressee, so that automatic replies to reminders have no further effect.
fn expedite_next_contact(case: &mut LockedCase, cx: &BatchContext<'_>, n: NoticeIdx) {
    let Some(wait) = cx.deps.policy.automatic_reply else {
        return;
    };
    let provider = &case.notice(n).provider_id;
    let is_waiting = case.case().content_status == ContentStatus::Online
        && case.notice(n).episode == case.case().episode
        && notice::is_open(case.notice(n).state)
        && !notice::pauses_ladder(case.notice(n).state)
        && !case.has_answered(provider);
    let is_repeat = case.current_notices().any(|other| {
        other != n
            && case.notice(other).provider_id == *provider
            && case.notice(other).auto_replied_at.is_some()
    });
    if is_waiting && !is_repeat {
        let by = cx.now + wait;
        case.case_mut().ladder.expedite_next_contact(by);
    }
}

/// Requests a review: a person must read the mail, which may claim a removal or dispute the notice.
fn request_reading(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    mail: &InboundMail,
) -> Result<(), Error> {
    match case.case().content_status {
        ContentStatus::Online | ContentStatus::Exhausted | ContentStatus::Held => {}
        ContentStatus::Offline
        | ContentStatus::Watched
        | ContentStatus::Closed
        | ContentStatus::Withdrawn => {
            return Ok(());
        }
    }
    let id = case.notice(n).id;
    let from = mail
        .from
        .as_ref()
        .map_or("an unknown domain", |from| from.reveal());
    let note = format!(
        "A person at {from} has replied by mail to notice {id}. Read the reply in the hotline's mailbox. It does not count \
         as an answer yet; the sender can answer by the link in the notice."
    );
    case.request_review(cx, ReviewReason::Replied, Some(id), Some(&note))
}

/// Stable code of the reason of a bounce.
const RETURNED: &str = "mail_returned";
