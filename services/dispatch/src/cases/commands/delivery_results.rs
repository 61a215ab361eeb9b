//! Records results of deliveries. A notice that was answered in the meantime only gets its timestamps.

use std::collections::{BTreeMap, HashMap};

use domain::enums::DeliveryChannel;
use domain::id::{NoticeId, ProviderId};
use domain::wire::timestamp;
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use super::{CommandDeps, DeliveredMessage, FailedChannel};
use crate::cases::lifecycle::notice::{Command, NoticeTransition};
use crate::{Error, directory};

/// Records delivered messages. A repeat changes nothing.
pub async fn record_delivered(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    delivered: &[DeliveredMessage],
) -> Result<(), Error> {
    let ids: Vec<NoticeId> = delivered.iter().map(|d| d.notice_id).collect();
    let (mut batch, cases) = CaseBatch::load_by_notices(conn, deps, now, &ids).await?;
    for message in delivered {
        if let Some((cx, case, n)) = batch.find(&cases, message.notice_id) {
            case.notice_mut(n).attempts += message.attempts;
            apply_delivered(case, cx, n, message.channel, message.attempts);
        }
    }
    batch.store(conn).await
}

/// Records that providers fetched these notices by the pull API.
pub async fn record_fetched(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    notices: &[NoticeId],
) -> Result<(), Error> {
    let read: Vec<DeliveredMessage> = notices
        .iter()
        .map(|id| DeliveredMessage {
            notice_id: *id,
            channel: DeliveryChannel::Api,
            attempts: 0,
        })
        .collect();
    record_delivered(conn, deps, now, &read).await
}

/// Records permanently failed channels: the provider's next delivery channel takes over, or the next provider
/// in the chain.
pub async fn record_unreachable(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    failed: &[FailedChannel],
) -> Result<(), Error> {
    let ids: Vec<NoticeId> = failed.iter().map(|f| f.notice_id).collect();
    let (mut batch, cases) = CaseBatch::load_by_notices(conn, deps, now, &ids).await?;
    for failure in failed {
        if let Some((cx, case, n)) = batch.find(&cases, failure.notice_id) {
            let notice = case.notice_mut(n);
            notice.attempts += failure.attempts;
            notice.last_failure = Some(failure.reason.to_owned());
            case.reroute(cx, n, failure.channel, failure.reason);
        }
    }
    retire_webhooks(conn, now, failed, &batch).await?;
    batch.store(conn).await
}

/// Retires webhook endpoints that answered 410 Gone, for all notices.
async fn retire_webhooks(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    failed: &[FailedChannel],
    batch: &CaseBatch<'_>,
) -> Result<(), Error> {
    let notices: HashMap<NoticeId, &ProviderId> = batch
        .cases
        .values()
        .flat_map(|case| case.notices().iter())
        .map(|notice| (notice.id, &notice.provider_id))
        .collect();
    let retired: BTreeMap<&str, OffsetDateTime> = failed
        .iter()
        .filter(|f| f.channel == DeliveryChannel::Webhook && f.reason == "gone")
        .filter_map(|f| Some((notices.get(&f.notice_id)?.as_str(), f.claimed_at)))
        .collect();
    for (provider, claimed_at) in retired {
        if directory::retire_webhook_endpoint(conn, now, provider, claimed_at).await? {
            tracing::warn!(provider.id = %provider, "a webhook endpoint answered 410 Gone and was retired; it stays unused until the provider sets it again or a test succeeds");
        }
    }
    Ok(())
}

fn apply_delivered(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    channel: DeliveryChannel,
    attempts: i32,
) {
    let now = cx.now;
    if channel == DeliveryChannel::Email && case.notice(n).returned_at.is_some() {
        // A bounce may be recorded before the relay's acceptance.
        return;
    }
    let send_transition = case.apply(n, Command::Send);
    let notice = case.notice_mut(n);
    notice.sent_at.get_or_insert(now);
    let is_first_delivery = notice.delivered_at.is_none();
    notice.delivered_at.get_or_insert(now);
    notice.last_failure = None;
    if matches!(send_transition, NoticeTransition::ChangeTo(_)) {
        case.emit_sent(cx, n, attempts);
    }
    let is_news = match case.apply(n, Command::Deliver) {
        NoticeTransition::ChangeTo(_) => true,
        NoticeTransition::RecordOnly => is_first_delivery,
        NoticeTransition::NoChange | NoticeTransition::Ended | NoticeTransition::Refused => false,
    };
    // The first delivery counts for the case even if an answer was recorded before it.
    case.case_mut().delivered_at.get_or_insert(now);
    if is_news {
        let body = Body::NoticeDelivered(v1::NoticeDelivered {
            notice: Some(case.notice_key(n)),
            channel: channel.wire(),
            delivered_at: Some(timestamp(now)),
        });
        case.emit(cx, body);
    }
}
