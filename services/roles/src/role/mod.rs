//! One role in a process of its own: its configuration file, its access rules and its start.
//!
//! `takedown up` starts the same roles with the same functions ([`start`]), all in one process. A role does
//! not run migrations: it refuses to start if its schema lacks any.

pub mod access;
pub mod config;
pub mod monitor;
mod run;
mod schema_check;
pub(crate) mod start;

use std::fmt;

use platform::db::Schema;

pub use run::run;

/// Which service consumes which log: (producer, consumer).
pub const SHARED_LOGS: [(&str, &str); 8] = [
    ("intake", "verification"),
    ("intake", "ledger"),
    ("verification", "intake"),
    ("verification", "dispatch"),
    ("verification", "ledger"),
    ("dispatch", "intake"),
    ("dispatch", "verification"),
    ("dispatch", "ledger"),
];

/// The six roles, in display order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Intake,
    Verification,
    Dispatch,
    Ledger,
    Gateway,
    Console,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Intake,
        Self::Verification,
        Self::Dispatch,
        Self::Ledger,
        Self::Gateway,
        Self::Console,
    ];

    /// The name on the command line, in certificates and in configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Verification => "verification",
            Self::Dispatch => "dispatch",
            Self::Ledger => "ledger",
            Self::Gateway => "gateway",
            Self::Console => "console",
        }
    }

    /// The prefix of its environment variables, such as `TAKEDOWN_INTAKE__LISTEN`.
    pub const fn variable_prefix(self) -> &'static str {
        match self {
            Self::Intake => "TAKEDOWN_INTAKE__",
            Self::Verification => "TAKEDOWN_VERIFICATION__",
            Self::Dispatch => "TAKEDOWN_DISPATCH__",
            Self::Ledger => "TAKEDOWN_LEDGER__",
            Self::Gateway => "TAKEDOWN_GATEWAY__",
            Self::Console => "TAKEDOWN_CONSOLE__",
        }
    }

    /// The default port.
    pub const fn port(self) -> u16 {
        match self {
            Self::Intake => 7410,
            Self::Verification => 7411,
            Self::Dispatch => 7412,
            Self::Ledger => 7413,
            Self::Console => 7400,
            Self::Gateway => 7401,
        }
    }

    /// Its database schema; the edges have none.
    pub const fn schema(self) -> Option<Schema> {
        match self {
            Self::Intake => Some(intake::SCHEMA),
            Self::Verification => Some(verification::SCHEMA),
            Self::Dispatch => Some(dispatch::SCHEMA),
            Self::Ledger => Some(ledger::SCHEMA),
            Self::Gateway | Self::Console => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
