//! Redelivery of a message at its addressee's request. The notice itself does not change.

use std::collections::BTreeMap;

use domain::enums::{ContentStatus, DeliveryChannel};
use domain::id::{CaseId, NoticeId, ProviderId};
use platform::error::{Kind, Problem};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use crate::Error;
use crate::cases::store;
use crate::delivery::{self, NewDelivery};

/// Notices that a provider wants to receive again.
pub struct RequestedRedelivery<'a> {
    pub provider: &'a ProviderId,
    pub notices: &'a [NoticeId],
}

/// Queues the newest message about each notice, due at once; returns the delivery channel of each.
pub async fn redeliver_notices(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    request: &RequestedRedelivery<'_>,
) -> Result<Vec<Result<DeliveryChannel, Problem>>, Error> {
    let ids: Vec<Uuid> = request.notices.iter().map(|id| id.uuid()).collect();
    let owners = vec![request.provider.as_str(); ids.len()];
    let cases: BTreeMap<NoticeId, CaseId> = store::owned_notices(conn, &ids, &owners)
        .await?
        .into_iter()
        .collect();
    let mut batch = CaseBatch::load(conn, deps, now, cases.values().copied()).await?;
    let mut deliveries = Vec::new();
    let replies = request
        .notices
        .iter()
        .map(|id| {
            let delivery = redelivery(&mut batch, &cases, *id)?;
            let channel = delivery.channel;
            deliveries.push(delivery);
            Ok(channel)
        })
        .collect();
    delivery::enqueue(conn, now, &deliveries).await?;
    Ok(replies)
}

fn redelivery(
    batch: &mut CaseBatch<'_>,
    cases: &BTreeMap<NoticeId, CaseId>,
    id: NoticeId,
) -> Result<NewDelivery, Problem> {
    let (cx, case, n) = batch
        .find(cases, id)
        .ok_or_else(|| Problem::from(Error::not_found("notice")))?;
    let notice = case.notice(n);
    // A police hold reveals no notice that was not delivered before it, nor that there is a hold.
    if case.case().content_status == ContentStatus::Held && notice.delivered_at.is_none() {
        return Err(Error::not_found("notice").into());
    }
    let channels = cx
        .directory
        .get(&notice.provider_id)
        .map_or_else(Vec::new, |provider| provider.channels());
    let is_push = |channel: &DeliveryChannel| *channel != DeliveryChannel::Api;
    let same_channel = channels
        .iter()
        .find(|channel| **channel == notice.channel && is_push(channel));
    let channel = *same_channel
        .or_else(|| channels.iter().find(|channel| is_push(channel)))
        .ok_or_else(|| {
            Problem::new(
                Kind::FailedPrecondition,
                "nothing_to_send_to",
                "You pull notices and have set neither a webhook nor a mailbox; set one in your preferences, or read the notice.",
            )
        })?;
    Ok(NewDelivery {
        notice_id: notice.id,
        case_id: notice.case_id,
        provider_id: notice.provider_id.clone(),
        channel,
        sequence: notice.sequence,
        severity: case.case().category,
        redelivery_requested: true,
    })
}
