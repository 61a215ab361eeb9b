//! What was sent to a provider, for it to look at, and to ask for again.

use domain::Invalid;
use domain::id::NoticeId;
use domain::wire::timestamp;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::{Inner, cursor, parse};
use crate::commands::{self, Redelivery};
use crate::store::{Attempt, Wanted};
use crate::{Error, auth, store};

const PAGE: i64 = 100;
const MOST: i64 = 500;
/// Notices of one call.
const ASKED: usize = 100;

impl Inner {
    pub(super) async fn list_deliveries(
        &self,
        metadata: &MetadataMap,
        request: v1::ListDeliveriesRequest,
    ) -> Result<v1::ListDeliveriesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let caller = auth::provider(&mut conn, &self.rules.keyring, metadata, "read").await?;
        let (limit, before) = parse::page(request.page.as_ref(), PAGE, MOST);
        let notice = match request.notice_id.as_str() {
            "" => None,
            text => Some(text.parse::<NoticeId>()?.uuid()),
        };
        let wanted = Wanted {
            notice,
            failed: request.failed,
            before: Some(cursor::number(&before)?).filter(|before| *before > 0),
            limit,
        };
        let attempts = store::attempts_of(&mut conn, &caller.id, &wanted).await?;
        let next_cursor = match attempts.last() {
            Some((id, _)) if attempts.len() as i64 == limit => cursor::of_number(*id),
            _ => String::new(),
        };
        Ok(v1::ListDeliveriesResponse {
            deliveries: attempts
                .iter()
                .map(|(id, attempt)| shown(*id, attempt))
                .collect(),
            next_cursor,
        })
    }

    pub(super) async fn redeliver_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::RedeliverNoticesRequest,
    ) -> Result<v1::RedeliverNoticesResponse, Error> {
        use v1::redelivery_result::Result as Said;
        let mut tx = self.pool.begin().await?;
        let caller = auth::provider(&mut tx, &self.rules.keyring, metadata, "settings").await?;
        let asked = &request.notice_ids;
        if asked.is_empty() {
            return Err(Invalid::missing("notice_ids").into());
        }
        if asked.len() > ASKED {
            return Err(Invalid::new(
                "too_many",
                "notice_ids",
                format!("a call names at most {ASKED} notices; send the rest in another"),
            )
            .into());
        }
        let parsed: Vec<Result<NoticeId, Invalid>> = asked
            .iter()
            .enumerate()
            .map(|(n, text)| {
                text.parse::<NoticeId>().map_err(|invalid| Invalid {
                    field: format!("notice_ids[{n}]"),
                    ..invalid
                })
            })
            .collect();
        let notices: Vec<NoticeId> = parsed.iter().filter_map(|id| id.clone().ok()).collect();
        let now = self.clock.now(&mut tx).await?;
        let redelivery = Redelivery {
            provider: &caller.id,
            notices: &notices,
        };
        let replies = commands::redeliver(&mut tx, &self.rules, now, &redelivery).await?;
        tx.commit().await?;
        self.bell.ring();
        let mut replies = replies.into_iter();
        let results = asked
            .iter()
            .zip(parsed)
            .enumerate()
            .map(|(n, (text, parsed))| {
                let said = match parsed {
                    Err(invalid) => Said::Problem(invalid.into()),
                    Ok(_) => match replies.next() {
                        Some(Ok(channel)) => Said::Channel(channel.wire()),
                        Some(Err(problem)) => Said::Problem(v1::ItemProblem {
                            code: problem.code.to_string(),
                            detail: problem.detail.clone(),
                            field: format!("notice_ids[{n}]"),
                        }),
                        // There is a reply for each.
                        None => Said::Problem(v1::ItemProblem::default()),
                    },
                };
                v1::RedeliveryResult {
                    notice_id: text.clone(),
                    result: Some(said),
                }
            })
            .collect();
        Ok(v1::RedeliverNoticesResponse { results })
    }
}

/// One attempt as its addressee sees it.
pub(super) fn shown(id: i64, attempt: &Attempt) -> v1::Delivery {
    let optional = |id: Option<String>| id.unwrap_or_default();
    v1::Delivery {
        delivery_id: id.to_string(),
        message_id: attempt.message_id.clone(),
        notice_id: optional(attempt.notice_id.map(|id| id.to_string())),
        endpoint_id: optional(attempt.endpoint_id.map(|id| id.to_string())),
        channel: attempt.channel.wire(),
        attempt: attempt.attempt.cast_unsigned(),
        at: Some(timestamp(attempt.started_at)),
        took_millis: attempt.took_millis.cast_unsigned(),
        outcome: attempt.outcome.clone(),
        http_status: attempt.http_status.unwrap_or_default().cast_unsigned(),
    }
}
