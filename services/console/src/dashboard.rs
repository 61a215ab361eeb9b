//! The figures of all four services at one moment, shared by all open pages: the services are queried at most once per
//! refresh interval. A service that does not respond is reported as missing; the figures of the others are shown.

use std::sync::Arc;
use std::time::Duration;

use platform::error::Problem;
use proto::v1;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ledger_lag::{LedgerGap, LedgerLag};
use crate::stalled_consumers::{ConsumerProgress, CursorHistory};

/// Refresh only as often as keeps the dashboard's queries below 1/`MAX_LOAD` of a service's time.
const MAX_LOAD: u32 = 5;

/// The figures of one service, or why they are missing.
pub(crate) type ServicePart<T> = Result<T, Problem>;

pub(crate) struct Dashboard {
    pub(crate) intake: ServicePart<v1::GetIntakeCountsResponse>,
    pub(crate) verification: ServicePart<v1::GetVerificationCountsResponse>,
    pub(crate) dispatch: ServicePart<v1::GetDispatchCountsResponse>,
    pub(crate) ledger: ServicePart<v1::GetConservationResponse>,
    /// Intake's count compared with the ledger's; none while one of the two does not respond.
    pub(crate) gap: Option<LedgerGap>,
    pub(crate) consumers: Vec<ConsumerProgress>,
    pub(crate) read_at: OffsetDateTime,
}

struct CachedDashboard {
    dashboard: Arc<Dashboard>,
    fresh_until: Instant,
}

#[derive(Default)]
pub(crate) struct DashboardCache(Mutex<DashboardHistory>);

/// The newest dashboard, and what comparing it with earlier ones needs.
#[derive(Default)]
struct DashboardHistory {
    newest: Option<CachedDashboard>,
    lag: LedgerLag,
    cursors: CursorHistory,
}

impl DashboardCache {
    /// The present dashboard, at most one refresh interval old; `query` reads a new one.
    pub(crate) async fn read<E>(
        &self,
        interval: Duration,
        query: impl Future<Output = Result<Dashboard, E>>,
    ) -> Result<Arc<Dashboard>, E> {
        let mut history = self.0.lock().await;
        let started = Instant::now();
        if let Some(cached) = &history.newest
            && cached.fresh_until > started
        {
            return Ok(cached.dashboard.clone());
        }
        let mut dashboard = query.await?;
        dashboard.gap = dashboard
            .accepted_and_recorded()
            .map(|(accepted, recorded)| {
                let gap = history.lag.update(Instant::now(), accepted, recorded);
                if gap.lost > 0 {
                    tracing::error!(
                        alarm = "reports_lost",
                        reports = gap.lost,
                        "the ledger has not received reports that intake accepted"
                    );
                }
                gap
            });
        dashboard.consumers = history
            .cursors
            .update(Instant::now(), dashboard.gauges_by_role());
        let dashboard = Arc::new(dashboard);
        let took = started.elapsed();
        history.newest = Some(CachedDashboard {
            dashboard: dashboard.clone(),
            // A page that polls once per interval gets new figures each time.
            fresh_until: started + interval.max(took * MAX_LOAD) - Duration::from_millis(20),
        });
        Ok(dashboard)
    }
}

impl Dashboard {
    /// All gauges, each with the role that exports it.
    pub(crate) fn gauges_by_role(
        &self,
    ) -> impl Iterator<Item = (&'static str, &v1::GaugeReading)> + Clone {
        let intake = self.intake.as_ref().ok().map(|counts| &counts.gauges);
        let verification = self.verification.as_ref().ok().map(|counts| &counts.gauges);
        let dispatch = self.dispatch.as_ref().ok().map(|counts| &counts.gauges);
        let ledger = self.ledger.as_ref().ok().map(|counts| &counts.gauges);
        with_role("intake", intake)
            .chain(with_role("verification", verification))
            .chain(with_role("dispatch", dispatch))
            .chain(with_role("ledger", ledger))
    }

    /// Reports that intake has accepted, and reports that the ledger has in any stage.
    fn accepted_and_recorded(&self) -> Option<(u64, u64)> {
        let (intake, ledger) = (self.intake.as_ref().ok()?, self.ledger.as_ref().ok()?);
        let recorded = ledger.stages.iter().map(|stage| stage.reports).sum();
        Some((intake.accepted, recorded))
    }
}

fn with_role<'a>(
    role: &'static str,
    gauges: Option<&'a Vec<v1::GaugeReading>>,
) -> impl Iterator<Item = (&'static str, &'a v1::GaugeReading)> + Clone {
    let gauges = gauges.map(Vec::as_slice).unwrap_or_default();
    gauges.iter().map(move |gauge| (role, gauge))
}
