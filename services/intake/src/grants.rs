//! What intake's runtime role may do with intake's own tables: what the statements of `store` need.

use platform::db::Act::{Insert, Select, Update};
use platform::db::Grants;

pub const GRANTS: Grants = Grants {
    tables: &[
        ("partner", &[Select, Insert, Update]),
        ("quota_use", &[Select, Insert, Update]),
        // Locked, never changed.
        ("case_identity", &[Select, Insert, Update]),
        ("case_tag", &[Select, Insert]),
        ("case_outcome", &[Select, Insert, Update]),
        ("report", &[Select, Insert, Update]),
        ("submission", &[Select, Insert, Update]),
    ],
    functions: &[],
};
