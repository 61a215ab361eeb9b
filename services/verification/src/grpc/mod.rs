//! The gRPC service: parse, begin, run the command, commit, reply. No SQL, no branching on state.

mod lists_and_rules;
mod parse;
mod police_holds_and_withdrawals;
mod queue;
mod staff;
mod to_proto;
mod workload;

use std::sync::Arc;

use platform::batch::{BatchError, ErrorClass};
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Wakeup;
use proto::v1;
use proto::v1::verification_service_server::VerificationService;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use crate::Deps;
use crate::auth::{Authenticator, Person};
use crate::case::Case;
use crate::context::CommandContext;
use crate::eligible_staff::EligibleStaff;
use crate::error::Error;
use crate::staff::Sessions;
use crate::store;

/// How often a call is attempted that loses deadlocks; then it is refused as unavailable.
const MAX_ATTEMPTS: u32 = 8;

pub(crate) struct Grpc {
    pool: PgPool,
    clock: Clock,
    context: Arc<CommandContext>,
    authenticator: Authenticator,
    sessions: Sessions,
    appended: Wakeup,
    approved: Wakeup,
}

impl Grpc {
    pub(crate) fn new(
        deps: &Deps,
        context: Arc<CommandContext>,
        appended: Wakeup,
        approved: Wakeup,
    ) -> Self {
        Self {
            pool: deps.pool.clone(),
            clock: deps.clock.clone(),
            authenticator: Authenticator::new(&deps.keyring),
            sessions: Sessions::new(
                deps.pool.clone(),
                deps.clock.clone(),
                deps.config.clone(),
                &deps.keyring,
            ),
            context,
            appended,
            approved,
        }
    }

    async fn eligible_staff(&self) -> Result<EligibleStaff, Error> {
        let mut conn = self.pool.acquire().await?;
        Ok(store::staff::eligible_staff(&mut conn).await?)
    }

    async fn assessments(&self, cases: &[Case]) -> Result<Vec<v1::Assessment>, Error> {
        let eligible_staff = self.eligible_staff().await?;
        Ok(cases
            .iter()
            .map(|case| to_proto::assessment(&self.context, &eligible_staff, case))
            .collect())
    }

    async fn assessment(&self, case: Case) -> Result<Option<v1::Assessment>, Error> {
        Ok(self.assessments(&[case]).await?.pop())
    }

    /// The authenticated caller and the message.
    fn authenticate<T>(&self, request: Request<T>) -> Result<(Person, T), Error> {
        let person = self.authenticator.authenticate(request.metadata())?;
        Ok((person, request.into_inner()))
    }
}

/// Runs one command in one transaction with one reading of the clock; repeated while it loses to concurrent
/// transactions.
macro_rules! transact {
    ($grpc:expr, |$conn:ident, $now:ident| $command:expr) => {{
        let mut attempt = 1_u32;
        loop {
            let result: Result<_, Error> = async {
                let mut tx = $grpc.pool.begin().await?;
                let $conn = &mut *tx;
                let $now = $grpc.clock.now($conn).await?;
                let done = $command.await?;
                tx.commit().await?;
                Ok(done)
            }
            .await;
            match result {
                Err(error) if $crate::grpc::should_retry(&error, attempt) => {
                    $crate::grpc::pause(attempt).await;
                    attempt += 1;
                }
                done => break done,
            }
        }
    }};
}
use transact;

fn should_retry(error: &Error, attempt: u32) -> bool {
    error.class() == ErrorClass::Retry && attempt < MAX_ATTEMPTS
}

async fn pause(attempt: u32) {
    tokio::time::sleep(std::time::Duration::from_millis(u64::from(attempt) * 5)).await;
}

fn reply<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result
        .map(Response::new)
        .map_err(|error| Problem::from(error).into())
}

macro_rules! methods {
    ($($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl VerificationService for Grpc {$(
            async fn $name(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                reply(self.$name(request).await)
            }
        )*}
    };
}

methods! {
    sign_in(SignInRequest) -> SignInResponse;
    sign_out(SignOutRequest) -> SignOutResponse;
    exchange_session(ExchangeSessionRequest) -> ExchangeSessionResponse;
    create_staff(CreateStaffRequest) -> CreateStaffResponse;
    list_staff(ListStaffRequest) -> ListStaffResponse;
    revoke_staff(RevokeStaffRequest) -> RevokeStaffResponse;
    list_queue(ListQueueRequest) -> ListQueueResponse;
    claim_cases(ClaimCasesRequest) -> ClaimCasesResponse;
    release_claim(ReleaseClaimRequest) -> ReleaseClaimResponse;
    decide_cases(DecideCasesRequest) -> DecideCasesResponse;
    get_assessment(GetAssessmentRequest) -> GetAssessmentResponse;
    reveal_url(RevealUrlRequest) -> RevealUrlResponse;
    withdraw_verdict(WithdrawVerdictRequest) -> WithdrawVerdictResponse;
    assess_again(AssessAgainRequest) -> AssessAgainResponse;
    hold_case(HoldCaseRequest) -> HoldCaseResponse;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    get_workload(GetWorkloadRequest) -> GetWorkloadResponse;
    list_disagreements(ListDisagreementsRequest) -> ListDisagreementsResponse;
    import_hashes(ImportHashesRequest) -> ImportHashesResponse;
    approve_hash_list(ApproveHashListRequest) -> ApproveHashListResponse;
    list_hash_lists(ListHashListsRequest) -> ListHashListsResponse;
    propose_rule(ProposeRuleRequest) -> ProposeRuleResponse;
    approve_rule(ApproveRuleRequest) -> ApproveRuleResponse;
    retire_rule(RetireRuleRequest) -> RetireRuleResponse;
    list_rules(ListRulesRequest) -> ListRulesResponse;
    get_verification_counts(GetVerificationCountsRequest) -> GetVerificationCountsResponse;
}
