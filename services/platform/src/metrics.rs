//! Counters and gauges, by OpenTelemetry. Labels are words of ours; never an id, a name or an address.
//!
//! A metric is a `static` beside what it counts: `static SENT: Counter = Counter::new("takedown.x.sent", "{x}", "…")`.
//! What a role must look up in its tables to know is a [`Gauge`], asked every few seconds.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::{KeyValue, global, metrics};
use proto::v1::Sign;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::log::SIGNS;

/// A label and its value.
pub type Label<'a> = (&'static str, &'a str);

const METER: &str = "takedown";
/// Between two looks into the tables.
const LOOK: Duration = Duration::from_secs(10);

/// How often something happened in this process.
pub struct Counter {
    name: &'static str,
    unit: &'static str,
    says: &'static str,
    made: OnceLock<metrics::Counter<u64>>,
}

impl Counter {
    pub const fn new(name: &'static str, unit: &'static str, says: &'static str) -> Self {
        Self {
            name,
            unit,
            says,
            made: OnceLock::new(),
        }
    }

    pub fn add(&self, count: usize, labels: &[Label<'_>]) {
        let counter = self.made.get_or_init(|| {
            global::meter(METER)
                .u64_counter(self.name)
                .with_unit(self.unit)
                .with_description(self.says)
                .build()
        });
        counter.add(count as u64, &values(labels));
    }
}

/// How long something took, in seconds.
pub struct Timer {
    name: &'static str,
    says: &'static str,
    histogram: OnceLock<metrics::Histogram<f64>>,
}

impl Timer {
    pub const fn new(name: &'static str, says: &'static str) -> Self {
        Self {
            name,
            says,
            histogram: OnceLock::new(),
        }
    }

    pub fn took(&self, duration: Duration, labels: &[Label<'_>]) {
        let histogram = self.histogram.get_or_init(|| {
            global::meter(METER)
                .f64_histogram(self.name)
                .with_unit("s")
                .with_description(self.says)
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

/// What is looked up in a role's tables.
#[derive(Debug, Clone, Copy)]
pub struct Gauge {
    pub name: &'static str,
    pub unit: &'static str,
    pub says: &'static str,
    /// The key of the label that rows carry, beside the role.
    pub label: &'static str,
    /// A statement over `clock.now`, the database's time, whose rows are a label's value (text) and a number (double
    /// precision). A number that is not there is not shown.
    pub rows: &'static str,
}

/// What rows said at the last look: a label's value and the number.
type Seen = std::sync::Arc<Mutex<Vec<(String, f64)>>>;

/// Looks up the gauges of a role again and again, until the shutdown. What cannot be looked up is not shown.
pub async fn look(
    pool: PgPool,
    clock: Clock,
    role: &'static str,
    gauges: &'static [Gauge],
    shutdown: CancellationToken,
) {
    let show = |gauge: Gauge| (gauge, show(role, gauge));
    let seen: Vec<(Gauge, Seen)> = SIGNS
        .iter()
        .chain(gauges)
        .map(|gauge| show(*gauge))
        .collect();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        for (gauge, seen) in &seen {
            let looked_up = async {
                let mut conn = pool.acquire().await?;
                let now = clock.now(&mut conn).await?;
                rows(&mut conn, now, gauge).await
            };
            let rows = looked_up.await.unwrap_or_else(|error| {
                tracing::debug!(metric = gauge.name, %error, "could not be looked up");
                Vec::new()
            });
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = rows;
        }
    }
}

fn show(role: &'static str, gauge: Gauge) -> Seen {
    let seen = Seen::default();
    let shown = seen.clone();
    global::meter(METER)
        .f64_observable_gauge(gauge.name)
        .with_unit(gauge.unit)
        .with_description(gauge.says)
        .with_callback(move |observer| {
            for (value, number) in &*shown.lock().unwrap_or_else(PoisonError::into_inner) {
                let label = KeyValue::new(gauge.label, value.clone());
                observer.observe(*number, &[KeyValue::new("role", role), label]);
            }
        })
        .build();
    seen
}

/// What the gauges of a role say now, for a page.
pub async fn signs(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    of_role: &[Gauge],
) -> sqlx::Result<Vec<Sign>> {
    let mut signs = Vec::new();
    for gauge in SIGNS.iter().chain(of_role) {
        let rows = rows(conn, now, gauge).await?;
        signs.extend(rows.into_iter().map(|(of, value)| Sign {
            name: gauge.name.to_owned(),
            of,
            value,
        }));
    }
    Ok(signs)
}

async fn rows(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    gauge: &Gauge,
) -> sqlx::Result<Vec<(String, f64)>> {
    let statement = format!(
        "-- {}\nwith clock as (select $1::timestamptz as now)\n{}",
        gauge.name, gauge.rows
    );
    let rows: Vec<(String, Option<f64>)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(now)
        .fetch_all(conn)
        .await?;
    let there = rows
        .into_iter()
        .filter_map(|(label, number)| Some((label, number?)));
    Ok(there.collect())
}
