//! The played staff: analysts who claim, decide and review by the truth, and an operator who answers providers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use domain::id::CaseId;
use domain::word::{Category, NoticeState};
use futures::StreamExt as _;
use proto::v1::decision_result::Result as Decided;
use proto::v1::verdict::Verdict as Said;
use proto::v1::{
    Assessment, ClaimCasesRequest, DecideCasesRequest, DecisionItem, GetAssessmentRequest, Page,
    ReleaseClaimRequest, SearchNoticesRequest, SupplyInformationRequest, Verdict,
};
use tokio_util::sync::CancellationToken;

use super::knowledge::{Analyst, Knowledge};
use crate::client::Client;
use crate::street::files;

/// Cases taken in hand at once.
const CLAIM: u32 = 100;
const PAUSE: Duration = Duration::from_millis(150);
/// Questions answered at the same moment.
const AT_ONCE: usize = 8;
const REPLY: &str = "The first item on the page is meant; the address above leads to it.";

/// A case in hand.
struct InHand {
    token: String,
    version: u64,
    /// A review of a standing verdict, and not a first decision.
    is_review: bool,
}

/// One analyst at work until told to stop.
pub async fn run(
    number: Analyst,
    client: Client,
    knowledge: Arc<Knowledge>,
    stop: CancellationToken,
) {
    let mut hand: HashMap<CaseId, InHand> = HashMap::new();
    while !stop.is_cancelled() {
        let worked = turn(number, &client, &knowledge, &mut hand).await;
        if let Err(error) = &worked {
            tracing::warn!(%error, "an analyst could not work");
        }
        if !matches!(worked, Ok(decided) if decided > 0) {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// Takes what is most urgent and decides what is known; returns how many were decided.
async fn turn(
    number: Analyst,
    client: &Client,
    knowledge: &Knowledge,
    hand: &mut HashMap<CaseId, InHand>,
) -> Result<usize> {
    let mut verification = client.verification();
    if hand.len() < CLAIM as usize {
        let request = ClaimCasesRequest {
            limit: CLAIM,
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
            let is_review = !assessment.review.is_empty();
            let (case, version) = (assessment.case_id.parse()?, assessment.version);
            hand.insert(
                case,
                InHand {
                    token: claimed.claim_token,
                    version,
                    is_review,
                },
            );
        }
    }
    let mut asked = Vec::new();
    let mut items = Vec::new();
    for (case, in_hand) in hand.iter() {
        // The receipt may still be on its way; then it waits for the next turn.
        let Some(verdict) = knowledge.word(*case, in_hand.is_review) else {
            continue;
        };
        if verdict == Said::SecondLook(true) {
            // Known before it is said: a colleague may have the case a moment after.
            knowledge.pass_on(*case, number);
        }
        asked.push((*case, verdict));
        items.push(DecisionItem {
            case_id: case.to_string(),
            claim_token: in_hand.token.clone(),
            version: in_hand.version,
            verdict: Some(Verdict {
                verdict: Some(verdict),
            }),
        });
        if items.len() == CLAIM as usize {
            break;
        }
    }
    if items.is_empty() {
        return Ok(0);
    }
    let results = verification
        .decide_cases(DecideCasesRequest { items })
        .await?
        .into_inner();
    let mut decided = 0;
    for ((case, verdict), result) in asked.into_iter().zip(results.results) {
        if let Some(Decided::Problem(problem)) = result.result {
            if verdict == Said::SecondLook(true) {
                knowledge.not_passed_on(case, number);
            }
            again(client, hand, case, &problem.code).await?;
        } else {
            if matches!(verdict, Said::Actionable(_) | Said::NotActionable(_)) {
                knowledge.decided(case, number);
            }
            hand.remove(&case);
            decided += 1;
        }
    }
    Ok(decided)
}

/// A decision was not taken: the case has changed, or is somebody else's by now.
async fn again(
    client: &Client,
    hand: &mut HashMap<CaseId, InHand>,
    case: CaseId,
    code: &str,
) -> Result<()> {
    tracing::debug!(case.id = %case, code, "a decision was not taken");
    let Some(mut taken) = hand.remove(&case) else {
        return Ok(());
    };
    let request = GetAssessmentRequest {
        case_id: case.to_string(),
    };
    let now: Assessment = match client
        .verification()
        .get_assessment(request)
        .await?
        .into_inner()
    {
        answer if code == "version_stale" => answer.assessment.unwrap_or_default(),
        _ => {
            let request = ReleaseClaimRequest {
                case_id: case.to_string(),
                claim_token: taken.token,
            };
            // Where the claim is gone there is nothing to give back.
            let _ = client.verification().release_claim(request).await;
            return Ok(());
        }
    };
    taken.version = now.version;
    hand.insert(case, taken);
    Ok(())
}

impl Knowledge {
    /// What an analyst says of a case; none while nobody can know.
    fn word(&self, case: CaseId, is_review: bool) -> Option<Said> {
        let verdict = self.verdict(case)?;
        if is_review {
            return Some(if verdict.is_actionable() {
                Said::Uphold(true)
            } else {
                Said::Withdraw(true)
            });
        }
        Some(match verdict {
            files::Verdict::Actionable(category) => Said::Actionable(category.wire()),
            files::Verdict::NotActionable(reason) => Said::NotActionable(reason.wire()),
            files::Verdict::SecondLook if self.was_passed_on(case) => {
                Said::Actionable(Category::B.wire())
            }
            files::Verdict::SecondLook => Said::SecondLook(true),
        })
    }
}

/// Answers the providers' questions until told to stop.
pub async fn inform(client: Client, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let answered = answer_questions(&client).await;
        if let Err(error) = &answered {
            tracing::warn!(%error, "questions could not be answered");
        }
        if !matches!(answered, Ok(answered) if answered > 0) {
            tokio::select! {
                () = tokio::time::sleep(PAUSE * 2) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

async fn answer_questions(client: &Client) -> Result<usize> {
    let request = SearchNoticesRequest {
        page: Some(Page {
            size: 100,
            cursor: String::new(),
        }),
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
        .buffer_unordered(AT_ONCE)
        .filter(|answered| std::future::ready(*answered))
        .count()
        .await;
    Ok(answered)
}
