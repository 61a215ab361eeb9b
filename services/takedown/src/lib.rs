//! The program `takedown` as a library: the commands. The logic of a service belongs in its own crate, and what starts a role
//! in `roles`. Without the feature `demo` the program has no simulator and no Postgres of its own.

pub mod backup;
pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
pub mod output;

/// Returns freed memory to the system, unlike glibc's allocator, whose arenas stay large after a burst.
/// Declared here so that every program built from this library uses it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
