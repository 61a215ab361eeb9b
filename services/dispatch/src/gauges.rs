//! Gauges of dispatch, beside those of its log.

use platform::metrics::Gauge;

pub const GAUGES: &[Gauge] = &[
    Gauge {
        name: "takedown.dispatch.message.overdue",
        unit: "s",
        description: "Delay of the oldest message that is due; 0 if none is due.",
        label: "channel",
        query: "select c.channel,
                coalesce(greatest(extract(epoch from clock.now - min(d.due_at)), 0), 0)::float8
            from clock cross join (values ('webhook'), ('email')) c (channel)
            left join delivery d on d.channel = c.channel and d.lease_token is null
            group by c.channel, clock.now",
    },
    Gauge {
        name: "takedown.dispatch.deadline.overdue",
        unit: "s",
        description: "Delay of the oldest timer of a case that is due; 0 if none is due.",
        label: "category",
        query: "select c.category,
                coalesce(greatest(extract(epoch from clock.now - f.due_at), 0), 0)::float8
            from clock cross join (values ('A'), ('B'), ('C')) c (category)
            left join lateral (
                select due_at from dispatch_case f where f.category = c.category and f.due_at is not null
                order by f.due_at limit 1) f on true",
    },
    Gauge {
        name: "takedown.dispatch.check.overdue",
        unit: "s",
        description: "Delay of the oldest check that is due; 0 if none is due.",
        label: "of",
        query: "select 'checks', coalesce(greatest(extract(epoch from clock.now - min(p.due_at)), 0), 0)::float8
            from clock left join url_check p on true group by clock.now",
    },
    Gauge {
        name: "takedown.dispatch.exhausted",
        unit: "{case}",
        description: "Cases still online after every rung of the ladder has fired.",
        label: "of",
        query: "select 'cases', count(*)::float8 from dispatch_case where content_status = 'exhausted'",
    },
    Gauge {
        name: "takedown.dispatch.endpoints.open",
        unit: "{endpoint}",
        description: "Endpoints with an open circuit breaker after repeated failures.",
        label: "channel",
        query: "select c.channel, count(h.provider_id)::float8
            from clock cross join (values ('webhook'), ('email')) c (channel)
            left join endpoint_health h on h.channel = c.channel and h.open_until > clock.now
            group by c.channel",
    },
];
