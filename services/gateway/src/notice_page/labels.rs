//! Labels and sentences for answers and states, for a reader who does not know the system's terms.

use domain::enums::{Answer, NoticeState};
use platform::error::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::upstream::malformed_response;

/// A time for the HTML element `time`.
pub(super) struct DisplayTime {
    /// RFC 3339, for the attribute `datetime`.
    pub(super) machine_readable: String,
    /// Such as `2 March 2026, 12:00 UTC`.
    pub(super) text: String,
}

impl DisplayTime {
    pub(super) fn from_timestamp(at: &prost_types::Timestamp) -> Result<Self, Problem> {
        let at: OffsetDateTime = domain::wire::time("at", at).map_err(|_| malformed_response())?;
        let text = at.format(format_description!(
            "[day padding:none] [month repr:long] [year], [hour]:[minute] UTC"
        ));
        Ok(Self {
            machine_readable: at.format(&Rfc3339).map_err(|_| malformed_response())?,
            text: text.map_err(|_| malformed_response())?,
        })
    }
}

/// Adds the zone UTC to the value of an input of type `datetime-local`, which has none.
pub(super) fn with_utc_zone(input: &str) -> String {
    match input.trim() {
        minutes if minutes.len() == "2026-03-01T12:00".len() => format!("{minutes}:00Z"),
        seconds if seconds.len() == "2026-03-01T12:00:00".len() => format!("{seconds}Z"),
        complete => complete.to_owned(),
    }
}

pub(super) fn label(answer: Answer) -> &'static str {
    match answer {
        Answer::Acknowledged => "We have received it",
        Answer::Removed => "We have removed it",
        Answer::Unavailable => "It is already offline, and we did not remove it",
        Answer::Moved => "It has moved to another provider",
        Answer::NotOurs => "It is not on our service",
        Answer::Preserved => "We have preserved the evidence",
        Answer::NeedInformation => "We have a question first",
        Answer::NeedTime => "We need more time",
        Answer::Disputed => "We disagree, please review it",
        Answer::NoAction => "We have reviewed it, and will not act",
    }
}

/// Whether an answer is complete without a time, a name or a reason.
pub(super) fn is_one_click(answer: Answer) -> bool {
    match answer {
        Answer::Acknowledged | Answer::Removed | Answer::Unavailable | Answer::Preserved => true,
        Answer::Moved
        | Answer::NotOurs
        | Answer::NeedInformation
        | Answer::NeedTime
        | Answer::Disputed
        | Answer::NoAction => false,
    }
}

pub(super) fn hint(answer: Answer) -> &'static str {
    match answer {
        Answer::Acknowledged => "You are working on it; the deadline does not change.",
        Answer::Removed => "The hotline checks that it is offline.",
        Answer::Unavailable => "Deleted, suspended or unreachable; the hotline checks.",
        Answer::Moved => "State below where it moved, if you know.",
        Answer::NotOurs => "State below who hosts it, if you know.",
        Answer::Preserved => "As your law requires; you remove it later.",
        Answer::NeedInformation => "Write your question below.",
        Answer::NeedTime => "State below until when.",
        Answer::Disputed => "Give your reasons below; an analyst will review the notice.",
        Answer::NoAction => "The hotline contacts the next provider that can act.",
    }
}

/// The state of a notice, and what happens next.
pub(super) fn next_step(state: NoticeState) -> &'static str {
    match state {
        NoticeState::Queued | NoticeState::Sent | NoticeState::Delivered => {
            "This notice is waiting for your answer."
        }
        NoticeState::Acknowledged => {
            "You have received it. Please answer again once it is removed; the deadline does not change."
        }
        NoticeState::RemovalClaimed => {
            "Thank you. The hotline now checks that it is offline; no further action is needed."
        }
        NoticeState::Removed | NoticeState::Watched => {
            "Thank you. It is offline; the hotline continues to check it for a while."
        }
        NoticeState::Closed => "This notice is closed. No further action is needed.",
        NoticeState::Bounced => {
            "It could not be delivered by the usual channel; you can answer here."
        }
        NoticeState::NotOurs => {
            "The hotline contacts the provider that has it. No further action is needed."
        }
        NoticeState::NeedInformation => {
            "The hotline will answer your question by the same channel as this notice."
        }
        NoticeState::NeedTime => "The hotline waits as agreed. Please answer once it is removed.",
        NoticeState::Preserved => {
            "The evidence is preserved. Please answer again once it is removed; the deadline does not change."
        }
        NoticeState::Disputed => {
            "An analyst reviews it. You will receive the result by the same channel as this notice."
        }
        NoticeState::NoAction => {
            "Your decision is recorded, and the hotline contacts the next provider that can act."
        }
        NoticeState::Escalated => {
            "The deadline has passed, and the hotline has escalated the case. You can still answer."
        }
        NoticeState::Moved => "The hotline contacts the new provider. No further action is needed.",
        NoticeState::Withdrawn => "The hotline has withdrawn this notice. No action is needed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_time_without_a_zone_is_read_as_utc() {
        assert_eq!(with_utc_zone("2026-03-01T12:00"), "2026-03-01T12:00:00Z");
        assert_eq!(with_utc_zone("2026-03-01T12:00:30"), "2026-03-01T12:00:30Z");
        assert_eq!(
            with_utc_zone("2026-03-01T12:00:00+02:00"),
            "2026-03-01T12:00:00+02:00"
        );
    }
}
