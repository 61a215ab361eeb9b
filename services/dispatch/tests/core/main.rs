//! The core of dispatch through its events, commands and gRPC, on a real Postgres, with a clock that the test moves.

mod access;
mod answers;
mod bad_input;
mod gone;
mod grpc;
mod ladder;
mod mailed;
mod opening;
mod pull;
mod removal;
mod scorecard;
mod support;
mod verdicts;
