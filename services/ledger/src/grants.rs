//! What the ledger's database role may do with its tables. Leaves, nodes and checkpoints are only inserted,
//! never changed.

use platform::db::Grants;
use platform::db::Privilege::{Insert, Select, Update};

/// Grants of the role that the service runs with.
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
