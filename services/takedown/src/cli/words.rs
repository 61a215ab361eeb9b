//! Words of the vocabulary as the wire numbers them, for tables and JSON.

use domain::Invalid;
use domain::word::{
    AssessmentState, Category, DeliveryChannel, LiveState, NotActionableReason, NoticeState,
    Outcome, ProviderRole, ReportChannel, Rung, StaffRole,
};

fn spelled<T: std::fmt::Display>(word: Result<Option<T>, Invalid>) -> String {
    match word {
        Ok(Some(word)) => word.to_string(),
        Ok(None) => String::new(),
        // A newer server may know more words than we do.
        Err(_) => "unknown".to_owned(),
    }
}

pub(super) fn category(number: i32) -> String {
    spelled(Category::from_wire_optional(number))
}

pub(super) fn reason(number: i32) -> String {
    spelled(NotActionableReason::from_wire_optional(number))
}

pub(super) fn outcome(number: i32) -> String {
    spelled(Outcome::from_wire_optional(number))
}

pub(super) fn assessment(number: i32) -> String {
    spelled(AssessmentState::from_wire_optional(number))
}

pub(super) fn live(number: i32) -> String {
    spelled(LiveState::from_wire_optional(number))
}

pub(super) fn notice(number: i32) -> String {
    spelled(NoticeState::from_wire_optional(number))
}

pub(super) fn rung(number: i32) -> String {
    spelled(Rung::from_wire_optional(number))
}

pub(super) fn delivery_channel(number: i32) -> String {
    spelled(DeliveryChannel::from_wire_optional(number))
}

pub(super) fn report_channel(number: i32) -> String {
    spelled(ReportChannel::from_wire_optional(number))
}

pub(super) fn provider_role(number: i32) -> String {
    spelled(ProviderRole::from_wire_optional(number))
}

pub(super) fn staff_role(number: i32) -> String {
    spelled(StaffRole::from_wire_optional(number))
}
