//! Cases under removal and their notices: attribution, the ladder, answers, deadlines and content status.
//! Every change of a case locks its row, applies a lifecycle, and stores rows and events together.
//!
//! Must not send anything: it plans deliveries and checks, which the modules of that name carry out.

mod attribution;
mod commands;
mod grpc;
mod ladder_progress;
mod lifecycle;
mod page;
mod removal;
mod store;
mod timers;

pub use attribution::resolve_due_hosts;
pub(crate) use attribution::{
    ExpectedProof, ProofError, verify_decision_proof, verify_notice_proof,
};
pub(crate) use commands::{
    ActionableDecision, UpheldVerdict, open_cases, release_cases, uphold_verdicts,
};
pub use commands::{
    CaseInstruction, CheckOutcome, CommandDeps, CompletedCheck, DeliveredMessage, FailedChannel,
    InboundMail, ProviderAnswer, RequestedRedelivery, ResolvedHost, SuppliedInformation,
    apply_answers, apply_resolved_hosts, fire_due_rungs, place_police_holds, record_checks,
    record_delivered, record_inbound_mail, record_unreachable, redeliver_notices,
    supply_information, withdraw_verdicts,
};
pub(crate) use grpc::{
    AnswerCall, AnswerCallResult, clock_figure, group_commit, length, stage_count,
};
pub use lifecycle::Message;
pub use page::ResponseMetadata;
pub(crate) use store::{
    CaseSeal, ClockStats, ProviderFigures, count_false_claims, count_provider, lock_opened,
    open_url, provider_clocks, provider_figures, readable_contents,
};
pub use store::{
    DispatchCase, Notice, NoticeContent, cases, claim_due, notice_contents, notices_of_cases,
};
pub use timers::Timers;
