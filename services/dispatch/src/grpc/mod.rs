//! The gRPC service: each handler parses the request, begins a transaction, runs a command, commits and
//! replies. Contains no SQL, and does not branch on state.

pub(crate) mod cursor;
pub(crate) mod parse;

use std::sync::Arc;

use platform::batch::GroupCommit;
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Wakeup;
use platform::sealed::{Signer, SigningContext, StaffTokenVerifier, Verifier};
use platform::service::CoreDeps;
use proto::v1;
use proto::v1::dispatch_service_server::DispatchService;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use crate::Config;
use crate::cases::{AnswerCall, AnswerCallResult, CommandDeps, group_commit};
use crate::delivery::document::Hotline;
use crate::delivery::{LatestCheckpoint, WebhookSender};

/// The dispatch service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatch(Arc<Handlers>);

/// What the handlers of all modules share.
pub(crate) struct Handlers {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    pub(crate) deps: CommandDeps,
    pub(crate) staff: StaffTokenVerifier,
    pub(crate) hotline: Hotline,
    /// Domain of the return addresses of mails.
    pub(crate) return_domain: Option<String>,
    pub(crate) http_webhooks: bool,
    pub(crate) checkpoint: LatestCheckpoint,
    /// Sends test messages to endpoints; the delivery worker sends notices.
    pub(crate) webhook: WebhookSender,
    /// Signs notices.
    pub(crate) signer: Signer,
    /// Verifies notices.
    pub(crate) verifier: Verifier,
    /// Verifies approval proofs.
    pub(crate) proofs: Verifier,
    pub(crate) answers: GroupCommit<AnswerCall, AnswerCallResult>,
    pub(crate) wakeup: Wakeup,
}

impl Dispatch {
    pub(crate) fn new(
        deps: &CoreDeps<Config>,
        command_deps: CommandDeps,
        staff: StaffTokenVerifier,
        checkpoint: LatestCheckpoint,
        webhook: WebhookSender,
        wakeup: Wakeup,
    ) -> Self {
        let (pool, clock, config) = (&deps.pool, &deps.clock, &deps.config);
        Self(Arc::new(Handlers {
            answers: group_commit(
                pool.clone(),
                clock.clone(),
                command_deps.clone(),
                wakeup.clone(),
            ),
            signer: command_deps.keyring.signer(SigningContext::Notice),
            verifier: command_deps.keyring.verifier(SigningContext::Notice),
            proofs: command_deps.keyring.verifier(SigningContext::Proof),
            hotline: config.hotline.clone(),
            return_domain: config
                .mail
                .as_ref()
                .and_then(|mail| mail.return_domain.clone()),
            http_webhooks: config.http_webhooks,
            pool: pool.clone(),
            clock: clock.clone(),
            deps: command_deps,
            staff,
            checkpoint,
            webhook,
            wakeup,
        }))
    }
}

/// Converts errors to a gRPC status; every handler uses it.
fn reply<T>(result: Result<T, crate::Error>) -> Result<Response<T>, Status> {
    result
        .map(Response::new)
        .map_err(|error| Status::from(Problem::from(error)))
}

/// Forwards each RPC to the method of the same name on [`Handlers`]. The methods are in the module that owns
/// what they act on: `directory::grpc`, `cases::grpc` and `delivery::grpc`.
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
    upsert_providers: UpsertProvidersRequest -> UpsertProvidersResponse;
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
