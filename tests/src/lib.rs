//! Shared code of the system tests and of the programs for crash tests, measurements and leak searches. It may depend on
//! every crate; no crate depends on it.

pub mod analyst;
pub mod crash;
pub mod load;
pub mod search;
