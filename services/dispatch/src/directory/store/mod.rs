//! SQL statements about providers, their endpoints and keys. No decisions, no begin, no commit.

mod provider;
mod provider_key;
mod scorecard;
mod webhook_endpoint;

pub use provider::*;
pub use provider_key::*;
pub(super) use scorecard::{PunctualityCounts, Scorecard, scorecard};
pub use webhook_endpoint::*;
