//! A backend in place of intake and dispatch: records the calls and answers by fixed rules.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use domain::invalid::optional_text;
use platform::batch::fold::key_reused;
use platform::error::{Kind, Problem};
use prost_types::Timestamp;
use proto::v1;
use proto::v1::dispatch_service_server::DispatchService;
use proto::v1::intake_service_server::IntakeService;
use tokio::sync::Semaphore;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

pub const NOTICE: &str = "0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11";
pub const UNKNOWN: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";
pub const REFERENCE: &str = "7K2QX-M04DZ-9R1TB-EWH5C";
/// 2026-03-01T12:00:00Z
pub const NOON: Timestamp = Timestamp {
    seconds: 1_772_366_400,
    nanos: 0,
};

/// A gRPC call with its message.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordedCall {
    Submit(v1::SubmitReportsRequest),
    Outcome(v1::GetOutcomeRequest),
    Withdraw(v1::WithdrawReportRequest),
    List(v1::ListNoticesRequest),
    Get(v1::GetNoticeRequest),
    Answer(v1::AnswerNoticesRequest),
    Verify(v1::VerifyNoticeRequest),
    ReadPreferences,
    WritePreferences(v1::SetPreferencesRequest),
    View(v1::ViewByLinkRequest),
    AnswerByLink(v1::AnswerByLinkRequest),
    Keys,
    OwnKeys,
    CreateKey(v1::CreateProviderKeyRequest),
    RotateKey(v1::RotateProviderKeyRequest),
    RevokeKey(v1::RevokeProviderKeyRequest),
    Endpoints,
    CreateEndpoint(v1::CreateWebhookEndpointRequest),
    DeleteEndpoint(v1::DeleteWebhookEndpointRequest),
    RotateSecret(v1::RotateWebhookSecretRequest),
    TestEndpoint(v1::TestWebhookEndpointRequest),
    Deliveries(v1::ListDeliveriesRequest),
    Redeliver(v1::RedeliverNoticesRequest),
    Mailbox(String),
    Mail(v1::ReceiveMailRequest),
}

pub struct RecordingBackend {
    calls: Mutex<Vec<(Option<String>, RecordedCall)>>,
    /// The notice behind a link; tests may change it.
    pub notice: Mutex<v1::Notice>,
    /// The last answer to the notice behind a link.
    pub last_answer: Mutex<i32>,
    /// A call for the notice [`BLOCKED`] waits here until a permit is added.
    pub gate: Semaphore,
}

pub const BLOCKED: &str = "11111111-1111-4111-8111-111111111111";

impl Default for RecordingBackend {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            notice: Mutex::new(notice()),
            last_answer: Mutex::default(),
            gate: Semaphore::new(0),
        }
    }
}

impl RecordingBackend {
    fn record<T>(&self, request: Request<T>, call: impl FnOnce(T) -> RecordedCall) {
        let credential = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let call = call(request.into_inner());
        self.calls.lock().unwrap().push((credential, call));
    }

    /// The calls since the last time, each with its credential.
    pub fn take(&self) -> Vec<(Option<String>, RecordedCall)> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The one call since the last time.
    pub fn only(&self) -> (Option<String>, RecordedCall) {
        let mut calls = self.take();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.pop().unwrap()
    }

    pub fn call_count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

pub fn notice() -> v1::Notice {
    v1::Notice {
        notice_id: NOTICE.into(),
        case_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        provider_id: "amber-host".into(),
        episode: 1,
        step: 2,
        sequence: 3,
        state: v1::NoticeState::Delivered.into(),
        rung: v1::Rung::Remind.into(),
        category: v1::Category::B.into(),
        media: v1::Media::Video.into(),
        url: "https://img.amber.example/a/1?x=<b>&y=\"2\"".into(),
        signed: b"{\"format\":1}".to_vec().into(),
        signature: vec![7; 64].into(),
        key_id: "n1".into(),
        issued_at: Some(NOON),
        due_at: Some(Timestamp {
            seconds: NOON.seconds + 86_400,
            nanos: 0,
        }),
        legal_basis: "Online Safety Act 2023, <section> 10".into(),
        message: v1::MessageKind::Notice.into(),
        text: String::new(),
        salt: vec![9; 32].into(),
    }
}

fn own_key() -> v1::ProviderKey {
    v1::ProviderKey {
        key_id: NOTICE.into(),
        scopes: vec![
            v1::ProviderScope::Read.into(),
            v1::ProviderScope::Settings.into(),
        ],
        name: "abuse team".into(),
        created_at: Some(NOON),
        is_current: true,
        ..Default::default()
    }
}

fn endpoint() -> v1::WebhookEndpoint {
    v1::WebhookEndpoint {
        endpoint_id: NOTICE.into(),
        url: "https://hook.amber.example/in".into(),
        in_use: true,
        has_secret: true,
        previous_secret_until: Some(NOON),
        created_at: Some(NOON),
        retired_at: None,
    }
}

fn delivery() -> v1::Delivery {
    v1::Delivery {
        delivery_id: "7".into(),
        message_id: "msg_test_1".into(),
        endpoint_id: NOTICE.into(),
        channel: v1::DeliveryChannel::Webhook.into(),
        attempt: 1,
        at: Some(NOON),
        took: Some(prost_types::Duration {
            seconds: 0,
            nanos: 12_000_000,
        }),
        outcome: "http_5xx".into(),
        http_status: 503,
        ..Default::default()
    }
}

/// Accepts the id [`NOTICE`] only.
fn check_id(id: &str, field: &str) -> Result<(), Status> {
    match id {
        NOTICE => Ok(()),
        UNKNOWN => Err(refused(Kind::NotFound, "not_found", field)),
        _ => Err(refused(Kind::Invalid, "id_malformed", field)),
    }
}

fn problem(code: &str, field: &str) -> v1::ItemProblem {
    v1::ItemProblem {
        code: code.into(),
        detail: "A sentence of the service.".into(),
        field: field.into(),
    }
}

fn refused(kind: Kind, code: &'static str, field: &str) -> Status {
    Problem::new(kind, code, "A sentence of the service.")
        .field(field)
        .into()
}

/// Refuses the key `wrong`.
fn check_key<T>(request: &Request<T>) -> Result<(), Status> {
    match request.metadata().get("authorization") {
        Some(value) if value == "Bearer wrong" => {
            let refusal = Problem::new(Kind::Unauthenticated, "key_invalid", "Not a key of ours.");
            Err(refusal.into())
        }
        _ => Ok(()),
    }
}

/// The result for a link's token.
fn check_link(token: &str) -> Result<(), Status> {
    match token {
        "good" => Ok(()),
        "expired" => Err(refused(Kind::FailedPrecondition, "link_expired", "token")),
        "down" => Err(Status::unavailable("not running")),
        _ => Err(refused(Kind::NotFound, "not_found", "token")),
    }
}

type RpcResult<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl DispatchService for RecordingBackend {
    async fn list_notices(
        &self,
        request: Request<v1::ListNoticesRequest>,
    ) -> RpcResult<v1::ListNoticesResponse> {
        let page_token = request.get_ref().page_token.clone();
        self.record(request, RecordedCall::List);
        if page_token == "13" {
            let refusal = Problem::new(
                Kind::Invalid,
                "page_token_malformed",
                "`page_token` is not ours.",
            );
            return Err(refusal.field("page_token").into());
        }
        // One notice, and none after it.
        let notices = if page_token == "42" {
            Vec::new()
        } else {
            vec![notice()]
        };
        Ok(Response::new(v1::ListNoticesResponse {
            notices,
            next_page_token: "42".into(),
        }))
    }

    async fn get_notice(
        &self,
        request: Request<v1::GetNoticeRequest>,
    ) -> RpcResult<v1::GetNoticeResponse> {
        let id = request.get_ref().notice_id.clone();
        self.record(request, RecordedCall::Get);
        match id.as_str() {
            UNKNOWN => Err(refused(Kind::NotFound, "not_found", "notice_id")),
            BLOCKED => {
                let _gate = self.gate.acquire().await;
                Ok(Response::new(v1::GetNoticeResponse {
                    notice: Some(notice()),
                }))
            }
            _ => Ok(Response::new(v1::GetNoticeResponse {
                notice: Some(notice()),
            })),
        }
    }

    async fn answer_notices(
        &self,
        request: Request<v1::AnswerNoticesRequest>,
    ) -> RpcResult<v1::AnswerNoticesResponse> {
        let body = request.get_ref().clone();
        check_key(&request)?;
        self.record(request, RecordedCall::Answer);
        if body.idempotency_key == "used" {
            return Err(key_reused().into());
        }
        if body.answers.is_empty() && body.body_digest.is_empty() {
            return Err(refused(Kind::Invalid, "field_missing", "answers"));
        }
        let result = |(index, answer): (usize, v1::AnswerItem)| v1::AnswerResult {
            result: Some(if answer.notice_id == UNKNOWN {
                let field = format!("answers[{index}].notice_id");
                v1::answer_result::Result::Problem(problem("not_found", &field))
            } else if answer.answer == v1::Answer::NeedTime as i32 && answer.until.is_none() {
                let field = format!("answers[{index}].until");
                v1::answer_result::Result::Problem(problem("field_missing", &field))
            } else {
                v1::answer_result::Result::State(v1::NoticeState::Acknowledged.into())
            }),
            notice_id: answer.notice_id,
        };
        Ok(Response::new(v1::AnswerNoticesResponse {
            results: body.answers.into_iter().enumerate().map(result).collect(),
        }))
    }

    async fn verify_notice(
        &self,
        request: Request<v1::VerifyNoticeRequest>,
    ) -> RpcResult<v1::VerifyNoticeResponse> {
        self.record(request, RecordedCall::Verify);
        Ok(Response::new(v1::VerifyNoticeResponse {
            authentic: true,
            superseded: true,
            retracted: false,
        }))
    }

    async fn get_preferences(
        &self,
        request: Request<v1::GetPreferencesRequest>,
    ) -> RpcResult<v1::GetPreferencesResponse> {
        self.record(request, |_| RecordedCall::ReadPreferences);
        Ok(Response::new(v1::GetPreferencesResponse {
            preferences: Some(v1::Preferences {
                channel: v1::DeliveryChannel::Api.into(),
                ..Default::default()
            }),
            webhook_public_key: "whpk_x".into(),
        }))
    }

    async fn set_preferences(
        &self,
        request: Request<v1::SetPreferencesRequest>,
    ) -> RpcResult<v1::SetPreferencesResponse> {
        let preferences = request.get_ref().preferences.clone();
        self.record(request, RecordedCall::WritePreferences);
        Ok(Response::new(v1::SetPreferencesResponse {
            preferences,
            webhook_public_key: "whpk_x".into(),
        }))
    }

    async fn view_by_link(
        &self,
        request: Request<v1::ViewByLinkRequest>,
    ) -> RpcResult<v1::ViewByLinkResponse> {
        let token = request.get_ref().token.clone();
        self.record(request, RecordedCall::View);
        check_link(&token)?;
        Ok(Response::new(v1::ViewByLinkResponse {
            notice: Some(self.notice.lock().unwrap().clone()),
            answered: *self.last_answer.lock().unwrap(),
        }))
    }

    async fn answer_by_link(
        &self,
        request: Request<v1::AnswerByLinkRequest>,
    ) -> RpcResult<v1::AnswerByLinkResponse> {
        let body = request.get_ref().clone();
        self.record(request, RecordedCall::AnswerByLink);
        check_link(&body.token)?;
        let answer = body.answer.unwrap();
        optional_text("answer.text", &answer.text, 2000)
            .map_err(|invalid| refused(Kind::Invalid, invalid.code, "answer.text"))?;
        if answer.answer == v1::Answer::NeedTime as i32 && answer.until.is_none() {
            return Err(refused(Kind::Invalid, "field_missing", "answer.until"));
        }
        Ok(Response::new(v1::AnswerByLinkResponse {
            state: v1::NoticeState::RemovalClaimed.into(),
        }))
    }

    async fn list_signing_keys(
        &self,
        request: Request<v1::ListSigningKeysRequest>,
    ) -> RpcResult<v1::ListSigningKeysResponse> {
        self.record(request, |_| RecordedCall::Keys);
        let key = |key_id: &str, purpose: v1::SigningPurpose| v1::SigningKey {
            key_id: key_id.into(),
            public_key: vec![251; 32].into(),
            purpose: purpose.into(),
        };
        Ok(Response::new(v1::ListSigningKeysResponse {
            keys: vec![
                key("n1", v1::SigningPurpose::Notice),
                key("w1", v1::SigningPurpose::Webhook),
            ],
        }))
    }

    async fn check_mailbox(
        &self,
        request: Request<v1::CheckMailboxRequest>,
    ) -> RpcResult<v1::CheckMailboxResponse> {
        let address = request.get_ref().address.clone();
        self.record(request, |request| RecordedCall::Mailbox(request.address));
        if address.starts_with("down") {
            return Err(Problem::from_kind(Kind::Unavailable).into());
        }
        let for_delivery_reports = address.starts_with("b1-");
        if for_delivery_reports || address.starts_with("r1-") {
            Ok(Response::new(v1::CheckMailboxResponse {
                for_delivery_reports,
            }))
        } else {
            Err(refused(Kind::NotFound, "mailbox_unknown", "address"))
        }
    }

    async fn receive_mail(
        &self,
        request: Request<v1::ReceiveMailRequest>,
    ) -> RpcResult<v1::ReceiveMailResponse> {
        let busy = request.get_ref().address.contains("busy");
        self.record(request, RecordedCall::Mail);
        if busy {
            return Err(Problem::from_kind(Kind::Unavailable).into());
        }
        Ok(Response::new(v1::ReceiveMailResponse {}))
    }

    async fn upsert_providers(
        &self,
        _: Request<v1::UpsertProvidersRequest>,
    ) -> RpcResult<v1::UpsertProvidersResponse> {
        Err(not_used())
    }

    async fn list_providers(
        &self,
        _: Request<v1::ListProvidersRequest>,
    ) -> RpcResult<v1::ListProvidersResponse> {
        Err(not_used())
    }

    async fn get_provider(
        &self,
        _: Request<v1::GetProviderRequest>,
    ) -> RpcResult<v1::GetProviderResponse> {
        Err(not_used())
    }

    async fn create_provider_key(
        &self,
        request: Request<v1::CreateProviderKeyRequest>,
    ) -> RpcResult<v1::CreateProviderKeyResponse> {
        self.record(request, RecordedCall::CreateKey);
        Ok(Response::new(v1::CreateProviderKeyResponse {
            key_id: NOTICE.into(),
            key: "tdh_new".into(),
            details: Some(own_key()),
        }))
    }

    async fn list_provider_keys(
        &self,
        request: Request<v1::ListProviderKeysRequest>,
    ) -> RpcResult<v1::ListProviderKeysResponse> {
        self.record(request, |_| RecordedCall::OwnKeys);
        Ok(Response::new(v1::ListProviderKeysResponse {
            keys: vec![own_key()],
        }))
    }

    async fn rotate_provider_key(
        &self,
        request: Request<v1::RotateProviderKeyRequest>,
    ) -> RpcResult<v1::RotateProviderKeyResponse> {
        check_id(&request.get_ref().key_id, "key_id")?;
        let week = 7 * 86_400;
        if request
            .get_ref()
            .overlap
            .is_some_and(|overlap| overlap.seconds > week)
        {
            return Err(refused(Kind::Invalid, "overlap_out_of_range", "overlap"));
        }
        self.record(request, RecordedCall::RotateKey);
        Ok(Response::new(v1::RotateProviderKeyResponse {
            key_id: NOTICE.into(),
            key: "tdh_new".into(),
            details: Some(own_key()),
            previous: Some(own_key()),
        }))
    }

    async fn revoke_provider_key(
        &self,
        request: Request<v1::RevokeProviderKeyRequest>,
    ) -> RpcResult<v1::RevokeProviderKeyResponse> {
        check_id(&request.get_ref().key_id, "key_id")?;
        self.record(request, RecordedCall::RevokeKey);
        Ok(Response::new(v1::RevokeProviderKeyResponse {}))
    }

    async fn create_webhook_endpoint(
        &self,
        request: Request<v1::CreateWebhookEndpointRequest>,
    ) -> RpcResult<v1::CreateWebhookEndpointResponse> {
        self.record(request, RecordedCall::CreateEndpoint);
        Ok(Response::new(v1::CreateWebhookEndpointResponse {
            endpoint: Some(endpoint()),
            secret: "whsec_x".into(),
        }))
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<v1::ListWebhookEndpointsRequest>,
    ) -> RpcResult<v1::ListWebhookEndpointsResponse> {
        self.record(request, |_| RecordedCall::Endpoints);
        Ok(Response::new(v1::ListWebhookEndpointsResponse {
            endpoints: vec![endpoint()],
        }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<v1::DeleteWebhookEndpointRequest>,
    ) -> RpcResult<v1::DeleteWebhookEndpointResponse> {
        check_id(&request.get_ref().endpoint_id, "endpoint_id")?;
        self.record(request, RecordedCall::DeleteEndpoint);
        Ok(Response::new(v1::DeleteWebhookEndpointResponse {}))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<v1::RotateWebhookSecretRequest>,
    ) -> RpcResult<v1::RotateWebhookSecretResponse> {
        check_id(&request.get_ref().endpoint_id, "endpoint_id")?;
        self.record(request, RecordedCall::RotateSecret);
        Ok(Response::new(v1::RotateWebhookSecretResponse {
            endpoint: Some(endpoint()),
            secret: "whsec_y".into(),
        }))
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<v1::TestWebhookEndpointRequest>,
    ) -> RpcResult<v1::TestWebhookEndpointResponse> {
        check_id(&request.get_ref().endpoint_id, "endpoint_id")?;
        self.record(request, RecordedCall::TestEndpoint);
        Ok(Response::new(v1::TestWebhookEndpointResponse {
            delivery: Some(delivery()),
        }))
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> RpcResult<v1::ListDeliveriesResponse> {
        self.record(request, RecordedCall::Deliveries);
        Ok(Response::new(v1::ListDeliveriesResponse {
            deliveries: vec![delivery()],
            next_page_token: String::new(),
        }))
    }

    async fn redeliver_notices(
        &self,
        request: Request<v1::RedeliverNoticesRequest>,
    ) -> RpcResult<v1::RedeliverNoticesResponse> {
        use v1::redelivery_result::Result as ResultProto;
        let notice_ids = request.get_ref().notice_ids.clone();
        self.record(request, RecordedCall::Redeliver);
        if notice_ids.is_empty() {
            return Err(refused(Kind::Invalid, "field_missing", "notice_ids"));
        }
        let results = notice_ids
            .into_iter()
            .enumerate()
            .map(|(index, notice_id)| {
                let result = if notice_id == UNKNOWN {
                    ResultProto::Problem(problem("not_found", &format!("notice_ids[{index}]")))
                } else {
                    ResultProto::Channel(v1::DeliveryChannel::Webhook.into())
                };
                v1::RedeliveryResult {
                    notice_id,
                    result: Some(result),
                }
            });
        Ok(Response::new(v1::RedeliverNoticesResponse {
            results: results.collect(),
        }))
    }

    async fn get_case_dispatch(
        &self,
        _: Request<v1::GetCaseDispatchRequest>,
    ) -> RpcResult<v1::GetCaseDispatchResponse> {
        Err(not_used())
    }

    async fn search_notices(
        &self,
        _: Request<v1::SearchNoticesRequest>,
    ) -> RpcResult<v1::SearchNoticesResponse> {
        Err(not_used())
    }

    async fn list_overdue(
        &self,
        _: Request<v1::ListOverdueRequest>,
    ) -> RpcResult<v1::ListOverdueResponse> {
        Err(not_used())
    }

    async fn supply_information(
        &self,
        _: Request<v1::SupplyInformationRequest>,
    ) -> RpcResult<v1::SupplyInformationResponse> {
        Err(not_used())
    }

    async fn get_dispatch_counts(
        &self,
        _: Request<v1::GetDispatchCountsRequest>,
    ) -> RpcResult<v1::GetDispatchCountsResponse> {
        Err(not_used())
    }
}

/// The gateway never makes the calls that are for staff.
fn not_used() -> Status {
    Status::unimplemented("the gateway never makes this call")
}

#[tonic::async_trait]
impl IntakeService for RecordingBackend {
    type StreamReportsStream =
        Pin<Box<dyn Stream<Item = Result<v1::StreamReportsResponse, Status>> + Send>>;

    async fn submit_reports(
        &self,
        request: Request<v1::SubmitReportsRequest>,
    ) -> RpcResult<v1::SubmitReportsResponse> {
        let body = request.get_ref().clone();
        check_key(&request)?;
        let sees_cases = request.metadata().contains_key("authorization");
        self.record(request, RecordedCall::Submit);
        match body.idempotency_key.as_str() {
            "used" => return Err(key_reused().into()),
            "panic" => panic!("for the test"),
            _ => {}
        }
        let has_url = |prefix: &str| {
            let mut reports = body.reports.iter();
            reports.any(|report| report.url.starts_with(prefix))
        };
        if has_url("quota") && !has_url("http") {
            let quota = Problem::new(Kind::Exhausted, "quota_exceeded", "Send it again tomorrow.");
            return Err(quota.retry_after(Duration::from_hours(1)).into());
        }
        let result = |(index, report): (usize, v1::NewReport)| v1::ReportResult {
            external_id: report.external_id,
            result: Some(if report.url.starts_with("http") {
                v1::report_result::Result::Receipt(v1::Receipt {
                    report_id: NOTICE.into(),
                    reference: REFERENCE.into(),
                    case_id: if sees_cases {
                        NOTICE.into()
                    } else {
                        String::new()
                    },
                    opened_case: sees_cases && index == 0,
                    accepted_at: Some(NOON),
                })
            } else if report.url == "quota" {
                v1::report_result::Result::Problem(problem("quota_exceeded", ""))
            } else if report.url == "busy" {
                v1::report_result::Result::Problem(problem("exhausted", ""))
            } else {
                let field = format!("reports[{index}].url");
                v1::report_result::Result::Problem(problem("url_scheme", &field))
            }),
        };
        Ok(Response::new(v1::SubmitReportsResponse {
            results: body.reports.into_iter().enumerate().map(result).collect(),
            repeated: false,
        }))
    }

    async fn get_outcome(
        &self,
        request: Request<v1::GetOutcomeRequest>,
    ) -> RpcResult<v1::GetOutcomeResponse> {
        let reference = request.get_ref().reference.clone();
        self.record(request, RecordedCall::Outcome);
        if reference != REFERENCE {
            return Err(refused(Kind::NotFound, "not_found", "reference"));
        }
        Ok(Response::new(v1::GetOutcomeResponse {
            outcome: v1::Outcome::NotAgainstTheLaw.into(),
            received_at: Some(NOON),
            updated_at: Some(NOON),
        }))
    }

    async fn withdraw_report(
        &self,
        request: Request<v1::WithdrawReportRequest>,
    ) -> RpcResult<v1::WithdrawReportResponse> {
        self.record(request, RecordedCall::Withdraw);
        Ok(Response::new(v1::WithdrawReportResponse {
            outcome: v1::Outcome::Withdrawn.into(),
        }))
    }

    async fn stream_reports(
        &self,
        _: Request<Streaming<v1::StreamReportsRequest>>,
    ) -> RpcResult<Self::StreamReportsStream> {
        Err(not_used())
    }

    async fn find_reports(
        &self,
        _: Request<v1::FindReportsRequest>,
    ) -> RpcResult<v1::FindReportsResponse> {
        Err(not_used())
    }

    async fn create_partner(
        &self,
        _: Request<v1::CreatePartnerRequest>,
    ) -> RpcResult<v1::CreatePartnerResponse> {
        Err(not_used())
    }

    async fn list_partners(
        &self,
        _: Request<v1::ListPartnersRequest>,
    ) -> RpcResult<v1::ListPartnersResponse> {
        Err(not_used())
    }

    async fn revoke_partner(
        &self,
        _: Request<v1::RevokePartnerRequest>,
    ) -> RpcResult<v1::RevokePartnerResponse> {
        Err(not_used())
    }

    async fn get_intake_counts(
        &self,
        _: Request<v1::GetIntakeCountsRequest>,
    ) -> RpcResult<v1::GetIntakeCountsResponse> {
        Err(not_used())
    }
}
