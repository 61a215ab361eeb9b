//! RPCs of staff: cases and notices, overdue deadlines, figures, and answers to providers' questions.

use domain::enums::{DeadlineKind, DeliveryChannel, Rung};
use domain::id::{CaseId, NoticeId, ProviderId};
use domain::wire::timestamp;
use platform::metrics;
use platform::principal::Role;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::notice_proto::clock_figure;
use super::notice_proto::stage_count;
use crate::cases::commands::{self, SuppliedInformation};
use crate::cases::store::{self, NoticeOverview, NoticeSearch, StateCount};
use crate::gauges::GAUGES;
use crate::grpc::{Handlers, cursor, parse};
use crate::{Error, auth};

const PAGE: i64 = 50;
const MAX_PAGE: i64 = 500;
/// Maximum notices shown with a case.
const MAX_NOTICES_OF_CASE: i64 = 200;
/// Maximum length of staff's text to a provider, in characters.
const MAX_TEXT: usize = 2000;

impl Handlers {
    pub(crate) async fn get_case_dispatch(
        &self,
        metadata: &MetadataMap,
        request: v1::GetCaseDispatchRequest,
    ) -> Result<v1::GetCaseDispatchResponse, Error> {
        auth::require_staff(&self.staff, metadata)?;
        let id: CaseId = request.case_id.parse()?;
        let mut conn = self.pool.acquire().await?;
        let case = store::cases(&mut conn, &[id.uuid()])
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("case"))?;
        let search = NoticeSearch {
            case: Some(id.uuid()),
            limit: MAX_NOTICES_OF_CASE,
            ..NoticeSearch::default()
        };
        let mut rows = store::search_notices(&mut conn, &search).await?;
        rows.sort_by_key(|row| (row.episode, row.step));
        let notices = self.summaries(&mut conn, rows).await?;
        let seals = store::seals(&mut conn, &[id.uuid()]).await?;
        let keys = self.data_keys(&mut conn, &[id.uuid()]).await?;
        let masked = match (seals.first(), keys.get(&id)) {
            (Some(seal), Some(key)) => {
                store::open_url(key, id, seal.content_report_id, &seal.sealed_content)?.masked()
            }
            (_, _) => String::new(),
        };
        Ok(v1::GetCaseDispatchResponse {
            content_status: case.content_status.wire(),
            episode: case.episode.cast_unsigned(),
            category: case.category.wire(),
            received_at: Some(timestamp(case.received_at)),
            verified_at: Some(timestamp(case.verified_at)),
            dispatched_at: case.dispatched_at.map(timestamp),
            confirmed_removed_at: case.confirmed_at.map(timestamp),
            last_rung: case
                .ladder
                .row()
                .last_rung
                .map(Rung::wire)
                .unwrap_or_default(),
            notices,
            masked_url: masked,
        })
    }

    pub(crate) async fn search_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::SearchNoticesRequest,
    ) -> Result<v1::SearchNoticesResponse, Error> {
        auth::require_staff(&self.staff, metadata)?;
        let limit = parse::page_size(request.page_size, PAGE, MAX_PAGE)?;
        let states = parse::states(&request.states)?;
        let provider = match request.provider_id.as_str() {
            "" => None,
            text => Some(text.parse::<ProviderId>()?),
        };
        let case = match request.case_id.as_str() {
            "" => None,
            text => Some(text.parse::<CaseId>()?.uuid()),
        };
        let notice = match request.notice_id.as_str() {
            "" => None,
            text => Some(text.parse::<NoticeId>()?.uuid()),
        };
        let search = NoticeSearch {
            notice,
            provider: provider.as_ref().map(ProviderId::as_str),
            case,
            states: &states,
            before: cursor::decode_row(&request.page_token)?,
            limit,
        };
        let mut conn = self.pool.acquire().await?;
        let rows = store::search_notices(&mut conn, &search).await?;
        let next_page_token = last_of_full_page(&rows, limit)
            .map(|row| cursor::encode_row(row.opened_at, row.notice_id.uuid()))
            .unwrap_or_default();
        Ok(v1::SearchNoticesResponse {
            notices: self.summaries(&mut conn, rows).await?,
            next_page_token,
        })
    }

    pub(crate) async fn list_overdue(
        &self,
        metadata: &MetadataMap,
        request: v1::ListOverdueRequest,
    ) -> Result<v1::ListOverdueResponse, Error> {
        auth::require_staff(&self.staff, metadata)?;
        let limit = parse::page_size(request.page_size, PAGE, MAX_PAGE)?;
        let after = cursor::decode_row(&request.page_token)?;
        let mut conn = self.pool.acquire().await?;
        let now = self.clock.now(&mut conn).await?;
        let rows = store::overdue_notices(&mut conn, now, after, limit).await?;
        let next_page_token = last_of_full_page(&rows, limit)
            .and_then(|row| Some(cursor::encode_row(row.overdue_from?, row.notice_id.uuid())))
            .unwrap_or_default();
        let ids: Vec<CaseId> = rows.iter().map(|row| row.case_id).collect();
        let next = commands::next_rungs(&mut conn, &self.deps, now, &ids).await?;
        let deadlines: Vec<_> = rows
            .iter()
            .map(|row| (self.overdue_deadline(row), row.overdue_from, row.case_id))
            .collect();
        let notices = self.summaries(&mut conn, rows).await?;
        let overdue = notices
            .into_iter()
            .zip(deadlines)
            .map(|(notice, (deadline, since, case_id))| {
                let rung = next.get(&case_id);
                v1::OverdueNotice {
                    notice: Some(notice),
                    deadline: deadline.wire(),
                    overdue_since: since.map(timestamp),
                    next_rung: rung.map(|(rung, _)| rung.wire()).unwrap_or_default(),
                    next_rung_at: rung.map(|(_, at)| timestamp(*at)),
                }
            })
            .collect();
        Ok(v1::ListOverdueResponse {
            overdue,
            next_page_token,
            total: store::count_overdue(&mut conn, now).await?.cast_unsigned(),
        })
    }

    /// Which deadline the row's `overdue_from` is.
    fn overdue_deadline(&self, row: &NoticeOverview) -> DeadlineKind {
        let received = row.received_at + self.deps.policy.regime(&row.regime).received;
        let from = row.overdue_from.unwrap_or(received);
        if row.acknowledged_at.is_none() && from == row.acknowledge_due_at {
            DeadlineKind::Acknowledge
        } else if from == row.due_at {
            DeadlineKind::Remove
        } else {
            DeadlineKind::Received
        }
    }

    pub(crate) async fn supply_information(
        &self,
        metadata: &MetadataMap,
        request: v1::SupplyInformationRequest,
    ) -> Result<v1::SupplyInformationResponse, Error> {
        let roles = [Role::Analyst, Role::Supervisor];
        auth::require_role(&self.staff, metadata, &roles)?;
        let notice_id: NoticeId = request.notice_id.parse()?;
        let text = domain::invalid::text("text", &request.text, MAX_TEXT)?;
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let items = [SuppliedInformation { notice_id, text }];
        let mut replies = commands::supply_information(&mut tx, &self.deps, now, &items).await?;
        let state = replies
            .pop()
            .unwrap_or_else(|| Err(Error::not_found("notice").into()))?;
        tx.commit().await?;
        self.wakeup.notify();
        Ok(v1::SupplyInformationResponse {
            state: state.wire(),
        })
    }

    pub(crate) async fn get_dispatch_counts(
        &self,
        metadata: &MetadataMap,
        _: v1::GetDispatchCountsRequest,
    ) -> Result<v1::GetDispatchCountsResponse, Error> {
        auth::require_staff(&self.staff, metadata)?;
        // One snapshot of the database, so that the figures are consistent with each other.
        let mut tx = self
            .pool
            .begin_with("begin isolation level repeatable read read only")
            .await?;
        let now = self.clock.now(&mut tx).await?;
        let content_status = store::count_by_content_status(&mut tx).await?;
        let notices = store::count_notices(&mut tx).await?;
        let totals = store::totals(&mut tx).await?;
        let rungs = store::count_escalated(&mut tx).await?;
        let clocks = store::case_clocks(&mut tx).await?;
        let overdue = store::count_overdue(&mut tx, now).await?;
        let false_claims = store::count_false_claims(&mut tx, None).await?;
        let pending = crate::delivery::attempts(&mut tx).await?;
        let gauges = metrics::readings(&mut tx, now, GAUGES).await?;
        tx.commit().await?;
        let cases = content_status.iter().map(|stage| stage.count).sum::<i64>();
        let channels = DeliveryChannel::ALL.iter().map(|channel| {
            let matching = notices.iter().filter(|n| n.1 == channel.as_str());
            v1::ChannelCount {
                channel: channel.wire(),
                notices: matching.map(|n| n.2).sum::<i64>().cast_unsigned(),
            }
        });
        Ok(v1::GetDispatchCountsResponse {
            gauges,
            by_content_status: content_status.into_iter().map(stage_count).collect(),
            cases: cases.cast_unsigned(),
            notices_by_channel: channels.collect(),
            by_notice_state: by_state(&notices),
            escalated_by_rung: rungs
                .iter()
                .filter_map(|(rung, cases)| {
                    Some(v1::RungCount {
                        rung: rung.parse::<Rung>().ok()?.wire(),
                        cases: cases.cast_unsigned(),
                    })
                })
                .collect(),
            notices: totals.notices.cast_unsigned(),
            delivered: totals.delivered.cast_unsigned(),
            acknowledged: totals.acknowledged.cast_unsigned(),
            confirmed_removed: totals.confirmed.cast_unsigned(),
            false_claims: false_claims.cast_unsigned(),
            moved: totals.moved.cast_unsigned(),
            reappeared: totals.reappeared.cast_unsigned(),
            attempts: (totals.attempts + pending).cast_unsigned(),
            overdue: overdue.cast_unsigned(),
            unsettled: totals.unsettled.cast_unsigned(),
            clocks: clocks.iter().map(clock_figure).collect(),
        })
    }
}

fn by_state(
    notices: &[(String, String, i64, Option<time::OffsetDateTime>)],
) -> Vec<v1::StageCount> {
    let mut stages: Vec<StateCount> = Vec::new();
    for (state, _, count, oldest) in notices {
        match stages.iter_mut().find(|stage| stage.stage == *state) {
            Some(stage) => {
                stage.count += count;
                stage.oldest = stage.oldest.into_iter().chain(*oldest).min();
            }
            None => stages.push(StateCount {
                stage: state.clone(),
                count: *count,
                oldest: *oldest,
            }),
        }
    }
    stages.into_iter().map(stage_count).collect()
}

/// The last row of a full page, which may be followed by another page.
fn last_of_full_page(rows: &[NoticeOverview], limit: i64) -> Option<&NoticeOverview> {
    (rows.len() as i64 == limit).then(|| rows.last()).flatten()
}
