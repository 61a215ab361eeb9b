//! The operators' program as a library: what `main` runs and the tests drive.
//!
//! It must not hold what a service is for: it starts services, asks them, and plays the street against them.

pub mod cli;
pub mod client;
pub mod demo;
pub mod output;
pub mod street;
pub mod system;
