//! The gauges of the ledger.

use platform::metrics::Gauge;

pub const GAUGES: &[Gauge] = &[
    Gauge {
        name: "takedown.ledger.leaves",
        unit: "{event}",
        description: "Events in the tamper-evident log.",
        label: "of",
        query: "select 'tree', size::float8 from tree",
    },
    Gauge {
        name: "takedown.ledger.unsigned",
        unit: "{event}",
        description: "Events that no signed checkpoint covers yet.",
        label: "of",
        query: "select 'tree', (t.size - coalesce((select max(size) from checkpoint), 0))::float8 from tree t",
    },
];
