//! What stands where the owners would: it writes down what it was asked, and answers by plain rules.

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

/// One call: its method, the credential that came with it, and the message.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
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

pub struct Backend {
    calls: Mutex<Vec<(Option<String>, Call)>>,
    /// What the notice behind a link says; tests may change it.
    pub notice: Mutex<v1::Notice>,
    pub answered: Mutex<i32>,
    /// A reading of [`HELD`] waits here until a permit is added.
    pub gate: Semaphore,
}

pub const HELD: &str = "11111111-1111-4111-8111-111111111111";

impl Default for Backend {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            notice: Mutex::new(notice()),
            answered: Mutex::default(),
            gate: Semaphore::new(0),
        }
    }
}

impl Backend {
    fn note<T>(&self, request: Request<T>, call: impl FnOnce(T) -> Call) {
        let credential = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let call = call(request.into_inner());
        self.calls.lock().unwrap().push((credential, call));
    }

    /// What was asked since the last time, with the credential of each.
    pub fn take(&self) -> Vec<(Option<String>, Call)> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The one call since the last time.
    pub fn only(&self) -> (Option<String>, Call) {
        let mut calls = self.take();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.pop().unwrap()
    }

    pub fn seen(&self) -> usize {
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
        message: "notice".into(),
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
        name: "desk".into(),
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
        former_secret_until: Some(NOON),
        created_at: Some(NOON),
        gone_at: None,
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
        took_millis: 12,
        outcome: "http_5xx".into(),
        http_status: 503,
        ..Default::default()
    }
}

/// One of the things there are, by its id.
fn named(id: &str, field: &str) -> Result<(), Status> {
    match id {
        NOTICE => Ok(()),
        UNKNOWN => Err(refused(Kind::NotFound, "not_found", field)),
        _ => Err(refused(Kind::Invalid, "id_malformed", field)),
    }
}

fn problem(code: &str, field: &str) -> v1::ItemProblem {
    v1::ItemProblem {
        code: code.into(),
        detail: "A sentence of the owner's.".into(),
        field: field.into(),
    }
}

fn refused(kind: Kind, code: &'static str, field: &str) -> Status {
    Problem::new(kind, code, "A sentence of the owner's.")
        .field(field)
        .into()
}

/// A key that nobody gave out.
fn authentic<T>(request: &Request<T>) -> Result<(), Status> {
    match request.metadata().get("authorization") {
        Some(value) if value == "Bearer wrong" => {
            let refusal = Problem::new(Kind::Unauthenticated, "key_invalid", "Not a key of ours.");
            Err(refusal.into())
        }
        _ => Ok(()),
    }
}

/// Links by their names.
fn link(token: &str) -> Result<(), Status> {
    match token {
        "good" => Ok(()),
        "expired" => Err(refused(Kind::FailedPrecondition, "link_expired", "token")),
        "down" => Err(Status::unavailable("nobody")),
        _ => Err(refused(Kind::NotFound, "not_found", "token")),
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl DispatchService for Backend {
    async fn list_notices(
        &self,
        request: Request<v1::ListNoticesRequest>,
    ) -> Answer<v1::ListNoticesResponse> {
        let cursor = request.get_ref().page.clone().unwrap_or_default().cursor;
        self.note(request, Call::List);
        if cursor == "13" {
            let refusal = Problem::new(
                Kind::Invalid,
                "cursor_malformed",
                "`page.cursor` is not ours.",
            );
            return Err(refusal.field("page.cursor").into());
        }
        // There is one, and nothing after it.
        let notices = if cursor == "42" {
            Vec::new()
        } else {
            vec![notice()]
        };
        Ok(Response::new(v1::ListNoticesResponse {
            notices,
            next_cursor: "42".into(),
        }))
    }

    async fn get_notice(
        &self,
        request: Request<v1::GetNoticeRequest>,
    ) -> Answer<v1::GetNoticeResponse> {
        let id = request.get_ref().notice_id.clone();
        self.note(request, Call::Get);
        match id.as_str() {
            UNKNOWN => Err(refused(Kind::NotFound, "not_found", "notice_id")),
            HELD => {
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
    ) -> Answer<v1::AnswerNoticesResponse> {
        let asked = request.get_ref().clone();
        authentic(&request)?;
        self.note(request, Call::Answer);
        if asked.idempotency_key == "used" {
            return Err(key_reused().into());
        }
        if asked.items.is_empty() && asked.body_digest.is_empty() {
            return Err(refused(Kind::Invalid, "field_missing", "items"));
        }
        let judge = |(n, item): (usize, v1::AnswerItem)| v1::AnswerResult {
            result: Some(if item.notice_id == UNKNOWN {
                let field = format!("items[{n}].notice_id");
                v1::answer_result::Result::Problem(problem("not_found", &field))
            } else if item.answer == v1::Answer::NeedTime as i32 && item.until.is_none() {
                let field = format!("items[{n}].until");
                v1::answer_result::Result::Problem(problem("field_missing", &field))
            } else {
                v1::answer_result::Result::State(v1::NoticeState::Acknowledged.into())
            }),
            notice_id: item.notice_id,
        };
        Ok(Response::new(v1::AnswerNoticesResponse {
            results: asked.items.into_iter().enumerate().map(judge).collect(),
        }))
    }

    async fn verify_notice(
        &self,
        request: Request<v1::VerifyNoticeRequest>,
    ) -> Answer<v1::VerifyNoticeResponse> {
        self.note(request, Call::Verify);
        Ok(Response::new(v1::VerifyNoticeResponse {
            ours: true,
            superseded: true,
            retracted: false,
        }))
    }

    async fn get_preferences(
        &self,
        request: Request<v1::GetPreferencesRequest>,
    ) -> Answer<v1::GetPreferencesResponse> {
        self.note(request, |_| Call::ReadPreferences);
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
    ) -> Answer<v1::SetPreferencesResponse> {
        let preferences = request.get_ref().preferences.clone();
        self.note(request, Call::WritePreferences);
        Ok(Response::new(v1::SetPreferencesResponse {
            preferences,
            webhook_public_key: "whpk_x".into(),
        }))
    }

    async fn view_by_link(
        &self,
        request: Request<v1::ViewByLinkRequest>,
    ) -> Answer<v1::ViewByLinkResponse> {
        let token = request.get_ref().token.clone();
        self.note(request, Call::View);
        link(&token)?;
        Ok(Response::new(v1::ViewByLinkResponse {
            notice: Some(self.notice.lock().unwrap().clone()),
            answered: *self.answered.lock().unwrap(),
        }))
    }

    async fn answer_by_link(
        &self,
        request: Request<v1::AnswerByLinkRequest>,
    ) -> Answer<v1::AnswerByLinkResponse> {
        let asked = request.get_ref().clone();
        self.note(request, Call::AnswerByLink);
        link(&asked.token)?;
        let answer = asked.answer.unwrap();
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
    ) -> Answer<v1::ListSigningKeysResponse> {
        self.note(request, |_| Call::Keys);
        let key = |key_id: &str, purpose: &str| v1::SigningKey {
            key_id: key_id.into(),
            public_key: vec![251; 32].into(),
            purpose: purpose.into(),
        };
        Ok(Response::new(v1::ListSigningKeysResponse {
            keys: vec![key("n1", "notice"), key("w1", "webhook")],
        }))
    }

    async fn check_mailbox(
        &self,
        request: Request<v1::CheckMailboxRequest>,
    ) -> Answer<v1::CheckMailboxResponse> {
        let address = request.get_ref().address.clone();
        self.note(request, |asked| Call::Mailbox(asked.address));
        if address.starts_with("down") {
            return Err(Problem::of(Kind::Unavailable).into());
        }
        let for_reports = address.starts_with("b1-");
        if for_reports || address.starts_with("r1-") {
            Ok(Response::new(v1::CheckMailboxResponse { for_reports }))
        } else {
            Err(refused(Kind::NotFound, "mailbox_unknown", "address"))
        }
    }

    async fn receive_mail(
        &self,
        request: Request<v1::ReceiveMailRequest>,
    ) -> Answer<v1::ReceiveMailResponse> {
        let busy = request.get_ref().address.contains("busy");
        self.note(request, Call::Mail);
        if busy {
            return Err(Problem::of(Kind::Unavailable).into());
        }
        Ok(Response::new(v1::ReceiveMailResponse {}))
    }

    async fn put_providers(
        &self,
        _: Request<v1::PutProvidersRequest>,
    ) -> Answer<v1::PutProvidersResponse> {
        Err(never())
    }

    async fn list_providers(
        &self,
        _: Request<v1::ListProvidersRequest>,
    ) -> Answer<v1::ListProvidersResponse> {
        Err(never())
    }

    async fn get_provider(
        &self,
        _: Request<v1::GetProviderRequest>,
    ) -> Answer<v1::GetProviderResponse> {
        Err(never())
    }

    async fn create_provider_key(
        &self,
        request: Request<v1::CreateProviderKeyRequest>,
    ) -> Answer<v1::CreateProviderKeyResponse> {
        self.note(request, Call::CreateKey);
        Ok(Response::new(v1::CreateProviderKeyResponse {
            key_id: NOTICE.into(),
            key: "tdh_new".into(),
            about: Some(own_key()),
        }))
    }

    async fn list_provider_keys(
        &self,
        request: Request<v1::ListProviderKeysRequest>,
    ) -> Answer<v1::ListProviderKeysResponse> {
        self.note(request, |_| Call::OwnKeys);
        Ok(Response::new(v1::ListProviderKeysResponse {
            keys: vec![own_key()],
        }))
    }

    async fn rotate_provider_key(
        &self,
        request: Request<v1::RotateProviderKeyRequest>,
    ) -> Answer<v1::RotateProviderKeyResponse> {
        named(&request.get_ref().key_id, "key_id")?;
        self.note(request, Call::RotateKey);
        Ok(Response::new(v1::RotateProviderKeyResponse {
            key_id: NOTICE.into(),
            key: "tdh_new".into(),
            about: Some(own_key()),
            former: Some(own_key()),
        }))
    }

    async fn revoke_provider_key(
        &self,
        request: Request<v1::RevokeProviderKeyRequest>,
    ) -> Answer<v1::RevokeProviderKeyResponse> {
        named(&request.get_ref().key_id, "key_id")?;
        self.note(request, Call::RevokeKey);
        Ok(Response::new(v1::RevokeProviderKeyResponse {}))
    }

    async fn create_webhook_endpoint(
        &self,
        request: Request<v1::CreateWebhookEndpointRequest>,
    ) -> Answer<v1::CreateWebhookEndpointResponse> {
        self.note(request, Call::CreateEndpoint);
        Ok(Response::new(v1::CreateWebhookEndpointResponse {
            endpoint: Some(endpoint()),
            secret: "whsec_x".into(),
        }))
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<v1::ListWebhookEndpointsRequest>,
    ) -> Answer<v1::ListWebhookEndpointsResponse> {
        self.note(request, |_| Call::Endpoints);
        Ok(Response::new(v1::ListWebhookEndpointsResponse {
            endpoints: vec![endpoint()],
        }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<v1::DeleteWebhookEndpointRequest>,
    ) -> Answer<v1::DeleteWebhookEndpointResponse> {
        named(&request.get_ref().endpoint_id, "endpoint_id")?;
        self.note(request, Call::DeleteEndpoint);
        Ok(Response::new(v1::DeleteWebhookEndpointResponse {}))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<v1::RotateWebhookSecretRequest>,
    ) -> Answer<v1::RotateWebhookSecretResponse> {
        named(&request.get_ref().endpoint_id, "endpoint_id")?;
        self.note(request, Call::RotateSecret);
        Ok(Response::new(v1::RotateWebhookSecretResponse {
            endpoint: Some(endpoint()),
            secret: "whsec_y".into(),
        }))
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<v1::TestWebhookEndpointRequest>,
    ) -> Answer<v1::TestWebhookEndpointResponse> {
        named(&request.get_ref().endpoint_id, "endpoint_id")?;
        self.note(request, Call::TestEndpoint);
        Ok(Response::new(v1::TestWebhookEndpointResponse {
            delivery: Some(delivery()),
        }))
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Answer<v1::ListDeliveriesResponse> {
        self.note(request, Call::Deliveries);
        Ok(Response::new(v1::ListDeliveriesResponse {
            deliveries: vec![delivery()],
            next_cursor: String::new(),
        }))
    }

    async fn redeliver_notices(
        &self,
        request: Request<v1::RedeliverNoticesRequest>,
    ) -> Answer<v1::RedeliverNoticesResponse> {
        use v1::redelivery_result::Result as Said;
        let asked = request.get_ref().notice_ids.clone();
        self.note(request, Call::Redeliver);
        if asked.is_empty() {
            return Err(refused(Kind::Invalid, "field_missing", "notice_ids"));
        }
        let results = asked.into_iter().enumerate().map(|(n, notice_id)| {
            let result = if notice_id == UNKNOWN {
                Said::Problem(problem("not_found", &format!("notice_ids[{n}]")))
            } else {
                Said::Channel(v1::DeliveryChannel::Webhook.into())
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
    ) -> Answer<v1::GetCaseDispatchResponse> {
        Err(never())
    }

    async fn search_notices(
        &self,
        _: Request<v1::SearchNoticesRequest>,
    ) -> Answer<v1::SearchNoticesResponse> {
        Err(never())
    }

    async fn list_overdue(
        &self,
        _: Request<v1::ListOverdueRequest>,
    ) -> Answer<v1::ListOverdueResponse> {
        Err(never())
    }

    async fn supply_information(
        &self,
        _: Request<v1::SupplyInformationRequest>,
    ) -> Answer<v1::SupplyInformationResponse> {
        Err(never())
    }

    async fn get_dispatch_counts(
        &self,
        _: Request<v1::GetDispatchCountsRequest>,
    ) -> Answer<v1::GetDispatchCountsResponse> {
        Err(never())
    }
}

/// The gateway has no business with staff's calls.
fn never() -> Status {
    Status::unimplemented("not the gateway's to ask")
}

#[tonic::async_trait]
impl IntakeService for Backend {
    type StreamReportsStream =
        Pin<Box<dyn Stream<Item = Result<v1::StreamReportsResponse, Status>> + Send>>;

    async fn submit_reports(
        &self,
        request: Request<v1::SubmitReportsRequest>,
    ) -> Answer<v1::SubmitReportsResponse> {
        let asked = request.get_ref().clone();
        authentic(&request)?;
        let sees_cases = request.metadata().contains_key("authorization");
        self.note(request, Call::Submit);
        match asked.idempotency_key.as_str() {
            "used" => return Err(key_reused().into()),
            "panic" => panic!("on purpose"),
            _ => {}
        }
        let takes = |url: &str| asked.items.iter().any(|item| item.url.starts_with(url));
        if takes("quota") && !takes("http") {
            let quota = Problem::new(Kind::Exhausted, "quota_exceeded", "Come again tomorrow.");
            return Err(quota.retry_after(Duration::from_hours(1)).into());
        }
        let judge = |(n, item): (usize, v1::ReportItem)| v1::ItemResult {
            external_id: item.external_id,
            result: Some(if item.url.starts_with("http") {
                v1::item_result::Result::Receipt(v1::Receipt {
                    report_id: NOTICE.into(),
                    reference: REFERENCE.into(),
                    case_id: if sees_cases {
                        NOTICE.into()
                    } else {
                        String::new()
                    },
                    opened_case: sees_cases && n == 0,
                    accepted_at: Some(NOON),
                })
            } else if item.url == "quota" {
                v1::item_result::Result::Problem(problem("quota_exceeded", ""))
            } else if item.url == "busy" {
                v1::item_result::Result::Problem(problem("exhausted", ""))
            } else {
                let field = format!("items[{n}].url");
                v1::item_result::Result::Problem(problem("url_scheme", &field))
            }),
        };
        Ok(Response::new(v1::SubmitReportsResponse {
            results: asked.items.into_iter().enumerate().map(judge).collect(),
            repeated: false,
        }))
    }

    async fn get_outcome(
        &self,
        request: Request<v1::GetOutcomeRequest>,
    ) -> Answer<v1::GetOutcomeResponse> {
        let reference = request.get_ref().reference.clone();
        self.note(request, Call::Outcome);
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
    ) -> Answer<v1::WithdrawReportResponse> {
        self.note(request, Call::Withdraw);
        Ok(Response::new(v1::WithdrawReportResponse {
            outcome: v1::Outcome::Withdrawn.into(),
        }))
    }

    async fn stream_reports(
        &self,
        _: Request<Streaming<v1::StreamReportsRequest>>,
    ) -> Answer<Self::StreamReportsStream> {
        Err(never())
    }

    async fn find_reports(
        &self,
        _: Request<v1::FindReportsRequest>,
    ) -> Answer<v1::FindReportsResponse> {
        Err(never())
    }

    async fn create_partner(
        &self,
        _: Request<v1::CreatePartnerRequest>,
    ) -> Answer<v1::CreatePartnerResponse> {
        Err(never())
    }

    async fn list_partners(
        &self,
        _: Request<v1::ListPartnersRequest>,
    ) -> Answer<v1::ListPartnersResponse> {
        Err(never())
    }

    async fn revoke_partner(
        &self,
        _: Request<v1::RevokePartnerRequest>,
    ) -> Answer<v1::RevokePartnerResponse> {
        Err(never())
    }

    async fn get_intake_counts(
        &self,
        _: Request<v1::GetIntakeCountsRequest>,
    ) -> Answer<v1::GetIntakeCountsResponse> {
        Err(never())
    }
}
