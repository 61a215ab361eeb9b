//! Opens removal for cases that verification decided are actionable. The caller has checked the approval
//! proof.

use domain::enums::{Category, ContentStatus, Media};
use domain::id::{CaseId, DecisionId};
use domain::url::CanonicalUrl;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase};
use crate::Error;
use crate::cases::ladder_progress::LadderProgress;
use crate::cases::lifecycle::case::{self, CaseTransition};
use crate::cases::removal::Removal;
use crate::cases::store::{CaseSeal, DispatchCase};

/// A decision that a URL is to be removed; its approval proof is valid.
#[derive(Clone)]
pub struct ActionableDecision {
    pub case_id: CaseId,
    pub decision_id: DecisionId,
    pub category: Category,
    pub media: Option<Media>,
    pub received_at: OffsetDateTime,
    pub verified_at: OffsetDateTime,
    pub seal: CaseSeal,
    pub url: CanonicalUrl,
    pub cause: Option<Uuid>,
}

/// Opens cases with their notices, deliveries and deadlines in one transaction.
pub async fn open_cases(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    decided: &[ActionableDecision],
) -> Result<(), Error> {
    let mut batch = CaseBatch::load(conn, deps, now, decided.iter().map(|d| d.case_id)).await?;
    for decision in decided {
        if let Some(case) = batch.cases.get_mut(&decision.case_id) {
            case.set_cause(decision.cause);
            apply_new_decision(case, &batch.cx, decision)?;
        } else {
            let mut case = LockedCase::new(new_case(decision));
            case.set_cause(decision.cause);
            case.change_seal(decision.seal.clone());
            case.start(&batch.cx, &decision.url)?;
            batch.cases.insert(decision.case_id, case);
        }
    }
    batch.store(conn).await
}

fn apply_new_decision(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    decision: &ActionableDecision,
) -> Result<(), Error> {
    let new_decision = decision.decision_id != case.case().decision_id;
    case.change_seal(decision.seal.clone());
    let row = case.case_mut();
    row.decision_id = decision.decision_id;
    row.category = decision.category;
    row.media = row.media.or(decision.media);
    match case.apply_to_case(case::Command::Open) {
        // A new decision after a withdrawal starts as the first one did.
        CaseTransition::ChangeTo(_) if new_decision => {
            let row = case.case_mut();
            row.verified_at = decision.verified_at;
            case.start(cx, &decision.url)?;
        }
        // A repeat of the withdrawn decision does not reopen the case.
        CaseTransition::ChangeTo(_) => {
            case.case_mut().content_status = ContentStatus::Withdrawn;
        }
        CaseTransition::CheckFirst => {
            case.case_mut().removal.recheck(cx.now);
            case.schedule_check(cx.now);
        }
        CaseTransition::ResumePrevious | CaseTransition::NoChange => {}
    }
    Ok(())
}

fn new_case(decision: &ActionableDecision) -> DispatchCase {
    DispatchCase {
        case_id: decision.case_id,
        decision_id: decision.decision_id,
        category: decision.category,
        media: decision.media,
        received_at: decision.received_at,
        verified_at: decision.verified_at,
        content_status: ContentStatus::Online,
        resumes_as: None,
        held_since: None,
        regime: String::new(),
        policy_version: String::new(),
        episode: 0,
        steps: 0,
        ladder: LadderProgress::default(),
        removal: Removal::default(),
        dispatched_at: None,
        delivered_at: None,
        acknowledged_at: None,
        removal_claimed_at: None,
        confirmed_at: None,
        closed_at: None,
        moves: 0,
        review: None,
        resolve_at: None,
        due_at: None,
        unsettled: true,
    }
}
