//! What the services of a test answer: one of everything, with text that would run as a script if it were not escaped.

use proto::v1;
use proto::v1::{
    AssessmentState, Category, DeliveryChannel, Media, NoticeState, Outcome, ReportChannel, Rung,
    StaffRole,
};

use super::FakeServices;

mod dispatch;
pub mod figures;
mod verification;

pub const PASSWORD: &str = "correct horse battery";
pub const SESSION: &str = "opaque-session-of-sam";
pub const SUBJECT: &str = "018f0000-0000-7000-8000-00000000000a";
pub const WAITING: &str = "018f0000-0000-7000-8000-000000000001";
pub const CLAIMED: &str = "018f0000-0000-7000-8000-000000000002";
pub const CLAIM: &str = "018f0000-0000-4000-8000-0000000000cc";
pub const NOTICE: &str = "018f0000-0000-4000-8000-0000000000dd";
pub const URL: &str = "https://images.host.example/secret-path";
pub const HOSTILE: &str = "<script>alert(1)</script>";

/// A time in the past, or in the future for a negative number.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every field that takes it is optional on the wire"
)]
pub fn at(seconds_ago: i64) -> Option<prost_types::Timestamp> {
    let now = platform::clock::wall();
    Some(domain::wire::timestamp(
        now - time::Duration::seconds(seconds_ago),
    ))
}

pub fn staff() -> v1::Staff {
    v1::Staff {
        subject: SUBJECT.into(),
        name: "sam".into(),
        roles: vec![StaffRole::Analyst as i32, StaffRole::Supervisor as i32],
        ..Default::default()
    }
}

pub fn assessment(case: &str, state: AssessmentState) -> v1::Assessment {
    v1::Assessment {
        case_id: case.into(),
        state: state as i32,
        priority: 70,
        reports: 3,
        self_reported: true,
        media: Media::Image as i32,
        received_at: at(4000),
        masked_url: "hxxps://images[.]host[.]example/…".into(),
        version: 7,
        waits_for: match state {
            AssessmentState::Queued => v1::AwaitedRole::Analyst.into(),
            _ => 0,
        },
        ..Default::default()
    }
}

fn claimed_assessment() -> v1::Assessment {
    v1::Assessment {
        claimed_by: SUBJECT.into(),
        claimed_until: at(-600),
        hash_kinds: vec![v1::HashKind::Sha256 as i32, v1::HashKind::Pdq as i32],
        ..assessment(CLAIMED, AssessmentState::Claimed)
    }
}

/// The claimed case is under review for this reason, a `ReviewReason`; with 0 it waits for its first verdict.
pub fn under_review(services: &FakeServices, reason: i32) {
    let assessment = move || v1::Assessment {
        review: reason,
        ..claimed_assessment()
    };
    services.on(
        "VerificationService/GetAssessment",
        move |_: v1::GetAssessmentRequest, _| {
            Ok(v1::GetAssessmentResponse {
                assessment: Some(assessment()),
            })
        },
    );
    services.on(
        "VerificationService/ClaimCases",
        move |_: v1::ClaimCasesRequest, _| {
            Ok(v1::ClaimCasesResponse {
                claimed: vec![v1::ClaimedCase {
                    assessment: Some(assessment()),
                    claim_token: CLAIM.into(),
                }],
            })
        },
    );
}

pub fn notice(state: NoticeState) -> v1::NoticeSummary {
    v1::NoticeSummary {
        notice_id: NOTICE.into(),
        case_id: WAITING.into(),
        provider_id: "amber-host".into(),
        episode: 1,
        step: 1,
        rung: Rung::Host as i32,
        state: state as i32,
        channel: DeliveryChannel::Webhook as i32,
        category: Category::A as i32,
        attempts: 2,
        dispatched_at: at(3000),
        delivered_at: at(2999),
        due_at: at(60),
        text: format!("Which of the two? {HOSTILE}"),
        ..Default::default()
    }
}

fn count(stage: &str, count: u64) -> v1::StageCount {
    v1::StageCount {
        stage: stage.into(),
        count,
        oldest: at(125),
    }
}

/// Every service responds.
pub fn set_all_handlers(services: &FakeServices) {
    verification::set_session_handlers(services);
    verification::set_case_handlers(services);
    figures::set_handlers(services);
    dispatch::set_handlers(services);
    services.on(
        "IntakeService/FindReports",
        |q: v1::FindReportsRequest, _| {
            use v1::find_reports_request::By;
            let case = match q.by {
                Some(By::CaseId(case)) if case == WAITING || case == CLAIMED => Some(case),
                Some(By::ExternalId(id)) if id == "their-1" => Some(WAITING.to_owned()),
                Some(By::Url(url)) if url == URL => Some(WAITING.to_owned()),
                _ => None,
            };
            let report = |case_id| v1::ReportSummary {
                report_id: NOTICE.into(),
                case_id,
                channel: ReportChannel::PartnerHotline as i32,
                partner: "Hotline <b>".into(),
                external_id: "their-1".into(),
                media: Media::Image as i32,
                outcome: Outcome::BeingRemoved as i32,
                received_at: at(4000),
                accepted_at: at(3990),
            };
            Ok(v1::FindReportsResponse {
                reports: case.map(report).into_iter().collect(),
            })
        },
    );
    services.on(
        "LedgerService/GetTimeline",
        |_: v1::GetTimelineRequest, _| {
            let entry = |kind: &str, producer: &str, ago, summary: &str| v1::TimelineEntry {
                r#type: kind.into(),
                producer: producer.into(),
                occurred_at: at(ago),
                summary: summary.into(),
                leaf_index: 12,
                ..Default::default()
            };
            Ok(v1::GetTimelineResponse {
                entries: vec![
                    entry(
                        "ReportReceived",
                        "intake",
                        4000,
                        "first report, opened the case",
                    ),
                    entry(
                        "CaseActionable",
                        "verification",
                        3500,
                        "category A, by analyst",
                    ),
                    entry("NoticeDelivered", "dispatch", 2999, HOSTILE),
                ],
                truncated: false,
            })
        },
    );
}

/// A duration of this many seconds.
fn seconds(length: f64) -> prost_types::Duration {
    domain::wire::duration(time::Duration::seconds_f64(length))
}
