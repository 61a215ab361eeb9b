//! The gRPC surface: parse, begin, command, commit, reply. No SQL, and no branching on state.

mod answers;
mod cursor;
mod deliveries;
mod directory;
mod form;
mod keys;
mod link;
mod mail;
mod once;
mod parse;
mod preferences;
mod providers;
mod show;
mod staff;
mod webhooks;

use std::sync::Arc;

use platform::batch::Gather;
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Hint;
use platform::sealed::{Signer, SigningContext, StaffTokenVerifier, Verifier};
use proto::v1;
use proto::v1::dispatch_service_server::DispatchService;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use crate::Deps;
use crate::channels::Webhook;
use crate::checkpoint::Latest;
use crate::commands::Rules;
use crate::document::Hotline;
use answers::{AnswerCall, Answered};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatch(Arc<Inner>);

struct Inner {
    pool: PgPool,
    clock: Clock,
    rules: Rules,
    staff: StaffTokenVerifier,
    hotline: Hotline,
    /// Right of the @ in the addresses that mails come back to.
    returns: Option<String>,
    plain_webhooks: bool,
    checkpoint: Latest,
    /// For tests of endpoints; notices go by the courier.
    webhook: Webhook,
    /// Of notices.
    signer: Signer,
    verifier: Verifier,
    /// Of approval proofs.
    proofs: Verifier,
    answers: Gather<AnswerCall, Answered>,
    bell: Hint,
}

impl Dispatch {
    pub(crate) fn new(
        deps: &Deps,
        rules: Rules,
        staff: StaffTokenVerifier,
        checkpoint: Latest,
        webhook: Webhook,
        bell: Hint,
    ) -> Self {
        let (pool, clock, config) = (&deps.pool, &deps.clock, &deps.config);
        Self(Arc::new(Inner {
            answers: answers::gather(pool.clone(), clock.clone(), rules.clone(), bell.clone()),
            signer: rules.keyring.signer(SigningContext::Notice),
            verifier: rules.keyring.verifier(SigningContext::Notice),
            proofs: rules.keyring.verifier(SigningContext::Proof),
            hotline: config.hotline.clone(),
            returns: config
                .mail
                .as_ref()
                .and_then(|mail| mail.return_domain.clone()),
            plain_webhooks: config.plain_webhooks,
            pool: pool.clone(),
            clock: clock.clone(),
            rules,
            staff,
            checkpoint,
            webhook,
            bell,
        }))
    }
}

/// Every failure becomes a status by the one road.
fn reply<T>(result: Result<T, crate::Error>) -> Result<Response<T>, Status> {
    result
        .map(Response::new)
        .map_err(|error| Status::from(Problem::from(error)))
}

/// Each method lives in the room of those who call it.
macro_rules! methods {
    ($($name:ident: $request:ident -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl DispatchService for Dispatch {
            $(async fn $name(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                let (metadata, _, body) = request.into_parts();
                reply(self.0.$name(&metadata, body).await)
            })*
        }
    };
}

methods! {
    put_providers: PutProvidersRequest -> PutProvidersResponse;
    list_providers: ListProvidersRequest -> ListProvidersResponse;
    get_provider: GetProviderRequest -> GetProviderResponse;
    create_provider_key: CreateProviderKeyRequest -> CreateProviderKeyResponse;
    list_provider_keys: ListProviderKeysRequest -> ListProviderKeysResponse;
    rotate_provider_key: RotateProviderKeyRequest -> RotateProviderKeyResponse;
    revoke_provider_key: RevokeProviderKeyRequest -> RevokeProviderKeyResponse;
    list_notices: ListNoticesRequest -> ListNoticesResponse;
    get_notice: GetNoticeRequest -> GetNoticeResponse;
    answer_notices: AnswerNoticesRequest -> AnswerNoticesResponse;
    verify_notice: VerifyNoticeRequest -> VerifyNoticeResponse;
    get_preferences: GetPreferencesRequest -> GetPreferencesResponse;
    set_preferences: SetPreferencesRequest -> SetPreferencesResponse;
    create_webhook_endpoint: CreateWebhookEndpointRequest -> CreateWebhookEndpointResponse;
    list_webhook_endpoints: ListWebhookEndpointsRequest -> ListWebhookEndpointsResponse;
    delete_webhook_endpoint: DeleteWebhookEndpointRequest -> DeleteWebhookEndpointResponse;
    rotate_webhook_secret: RotateWebhookSecretRequest -> RotateWebhookSecretResponse;
    test_webhook_endpoint: TestWebhookEndpointRequest -> TestWebhookEndpointResponse;
    list_deliveries: ListDeliveriesRequest -> ListDeliveriesResponse;
    redeliver_notices: RedeliverNoticesRequest -> RedeliverNoticesResponse;
    view_by_link: ViewByLinkRequest -> ViewByLinkResponse;
    answer_by_link: AnswerByLinkRequest -> AnswerByLinkResponse;
    check_mailbox: CheckMailboxRequest -> CheckMailboxResponse;
    receive_mail: ReceiveMailRequest -> ReceiveMailResponse;
    list_signing_keys: ListSigningKeysRequest -> ListSigningKeysResponse;
    get_case_dispatch: GetCaseDispatchRequest -> GetCaseDispatchResponse;
    search_notices: SearchNoticesRequest -> SearchNoticesResponse;
    list_overdue: ListOverdueRequest -> ListOverdueResponse;
    supply_information: SupplyInformationRequest -> SupplyInformationResponse;
    get_dispatch_counts: GetDispatchCountsRequest -> GetDispatchCountsResponse;
}
