//! Verification through its gRPC interface and its events, on a real Postgres, with the real event logs of
//! intake and dispatch.
//!
//! Tests run on two threads: dropping a test's database blocks one, while connections that are still being
//! opened need the other to finish.

mod bad_input;
mod decisions;
mod eligible_staff;
mod fixture;
mod lists_and_rules;
mod offline_reviews;
mod reviews;
mod staff;
mod throughput;
mod undo_and_oversight;
