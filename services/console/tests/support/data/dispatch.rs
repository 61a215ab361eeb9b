//! Dispatch's answers about cases, notices and providers.

use proto::v1;
use proto::v1::{Category, ContentStatus, DeliveryChannel, NoticeState, ProviderRole, Rung};

use super::{at, count, notice, seconds};
use crate::support::FakeServices;

pub fn set_handlers(services: &FakeServices) {
    services.on(
        "DispatchService/GetCaseDispatch",
        |_: v1::GetCaseDispatchRequest, _| {
            Ok(v1::GetCaseDispatchResponse {
                content_status: ContentStatus::Online as i32,
                episode: 1,
                category: Category::A as i32,
                dispatched_at: at(3000),
                last_rung: Rung::Remind as i32,
                notices: vec![notice(NoticeState::NeedInformation)],
                ..Default::default()
            })
        },
    );
    services.on(
        "DispatchService/SearchNotices",
        |_: v1::SearchNoticesRequest, _| {
            Ok(v1::SearchNoticesResponse {
                notices: vec![notice(NoticeState::Delivered)],
                next_page_token: String::new(),
            })
        },
    );
    services.on(
        "DispatchService/SupplyInformation",
        |_: v1::SupplyInformationRequest, _| {
            Ok(v1::SupplyInformationResponse {
                state: NoticeState::Delivered as i32,
            })
        },
    );
    services.on(
        "DispatchService/ListOverdue",
        |_: v1::ListOverdueRequest, _| {
            Ok(v1::ListOverdueResponse {
                overdue: vec![v1::OverdueNotice {
                    notice: Some(notice(NoticeState::Delivered)),
                    deadline: v1::DeadlineKind::Acknowledge.into(),
                    overdue_since: at(75),
                    next_rung: Rung::Upstream as i32,
                    next_rung_at: at(-300),
                }],
                next_page_token: String::new(),
                total: 37,
            })
        },
    );
    let summary = || v1::ProviderSummary {
        provider: Some(v1::Provider {
            provider_id: "amber-host".into(),
            role: ProviderRole::Host as i32,
            country: "NL".into(),
            asn: 64_500,
            cidrs: vec!["192.0.2.0/24".into()],
            domains: vec!["host.example".into()],
            upstream: "basalt-transit".into(),
            channel: DeliveryChannel::Webhook as i32,
            ..Default::default()
        }),
        notices_open: 12,
        notices_overdue: 3,
        notices_total: 412,
        contact_health: 83,
    };
    services.on(
        "DispatchService/ListProviders",
        move |_: v1::ListProvidersRequest, _| {
            Ok(v1::ListProvidersResponse {
                providers: vec![summary()],
                next_page_token: String::new(),
            })
        },
    );
    services.on(
        "DispatchService/GetProvider",
        move |_: v1::GetProviderRequest, _| {
            Ok(v1::GetProviderResponse {
                summary: Some(summary()),
                clocks: ["delivered", "acknowledged"]
                    .map(|clock| v1::ClockFigure {
                        clock: clock.into(),
                        p50: Some(seconds(0.3)),
                        p99: Some(seconds(8.0)),
                        count: 400,
                    })
                    .to_vec(),
                by_state: vec![
                    count("delivered", 9),
                    count("disputed", 2),
                    count("withdrawn", 1),
                ],
                false_claims: 4,
                scorecard: Some(v1::Scorecard {
                    answered: Some(v1::Punctuality {
                        in_time: 300,
                        late: 100,
                        allowed: Some(seconds(3600.0)),
                    }),
                    removed: Some(v1::Punctuality {
                        in_time: 200,
                        late: 50,
                        allowed: Some(seconds(86_400.0)),
                    }),
                    our_clocks: vec![v1::ClockFigure {
                        clock: "dispatched".into(),
                        p50: Some(seconds(0.9)),
                        p99: Some(seconds(4.0)),
                        count: 380,
                    }],
                    retracted: 4,
                    retracted_disputed: 3,
                    disputes_open: 2,
                    disputes_refused: 7,
                }),
            })
        },
    );
}
