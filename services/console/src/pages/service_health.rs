//! The service health on the pipeline page: each gauge with the bound above which it is an alarm. The bounds are those
//! of `deploy/chart/files/alerts.yaml`, except that of `takedown.ledger.unsigned`: its alert waits two minutes for 0.

use super::Tile;
use crate::dashboard::Dashboard;
use crate::format::{AlarmFigure, TimeText, format_count, format_gauge, format_seconds};
use crate::stalled_consumers::ConsumerProgress;

/// The highest value that is not an alarm.
enum Bound {
    Seconds(f64),
    Count(f64),
}

const GAUGES: [(&str, &str, Bound); 8] = [
    (
        "takedown.intake.silence",
        "Time since the newest report",
        Bound::Seconds(6.0 * 3600.0),
    ),
    (
        "takedown.dispatch.message.overdue",
        "Overdue messages",
        Bound::Seconds(300.0),
    ),
    (
        "takedown.dispatch.deadline.overdue",
        "Overdue deadlines",
        Bound::Seconds(120.0),
    ),
    (
        "takedown.dispatch.check.overdue",
        "Overdue checks",
        Bound::Seconds(600.0),
    ),
    (
        "takedown.dispatch.endpoints.open",
        "Failing endpoints",
        Bound::Count(10.0),
    ),
    (
        "takedown.log.unpositioned.age",
        "Events without a position",
        Bound::Seconds(30.0),
    ),
    ("takedown.bus.parked", "Parked events", Bound::Count(0.0)),
    (
        "takedown.ledger.unsigned",
        "Events not signed yet",
        Bound::Count(1000.0),
    ),
];

/// A tile for each gauge that a service exports, with its highest value; then the stalled consumers.
pub(super) fn tiles(dashboard: &Dashboard) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = GAUGES
        .iter()
        .filter_map(|(gauge, name, bound)| {
            let readings = dashboard.gauges_by_role();
            let values = readings
                .filter(|(_, reading)| reading.name == *gauge)
                .map(|(_, reading)| reading.value);
            let highest = values.reduce(f64::max)?;
            Some(gauge_tile(dashboard, name, highest, bound))
        })
        .collect();
    tiles.push(consumer_tile(dashboard));
    tiles
}

fn gauge_tile(dashboard: &Dashboard, name: &'static str, value: f64, bound: &Bound) -> Tile {
    let (figure, limit, highest) = match *bound {
        Bound::Seconds(limit) => (format_seconds(value), format_seconds(limit), limit),
        Bound::Count(limit) => (format_gauge(value), format_gauge(limit), limit),
    };
    Tile {
        name,
        figure: AlarmFigure::new(figure, value > highest),
        note: format!("at most {limit}"),
        oldest: TimeText::none(dashboard.read_at),
        href: "",
    }
}

fn consumer_tile(dashboard: &Dashboard) -> Tile {
    let stalled: Vec<&ConsumerProgress> = dashboard
        .consumers
        .iter()
        .filter(|progress| progress.is_stalled())
        .collect();
    let note = match stalled.first() {
        None => "all consumers are up to date".to_owned(),
        Some(first) => format!(
            "{} has {} events of {} to apply and makes no progress",
            first.consumer,
            format_gauge(first.behind),
            first.producer
        ),
    };
    Tile {
        name: "Stalled consumers",
        figure: AlarmFigure::new(format_count(stalled.len() as u64), !stalled.is_empty()),
        note,
        oldest: TimeText::none(dashboard.read_at),
        href: "",
    }
}
