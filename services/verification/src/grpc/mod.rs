//! The gRPC face: parse, begin, command, commit, reply. No SQL, no branching on state.

mod lists;
mod parse;
mod queue;
mod show;
mod staff;
mod standing;
mod workload;

use std::sync::Arc;

use platform::batch::{Class, Fault};
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Hint;
use proto::v1;
use proto::v1::verification_service_server::VerificationService;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

pub(crate) use self::parse::staff_name;
use crate::Deps;
use crate::auth::{Doorkeeper, Person};
use crate::case::Case;
use crate::error::Error;
use crate::means::Means;
use crate::roster::Roster;
use crate::staff::Reception;
use crate::store;

/// How often a call that lost a deadlock is tried before it is refused as unavailable.
const TRIES: u32 = 8;

pub(crate) struct Grpc {
    pool: PgPool,
    clock: Clock,
    means: Arc<Means>,
    doorkeeper: Doorkeeper,
    reception: Reception,
    appended: Hint,
    approved: Hint,
}

impl Grpc {
    pub(crate) fn new(deps: &Deps, means: Arc<Means>, appended: Hint, approved: Hint) -> Self {
        Self {
            pool: deps.pool.clone(),
            clock: deps.clock.clone(),
            doorkeeper: Doorkeeper::new(&deps.keyring),
            reception: Reception::new(
                deps.pool.clone(),
                deps.clock.clone(),
                deps.config.clone(),
                &deps.keyring,
            ),
            means,
            appended,
            approved,
        }
    }

    /// Who is there to take cases.
    async fn roster(&self) -> Result<Roster, Error> {
        let mut conn = self.pool.acquire().await?;
        Ok(store::staff::roster(&mut conn).await?)
    }

    async fn shown(&self, cases: &[Case]) -> Result<Vec<v1::Assessment>, Error> {
        let roster = self.roster().await?;
        Ok(cases
            .iter()
            .map(|case| show::assessment(&self.means, &roster, case))
            .collect())
    }

    async fn shown_one(&self, case: Case) -> Result<Option<v1::Assessment>, Error> {
        Ok(self.shown(&[case]).await?.pop())
    }

    /// Who asks, and what.
    fn admit<T>(&self, request: Request<T>) -> Result<(Person, T), Error> {
        let person = self.doorkeeper.admit(request.metadata())?;
        Ok((person, request.into_inner()))
    }
}

/// One command in one transaction, with the time read once; tried again while it loses to its neighbours.
macro_rules! transact {
    ($grpc:expr, |$conn:ident, $now:ident| $command:expr) => {{
        let mut tries = 1_u32;
        loop {
            let attempt: Result<_, Error> = async {
                let mut tx = $grpc.pool.begin().await?;
                let $conn = &mut *tx;
                let $now = $grpc.clock.now($conn).await?;
                let done = $command.await?;
                tx.commit().await?;
                Ok(done)
            }
            .await;
            match attempt {
                Err(error) if $crate::grpc::is_bad_luck(&error, tries) => {
                    $crate::grpc::pause(tries).await;
                    tries += 1;
                }
                done => break done,
            }
        }
    }};
}
use transact;

fn is_bad_luck(error: &Error, tries: u32) -> bool {
    error.class() == Class::Retry && tries < TRIES
}

async fn pause(tries: u32) {
    tokio::time::sleep(std::time::Duration::from_millis(u64::from(tries) * 5)).await;
}

fn reply<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer
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
