//! The rights of verification's database role on its own tables: what the statements of `store` need.

use platform::db::Grants;
use platform::db::Privilege::{Delete, Insert, Select, Update};

pub const GRANTS: Grants = Grants {
    tables: &[
        ("assessment", &[Select, Insert, Update]),
        ("report", &[Select, Insert, Update]),
        ("report_tag", &[Select, Insert]),
        ("review", &[Select, Insert, Update]),
        // Append-only.
        ("case_act", &[Select, Insert]),
        ("reveal", &[Select, Insert]),
        ("second_opinion", &[Select, Insert]),
        ("matching_version", &[Select, Update]),
        ("hash_list", &[Select, Insert, Update]),
        ("hash_entry", &[Select, Insert]),
        ("rule", &[Select, Insert, Update]),
        ("staff", &[Select, Insert, Update]),
        ("session", &[Select, Insert, Update, Delete]),
        ("sign_in_failure", &[Select, Insert, Update, Delete]),
    ],
    functions: &[],
};
