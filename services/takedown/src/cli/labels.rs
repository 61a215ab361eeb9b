//! Text for the enum numbers of protobuf messages, in tables and JSON.

use domain::Invalid;
use domain::enums::{
    AssessmentState, Category, ContentStatus, DeadlineKind, DeliveryChannel, NotActionableReason,
    NoticeState, Outcome, ProviderRole, ReportChannel, ReviewReason, Rung, StaffRole,
};

fn label<T: std::fmt::Display>(value: Result<Option<T>, Invalid>) -> String {
    match value {
        Ok(Some(value)) => value.to_string(),
        Ok(None) => String::new(),
        // A newer server may have values that this program does not know.
        Err(_) => "unknown".to_owned(),
    }
}

pub(super) fn category(number: i32) -> String {
    label(Category::from_wire_optional(number))
}

pub(super) fn reason(number: i32) -> String {
    label(NotActionableReason::from_wire_optional(number))
}

pub(super) fn outcome(number: i32) -> String {
    label(Outcome::from_wire_optional(number))
}

pub(super) fn assessment(number: i32) -> String {
    label(AssessmentState::from_wire_optional(number))
}

pub(super) fn review(number: i32) -> String {
    label(ReviewReason::from_wire_optional(number))
}

pub(super) fn deadline(number: i32) -> String {
    label(DeadlineKind::from_wire_optional(number))
}

pub(super) fn content_status(number: i32) -> String {
    label(ContentStatus::from_wire_optional(number))
}

pub(super) fn notice(number: i32) -> String {
    label(NoticeState::from_wire_optional(number))
}

pub(super) fn rung(number: i32) -> String {
    label(Rung::from_wire_optional(number))
}

pub(super) fn delivery_channel(number: i32) -> String {
    label(DeliveryChannel::from_wire_optional(number))
}

pub(super) fn report_channel(number: i32) -> String {
    label(ReportChannel::from_wire_optional(number))
}

pub(super) fn provider_role(number: i32) -> String {
    label(ProviderRole::from_wire_optional(number))
}

pub(super) fn staff_role(number: i32) -> String {
    label(StaffRole::from_wire_optional(number))
}
