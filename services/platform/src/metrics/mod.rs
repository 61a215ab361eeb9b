//! Counters, timers and gauges, by OpenTelemetry. Label values are fixed strings, never an id, a name or
//! an address.
//!
//! A metric is a `static` beside what it counts: `static SENT: Counter = Counter::new("takedown.x.sent",
//! "{x}", "…")`. A figure that must be read from a role's tables is a [`Gauge`], queried every ten seconds.

mod log_gauges;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::{KeyValue, global, metrics};
use proto::v1::GaugeReading;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use self::log_gauges::LOG_GAUGES;
use crate::clock::Clock;

/// A label name and value.
pub type Label<'a> = (&'static str, &'a str);

const METER: &str = "takedown";
/// Interval between two readings of the gauges.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Counts events in this process.
pub struct Counter {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    instrument: OnceLock<metrics::Counter<u64>>,
}

impl Counter {
    pub const fn new(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self {
            name,
            unit,
            description,
            instrument: OnceLock::new(),
        }
    }

    pub fn add(&self, count: usize, labels: &[Label<'_>]) {
        let counter = self.instrument.get_or_init(|| {
            global::meter(METER)
                .u64_counter(self.name)
                .with_unit(self.unit)
                .with_description(self.description)
                .build()
        });
        counter.add(count as u64, &values(labels));
    }
}

/// Records durations, in seconds.
pub struct Timer {
    name: &'static str,
    description: &'static str,
    instrument: OnceLock<metrics::Histogram<f64>>,
}

impl Timer {
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            instrument: OnceLock::new(),
        }
    }

    pub fn record(&self, duration: Duration, labels: &[Label<'_>]) {
        let histogram = self.instrument.get_or_init(|| {
            global::meter(METER)
                .f64_histogram(self.name)
                .with_unit("s")
                .with_description(self.description)
                .with_boundaries(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0])
                .build()
        });
        histogram.record(duration.as_secs_f64(), &values(labels));
    }
}

fn values(labels: &[Label<'_>]) -> Vec<KeyValue> {
    labels
        .iter()
        .map(|(key, value)| KeyValue::new(*key, (*value).to_owned()))
        .collect()
}

/// A figure that is read from a role's tables.
#[derive(Debug, Clone, Copy)]
pub struct Gauge {
    pub name: &'static str,
    pub unit: &'static str,
    pub description: &'static str,
    /// Name of the label that the rows carry, beside the role.
    pub label: &'static str,
    /// A query with the table `clock (now)`, the database's time, in scope. Its rows are a label value (text)
    /// and a number (double precision); a null number is not exported.
    pub query: &'static str,
}

/// The rows of the last query: label value and number.
type LatestReadings = std::sync::Arc<Mutex<Vec<(String, f64)>>>;

/// Reads the gauges of a role periodically until the shutdown. A gauge that cannot be read is not exported.
pub async fn poll(
    pool: PgPool,
    clock: Clock,
    role: &'static str,
    gauges: &'static [Gauge],
    shutdown: CancellationToken,
) {
    let register = |gauge: &Gauge| (*gauge, register(role, *gauge));
    let registered: Vec<(Gauge, LatestReadings)> =
        LOG_GAUGES.iter().chain(gauges).map(register).collect();
    let mut tick = tokio::time::interval(POLL_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        for (gauge, latest) in &registered {
            let query = async {
                let mut conn = pool.acquire().await?;
                let now = clock.now(&mut conn).await?;
                query_gauge(&mut conn, now, gauge).await
            };
            let rows = query.await.unwrap_or_else(|error| {
                tracing::debug!(metric = gauge.name, %error, "a gauge could not be read");
                Vec::new()
            });
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = rows;
        }
    }
}

fn register(role: &'static str, gauge: Gauge) -> LatestReadings {
    let latest = LatestReadings::default();
    let observed = latest.clone();
    global::meter(METER)
        .f64_observable_gauge(gauge.name)
        .with_unit(gauge.unit)
        .with_description(gauge.description)
        .with_callback(move |observer| {
            for (value, number) in &*observed.lock().unwrap_or_else(PoisonError::into_inner) {
                let label = KeyValue::new(gauge.label, value.clone());
                observer.observe(*number, &[KeyValue::new("role", role), label]);
            }
        })
        .build();
    latest
}

/// The current readings of a role's gauges, for a page.
pub async fn readings(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    role_gauges: &[Gauge],
) -> sqlx::Result<Vec<GaugeReading>> {
    let mut gauges = Vec::new();
    for gauge in LOG_GAUGES.iter().chain(role_gauges) {
        let rows = query_gauge(conn, now, gauge).await?;
        gauges.extend(rows.into_iter().map(|(label, value)| GaugeReading {
            name: gauge.name.to_owned(),
            label,
            value,
        }));
    }
    Ok(gauges)
}

async fn query_gauge(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    gauge: &Gauge,
) -> sqlx::Result<Vec<(String, f64)>> {
    let statement = format!(
        "-- {}\nwith clock as (select $1::timestamptz as now)\n{}",
        gauge.name, gauge.query
    );
    let rows: Vec<(String, Option<f64>)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(now)
        .fetch_all(conn)
        .await?;
    let readings = rows
        .into_iter()
        .filter_map(|(label, number)| Some((label, number?)));
    Ok(readings.collect())
}
