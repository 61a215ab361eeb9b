//! Verification's answers: sessions, the queue, lists and rules.

use proto::v1;
use proto::v1::{AssessmentState, Category};
use tonic::Status;

use super::{
    CLAIM, CLAIMED, HOSTILE, NOTICE, PASSWORD, SESSION, SUBJECT, URL, WAITING, assessment, at,
    claimed_assessment, staff,
};
use crate::support::FakeServices;

pub fn set_session_handlers(services: &FakeServices) {
    services.on("VerificationService/SignIn", |q: v1::SignInRequest, _| {
        if q.name == "sam" && q.password == PASSWORD {
            return Ok(v1::SignInResponse {
                session: SESSION.into(),
                staff: Some(staff()),
                expires_at: at(-3600),
            });
        }
        let problem = platform::error::Problem::new(
            platform::error::Kind::Unauthenticated,
            "sign_in_refused",
            "Name and password do not match; try again.",
        );
        Err(problem.into())
    });
    services.on(
        "VerificationService/ExchangeSession",
        |q: v1::ExchangeSessionRequest, _| {
            if q.session != SESSION {
                return Err(Status::unauthenticated("no"));
            }
            Ok(v1::ExchangeSessionResponse {
                token: format!("token-for-{}", q.audience),
                expires_at: at(-60),
                staff: Some(staff()),
            })
        },
    );
    services.on("VerificationService/SignOut", |_: v1::SignOutRequest, _| {
        Ok(v1::SignOutResponse {})
    });
    services.on(
        "VerificationService/ListStaff",
        |_: v1::ListStaffRequest, _| {
            Ok(v1::ListStaffResponse {
                staff: vec![staff()],
            })
        },
    );
}

pub fn set_case_handlers(services: &FakeServices) {
    services.on(
        "VerificationService/ListQueue",
        |_: v1::ListQueueRequest, _| {
            Ok(v1::ListQueueResponse {
                cases: vec![
                    claimed_assessment(),
                    assessment(WAITING, AssessmentState::Queued),
                ],
                next_page_token: "a b&c".into(),
                waiting: 1234,
            })
        },
    );
    services.on(
        "VerificationService/GetAssessment",
        |q: v1::GetAssessmentRequest, _| {
            let assessment = match q.case_id.as_str() {
                CLAIMED => claimed_assessment(),
                WAITING => assessment(WAITING, AssessmentState::Queued),
                _ => return Err(Status::not_found("no")),
            };
            Ok(v1::GetAssessmentResponse {
                assessment: Some(assessment),
            })
        },
    );
    services.on(
        "VerificationService/ClaimCases",
        |_: v1::ClaimCasesRequest, _| {
            Ok(v1::ClaimCasesResponse {
                claimed: vec![v1::ClaimedCase {
                    assessment: Some(claimed_assessment()),
                    claim_token: CLAIM.into(),
                }],
            })
        },
    );
    services.on(
        "VerificationService/RevealUrl",
        |_: v1::RevealUrlRequest, _| {
            Ok(v1::RevealUrlResponse {
                url: URL.into(),
                used: 3,
                allowed: 200,
            })
        },
    );
    services.on(
        "VerificationService/DecideCases",
        |q: v1::DecideCasesRequest, _| {
            let case_id = q.decisions[0].case_id.clone();
            Ok(v1::DecideCasesResponse {
                results: vec![v1::DecisionResult {
                    result: Some(v1::decision_result::Result::Assessment(assessment(
                        &case_id,
                        AssessmentState::Actionable,
                    ))),
                    case_id,
                }],
            })
        },
    );
    services.on(
        "VerificationService/ReleaseClaim",
        |_: v1::ReleaseClaimRequest, _| Ok(v1::ReleaseClaimResponse {}),
    );
    services.on(
        "VerificationService/WithdrawVerdict",
        |_: v1::WithdrawVerdictRequest, _| Ok(v1::WithdrawVerdictResponse { assessment: None }),
    );
    services.on(
        "VerificationService/HoldCase",
        |_: v1::HoldCaseRequest, _| Ok(v1::HoldCaseResponse { assessment: None }),
    );
    services.on(
        "VerificationService/GetWorkload",
        |_: v1::GetWorkloadRequest, _| {
            let person = |subject: &str, name: &str, reveals| v1::Workload {
                subject: subject.into(),
                name: name.into(),
                roles: vec![v1::StaffRole::Analyst as i32],
                claimed: 2,
                claim_ends_at: at(-600),
                verdicts: 31,
                passed_on: 4,
                reveals,
                seen_at: at(90),
            };
            Ok(v1::GetWorkloadResponse {
                people: vec![person(SUBJECT, "sam", 3), person(NOTICE, HOSTILE, 190)],
                since: at(8 * 3600),
                reveals_allowed: 200,
                without_eligible_staff: 1,
            })
        },
    );
    services.on(
        "VerificationService/ListDisagreements",
        |_: v1::ListDisagreementsRequest, _| {
            Ok(v1::ListDisagreementsResponse {
                disagreements: vec![v1::Disagreement {
                    case_id: WAITING.into(),
                    kind: "second".into(),
                    first_by: vec![SUBJECT.into()],
                    first: "A".into(),
                    second_by: NOTICE.into(),
                    second: "not_illegal".into(),
                    at: at(700),
                }],
                next_page_token: "older&x".into(),
                agreement: vec![v1::AgreementCount {
                    kind: "second".into(),
                    agreed: 47,
                    disagreed: 3,
                }],
            })
        },
    );
    services.on(
        "ParkedService/ListParked",
        |_: v1::ListParkedRequest, token| {
            let parked = |producer: &str, kind: &str| v1::ParkedEvent {
                consumer: "dispatch".into(),
                producer: producer.into(),
                case_id: WAITING.into(),
                event_id: NOTICE.into(),
                kind: kind.into(),
                reason: HOSTILE.into(),
                parked_at: at(3700),
            };
            let events = match token {
                Some("token-for-dispatch") => vec![
                    parked("verification", "CaseActionable"),
                    parked("verification", "CaseHeld"),
                ],
                _ => Vec::new(),
            };
            Ok(v1::ListParkedResponse {
                total: events.len() as u64,
                events,
            })
        },
    );
    services.on(
        "VerificationService/ListHashLists",
        |_: v1::ListHashListsRequest, _| {
            Ok(v1::ListHashListsResponse {
                lists: vec![v1::HashList {
                    list: "known".into(),
                    version: 2,
                    entries: 12_000,
                    approved_by: String::new(),
                    imported_by: SUBJECT.into(),
                }],
            })
        },
    );
    services.on(
        "VerificationService/ListRules",
        |_: v1::ListRulesRequest, _| {
            Ok(v1::ListRulesResponse {
                rules: vec![v1::Rule {
                    rule_id: NOTICE.into(),
                    version: 1,
                    host: "only-this.example".into(),
                    path_prefix: "/x".into(),
                    verdict: Some(v1::rule::Verdict::Actionable(Category::B as i32)),
                    reason: HOSTILE.into(),
                    proposed_by: SUBJECT.into(),
                    ..Default::default()
                }],
            })
        },
    );
    services.on(
        "VerificationService/ApproveHashList",
        |_: v1::ApproveHashListRequest, _| Ok(v1::ApproveHashListResponse {}),
    );
}
