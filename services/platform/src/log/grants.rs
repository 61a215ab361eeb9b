//! What a runtime role may do with the tables of the log, of cursors and of parked events in its own schema.

use crate::db::Act::{Delete, Insert, Select, Update, UpdateOf};
use crate::db::Grants;

/// An event is appended and stamped; nothing else of it ever changes.
pub const GRANTS: Grants = Grants {
    tables: &[
        ("event", &[Select, Insert, UpdateOf(&["position"])]),
        ("event_default", &[Select]),
        ("log_shard", &[Select, Update]),
        ("log_relay", &[Select, Insert, Update, Delete]),
        // How far its readers are is noted by themselves on the Local bus, and by `ReadLog` for all others.
        ("log_consumer", &[Select, Insert, Update]),
        ("cursor", &[Select, Insert, Update]),
        ("blocked_case", &[Select, Insert, Update, Delete]),
        ("parked_event", &[Select, Insert, Delete]),
        ("parked_act", &[Insert]),
        ("asked_replay", &[Select, Update, Delete]),
    ],
    functions: &["make_event_partitions(date)", "drop_event_partitions(date)"],
};
