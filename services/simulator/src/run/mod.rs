//! One run of a scenario against a system: accounts and directory, reports, analysts, progress and figures.
//!
//! It uses the system as its users do, by gRPC. It must not read a service's tables, nor give a service the scenario's
//! correct outcomes.

pub mod analysts;
pub mod case_truths;
pub mod figures;
pub mod progress;
pub mod report_feed;
pub mod setup;
