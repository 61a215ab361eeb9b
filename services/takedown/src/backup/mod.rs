//! Backup and restore of a whole system: every table of every service as of one moment, and the keyring.
//!
//! Needs no client tools: rows are transferred with `copy` and not interpreted. Tables and keyring are
//! separate files, so that they can be stored apart; without the keyring the tables cannot be unsealed.

mod manifest;
mod restore;
mod tables;
mod take;

pub use manifest::Manifest;
pub use restore::{check, restore};
pub use take::take;

/// File name of the keyring in a backup.
pub const KEYRING: &str = "keyring.json";

/// File name of the manifest. It is written last, so a folder without it is not a complete backup.
const MANIFEST: &str = "manifest.json";
