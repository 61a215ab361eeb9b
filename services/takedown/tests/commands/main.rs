//! The program from outside, on a real database: what operators type, and what they are told.

mod alone;
mod backup;
mod desk;
mod doctor;
mod import;
mod on_a_broker;
mod operators;
mod program;
mod provider_day;
mod start;
