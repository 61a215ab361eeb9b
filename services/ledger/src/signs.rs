//! What the metrics show of the ledger.

use platform::metrics::Gauge;

pub const SIGNS: &[Gauge] = &[
    Gauge {
        name: "takedown.ledger.leaves",
        unit: "{event}",
        says: "Events in the tamper-evident log.",
        label: "of",
        rows: "select 'tree', size::float8 from tree",
    },
    Gauge {
        name: "takedown.ledger.unsigned",
        unit: "{event}",
        says: "Events that no signed checkpoint covers yet.",
        label: "of",
        rows: "select 'tree', (t.size - coalesce((select max(size) from checkpoint), 0))::float8 from tree t",
    },
];
