//! Whether events go on: what the metrics show of a log and of those who hear others' logs.

use crate::metrics::Gauge;

/// Of every service that has a log.
pub const SIGNS: [Gauge; 4] = [
    Gauge {
        name: "takedown.log.head",
        unit: "{event}",
        says: "Events that got a position, over all shards.",
        label: "producer",
        rows: "select current_schema()::text, sum(position)::float8 from log_shard",
    },
    Gauge {
        name: "takedown.log.unstamped.age",
        unit: "s",
        says: "Since when the oldest committed event waits for its position; 0 where none waits.",
        label: "producer",
        rows: "select current_schema()::text,
                coalesce(extract(epoch from clock.now - min(e.inserted_at)), 0)::float8
            from clock left join event e on e.position is null group by clock.now",
    },
    Gauge {
        name: "takedown.bus.cursor",
        unit: "{event}",
        says: "Events of a producer that this consumer has passed, over all shards.",
        label: "producer",
        rows: "select producer, sum(position)::float8 from cursor group by producer",
    },
    Gauge {
        name: "takedown.bus.parked",
        unit: "{event}",
        says: "Events that could not be applied, and those of the same cases behind them.",
        label: "producer",
        rows: "select c.producer, count(p.id)::float8
            from (select distinct producer from cursor) c left join parked_event p using (producer)
            group by c.producer",
    },
];
