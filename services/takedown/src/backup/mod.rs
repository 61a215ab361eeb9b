//! Backup and restore of a whole system: every table of every service as of one moment, and the keyring.
//!
//! Needs no client tools: rows travel by `copy`. The two halves are files apart, so that they can be kept apart: the tables
//! open nothing without the keyring. Must not interpret a row, and must not write into a database that holds anything.

mod manifest;
mod restore;
mod tables;
mod take;

pub use manifest::Manifest;
pub use restore::{check, restore};
pub use take::take;

/// Of the keyring within a backup.
pub const KEYRING: &str = "keyring.json";

/// Of the description of a backup: written last, so that a folder without it is no backup.
const MANIFEST: &str = "manifest.json";
