//! What staff see and do: cases and notices, overdue clocks, figures, answers to questions.

use domain::id::{CaseId, NoticeId, ProviderId};
use domain::wire::timestamp;
use domain::word::{DeliveryChannel, Rung};
use platform::metrics;
use platform::principal::Role;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::show::{clock, stage};
use super::{Inner, cursor, parse};
use crate::commands::Supply;
use crate::signs::SIGNS;
use crate::store::{Search, Stage, Summary};
use crate::{Error, auth, commands, store};

const PAGE: i64 = 50;
const MOST: i64 = 500;
/// Notices shown with a case.
const OF_CASE: i64 = 200;
/// What staff may write to a provider, characters.
const WORDS: usize = 2000;

impl Inner {
    pub(super) async fn get_case_dispatch(
        &self,
        metadata: &MetadataMap,
        request: v1::GetCaseDispatchRequest,
    ) -> Result<v1::GetCaseDispatchResponse, Error> {
        auth::staff(&self.staff, metadata)?;
        let id: CaseId = request.case_id.parse()?;
        let mut conn = self.pool.acquire().await?;
        let case = store::cases(&mut conn, &[id.uuid()])
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("case"))?;
        let search = Search {
            case: Some(id.uuid()),
            limit: OF_CASE,
            ..Search::default()
        };
        let mut rows = store::search_notices(&mut conn, &search).await?;
        rows.sort_by_key(|row| (row.episode, row.step));
        let notices = self.summaries(&mut conn, rows).await?;
        let seals = store::seals(&mut conn, &[id.uuid()]).await?;
        let keys = self.data_keys(&mut conn, &[id.uuid()]).await?;
        let masked = match (seals.first(), keys.get(&id)) {
            (Some(seal), Some(key)) => {
                store::open_url(key, id, seal.item_report_id, &seal.sealed_item)?.masked()
            }
            (_, _) => String::new(),
        };
        Ok(v1::GetCaseDispatchResponse {
            live: case.live.wire(),
            episode: case.episode.cast_unsigned(),
            category: case.category.wire(),
            received_at: Some(timestamp(case.received_at)),
            verified_at: Some(timestamp(case.verified_at)),
            dispatched_at: case.dispatched_at.map(timestamp),
            confirmed_removed_at: case.confirmed_at.map(timestamp),
            last_rung: case.last_rung.map(Rung::wire).unwrap_or_default(),
            notices,
            masked_url: masked,
        })
    }

    pub(super) async fn search_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::SearchNoticesRequest,
    ) -> Result<v1::SearchNoticesResponse, Error> {
        auth::staff(&self.staff, metadata)?;
        let (limit, before) = parse::page(request.page.as_ref(), PAGE, MOST);
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
        let search = Search {
            notice,
            provider: provider.as_ref().map(ProviderId::as_str),
            case,
            states: &states,
            before: cursor::row(&before)?,
            limit,
        };
        let mut conn = self.pool.acquire().await?;
        let rows = store::search_notices(&mut conn, &search).await?;
        let next_cursor = full(&rows, limit)
            .map(|row| cursor::of_row(row.opened_at, row.notice_id.uuid()))
            .unwrap_or_default();
        Ok(v1::SearchNoticesResponse {
            notices: self.summaries(&mut conn, rows).await?,
            next_cursor,
        })
    }

    pub(super) async fn list_overdue(
        &self,
        metadata: &MetadataMap,
        request: v1::ListOverdueRequest,
    ) -> Result<v1::ListOverdueResponse, Error> {
        auth::staff(&self.staff, metadata)?;
        let (limit, after) = parse::page(request.page.as_ref(), PAGE, MOST);
        let after = cursor::row(&after)?;
        let mut conn = self.pool.acquire().await?;
        let now = self.clock.now(&mut conn).await?;
        let rows = store::overdue_notices(&mut conn, now, after, limit).await?;
        let next_cursor = full(&rows, limit)
            .and_then(|row| Some(cursor::of_row(row.overdue_from?, row.notice_id.uuid())))
            .unwrap_or_default();
        let ids: Vec<CaseId> = rows.iter().map(|row| row.case_id).collect();
        let next = commands::next_rungs(&mut conn, &self.rules, now, &ids).await?;
        let clocks: Vec<_> = rows
            .iter()
            .map(|row| (self.clock_of(row), row.overdue_from, row.case_id))
            .collect();
        let notices = self.summaries(&mut conn, rows).await?;
        let overdue = notices
            .into_iter()
            .zip(clocks)
            .map(|(notice, (clock, since, case_id))| {
                let rung = next.get(&case_id);
                v1::OverdueNotice {
                    notice: Some(notice),
                    clock: clock.to_owned(),
                    overdue_since: since.map(timestamp),
                    next_rung: rung.map(|(rung, _)| rung.wire()).unwrap_or_default(),
                    next_rung_at: rung.map(|(_, at)| timestamp(*at)),
                }
            })
            .collect();
        Ok(v1::ListOverdueResponse {
            overdue,
            next_cursor,
            total: store::count_overdue(&mut conn, now).await?.cast_unsigned(),
        })
    }

    /// Which clock the row's `overdue_from` is.
    fn clock_of(&self, row: &Summary) -> &'static str {
        let received = row.received_at + self.rules.policy.regime(&row.regime).received;
        let from = row.overdue_from.unwrap_or(received);
        if row.acknowledged_at.is_none() && from == row.acknowledge_due_at {
            "acknowledge"
        } else if from == row.due_at {
            "remove"
        } else {
            "received"
        }
    }

    pub(super) async fn supply_information(
        &self,
        metadata: &MetadataMap,
        request: v1::SupplyInformationRequest,
    ) -> Result<v1::SupplyInformationResponse, Error> {
        let roles = [Role::Analyst, Role::Supervisor];
        auth::staff_with(&self.staff, metadata, &roles)?;
        let notice_id: NoticeId = request.notice_id.parse()?;
        let text = domain::invalid::text("text", &request.text, WORDS)?;
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let items = [Supply { notice_id, text }];
        let mut replies = commands::supply(&mut tx, &self.rules, now, &items).await?;
        let state = replies
            .pop()
            .unwrap_or_else(|| Err(Error::not_found("notice").into()))?;
        tx.commit().await?;
        self.bell.ring();
        Ok(v1::SupplyInformationResponse {
            state: state.wire(),
        })
    }

    pub(super) async fn get_dispatch_counts(
        &self,
        metadata: &MetadataMap,
        _: v1::GetDispatchCountsRequest,
    ) -> Result<v1::GetDispatchCountsResponse, Error> {
        auth::staff(&self.staff, metadata)?;
        // One view of the database, so that the figures fit each other.
        let mut tx = self
            .pool
            .begin_with("begin isolation level repeatable read read only")
            .await?;
        let now = self.clock.now(&mut tx).await?;
        let live = store::count_live(&mut tx).await?;
        let notices = store::count_notices(&mut tx).await?;
        let totals = store::totals(&mut tx).await?;
        let rungs = store::count_escalated(&mut tx).await?;
        let clocks = store::case_clocks(&mut tx).await?;
        let overdue = store::count_overdue(&mut tx, now).await?;
        let false_claims = store::count_false_claims(&mut tx, None).await?;
        let pending = crate::delivery::attempts(&mut tx).await?;
        let signs = metrics::signs(&mut tx, now, SIGNS).await?;
        tx.commit().await?;
        let cases = live.iter().map(|stage| stage.count).sum::<i64>();
        let channels = DeliveryChannel::ALL.iter().map(|channel| {
            let of = notices.iter().filter(|n| n.1 == channel.as_str());
            v1::ChannelCount {
                channel: channel.wire(),
                notices: of.map(|n| n.2).sum::<i64>().cast_unsigned(),
            }
        });
        Ok(v1::GetDispatchCountsResponse {
            signs,
            by_live_state: live.into_iter().map(stage).collect(),
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
            clocks: clocks.iter().map(clock).collect(),
        })
    }
}

fn by_state(
    notices: &[(String, String, i64, Option<time::OffsetDateTime>)],
) -> Vec<v1::StageCount> {
    let mut stages: Vec<Stage> = Vec::new();
    for (state, _, count, oldest) in notices {
        match stages.iter_mut().find(|stage| stage.stage == *state) {
            Some(stage) => {
                stage.count += count;
                stage.oldest = stage.oldest.into_iter().chain(*oldest).min();
            }
            None => stages.push(Stage {
                stage: state.clone(),
                count: *count,
                oldest: *oldest,
            }),
        }
    }
    stages.into_iter().map(stage).collect()
}

/// The last row of a page that may have another after it.
fn full(rows: &[Summary], limit: i64) -> Option<&Summary> {
    (rows.len() as i64 == limit).then(|| rows.last()).flatten()
}
