//! The gauges of verification; those of its log are in `platform`.

use platform::metrics::Gauge;

pub const GAUGES: &[Gauge] = &[
    Gauge {
        name: "takedown.verification.waiting",
        unit: "{case}",
        description: "Cases that wait for a first analyst or are claimed.",
        label: "state",
        query: "select s.state, count(a.case_id)::float8
            from (values ('queued'), ('claimed')) s (state) left join assessment a using (state)
            group by s.state",
    },
    Gauge {
        name: "takedown.verification.waiting.age",
        unit: "s",
        description: "Time since the oldest queued case was received; 0 if none is queued.",
        label: "state",
        query: "select 'queued', coalesce(extract(epoch from clock.now - min(a.received_at)), 0)::float8
            from clock left join assessment a on a.state = 'queued' group by clock.now",
    },
];
