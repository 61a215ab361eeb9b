//! Privileges of intake's runtime role on intake's tables: those that the statements in `store` need.

use platform::db::Grants;
use platform::db::Privilege::{Insert, Select, Update};

pub const GRANTS: Grants = Grants {
    tables: &[
        ("partner", &[Select, Insert, Update]),
        ("quota_usage", &[Select, Insert, Update]),
        // `for update` requires the update privilege; rows are never changed.
        ("case_identity", &[Select, Insert, Update]),
        ("case_tag", &[Select, Insert]),
        ("case_outcome", &[Select, Insert, Update]),
        ("report", &[Select, Insert, Update]),
        ("submission", &[Select, Insert, Update]),
    ],
    functions: &[],
};
