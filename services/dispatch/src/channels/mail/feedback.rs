//! The notice for machines that know ARF (RFC 5965): who reports, and what about. What else there is to say stands in the
//! XARF report beside it.

use super::Parcel;

/// RFC 5322 section 2.1.1: a line has at most 998 octets, and a URI cannot be folded.
const LINE: usize = 998;

/// Fields of a `message/feedback-report`. The type is `other`: `abuse` is that of a mail (RFC 5965 section 7.3).
pub(super) fn report(parcel: &Parcel<'_>) -> String {
    let content = parcel.content;
    let agent = concat!("takedown/", env!("CARGO_PKG_VERSION"));
    let mut fields = format!("Feedback-Type: other\r\nUser-Agent: {agent}\r\nVersion: 1\r\n");
    let host = content.url.host();
    let named = host.domain().map(|name| name.reveal().to_owned());
    let address = host
        .ip()
        .or_else(|| parcel.place.addresses.first().copied());
    let uri = format!("Reported-URI: {}", content.url.reveal());
    let more = [
        address.map(|ip| format!("Source-IP: {ip}")),
        named.map(|name| format!("Reported-Domain: {name}")),
        (uri.len() <= LINE && uri.is_ascii()).then_some(uri),
    ];
    for field in more.into_iter().flatten() {
        fields.push_str(&field);
        fields.push_str("\r\n");
    }
    fields
}
