//! What an event says, in words and ids: one small function for each. Never a URL, and no free text, which might hold
//! one.

use domain::event::Body;
use domain::wire::time;
use domain::word::{
    AgeBand, Answer, Category, DeliveryChannel, MailKind, Media, NotActionableReason,
    ReportChannel, ReviewReason, Rung,
};
use proto::v1;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub fn of(body: &Body) -> String {
    match body {
        Body::ReportReceived(said) => report_received(said),
        Body::ReportWithdrawn(said) => format!("Report {} was taken back.", said.report_id),
        Body::CaseActionable(said) => case_actionable(said),
        Body::CaseNotActionable(said) => case_not_actionable(said),
        Body::CaseHeld(said) => case_held(said),
        Body::CaseReleased(said) => format!("The police hold {} ended.", said.hold_id),
        Body::VerdictWithdrawn(said) => format!("Decision {} was taken back.", said.decision_id),
        Body::VerdictUpheld(said) => verdict_upheld(said),
        Body::UrlRevealed(said) => format!("Staff {} opened the URL.", said.subject),
        Body::ReviewRequested(said) => review_requested(said),
        Body::NoticeSent(said) => notice_sent(said),
        Body::NoticeDelivered(said) => notice_delivered(said),
        Body::NoticeBounced(said) => notice_bounced(said),
        Body::MailReceived(said) => mail_received(said),
        Body::NoticeAnswered(said) => notice_answered(said),
        Body::NoticeEscalated(said) => notice_escalated(said),
        Body::NoticeWithdrawn(said) => {
            format!(
                "{} was withdrawn: {}.",
                notice(said.notice.as_ref()),
                said.reason
            )
        }
        Body::HostMoved(said) => host_moved(said),
        Body::RemovalConfirmed(said) => removal_confirmed(said),
        Body::Reappeared(said) => format!("Seen again: episode {} begins.", said.episode),
        Body::CaseClosed(said) => case_closed(said),
        Body::CaseReopened(said) => format!("Opened again: episode {} begins.", said.episode),
    }
}

fn report_received(said: &v1::ReportReceived) -> String {
    let channel = ReportChannel::from_wire(said.channel).map_or("unknown", ReportChannel::as_str);
    let media = Media::from_wire(said.media).map_or("unknown", Media::as_str);
    let opened = if said.opened_case {
        "opened the case"
    } else {
        "joined the case"
    };
    let age = AgeBand::from_wire(said.age_band)
        .map(|band| format!(", age band {band}"))
        .unwrap_or_default();
    format!(
        "Report {} {opened}: channel {channel}, media {media}{age}.",
        said.report_id
    )
}

fn case_actionable(said: &v1::CaseActionable) -> String {
    let category = Category::from_wire(said.category).map_or("unknown", Category::as_str);
    format!(
        "Decision {}: actionable, category {category}.",
        said.decision_id
    )
}

fn case_not_actionable(said: &v1::CaseNotActionable) -> String {
    let reason =
        NotActionableReason::from_wire(said.reason).map_or("unknown", NotActionableReason::as_str);
    format!(
        "Decision {}: not actionable, reason {reason}.",
        said.decision_id
    )
}

fn case_held(said: &v1::CaseHeld) -> String {
    let until = at(said.until.as_ref())
        .map(|until| format!(" until {until}"))
        .unwrap_or_default();
    format!("Police hold {} began{until}.", said.hold_id)
}

fn verdict_upheld(said: &v1::VerdictUpheld) -> String {
    let shown = if said.gone {
        ": what the URL shows now is something else"
    } else {
        ""
    };
    format!(
        "Decision {} stands after review {}{shown}.",
        said.decision_id, said.review_id
    )
}

fn review_requested(said: &v1::ReviewRequested) -> String {
    let reason = ReviewReason::from_wire(said.reason).map_or("unknown", ReviewReason::as_str);
    let about = match said.notice_id.as_str() {
        "" => String::new(),
        id => format!(", about notice {id}"),
    };
    format!("Review {} was asked for: {reason}{about}.", said.review_id)
}

fn notice_sent(said: &v1::NoticeSent) -> String {
    format!(
        "{} was sent by {}, attempt {}.",
        notice(said.notice.as_ref()),
        channel(said.channel),
        said.attempts
    )
}

fn notice_delivered(said: &v1::NoticeDelivered) -> String {
    format!(
        "{} was delivered by {}.",
        notice(said.notice.as_ref()),
        channel(said.channel)
    )
}

fn notice_bounced(said: &v1::NoticeBounced) -> String {
    format!(
        "{} could not be delivered by {}: {}.",
        notice(said.notice.as_ref()),
        channel(said.channel),
        said.reason
    )
}

fn mail_received(said: &v1::MailReceived) -> String {
    let what = match MailKind::from_wire(said.kind) {
        Ok(MailKind::Bounced) => "came back: it could not be delivered",
        Ok(MailKind::Delayed) => "is not delivered yet, by word of a mail server",
        Ok(MailKind::Automatic) => "was answered by a machine, which acknowledges nothing",
        Ok(MailKind::Reply) => {
            "was answered by mail; a person has to read it in the hotline's mailbox"
        }
        Err(_) => "was answered by a mail of an unknown kind",
    };
    let from = match said.from_domain.as_str() {
        "" => String::new(),
        domain => format!(", from {domain}"),
    };
    let status = match said.status.as_str() {
        "" => String::new(),
        status => format!(" (status {status})"),
    };
    format!("{} {what}{from}{status}.", notice(said.notice.as_ref()))
}

fn notice_answered(said: &v1::NoticeAnswered) -> String {
    let answer = Answer::from_wire(said.answer).map_or("unknown", Answer::as_str);
    let until = at(said.until.as_ref())
        .map(|until| format!(" until {until}"))
        .unwrap_or_default();
    let named = match said.named_provider_id.as_str() {
        "" => String::new(),
        provider => format!(", naming provider {provider}"),
    };
    format!(
        "{} was answered {answer}{until}{named}.",
        notice(said.notice.as_ref())
    )
}

fn notice_escalated(said: &v1::NoticeEscalated) -> String {
    let rung = Rung::from_wire(said.rung).map_or("unknown", Rung::as_str);
    let next = match said.next_notice_id.as_str() {
        "" => String::new(),
        id => format!(": notice {id} to provider {}", said.next_provider_id),
    };
    format!(
        "{} was escalated to rung {rung}{next}.",
        notice(said.notice.as_ref())
    )
}

fn host_moved(said: &v1::HostMoved) -> String {
    format!(
        "It moved from provider {} to provider {} ({}).",
        said.from_provider_id, said.to_provider_id, said.how
    )
}

fn removal_confirmed(said: &v1::RemovalConfirmed) -> String {
    if said.checks == 0 {
        return format!(
            "Removal was confirmed by a person, episode {}.",
            said.episode
        );
    }
    format!(
        "Removal was confirmed by {} of {} checks, episode {}.",
        said.agreed, said.checks, said.episode
    )
}

fn case_closed(said: &v1::CaseClosed) -> String {
    let reason = match v1::CloseReason::try_from(said.reason) {
        Ok(v1::CloseReason::Removed) => "removed",
        Ok(v1::CloseReason::VerdictWithdrawn) => "verdict_withdrawn",
        Ok(v1::CloseReason::Unspecified) | Err(_) => "unknown",
    };
    format!("The case was closed: {reason}.")
}

fn notice(key: Option<&v1::NoticeKey>) -> String {
    // Where nobody hosts it there is no notice to speak of.
    key.map_or_else(
        || "The case".to_owned(),
        |key| format!("Notice {} to provider {}", key.notice_id, key.provider_id),
    )
}

fn channel(number: i32) -> &'static str {
    DeliveryChannel::from_wire(number).map_or("an unknown channel", DeliveryChannel::as_str)
}

fn at(at: Option<&prost_types::Timestamp>) -> Option<String> {
    let at: OffsetDateTime = time("until", at?).ok()?;
    at.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_a_person_called_gone_is_told_from_a_verdict_that_only_stands() {
        let upheld = |gone| {
            of(&Body::VerdictUpheld(v1::VerdictUpheld {
                decision_id: "d1".into(),
                review_id: "r1".into(),
                gone,
            }))
        };
        assert_eq!(upheld(false), "Decision d1 stands after review r1.");
        assert_eq!(
            upheld(true),
            "Decision d1 stands after review r1: what the URL shows now is something else."
        );
        let confirmed = |agreed, checks| {
            of(&Body::RemovalConfirmed(v1::RemovalConfirmed {
                episode: 1,
                agreed,
                checks,
                confirmed_at: None,
            }))
        };
        assert_eq!(
            confirmed(2, 3),
            "Removal was confirmed by 2 of 3 checks, episode 1."
        );
        assert_eq!(
            confirmed(0, 0),
            "Removal was confirmed by a person, episode 1."
        );
    }
}
