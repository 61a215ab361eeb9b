//! What came back to notices that went by mail. A machine's word for somebody is no answer and stops no clock; it says
//! that nobody has read the notice yet, and that is worth less time than a silence that might be work.

use domain::id::NoticeId;
use domain::url::DomainName;
use domain::wire::timestamp;
use domain::word::{DeliveryChannel, LiveState, MailKind, ReviewReason};
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Rules;
use super::dossier::{Context, Dossier};
use super::work::Work;
use crate::Error;
use crate::lifecycle::notice::{self, Command, Outcome};

/// One mail, to an address that we made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailed {
    pub notice_id: NoticeId,
    /// Of the message that it came back to.
    pub sequence: i32,
    pub kind: MailKind,
    /// Right of the @ of whoever wrote, where that is a name.
    pub from: Option<DomainName>,
    /// RFC 3463, with a report of delivery.
    pub status: Option<String>,
}

/// Takes what came back. The first of each kind counts for a notice, a repeat changes nothing.
pub async fn mailed(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    mails: &[Mailed],
) -> Result<(), Error> {
    let ids: Vec<NoticeId> = mails.iter().map(|mail| mail.notice_id).collect();
    let (mut work, cases) = Work::load_by_notices(conn, rules, now, &ids).await?;
    let with_words = mails
        .iter()
        .filter(|mail| mail.kind == MailKind::Reply)
        .filter_map(|mail| cases.get(&mail.notice_id).copied());
    work.load_seals(conn, with_words).await?;
    for mail in mails {
        if let Some((cx, dossier, n)) = work.find(&cases, mail.notice_id) {
            dossier.mailed(cx, n, mail)?;
        }
    }
    work.store(conn).await
}

impl Dossier {
    fn mailed(&mut self, cx: &Context<'_>, n: usize, mail: &Mailed) -> Result<(), Error> {
        let notice = &self.notices[n];
        // An older message than the newest, or one whose notice goes another way by now: it concerns nobody.
        let is_stale = notice.sequence != mail.sequence || notice.channel != DeliveryChannel::Email;
        if mail.kind == MailKind::Bounced && is_stale {
            return Ok(());
        }
        let notice = self.notice_mut(n);
        let first = match mail.kind {
            MailKind::Bounced => &mut notice.returned_at,
            MailKind::Delayed => &mut notice.delayed_at,
            MailKind::Automatic => &mut notice.auto_replied_at,
            MailKind::Reply => &mut notice.replied_at,
        };
        if first.is_some() {
            return Ok(());
        }
        *first = Some(cx.now);
        let body = Body::MailReceived(v1::MailReceived {
            notice: Some(self.key(n)),
            kind: mail.kind.wire(),
            from_domain: mail
                .from
                .as_ref()
                .map(|from| from.reveal().to_owned())
                .unwrap_or_default(),
            status: mail.status.clone().unwrap_or_default(),
            received_at: Some(timestamp(cx.now)),
        });
        self.say(cx, body);
        match mail.kind {
            MailKind::Bounced => self.came_back(cx, n),
            MailKind::Delayed => {}
            MailKind::Automatic => self.hurry(cx, n),
            MailKind::Reply => self.ask_to_read(cx, n, mail)?,
        }
        Ok(())
    }

    /// The mailbox takes nothing: as if the relay had said so at once.
    fn came_back(&mut self, cx: &Context<'_>, n: usize) {
        if self.notices[n].sequence == 1 {
            match self.put(n, Command::Return) {
                Outcome::To(_) | Outcome::Record => {}
                Outcome::Repeat | Outcome::Over | Outcome::Refused => return,
            }
            self.notice_mut(n).delivered_at = None;
            let delivered = self.notices.iter().any(|n| n.delivered_at.is_some());
            if !delivered {
                self.case_mut().delivered_at = None;
            }
        }
        self.notice_mut(n).last_failure = Some(RETURNED.to_owned());
        self.unreachable(cx, n, DeliveryChannel::Email, RETURNED);
    }

    /// Nobody has read it: the next contact is told sooner, and this one still owes an answer. Once for each addressee,
    /// so that machines that answer every reminder hurry nothing twice.
    fn hurry(&mut self, cx: &Context<'_>, n: usize) {
        let Some(wait) = cx.rules.policy.automatic_reply else {
            return;
        };
        let provider = &self.notices[n].provider_id;
        let waits = self.case.live == LiveState::Up
            && self.notices[n].episode == self.case.episode
            && notice::is_open(self.notices[n].state)
            && !notice::is_asking(self.notices[n].state)
            && !self.has_answered(provider);
        let again = self.current().any(|other| {
            other != n
                && self.notices[other].provider_id == *provider
                && self.notices[other].auto_replied_at.is_some()
        });
        if waits && !again {
            let by = cx.now + wait;
            let case = self.case_mut();
            case.hurried_to = Some(case.hurried_to.map_or(by, |earlier| earlier.min(by)));
        }
    }

    /// What stands in it may be anything, a removal or a dispute: somebody reads it where it lies.
    fn ask_to_read(&mut self, cx: &Context<'_>, n: usize, mail: &Mailed) -> Result<(), Error> {
        match self.case.live {
            LiveState::Up | LiveState::Exhausted | LiveState::Held => {}
            LiveState::Gone | LiveState::Watched | LiveState::Closed | LiveState::Withdrawn => {
                return Ok(());
            }
        }
        let id = self.notices[n].id;
        let from = mail
            .from
            .as_ref()
            .map_or("an unknown domain", |from| from.reveal());
        let note = format!(
            "Somebody at {from} has written by mail about notice {id}. The words are in the hotline's own mailbox: read \
             them there. They are no answer yet; whoever wrote them can answer by the notice's link."
        );
        self.ask_review(cx, ReviewReason::Replied, Some(id), Some(&note))
    }
}

/// Stable, as the reason of a bounce.
const RETURNED: &str = "mail_returned";
