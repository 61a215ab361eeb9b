//! Names and encoding of events. Their contents are defined in `proto/takedown/v1/events.proto`.

use prost::Message;
use proto::v1;
pub use proto::v1::event::Body;
use thiserror::Error;

/// Why a payload could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventDecodeError {
    /// Not an encoded `Event` message.
    #[error("payload is malformed")]
    Malformed,
    /// An event of a kind that this version does not know; a newer version may.
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

/// Encodes the payload that is appended to the log.
pub fn encode(body: Body) -> Vec<u8> {
    v1::Event { body: Some(body) }.encode_to_vec()
}

/// Decodes a payload from a log.
///
/// # Errors
/// `EventDecodeError` if the payload is malformed or of an unknown kind.
pub fn decode(payload: &[u8]) -> Result<Body, EventDecodeError> {
    v1::Event::decode(payload)
        .map_err(|_| EventDecodeError::Malformed)?
        .body
        .ok_or(EventDecodeError::UnknownKind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_event_is_decoded_and_other_bytes_are_refused() {
        let body = Body::CaseReopened(v1::CaseReopened { episode: 2 });
        assert_eq!(name(&body), "CaseReopened");
        assert_eq!(decode(&encode(body.clone())), Ok(body));
        assert_eq!(decode(b"\xff\xff"), Err(EventDecodeError::Malformed));
        assert_eq!(decode(b""), Err(EventDecodeError::UnknownKind));
    }
}
