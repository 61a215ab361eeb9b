//! One function per command: load and lock, apply, store, append events. Commands take slices; they never
//! begin or commit a transaction, and send nothing themselves.

mod actionable;
mod answer;
mod attribution;
mod case_batch;
mod check_results;
mod deadlines;
mod delivery_results;
mod episode;
mod escalation_chain;
mod inbound_mail;
mod ladder;
mod locked_case;
mod police_hold;
mod redeliver;
mod removal;
mod reroute;
mod supply;
mod verdict;

use std::sync::Arc;

use domain::enums::DeliveryChannel;
use domain::id::{CaseId, NoticeId};
use platform::sealed::Keyring;
use time::OffsetDateTime;

use crate::cases::page::ResponseMetadata;
use crate::directory::Directory;
use crate::policy::Policy;

pub use actionable::{ActionableDecision, open_cases};
pub use answer::{AnswerReply, ProviderAnswer, apply_answers};
pub use attribution::{ResolvedHost, apply_resolved_hosts};
pub use check_results::record_checks;
pub use delivery_results::{record_delivered, record_fetched, record_unreachable};
pub use inbound_mail::{InboundMail, record_inbound_mail};
pub use ladder::{fire_due_rungs, next_rungs};
pub use police_hold::{CaseInstruction, place_police_holds, release_cases};
pub use redeliver::{RequestedRedelivery, redeliver_notices};
pub use supply::{SuppliedInformation, supply_information};
pub use verdict::{UpheldVerdict, uphold_verdicts, withdraw_verdicts};

/// What every command depends on. Cheap to clone.
#[derive(Clone)]
pub struct CommandDeps {
    pub policy: Arc<Policy>,
    pub directory: Directory,
    pub keyring: Arc<Keyring>,
    /// Whether a host name that the directory does not know is resolved by DNS.
    pub resolve_names: bool,
}

/// A message that its delivery channel handed over.
#[derive(Debug, Clone, Copy)]
pub struct DeliveredMessage {
    pub notice_id: NoticeId,
    pub channel: DeliveryChannel,
    /// Number of attempts that it took.
    pub attempts: i32,
}

/// A delivery channel that failed permanently for one notice.
#[derive(Debug, Clone, Copy)]
pub struct FailedChannel {
    pub notice_id: NoticeId,
    pub channel: DeliveryChannel,
    /// Stable code: `gone`, `mailbox_unavailable`, `mail_returned`, `gave_up`.
    pub reason: &'static str,
    pub attempts: i32,
    /// Start of the attempt: it does not count against an endpoint that was chosen later.
    pub claimed_at: OffsetDateTime,
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    Online(ResponseMetadata),
    Offline,
    /// Neither: the host could not be reached, or its response proves nothing.
    Unknown,
}

/// One check of one case.
#[derive(Debug, Clone)]
pub struct CompletedCheck {
    pub case_id: CaseId,
    /// A time no later than the start of the check.
    pub started_at: OffsetDateTime,
    pub outcome: CheckOutcome,
}
