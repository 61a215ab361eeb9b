//! Generated messages, clients and servers of `takedown.v1`. Services parse them into types of the `domain`
//! crate.
#![allow(
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code"
)]

/// Version 1, the only version.
pub mod v1 {
    tonic::include_proto!("takedown.v1");
    include!(concat!(env!("OUT_DIR"), "/debug_impls.rs"));
}

/// The encoded descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/takedown.bin"));

#[cfg(test)]
mod tests {
    use crate::v1;

    #[test]
    fn debug_never_shows_a_url_a_hash_or_a_young_persons_number() {
        let secret = || "needle".to_owned();
        let report = v1::NewReport {
            external_id: secret(),
            url: secret(),
            hashes: vec![v1::Hash {
                kind: 1,
                value: secret(),
            }],
            ..v1::NewReport::default()
        };
        let facts = v1::ReportRemoveFacts {
            unique_number: secret(),
            ..v1::ReportRemoveFacts::default()
        };
        let by = v1::find_reports_request::By::Url(secret());
        let entry = v1::HashEntry {
            hash: report.hashes.first().cloned(),
            ..v1::HashEntry::default()
        };
        let notice = v1::Notice {
            url: secret(),
            ..v1::Notice::default()
        };
        assert_eq!(format!("{report:?}"), "<NewReport>");
        let shown = format!("{report:#?} {facts:?} {by:?} {entry:?} {notice:?}");
        assert!(!shown.contains("needle"), "{shown}");
        let request = v1::StreamReportsRequest {
            submission: 7,
            request: Some(v1::SubmitReportsRequest {
                reports: vec![report],
                ..v1::SubmitReportsRequest::default()
            }),
        };
        let shown = format!("{request:?}");
        assert!(shown.contains('7') && !shown.contains("needle"), "{shown}");
    }
}
