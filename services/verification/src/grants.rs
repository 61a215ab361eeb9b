//! What verification's runtime role may do with its own tables: what the statements of `store` need.

use platform::db::Act::{Delete, Insert, Select, Update};
use platform::db::Grants;

pub const GRANTS: Grants = Grants {
    tables: &[
        ("assessment", &[Select, Insert, Update]),
        ("report", &[Select, Insert, Update]),
        ("report_tag", &[Select, Insert]),
        ("review", &[Select, Insert, Update]),
        // Only ever added to.
        ("judgement", &[Select, Insert]),
        ("reveal", &[Select, Insert]),
        ("second_look", &[Select, Insert]),
        ("knowledge", &[Select, Update]),
        ("hash_list", &[Select, Insert, Update]),
        ("hash_entry", &[Select, Insert]),
        ("rule", &[Select, Insert, Update]),
        ("staff", &[Select, Insert, Update]),
        ("session", &[Select, Insert, Update, Delete]),
        ("sign_in_failure", &[Select, Insert, Update, Delete]),
    ],
    functions: &[],
};
