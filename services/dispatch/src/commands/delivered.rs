//! What deliveries came to. A notice that was answered meanwhile only gets its clocks stamped.

use std::collections::{BTreeMap, HashMap};

use domain::id::{NoticeId, ProviderId};
use domain::wire::timestamp;
use domain::word::DeliveryChannel;
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::dossier::{Context, Dossier};
use super::work::Work;
use super::{Delivered, Rules, Unreachable};
use crate::lifecycle::notice::{Command, Outcome};
use crate::{Error, store};

/// Records messages that arrived. A repeat changes nothing.
pub async fn record_delivered(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    delivered: &[Delivered],
) -> Result<(), Error> {
    let ids: Vec<NoticeId> = delivered.iter().map(|d| d.notice_id).collect();
    let (mut work, cases) = Work::load_by_notices(conn, rules, now, &ids).await?;
    for message in delivered {
        if let Some((cx, dossier, n)) = work.find(&cases, message.notice_id) {
            dossier.notice_mut(n).attempts += message.attempts;
            dossier.delivered(cx, n, message.channel, message.attempts);
        }
    }
    work.store(conn).await
}

/// Records that providers read these notices themselves.
pub async fn fetched(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    notices: &[NoticeId],
) -> Result<(), Error> {
    let read: Vec<Delivered> = notices
        .iter()
        .map(|id| Delivered {
            notice_id: *id,
            channel: DeliveryChannel::Api,
            attempts: 0,
        })
        .collect();
    record_delivered(conn, rules, now, &read).await
}

/// Records channels that failed for good: the next channel takes over, or the next provider in the chain.
pub async fn record_unreachable(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    failed: &[Unreachable],
) -> Result<(), Error> {
    let ids: Vec<NoticeId> = failed.iter().map(|f| f.notice_id).collect();
    let (mut work, cases) = Work::load_by_notices(conn, rules, now, &ids).await?;
    for failure in failed {
        if let Some((cx, dossier, n)) = work.find(&cases, failure.notice_id) {
            let notice = dossier.notice_mut(n);
            notice.attempts += failure.attempts;
            notice.last_failure = Some(failure.reason.to_owned());
            dossier.unreachable(cx, n, failure.channel, failure.reason);
        }
    }
    retire_webhooks(conn, now, failed, &work).await?;
    work.store(conn).await
}

/// An endpoint that says that it is gone is not used again, by any notice.
async fn retire_webhooks(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    failed: &[Unreachable],
    work: &Work<'_>,
) -> Result<(), Error> {
    let notices: HashMap<NoticeId, &ProviderId> = work
        .dossiers
        .values()
        .flat_map(|dossier| &dossier.notices)
        .map(|notice| (notice.id, &notice.provider_id))
        .collect();
    let gone: BTreeMap<&str, OffsetDateTime> = failed
        .iter()
        .filter(|f| f.channel == DeliveryChannel::Webhook && f.reason == "gone")
        .filter_map(|f| Some((notices.get(&f.notice_id)?.as_str(), f.claimed_at)))
        .collect();
    for (provider, claimed_at) in gone {
        if store::retire_webhook(conn, now, provider, claimed_at).await? {
            tracing::warn!(provider.id = %provider, "a webhook is gone; it is not used until the provider names one anew");
        }
    }
    Ok(())
}

impl Dossier {
    fn delivered(&mut self, cx: &Context<'_>, n: usize, channel: DeliveryChannel, attempts: i32) {
        let now = cx.now;
        if channel == DeliveryChannel::Email && self.notices[n].returned_at.is_some() {
            // A mail may come back before its relay's word for it is written down.
            return;
        }
        let sent = self.put(n, Command::Send);
        let notice = self.notice_mut(n);
        notice.sent_at.get_or_insert(now);
        let first = notice.delivered_at.is_none();
        notice.delivered_at.get_or_insert(now);
        notice.last_failure = None;
        if matches!(sent, Outcome::To(_)) {
            self.say_sent(cx, n, attempts);
        }
        let outcome = self.put(n, Command::Deliver);
        let told = match outcome {
            Outcome::To(_) => true,
            Outcome::Record => first,
            Outcome::Repeat | Outcome::Over | Outcome::Refused => false,
        };
        // Its first delivery is a fact also where an answer was faster than its record.
        self.case_mut().delivered_at.get_or_insert(now);
        if told {
            let body = Body::NoticeDelivered(v1::NoticeDelivered {
                notice: Some(self.key(n)),
                channel: channel.wire(),
                delivered_at: Some(timestamp(now)),
            });
            self.say(cx, body);
        }
    }
}
