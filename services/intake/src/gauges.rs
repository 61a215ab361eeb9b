//! Intake's gauges, in addition to those of its event log.

use platform::metrics::Gauge;

pub const GAUGES: &[Gauge] = &[Gauge {
    name: "takedown.intake.silence",
    unit: "s",
    description: "Since the newest report was accepted.",
    label: "of",
    // Ids are in the order of time (UUID version 7).
    query: "select 'reports', extract(epoch from clock.now - r.accepted_at)::float8
        from clock cross join (select accepted_at from report order by id desc limit 1) r",
}];
