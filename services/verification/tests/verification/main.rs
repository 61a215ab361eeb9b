//! Verification through its gRPC and its events, on a real Postgres. Producers' events come out of real logs.
//! Tests run on two threads: a test's database is dropped by one that blocks, while connections that were still being
//! opened need the other to end.

mod bad_input;
mod deciding;
mod desks;
mod gone;
mod house;
mod known;
mod pace;
mod reviews;
mod shift;
mod staff;
