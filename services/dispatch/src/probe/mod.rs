//! Is it gone? Content-blind looks at the places that are under removal or under watch.
//!
//! Asks for headers and for nothing else; follows no redirect; reads, keeps and passes on no byte of a body. Must not
//! conclude anything: what looks mean together is the commands' to say.

mod control;
mod hosts;
mod look;
mod queue;
mod watcher;

use std::time::Duration;

use serde::Deserialize;

pub use queue::{cancel, schedule};
pub use watcher::Watcher;

/// How looks are made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeSettings {
    /// Looks at once at what one provider answers for, or one site where none is known.
    pub each: u32,
    /// Looks at once.
    pub all: u32,
    /// Cases claimed at once.
    pub batch: u32,
    /// For one look, seconds.
    pub timeout_seconds: u64,
    /// Asked for what is due so often, milliseconds.
    pub poll_millis: u64,
    /// A name that always has an address, best with a dot at its end. A host whose name is not found counts as gone only
    /// while this one is found; where none is set, never: a resolver that is cut off knows no name at all.
    pub control_name: Option<String>,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            each: 32,
            all: 256,
            batch: 500,
            timeout_seconds: 10,
            poll_millis: 200,
            control_name: None,
        }
    }
}

impl ProbeSettings {
    /// For one look.
    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.max(1))
    }
}
