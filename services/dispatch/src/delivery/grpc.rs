//! Delivery attempts to a provider, which it can list, and redelivery on request.

use domain::Invalid;
use domain::id::NoticeId;
use domain::wire::{duration, timestamp};
use proto::v1;
use time::Duration;
use tonic::metadata::MetadataMap;

use crate::cases::{self, RequestedRedelivery};
use crate::delivery::store::{self, AttemptQuery, AttemptRecord};
use crate::grpc::{Handlers, cursor, parse};
use crate::{Error, auth};

const PAGE: i64 = 100;
const MAX_PAGE: i64 = 500;
/// Maximum notices in one redelivery request.
const MAX_NOTICES: usize = 100;

impl Handlers {
    pub(crate) async fn list_deliveries(
        &self,
        metadata: &MetadataMap,
        request: v1::ListDeliveriesRequest,
    ) -> Result<v1::ListDeliveriesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let caller =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "read").await?;
        let limit = parse::page_size(request.page_size, PAGE, MAX_PAGE)?;
        let notice = match request.notice_id.as_str() {
            "" => None,
            text => Some(text.parse::<NoticeId>()?.uuid()),
        };
        let query = AttemptQuery {
            notice,
            failed: request.failed,
            before: Some(cursor::decode_position(&request.page_token)?)
                .filter(|before| *before > 0),
            limit,
        };
        let attempts = store::list_attempts(&mut conn, &caller.id, &query).await?;
        let next_page_token = match attempts.last() {
            Some((id, _)) if attempts.len() as i64 == limit => cursor::encode_position(*id),
            _ => String::new(),
        };
        Ok(v1::ListDeliveriesResponse {
            deliveries: attempts
                .iter()
                .map(|(id, attempt)| delivery_to_proto(*id, attempt))
                .collect(),
            next_page_token,
        })
    }

    pub(crate) async fn redeliver_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::RedeliverNoticesRequest,
    ) -> Result<v1::RedeliverNoticesResponse, Error> {
        use v1::redelivery_result::Result as ItemResult;
        let mut tx = self.pool.begin().await?;
        let caller =
            auth::require_provider(&mut tx, &self.deps.keyring, metadata, "settings").await?;
        let requested = &request.notice_ids;
        if requested.is_empty() {
            return Err(Invalid::missing("notice_ids").into());
        }
        if requested.len() > MAX_NOTICES {
            return Err(Invalid::new(
                "too_many",
                "notice_ids",
                format!("a call names at most {MAX_NOTICES} notices; send the rest in another"),
            )
            .into());
        }
        let parsed: Vec<Result<NoticeId, Invalid>> = requested
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
        let redelivery = RequestedRedelivery {
            provider: &caller.id,
            notices: &notices,
        };
        let replies = cases::redeliver_notices(&mut tx, &self.deps, now, &redelivery).await?;
        tx.commit().await?;
        self.wakeup.notify();
        let mut replies = replies.into_iter();
        let results = requested
            .iter()
            .zip(parsed)
            .enumerate()
            .map(|(n, (text, parsed))| {
                let result = match parsed {
                    Err(invalid) => ItemResult::Problem(invalid.into()),
                    Ok(_) => match replies.next() {
                        Some(Ok(channel)) => ItemResult::Channel(channel.wire()),
                        Some(Err(problem)) => ItemResult::Problem(v1::ItemProblem {
                            code: problem.code.to_string(),
                            detail: problem.detail.clone(),
                            field: format!("notice_ids[{n}]"),
                        }),
                        // Unreachable: the command returns a reply for each notice.
                        None => ItemResult::Problem(v1::ItemProblem::default()),
                    },
                };
                v1::RedeliveryResult {
                    notice_id: text.clone(),
                    result: Some(result),
                }
            })
            .collect();
        Ok(v1::RedeliverNoticesResponse { results })
    }
}

/// One delivery attempt as its addressee sees it.
pub(crate) fn delivery_to_proto(id: i64, attempt: &AttemptRecord) -> v1::Delivery {
    let optional = |id: Option<String>| id.unwrap_or_default();
    v1::Delivery {
        delivery_id: id.to_string(),
        message_id: attempt.message_id.clone(),
        notice_id: optional(attempt.notice_id.map(|id| id.to_string())),
        endpoint_id: optional(attempt.endpoint_id.map(|id| id.to_string())),
        channel: attempt.channel.wire(),
        attempt: attempt.attempt.cast_unsigned(),
        at: Some(timestamp(attempt.started_at)),
        took: Some(duration(Duration::milliseconds(attempt.took_millis.into()))),
        outcome: attempt.outcome.clone(),
        http_status: attempt.http_status.unwrap_or_default().cast_unsigned(),
    }
}
