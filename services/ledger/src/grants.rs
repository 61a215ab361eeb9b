//! What the ledger's runtime role may do with its own tables: leaves, nodes and checkpoints are added and never changed.

use platform::db::Act::{Insert, Select, Update};
use platform::db::Grants;

pub const GRANTS: Grants = Grants {
    tables: &[
        ("tree", &[Select, Update]),
        ("leaf", &[Select, Insert]),
        ("node", &[Select, Insert]),
        ("checkpoint", &[Select, Insert]),
        ("report", &[Select, Insert, Update]),
        ("case_fact", &[Select, Insert, Update]),
    ],
    functions: &[],
};
