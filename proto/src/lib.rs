//! Generated messages, clients and servers of `takedown.v1`. Nothing by hand; domain types are parsed from these at the edges.
#![allow(
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code"
)]

/// The one version of the wire format.
pub mod v1 {
    tonic::include_proto!("takedown.v1");
    include!(concat!(env!("OUT_DIR"), "/hidden.rs"));
}

/// The compiled descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/takedown.bin"));

#[cfg(test)]
mod tests {
    use crate::v1;

    #[test]
    fn what_carries_an_address_a_hash_or_a_childs_number_does_not_show_it() {
        let secret = || "needle".to_owned();
        let item = v1::ReportItem {
            external_id: secret(),
            url: secret(),
            hashes: vec![v1::Hash {
                kind: 1,
                value: secret(),
            }],
            ..v1::ReportItem::default()
        };
        let facts = v1::ReportRemoveFacts {
            unique_number: secret(),
            ..v1::ReportRemoveFacts::default()
        };
        let by = v1::find_reports_request::By::Url(secret());
        let entry = v1::HashEntry {
            hash: item.hashes.first().cloned(),
            ..v1::HashEntry::default()
        };
        let notice = v1::Notice {
            url: secret(),
            ..v1::Notice::default()
        };
        assert_eq!(format!("{item:?}"), "<ReportItem>");
        let shown = format!("{item:#?} {facts:?} {by:?} {entry:?} {notice:?}");
        assert!(!shown.contains("needle"), "{shown}");
        let request = v1::StreamReportsRequest {
            submission: 7,
            request: Some(v1::SubmitReportsRequest {
                items: vec![item],
                ..v1::SubmitReportsRequest::default()
            }),
        };
        let shown = format!("{request:?}");
        assert!(shown.contains('7') && !shown.contains("needle"), "{shown}");
    }
}
