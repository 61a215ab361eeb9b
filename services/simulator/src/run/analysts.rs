//! Simulated staff: analysts who claim, decide and review by the scenario's correct verdicts, and an operator who
//! answers the providers' questions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use domain::enums::{Category, NoticeState};
use domain::id::CaseId;
use futures::StreamExt as _;
use proto::v1::decision_result::Result as Decided;
use proto::v1::verdict::Verdict as WireVerdict;
use proto::v1::{
    Assessment, ClaimCasesRequest, DecideCasesRequest, DecisionItem, GetAssessmentRequest,
    ReleaseClaimRequest, SearchNoticesRequest, SupplyInformationRequest, Verdict,
};
use tokio_util::sync::CancellationToken;

use super::case_truths::{AnalystIdx, CaseTruths};
use crate::scenario::TrueVerdict;
use roles::client::Client;

/// Cases that one analyst claims at most.
const MAX_CLAIMS: u32 = 100;
const IDLE_PAUSE: Duration = Duration::from_millis(150);
/// Questions that are answered concurrently.
const CONCURRENT_REPLIES: usize = 8;
const REPLY: &str = "The first element on the page; the URL above points to it.";

struct ClaimedCase {
    token: String,
    version: u64,
    /// A review of a verdict, not a first decision.
    is_review: bool,
}

/// Runs one analyst until `stop` is cancelled.
pub async fn run(
    analyst: AnalystIdx,
    client: Client,
    truths: Arc<CaseTruths>,
    stop: CancellationToken,
) {
    let mut claimed_cases: HashMap<CaseId, ClaimedCase> = HashMap::new();
    while !stop.is_cancelled() {
        let worked = claim_and_decide(analyst, &client, &truths, &mut claimed_cases).await;
        if let Err(error) = &worked {
            tracing::warn!(%error, "an analyst cannot work");
        }
        if !matches!(worked, Ok(decided) if decided > 0) {
            tokio::select! {
                () = tokio::time::sleep(IDLE_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// Claims the most urgent cases and decides those whose correct verdict is known; returns the number of decisions.
async fn claim_and_decide(
    analyst: AnalystIdx,
    client: &Client,
    truths: &CaseTruths,
    claimed_cases: &mut HashMap<CaseId, ClaimedCase>,
) -> Result<usize> {
    let mut verification = client.verification();
    if claimed_cases.len() < MAX_CLAIMS as usize {
        let request = ClaimCasesRequest {
            limit: MAX_CLAIMS,
            case_id: String::new(),
        };
        for claimed in verification
            .claim_cases(request)
            .await?
            .into_inner()
            .claimed
        {
            let Some(assessment) = claimed.assessment else {
                continue;
            };
            let is_review = assessment.review != 0;
            let (case, version) = (assessment.case_id.parse()?, assessment.version);
            claimed_cases.insert(
                case,
                ClaimedCase {
                    token: claimed.claim_token,
                    version,
                    is_review,
                },
            );
        }
    }
    let mut verdicts = Vec::new();
    let mut decisions = Vec::new();
    for (case, claimed_case) in claimed_cases.iter() {
        // The receipt may not have arrived yet; then the case is decided in a later iteration.
        let Some(verdict) = truths.wire_verdict(*case, claimed_case.is_review) else {
            continue;
        };
        if verdict == WireVerdict::SecondOpinion(true) {
            // Recorded before the call: another analyst may claim the case right after it.
            truths.record_second_opinion_request(*case, analyst);
        }
        verdicts.push((*case, verdict));
        decisions.push(DecisionItem {
            case_id: case.to_string(),
            claim_token: claimed_case.token.clone(),
            version: claimed_case.version,
            verdict: Some(Verdict {
                verdict: Some(verdict),
            }),
        });
        if decisions.len() == MAX_CLAIMS as usize {
            break;
        }
    }
    if decisions.is_empty() {
        return Ok(0);
    }
    let results = verification
        .decide_cases(DecideCasesRequest { decisions })
        .await?
        .into_inner();
    let mut decided = 0;
    for ((case, verdict), result) in verdicts.into_iter().zip(results.results) {
        if let Some(Decided::Problem(problem)) = result.result {
            if verdict == WireVerdict::SecondOpinion(true) {
                truths.remove_second_opinion_request(case, analyst);
            }
            renew_or_release(client, claimed_cases, case, &problem.code).await?;
        } else {
            if matches!(
                verdict,
                WireVerdict::Actionable(_) | WireVerdict::NotActionable(_)
            ) {
                truths.record_decision(case, analyst);
            }
            claimed_cases.remove(&case);
            decided += 1;
        }
    }
    Ok(decided)
}

/// Handles a refused decision: the case has changed, or another analyst has claimed it.
async fn renew_or_release(
    client: &Client,
    claimed_cases: &mut HashMap<CaseId, ClaimedCase>,
    case: CaseId,
    code: &str,
) -> Result<()> {
    tracing::debug!(case.id = %case, code, "verification refused a decision");
    let Some(mut claimed_case) = claimed_cases.remove(&case) else {
        return Ok(());
    };
    let request = GetAssessmentRequest {
        case_id: case.to_string(),
    };
    let current: Assessment = match client
        .verification()
        .get_assessment(request)
        .await?
        .into_inner()
    {
        response if code == "version_stale" => response.assessment.unwrap_or_default(),
        _ => {
            let request = ReleaseClaimRequest {
                case_id: case.to_string(),
                claim_token: claimed_case.token,
            };
            // Fails if the claim has expired, and then there is nothing to release.
            let _ = client.verification().release_claim(request).await;
            return Ok(());
        }
    };
    claimed_case.version = current.version;
    claimed_cases.insert(case, claimed_case);
    Ok(())
}

impl CaseTruths {
    /// The analyst's verdict or review of a case; `None` until its receipt has arrived.
    fn wire_verdict(&self, case: CaseId, is_review: bool) -> Option<WireVerdict> {
        let verdict = self.verdict(case)?;
        if is_review {
            return Some(if verdict.is_actionable() {
                WireVerdict::Uphold(true)
            } else {
                WireVerdict::Withdraw(true)
            });
        }
        Some(match verdict {
            TrueVerdict::Actionable(category) => WireVerdict::Actionable(category.wire()),
            TrueVerdict::NotActionable(reason) => WireVerdict::NotActionable(reason.wire()),
            TrueVerdict::SecondOpinion if self.awaits_second_opinion(case) => {
                WireVerdict::Actionable(Category::B.wire())
            }
            TrueVerdict::SecondOpinion => WireVerdict::SecondOpinion(true),
        })
    }
}

/// Answers the providers' questions until `stop` is cancelled.
pub async fn answer_provider_questions(client: Client, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let answered = answer_questions(&client).await;
        if let Err(error) = &answered {
            tracing::warn!(%error, "cannot answer the providers' questions");
        }
        if !matches!(answered, Ok(answered) if answered > 0) {
            tokio::select! {
                () = tokio::time::sleep(IDLE_PAUSE * 2) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

async fn answer_questions(client: &Client) -> Result<usize> {
    let request = SearchNoticesRequest {
        page_size: 100,
        states: vec![NoticeState::NeedInformation.wire()],
        ..SearchNoticesRequest::default()
    };
    let found = client
        .dispatch()
        .search_notices(request)
        .await?
        .into_inner()
        .notices;
    let requests = found.into_iter().map(|notice| SupplyInformationRequest {
        notice_id: notice.notice_id,
        text: REPLY.to_owned(),
    });
    let answered = futures::stream::iter(requests)
        .map(|request| {
            let mut dispatch = client.dispatch();
            async move { dispatch.supply_information(request).await.is_ok() }
        })
        .buffer_unordered(CONCURRENT_REPLIES)
        .filter(|answered| std::future::ready(*answered))
        .count()
        .await;
    Ok(answered)
}
