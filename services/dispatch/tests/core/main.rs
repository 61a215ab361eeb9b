//! Tests of the core of dispatch through its events, commands and gRPC, on a real Postgres and with a manual
//! clock.

mod answers;
mod bad_input;
mod grpc;
mod inbound_mail;
mod ladder;
mod opening;
mod page_reviews;
mod policy_times;
mod provider_access;
mod pull_api;
mod removal;
mod scorecard;
mod served_dispatch;
mod support;
mod verdicts;
