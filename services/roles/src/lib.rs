//! Runs the roles: one in this process (`takedown <role>`), or all of them (`takedown up`), and the clients for a member of
//! staff. The logic of a service belongs in its own crate, and commands in `takedown`.

pub mod client;
mod escalation_policy;
pub mod role;
pub mod system;
