//! The vocabulary in whole sentences, for a person who has never heard of it. Decides nothing.

use domain::word::{Answer, NoticeState};
use platform::error::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::words::damaged;

/// A time for people, and for machines beside it.
pub(super) struct Moment {
    pub(super) machine: String,
    pub(super) people: String,
}

impl Moment {
    pub(super) fn of(at: &prost_types::Timestamp) -> Result<Self, Problem> {
        let at: OffsetDateTime = domain::wire::time("at", at).map_err(|_| damaged())?;
        let people = at.format(format_description!(
            "[day padding:none] [month repr:long] [year], [hour]:[minute] UTC"
        ));
        Ok(Self {
            machine: at.format(&Rfc3339).map_err(|_| damaged())?,
            people: people.map_err(|_| damaged())?,
        })
    }
}

/// A browser's `datetime-local` has no zone; the page says that it is UTC.
pub(super) fn with_zone(typed: &str) -> String {
    match typed.trim() {
        minutes if minutes.len() == "2026-03-01T12:00".len() => format!("{minutes}:00Z"),
        seconds if seconds.len() == "2026-03-01T12:00:00".len() => format!("{seconds}Z"),
        whole => whole.to_owned(),
    }
}

pub(super) fn label(answer: Answer) -> &'static str {
    match answer {
        Answer::Acknowledged => "We have received it",
        Answer::Removed => "We have removed it",
        Answer::Unavailable => "It is already down, without our doing",
        Answer::Moved => "It has moved to somebody else",
        Answer::NotOurs => "It is not on our service",
        Answer::Preserved => "We have preserved the evidence",
        Answer::NeedInformation => "We have a question first",
        Answer::NeedTime => "We need more time",
        Answer::Disputed => "We disagree, please look again",
        Answer::NoAction => "We have looked, and will not act",
    }
}

/// Whether an answer says all by itself: nobody is asked for a time, a name or a reason with it.
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
        Answer::Acknowledged => "You are looking at it; the deadline stays.",
        Answer::Removed => "The hotline checks that it is gone.",
        Answer::Unavailable => "Gone, suspended or unreachable; the hotline checks.",
        Answer::Moved => "Say below where it went, if you know.",
        Answer::NotOurs => "Say below whose it is, if you know.",
        Answer::Preserved => "As your law asks; the removal is still to come.",
        Answer::NeedInformation => "Write your question below.",
        Answer::NeedTime => "Say below until when.",
        Answer::Disputed => "Say below why; an analyst looks again.",
        Answer::NoAction => "The hotline goes on to whoever else can act.",
    }
}

/// How a notice stands, and what comes next.
pub(super) fn next(state: NoticeState) -> &'static str {
    match state {
        NoticeState::Queued | NoticeState::Sent | NoticeState::Delivered => {
            "It waits for your answer."
        }
        NoticeState::Acknowledged => {
            "You have it. Please answer again once it is removed; the deadline stays."
        }
        NoticeState::RemovalClaimed => {
            "Thank you. The hotline now checks that it is gone; you need not do anything more."
        }
        NoticeState::Removed | NoticeState::Watched => {
            "Thank you. It is gone; the hotline keeps watching for a while."
        }
        NoticeState::Closed => "This notice is closed. Nothing more is needed.",
        NoticeState::Bounced => "It could not be delivered by the usual way; you can answer here.",
        NoticeState::NotOurs => "The hotline asks whoever has it. You need not do anything more.",
        NoticeState::NeedInformation => {
            "The hotline answers your question; the answer comes the way this notice came."
        }
        NoticeState::NeedTime => "The hotline waits as agreed. Please answer once it is removed.",
        NoticeState::Preserved => {
            "The evidence is kept. Please answer again once it is removed; the deadline stays."
        }
        NoticeState::Disputed => {
            "An analyst looks at it again, and you hear the result the way this notice came."
        }
        NoticeState::NoAction => {
            "Your decision is recorded, and the hotline goes on to whoever else can act."
        }
        NoticeState::Escalated => {
            "The deadline has passed, and the hotline has gone a step further. You can still answer."
        }
        NoticeState::Moved => {
            "The hotline follows it to where it went. You need not do anything more."
        }
        NoticeState::Withdrawn => "The hotline has withdrawn this notice. No action is needed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_local_time_is_read_as_utc() {
        assert_eq!(with_zone("2026-03-01T12:00"), "2026-03-01T12:00:00Z");
        assert_eq!(with_zone("2026-03-01T12:00:30"), "2026-03-01T12:00:30Z");
        assert_eq!(
            with_zone("2026-03-01T12:00:00+02:00"),
            "2026-03-01T12:00:00+02:00"
        );
    }
}
