//! Gauges of the event log and of the consumers of other logs: whether events flow.

use super::Gauge;

/// Exported by every service that has a log.
pub(super) const LOG_GAUGES: [Gauge; 4] = [
    Gauge {
        name: "takedown.log.head",
        unit: "{event}",
        description: "Events with a position, over all shards.",
        label: "producer",
        query: "select current_schema()::text, sum(position)::float8 from log_shard",
    },
    Gauge {
        name: "takedown.log.unpositioned.age",
        unit: "s",
        description: "Age of the oldest committed event without a position; 0 when there is none.",
        label: "producer",
        query: "select current_schema()::text,
                coalesce(extract(epoch from clock.now - min(e.inserted_at)), 0)::float8
            from clock left join event e on e.position is null group by clock.now",
    },
    Gauge {
        name: "takedown.bus.cursor",
        unit: "{event}",
        description: "Events of a producer that this consumer has processed, over all shards.",
        label: "producer",
        query: "select producer, sum(position)::float8 from cursor group by producer",
    },
    Gauge {
        name: "takedown.bus.parked",
        unit: "{event}",
        description: "Events that could not be applied, and later events of the same cases.",
        label: "producer",
        query: "select c.producer, count(p.id)::float8
            from (select distinct producer from cursor) c left join parked_event p using (producer)
            group by c.producer",
    },
];
