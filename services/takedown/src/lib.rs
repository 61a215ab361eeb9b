//! The operators' program as a library: what `main` runs and the tests drive.
//!
//! It must not hold what a service is for: it starts services, asks them, and plays the street against them.

pub mod backup;
pub mod cli;
pub mod client;
pub mod demo;
pub mod output;
pub mod role;
pub mod spread;
pub mod street;
pub mod system;

/// The C library's allocator keeps what a burst freed in arenas between what lives on; this one gives it back, so that the
/// memory of the roles stays flat as the work grows. Here, so that each program made of this library has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
