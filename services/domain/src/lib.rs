//! The vocabulary: ids, URLs and hashes, categories, answers, events. Parsed here or nowhere.
//!
//! No I/O, no clock, no randomness, no database. `Debug` never shows a URL or a hash.

pub mod address;
pub mod event;
pub mod hash;
pub mod id;
pub mod invalid;
pub mod url;
pub mod wire;
pub mod word;

pub use invalid::Invalid;
