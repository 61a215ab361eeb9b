//! SQL statements about cases and notices. Rows are parsed into domain types when read. No decisions, no
//! begin, no commit.

mod case;
mod case_ladder;
mod case_removal;
mod clocks;
mod counts;
mod listing_positions;
mod notice;
mod notice_content;
mod notice_search;
mod provider_listing;
mod seal;
mod timer;

pub use case::{DispatchCase, cases, lock_cases, lock_opened, upsert_cases};
pub use case_ladder::upsert_ladders;
pub use case_removal::upsert_removals;
pub use clocks::*;
pub use counts::*;
pub use listing_positions::reserve_listing_positions;
pub use notice::{
    Notice, addressee, case_of_notices, notices_of_cases, owned_notices, upsert_notices,
};
pub use notice_content::{NoticeContent, notice_contents, open_url, readable_contents};
pub use notice_search::*;
pub use provider_listing::*;
pub use seal::{CaseSeal, insert_regulator_entries, seals, upsert_seals};
pub use timer::*;
