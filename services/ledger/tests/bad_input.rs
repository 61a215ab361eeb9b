//! What each call refuses: the code and the kind of the answer, for whatever is missing, malformed, unknown, out of
//! order or not allowed.

mod support;

use platform::error::Problem;
use platform::principal::Role;
use proto::v1;
use proto::v1::get_inclusion_proof_request::Of;
use support::{World, bearer};
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// Puts a credential on a request, or none.
type Dress<'a> = &'a dyn Fn(Request<()>) -> Request<()>;

#[derive(Clone)]
enum Call {
    Timeline(v1::GetTimelineRequest),
    Conservation,
    Inclusion(v1::GetInclusionProofRequest),
    Consistency(v1::GetConsistencyProofRequest),
    Leaves(v1::ReadLeavesRequest),
    Checkpoints(v1::ListCheckpointsRequest),
}

impl Call {
    async fn send(self, world: &World, dress: Dress<'_>) -> Status {
        let mut client = world.client.clone();
        let dressed = dress(Request::new(()));
        macro_rules! with {
            ($message:expr) => {{
                let mut request = Request::new($message);
                *request.metadata_mut() = dressed.metadata().clone();
                request
            }};
        }
        let refused = match self {
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
        refused.unwrap_or_else(|| Status::ok(""))
    }
}

fn timeline(case_id: &str) -> Call {
    Call::Timeline(v1::GetTimelineRequest {
        case_id: case_id.into(),
    })
}

fn inclusion(of: Option<Of>, tree_size: u64) -> Call {
    Call::Inclusion(v1::GetInclusionProofRequest { of, tree_size })
}

fn consistency(from_size: u64, to_size: u64) -> Call {
    Call::Consistency(v1::GetConsistencyProofRequest { from_size, to_size })
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let world = World::start().await;
    world.report(Uuid::now_v7()).await;
    world.report(Uuid::now_v7()).await;
    world.until_signed(2).await;
    let unknown = Uuid::from_u128(1).to_string();
    let huge = "9".repeat(100_000);
    let over = u64::MAX;
    let event = |id: &str| Some(Of::EventId(id.into()));
    let invalid = Code::InvalidArgument;
    let table = [
        (timeline(""), invalid, "field_missing", "case_id"),
        (timeline("not a uuid"), invalid, "id_malformed", "case_id"),
        (timeline(&huge), invalid, "id_malformed", "case_id"),
        (timeline("a\0b"), invalid, "id_malformed", "case_id"),
        (timeline(&unknown), Code::NotFound, "not_found", ""),
        (inclusion(None, 0), invalid, "field_missing", "of"),
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
            inclusion(Some(Of::LeafIndex(2)), 0),
            Code::NotFound,
            "not_found",
            "",
        ),
        (
            inclusion(Some(Of::LeafIndex(over)), 0),
            invalid,
            "number_too_large",
            "leaf_index",
        ),
        (
            inclusion(Some(Of::LeafIndex(0)), over),
            invalid,
            "number_too_large",
            "tree_size",
        ),
        (
            inclusion(Some(Of::LeafIndex(0)), 3),
            Code::FailedPrecondition,
            "tree_too_small",
            "tree_size",
        ),
        (
            inclusion(Some(Of::LeafIndex(1)), 1),
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
            Call::Leaves(v1::ReadLeavesRequest { from_index: over }),
            invalid,
            "number_too_large",
            "from_index",
        ),
        (
            Call::Checkpoints(v1::ListCheckpointsRequest { from_size: over }),
            invalid,
            "number_too_large",
            "from_size",
        ),
        // The same again is the same answer: nothing here is changed by asking.
        (consistency(1, 2), Code::Ok, "", ""),
        (consistency(1, 2), Code::Ok, "", ""),
        (inclusion(Some(Of::LeafIndex(1)), 0), Code::Ok, "", ""),
        (
            Call::Leaves(v1::ReadLeavesRequest { from_index: 99 }),
            Code::Ok,
            "",
            "",
        ),
        (
            Call::Checkpoints(v1::ListCheckpointsRequest { from_size: 99 }),
            Code::Ok,
            "",
            "",
        ),
    ];
    for (n, (call, kind, code, field)) in table.into_iter().enumerate() {
        let status = call.send(&world, &|_| world.as_auditor(())).await;
        assert_eq!(status.code(), kind, "row {n}: {status:?}");
        if kind != Code::Ok {
            let problem = Problem::from(status);
            assert_eq!(problem.code, code, "row {n}");
            assert_eq!(problem.field.unwrap_or_default(), field, "row {n}");
        }
    }
}

#[tokio::test]
async fn staff_of_any_role_may_read_and_nobody_else_but_the_checkpoint() {
    let world = World::start().await;
    let case = Uuid::now_v7();
    world.report(case).await;
    world.until_signed(1).await;
    let calls = [
        timeline(&case.to_string()),
        Call::Conservation,
        inclusion(Some(Of::LeafIndex(0)), 0),
        consistency(1, 1),
        Call::Leaves(v1::ReadLeavesRequest { from_index: 0 }),
        Call::Checkpoints(v1::ListCheckpointsRequest { from_size: 0 }),
    ];
    for (n, call) in calls.into_iter().enumerate() {
        for role in Role::ALL {
            let dress = |_: Request<()>| world.as_staff(&[role], ());
            let status = call.clone().send(&world, &dress).await;
            assert_eq!(status.code(), Code::Ok, "call {n} as {role}");
        }
        let none: Dress<'_> = &|request| request;
        let garbage: Dress<'_> = &|_| bearer("garbage", ());
        let elsewhere: Dress<'_> = &|_| world.with_token(&[Role::Auditor], "dispatch", ());
        let expired: Dress<'_> = &|_| world.with_expired_token((), 1);
        let roleless: Dress<'_> = &|_| world.as_staff(&[], ());
        for (dress, kind, code) in [
            (none, Code::Unauthenticated, "credential_missing"),
            (garbage, Code::Unauthenticated, "token_malformed"),
            (elsewhere, Code::Unauthenticated, "token_other_audience"),
            (expired, Code::Unauthenticated, "token_expired"),
            (roleless, Code::PermissionDenied, "role_required"),
        ] {
            let status = call.clone().send(&world, dress).await;
            assert_eq!(status.code(), kind, "call {n}");
            assert_eq!(Problem::from(status).code, code, "call {n}");
        }
    }
    let latest = world.latest().await;
    assert_eq!(latest.unwrap().size, 1);
}

#[tokio::test]
async fn an_empty_ledger_has_no_checkpoint_and_nothing_lost() {
    let world = World::start().await;
    let latest = world.latest().await;
    assert_eq!(latest, None);
    let heard = world.until_heard(0).await;
    assert_eq!((heard.accepted, heard.cases, heard.lost), (0, 0, 0));
    assert!(world.verify().await.is_sound());
}
