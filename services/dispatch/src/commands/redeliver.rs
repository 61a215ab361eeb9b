//! A message once more, because its addressee asked for it. Nothing about the notice changes by that.

use std::collections::BTreeMap;

use domain::id::{CaseId, NoticeId, ProviderId};
use domain::word::{DeliveryChannel, LiveState};
use platform::error::{Kind, Problem};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use super::work::Work;
use crate::delivery::{self, NewDelivery};
use crate::{Error, store};

/// What a provider asks for again.
pub struct Redelivery<'a> {
    pub provider: &'a ProviderId,
    pub notices: &'a [NoticeId],
}

/// Puts the newest message about each notice in line, due at once; tells how each goes out.
pub async fn redeliver(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    asked: &Redelivery<'_>,
) -> Result<Vec<Result<DeliveryChannel, Problem>>, Error> {
    let ids: Vec<Uuid> = asked.notices.iter().map(|id| id.uuid()).collect();
    let owners = vec![asked.provider.as_str(); ids.len()];
    let cases: BTreeMap<NoticeId, CaseId> = store::owned_notices(conn, &ids, &owners)
        .await?
        .into_iter()
        .collect();
    let mut work = Work::load(conn, rules, now, cases.values().copied()).await?;
    let mut deliveries = Vec::new();
    let replies = asked
        .notices
        .iter()
        .map(|id| {
            let delivery = again(&mut work, &cases, *id)?;
            let channel = delivery.channel;
            deliveries.push(delivery);
            Ok(channel)
        })
        .collect();
    delivery::enqueue(conn, now, &deliveries).await?;
    Ok(replies)
}

fn again(
    work: &mut Work<'_>,
    cases: &BTreeMap<NoticeId, CaseId>,
    id: NoticeId,
) -> Result<NewDelivery, Problem> {
    let (cx, dossier, n) = work
        .find(cases, id)
        .ok_or_else(|| Problem::from(Error::not_found("notice")))?;
    let notice = &dossier.notices[n];
    // A hold sends nothing that was not there before it, and does not say that it is one.
    if dossier.case.live == LiveState::Held && notice.delivered_at.is_none() {
        return Err(Error::not_found("notice").into());
    }
    let channels = cx
        .directory
        .get(&notice.provider_id)
        .map_or_else(Vec::new, |provider| provider.channels());
    let pushed = |channel: &DeliveryChannel| *channel != DeliveryChannel::Api;
    let same = channels
        .iter()
        .find(|channel| **channel == notice.channel && pushed(channel));
    let channel = *same
        .or_else(|| channels.iter().find(|channel| pushed(channel)))
        .ok_or_else(|| {
            Problem::new(
                Kind::FailedPrecondition,
                "nothing_to_send_to",
                "You pull notices, and have named neither a webhook nor a mailbox; set one in your preferences, or read the notice.",
            )
        })?;
    Ok(NewDelivery {
        notice_id: notice.id,
        case_id: notice.case_id,
        provider_id: notice.provider_id.clone(),
        channel,
        sequence: notice.sequence,
        severity: dossier.case.category,
        asked: true,
    })
}
