//! Privileges of a runtime role on the tables of the log, of cursors and of parked events in its own schema.

use crate::db::Grants;
use crate::db::Privilege::{Delete, Insert, Select, Update, UpdateOf};

/// An event is appended and gets its position; nothing else of it ever changes.
pub const GRANTS: Grants = Grants {
    tables: &[
        ("event", &[Select, Insert, UpdateOf(&["position"])]),
        ("event_default", &[Select]),
        ("log_shard", &[Select, Update]),
        ("log_relay", &[Select, Insert, Update, Delete]),
        // Consumers report their position themselves on the Local bus; `ReadLog` records it for all others.
        ("log_consumer", &[Select, Insert, Update]),
        ("cursor", &[Select, Insert, Update]),
        ("blocked_case", &[Select, Insert, Update, Delete]),
        ("parked_event", &[Select, Insert, Delete]),
        ("parked_act", &[Insert]),
        ("replay_request", &[Select, Update, Delete]),
    ],
    functions: &["make_event_partitions(date)", "drop_event_partitions(date)"],
};
