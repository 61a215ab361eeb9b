//! Descriptions of events for people, in plain English with ids. They contain no URL, and no free text, which
//! might contain one.

use domain::enums::{
    AgeBand, Answer, Category, DeliveryChannel, HostMoveSource, MailKind, Media,
    NotActionableReason, NoticeWithdrawalReason, ReportChannel, ReviewReason, Rung,
};
use domain::event::Body;
use domain::wire::time;
use proto::v1;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Describes an event in one sentence.
pub fn describe(body: &Body) -> String {
    match body {
        Body::ReportReceived(event) => report_received(event),
        Body::ReportWithdrawn(event) => format!("Report {} was withdrawn.", event.report_id),
        Body::CaseActionable(event) => case_actionable(event),
        Body::CaseNotActionable(event) => case_not_actionable(event),
        Body::CaseHeld(event) => case_held(event),
        Body::CaseReleased(event) => format!("Police hold {} ended.", event.police_hold_id),
        Body::VerdictWithdrawn(event) => format!(
            "The verdict of decision {} was withdrawn.",
            event.decision_id
        ),
        Body::VerdictUpheld(event) => verdict_upheld(event),
        Body::UrlRevealed(event) => {
            format!("The URL was revealed to staff member {}.", event.subject)
        }
        Body::ReviewRequested(event) => review_requested(event),
        Body::NoticeSent(event) => notice_sent(event),
        Body::NoticeDelivered(event) => notice_delivered(event),
        Body::NoticeBounced(event) => notice_bounced(event),
        Body::MailReceived(event) => mail_received(event),
        Body::NoticeAnswered(event) => notice_answered(event),
        Body::NoticeEscalated(event) => notice_escalated(event),
        Body::NoticeWithdrawn(event) => {
            let reason = NoticeWithdrawalReason::from_wire(event.reason)
                .map_or("unknown", NoticeWithdrawalReason::as_str);
            format!("{} was withdrawn: {reason}.", notice(event.notice.as_ref()))
        }
        Body::HostMoved(event) => host_moved(event),
        Body::RemovalConfirmed(event) => removal_confirmed(event),
        Body::Reappeared(event) => format!(
            "The content is online again: episode {} begins.",
            event.episode
        ),
        Body::CaseClosed(event) => case_closed(event),
        Body::CaseReopened(event) => {
            format!("The case was reopened: episode {} begins.", event.episode)
        }
    }
}

fn report_received(event: &v1::ReportReceived) -> String {
    let channel = ReportChannel::from_wire(event.channel).map_or("unknown", ReportChannel::as_str);
    let media = Media::from_wire(event.media).map_or("unknown", Media::as_str);
    let opened = if event.opened_case {
        "opened the case"
    } else {
        "joined the case"
    };
    let age = AgeBand::from_wire(event.age_band)
        .map(|band| format!(", age band {band}"))
        .unwrap_or_default();
    format!(
        "Report {} {opened}: report channel {channel}, media {media}{age}.",
        event.report_id
    )
}

fn case_actionable(event: &v1::CaseActionable) -> String {
    let category = Category::from_wire(event.category).map_or("unknown", Category::as_str);
    format!(
        "Decision {}: actionable, category {category}.",
        event.decision_id
    )
}

fn case_not_actionable(event: &v1::CaseNotActionable) -> String {
    let reason =
        NotActionableReason::from_wire(event.reason).map_or("unknown", NotActionableReason::as_str);
    format!(
        "Decision {}: not actionable, reason {reason}.",
        event.decision_id
    )
}

fn case_held(event: &v1::CaseHeld) -> String {
    let until = rfc3339(event.until.as_ref())
        .map(|until| format!(" until {until}"))
        .unwrap_or_default();
    format!("Police hold {} began{until}.", event.police_hold_id)
}

fn verdict_upheld(event: &v1::VerdictUpheld) -> String {
    let note = if event.offline {
        "; the URL no longer shows the material"
    } else {
        ""
    };
    format!(
        "The verdict of decision {} was upheld in review {}{note}.",
        event.decision_id, event.review_id
    )
}

fn review_requested(event: &v1::ReviewRequested) -> String {
    let reason = ReviewReason::from_wire(event.reason).map_or("unknown", ReviewReason::as_str);
    let about = match event.notice_id.as_str() {
        "" => String::new(),
        id => format!(", about notice {id}"),
    };
    format!("Review {} was requested: {reason}{about}.", event.review_id)
}

fn notice_sent(event: &v1::NoticeSent) -> String {
    format!(
        "{} was sent by {}, attempt {}.",
        notice(event.notice.as_ref()),
        channel(event.channel),
        event.attempts
    )
}

fn notice_delivered(event: &v1::NoticeDelivered) -> String {
    format!(
        "{} was delivered by {}.",
        notice(event.notice.as_ref()),
        channel(event.channel)
    )
}

fn notice_bounced(event: &v1::NoticeBounced) -> String {
    format!(
        "{} could not be delivered by {}: {}.",
        notice(event.notice.as_ref()),
        channel(event.channel),
        event.reason
    )
}

fn mail_received(event: &v1::MailReceived) -> String {
    let result = match MailKind::from_wire(event.kind) {
        Ok(MailKind::Bounced) => "could not be delivered: the mail was returned",
        Ok(MailKind::Delayed) => "is delayed, as a mail server reports",
        Ok(MailKind::Automatic) => "received an automatic reply, which does not acknowledge it",
        Ok(MailKind::Reply) => {
            "received a reply by mail; a person must read it in the hotline's mailbox"
        }
        Err(_) => "received a mail of an unknown kind",
    };
    let from = match event.from_domain.as_str() {
        "" => String::new(),
        domain => format!(", from {domain}"),
    };
    let status = match event.status.as_str() {
        "" => String::new(),
        status => format!(" (status {status})"),
    };
    format!("{} {result}{from}{status}.", notice(event.notice.as_ref()))
}

fn notice_answered(event: &v1::NoticeAnswered) -> String {
    let answer = Answer::from_wire(event.answer).map_or("unknown", Answer::as_str);
    let until = rfc3339(event.until.as_ref())
        .map(|until| format!(" until {until}"))
        .unwrap_or_default();
    let named = match event.named_provider_id.as_str() {
        "" => String::new(),
        provider => format!(", naming provider {provider}"),
    };
    format!(
        "{} was answered: {answer}{until}{named}.",
        notice(event.notice.as_ref())
    )
}

fn notice_escalated(event: &v1::NoticeEscalated) -> String {
    let rung = Rung::from_wire(event.rung).map_or("unknown", Rung::as_str);
    let next = match event.next_notice_id.as_str() {
        "" => String::new(),
        id => format!(
            ", which created notice {id} to provider {}",
            event.next_provider_id
        ),
    };
    format!(
        "{} was escalated to rung {rung}{next}.",
        notice(event.notice.as_ref())
    )
}

fn host_moved(event: &v1::HostMoved) -> String {
    let source = HostMoveSource::from_wire(event.source).map_or("unknown", HostMoveSource::as_str);
    format!(
        "The content moved from provider {} to provider {} ({source}).",
        event.from_provider_id, event.to_provider_id
    )
}

fn removal_confirmed(event: &v1::RemovalConfirmed) -> String {
    if event.checks == 0 {
        return format!("A person confirmed the removal, episode {}.", event.episode);
    }
    format!(
        "{} of {} checks confirmed the removal, episode {}.",
        event.agreed, event.checks, event.episode
    )
}

fn case_closed(event: &v1::CaseClosed) -> String {
    let reason = match v1::CloseReason::try_from(event.reason) {
        Ok(v1::CloseReason::Removed) => "removed",
        Ok(v1::CloseReason::VerdictWithdrawn) => "verdict_withdrawn",
        Ok(v1::CloseReason::Unspecified) | Err(_) => "unknown",
    };
    format!("The case was closed: {reason}.")
}

fn notice(key: Option<&v1::NoticeKey>) -> String {
    // Without a provider there is no notice.
    key.map_or_else(
        || "The case".to_owned(),
        |key| format!("Notice {} to provider {}", key.notice_id, key.provider_id),
    )
}

fn channel(number: i32) -> &'static str {
    DeliveryChannel::from_wire(number).map_or("an unknown channel", DeliveryChannel::as_str)
}

fn rfc3339(at: Option<&prost_types::Timestamp>) -> Option<String> {
    let at: OffsetDateTime = time("until", at?).ok()?;
    at.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_page_and_a_removal_confirmed_by_a_person_are_described() {
        let upheld = |offline| {
            describe(&Body::VerdictUpheld(v1::VerdictUpheld {
                decision_id: "d1".into(),
                review_id: "r1".into(),
                offline,
            }))
        };
        assert_eq!(
            upheld(false),
            "The verdict of decision d1 was upheld in review r1."
        );
        assert_eq!(
            upheld(true),
            "The verdict of decision d1 was upheld in review r1; the URL no longer shows the material."
        );
        let confirmed = |agreed, checks| {
            describe(&Body::RemovalConfirmed(v1::RemovalConfirmed {
                episode: 1,
                agreed,
                checks,
                confirmed_at: None,
            }))
        };
        assert_eq!(
            confirmed(2, 3),
            "2 of 3 checks confirmed the removal, episode 1."
        );
        assert_eq!(
            confirmed(0, 0),
            "A person confirmed the removal, episode 1."
        );
    }
}
