//! One function for each thing that can happen: load and lock, apply, store, append events. Takes slices; never begins
//! or commits, and sends nothing itself.

mod actionable;
mod answer;
mod attribute;
mod chain;
mod clocks;
mod delivered;
mod dossier;
mod episode;
mod hold;
mod ladder;
mod mailed;
mod probed;
mod redeliver;
mod removal;
mod reroute;
mod supply;
mod verdict;
pub mod webhook;
mod work;

use std::sync::Arc;

use domain::id::{CaseId, NoticeId};
use domain::word::DeliveryChannel;
use platform::sealed::Keyring;
use time::OffsetDateTime;

use crate::directory::Directory;
use crate::policy::Policy;

pub use actionable::{Actionable, actionable};
pub use answer::{AnswerItem, AnswerReply, answer};
pub use attribute::{Attributed, attributed};
pub use delivered::{fetched, record_delivered, record_unreachable};
pub use hold::{Held, hold, release};
pub use ladder::{fire_due, next_rungs};
pub use mailed::{Mailed, mailed};
pub use probed::record_probes;
pub use redeliver::{Redelivery, redeliver};
pub use supply::{Supply, supply};
pub use verdict::{Upheld, uphold, withdraw};

/// What every command decides by. Cheap to clone.
#[derive(Clone)]
pub struct Rules {
    pub policy: Arc<Policy>,
    pub directory: Directory,
    pub keyring: Arc<Keyring>,
    /// Whether a name that the directory does not know is looked up by DNS.
    pub resolve_names: bool,
}

/// A message that arrived, as its channel saw it.
#[derive(Debug, Clone, Copy)]
pub struct Delivered {
    pub notice_id: NoticeId,
    pub channel: DeliveryChannel,
    /// Attempts that it took.
    pub attempts: i32,
}

/// A channel that failed for good.
#[derive(Debug, Clone, Copy)]
pub struct Unreachable {
    pub notice_id: NoticeId,
    pub channel: DeliveryChannel,
    /// Stable: `gone`, `mailbox_unavailable`, `mail_returned`, `gave_up`.
    pub reason: &'static str,
    pub attempts: i32,
    /// When the attempt began: an endpoint that was named later is another.
    pub claimed_at: OffsetDateTime,
}

/// What a place looked like, without a byte of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    pub status: u16,
    pub length: Option<u64>,
    pub etag: Option<String>,
    pub content_type: Option<String>,
}

/// Shows the status only: an ETag is often a hash of the material.
impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({})", self.status)
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Up(Fingerprint),
    Gone,
    /// Counts for neither.
    Unknown,
}

/// One check of one case.
#[derive(Debug, Clone)]
pub struct ProbeSeen {
    pub case_id: CaseId,
    /// Not later than the look.
    pub since: OffsetDateTime,
    pub outcome: Outcome,
}
