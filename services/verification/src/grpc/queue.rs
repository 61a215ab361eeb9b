//! Calls about cases in the queue: lists, claims, decisions, reveals, counts.

use domain::Invalid;
use domain::enums::AssessmentState;
use domain::id::CaseId;
use domain::wire::timestamp;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, to_proto, transact};
use platform::metrics;

use crate::case::Case;
use crate::commands::{claims, decide, reveal};
use crate::eligible_staff::EligibleStaff;
use crate::error::{CommandRefusal, Error};
use crate::gauges::GAUGES;
use crate::store;
use crate::store::queue::QueuePosition;

/// Decisions per call.
const MAX_DECISIONS: usize = 100;

impl Grpc {
    pub(super) async fn list_queue(
        &self,
        request: Request<v1::ListQueueRequest>,
    ) -> Result<v1::ListQueueResponse, Error> {
        let (_, request) = self.authenticate(request)?;
        let size = parse::page_size(request.page_size)?;
        let after = parse::page_token(&request.page_token)?;
        let states = request
            .states
            .iter()
            .map(|state| AssessmentState::from_wire(*state).map(AssessmentState::as_str))
            .collect::<Result<Vec<_>, _>>()?;
        let mut conn = self.pool.acquire().await?;
        let cases = if states.is_empty() {
            store::queue::page_waiting(&mut conn, after, size).await?
        } else {
            store::queue::page_in_states(&mut conn, &states, after, size).await?
        };
        let waiting = store::queue::count_waiting(&mut conn).await?;
        drop(conn);
        let next = cases.last().filter(|_| cases.len() as i64 == size);
        Ok(v1::ListQueueResponse {
            next_page_token: next
                .map(|case| {
                    parse::write_page_token(QueuePosition {
                        priority: case.priority(),
                        received_at: case.first_report.received_at,
                        case_id: case.id.uuid(),
                    })
                })
                .unwrap_or_default(),
            cases: self.assessments(&cases).await?,
            waiting: waiting as u64,
        })
    }

    pub(super) async fn claim_cases(
        &self,
        request: Request<v1::ClaimCasesRequest>,
    ) -> Result<v1::ClaimCasesResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let cases = if request.case_id.is_empty() {
            let limit = parse::limit(request.limit)?;
            transact!(self, |conn, now| claims::claim_most_urgent(
                conn,
                &self.context,
                &person,
                now,
                limit
            ))?
        } else {
            let id: CaseId = request.case_id.parse()?;
            vec![transact!(self, |conn, now| claims::claim_one(
                conn,
                &self.context,
                &person,
                now,
                id
            ))?]
        };
        let claimed = self
            .assessments(&cases)
            .await?
            .into_iter()
            .zip(&cases)
            .map(|(assessment, case)| v1::ClaimedCase {
                assessment: Some(assessment),
                claim_token: case
                    .claim
                    .map(|claim| claim.token.to_string())
                    .unwrap_or_default(),
            })
            .collect();
        Ok(v1::ClaimCasesResponse { claimed })
    }

    pub(super) async fn release_claim(
        &self,
        request: Request<v1::ReleaseClaimRequest>,
    ) -> Result<v1::ReleaseClaimResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let token = parse::claim_token(&request.claim_token)?;
        transact!(self, |conn, _now| claims::release(conn, &person, id, token))?;
        Ok(v1::ReleaseClaimResponse {})
    }

    pub(super) async fn decide_cases(
        &self,
        request: Request<v1::DecideCasesRequest>,
    ) -> Result<v1::DecideCasesResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        person.require_any([
            platform::principal::Role::Analyst,
            platform::principal::Role::Supervisor,
        ])?;
        if request.decisions.is_empty() {
            return Err(Invalid::missing("decisions").into());
        }
        if request.decisions.len() > MAX_DECISIONS {
            return Err(parse::too_many("decisions", "a call takes at most 100 decisions").into());
        }
        let parsed: Vec<Result<decide::ClaimDecision, Invalid>> = request
            .decisions
            .iter()
            .map(parse::claim_decision)
            .collect();
        let valid: Vec<decide::ClaimDecision> = parsed.iter().flatten().copied().collect();
        let mut results_of_valid = transact!(self, |conn, now| decide::decide(
            conn,
            &self.context,
            &person,
            now,
            &valid
        ))?
        .into_iter();
        self.appended.notify();

        let eligible_staff = self.eligible_staff().await?;
        let results = parsed
            .into_iter()
            .zip(request.decisions)
            .enumerate()
            .map(|(index, (parsed, wire))| {
                let result = match parsed {
                    // Every valid decision has its result, in order.
                    Ok(_) => results_of_valid
                        .next()
                        .unwrap_or_else(|| Err(CommandRefusal::CASE_UNKNOWN.into())),
                    Err(invalid) => Err(invalid.into()),
                };
                self.decision_result(&eligible_staff, index, wire.case_id, result)
            })
            .collect();
        Ok(v1::DecideCasesResponse { results })
    }

    fn decision_result(
        &self,
        eligible_staff: &EligibleStaff,
        index: usize,
        case_id: String,
        result: Result<Case, Error>,
    ) -> v1::DecisionResult {
        use v1::decision_result::Result as Wire;
        let result = match result {
            Ok(case) => {
                Wire::Assessment(to_proto::assessment(&self.context, eligible_staff, &case))
            }
            Err(error) => Wire::Problem(to_proto::problem(error, &format!("decisions[{index}]"))),
        };
        v1::DecisionResult {
            case_id,
            result: Some(result),
        }
    }

    pub(super) async fn get_assessment(
        &self,
        request: Request<v1::GetAssessmentRequest>,
    ) -> Result<v1::GetAssessmentResponse, Error> {
        let (_, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let mut conn = self.pool.acquire().await?;
        let case = store::cases::find(&mut conn, id)
            .await?
            .ok_or(CommandRefusal::CASE_UNKNOWN)?;
        Ok(v1::GetAssessmentResponse {
            assessment: self.assessment(case).await?,
        })
    }

    pub(super) async fn reveal_url(
        &self,
        request: Request<v1::RevealUrlRequest>,
    ) -> Result<v1::RevealUrlResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let revealed = transact!(self, |conn, now| reveal::reveal(
            conn,
            &self.context,
            &person,
            now,
            id,
            &reason
        ))?;
        self.appended.notify();
        Ok(v1::RevealUrlResponse {
            url: revealed.url.reveal().to_owned(),
            used: revealed.used,
            allowed: revealed.allowed,
        })
    }

    pub(super) async fn get_verification_counts(
        &self,
        request: Request<v1::GetVerificationCountsRequest>,
    ) -> Result<v1::GetVerificationCountsResponse, Error> {
        self.authenticate(request)?;
        let mut conn = self.pool.acquire().await?;
        let counts = store::queue::counts(&mut conn).await?;
        let now = self.clock.now(&mut conn).await?;
        let gauges = metrics::readings(&mut conn, now, GAUGES).await?;
        let sum = |stage: &str, counts_in: &dyn Fn(&store::queue::StateCount) -> bool| {
            let these = || counts.iter().filter(|count| counts_in(count));
            v1::StageCount {
                stage: stage.to_owned(),
                count: these().map(|count| count.cases as u64).sum(),
                oldest: these().map(|count| count.oldest).min().map(timestamp),
            }
        };
        Ok(v1::GetVerificationCountsResponse {
            by_state: AssessmentState::ALL
                .iter()
                .map(|state| {
                    sum(state.as_str(), &|count| {
                        count.state.assessment_state() == *state
                    })
                })
                .collect(),
            waiting: Some(sum("waiting", &|count| count.state.awaits_claim())),
            standing: Some(sum("standing", &|count| {
                count.state.has_actionable_verdict()
            })),
            cases: counts.iter().map(|count| count.cases as u64).sum(),
            decided_by: ["analyst", "list", "rule"]
                .into_iter()
                .map(|by| sum(by, &|count| count.decided_by == by))
                .collect(),
            gauges,
        })
    }
}
