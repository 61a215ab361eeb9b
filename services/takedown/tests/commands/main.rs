//! The program's commands and their output, on a real database.

mod backup;
mod doctor;
mod import;
mod on_a_broker;
mod operators;
mod private_database;
mod program;
mod provider_api_guide;
mod staff_acts;
mod start;
