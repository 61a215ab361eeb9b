//! What dispatch's runtime role may do with its own tables: what the statements of its stores need.

use platform::db::Act::{Delete, Insert, Select, Update};
use platform::db::Grants;

pub const GRANTS: Grants = Grants {
    tables: &[
        ("case_file", &[Select, Insert, Update]),
        ("case_seal", &[Select, Insert, Update]),
        ("notice", &[Select, Insert, Update]),
        ("regulator_list", &[Select, Insert]),
        ("provider", &[Select, Insert, Update]),
        ("provider_feed", &[Select, Insert, Update]),
        ("webhook_endpoint", &[Select, Insert, Update, Delete]),
        ("directory_version", &[Select, Update]),
        ("provider_key", &[Select, Insert, Update]),
        ("answer_receipt", &[Select, Insert, Delete]),
        ("delivery", &[Select, Insert, Update, Delete]),
        ("delivery_attempt", &[Select, Insert, Delete]),
        ("endpoint_health", &[Select, Insert, Update]),
        ("probe", &[Select, Insert, Update, Delete]),
    ],
    functions: &[],
};
