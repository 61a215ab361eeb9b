//! Events: their names and their bytes. What each says is written in `proto/takedown/v1/events.proto`.

use prost::Message;
use proto::v1;
pub use proto::v1::event::Body;
use thiserror::Error;

/// Bytes that are no event this version understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Not a protobuf message of this kind.
    #[error("payload is malformed")]
    Malformed,
    /// A kind of event that a newer version may know.
    #[error("kind of event is unknown")]
    UnknownKind,
}

/// The event's name in logs, headers and timelines.
pub const fn name(body: &Body) -> &'static str {
    match body {
        Body::ReportReceived(_) => "ReportReceived",
        Body::ReportWithdrawn(_) => "ReportWithdrawn",
        Body::CaseActionable(_) => "CaseActionable",
        Body::CaseNotActionable(_) => "CaseNotActionable",
        Body::CaseHeld(_) => "CaseHeld",
        Body::CaseReleased(_) => "CaseReleased",
        Body::VerdictWithdrawn(_) => "VerdictWithdrawn",
        Body::VerdictUpheld(_) => "VerdictUpheld",
        Body::UrlRevealed(_) => "UrlRevealed",
        Body::ReviewRequested(_) => "ReviewRequested",
        Body::NoticeSent(_) => "NoticeSent",
        Body::NoticeDelivered(_) => "NoticeDelivered",
        Body::NoticeBounced(_) => "NoticeBounced",
        Body::NoticeAnswered(_) => "NoticeAnswered",
        Body::NoticeEscalated(_) => "NoticeEscalated",
        Body::NoticeWithdrawn(_) => "NoticeWithdrawn",
        Body::HostMoved(_) => "HostMoved",
        Body::RemovalConfirmed(_) => "RemovalConfirmed",
        Body::Reappeared(_) => "Reappeared",
        Body::CaseClosed(_) => "CaseClosed",
        Body::CaseReopened(_) => "CaseReopened",
        Body::MailReceived(_) => "MailReceived",
    }
}

/// The payload that is appended to the log.
pub fn encode(body: Body) -> Vec<u8> {
    v1::Event { body: Some(body) }.encode_to_vec()
}

/// Reads a payload from a log.
pub fn decode(payload: &[u8]) -> Result<Body, Unreadable> {
    v1::Event::decode(payload)
        .map_err(|_| Unreadable::Malformed)?
        .body
        .ok_or(Unreadable::UnknownKind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_log_and_garbage_does_not() {
        let body = Body::CaseReopened(v1::CaseReopened { episode: 2 });
        assert_eq!(name(&body), "CaseReopened");
        assert_eq!(decode(&encode(body.clone())), Ok(body));
        assert_eq!(decode(b"\xff\xff"), Err(Unreadable::Malformed));
        assert_eq!(decode(b""), Err(Unreadable::UnknownKind));
    }
}
