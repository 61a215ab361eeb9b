//! Privileges of dispatch's runtime role on its own tables: exactly what its statements need.

use platform::db::Grants;
use platform::db::Privilege::{Delete, Insert, Select, Update};

pub const GRANTS: Grants = Grants {
    tables: &[
        ("dispatch_case", &[Select, Insert, Update]),
        ("case_ladder", &[Select, Insert, Update]),
        ("case_removal", &[Select, Insert, Update]),
        ("case_seal", &[Select, Insert, Update]),
        ("notice", &[Select, Insert, Update]),
        ("regulator_list", &[Select, Insert]),
        ("provider", &[Select, Insert, Update]),
        ("provider_listing", &[Select, Insert, Update]),
        ("webhook_endpoint", &[Select, Insert, Update, Delete]),
        ("directory_version", &[Select, Update]),
        ("provider_key", &[Select, Insert, Update]),
        ("idempotency_receipt", &[Select, Insert, Delete]),
        ("delivery", &[Select, Insert, Update, Delete]),
        ("delivery_attempt", &[Select, Insert, Delete]),
        ("endpoint_health", &[Select, Insert, Update]),
        ("url_check", &[Select, Insert, Update, Delete]),
    ],
    functions: &[],
};
