//! What the metrics show of verification beside its log.

use platform::metrics::Gauge;

pub const SIGNS: &[Gauge] = &[
    Gauge {
        name: "takedown.verification.waiting",
        unit: "{case}",
        says: "Cases that wait for a person, or are in somebody's hand.",
        label: "state",
        rows: "select s.state, count(a.case_id)::float8
            from (values ('queued'), ('claimed')) s (state) left join assessment a using (state)
            group by s.state",
    },
    Gauge {
        name: "takedown.verification.waiting.age",
        unit: "s",
        says: "Since the oldest of the cases that wait was received; 0 where none waits.",
        label: "state",
        rows: "select 'queued', coalesce(extract(epoch from clock.now - min(a.received_at)), 0)::float8
            from clock left join assessment a on a.state = 'queued' group by clock.now",
    },
];
