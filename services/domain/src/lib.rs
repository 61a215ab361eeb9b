//! Domain types shared by all services: ids, URLs, hashes, enums and events. Each is parsed only here.
//!
//! No I/O, time, randomness or database access. `Debug` never shows a URL or a hash.

pub mod address;
pub mod enums;
pub mod event;
pub mod hash;
pub mod id;
pub mod invalid;
pub mod url;
pub mod wire;

pub use invalid::Invalid;
