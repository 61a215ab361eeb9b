//! Invalid requests of each RPC, with the expected status and error code.

mod support;

use platform::error::Problem;
use platform::principal::Role;
use proto::v1;
use proto::v1::get_inclusion_proof_request::Target;
use support::{TestLedger, bearer};
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// Adds a credential to a request, or none.
type Credential<'a> = &'a dyn Fn(Request<()>) -> Request<()>;

/// A request of one RPC.
#[derive(Clone)]
enum LedgerCall {
    Timeline(v1::GetTimelineRequest),
    Conservation,
    Inclusion(v1::GetInclusionProofRequest),
    Consistency(v1::GetConsistencyProofRequest),
    Leaves(v1::ReadLeavesRequest),
    Checkpoints(v1::ListCheckpointsRequest),
}

impl LedgerCall {
    async fn send(self, ledger: &TestLedger, credential: Credential<'_>) -> Status {
        let mut client = ledger.client.clone();
        let credentials = credential(Request::new(()));
        macro_rules! with {
            ($message:expr) => {{
                let mut request = Request::new($message);
                *request.metadata_mut() = credentials.metadata().clone();
                request
            }};
        }
        let error = match self {
            Self::Timeline(m) => client.get_timeline(with!(m)).await.err(),
            Self::Conservation => {
                let message = v1::GetConservationRequest {};
                client.get_conservation(with!(message)).await.err()
            }
            Self::Inclusion(m) => client.get_inclusion_proof(with!(m)).await.err(),
            Self::Consistency(m) => client.get_consistency_proof(with!(m)).await.err(),
            Self::Leaves(m) => client.read_leaves(with!(m)).await.err(),
            Self::Checkpoints(m) => client.list_checkpoints(with!(m)).await.err(),
        };
        error.unwrap_or_else(|| Status::ok(""))
    }
}

fn timeline(case_id: &str) -> LedgerCall {
    LedgerCall::Timeline(v1::GetTimelineRequest {
        case_id: case_id.into(),
    })
}

fn inclusion(target: Option<Target>, tree_size: u64) -> LedgerCall {
    LedgerCall::Inclusion(v1::GetInclusionProofRequest { target, tree_size })
}

fn consistency(from_size: u64, to_size: u64) -> LedgerCall {
    LedgerCall::Consistency(v1::GetConsistencyProofRequest { from_size, to_size })
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_a_code_and_the_field() {
    let ledger = TestLedger::start().await;
    ledger.report(Uuid::now_v7()).await;
    ledger.report(Uuid::now_v7()).await;
    ledger.wait_for_checkpoint(2).await;
    let unknown = Uuid::from_u128(1).to_string();
    let huge = "9".repeat(100_000);
    let over = u64::MAX;
    let event = |id: &str| Some(Target::EventId(id.into()));
    let invalid = Code::InvalidArgument;
    let table = [
        (timeline(""), invalid, "field_missing", "case_id"),
        (timeline("not a uuid"), invalid, "id_malformed", "case_id"),
        (timeline(&huge), invalid, "id_malformed", "case_id"),
        (timeline("a\0b"), invalid, "id_malformed", "case_id"),
        (timeline(&unknown), Code::NotFound, "not_found", ""),
        (inclusion(None, 0), invalid, "field_missing", "target"),
        (
            inclusion(event(""), 0),
            invalid,
            "field_missing",
            "event_id",
        ),
        (
            inclusion(event("x"), 0),
            invalid,
            "id_malformed",
            "event_id",
        ),
        (
            inclusion(event(&huge), 0),
            invalid,
            "id_malformed",
            "event_id",
        ),
        (
            inclusion(event(&unknown), 0),
            Code::NotFound,
            "not_found",
            "",
        ),
        (
            inclusion(Some(Target::LeafIndex(2)), 0),
            Code::NotFound,
            "not_found",
            "",
        ),
        (
            inclusion(Some(Target::LeafIndex(over)), 0),
            invalid,
            "number_too_large",
            "leaf_index",
        ),
        (
            inclusion(Some(Target::LeafIndex(0)), over),
            invalid,
            "number_too_large",
            "tree_size",
        ),
        (
            inclusion(Some(Target::LeafIndex(0)), 3),
            Code::FailedPrecondition,
            "tree_too_small",
            "tree_size",
        ),
        (
            inclusion(Some(Target::LeafIndex(1)), 1),
            Code::FailedPrecondition,
            "tree_too_small",
            "tree_size",
        ),
        (
            consistency(0, 0),
            invalid,
            "sizes_out_of_order",
            "from_size",
        ),
        (
            consistency(0, 2),
            invalid,
            "sizes_out_of_order",
            "from_size",
        ),
        (
            consistency(2, 1),
            invalid,
            "sizes_out_of_order",
            "from_size",
        ),
        (
            consistency(1, 3),
            Code::FailedPrecondition,
            "tree_too_small",
            "to_size",
        ),
        (consistency(1, over), invalid, "number_too_large", "to_size"),
        (
            LedgerCall::Leaves(v1::ReadLeavesRequest { from_index: over }),
            invalid,
            "number_too_large",
            "from_index",
        ),
        (
            LedgerCall::Checkpoints(v1::ListCheckpointsRequest { from_size: over }),
            invalid,
            "number_too_large",
            "from_size",
        ),
        // Valid requests, one of them repeated: reading changes nothing.
        (consistency(1, 2), Code::Ok, "", ""),
        (consistency(1, 2), Code::Ok, "", ""),
        (inclusion(Some(Target::LeafIndex(1)), 0), Code::Ok, "", ""),
        (
            LedgerCall::Leaves(v1::ReadLeavesRequest { from_index: 99 }),
            Code::Ok,
            "",
            "",
        ),
        (
            LedgerCall::Checkpoints(v1::ListCheckpointsRequest { from_size: 99 }),
            Code::Ok,
            "",
            "",
        ),
    ];
    for (n, (call, kind, code, field)) in table.into_iter().enumerate() {
        let status = call.send(&ledger, &|_| ledger.as_auditor(())).await;
        assert_eq!(status.code(), kind, "row {n}: {status:?}");
        if kind != Code::Ok {
            let problem = Problem::from(status);
            assert_eq!(problem.code, code, "row {n}");
            assert_eq!(problem.field.unwrap_or_default(), field, "row {n}");
        }
    }
}

#[tokio::test]
async fn staff_of_any_role_may_read_and_only_the_checkpoint_is_public() {
    let ledger = TestLedger::start().await;
    let case = Uuid::now_v7();
    ledger.report(case).await;
    ledger.wait_for_checkpoint(1).await;
    let calls = [
        timeline(&case.to_string()),
        LedgerCall::Conservation,
        inclusion(Some(Target::LeafIndex(0)), 0),
        consistency(1, 1),
        LedgerCall::Leaves(v1::ReadLeavesRequest { from_index: 0 }),
        LedgerCall::Checkpoints(v1::ListCheckpointsRequest { from_size: 0 }),
    ];
    for (n, call) in calls.into_iter().enumerate() {
        for role in Role::ALL {
            let credential = |_: Request<()>| ledger.as_staff(&[role], ());
            let status = call.clone().send(&ledger, &credential).await;
            assert_eq!(status.code(), Code::Ok, "call {n} as {role}");
        }
        let none: Credential<'_> = &|request| request;
        let garbage: Credential<'_> = &|_| bearer("garbage", ());
        let other_audience: Credential<'_> =
            &|_| ledger.with_token(&[Role::Auditor], "dispatch", ());
        let expired: Credential<'_> = &|_| ledger.with_expired_token((), 1);
        let without_role: Credential<'_> = &|_| ledger.as_staff(&[], ());
        for (credential, kind, code) in [
            (none, Code::Unauthenticated, "credential_missing"),
            (garbage, Code::Unauthenticated, "token_malformed"),
            (
                other_audience,
                Code::Unauthenticated,
                "token_other_audience",
            ),
            (expired, Code::Unauthenticated, "token_expired"),
            (without_role, Code::PermissionDenied, "role_required"),
        ] {
            let status = call.clone().send(&ledger, credential).await;
            assert_eq!(status.code(), kind, "call {n}");
            assert_eq!(Problem::from(status).code, code, "call {n}");
        }
    }
    let latest = ledger.latest().await;
    assert_eq!(latest.unwrap().size, 1);
}

#[tokio::test]
async fn an_empty_ledger_has_no_checkpoint_and_nothing_lost() {
    let ledger = TestLedger::start().await;
    let latest = ledger.latest().await;
    assert_eq!(latest, None);
    let conservation = ledger.wait_for_events(0).await;
    let (accepted, cases) = (conservation.accepted, conservation.cases);
    assert_eq!((accepted, cases, conservation.lost), (0, 0, 0));
    assert!(ledger.verify().await.is_sound());
}
