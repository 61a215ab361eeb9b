//! The cases of one batch: locked in ascending order, changed in memory, and each written once.

use std::collections::{BTreeMap, BTreeSet};

use domain::enums::DeliveryChannel;
use domain::id::{CaseId, NoticeId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::locked_case::{BatchContext, LockedCase, NextCheck, NoticeIdx};
use crate::cases::store::{self, CaseSeal, DispatchCase, Notice};
use crate::delivery::{self, NewDelivery};
use crate::{Error, checks};

pub(super) struct CaseBatch<'a> {
    pub(super) cx: BatchContext<'a>,
    pub(super) cases: BTreeMap<CaseId, LockedCase>,
}

impl<'a> CaseBatch<'a> {
    /// Locks these cases with their notices. Ids without a case are ignored.
    pub(super) async fn load(
        conn: &mut PgConnection,
        deps: &'a CommandDeps,
        now: OffsetDateTime,
        cases: impl IntoIterator<Item = CaseId>,
    ) -> Result<Self, Error> {
        let ids: BTreeSet<Uuid> = cases.into_iter().map(CaseId::uuid).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let directory = deps.directory.current(conn).await?;
        let mut cases = BTreeMap::new();
        if !ids.is_empty() {
            for row in store::lock_cases(conn, &ids).await? {
                cases.insert(row.case_id, LockedCase::new(row));
            }
            for notice in store::notices_of_cases(conn, &ids).await? {
                if let Some(case) = cases.get_mut(&notice.case_id) {
                    case.load_notice(notice);
                }
            }
        }
        Ok(Self {
            cx: BatchContext {
                deps,
                directory,
                now,
            },
            cases,
        })
    }

    /// Locks the cases of these notices; returns the batch and the case of each notice.
    pub(super) async fn load_by_notices(
        conn: &mut PgConnection,
        deps: &'a CommandDeps,
        now: OffsetDateTime,
        notices: &[NoticeId],
    ) -> Result<(Self, BTreeMap<NoticeId, CaseId>), Error> {
        let ids: Vec<Uuid> = notices.iter().map(|id| id.uuid()).collect();
        let case_of: BTreeMap<NoticeId, CaseId> = store::case_of_notices(conn, &ids)
            .await?
            .into_iter()
            .collect();
        let batch = Self::load(conn, deps, now, case_of.values().copied()).await?;
        Ok((batch, case_of))
    }

    /// The locked case of a notice, and the notice's index in it.
    pub(super) fn find(
        &mut self,
        case_of: &BTreeMap<NoticeId, CaseId>,
        notice: NoticeId,
    ) -> Option<(&BatchContext<'a>, &mut LockedCase, NoticeIdx)> {
        let case = self.cases.get_mut(case_of.get(&notice)?)?;
        let n = case.notices().find(notice)?;
        Some((&self.cx, case, n))
    }

    /// Loads the seals of these cases, which commands that open or seal text, or read the URL, need.
    pub(super) async fn load_seals(
        &mut self,
        conn: &mut PgConnection,
        cases: impl IntoIterator<Item = CaseId>,
    ) -> Result<(), Error> {
        let ids: BTreeSet<Uuid> = cases.into_iter().map(CaseId::uuid).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        for seal in store::seals(conn, &ids).await? {
            if let Some(case) = self.cases.get_mut(&seal.case_id) {
                case.load_seal(seal);
            }
        }
        Ok(())
    }

    /// Writes every changed case: listing positions, cases, seals, notices, deliveries, checks, and last the
    /// events.
    pub(super) async fn store(mut self, conn: &mut PgConnection) -> Result<(), Error> {
        let now = self.cx.now;
        self.cases.retain(|_, case| case.is_changed());
        for case in self.cases.values_mut() {
            case.update_derived(&self.cx);
        }
        assign_listing_positions(conn, &mut self.cases).await?;
        let changed: Vec<&LockedCase> = self.cases.values().collect();

        let rows: Vec<&DispatchCase> = changed.iter().map(|c| c.case()).collect();
        store::upsert_cases(conn, &rows).await?;
        let id = |c: &LockedCase| c.case().case_id.uuid();
        let ladders: Vec<_> = changed
            .iter()
            .filter_map(|c| Some((id(c), c.changed_ladder()?)))
            .collect();
        store::upsert_ladders(conn, &ladders).await?;
        let removals: Vec<_> = changed
            .iter()
            .filter_map(|c| Some((id(c), c.changed_removal()?)))
            .collect();
        store::upsert_removals(conn, &removals).await?;
        let seals: Vec<&CaseSeal> = changed.iter().filter_map(|c| c.changed_seal()).collect();
        store::upsert_seals(conn, &seals).await?;
        let mut notices: Vec<&Notice> = changed.iter().flat_map(|c| c.changed_notices()).collect();
        notices.sort_by_key(|notice| notice.id);
        store::upsert_notices(conn, &notices).await?;
        let entries: Vec<_> = changed
            .iter()
            .flat_map(|c| c.regulator_entries().iter().cloned())
            .collect();
        store::insert_regulator_entries(conn, now, &entries).await?;

        let cancelled: Vec<NoticeId> = changed
            .iter()
            .flat_map(|c| c.deliveries().cancelled().map(|n| c.notice(n).id))
            .collect();
        if !cancelled.is_empty() {
            delivery::cancel(conn, &cancelled).await?;
        }
        let deliveries = new_deliveries(&changed);
        if !deliveries.is_empty() {
            delivery::enqueue(conn, now, &deliveries).await?;
        }
        store_next_checks(conn, &changed).await?;

        let events: Vec<_> = self
            .cases
            .into_values()
            .flat_map(LockedCase::into_events)
            .collect();
        platform::log::append(conn, &events).await?;
        Ok(())
    }
}

/// Gives each relisted notice the next position of its provider's listing.
async fn assign_listing_positions(
    conn: &mut PgConnection,
    cases: &mut BTreeMap<CaseId, LockedCase>,
) -> Result<(), Error> {
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for case in cases.values() {
        for n in case.deliveries().relisted() {
            let provider = case.notice(n).provider_id.as_str();
            *wanted.entry(provider.to_owned()).or_default() += 1;
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut last = store::reserve_listing_positions(conn, &wanted).await?;
    for case in cases.values_mut() {
        for n in case.deliveries().relisted().collect::<Vec<_>>() {
            let notice = case.notice_mut(n);
            if let Some(position) = last.get_mut(notice.provider_id.as_str()) {
                *position += 1;
                notice.listing_position = *position;
            }
        }
    }
    Ok(())
}

/// One delivery per enqueued notice, except to providers that pull: for them the listing is the delivery.
fn new_deliveries(cases: &[&LockedCase]) -> Vec<NewDelivery> {
    let mut deliveries: Vec<NewDelivery> = cases
        .iter()
        .flat_map(|c| c.deliveries().enqueued().map(move |n| (c, c.notice(n))))
        .filter(|(_, notice)| notice.channel != DeliveryChannel::Api)
        .map(|(c, notice)| NewDelivery {
            notice_id: notice.id,
            case_id: notice.case_id,
            provider_id: notice.provider_id.clone(),
            channel: notice.channel,
            sequence: notice.sequence,
            severity: c.case().category,
            redelivery_requested: false,
        })
        .collect();
    deliveries.sort_by_key(|delivery| delivery.notice_id);
    deliveries
}

async fn store_next_checks(conn: &mut PgConnection, cases: &[&LockedCase]) -> Result<(), Error> {
    let mut scheduled = Vec::new();
    let mut stopped = Vec::new();
    for case in cases {
        match case.next_check() {
            Some(NextCheck::At(time)) => scheduled.push((case.case().case_id, time)),
            Some(NextCheck::Never) => stopped.push(case.case().case_id),
            None => {}
        }
    }
    if !scheduled.is_empty() {
        checks::schedule(conn, &scheduled).await?;
    }
    if !stopped.is_empty() {
        checks::cancel(conn, &stopped).await?;
    }
    Ok(())
}
