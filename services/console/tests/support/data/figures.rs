//! The counts of all services.

use proto::v1;
use proto::v1::{DeliveryChannel, Rung};

use super::{count, seconds};
use crate::support::FakeServices;

pub fn stage(stage: &str, reports: u64, cases: u64) -> v1::ConservationStage {
    v1::ConservationStage {
        stage: stage.into(),
        reports,
        cases,
    }
}

fn gauge(name: &str, label: &str, value: f64) -> v1::GaugeReading {
    v1::GaugeReading {
        name: name.into(),
        label: label.into(),
        value,
    }
}

pub fn set_handlers(services: &FakeServices) {
    services.on(
        "IntakeService/GetIntakeCounts",
        |_: v1::GetIntakeCountsRequest, _| {
            Ok(v1::GetIntakeCountsResponse {
                accepted: 12_345,
                cases: 9876,
                by_outcome: vec![
                    count("received", 45),
                    count("being_removed", 300),
                    count("removed", 12_000),
                ],
                gauges: vec![gauge("takedown.intake.silence", "reports", 25_000.0)],
            })
        },
    );
    services.on(
        "VerificationService/GetVerificationCounts",
        |_: v1::GetVerificationCountsRequest, token| {
            assert_eq!(token, Some("token-for-verification"));
            Ok(v1::GetVerificationCountsResponse {
                by_state: vec![
                    count("queued", 40),
                    count("awaiting_second_opinion", 5),
                    count("actionable", 9000),
                    count("not_actionable", 831),
                ],
                cases: 9876,
                decided_by: vec![
                    count("analyst", 2000),
                    count("list", 7000),
                    count("rule", 831),
                ],
                waiting: Some(count("waiting", 45)),
                standing: Some(count("standing", 9000)),
                gauges: vec![gauge("takedown.bus.parked", "intake", 2.0)],
            })
        },
    );
    services.on(
        "DispatchService/GetDispatchCounts",
        |_: v1::GetDispatchCountsRequest, token| {
            assert_eq!(token, Some("token-for-dispatch"));
            let clock = |clock: &str, p50, p99| v1::ClockFigure {
                clock: clock.into(),
                p50: Some(seconds(p50)),
                p99: Some(seconds(p99)),
                count: 9000,
            };
            Ok(v1::GetDispatchCountsResponse {
                by_content_status: vec![
                    count("online", 600),
                    count("watched", 8300),
                    count("exhausted", 12),
                ],
                cases: 9000,
                by_notice_state: vec![
                    count("delivered", 412),
                    count("acknowledged", 200),
                    count("disputed", 9),
                    count("watched", 8300),
                ],
                notices_by_channel: vec![v1::ChannelCount {
                    channel: DeliveryChannel::Webhook as i32,
                    notices: 5000,
                }],
                escalated_by_rung: vec![v1::RungCount {
                    rung: Rung::Regulator as i32,
                    cases: 12,
                }],
                notices: 9321,
                delivered: 9300,
                acknowledged: 8800,
                confirmed_removed: 8300,
                false_claims: 31,
                moved: 14,
                reappeared: 6,
                attempts: 10_402,
                overdue: 37,
                unsettled: 621,
                clocks: vec![
                    clock("dispatched", 0.21, 1.9),
                    clock("delivered", 0.4, 6.0),
                    clock("confirmed_removed", 4200.0, 90_000.0),
                ],
                gauges: vec![
                    gauge("takedown.dispatch.message.overdue", "email", 12.0),
                    gauge("takedown.dispatch.message.overdue", "webhook", 0.0),
                ],
            })
        },
    );
    services.on(
        "LedgerService/GetConservation",
        |_: v1::GetConservationRequest, _| {
            Ok(v1::GetConservationResponse {
                accepted: 12_345,
                cases: 9876,
                stages: vec![stage("received", 45, 40), stage("removed", 12_300, 9836)],
                lost: 0,
                events: 70_001,
                gauges: Vec::new(),
            })
        },
    );
}
