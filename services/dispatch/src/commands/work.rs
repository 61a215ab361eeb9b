//! The cases of one batch: locked ascending, changed in memory, written once each.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{CaseId, NoticeId};
use domain::word::DeliveryChannel;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use super::dossier::{Context, Dossier, Look};
use crate::delivery::{self, NewDelivery};
use crate::store::{self, CaseFile, CaseSeal, Notice};
use crate::{Error, probe};

pub(super) struct Work<'a> {
    pub(super) cx: Context<'a>,
    pub(super) dossiers: BTreeMap<CaseId, Dossier>,
}

impl<'a> Work<'a> {
    /// Locks these cases with their notices. Ids without a case are left out.
    pub(super) async fn load(
        conn: &mut PgConnection,
        rules: &'a Rules,
        now: OffsetDateTime,
        cases: impl IntoIterator<Item = CaseId>,
    ) -> Result<Self, Error> {
        let ids: BTreeSet<Uuid> = cases.into_iter().map(CaseId::uuid).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let directory = rules.directory.current(conn).await?;
        let mut dossiers = BTreeMap::new();
        if !ids.is_empty() {
            for case in store::lock_cases(conn, &ids).await? {
                dossiers.insert(case.case_id, Dossier::new(case));
            }
            for notice in store::notices_of_cases(conn, &ids).await? {
                if let Some(dossier) = dossiers.get_mut(&notice.case_id) {
                    dossier.notices.push(notice);
                }
            }
        }
        Ok(Self {
            cx: Context {
                rules,
                directory,
                now,
            },
            dossiers,
        })
    }

    /// Locks the cases that these notices are about; tells which is whose.
    pub(super) async fn load_by_notices(
        conn: &mut PgConnection,
        rules: &'a Rules,
        now: OffsetDateTime,
        notices: &[NoticeId],
    ) -> Result<(Self, BTreeMap<NoticeId, CaseId>), Error> {
        let ids: Vec<Uuid> = notices.iter().map(|id| id.uuid()).collect();
        let cases: BTreeMap<NoticeId, CaseId> = store::case_of_notices(conn, &ids)
            .await?
            .into_iter()
            .collect();
        let work = Self::load(conn, rules, now, cases.values().copied()).await?;
        Ok((work, cases))
    }

    /// The dossier and index of a notice.
    pub(super) fn find(
        &mut self,
        cases: &BTreeMap<NoticeId, CaseId>,
        notice: NoticeId,
    ) -> Option<(&Context<'a>, &mut Dossier, usize)> {
        let dossier = self.dossiers.get_mut(cases.get(&notice)?)?;
        let n = dossier.index(notice)?;
        Some((&self.cx, dossier, n))
    }

    /// Loads what the decisions of these cases brought: keys and URLs are needed.
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
            if let Some(dossier) = self.dossiers.get_mut(&seal.case_id)
                && !dossier.seal_changed
            {
                dossier.seal = Some(seal);
            }
        }
        Ok(())
    }

    /// Writes everything: listings' heads, cases, notices, deliveries, checks, events.
    pub(super) async fn store(mut self, conn: &mut PgConnection) -> Result<(), Error> {
        let now = self.cx.now;
        self.dossiers.retain(|_, dossier| dossier.touched);
        for dossier in self.dossiers.values_mut() {
            dossier.settle(&self.cx);
        }
        draw_feed(conn, &mut self.dossiers).await?;
        let dossiers: Vec<&Dossier> = self.dossiers.values().collect();

        let cases: Vec<&CaseFile> = dossiers.iter().map(|d| &d.case).collect();
        store::put_cases(conn, &cases).await?;
        let seals: Vec<&CaseSeal> = dossiers
            .iter()
            .filter(|d| d.seal_changed)
            .filter_map(|d| d.seal.as_ref())
            .collect();
        store::put_seals(conn, &seals).await?;
        let mut notices: Vec<&Notice> = dossiers
            .iter()
            .flat_map(|d| d.changed.iter().map(|n| &d.notices[*n]))
            .collect();
        notices.sort_by_key(|notice| notice.id);
        store::put_notices(conn, &notices).await?;
        let listed: Vec<_> = dossiers.iter().flat_map(|d| d.listed.clone()).collect();
        store::put_regulator(conn, now, &listed).await?;

        let cancelled: Vec<NoticeId> = dossiers
            .iter()
            .flat_map(|d| d.cancelled.iter().copied())
            .collect();
        if !cancelled.is_empty() {
            delivery::cancel(conn, &cancelled).await?;
        }
        let deliveries = new_deliveries(&dossiers);
        if !deliveries.is_empty() {
            delivery::enqueue(conn, now, &deliveries).await?;
        }
        put_looks(conn, &dossiers).await?;

        let events: Vec<_> = self.dossiers.into_values().flat_map(|d| d.events).collect();
        platform::log::append(conn, &events).await?;
        Ok(())
    }
}

/// Gives each announced notice the next position of its provider's listing.
async fn draw_feed(
    conn: &mut PgConnection,
    dossiers: &mut BTreeMap<CaseId, Dossier>,
) -> Result<(), Error> {
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for dossier in dossiers.values() {
        for n in &dossier.announced {
            let provider = dossier.notices[*n].provider_id.as_str();
            *wanted.entry(provider.to_owned()).or_default() += 1;
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut next = store::draw_feed(conn, &wanted).await?;
    for dossier in dossiers.values_mut() {
        for n in std::mem::take(&mut dossier.announced) {
            let notice = dossier.notice_mut(n);
            if let Some(position) = next.get_mut(notice.provider_id.as_str()) {
                *position += 1;
                notice.feed = *position;
            }
        }
    }
    Ok(())
}

/// A provider that pulls is told by its listing: nothing goes out.
fn new_deliveries(dossiers: &[&Dossier]) -> Vec<NewDelivery> {
    let mut deliveries: Vec<NewDelivery> = dossiers
        .iter()
        .flat_map(|d| d.enqueued.iter().map(move |n| (d, &d.notices[*n])))
        .filter(|(_, notice)| notice.channel != DeliveryChannel::Api)
        .map(|(d, notice)| NewDelivery {
            notice_id: notice.id,
            case_id: notice.case_id,
            provider_id: notice.provider_id.clone(),
            channel: notice.channel,
            sequence: notice.sequence,
            severity: d.case.category,
            asked: false,
        })
        .collect();
    deliveries.sort_by_key(|delivery| delivery.notice_id);
    deliveries
}

async fn put_looks(conn: &mut PgConnection, dossiers: &[&Dossier]) -> Result<(), Error> {
    let mut at = Vec::new();
    let mut never = Vec::new();
    for dossier in dossiers {
        match dossier.look {
            Some(Look::At(time)) => at.push((dossier.case.case_id, time)),
            Some(Look::Never) => never.push(dossier.case.case_id),
            None => {}
        }
    }
    if !at.is_empty() {
        probe::schedule(conn, &at).await?;
    }
    if !never.is_empty() {
        probe::cancel(conn, &never).await?;
    }
    Ok(())
}
