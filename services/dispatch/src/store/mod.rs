//! Every SQL statement of the core, as named functions on a connection; rows are parsed into domain types on the way
//! out. No decisions, no begin, no commit.

mod attempt;
mod case;
mod clocks;
mod counts;
mod documents;
mod feed;
mod key;
mod lines;
mod listing;
mod mark;
mod notice;
mod provider;
mod receipt;
mod row;
mod scorecard;
mod seal;
mod timer;
mod webhook;

pub use attempt::*;
pub use case::{CaseFile, Pause, Seen, cases, lock_cases, put_cases};
pub use clocks::*;
pub use counts::*;
pub(crate) use documents::open_url;
pub use documents::{Content, documents, readable_documents};
pub use feed::draw as draw_feed;
pub use key::*;
pub use lines::*;
pub use listing::*;
pub use mark::Mark;
pub use notice::{
    Notice, addressee, case_of_notices, notices_of_cases, owned_notices, put_notices,
};
pub use provider::*;
pub use receipt::*;
pub use scorecard::{Kept, Scorecard, scorecard};
pub use seal::{CaseSeal, put_regulator, put_seals, seals};
pub use timer::*;
pub use webhook::*;
