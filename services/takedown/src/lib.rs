//! The program `takedown` as a library: starts the roles, runs the operators' commands, and simulates hosts
//! for the demo and for tests. The logic of a service belongs in its own crate.

pub mod backup;
pub mod cli;
pub mod client;
pub mod demo;
mod escalation_policy;
pub mod multi_process;
pub mod output;
pub mod role;
pub mod simulator;
pub mod system;

/// Returns freed memory to the system, unlike glibc's allocator, whose arenas stay large after a burst.
/// Declared here so that every program built from this library uses it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
