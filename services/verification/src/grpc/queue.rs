//! Calls about cases in the queue: who waits, claims, reveals, verdicts.

use domain::Invalid;
use domain::id::CaseId;
use domain::wire::timestamp;
use domain::word::AssessmentState;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, show, transact};
use platform::metrics;

use crate::case::Case;
use crate::commands::{claims, decide, reveal};
use crate::error::{Error, Refusal};
use crate::roster::Roster;
use crate::signs::SIGNS;
use crate::store;
use crate::store::queue::Place;

/// Verdicts in one call.
const MAX_ITEMS: usize = 100;

impl Grpc {
    pub(super) async fn list_queue(
        &self,
        request: Request<v1::ListQueueRequest>,
    ) -> Result<v1::ListQueueResponse, Error> {
        let (_, request) = self.admit(request)?;
        let size = i64::from(parse::page_size(request.page.as_ref()));
        let after = parse::cursor(request.page.as_ref())?;
        let states = request
            .states
            .iter()
            .map(|state| AssessmentState::from_wire(*state).map(AssessmentState::as_str))
            .collect::<Result<Vec<_>, _>>()?;
        let mut conn = self.pool.acquire().await?;
        let cases = if states.is_empty() {
            store::queue::page_waiting(&mut conn, after, size).await?
        } else {
            store::queue::page_of(&mut conn, &states, after, size).await?
        };
        let waiting = store::queue::count_waiting(&mut conn).await?;
        drop(conn);
        let next = cases.last().filter(|_| cases.len() as i64 == size);
        Ok(v1::ListQueueResponse {
            next_cursor: next
                .map(|case| {
                    parse::write_cursor(Place {
                        priority: case.priority(),
                        received_at: case.item.received_at,
                        case_id: case.id.uuid(),
                    })
                })
                .unwrap_or_default(),
            cases: self.shown(&cases).await?,
            waiting: waiting as u64,
        })
    }

    pub(super) async fn claim_cases(
        &self,
        request: Request<v1::ClaimCasesRequest>,
    ) -> Result<v1::ClaimCasesResponse, Error> {
        let (person, request) = self.admit(request)?;
        let cases = if request.case_id.is_empty() {
            let limit = parse::limit(request.limit)?;
            transact!(self, |conn, now| claims::urgent(
                conn,
                &self.means,
                &person,
                now,
                limit
            ))?
        } else {
            let id: CaseId = request.case_id.parse()?;
            vec![transact!(self, |conn, now| claims::this(
                conn,
                &self.means,
                &person,
                now,
                id
            ))?]
        };
        let claimed = self
            .shown(&cases)
            .await?
            .into_iter()
            .zip(&cases)
            .map(|(shown, case)| v1::ClaimedCase {
                assessment: Some(shown),
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
        let (person, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let token = parse::token(&request.claim_token)?;
        transact!(self, |conn, _now| claims::release(conn, &person, id, token))?;
        Ok(v1::ReleaseClaimResponse {})
    }

    pub(super) async fn decide_cases(
        &self,
        request: Request<v1::DecideCasesRequest>,
    ) -> Result<v1::DecideCasesResponse, Error> {
        let (person, request) = self.admit(request)?;
        person.require_any([
            platform::principal::Role::Analyst,
            platform::principal::Role::Supervisor,
        ])?;
        if request.items.is_empty() {
            return Err(Invalid::missing("items").into());
        }
        if request.items.len() > MAX_ITEMS {
            return Err(parse::too_many("items", "a call takes at most 100 verdicts").into());
        }
        let parsed: Vec<Result<decide::Item, Invalid>> =
            request.items.iter().map(parse::item).collect();
        let good: Vec<decide::Item> = parsed.iter().flatten().copied().collect();
        let mut answers = transact!(self, |conn, now| decide::decide(
            conn,
            &self.means,
            &person,
            now,
            &good
        ))?
        .into_iter();
        self.appended.ring();

        let roster = self.roster().await?;
        let results = parsed
            .into_iter()
            .zip(request.items)
            .enumerate()
            .map(|(place, (parsed, wire))| {
                let answer = match parsed {
                    // Each good item has its answer, in order.
                    Ok(_) => answers
                        .next()
                        .unwrap_or_else(|| Err(Refusal::CASE_UNKNOWN.into())),
                    Err(invalid) => Err(invalid.into()),
                };
                self.result(&roster, place, wire.case_id, answer)
            })
            .collect();
        Ok(v1::DecideCasesResponse { results })
    }

    fn result(
        &self,
        roster: &Roster,
        place: usize,
        case_id: String,
        answer: Result<Case, Error>,
    ) -> v1::DecisionResult {
        use v1::decision_result::Result as Wire;
        let result = match answer {
            Ok(case) => Wire::Assessment(show::assessment(&self.means, roster, &case)),
            Err(error) => Wire::Problem(show::problem(error, &format!("items[{place}]"))),
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
        let (_, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let mut conn = self.pool.acquire().await?;
        let case = store::cases::find(&mut conn, id)
            .await?
            .ok_or(Refusal::CASE_UNKNOWN)?;
        Ok(v1::GetAssessmentResponse {
            assessment: self.shown_one(case).await?,
        })
    }

    pub(super) async fn reveal_url(
        &self,
        request: Request<v1::RevealUrlRequest>,
    ) -> Result<v1::RevealUrlResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let revealed = transact!(self, |conn, now| reveal::reveal(
            conn,
            &self.means,
            &person,
            now,
            id,
            &reason
        ))?;
        self.appended.ring();
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
        self.admit(request)?;
        let mut conn = self.pool.acquire().await?;
        let counts = store::queue::counts(&mut conn).await?;
        let now = self.clock.now(&mut conn).await?;
        let signs = metrics::signs(&mut conn, now, SIGNS).await?;
        let sum = |stage: &str, of: &dyn Fn(&store::queue::Count) -> bool| {
            let these = || counts.iter().filter(|count| of(count));
            v1::StageCount {
                stage: stage.to_owned(),
                count: these().map(|count| count.cases as u64).sum(),
                oldest: these().map(|count| count.oldest).min().map(timestamp),
            }
        };
        Ok(v1::GetVerificationCountsResponse {
            by_state: AssessmentState::ALL
                .iter()
                .map(|state| sum(state.as_str(), &|count| count.state.word() == *state))
                .collect(),
            waiting: Some(sum("waiting", &|count| count.state.waits_for_a_person())),
            standing: Some(sum("standing", &|count| count.state.stands())),
            cases: counts.iter().map(|count| count.cases as u64).sum(),
            decided_by: ["analyst", "list", "rule"]
                .into_iter()
                .map(|by| sum(by, &|count| count.decided_by == by))
                .collect(),
            signs,
        })
    }
}
