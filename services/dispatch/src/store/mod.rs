//! Every SQL statement of the core, as named functions on a connection. Rows are parsed into domain types
//! when read. No decisions, and no begin or commit.

mod case;
mod clocks;
mod counts;
mod delivery_attempt;
mod fingerprint;
mod idempotency_receipt;
mod listing_positions;
mod notice;
mod notice_content;
mod notice_search;
mod provider;
mod provider_key;
mod provider_listing;
mod row;
mod scorecard;
mod seal;
mod timer;
mod webhook;

pub use case::{DispatchCase, Pause, cases, lock_cases, upsert_cases};
pub use clocks::*;
pub use counts::*;
pub use delivery_attempt::*;
pub use fingerprint::{Fingerprint, FingerprintDigest};
pub use idempotency_receipt::*;
pub use listing_positions::reserve_listing_positions;
pub use notice::{
    Notice, addressee, case_of_notices, notices_of_cases, owned_notices, upsert_notices,
};
pub(crate) use notice_content::open_url;
pub use notice_content::{NoticeContent, notice_contents, readable_contents};
pub use notice_search::*;
pub use provider::*;
pub use provider_key::*;
pub use provider_listing::*;
pub use scorecard::{PunctualityCounts, Scorecard, scorecard};
pub use seal::{CaseSeal, insert_regulator_entries, seals, upsert_seals};
pub use timer::*;
pub use webhook::*;
