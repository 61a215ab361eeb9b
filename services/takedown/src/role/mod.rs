//! One role in a process of its own: its configuration file, who may call it, and its start.
//!
//! `takedown up` starts the same roles by the same functions ([`spawn`]), all in one process. This module must not
//! decide anything that a role decides, and must not run migrations: it only refuses to start without them.

pub mod access;
pub mod config;
mod guard;
pub mod monitor;
mod run;
pub(crate) mod spawn;

use std::fmt;

use platform::db::Schema;

pub use run::run;

/// The six roles, in an order in which they can be shown.
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

    /// As the command line, certificates and configuration files name it.
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

    /// What its variables begin with, such as `TAKEDOWN_INTAKE__LISTEN`.
    pub const fn variables(self) -> &'static str {
        match self {
            Self::Intake => "TAKEDOWN_INTAKE__",
            Self::Verification => "TAKEDOWN_VERIFICATION__",
            Self::Dispatch => "TAKEDOWN_DISPATCH__",
            Self::Ledger => "TAKEDOWN_LEDGER__",
            Self::Gateway => "TAKEDOWN_GATEWAY__",
            Self::Console => "TAKEDOWN_CONSOLE__",
        }
    }

    /// Where it listens when nobody says.
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

    /// Its part of the database; the edges have none.
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
