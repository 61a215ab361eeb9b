//! What the tests and measuring programs share. It may see every crate, and no crate sees it.

pub mod crash;
pub mod desk;
pub mod load;
pub mod search;
