//! Which role may call which method: one table, checked against the certificate of each connection.
//!
//! The service that owns a method also checks the credential of the person, partner or provider in the call.
//! A test compares the table with the published services; a method that is not listed cannot be called.

use platform::grpc::{Access, Rule};

const GATEWAY: &[&str] = &["gateway"];
const STAFF: &[&str] = &["console", "operator"];
const OPERATOR: &[&str] = &["operator"];
const EDGE_OR_OPERATOR: &[&str] = &["gateway", "operator"];
const CONSUMERS: &[&str] = &["intake", "verification", "dispatch", "ledger"];
const ANY_ROLE: &[&str] = &[
    "intake",
    "verification",
    "dispatch",
    "ledger",
    "gateway",
    "console",
    "operator",
];

/// Methods by service. `operator` is the command line.
pub const RULES: &[Rule] = &[
    // Reports arrive through the gateway, and in bulk from the command line.
    ("takedown.v1.IntakeService/SubmitReports", EDGE_OR_OPERATOR),
    ("takedown.v1.IntakeService/StreamReports", OPERATOR),
    ("takedown.v1.IntakeService/GetOutcome", EDGE_OR_OPERATOR),
    ("takedown.v1.IntakeService/WithdrawReport", EDGE_OR_OPERATOR),
    ("takedown.v1.IntakeService/FindReports", STAFF),
    ("takedown.v1.IntakeService/CreatePartner", OPERATOR),
    ("takedown.v1.IntakeService/ListPartners", STAFF),
    ("takedown.v1.IntakeService/RevokePartner", OPERATOR),
    ("takedown.v1.IntakeService/GetIntakeCounts", STAFF),
    // Only staff use verification.
    ("takedown.v1.VerificationService/SignIn", STAFF),
    ("takedown.v1.VerificationService/SignOut", STAFF),
    ("takedown.v1.VerificationService/ExchangeSession", STAFF),
    ("takedown.v1.VerificationService/CreateStaff", OPERATOR),
    ("takedown.v1.VerificationService/ListStaff", STAFF),
    ("takedown.v1.VerificationService/RevokeStaff", OPERATOR),
    ("takedown.v1.VerificationService/ListQueue", STAFF),
    ("takedown.v1.VerificationService/ClaimCases", STAFF),
    ("takedown.v1.VerificationService/ReleaseClaim", STAFF),
    ("takedown.v1.VerificationService/DecideCases", STAFF),
    ("takedown.v1.VerificationService/GetAssessment", STAFF),
    ("takedown.v1.VerificationService/RevealUrl", STAFF),
    ("takedown.v1.VerificationService/WithdrawVerdict", STAFF),
    ("takedown.v1.VerificationService/AssessAgain", STAFF),
    ("takedown.v1.VerificationService/HoldCase", STAFF),
    ("takedown.v1.VerificationService/ReleaseHold", STAFF),
    ("takedown.v1.VerificationService/GetWorkload", STAFF),
    ("takedown.v1.VerificationService/ListDisagreements", STAFF),
    ("takedown.v1.VerificationService/ImportHashes", OPERATOR),
    ("takedown.v1.VerificationService/ApproveHashList", STAFF),
    ("takedown.v1.VerificationService/ListHashLists", STAFF),
    ("takedown.v1.VerificationService/ProposeRule", OPERATOR),
    ("takedown.v1.VerificationService/ApproveRule", STAFF),
    ("takedown.v1.VerificationService/RetireRule", STAFF),
    ("takedown.v1.VerificationService/ListRules", STAFF),
    (
        "takedown.v1.VerificationService/GetVerificationCounts",
        STAFF,
    ),
    // The directory is maintained at the command line; keys also by the providers themselves.
    ("takedown.v1.DispatchService/UpsertProviders", OPERATOR),
    ("takedown.v1.DispatchService/ListProviders", STAFF),
    ("takedown.v1.DispatchService/GetProvider", STAFF),
    (
        "takedown.v1.DispatchService/CreateProviderKey",
        EDGE_OR_OPERATOR,
    ),
    (
        "takedown.v1.DispatchService/ListProviderKeys",
        EDGE_OR_OPERATOR,
    ),
    (
        "takedown.v1.DispatchService/RotateProviderKey",
        EDGE_OR_OPERATOR,
    ),
    (
        "takedown.v1.DispatchService/RevokeProviderKey",
        EDGE_OR_OPERATOR,
    ),
    // Providers connect through the gateway only.
    ("takedown.v1.DispatchService/ListNotices", GATEWAY),
    ("takedown.v1.DispatchService/GetNotice", GATEWAY),
    ("takedown.v1.DispatchService/AnswerNotices", GATEWAY),
    ("takedown.v1.DispatchService/VerifyNotice", GATEWAY),
    ("takedown.v1.DispatchService/GetPreferences", GATEWAY),
    ("takedown.v1.DispatchService/SetPreferences", GATEWAY),
    ("takedown.v1.DispatchService/CreateWebhookEndpoint", GATEWAY),
    ("takedown.v1.DispatchService/ListWebhookEndpoints", GATEWAY),
    ("takedown.v1.DispatchService/DeleteWebhookEndpoint", GATEWAY),
    ("takedown.v1.DispatchService/RotateWebhookSecret", GATEWAY),
    ("takedown.v1.DispatchService/TestWebhookEndpoint", GATEWAY),
    ("takedown.v1.DispatchService/ListDeliveries", GATEWAY),
    ("takedown.v1.DispatchService/RedeliverNotices", GATEWAY),
    ("takedown.v1.DispatchService/ViewByLink", GATEWAY),
    ("takedown.v1.DispatchService/AnswerByLink", GATEWAY),
    ("takedown.v1.DispatchService/CheckMailbox", GATEWAY),
    ("takedown.v1.DispatchService/ReceiveMail", GATEWAY),
    (
        "takedown.v1.DispatchService/ListSigningKeys",
        EDGE_OR_OPERATOR,
    ),
    ("takedown.v1.DispatchService/GetCaseDispatch", STAFF),
    ("takedown.v1.DispatchService/SearchNotices", STAFF),
    ("takedown.v1.DispatchService/ListOverdue", STAFF),
    ("takedown.v1.DispatchService/SupplyInformation", STAFF),
    ("takedown.v1.DispatchService/GetDispatchCounts", STAFF),
    ("takedown.v1.LedgerService/GetTimeline", STAFF),
    ("takedown.v1.LedgerService/GetConservation", STAFF),
    // Dispatch puts the newest checkpoint into every notice.
    (
        "takedown.v1.LedgerService/LatestCheckpoint",
        &["dispatch", "console", "operator"],
    ),
    ("takedown.v1.LedgerService/GetInclusionProof", STAFF),
    ("takedown.v1.LedgerService/GetConsistencyProof", STAFF),
    ("takedown.v1.LedgerService/ReadLeaves", OPERATOR),
    ("takedown.v1.LedgerService/ListCheckpoints", STAFF),
    // A consumer reads events that the bus lost; each producer checks that the caller is a registered
    // consumer.
    ("takedown.v1.LogService/ReadLog", CONSUMERS),
    ("takedown.v1.ParkedService/ListParked", STAFF),
    ("grpc.health.v1.Health/Check", ANY_ROLE),
    ("grpc.health.v1.Health/Watch", ANY_ROLE),
    (
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        OPERATOR,
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        OPERATOR,
    ),
];

pub fn table() -> Access {
    Access::new(RULES)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn published() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        set.file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file, service)))
            .flat_map(|(file, service)| {
                let methods = service.method.iter();
                methods.map(move |method| {
                    format!("{}.{}/{}", file.package(), service.name(), method.name())
                })
            })
            .collect()
    }

    #[test]
    fn every_published_method_is_listed_and_no_other() {
        let listed: BTreeSet<String> = RULES
            .iter()
            .map(|(method, _)| (*method).to_owned())
            .filter(|method| method.starts_with("takedown."))
            .collect();
        assert_eq!(listed, published());
        let all: BTreeSet<&str> = RULES.iter().map(|(method, _)| *method).collect();
        assert_eq!(all.len(), RULES.len(), "a method is listed twice");
        for (method, roles) in RULES {
            assert!(!roles.is_empty(), "{method}");
            assert!(roles.iter().all(|role| ANY_ROLE.contains(role)), "{method}");
        }
    }
}
