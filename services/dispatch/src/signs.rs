//! What the metrics show of dispatch beside its log.

use platform::metrics::Gauge;

pub const SIGNS: &[Gauge] = &[
    Gauge {
        name: "takedown.dispatch.message.overdue",
        unit: "s",
        says: "How long the oldest message that is due has not been sent; 0 where none is due.",
        label: "channel",
        rows: "select c.channel,
                coalesce(greatest(extract(epoch from clock.now - min(d.due_at)), 0), 0)::float8
            from clock cross join (values ('webhook'), ('email')) c (channel)
            left join delivery d on d.channel = c.channel and d.lease_token is null
            group by c.channel, clock.now",
    },
    Gauge {
        name: "takedown.dispatch.clock.overdue",
        unit: "s",
        says: "How long the oldest clock of a case that is due has not fired; 0 where none is due.",
        label: "category",
        rows: "select c.category,
                coalesce(greatest(extract(epoch from clock.now - f.due_at), 0), 0)::float8
            from clock cross join (values ('A'), ('B'), ('C')) c (category)
            left join lateral (
                select due_at from case_file f where f.category = c.category and f.due_at is not null
                order by f.due_at limit 1) f on true",
    },
    Gauge {
        name: "takedown.dispatch.check.overdue",
        unit: "s",
        says: "How long the oldest look at a place that is due was not taken; 0 where none is due.",
        label: "of",
        rows: "select 'checks', coalesce(greatest(extract(epoch from clock.now - min(p.due_at)), 0), 0)::float8
            from clock left join probe p on true group by clock.now",
    },
    Gauge {
        name: "takedown.dispatch.exhausted",
        unit: "{case}",
        says: "Cases that are up although nobody is left to tell: the whole ladder was climbed.",
        label: "of",
        rows: "select 'cases', count(*)::float8 from case_file where live = 'exhausted'",
    },
    Gauge {
        name: "takedown.dispatch.endpoints.open",
        unit: "{endpoint}",
        says: "Endpoints that are left alone for a while because they failed again and again.",
        label: "channel",
        rows: "select c.channel, count(h.provider_id)::float8
            from clock cross join (values ('webhook'), ('email')) c (channel)
            left join endpoint_health h on h.channel = c.channel and h.open_until > clock.now
            group by c.channel",
    },
];
