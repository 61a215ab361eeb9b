//! What the metrics show of intake beside its log.

use platform::metrics::Gauge;

pub const SIGNS: &[Gauge] = &[Gauge {
    name: "takedown.intake.silence",
    unit: "s",
    says: "Since the newest report was accepted.",
    label: "of",
    // Ids are in the order of time (UUID version 7).
    rows: "select 'reports', extract(epoch from clock.now - r.accepted_at)::float8
        from clock cross join (select accepted_at from report order by id desc limit 1) r",
}];
